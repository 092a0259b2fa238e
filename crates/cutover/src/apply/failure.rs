//! What went wrong with a step, in words: what happened, where, and what is now true of the database.

use std::fmt::Write as _;
use std::time::Duration;

use cutover_postgres::session::{Failure, ServerMessage};

use super::locate::Place;
use super::monitor::{LockLost, Now};
use super::step::{Step, Tools};
use super::worker::Trouble;
use crate::history::journal;
use crate::history::units::Ending;
use crate::reading::Bent;
use crate::run::{Blocker, Outcome, PartsDone};
use crate::secrets::without_passwords;
use crate::text::visible;

/// A step that did not finish.
#[derive(Debug, Clone)]
pub(super) struct StepFailure {
    /// How the run ends because of it.
    pub(super) outcome: Outcome,
    /// What happened and where, one or more lines.
    pub(super) message: String,
    /// SQLSTATE, where the server gave one.
    pub(super) code: Option<String>,
    /// What is now true of the database.
    pub(super) state: String,
    /// What of the migration is applied all the same.
    pub(super) parts: PartsDone,
    /// The connection was lost; set to whether a commit may have been on its way.
    pub(super) lost: Option<bool>,
    /// The migration (by its place in the project) that was sent behind this one when the connection was lost.
    pub(super) behind: Option<usize>,
    /// Process of the session that was lost because the server said nothing: it may not know, and keep its transaction open.
    pub(super) silent: Option<i32>,
    /// What a statement outside a transaction ended with along with its session, and its unit, counted from 0: it could not be
    /// recorded there.
    pub(super) ending: Option<(u32, Ending)>,
}

impl StepFailure {
    fn new(outcome: Outcome, message: String, state: String) -> Self {
        let parts = PartsDone::default();
        Self {
            outcome,
            message,
            code: None,
            state,
            parts,
            lost: None,
            behind: None,
            silent: None,
            ending: None,
        }
    }

    /// The same, with what is applied all the same.
    pub(super) fn after(self, parts: PartsDone) -> Self {
        Self { parts, ..self }
    }

    /// A failure outside a transaction whose effect nobody knows.
    pub(super) fn undecided(message: String, state: String) -> Self {
        Self::new(Outcome::NeedsDecision, message, state)
    }

    /// A failure that left nothing of the unit behind.
    pub(super) fn clean(message: String, state: String) -> Self {
        Self::new(Outcome::FailedClean, message, state)
    }
}

/// What is true of the database when unit `index` left nothing behind.
pub(super) fn rolled_back(step: &Step<'_>, index: usize) -> String {
    let path = &step.migration.path;
    if index == 0 {
        if step.takes_back.is_some() {
            return format!("nothing of {path} was done; everything reported before it is");
        }
        return format!("nothing of {path} is in the database; everything reported as applied before it is");
    }
    let units = step.script.units.len();
    let are = if index == 1 { "is" } else { "are" };
    format!(
        "of {path}, {index} of {units} parts {are} applied and recorded, the rest is not; \
         the next run goes on with part {}",
        index + 1
    )
}

/// The file changed or vanished while it was applied.
pub(super) fn unreadable(step: &Step<'_>, index: usize, why: &str) -> StepFailure {
    StepFailure::clean(format!("{}: {why}", step.migration.path), rolled_back(step, index))
}

/// The runner's lock is not held any more when a step is to begin.
pub(super) fn lock_lost(step: &Step<'_>, lost: &LockLost) -> StepFailure {
    let outcome = match lost.now {
        Now::TakenOver(_) => Outcome::FailedClean,
        Now::Unreachable(_) => Outcome::ConnectionLost,
    };
    let done = usize::try_from(step.done).unwrap_or(usize::MAX);
    StepFailure::new(outcome, format!("{}: {lost}", step.migration.path), rolled_back(step, done))
}

/// The run is to end before the step is done.
pub(super) fn interrupted(step: &Step<'_>, index: usize) -> StepFailure {
    let message = format!("{}: interrupted", step.migration.path);
    StepFailure::new(Outcome::Interrupted, message, rolled_back(step, index))
}

