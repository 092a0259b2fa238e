//! Errors as the command shows them: a message, hints, and an exit code.

use std::fmt;

use cutover::adopt::AdoptError;
use cutover::apply::{ApplyError, advice_about};
use cutover::asking::AskError;
use cutover::baseline::BaselineError;
use cutover::catalog::CatalogError;
use cutover::compare::SideError;
use cutover::compare::drift::DriftError;
use cutover::documents::DocumentsError;
use cutover::history::HistoryError;
use cutover::project::ProjectError;
use cutover::recording::RecordError;
use cutover::repair::RepairError;
use cutover::revert::RevertError;
use cutover::run::Outcome;
use cutover::verify::VerifyError;
use cutover_postgres::connect::ConnectError;
use cutover_postgres::sandbox::SandboxError;
use cutover_postgres::session::Failure;
use cutover_postgres::sqlstate;
use cutover_worker::WorkerError;

/// Exit codes. They are documented, and scripts rely on them. Before the first statement it is [`Exit::Usage`] where
/// what was asked, the configuration or the surroundings must change, and [`Exit::No`] where the files, the history or
/// the database must, whichever of them names what is amiss; once a run has begun, neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// A check says no: files, history and database do not go together, a claim is false, something is pending with
    /// `--exit-code`.
    No = 1,
    /// The command line, the configuration or the surroundings do not allow it.
    Usage = 2,
    /// The server cannot be reached, or the connection was lost.
    Connection = 3,
    /// A run that had begun stopped: a migration failed and was rolled back, or what must hold before it does not.
    RolledBack = 4,
    /// It failed, and a person must decide.
    NeedsPerson = 5,
    /// A lock was not obtained; trying again is safe.
    Lock = 6,
    /// It was interrupted.
    Interrupted = 130,
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed | Outcome::NothingToDo => Self::Done,
            Outcome::FailedClean => Self::RolledBack,
            Outcome::NeedsDecision => Self::NeedsPerson,
            Outcome::Interrupted => Self::Interrupted,
            Outcome::LockNotObtained => Self::Lock,
            Outcome::ConnectionLost => Self::Connection,
        }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct CliError {
    /// What the process ends with.
    pub(crate) exit: Exit,
    /// What happened, one or more lines, without `error:`.
    pub(crate) message: String,
    /// What can be done about it.
    pub(crate) hints: Vec<String>,
}

impl CliError {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), hints: Vec::new() }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A file that could not be read or written.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::usage(format!("{}: {error}", path.display()))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !hint.is_empty() {
            self.hints.push(hint);
        }
        self
    }
}

impl From<ConnectError> for CliError {
    fn from(error: ConnectError) -> Self {
        of_connect(&error)
    }
}

fn of_connect(error: &ConnectError) -> CliError {
    // Another way to the server is wanted, not another try.
    let usage = matches!(error, ConnectError::Usage { .. } | ConnectError::Pooler(_));
    let exit = if usage { Exit::Usage } else { Exit::Connection };
    CliError::new(exit, error).hint(error.advice())
}

impl From<HistoryError> for CliError {
    fn from(error: HistoryError) -> Self {
        of_history(&error)
    }
}

fn of_history(error: &HistoryError) -> CliError {
    let exit = match error {
        HistoryError::ForeignSchema { .. }
        | HistoryError::NewerSchema { .. }
        | HistoryError::Unreadable { .. }
        | HistoryError::Pooler(_) => Exit::Usage,
        HistoryError::LockNotObtained { .. } => Exit::Lock,
        HistoryError::Interrupted => Exit::Interrupted,
        HistoryError::Failed(failure) => of_failure(failure),
        HistoryError::Unexpected(_) => Exit::No,
    };
    let advice = match error {
        HistoryError::Failed(failure) => advice_about(failure),
        _ => None,
    };
    CliError::new(exit, error).hint(advice.unwrap_or_default())
}

impl From<ApplyError> for CliError {
    fn from(error: ApplyError) -> Self {
        of_apply_error(&error)
    }
}

fn of_apply_error(error: &ApplyError) -> CliError {
    match error {
        ApplyError::Connect(error) => of_connect(error),
        ApplyError::History(error) => of_history(error),
        error => CliError::new(of_apply(error), error),
    }
}

/// What something beside a run failed with, told with what is true then.
fn of_asked(asked: &AskError, told: &impl fmt::Display) -> CliError {
    match asked {
        AskError::Apply(error) => of_apply_error(error),
        AskError::History(error) => of_history(error),
        AskError::Failed(failure) => of_failed_write(failure, told),
        AskError::Sandbox(_) => CliError::usage(told),
        AskError::Catalog(_) => CliError::new(Exit::No, told),
    }
}

