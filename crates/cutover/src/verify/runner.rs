//! Choosing checks and turning what they measure into results.

use std::time::Instant;

use super::measure::{Ctx, Measured, bounded_text};
use super::prepare::Prepared;
use super::{VerifyError, VerifyRequest, checks, stages};
use crate::history::records::History;
use crate::project::{Project, When};
use crate::run::{CheckResult, Verdict};
use crate::secrets::Secrets;
use crate::text::{known_list, suggest};

/// The checks a request asks for and the stage reached allows.
pub(super) fn choose<'a>(
    project: &Project,
    history: &History,
    request: &VerifyRequest,
    prepared: &'a [Prepared],
) -> Result<Vec<&'a Prepared>, VerifyError> {
    for name in &request.names {
        let asked = prepared.iter().find(|check| check.name == *name);
        // Silence would look like an answer.
        if let (Some(When::Before(migration)), None) = (asked.map(|check| &check.when), &request.before) {
            let migration = project.migrations.iter().find(|other| other.id == *migration);
            let path = migration.map(|migration| migration.path.clone()).unwrap_or_default();
            return Err(VerifyError::Precondition { name: name.clone(), path });
        }
        if asked.is_none() {
            let known = || prepared.iter().map(|check| check.name.as_str());
            let suggestion = suggest(name, known()).map(str::to_owned);
            return Err(VerifyError::UnknownCheck {
                name: name.clone(),
                suggestion,
                known: known_list(known()),
            });
        }
    }
    let known = checks::names();
    if let Some(kind) = request.kinds.iter().find(|kind| !known.contains(&kind.as_str())) {
        let suggestion = suggest(kind, known.iter().copied()).map(str::to_owned);
        return Err(VerifyError::UnknownKind { kind: kind.clone(), suggestion, known: known.join(", ") });
    }
    kinds_match(request, prepared)?;
    let reached = stages::reached(project, history, request.stage);
    let chosen = prepared.iter().filter(|check| {
        let when = match &request.before {
            Some(migration) => When::Before(migration.clone()),
            None => When::After,
        };
        check.when == when
            && (request.names.is_empty() || request.names.contains(&check.name))
            && (request.kinds.is_empty() || request.kinds.iter().any(|kind| kind == check.kind))
            && (check.kind != "empty" || request.fresh || !request.names.is_empty())
            // A check asked for by name is measured whatever the stage: silence would look like an answer.
            && (!request.names.is_empty() || check.stage.is_none_or(|stage| reached.get(stage).copied().unwrap_or(false)))
    });
    Ok(chosen.collect())
}

/// Whether each kind that is asked for can select something, and leaves nothing out that is asked for by name: silence
/// would look like an answer.
fn kinds_match(request: &VerifyRequest, prepared: &[Prepared]) -> Result<(), VerifyError> {
    let asked = |check: &&Prepared| request.kinds.iter().any(|kind| kind == check.kind);
    if request.kinds.is_empty() || request.before.is_some() {
        return Ok(());
    }
    let named = |check: &&Prepared| request.names.contains(&check.name);
    if let Some(other) = prepared.iter().find(|check| named(check) && !asked(check)) {
        let (name, asked) = (other.name.clone(), request.kinds.join(", "));
        return Err(VerifyError::OtherKind { name, kind: other.kind, asked });
    }
    if !request.names.is_empty() {
        return Ok(());
    }
    for kind in &request.kinds {
        let mut of_kind = prepared.iter().filter(|check| kind == check.kind).peekable();
        let why = if of_kind.peek().is_none() {
            format!("no check is of kind {kind}")
        } else if of_kind.all(|check| check.when != When::After) {
            format!(
                "each check of kind {kind} is a precondition, which is measured before its migration alone"
            )
        } else if kind == "empty" && !request.fresh {
            "checks of kind empty are measured in a database that holds only what migrations put there (--fresh), or by \
             their names"
                .to_owned()
        } else {
            continue;
        };
        let known: Vec<String> =
            prepared.iter().map(|check| format!("{} ({})", check.name, check.kind)).collect();
        return Err(VerifyError::NoneOfKind { why, known: known_list(known.iter().map(String::as_str)) });
    }
    Ok(())
}

/// Measures one check. There is always at least one result.
pub(super) async fn measure(check: &Prepared, ctx: &mut Ctx<'_>, history: &History) -> Vec<CheckResult> {
    let start = Instant::now();
    if let Some(timeout) = check.timeout {
        ctx.limits.statement = timeout;
    }
    let waits: Vec<String> = check
        .requires
        .iter()
        .filter_map(|index| stages::waiting(ctx.project.migrations.get(*index)?, history))
        .collect();
    let answers = if waits.is_empty() {
        check.check.measure(ctx).await.unwrap_or_else(|trouble| vec![Measured::unknown(trouble.0)])
    } else {
        vec![Measured::new(Verdict::Skipped, waits.join(", "))]
    };
    let total = start.elapsed();
    let (measured, expected) = check.check.describe();
    let result = |answer: Measured| CheckResult {
        name: answer.part.map_or_else(|| check.name.clone(), |part| format!("{}: {part}", check.name)),
        kind: check.kind.to_owned(),
        migration: answer.migration.or_else(|| match &check.when {
            When::Before(migration) => Some(migration.clone()),
            When::After => None,
        }),
        stage: check.stage.and_then(|stage| Some(ctx.project.stages.get(stage)?.id.clone())),
        measured: answer.what.unwrap_or_else(|| measured.clone()),
        expected: answer.expected.unwrap_or_else(|| expected.clone()),
        found: bounded_text(&answer.found),
        verdict: answer.verdict,
        elapsed: answer.elapsed.unwrap_or(total),
    };
    let mut results: Vec<CheckResult> = answers.into_iter().map(result).collect();
    let mut secrets = Secrets::of(&ctx.project.vars);
    if let Err(error) = secrets.spare_known(ctx.session).await {
        // Names may be starred then, which hides too much and not too little.
        tracing::debug!(%error, "which values of placeholders are names of objects is not known");
    }
    for result in &mut results {
        secrets.star_answer(result);
    }
    results
}