/// The total wait for locks is over.
pub(super) fn lock_not_obtained(
    step: &Step<'_>,
    index: usize,
    trouble: &Trouble,
    place: Option<&Place>,
    blockers: &[Blocker],
    waited: Duration,
) -> StepFailure {
    let mut message = match trouble {
        Trouble::Refused { message, .. } => refused(step, message, place),
        _ => String::new(),
    };
    let _ = write!(message, "\ngave up after {:.1} s (lock_wait)", waited.as_secs_f64());
    message.push_str(&in_the_way(blockers));
    let mut failure = StepFailure::new(Outcome::LockNotObtained, message, rolled_back(step, index));
    if let Trouble::Refused { message, .. } = trouble {
        failure.code = Some(message.code.clone());
    }
    failure
}

/// Who was waited for, and what to do about it.
fn in_the_way(blockers: &[Blocker]) -> String {
    let mut text = String::new();
    for blocker in blockers {
        text.push_str("\n  in the way: ");
        text.push_str(&describe(blocker));
    }
    text.push_str(
        "\n  hint: it is safe to try again; raise lock_wait, or ask the session in the way to finish",
    );
    text
}

/// A blocker in words.
pub fn describe(blocker: &Blocker) -> String {
    format!(
        "pid {} ({}, {}), {} for {:.1} s: {}",
        blocker.pid,
        visible(&blocker.user),
        if blocker.application.is_empty() {
            "no application name".to_owned()
        } else {
            visible(&blocker.application)
        },
        visible(&blocker.state),
        blocker.transaction_seconds,
        visible(&blocker.query),
    )
}

/// Words for any other trouble in a transaction.
pub(super) fn from_trouble(
    step: &Step<'_>,
    index: usize,
    trouble: &Trouble,
    place: Option<&Place>,
    tools: &Tools<'_, '_, '_>,
) -> StepFailure {
    let path = &step.migration.path;
    match trouble {
        Trouble::Refused { message, statement: None } if message.message.contains(journal::NOT_WRITTEN) => {
            let message = format!(
                "{path}: its record in schema cutover was not written: a trigger there, of this file or an earlier one, takes \
                 rows away\n  hint: leave cutover's tables alone; pg_trigger lists the triggers of cutover.migration and \
                 cutover.unit"
            );
            StepFailure::clean(message, rolled_back(step, index))
        }
        Trouble::Refused { message, .. } => {
            let mut failure = StepFailure::clean(refused(step, message, place), rolled_back(step, index));
            failure.code = Some(message.code.clone());
            failure
        }
        Trouble::Cancelled if tools.watch.gave_up => {
            let mut message = format!("{path}: waited too long for other sessions (lock_wait)");
            message.push_str(&in_the_way(&tools.watch.blockers));
            StepFailure::new(Outcome::LockNotObtained, message, rolled_back(step, index))
        }
        Trouble::Cancelled => interrupted(step, index),
        Trouble::NotReached => {
            StepFailure::clean(format!("{path}: was not reached"), rolled_back(step, index))
        }
        Trouble::Unreadable(why) => StepFailure::clean(format!("{path}: {why}"), rolled_back(step, index)),
        Trouble::Misread(bent) => StepFailure::clean(misread(step, bent, place), rolled_back(step, index)),
        Trouble::Fenced => StepFailure::clean(
            format!("{path}: another runner has taken over (the fencing token changed), so this one stops"),
            rolled_back(step, index),
        ),
        Trouble::Lost { why, committing } => {
            let message = format!("{path}: the connection to the server was lost: {why}");
            let mut failure = StepFailure::new(Outcome::ConnectionLost, message, rolled_back(step, index));
            failure.lost = Some(*committing);
            failure
        }
    }
}

