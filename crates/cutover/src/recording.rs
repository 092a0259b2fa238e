//! Migrations that are recorded as applied and not run: what a baseline and an adoption have in common. What is recorded, and
//! whether that may be, they decide themselves; here it is written down, all of it or nothing, under the runner's lock.

use std::time::Duration;

use cutover_analysis::effects::Context;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};
use thiserror::Error;

use crate::apply::own_startup;
use crate::asking::AskError;
use crate::clock::Clock;
use crate::history::journal::{self, Numbered};
use crate::history::records::History;
use crate::history::{lock, schema};
use crate::migration::Migration;
use crate::plan::StepState;
use crate::plan::build::{self, Read};
use crate::plan::select::Selection;
use crate::project::Project;
use crate::run::{EventKind, Outcome, Run, RunEvent, Runner};
use crate::script::Script;
use crate::stop::Stop;
use crate::unheard;

/// Longest wait for another runner: nobody migrates yet where something is recorded so.
const RUNNER_WAIT: Duration = Duration::from_secs(5);

/// Why nothing was recorded, whatever it was that should be.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The database did not do what was asked of it.
    #[error("{}", .0.told("nothing was recorded"))]
    Asked(AskError),
    /// A file cannot be read: its path and why.
    #[error("{0}: {1}\nnothing was recorded")]
    Unreadable(String, String),
    /// A code that is not known.
    #[error("{0}")]
    NotAllowed(String),
    /// Something has changed since it was looked at.
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

impl<E> From<E> for RecordError
where
    AskError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Asked(error.into())
    }
}

/// Who records, by what and when.
pub(crate) struct By<'a> {
    /// Who runs it, in words.
    pub(crate) operator: &'a str,
    /// Name and version of the program.
    pub(crate) tool: &'a str,
    /// The time.
    pub(crate) clock: &'a dyn Clock,
}

/// A migration that is recorded.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its place in the project.
    pub(crate) index: usize,
    /// Number of its statements.
    pub(crate) statements: u32,
    /// Its text as it is kept.
    pub(crate) text: Option<Vec<u8>>,
    /// When it was applied, in microseconds since the Unix epoch, where that is known.
    pub(crate) applied_at: Option<i64>,
}

/// A session that holds the runner's lock, known by the run's `id`.
pub(crate) async fn locked(options: &ConnectOptions, id: &str) -> Result<Session, RecordError> {
    let mut session = Session::connect(options, &own_startup(id, None)).await?;
    lock::acquire(&mut session, RUNNER_WAIT, &Stop::new(), |_| {}).await?;
    Ok(session)
}

/// Takes the token of the session that holds the lock, in the name of the run.
pub(crate) async fn take_token(session: &mut Session, id: &str, operator: &str) -> Result<(), RecordError> {
    lock::take_token(session, id, operator, RUNNER_WAIT, &Stop::new(), |_| {}).await?;
    Ok(())
}

/// What stands for it in the journal: a run whose steps are those that are recorded.
pub(crate) fn run(
    project: &Project,
    found: &schema::Found,
    history: &History,
    by: &By<'_>,
    (id, recorded): (String, &[Entry]),
) -> Run {
    let built = build::build_leniently(
        project,
        history.clone(),
        &Selection::default(),
        Some(found.target()),
        Read::Pending,
        Context::EMPTY,
    );
    let mut plan = built.map_or_else(|_| build::idle(project, found).plan, |(built, _)| built.plan);
    for (index, step) in plan.steps.iter_mut().enumerate() {
        if recorded.binary_search_by_key(&index, |one| one.index).is_ok() {
            step.state = StepState::Pending;
        } else if step.state.will_run() {
            step.state = StepState::AboveTarget;
        }
        if !matches!(step.state, StepState::Applied { .. }) {
            step.notes.clear();
        }
    }
    let runner = Runner {
        id,
        operator: by.operator.to_owned(),
        tool: by.tool.to_owned(),
        started_micros: by.clock.now_micros(),
    };
    Run::begun_by(runner, &project.name, found, plan)
}

