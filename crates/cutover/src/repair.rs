//! Settling by a person what the tool cannot know: whether a statement that ran outside a transaction took effect; and what
//! there is to settle. What the catalogue can tell it tells, here as in a run.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use cutover_analysis::effects::Retry;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};
use thiserror::Error;

use crate::apply::{self, Settled, own_startup, pooler};
use crate::asking::AskError;
use crate::history::records::{Begun, History, UnitRow};
use crate::history::{lock, records, schema, units};
use crate::inspect;
use crate::migration::{Migration, MigrationId};
use crate::plan::select::{self, SelectError};
use crate::plan::{Lines, UnitFailure};
use crate::project::Project;
use crate::revert;
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

/// What is known of a statement that a run began outside a transaction and whose end is not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A session of the run that began it, or psql with its script, is at work.
    Running {
        /// The session, in words.
        holder: String,
        /// Its process.
        pid: i32,
    },
    /// The catalogue says that it is done.
    Done,
    /// The catalogue says that nothing of it is there, or it does no harm to run it once more.
    Again,
    /// The catalogue says that it has begun and is to be finished.
    Unfinished,
    /// Nobody knows; with what there is to say about it.
    Unknown(Option<String>),
}

impl Finding {
    /// What it is called in documents for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Running { .. } => "running",
            Self::Done => "done",
            Self::Again => "again",
            Self::Unfinished => "unfinished",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { holder, pid } => write!(
                f,
                "the run that began it is still there: {holder}; wait for it, or end it with SELECT pg_terminate_backend({pid})"
            ),
            Self::Done => {
                f.write_str("the catalogue says that it is done; the next `cutover apply` goes on behind it")
            }
            Self::Again => f.write_str("nothing of it is in the way; the next `cutover apply` runs it again"),
            Self::Unfinished => {
                f.write_str("the catalogue says that it has begun; the next `cutover apply` finishes it")
            }
            Self::Unknown(None) => {
                f.write_str("the catalogue does not say whether it took effect: a person must")
            }
            Self::Unknown(Some(why)) => write!(f, "{why}: whether it took effect a person must say"),
        }
    }
}

/// A statement whose end is not recorded, with what is known of it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// Its migration.
    pub migration: MigrationId,
    /// Which statement.
    pub open: Open,
    /// How it begins, secrets starred.
    pub statement: String,
    /// The error it ended with, where that was seen.
    pub failure: Option<UnitFailure>,
    /// What is known of it.
    pub finding: Finding,
    /// The file is there: without it nothing can be settled.
    pub has_file: bool,
}

/// What is not settled.
#[derive(Debug, Default)]
pub struct Listing {
    /// Statements whose end is not recorded.
    pub statements: Vec<Unsettled>,
    /// Ways back that are begun and not finished, in words; none where only one migration is looked at.
    pub begun_back: Vec<String>,
}

/// Looks at all statements whose end is not recorded and all ways back that are begun, or at the statements of one migration.
/// Writes nothing and takes no lock.
///
/// # Errors
/// See [`RepairError`].
pub async fn list(
    project: &Project,
    options: &ConnectOptions,
    version: Option<&str>,
) -> Result<Listing, RepairError> {
    let only = version.map(|version| select::find(project, version)).transpose()?;
    let mut session = inspect::connect(options, None).await?;
    if schema::look(&mut session).await?.version.is_none() {
        return Ok(Listing::default());
    }
    let history = records::read(&mut session, &project.name).await?;
    let mut found = Vec::new();
    for (id, begun, row) in open_ones(&history, only.map(|(_, migration)| &migration.id)) {
        let migration = project.migrations.iter().find(|migration| migration.id == *id);
        let finding = finding(project, migration, options, row, &mut session).await?;
        found.push(Unsettled {
            migration: id.clone(),
            open: Open::new(migration.map_or(&begun.path, |migration| &migration.path), row),
            statement: row.statement.clone(),
            failure: row.failure.clone(),
            finding,
            has_file: migration.is_some(),
        });
    }
    let begun_back =
        if only.is_none() { revert::begun(&project.name, &mut session).await? } else { Vec::new() };
    session.close().await;
    Ok(Listing { statements: found, begun_back })
}

