//! Taking over a database that was made without the tool: migrations up to a version are recorded as applied without
//! being run, once what they make is seen to be there. It is looked first, so that a person can be asked.

mod compare;

use std::time::Duration;

use cutover_analysis::effects::Context;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};
use thiserror::Error;

use self::compare::{Basis, Found};
use crate::apply::{may_write, own_startup, pooler, run_id};
use crate::asking::AskError;
use crate::clock::Clock;
use crate::hazard;
use crate::history::journal::Numbered;
use crate::history::{journal, lock, records, schema};
use crate::inspect;
use crate::migration::{Migration, MigrationId, MigrationKind};
use crate::plan::StepState;
use crate::plan::build::{self, Read};
use crate::plan::select::{self, SelectError, Selection};
use crate::project::Project;
use crate::run::{EventKind, Outcome, Run, RunEvent, Runner};
use crate::script::{Script, Texts};
use crate::stop::Stop;
use crate::text::complaints;
use crate::unheard;
use crate::verify::SandboxProvider;

/// Longest wait for another runner: a baseline is set where nobody migrates yet.
const RUNNER_WAIT: Duration = Duration::from_secs(5);

/// What is said of a migration that was recorded so.
pub const NOTE: &str = "recorded as applied without being run (baseline)";

/// Why nothing was recorded.
#[derive(Debug, Error)]
pub enum BaselineError {
    /// The database did not do what was asked of it.
    #[error("{}", .0.told("nothing was recorded"))]
    Asked(AskError),
    /// No such version.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A migration is applied in part: that must be finished or settled.
    #[error("{0} is applied in part: finish it with `cutover apply` first\nnothing was recorded")]
    Begun(String),
    /// A file cannot be read.
    #[error("{0}: {1}\nnothing was recorded")]
    Unreadable(String, String),
    /// What is there is not what the migrations make.
    #[error("{}\nnothing was recorded\n  hint: {}", complaints(.0, "\n"), hint(.1))]
    Different(Vec<String>, Vec<&'static str>),
    /// A code that is not known.
    #[error("{0}")]
    NotAllowed(String),
    /// Something has changed since it was [looked at](look).
    #[error(
        "what would be recorded has changed meanwhile: somebody else is at work here\nnothing was recorded; look again"
    )]
    Moved,
    /// The connection was lost at the end, and what was sent last may be there.
    #[error(
        "{0}\nwhether anything was recorded is not known: all of it is, or nothing; `cutover status` says which"
    )]
    Unheard(Failure),
}

impl<E> From<E> for BaselineError
where
    AskError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Asked(error.into())
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
    /// Places in the project of those that would be recorded, each with its text as it would be kept.
    chosen: Vec<(usize, Option<Vec<u8>>)>,
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
    hazard::all_known(request.allow).map_err(BaselineError::NotAllowed)?;
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
        let migration = &project.migrations[index];
        let text = text_of(project, migration, &outlook.scripts[index])
            .map_err(|why| BaselineError::Unreadable(migration.path.clone(), why))?;
        outlook.recorded.push(migration.path.clone());
        outlook.chosen.push((index, text));
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
    let ids = || outlook.chosen.iter().map(|(index, _)| project.migrations[*index].id.clone()).collect();
    let Some(basis) = outlook.basis.as_ref().filter(|_| !outlook.chosen.is_empty()) else {
        return Ok(Vec::new());
    };
    let id = run_id(request.clock);
    let mut session = Session::connect(options, &own_startup(&id, None)).await?;
    lock::acquire(&mut session, RUNNER_WAIT, &Stop::new(), |_| {}).await?;
    // Between the question and the answer somebody else may have been at work.
    let found = schema::look(&mut session).await?;
    let Standing { history, chosen, .. } = stand(project, &outlook.scripts, &found, &mut session).await?;
    let same = chosen.iter().eq(outlook.chosen.iter().map(|(index, _)| index));
    let now = basis.compare(project, &outlook.scripts, &history, &mut session).await?;
    if !same || now.missing != outlook.found.missing || now.differing != outlook.found.differing {
        return Err(BaselineError::Moved);
    }
    schema::create_or_upgrade(&mut session, found.version).await?;
    let run = run(project, &found, &history, request, id);
    lock::take_token(&mut session, &run.id, &request.operator, RUNNER_WAIT, &Stop::new(), |_| {}).await?;
    match session.execute(&record_text(project, &run, outlook)).await {
        Ok(_) => {}
        Err(lost @ Failure::Lost(_)) => was_recorded(options, &run.id, lost).await?,
        Err(failure) => {
            let _ = session.execute("ROLLBACK").await;
            return Err(failure.into());
        }
    }
    session.close().await;
    Ok(ids())
}

