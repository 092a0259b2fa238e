//! Lint of what `plan` and `apply` would run: what is found goes with the plan, and what is an error stops the run, unless its code is
//! allowed.

use cutover_analysis::lint::{self, Severity};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};

use super::database::{self, Pending};
use super::{AtApply, Located};
use crate::apply::ApplyError;
use crate::plan::build::Built;
use crate::plan::{Plan, Step};
use crate::project::Project;
use crate::text::{caret, visible};

/// What a run says, refuses or sees to by itself.
const TOLD_OTHERWISE: [&str; 7] = [
    "transaction-control-in-file",
    "uncommitted-transaction",
    "concurrently-in-transaction",
    "no-lock-timeout",
    "version-sorts-wrongly",
    "out-of-order-file",
    "duplicate-version",
];

/// Whether there is anything to look at: not in a database without a table, which nobody uses yet.
fn is_of_use(project: &Project, built: &Built) -> bool {
    project.lint.apply != AtApply::Off
        && project.takes_back.is_none()
        && !built.before.relations.is_empty()
        && built.pending().next().is_some()
}

/// Looks at what would run, and puts what is found to its steps. `session` begins as those of migrations do.
///
/// # Errors
/// As the server says.
pub(crate) async fn look(project: &Project, built: &mut Built, session: &mut Session) -> Result<(), Failure> {
    if !is_of_use(project, built) {
        return Ok(());
    }
    let before = std::mem::take(&mut built.before);
    let Pending { found, is_new } = database::pending(project, built, before, session).await?;
    if is_new {
        return Ok(());
    }
    let told = |finding: &Located| !TOLD_OTHERWISE.contains(&finding.code.as_str());
    for finding in found.findings.into_iter().filter(told) {
        let is_its = |step: &&mut Step| step.path == finding.path;
        if let Some(step) = built.plan.steps.iter_mut().find(is_its) {
            step.findings.push(finding);
        }
    }
    Ok(())
}

/// The same on a session of its own.
///
/// # Errors
/// As the server says.
pub(crate) async fn look_apart(
    project: &Project,
    built: &mut Built,
    options: &ConnectOptions,
    startup: Startup,
) -> Result<(), ApplyError> {
    if !is_of_use(project, built) {
        return Ok(());
    }
    let mut session = Session::connect(options, &startup).await?;
    let looked = look(project, built, &mut session).await;
    session.close().await;
    Ok(looked?)
}

/// What stops a run of this plan, in words, but for what is `allowed`.
pub(crate) fn stops<'a>(
    plan: &'a Plan,
    stops_at_errors: bool,
    allowed: &'a [String],
) -> impl Iterator<Item = String> + 'a {
    let findings = plan.steps.iter().filter(|step| step.state.will_run()).flat_map(|step| &step.findings);
    let is_bad = move |one: &&Located| {
        stops_at_errors && one.severity == Severity::Error && !allowed.contains(&one.code)
    };
    findings.filter(is_bad).map(words)
}

fn words(finding: &Located) -> String {
    let Located { code, path, line, column, source_line, message, help, .. } = finding;
    let excerpt = match source_line.as_str() {
        "" => String::new(),
        text => format!("\n{}", caret(*line, *column, text)),
    };
    format!(
        "{}:{line}:{column}: {} ({code}){excerpt}\n  hint: {}\n  hint: `--allow {code}` runs it as it is, and so does \
         `-- cutover: {} {code} REASON` above the statement",
        visible(path),
        visible(message),
        visible(help),
        lint::DIRECTIVE,
    )
}

/// A finding in a line, without its file.
pub(crate) fn line(finding: &Located) -> String {
    let Located { code, severity, line, message, help, .. } = finding;
    format!("{severity}[{code}] line {line}: {message}; safe: {help}")
}

/// What was found in what a run had to do, for whoever watched it: a line each, and how many more there are.
pub fn told(plan: &Plan) -> Vec<String> {
    /// More are in the report.
    const MOST: usize = 10;
    let steps = plan.steps.iter().filter(|step| step.state.will_run());
    let all: Vec<String> = steps
        .flat_map(|step| step.findings.iter().map(|one| format!("{}: {}", step.label(), line(one))))
        .collect();
    let more = all.len().saturating_sub(MOST);
    let counted = (more > 0).then(|| format!("lint found {more} more: `cutover report` shows them"));
    all.into_iter().take(MOST).chain(counted).collect()
}
