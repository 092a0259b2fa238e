//! When a job is due: every so many seconds, or five cron fields in a time zone. Pure: times are microseconds since the
//! Unix epoch, and nobody is asked what time it is.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// A due time later than this after it came counts as missed, if no worker saw it before: 60 s.
pub const GRACE: i64 = 60 * SECOND;

const SECOND: i64 = 1_000_000;
/// Windows before now that are searched for the last due time, the shortest first.
const WINDOWS: [i64; 4] = [3_600 * SECOND, 86_400 * SECOND, 40 * 86_400 * SECOND, 1_500 * 86_400 * SECOND];

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Neither form.
    #[error(
        "{0:?} is no schedule: write \"5 seconds\", \"10 minutes\", \"1 hour\", or five cron fields such as \"30 4 * * *\""
    )]
    Form(String),
    /// Five fields that are not cron's.
    #[error("{text:?} is no cron expression: {why}")]
    Cron {
        /// What is written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is never due.
    #[error("{0:?} is never due")]
    Never(String),
    /// A time zone that is not in the list of the IANA.
    #[error("{0:?} is no time zone: write its name, e.g. \"Europe/Berlin\" or \"UTC\"")]
    Zone(String),
}

/// When a job is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At every multiple of so many microseconds since the epoch, so that all workers mean the same times.
    Every(i64),
    /// By the wall clock of a time zone.
    Cron(Box<Cron>, Tz),
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What is wrong with it or its time zone.
    pub fn parse(text: &str, time_zone: &str) -> Result<Self, ScheduleError> {
        let zone: Tz = time_zone.parse().map_err(|_| ScheduleError::Zone(time_zone.to_owned()))?;
        if let Some(every) = every(text) {
            return Ok(Self::Every(every));
        }
        let fields = text.split_whitespace().count();
        if fields != 5 || text.trim_start().starts_with('@') {
            return Err(ScheduleError::Form(text.to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser
            .parse(text)
            .map_err(|error| ScheduleError::Cron { text: text.to_owned(), why: error.to_string() })?;
        let schedule = Self::Cron(Box::new(cron), zone);
        // 2024 is a leap year: every day there is comes within the eight years behind it.
        match schedule.next_after(1_704_067_200 * SECOND) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(text.to_owned())),
        }
    }

    /// The first due time after `micros`; none where there is none that can be counted.
    pub fn next_after(&self, micros: i64) -> Option<i64> {
        match self {
            Self::Every(every) => micros.div_euclid(*every).checked_add(1)?.checked_mul(*every),
            Self::Cron(cron, zone) => {
                let after = DateTime::<Utc>::from_timestamp_micros(micros)?.with_timezone(zone);
                let found = cron.find_next_occurrence(&after, false).ok()?.timestamp_micros();
                // Whatever a library thinks of a clock that is set back: time goes forward.
                (found > micros).then_some(found)
            }
        }
    }

    /// The last due time at or before `now` that is not before `from`, itself a due time.
    pub fn last(&self, from: i64, now: i64) -> i64 {
        if let Self::Every(every) = self {
            return (now.div_euclid(*every) * *every).max(from);
        }
        let start = WINDOWS
            .iter()
            .map(|window| now - window)
            .find(|start| *start > from && self.next_after(*start).is_some_and(|found| found <= now));
        let mut last = start.and_then(|start| self.next_after(start)).map_or(from, |found| found.max(from));
        while let Some(next) = self.next_after(last).filter(|next| *next <= now) {
            last = next;
        }
        last
    }
}

/// `5 seconds`, `1 minute`, `2 hours` in microseconds.
fn every(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let seconds = match unit.trim() {
        "second" | "seconds" => 1,
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3_600,
        _ => return None,
    };
    let number: i64 = number.parse().ok().filter(|number| (1..=999_999_999).contains(number))?;
    number.checked_mul(seconds * SECOND)
}

/// What becomes of due times that passed without a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// They are left out; the one that is due now is run.
    Skip,
    /// One run stands for all of them.
    One,
    /// Each is run, one after the other.
    All,
}

impl Missed {
    /// All of them, by name.
    pub const ALL: [(&str, Self); 3] = [("skip", Self::Skip), ("one", Self::One), ("all", Self::All)];

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, missed)| missed)
    }
}

/// What is done about a due time that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The due time that is run; none where nothing is.
    pub run: Option<i64>,
    /// The due time behind that.
    pub following: Option<i64>,
    /// Due times up to this one are left out, where any are.
    pub skipped: Option<i64>,
}

/// Decides about the due time `due`, which a worker first saw at `seen`, when it is `now`.
pub fn choose(schedule: &Schedule, missed: Missed, due: i64, seen: i64, now: i64) -> Choice {
    if missed == Missed::All {
        return Choice { run: Some(due), following: schedule.next_after(due), skipped: None };
    }
    let last = schedule.last(due, now);
    let following = schedule.next_after(last.max(now));
    let in_time = seen.saturating_sub(due) <= GRACE || now.saturating_sub(last) <= GRACE;
    if missed == Missed::Skip && !in_time {
        return Choice { run: None, following, skipped: Some(last) };
    }
    let skipped = (last > due).then_some(last - 1);
    Choice { run: Some(last), following, skipped }
}

#[cfg(test)]
mod tests;