fn of_catalog(error: &CatalogError, told: &impl fmt::Display) -> CliError {
    match error {
        CatalogError::Connect(error) => of_connect(error),
        CatalogError::Failed(failure) => of_failed_write(failure, told),
        _ => CliError::new(Exit::No, told),
    }
}

fn of_apply(error: &ApplyError) -> Exit {
    match error {
        ApplyError::Select(error) if !error.is_of_the_request() => Exit::No,
        ApplyError::Select(_) | ApplyError::NotAllowed(_) | ApplyError::Checks(_) => Exit::Usage,
        ApplyError::Scripts(_)
        | ApplyError::Missing(_)
        | ApplyError::AlreadyThere(_)
        | ApplyError::NotAdopted(_)
        | ApplyError::CreatedTwice(_)
        | ApplyError::Held(_)
        | ApplyError::Linted(_)
        | ApplyError::ChangedFiles(_)
        | ApplyError::Moved(_)
        | ApplyError::History(_) => Exit::No,
        ApplyError::Backup(_) | ApplyError::Figures(_) => Exit::RolledBack,
        ApplyError::Several(all) if all.iter().any(|one| of_apply(one) == Exit::Usage) => Exit::Usage,
        ApplyError::Several(all) => all.first().map_or(Exit::No, of_apply),
        ApplyError::Connect(_)
        | ApplyError::Connection { .. }
        | ApplyError::Journal { failure: Failure::Lost(_), .. }
        | ApplyError::LockLost { taken_over: false, .. } => Exit::Connection,
        ApplyError::LockLost { taken_over: true, .. } => Exit::Lock,
        ApplyError::Journal { .. } => Exit::NeedsPerson,
        // The run had begun, and ends before its first migration.
        ApplyError::Refused { failure: Failure::Server(_) | Failure::Invalid(_), begun: true, .. } => {
            Exit::RolledBack
        }
        ApplyError::Failed(failure) | ApplyError::Refused { failure, .. } => of_failure(failure),
    }
}

impl From<ProjectError> for CliError {
    fn from(error: ProjectError) -> Self {
        Self::usage(error)
    }
}

impl From<RepairError> for CliError {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Asked(ref asked) => of_asked(asked, &error),
            RepairError::Unheard(ref failure) => of_failed_write(failure, &error),
            RepairError::Select(_) | RepairError::NothingOpen { .. } => Self::usage(error),
            RepairError::StillRunning { .. } => Self::new(Exit::Lock, error),
            RepairError::Contradicted { .. } => Self::new(Exit::No, error),
        }
    }
}

fn of_record(error: &RecordError) -> CliError {
    match error {
        RecordError::Asked(asked) => of_asked(asked, error),
        RecordError::Unheard(failure) => of_failed_write(failure, error),
        RecordError::NotAllowed(_) => CliError::usage(error),
        RecordError::Unreadable(..) | RecordError::Moved => CliError::new(Exit::No, error),
    }
}

impl From<BaselineError> for CliError {
    fn from(error: BaselineError) -> Self {
        match error {
            BaselineError::Record(ref record) => of_record(record),
            BaselineError::Select(_) => Self::usage(error),
            BaselineError::Begun(_) | BaselineError::Different(..) => Self::new(Exit::No, error),
        }
    }
}

impl From<AdoptError> for CliError {
    fn from(error: AdoptError) -> Self {
        match error {
            AdoptError::Record(ref record) => of_record(record),
            AdoptError::NoTable { .. }
            | AdoptError::SeveralTables(_)
            | AdoptError::Unreadable { .. }
            | AdoptError::NotAsked(_)
            | AdoptError::Written(_) => Self::usage(error),
            AdoptError::SeveralFiles { .. } | AdoptError::Refused(..) | AdoptError::NotTakenBack(..) => {
                Self::new(Exit::No, error)
            }
        }
    }
}

impl From<SideError> for CliError {
    fn from(error: SideError) -> Self {
        match error {
            SideError::Database(_, ref catalog) => of_catalog(catalog, &error),
            SideError::NotBuilt(..) => Self::new(Exit::RolledBack, error),
            _ => Self::usage(error),
        }
    }
}

impl From<RevertError> for CliError {
    fn from(error: RevertError) -> Self {
        match error {
            RevertError::Asked(ref asked) => of_asked(asked, &error),
            RevertError::Side(error) => error.into(),
            RevertError::Select(_) | RevertError::Not(_) => Self::usage(error),
            RevertError::Rehearsal(_)
            | RevertError::Stands(_)
            | RevertError::Fails(_)
            | RevertError::Refused(..)
            | RevertError::Misfits(_) => Self::new(Exit::No, error),
        }
    }
}