/// The connection was lost before it was said that all is recorded: the history is asked.
async fn was_recorded(options: &ConnectOptions, run: &str, lost: Failure) -> Result<(), BaselineError> {
    let Some(mut session) = unheard::look_again(options, run).await else {
        return Err(BaselineError::Unheard(lost));
    };
    let rows = session.query("SELECT FROM cutover.run WHERE id = $1", &[&run]).await;
    session.close().await;
    match rows {
        Ok(rows) if rows.is_empty() => Err(lost.into()),
        Ok(_) => Ok(()),
        Err(_) => Err(BaselineError::Unheard(lost)),
    }
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

/// What stands for it in the journal.
fn run(
    project: &Project,
    found: &schema::Found,
    history: &records::History,
    request: &Request<'_>,
    id: String,
) -> Run {
    let selection = Selection { to: Some(request.to.to_owned()), ..Selection::default() };
    let built = build::build_leniently(
        project,
        history.clone(),
        &selection,
        Some(found.target()),
        Read::Pending,
        Context::EMPTY,
    );
    let mut plan = built.map_or_else(|_| build::idle(project, found).plan, |(built, _)| built.plan);
    for step in plan.steps.iter_mut().filter(|step| !matches!(step.state, StepState::Applied { .. })) {
        step.notes.clear();
    }
    let runner = Runner {
        id,
        operator: request.operator.clone(),
        tool: request.tool.clone(),
        started_micros: request.clock.now_micros(),
    };
    Run::begun_by(runner, &project.name, found, plan)
}

/// Everything in one transaction.
fn record_text(project: &Project, run: &Run, outlook: &Outlook) -> String {
    let chosen = &outlook.chosen;
    let event = |seq: u64, kind: EventKind| Numbered {
        seq,
        event: RunEvent { at_micros: run.started_micros, elapsed: Duration::ZERO, kind },
    };
    let mut events = vec![event(0, EventKind::RunStarted { run: run.id.clone(), steps: chosen.len() })];
    let mut rows = Vec::with_capacity(chosen.len());
    for (number, (index, source)) in (0_u64..).zip(chosen) {
        let (migration, script) = (&project.migrations[*index], &outlook.scripts[*index]);
        let id = migration.id.clone();
        let started = event(
            number * 3 + 1,
            EventKind::StepStarted { migration: id.clone(), path: migration.path.clone() },
        );
        events.push(event(number * 3 + 2, EventKind::StepNote { migration: id, note: NOTE.to_owned() }));
        rows.push(journal::insert_step_now(&journal::Record {
            project: &project.name,
            run: &run.id,
            migration,
            stage: migration.stage.map(|stage| project.stages[stage].id.as_str()),
            statements: script.statements,
            source: source.as_deref(),
            // That it was not run.
            attempts: 0,
            started: &started,
            ended: number * 3 + 3,
        }));
    }
    let end = u64::try_from(chosen.len()).unwrap_or(u64::MAX).saturating_mul(3).saturating_add(1);
    events.push(event(end, EventKind::RunFinished { outcome: Outcome::Completed }));
    format!(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp; {}; {}; {}; {}; {}; COMMIT",
        journal::close_open_runs(&project.name),
        journal::insert_run(run),
        rows.join("; "),
        journal::insert_events(&run.id, &events),
        journal::finish_run(&run.id, Outcome::Completed),
    )
}

/// The text, compressed, as a run would keep it; an error says in words why it cannot be read.
pub(crate) fn text_of(
    project: &Project,
    migration: &Migration,
    script: &Script,
) -> Result<Option<Vec<u8>>, String> {
    if let Some(kept) = script.kept_text() {
        return Ok(kept);
    }
    let mut items = script.items(migration, &project.vars);
    for item in items.by_ref() {
        item?;
    }
    items.text_as_read(&migration.checksums.normalised)
}
