//! Taking over a database that was made without the tool: migrations up to a version are recorded as applied without
//! being run, once what they make is seen to be there. It is looked first, so that a person can be asked.

mod compare;

use cutover_analysis::effects::Context;
use cutover_analysis::schema::Id;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;
use thiserror::Error;

use self::compare::{Basis, Found};
use crate::apply::{may_write, pooler, run_id};
use crate::asking::AskError;
use crate::catalog;
use crate::clock::Clock;
use crate::compare::drift::Before;
use crate::hazard;
use crate::history::{records, schema, snapshots};
use crate::inspect;
use crate::migration::{Migration, MigrationId, MigrationKind};
use crate::plan::select::{self, SelectError};
use crate::project::Project;
use crate::recording::{self, Entry, RecordError};
use crate::script::{Script, Texts};
use crate::text::complaints;
use crate::verify::SandboxProvider;

/// What is said of a migration that was recorded so.
pub const NOTE: &str = "recorded as applied without being run (baseline)";

/// Why nothing was recorded.
#[derive(Debug, Error)]
pub enum BaselineError {
    /// Nothing of it is about this database's being made without the tool.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// No such version.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A migration is applied in part: that must be finished or settled.
    #[error("{0} is applied in part: finish it with `cutover apply` first\nnothing was recorded")]
    Begun(String),
    /// What is there is not what the migrations make.
    #[error("{}\nnothing was recorded\n  hint: {}", complaints(.0, "\n"), hint(.1))]
    Different(Vec<String>, Vec<&'static str>),
}

impl<E> From<E> for BaselineError
where
    AskError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Record(error.into())
    }
}

/// What can be done about differences that these codes accept.
fn hint(codes: &[&str]) -> String {
    let flags: Vec<String> = codes.iter().map(|code| format!("--allow {code}")).collect();
    format!(
        "a baseline is for migrations whose effects are in the database; name an earlier version, or accept that with {}",
        flags.join(" ")
    )
}

/// What is recorded by whom.
pub struct Request<'a> {
    /// Up to and including this version.
    pub to: &'a str,
    /// Codes of hazards that are accepted.
    pub allow: &'a [String],
    /// Where what the migrations make is built, to be compared.
    pub sandbox: &'a SandboxProvider,
    /// Who runs it, in words.
    pub operator: String,
    /// Name and version of the program.
    pub tool: String,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// What a baseline would record, as it was looked at.
#[derive(Debug)]
pub struct Outlook {
    /// Name of the database.
    pub database: String,
    /// Paths of the migrations that would be recorded, in order; none where all are applied.
    pub recorded: Vec<String>,
    /// Number of migrations up to the version that are applied already.
    pub applied: usize,
    /// What is not as they make it, in words, and was accepted.
    pub accepted: Vec<String>,
    /// How it was compared, where that is not as it should be, and what is in the database besides.
    pub remarks: Vec<String>,
    /// What was compared, how, and that all of it agrees; none where it does not.
    pub agreement: Option<String>,
    found: Found,
    /// What it was compared with; none where there is nothing to record.
    basis: Option<Basis>,
    /// Those that would be recorded.
    chosen: Vec<Entry>,
    scripts: Vec<Script>,
}

/// Looks at what would be recorded. Writes nothing and takes no lock.
///
/// # Errors
/// See [`BaselineError`]: whatever can be known to keep it from being recorded.
pub async fn look(
    project: &Project,
    options: &ConnectOptions,
    request: &Request<'_>,
) -> Result<Outlook, BaselineError> {
    hazard::all_known(request.allow).map_err(RecordError::NotAllowed)?;
    let (last, _) = select::find(project, request.to)?;
    let mut session = inspect::connect(options, None).await?;
    let found = schema::look(&mut session).await?;
    pooler::refuse(&found, &mut session, options, "baseline").await?;
    may_write(&found)?;
    let scripts = read_all(project, last);
    let standing = stand(project, &scripts, &found, &mut session).await?;
    let mut outlook = Outlook {
        database: found.database,
        recorded: Vec::new(),
        applied: standing.applied,
        accepted: Vec::new(),
        remarks: Vec::new(),
        agreement: None,
        found: Found::default(),
        basis: None,
        chosen: Vec::new(),
        scripts,
    };
    if standing.chosen.is_empty() {
        session.close().await;
        return Ok(outlook);
    }
    let basis = Basis::build(project, &outlook.scripts, options, request.sandbox).await?;
    outlook.found = basis.compare(project, &outlook.scripts, &standing.history, &mut session).await?;
    session.close().await;
    outlook.agreement = outlook.found.agreement(&basis);
    outlook.remarks.extend(basis.remark());
    outlook.remarks.extend(outlook.found.besides.clone());
    outlook.basis = Some(basis);
    outlook.accept(request.allow)?;
    for index in standing.chosen {
        outlook.recorded.push(project.migrations[index].path.clone());
        outlook.chosen.push(recording::entry(project, index, &outlook.scripts[index])?);
    }
    Ok(outlook)
}

