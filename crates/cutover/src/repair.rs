//! Settling by a person what the tool cannot know: whether a statement that ran outside a transaction took effect.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};
use thiserror::Error;

use crate::apply::{self, Settled, application_name, own_startup, pooler};
use crate::asking::AskError;
use crate::history::records::{Begun, UnitRow};
use crate::history::{lock, records, schema, units};
use crate::inspect;
use crate::migration::Migration;
use crate::plan::Lines;
use crate::plan::select::{self, SelectError};
use crate::project::Project;
use crate::script::{Script, ScriptItem};
use crate::stop::Stop;
use crate::unheard;

/// What a person found when looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The statement's effect is there.
    Done,
    /// It is not.
    NotDone,
}

/// Why nothing was settled.
#[derive(Debug, Error)]
pub enum RepairError {
    /// The database did not do what was asked of it.
    #[error("{}", .0.told("nothing was changed"))]
    Asked(AskError),
    /// No such migration.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// There is nothing to settle.
    #[error("{path}: no statement of it waits for a decision; nothing was changed{}", because(failed.as_deref()))]
    NothingOpen {
        /// Path of the migration.
        path: String,
        /// What is known of a statement of it that failed and left nothing behind, in words.
        failed: Option<String>,
    },
    /// It is running.
    #[error(
        "{path}: the run that began it is still there: {holder}; nothing was changed\n  hint: wait for it, or end it with \
             SELECT pg_terminate_backend({pid}), and look again"
    )]
    StillRunning {
        /// Path of the migration.
        path: String,
        /// The session, in words.
        holder: String,
        /// Its process.
        pid: i32,
    },
    /// The catalogue says otherwise.
    #[error(
        "{path}: {says}; nothing was changed\n  hint: the next `cutover apply` sees that for itself and goes on"
    )]
    Contradicted {
        /// Path of the migration.
        path: String,
        /// What it says.
        says: &'static str,
    },
    /// The connection was lost at the end, and what was sent last may be there.
    #[error(
        "{0}\nwhether that was recorded is not known: repair again, it says whether anything is left to settle"
    )]
    Unheard(Failure),
}

impl<E> From<E> for RepairError
where
    AskError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Asked(error.into())
    }
}

fn because(failed: Option<&str>) -> String {
    failed.map_or_else(String::new, |failed| {
        format!("\n{failed}; nothing of it is there, and the next run runs it again as it is")
    })
}

/// A statement of a migration that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Path of the migration.
    pub path: String,
    /// Number of its part, counted from 1.
    pub part: u32,
    /// Where the part stands in the file, as it was begun.
    pub lines: Lines,
    /// Id of the run that began it.
    pub run: String,
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {} of {} ({}), which run {} began,", self.part, self.path, self.lines, self.run)
    }
}

/// Looks which statement of a migration waits for a decision. Writes nothing and takes no lock.
///
/// # Errors
/// See [`RepairError`]: where there is nothing to settle too.
pub async fn look(project: &Project, options: &ConnectOptions, version: &str) -> Result<Open, RepairError> {
    let (_, migration) = select::find(project, version)?;
    let mut session = inspect::connect(options, None).await?;
    let found = schema::look(&mut session).await?;
    if found.version.is_none() {
        return Err(RepairError::NothingOpen { path: migration.path.clone(), failed: None });
    }
    let (open, _) = open(project, migration, &mut session).await?;
    owner_is_gone(migration, &open.run, &mut session).await?;
    session.close().await;
    Ok(open)
}

/// Records what a person found about a statement, which must be the one that is open. The next run goes on from there.
///
/// # Errors
/// See [`RepairError`]; nothing was changed then, unless it says otherwise.
pub async fn mark(
    project: &Project,
    options: &ConnectOptions,
    version: &str,
    asked: &Open,
    mark: Mark,
) -> Result<(), RepairError> {
    let (_, migration) = select::find(project, version)?;
    let id = session_id(asked);
    let mut session = Session::connect(options, &own_startup(&id, None)).await?;
    let found = schema::look(&mut session).await?;
    pooler::refuse(&found, &mut session, options, "repair").await?;
    // A runner at work may be just about to settle it itself.
    lock::acquire(&mut session, std::time::Duration::from_secs(5), &Stop::new(), |_| {}).await?;
    // Between the question and the answer somebody else may have settled it, and a run may have come to another one.
    let (found, row) = open(project, migration, &mut session).await?;
    if found != *asked {
        return Err(RepairError::NothingOpen { path: migration.path.clone(), failed: None });
    }
    let unit = asked.part - 1;
    owner_is_gone(migration, &asked.run, &mut session).await?;
    let contradicted = |says| Err(RepairError::Contradicted { path: migration.path.clone(), says });
    let change = match (mark, catalogue(project, migration, options, &row).await?) {
        (Mark::Done, Settled::NotDone) => return contradicted("the catalogue says that it is not done"),
        (Mark::Done, Settled::Finish(_)) => {
            return contradicted("the catalogue says that it has begun and is not finished");
        }
        (Mark::NotDone, Settled::Done) => return contradicted("the catalogue says that it is done"),
        (Mark::Done, _) => units::mark_done(&project.name, &asked.run, &migration.id, unit),
        // The record stays: by it the next run knows that what is left of it is ours, removes it and runs it again.
        (Mark::NotDone, Settled::NotDone | Settled::Finish(_)) => "SELECT".to_owned(),
        (Mark::NotDone, Settled::Open(_)) => units::forget(&project.name, &migration.id, unit),
    };
    match session.execute(&format!("BEGIN; SET LOCAL synchronous_commit = on; {change}; COMMIT")).await {
        Ok(_) => {}
        Err(lost @ Failure::Lost(_)) => was_settled(project, migration, options, asked, (&id, lost)).await?,
        Err(failure) => return Err(failure.into()),
    }
    session.close().await;
    Ok(())
}