/// All that is written of it, without what opens and ends the transaction. `note` is what is said of each.
pub(crate) fn text(project: &Project, run: &Run, recorded: &[Entry], note: &str) -> String {
    let event = |seq: u64, kind: EventKind| Numbered {
        seq,
        event: RunEvent { at_micros: run.started_micros, elapsed: Duration::ZERO, kind },
    };
    let mut events = vec![event(0, EventKind::RunStarted { run: run.id.clone(), steps: recorded.len() })];
    let mut rows = Vec::with_capacity(recorded.len());
    for (number, one) in (0_u64..).zip(recorded) {
        let migration = &project.migrations[one.index];
        let id = migration.id.clone();
        let path = migration.path.clone();
        let started = event(number * 3 + 1, EventKind::StepStarted { migration: id.clone(), path });
        events.push(event(number * 3 + 2, EventKind::StepNote { migration: id, note: note.to_owned() }));
        let record = journal::Record {
            project: &project.name,
            run: &run.id,
            migration,
            stage: migration.stage.map(|stage| project.stages[stage].id.as_str()),
            statements: one.statements,
            source: one.text.as_deref(),
            // That it was not run.
            attempts: 0,
            started: &started,
            ended: number * 3 + 3,
        };
        rows.push(journal::recorded_row(&record, one.applied_at));
    }
    let end = u64::try_from(recorded.len()).unwrap_or(u64::MAX).saturating_mul(3).saturating_add(1);
    events.push(event(end, EventKind::RunFinished { outcome: Outcome::Completed }));
    format!(
        "{}; {}; {}; {}; {}",
        journal::close_open_runs(&project.name),
        journal::insert_run(run),
        journal::insert_recorded(&rows),
        journal::insert_events(&run.id, &events),
        journal::finish_run(&run.id, Outcome::Completed),
    )
}

/// Sends what writes it down, up to its COMMIT, and closes the session. Where the answer does not come, the history is asked.
pub(crate) async fn send(
    mut session: Session,
    options: &ConnectOptions,
    run: &str,
    text: &str,
) -> Result<(), RecordError> {
    match session.execute(text).await {
        Ok(_) => {}
        Err(lost @ Failure::Lost(_)) => was_recorded(options, run, lost).await?,
        Err(failure) => {
            let _ = session.execute("ROLLBACK").await;
            return Err(failure.into());
        }
    }
    session.close().await;
    Ok(())
}

/// The connection was lost before it was said that all is recorded: the history is asked.
async fn was_recorded(options: &ConnectOptions, run: &str, lost: Failure) -> Result<(), RecordError> {
    let Some(mut session) = unheard::look_again(options, run).await else {
        return Err(RecordError::Unheard(lost));
    };
    let rows = session.query("SELECT FROM cutover.run WHERE id = $1", &[&run]).await;
    session.close().await;
    match rows {
        Ok(rows) if rows.is_empty() => Err(lost.into()),
        Ok(_) => Ok(()),
        Err(_) => Err(RecordError::Unheard(lost)),
    }
}

/// What is recorded of a migration, with its text as a run would keep it.
pub(crate) fn entry(project: &Project, index: usize, script: &Script) -> Result<Entry, RecordError> {
    let migration = &project.migrations[index];
    let text = text_of(project, migration, script);
    let text = text.map_err(|why| RecordError::Unreadable(migration.path.clone(), why))?;
    Ok(Entry { index, statements: script.statements, text, applied_at: None })
}

/// The text, compressed; an error says in words why it cannot be read.
fn text_of(project: &Project, migration: &Migration, script: &Script) -> Result<Option<Vec<u8>>, String> {
    if let Some(kept) = script.kept_text() {
        return Ok(kept);
    }
    let mut items = script.items(migration, &project.vars);
    for item in items.by_ref() {
        item?;
    }
    items.text_as_read(&migration.checksums.normalised)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    /// Who can make triggers there is refused before, but for one that is made just then.
    #[tokio::test]
    async fn all_rows_are_written_or_none() {
        let files: [(&str, &[u8]); 2] = [("V1__a.sql", b"SELECT 1;"), ("V2__b.sql", b"SELECT 2;")];
        let (project, database) = (Project::embedded("x", &files).unwrap(), testkit::database());
        let mut session = Session::connect(&database.options(), &own_startup("run", None)).await.unwrap();
        schema::create_or_upgrade(&mut session, None).await.unwrap();
        let found = schema::look(&mut session).await.unwrap();
        let clock = SystemClock::new();
        let by = By { operator: "tests", tool: "tests", clock: &clock };
        let entries = [0, 1].map(|index| Entry { index, statements: 1, text: None, applied_at: None });
        let run = run(&project, &found, &History::default(), &by, ("run".to_owned(), &entries));
        let text = format!("BEGIN; {}; COMMIT", text(&project, &run, &entries, "a note"));
        let rows = "SELECT count(*) FROM cutover.migration";
        database.run(
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql
               AS 'BEGIN RETURN CASE new.version_text WHEN ''2'' THEN NULL ELSE new END; END';
             CREATE TRIGGER swallow BEFORE INSERT ON cutover.migration FOR EACH ROW EXECUTE FUNCTION swallow()",
        );
        let refused = session.execute(&text).await.unwrap_err().to_string();
        assert!(refused.contains(journal::NOT_WRITTEN), "{refused}");
        session.execute("ROLLBACK").await.unwrap();
        assert_eq!(database.value(rows), "0");
        database.run("DROP TRIGGER swallow ON cutover.migration");
        session.execute(&text).await.unwrap();
        assert_eq!(database.value(rows), "2");
    }
}