impl Outlook {
    /// Accepts what is allowed of what is not as the migrations make it.
    fn accept(&mut self, allow: &[String]) -> Result<(), BaselineError> {
        let lists = [
            (&self.found.missing, hazard::BASELINE_MISSING),
            (&self.found.differing, hazard::BASELINE_DIFFERS),
        ];
        let found = lists.into_iter().filter(|(list, _)| !list.is_empty());
        let (accepted, refused): (Vec<_>, Vec<_>) =
            found.partition(|(_, code)| allow.iter().any(|allowed| allowed == code));
        if refused.is_empty() {
            self.accepted = accepted.into_iter().flat_map(|(list, _)| list.clone()).collect();
            return Ok(());
        }
        let codes = refused.iter().map(|(_, code)| *code).collect();
        let mut said: Vec<String> = refused.into_iter().flat_map(|(list, _)| list.clone()).collect();
        said.extend(self.remarks.iter().cloned());
        Err(BaselineError::Different(said, codes))
    }
}

/// What the history says of the migrations up to a version.
struct Standing {
    history: records::History,
    /// Number of those that are applied.
    applied: usize,
    /// Places of those that are not. What stands for others (a baseline migration) is not among them: they are.
    chosen: Vec<usize>,
}

async fn stand(
    project: &Project,
    scripts: &[Script],
    found: &schema::Found,
    session: &mut Session,
) -> Result<Standing, BaselineError> {
    let history = match found.version {
        Some(_) => records::read(session, &project.name).await?,
        None => records::History::default(),
    };
    let counts = |index: &usize| project.migrations[*index].kind != MigrationKind::Baseline;
    let is_applied = |index: &usize| history.get(&project.migrations[*index].id).is_some();
    let (applied, chosen): (Vec<usize>, Vec<usize>) = (0..scripts.len()).filter(counts).partition(is_applied);
    if let Some(begun) = chosen.iter().find(|index| history.begun(&project.migrations[**index].id).is_some())
    {
        return Err(BaselineError::Begun(project.migrations[*begun].path.clone()));
    }
    Ok(Standing { history, applied: applied.len(), chosen })
}

/// Records the migrations up to a version as applied, but for those that are applied already, and says which: exactly
/// what was [looked at](look).
///
/// # Errors
/// See [`BaselineError`]; nothing was recorded then, unless it says otherwise.
pub async fn record(
    project: &Project,
    options: &ConnectOptions,
    request: &Request<'_>,
    outlook: &Outlook,
) -> Result<Vec<MigrationId>, BaselineError> {
    let Some(basis) = outlook.basis.as_ref().filter(|_| !outlook.chosen.is_empty()) else {
        return Ok(Vec::new());
    };
    let id = run_id(request.clock);
    let mut session = recording::locked(options, &id).await?;
    // Between the question and the answer somebody else may have been at work.
    let found = schema::look(&mut session).await?;
    let Standing { history, chosen, .. } = stand(project, &outlook.scripts, &found, &mut session).await?;
    let same = chosen.iter().eq(outlook.chosen.iter().map(|one| &one.index));
    let now = basis.compare(project, &outlook.scripts, &history, &mut session).await?;
    if !same || now.missing != outlook.found.missing || now.differing != outlook.found.differing {
        return Err(RecordError::Moved.into());
    }
    schema::create_or_upgrade(&mut session, found.version).await?;
    let by = recording::By { operator: &request.operator, tool: &request.tool, clock: request.clock };
    let run = recording::run(project, &found, &history, &by, (id, &outlook.chosen));
    let snapshot = left(project, outlook, &run.id, &mut session).await?;
    recording::take_token(&mut session, &run.id, &request.operator).await?;
    // Everything in one transaction.
    let text = format!(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp; {}; {snapshot}; COMMIT",
        recording::text(project, &run, &outlook.chosen, NOTE)
    );
    recording::send(session, options, &run.id, &text).await?;
    Ok(outlook.chosen.iter().map(|one| project.migrations[one.index].id.clone()).collect())
}

/// The statement that stores the schema as it is from now on to be: what was changed by hand stays drift, but for what the
/// recorded migrations make of it. Nothing where this role may not store it.
async fn left(
    project: &Project,
    outlook: &Outlook,
    run: &str,
    session: &mut Session,
) -> Result<String, BaselineError> {
    if !snapshots::may_store(session).await? {
        return Ok(String::new());
    }
    let before = Before::of(session).await;
    let live = catalog::schema(session, &[]).await?;
    let mut left = live.clone();
    if let Some(before) = before {
        let chosen: Vec<&Script> = outlook.chosen.iter().map(|one| &outlook.scripts[one.index]).collect();
        let is_settled = |id: &Id| chosen.iter().any(|script| compare::touches(script, &live, id));
        before.keep_but(&mut left, &is_settled);
    }
    Ok(snapshots::insert(&project.name, Some(run), None, &left).unwrap_or_default())
}

/// The files in order, each with what it finds from those before it.
fn read_all(project: &Project, last: usize) -> Vec<Script> {
    let mut known = Context::EMPTY;
    let mut scripts = Vec::new();
    let migrations: Vec<&Migration> = project.migrations.iter().take(last + 1).collect();
    Script::analyse_all(&migrations, &project.vars, Texts::Kept, |_, analyse| {
        scripts.push(analyse(&mut known));
    });
    for (script, migration) in scripts.iter_mut().zip(&migrations) {
        // It stands for others, which are all here.
        if migration.kind == MigrationKind::Baseline {
            *script = Script::default();
        }
    }
    scripts
}
