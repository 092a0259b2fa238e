//! Taking over a database that was made without the tool: migrations up to a version are recorded as applied without
//! being run, once what they create is seen to be there.

use std::time::Duration;

use cutover_analysis::effects::{Context, ObjectKind, ObjectRef};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};
use thiserror::Error;

use crate::apply::{ApplyError, may_write, pooler, run_id};
use crate::catalog::{self, Objects};
use crate::clock::Clock;
use crate::hazard;
use crate::history::journal::Numbered;
use crate::history::{HistoryError, journal, lock, records, schema};
use crate::inspect;
use crate::migration::{Migration, MigrationId};
use crate::plan::build::{self, Read};
use crate::plan::select::{self, SelectError, Selection};
use crate::plan::{StepState, Target};
use crate::project::Project;
use crate::run::{EventKind, FORMAT_VERSION, Outcome, Run, RunEvent};
use crate::script::{Script, Texts};
use crate::stop::Stop;
use crate::text::complaints;

/// Longest wait for another runner: a baseline is set where nobody migrates yet.
const RUNNER_WAIT: Duration = Duration::from_secs(5);

/// What is said of a migration that was recorded so.
pub const NOTE: &str = "recorded as applied without being run (baseline)";

/// Why nothing was recorded.
#[derive(Debug, Error)]
pub enum BaselineError {
    /// The database could not be read or may not be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The history could not be read, or the runner's lock not obtained.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// No such version.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A migration is applied in part: that must be finished or settled.
    #[error("{0} is applied in part: finish it with `cutover apply` first\nnothing was recorded")]
    Begun(String),
    /// A file cannot be read.
    #[error("{0}: {1}\nnothing was recorded")]
    Unreadable(String, String),
    /// What the migrations create is not all there.
    #[error(
        "{}\nnothing was recorded\n  hint: a baseline is for migrations whose effects are in the database; name an earlier \
         version, or accept that with --allow {}",
        complaints(.0, "\n"),
        hazard::BASELINE_MISSING
    )]
    Missing(Vec<String>),
    /// A code that is not known.
    #[error("{0}")]
    NotAllowed(String),
    /// The server refused.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// What is recorded by whom.
pub struct Request<'a> {
    /// Up to and including this version.
    pub to: &'a str,
    /// Codes of hazards that are accepted.
    pub allow: &'a [String],
    /// Who runs it, in words.
    pub operator: String,
    /// Name and version of the program.
    pub tool: String,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// Records the migrations up to a version as applied, but for those that are applied already, and says which.
///
/// # Errors
/// See [`BaselineError`]; nothing was recorded then.
pub async fn baseline(
    project: &Project,
    options: &ConnectOptions,
    request: &Request<'_>,
) -> Result<Vec<MigrationId>, BaselineError> {
    hazard::all_known(request.allow).map_err(BaselineError::NotAllowed)?;
    let (last, _) = select::find(project, request.to)?;
    let mut session = inspect::connect(options, None).await?;
    let found = schema::look(&mut session).await?;
    pooler::refuse(&found, &mut session, options, "baseline").await?;
    may_write(&found)?;
    let scripts = read_all(project, last);
    let objects = catalog::objects(&mut session, &[]).await?;
    let history = match found.version {
        Some(_) => records::read(&mut session, &project.name).await?,
        None => records::History::default(),
    };
    let missing = missing(project, &scripts, &objects, &history);
    if !missing.is_empty() && !request.allow.iter().any(|code| code == hazard::BASELINE_MISSING) {
        return Err(BaselineError::Missing(missing));
    }
    lock::acquire(&mut session, RUNNER_WAIT, &Stop::new(), |_| {}).await?;
    let found = schema::look(&mut session).await?;
    schema::create_or_upgrade(&mut session, found.version).await?;
    let history = records::read(&mut session, &project.name).await?;
    let chosen: Vec<usize> =
        (0..=last).filter(|index| history.get(&project.migrations[*index].id).is_none()).collect();
    if let Some(begun) = chosen.iter().find(|index| history.begun(&project.migrations[**index].id).is_some())
    {
        return Err(BaselineError::Begun(project.migrations[*begun].path.clone()));
    }
    if !chosen.is_empty() {
        let run = run(project, &found, &history, request);
        lock::take_token(&mut session, &run.id, &request.operator, RUNNER_WAIT, &Stop::new(), |_| {}).await?;
        store(project, &run, &scripts, &chosen, &mut session).await?;
    }
    session.close().await;
    Ok(chosen.into_iter().map(|index| project.migrations[index].id.clone()).collect())
}

/// The files in order, each with what it finds from those before it.
fn read_all(project: &Project, last: usize) -> Vec<Script> {
    let mut known = Context::EMPTY;
    let mut scripts = Vec::new();
    let migrations = project.migrations.iter().take(last + 1).collect();
    Script::analyse_all(migrations, &project.vars, Texts::Kept, |_, analyse| {
        scripts.push(analyse(&mut known))
    });
    scripts
}