/// What the session that settles is known by, in place of a run's id: it belongs to no run.
fn session_id(asked: &Open) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("repair-{}-{}-{number}", asked.run, std::process::id())
}

/// The connection was lost before it was said that it is recorded: the history is asked.
async fn was_settled(
    project: &Project,
    migration: &Migration,
    options: &ConnectOptions,
    asked: &Open,
    (id, lost): (&str, Failure),
) -> Result<(), RepairError> {
    let Some(mut session) = unheard::look_again(options, id).await else {
        return Err(RepairError::Unheard(lost));
    };
    let now = open(project, migration, &mut session).await;
    session.close().await;
    match now {
        Ok((now, _)) if now == *asked => Err(lost.into()),
        Ok(_) | Err(RepairError::NothingOpen { .. }) => Ok(()),
        Err(_) => Err(RepairError::Unheard(lost)),
    }
}

/// Refuses as long as a session of the run that began the statement lives: the statement may be running there.
async fn owner_is_gone(migration: &Migration, run: &str, session: &mut Session) -> Result<(), RepairError> {
    let rows = session
        .query(
            "SELECT pg_catalog.format('%s (pid %s, %s)', application_name, pid, coalesce(state, 'unknown')), pid
               FROM pg_catalog.pg_stat_activity
              WHERE application_name = $1 AND datname = pg_catalog.current_database() ORDER BY state = 'active' DESC, pid LIMIT 1",
            &[&application_name(run)],
        )
        .await?;
    rows.first().map_or(Ok(()), |row| {
        Err(RepairError::StillRunning { path: migration.path.clone(), holder: row.get(0), pid: row.get(1) })
    })
}

/// What the catalogue says of the open statement, where it is still the one that was begun.
async fn catalogue(
    project: &Project,
    migration: &Migration,
    options: &ConnectOptions,
    open: &UnitRow,
) -> Result<Settled, RepairError> {
    let mut script = Script::analyse(migration, &project.vars);
    script.take_parts(migration, &project.vars);
    let index = usize::try_from(open.unit).unwrap_or(usize::MAX);
    let same = script.parts.list.get(index).is_some_and(|part| part.digest == open.digest);
    let outside = script.units.get(index).and_then(|unit| unit.outside.as_ref());
    let Some(outside) = outside.filter(|_| same) else { return Ok(Settled::Open(None)) };
    let statement = script.items(migration, &project.vars).find_map(|item| match item {
        Ok(ScriptItem::Statement { text, unit, .. }) if unit == index => Some(text),
        _ => None,
    });
    let Some(statement) = statement else { return Ok(Settled::Open(None)) };
    // With the search path that it ran with.
    let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let limits = (project.apply.lock_timeout, open.found.as_deref());
    let says = apply::look(&outside.retry, &statement, limits, &mut session).await?;
    session.close().await;
    Ok(says)
}

/// The open statement, and its record.
async fn open(
    project: &Project,
    migration: &Migration,
    session: &mut Session,
) -> Result<(Open, UnitRow), RepairError> {
    let history = records::read(session, &project.name).await?;
    let Some(unit) = history.begun(&migration.id).and_then(Begun::open) else {
        let failed = history.failed(&migration.id);
        let failed = failed.map(|unit| format!("part {} {}", unit.unit + 1, unit.failure.happened()));
        return Err(RepairError::NothingOpen { path: migration.path.clone(), failed });
    };
    let open = Open {
        path: migration.path.clone(),
        part: unit.unit.saturating_add(1),
        lines: unit.lines,
        run: unit.run.clone(),
    };
    Ok((open, unit.clone()))
}
