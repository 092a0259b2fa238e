//! `[[job]]`: what `cutover worker` is to run. Schedules and kinds are the worker's own business; their places are kept, so that
//! it can say where a wrong one stands.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover_analysis::effects::{Effects, TransactionRule, effects_of_text};
use cutover_analysis::sql::{ParseError, parse};

use super::config::{JobConfig, Table};
use super::problem::Problem;

/// How long a run may take where nothing is said: a minute.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The longest a run may take: 7 days.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// The most characters of a name.
const LONGEST_NAME: usize = 200;
/// The most tries after the first one.
const MOST_RETRIES: i64 = 100;
/// What can become of due times that passed without a run.
const MISSED: [&str; 3] = ["skip", "one", "all"];

/// One `[[job]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name, unique in the database.
    pub name: String,
    /// What sort of job it is.
    pub kind: String,
    /// When it is due, as it is written.
    pub schedule: String,
    /// What it does.
    pub command: String,
    /// The time zone of its schedule.
    pub time_zone: String,
    /// `skip`, `one` or `all`.
    pub missed: String,
    /// How long a run may take.
    pub timeout: Duration,
    /// How many further tries a run has.
    pub retries: u32,
    /// Whether it is run; none: as it is in the database, a new one is.
    pub enabled: Option<bool>,
    /// Where it says when, which kind, what and in which time zone: problems that say nothing yet.
    pub places: JobPlaces,
}

/// Places of what only the worker can judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPlaces {
    /// Of `kind`.
    pub kind: Problem,
    /// Of `schedule`.
    pub schedule: Problem,
    /// Of `command`.
    pub command: Problem,
    /// Of `time_zone`.
    pub time_zone: Problem,
}

/// What the file says; what is wrong is reported to it.
pub(super) fn jobs(configs: Vec<JobConfig>, file: &mut Table) -> Vec<Job> {
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    for config in &configs {
        let (span, name) = (config.name.span(), config.name.get_ref());
        if name.chars().any(char::is_control) || name.chars().count() > LONGEST_NAME {
            let message = "a job's name is visible text in one line, at most 200 characters";
            file.report(&span, message, None);
        }
        if let Some(line) = names.get(name) {
            file.report(&span, format!("another job has the name {name:?} (line {line})"), None);
        } else if !name.is_empty() {
            names.insert(name.clone(), file.line_of(&span));
        }
    }
    configs.into_iter().map(|config| job(config, file)).collect()
}

fn job(config: JobConfig, file: &mut Table) -> Job {
    let whole = config.name.span();
    let span = |given: Option<std::ops::Range<usize>>| given.unwrap_or_else(|| whole.clone());
    let places = JobPlaces {
        kind: file.problem_at(&span(config.kind.as_ref().map(toml::Spanned::span)), ""),
        schedule: file.problem_at(&config.schedule.span(), ""),
        command: file.problem_at(&config.command.span(), ""),
        time_zone: file.problem_at(&span(config.time_zone.as_ref().map(toml::Spanned::span)), ""),
    };
    let missed = config.missed.as_ref().map_or("skip", |missed| missed.get_ref());
    if let Some(given) = config.missed.as_ref().filter(|_| !MISSED.contains(&missed)) {
        let hint = "\"skip\" leaves out what was missed, \"one\" runs once for all of it, \"all\" runs each"
            .to_owned();
        file.report(&given.span(), format!("missed cannot be {missed:?}"), Some(hint));
    }
    let timeout = config.timeout.as_ref().map_or(TIMEOUT, |timeout| timeout.get_ref().0);
    if let Some(given) = config.timeout.as_ref().filter(|_| timeout.is_zero() || timeout > LONGEST) {
        file.report(&given.span(), "timeout must be more than 0 and at most 7d", None);
    }
    let retries = config.retries.as_ref().map_or(0, |retries| *retries.get_ref());
    if let Some(given) = config.retries.as_ref().filter(|_| !(0..=MOST_RETRIES).contains(&retries)) {
        file.report(&given.span(), "retries must be between 0 and 100", None);
    }
    Job {
        missed: missed.to_owned(),
        name: config.name.into_inner(),
        kind: config.kind.map_or_else(|| "sql".to_owned(), toml::Spanned::into_inner),
        schedule: config.schedule.into_inner(),
        command: config.command.into_inner(),
        time_zone: config.time_zone.map_or_else(|| "UTC".to_owned(), toml::Spanned::into_inner),
        timeout,
        retries: u32::try_from(retries).unwrap_or(0),
        enabled: config.enabled,
        places,
    }
}

/// Whether a text is one statement that may run in a transaction which somebody else ends.
///
/// # Errors
/// In words, what it is instead.
pub fn one_statement(text: &str) -> Result<(), String> {
    match parse(text) {
        Ok(parsed) if parsed.statement_count() == 1 => {}
        Ok(parsed) if parsed.statement_count() == 0 => {
            return Err("the command holds no statement".to_owned());
        }
        Ok(parsed) => {
            let count = parsed.statement_count();
            return Err(format!("the command is {count} statements: put them into a function or a DO block"));
        }
        Err(ParseError::Syntax(error)) => return Err(format!("the command does not parse: {error}")),
        // Nobody knows better.
        Err(ParseError::NotAnalysable(_)) => return Ok(()),
    }
    match effects_of_text(text) {
        Ok(effects) if matches!(effects.transaction, TransactionRule::Control(_)) => {
            Err("the command begins or ends a transaction: the worker does that itself".to_owned())
        }
        Ok(Effects { transaction: TransactionRule::Forbidden { what }, .. }) => {
            Err(format!("{what} cannot run inside a transaction, which is how a job runs"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::one_statement;

    #[test]
    fn a_command_is_one_statement_without_transaction_control() {
        for right in
            ["SELECT f()", "CALL p();", "DO $$ BEGIN PERFORM 1; PERFORM 2; END $$", "/* x */ DELETE FROM t"]
        {
            assert_eq!(one_statement(right), Ok(()), "{right}");
        }
        for wrong in [
            "",
            "-- nothing",
            "SELECT 1; COMMIT; SELECT 2",
            "COMMIT",
            "SAVEPOINT a",
            "SELEC 1",
            "BEGIN",
            "ROLLBACK; ",
            "VACUUM t",
        ] {
            assert!(one_statement(wrong).is_err(), "{wrong}");
        }
    }
}