/// Code of the file has bent the terms under which the rest of it would be read.
fn misread(step: &Step<'_>, bent: &Bent, place: Option<&Place>) -> String {
    let at = place.map_or_else(String::new, |place| format!("{}:{}:", place.at.line, place.at.column));
    let excerpt = place.map_or_else(String::new, |place| place.at.excerpt());
    format!(
        "{}:{at} {}{excerpt}\n  hint: have that code set it back before it ends, or put `-- cutover: new-transaction` above what \
         follows: each part of a file begins with the session's own settings",
        step.migration.path,
        bent.because()
    )
}

/// `file:line:column: message`, source line with caret, and everything else the server said.
pub(super) fn refused(step: &Step<'_>, message: &ServerMessage, place: Option<&Place>) -> String {
    let mut text = match place {
        Some(Place { at, .. }) => format!("{}:{}:{}: ", step.migration.path, at.line, at.column),
        None => format!("{}: at commit: ", step.migration.path),
    };
    let _ = write!(text, "{}: {} ({})", message.severity, visible(&message.message), message.code);
    if let Some(place) = place {
        text.push_str(&place.at.excerpt());
        if let Some((line, column)) = place.called_at {
            let _ = write!(text, "\n  in the statement at {}:{line}:{column}", step.migration.path);
        }
    }
    for (label, part) in [("detail", &message.detail), ("hint", &message.hint), ("context", &message.where_)]
    {
        if let Some(part) = part {
            let _ =
                write!(text, "\n  {label}: {}", part.lines().map(visible).collect::<Vec<_>>().join("\n    "));
        }
    }
    if let Some(advice) = advice(message) {
        let _ = write!(text, "\n  hint: {advice}");
    }
    text
}

/// What went wrong with a question or statement of our own: the server's words and what to do about it.
pub(super) fn explain(failure: &Failure) -> String {
    let Failure::Server(message) = failure else { return without_passwords(&failure.to_string()) };
    let mut text = format!("{}: {} ({})", message.severity, visible(&message.message), message.code);
    for (label, part) in [("detail", &message.detail), ("hint", &message.hint)] {
        if let Some(part) = part {
            let _ = write!(text, "\n  {label}: {}", visible(part));
        }
    }
    if let Some(advice) = advice_about(failure) {
        let _ = write!(text, "\n  hint: {advice}");
    }
    without_passwords(&text)
}

/// What to do about a question or statement of our own that failed, where there is something to say.
pub fn advice_about(failure: &Failure) -> Option<&'static str> {
    let Failure::Server(message) = failure else { return None };
    let lacking = "the connected role lacks a privilege; connect as the role that applied the earlier migrations, or as the owner";
    if message.code == "42501" { Some(lacking) } else { advice(message) }
}

/// What to do about states that have more to do with the run than with the SQL.
fn advice(message: &ServerMessage) -> Option<&'static str> {
    match message.code.as_str() {
        "57014" if message.message.contains("user request") => {
            Some("somebody cancelled the statement (pg_cancel_backend)")
        }
        "57014" => Some(
            "a timeout ended the statement: see statement_timeout in cutover.toml, the role or the database",
        ),
        "42501" => {
            Some("the connected role lacks a privilege; SET ROLE in the file, or connect as the owner")
        }
        "2D000" => Some(
            "a procedure that commits cannot run inside cutover's transaction: `-- cutover: no-transaction` above the statement \
             runs it outside one",
        ),
        "25006" => Some("the server or the session is read-only: is this a replica?"),
        "53100" => Some("the server's disk is full: make room there, then run again"),
        "53200" => Some("the server is out of memory: see its log, then run again"),
        "53300" => Some("the server has no connection left: close others, or raise max_connections"),
        "53400" => {
            Some("a limit of the server was reached, e.g. temp_file_limit of the role or the database")
        }
        "55P03" => Some("another session holds a lock: run again when it is done"),
        "57P01" | "57P02" | "57P03" => {
            Some("the server is stopping or restarting: run again when it is back")
        }
        "58030" | "XX001" | "XX002" => Some("the server cannot read or write its files: see its log first"),
        "55P04" => Some(
            "a new enum value can be used only after it is committed: put `-- cutover: new-transaction` above this statement",
        ),
        _ => None,
    }
}