/// What is known of all statements whose end is not recorded, as [`list`] has it, each with its migration and its unit,
/// counted from 0. Where looking fails, that is what is known. `session` reads our own tables.
///
/// # Errors
/// When `session` cannot be asked.
pub(crate) async fn findings(
    project: &Project,
    options: &ConnectOptions,
    history: &History,
    session: &mut Session,
) -> Result<Vec<(MigrationId, u32, Finding)>, Failure> {
    let mut found = Vec::new();
    for (id, _, row) in open_ones(history, None) {
        let migration = project.migrations.iter().find(|migration| migration.id == *id);
        let finding = match finding(project, migration, options, row, session).await {
            Ok(finding) => finding,
            Err(RepairError::Asked(AskError::Failed(lost @ Failure::Lost(_)))) => return Err(lost),
            Err(error) => {
                let why = error.to_string();
                let first = why.lines().next().unwrap_or_default();
                Finding::Unknown(Some(format!("the catalogue could not be asked ({first})")))
            }
        };
        found.push((id.clone(), row.unit, finding));
    }
    Ok(found)
}

/// The statements whose end is not recorded, in the order of their migrations.
fn open_ones<'a>(
    history: &'a History,
    only: Option<&MigrationId>,
) -> Vec<(&'a MigrationId, &'a Begun, &'a UnitRow)> {
    let open = history.all_begun().filter_map(|(id, begun)| Some((id, begun, begun.open()?)));
    let mut open: Vec<_> = open.filter(|(id, ..)| only.is_none_or(|only| only == *id)).collect();
    open.sort_by_key(|(id, ..)| *id);
    open
}

/// What is known of one of them.
async fn finding(
    project: &Project,
    migration: Option<&Migration>,
    options: &ConnectOptions,
    row: &UnitRow,
    session: &mut Session,
) -> Result<Finding, RepairError> {
    Ok(match (lock::at_work(session, &row.run).await?, migration) {
        (Some((holder, pid)), _) => Finding::Running { holder, pid },
        (None, Some(migration)) => catalogue(project, migration, options, row).await?.into(),
        (None, None) => Finding::Unknown(Some("its file is not there any more".to_owned())),
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

impl Open {
    fn new(path: &str, row: &UnitRow) -> Self {
        Self {
            path: path.to_owned(),
            part: row.unit.saturating_add(1),
            lines: row.lines,
            run: row.run.clone(),
        }
    }
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
    let change = match (mark, catalogue(project, migration, options, &row).await?.settled) {
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
    let owner = lock::at_work(session, run).await?;
    owner.map_or(Ok(()), |(holder, pid)| {
        Err(RepairError::StillRunning { path: migration.path.clone(), holder, pid })
    })
}

/// What the catalogue says of a statement, and what a run that finds it open would make of that.
struct Looked {
    settled: Settled,
    retry: Option<Retry>,
}

impl Looked {
    /// It is not the statement any more, or is no longer outside a transaction.
    const NOT_LOOKED: Self = Self { settled: Settled::Open(None), retry: None };
}

impl From<Looked> for Finding {
    fn from(Looked { settled, retry }: Looked) -> Self {
        match settled {
            Settled::Done => Self::Done,
            Settled::NotDone => Self::Again,
            Settled::Finish(_) => Self::Unfinished,
            Settled::Open(_) if matches!(retry, Some(Retry::Idempotent | Retry::Reindex(_))) => Self::Again,
            Settled::Open(None) if retry.is_none() => {
                Self::Unknown(Some("its file says something else there by now".to_owned()))
            }
            Settled::Open(why) => Self::Unknown(why),
        }
    }
}

/// What the catalogue says of the open statement, where it is still the one that was begun.
async fn catalogue(
    project: &Project,
    migration: &Migration,
    options: &ConnectOptions,
    open: &UnitRow,
) -> Result<Looked, RepairError> {
    let mut script = Script::analyse(migration, &project.vars);
    script.take_parts(migration, &project.vars);
    let index = usize::try_from(open.unit).unwrap_or(usize::MAX);
    let same = script.parts.list.get(index).is_some_and(|part| part.digest == open.digest);
    let outside = script.units.get(index).and_then(|unit| unit.outside.as_ref());
    let Some(outside) = outside.filter(|_| same) else { return Ok(Looked::NOT_LOOKED) };
    let statement = script.items(migration, &project.vars).find_map(|item| match item {
        Ok(ScriptItem::Statement { text, unit, .. }) if unit == index => Some(text),
        _ => None,
    });
    let Some(statement) = statement else { return Ok(Looked::NOT_LOOKED) };
    // With the search path that it ran with.
    let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let limits = (project.apply.lock_timeout, open.found.as_deref());
    let settled = apply::look(&outside.retry, &statement, limits, &mut session).await?;
    session.close().await;
    Ok(Looked { settled, retry: Some(outside.retry.clone()) })
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
    Ok((Open::new(&migration.path, unit), unit.clone()))
}