impl From<DriftError> for CliError {
    fn from(error: DriftError) -> Self {
        match error {
            DriftError::Asked(ref asked) => of_asked(asked, &error),
            DriftError::Side(error) => error.into(),
            _ => Self::usage(error),
        }
    }
}

impl From<DocumentsError> for CliError {
    fn from(error: DocumentsError) -> Self {
        match error {
            DocumentsError::Asked(ref asked) => of_asked(asked, &error),
            DocumentsError::Verify(error) => error.into(),
            DocumentsError::Context(_) => Self::usage(error),
        }
    }
}

impl From<VerifyError> for CliError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Connect(error) => error.into(),
            VerifyError::Problems(_)
            | VerifyError::UnknownCheck { .. }
            | VerifyError::Precondition { .. }
            | VerifyError::OtherKind { .. }
            | VerifyError::NoneOfKind { .. }
            | VerifyError::UnknownKind { .. } => Self::usage(error),
            VerifyError::Figures { .. } => Self::new(Exit::RolledBack, error),
        }
    }
}

impl From<WorkerError> for CliError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Connect(error) => error.into(),
            WorkerError::Failed(failure) => failure.into(),
            WorkerError::Missing | WorkerError::Declare(_) => Self::new(Exit::No, error),
            WorkerError::MayNotCreate { .. }
            | WorkerError::Rights { .. }
            | WorkerError::Foreign { .. }
            | WorkerError::Newer { .. }
            | WorkerError::ReadOnly
            | WorkerError::Metrics { .. }
            | WorkerError::PgCron(_) => Self::usage(error),
        }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let advice = advice_about(&failure).unwrap_or_default();
        Self::new(of_failure(&failure), failure).hint(advice)
    }
}

/// A failure that is told with what is true then.
fn of_failed_write(failure: &Failure, told: &impl fmt::Display) -> CliError {
    CliError::new(of_failure(failure), told).hint(advice_about(failure).unwrap_or_default())
}

impl From<SandboxError> for CliError {
    fn from(error: SandboxError) -> Self {
        let hint = match error {
            SandboxError::NoBinaries(_) => "--pg-bin names the folder that holds initdb and postgres",
            _ => "",
        };
        Self::usage(error).hint(hint)
    }
}

/// What a question or statement of our own failed with, outside a run and before one has begun.
fn of_failure(failure: &Failure) -> Exit {
    match failure {
        Failure::Lost(_) => Exit::Connection,
        Failure::Server(message) => of_code(&message.code),
        Failure::Invalid(_) => Exit::Usage,
    }
}

fn of_code(code: &str) -> Exit {
    // Not supported, the session's state, limits of the server, an operator: of the surroundings.
    const SURROUNDINGS: [&str; 6] = ["0A", "25", "53", "54", "55", "57"];
    if sqlstate::is_retryable_lock(code) {
        Exit::Lock
    } else if sqlstate::is_shutdown(code) {
        Exit::Connection
    } else if code == sqlstate::INSUFFICIENT_PRIVILEGE
        || SURROUNDINGS.iter().any(|class| code.starts_with(class))
    {
        Exit::Usage
    } else {
        // What is there is not what cutover keeps there: a table is missing, a row has another form.
        Exit::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The server refuses to be looked at: whether the role and the server or what is in the database must change.
    #[test]
    fn what_a_question_fails_with_is_no_failed_run() {
        for (code, exit) in [
            ("42501", Exit::Usage),
            ("25006", Exit::Usage),
            ("57014", Exit::Usage),
            ("53200", Exit::Usage),
            ("55P03", Exit::Lock),
            ("40P01", Exit::Lock),
            ("57P01", Exit::Connection),
            ("42P01", Exit::No),
            ("XX001", Exit::No),
        ] {
            assert_eq!(of_code(code), exit, "{code}");
        }
    }

    #[test]
    fn the_page_about_exit_codes_has_each_once() {
        let all = [
            Exit::Done,
            Exit::No,
            Exit::Usage,
            Exit::Connection,
            Exit::RolledBack,
            Exit::NeedsPerson,
            Exit::Lock,
            Exit::Interrupted,
        ];
        let page = include_str!("../../../docs/exit-codes.md");
        let lines = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |")?.0.parse().ok());
        let documented: Vec<u8> = lines.collect();
        assert_eq!(documented, all.map(|exit| exit as u8));
    }
}