/// What the migrations that are not applied yet create, and no later one of them drops, and is not in the database.
fn missing(
    project: &Project,
    scripts: &[Script],
    objects: &Objects,
    history: &records::History,
) -> Vec<String> {
    let mut made: Vec<(usize, &ObjectRef)> = Vec::new();
    for (index, script) in scripts.iter().enumerate() {
        let drops = &script.drops;
        made.retain(|(_, object)| !drops.iter().any(|dropped| takes_along(dropped, object)));
        made.extend(script.creates.iter().filter(|object| is_lasting(object)).map(|object| (index, object)));
    }
    let is_new = |index: usize| history.get(&project.migrations[index].id).is_none();
    let absent = made.into_iter().filter(|(index, object)| is_new(*index) && !is_there(object, objects));
    absent
        .map(|(index, object)| {
            format!("{} creates {object}, which is not in the database", project.migrations[index].path)
        })
        .collect()
}

fn is_lasting(object: &ObjectRef) -> bool {
    !object.is_temporary() && !object.name.is_empty()
}

/// Whether dropping one object takes the other one along.
fn takes_along(dropped: &ObjectRef, object: &ObjectRef) -> bool {
    let schema = dropped.schema.is_none() || object.schema.is_none() || dropped.schema == object.schema;
    let same = dropped.name == object.name
        && dropped.kind.family() == object.kind.family()
        && (dropped.table.is_none() || object.table.is_none() || dropped.table == object.table);
    let part = dropped.kind.family() == ObjectKind::Relation && object.table.as_ref() == Some(&dropped.name);
    let of_schema = dropped.kind == ObjectKind::Schema && object.schema.as_ref() == Some(&dropped.name);
    of_schema || schema && (same || part)
}

/// Kinds that the catalogue is not read for count as there.
fn is_there(object: &ObjectRef, objects: &Objects) -> bool {
    let same = |known: &catalog::Object| {
        known.name == object.name
            && known.kind.family() == object.kind.family()
            && (object.schema.is_none() || known.schema == object.schema)
            && (object.table.is_none() || known.table.is_none() || known.table == object.table)
    };
    !catalog::is_read(object.kind) || objects.0.keys().any(same)
}

/// What stands for it in the journal.
fn run(project: &Project, found: &schema::Found, history: &records::History, request: &Request<'_>) -> Run {
    let target = Target {
        system_identifier: found.system_identifier.clone(),
        database: found.database.clone(),
        server_version_num: found.server_version_num,
    };
    let selection = Selection { to: Some(request.to.to_owned()), ..Selection::default() };
    let built = build::build_leniently(
        project,
        history.clone(),
        &selection,
        Some(target),
        Read::Pending,
        Context::EMPTY,
    );
    let mut plan = built.map_or_else(|_| build::idle(project, found).plan, |(built, _)| built.plan);
    for step in plan.steps.iter_mut().filter(|step| !matches!(step.state, StepState::Applied { .. })) {
        step.notes.clear();
    }
    Run {
        format_version: FORMAT_VERSION,
        id: run_id(request.clock),
        project: project.name.clone(),
        tool: request.tool.clone(),
        role: found.role.clone(),
        operator: request.operator.clone(),
        jobs: 1,
        started_micros: request.clock.now_micros(),
        server_version: found.server_version.clone(),
        database: found.database.clone(),
        outcome: None,
        plan,
        events: Vec::new(),
    }
}

/// Everything in one transaction.
async fn store(
    project: &Project,
    run: &Run,
    scripts: &[Script],
    chosen: &[usize],
    session: &mut Session,
) -> Result<(), BaselineError> {
    let event = |seq: u64, kind: EventKind| Numbered {
        seq,
        event: RunEvent { at_micros: run.started_micros, elapsed: Duration::ZERO, kind },
    };
    let mut events = vec![event(0, EventKind::RunStarted { run: run.id.clone(), steps: chosen.len() })];
    let mut rows = Vec::with_capacity(chosen.len());
    for (number, &index) in (0_u64..).zip(chosen) {
        let (migration, script) = (&project.migrations[index], &scripts[index]);
        let id = migration.id.clone();
        let source = text_of(project, migration, script)?;
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
    let text = format!(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp; {}; {}; {}; {}; {}; COMMIT",
        journal::close_open_runs(&project.name),
        journal::insert_run(run),
        rows.join("; "),
        journal::insert_events(&run.id, &events),
        journal::finish_run(&run.id, Outcome::Completed),
    );
    if let Err(failure) = session.execute(&text).await {
        if !session.is_closed() {
            let _ = session.execute("ROLLBACK").await;
        }
        return Err(failure.into());
    }
    Ok(())
}

/// The text, compressed, as a run would keep it.
fn text_of(
    project: &Project,
    migration: &Migration,
    script: &Script,
) -> Result<Option<Vec<u8>>, BaselineError> {
    let unreadable = |why: String| BaselineError::Unreadable(migration.path.clone(), why);
    if let Some(kept) = script.kept_text() {
        return Ok(kept);
    }
    let mut items = script.items(migration, &project.vars);
    for item in items.by_ref() {
        item.map_err(unreadable)?;
    }
    items.text_as_read(&migration.checksums.normalised).map_err(unreadable)
}
