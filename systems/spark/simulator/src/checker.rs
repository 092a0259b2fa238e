//! The independent eye: looks at what must hold, over and over, on a connection of its own, in one snapshot a round.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};

use crate::clients::connect;
use crate::clock::Clock;
use crate::invariants::{Found, INVARIANTS, Moment, Source, Tempo};
use crate::plan::Millis;
use crate::runs::Runs;
use crate::tally::{Shared, Tally};

/// How many violations of an invariant are kept word for word.
const KEPT: usize = 20;
/// In every how manyeth round the whole log is read.
const SOMETIMES: usize = 5;
/// The shortest pause between two rounds; otherwise one is as long as the round was, so that looking costs half a connection at most.
const PAUSE: Duration = Duration::from_millis(500);

/// What has been seen of an invariant.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// In how many rounds it was looked at.
    pub rounds: u64,
    /// How many things were looked at, all rounds together.
    pub things: u64,
    /// Violations, each thing counted once.
    pub violations: u64,
    /// The first of them, in words.
    pub examples: Vec<String>,
    seen: HashSet<String>,
}

/// How many were in each state at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Millis,
    /// In the order of [`STATES`].
    pub counts: [u64; STATES.len()],
}

/// States that somebody in the queue can have.
pub const STATES: [&str; 8] = [
    "queue_waiting",
    "spin_active",
    "paired",
    "vote_active",
    "video_date",
    "ended",
    "soft_offline",
    "disconnected",
];

/// So many runs of a schedule may pass over what is overdue, because somebody is changing it.
const PATIENCE: usize = 3;

/// What is overdue, and when that was seen first.
#[derive(Debug, Clone, Default)]
pub struct Overdue(HashMap<String, Millis>);

impl Overdue {
    /// Of what is overdue in a snapshot, what has been since before the last runs of the schedule. `runs` are those that had done their
    /// work before the snapshot, by when they began; `now` is a moment behind it.
    fn left_over(&mut self, found: Found, runs: &[Millis], now: Millis) -> Found {
        let before = std::mem::take(&mut self.0);
        let mut wrong = Vec::new();
        for (key, what) in found.wrong {
            let first = before.get(&key).copied().unwrap_or(now);
            if runs.iter().filter(|began| **began >= first).count() >= PATIENCE {
                wrong.push((key.clone(), what));
            }
            self.0.insert(key, first);
        }
        Found { looked: found.looked, wrong }
    }
}

/// What the eye has seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// In the order of [`INVARIANTS`].
    pub invariants: Vec<Looked>,
    /// The queue from round to round.
    pub samples: Vec<Sample>,
    /// Rounds.
    pub rounds: u64,
    /// In the order of [`INVARIANTS`].
    overdue: Vec<Overdue>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            invariants: vec![Looked::default(); INVARIANTS.len()],
            samples: Vec::new(),
            rounds: 0,
            overdue: vec![Overdue::default(); INVARIANTS.len()],
        }
    }
}

impl Seen {
    /// Violations of everything.
    pub fn violations(&self) -> u64 {
        self.invariants.iter().map(|looked| looked.violations).sum()
    }
}

impl Looked {
    fn add(&mut self, found: Found) {
        self.rounds += 1;
        self.things += found.looked;
        for (key, wrong) in found.wrong {
            if self.seen.insert(key.clone()) {
                self.violations += 1;
                if self.examples.len() < KEPT {
                    self.examples.push(format!("{key}: {wrong}"));
                }
            }
        }
    }
}

/// What the eye looks at.
#[derive(Debug, Clone)]
pub struct Checker {
    /// The database.
    pub options: ConnectOptions,
    /// The time.
    pub clock: Clock,
    /// What the clients heard.
    pub tally: Shared<Tally>,
    /// What is known of the schedules.
    pub runs: Shared<Runs>,
    /// What it has seen.
    pub seen: Shared<Seen>,
}

const STATES_NOW: &str = "SELECT status, count(*) FROM public.matching_queue GROUP BY status";

impl Checker {
    /// Looks until it is asked to stop.
    ///
    /// # Errors
    /// It cannot look: why.
    pub async fn watch(&self, stop: &Stop) -> Result<(), String> {
        let mut session = connect(&self.options, "spark simulator: checker").await?;
        for round in 0_usize.. {
            if stop.is_requested() {
                break;
            }
            let begun = Instant::now();
            let all = round % SOMETIMES == SOMETIMES - 1;
            self.round(&mut session, all).await.map_err(|failure| failure.to_string())?;
            tokio::select! {
                () = tokio::time::sleep(begun.elapsed().max(PAUSE)) => {}
                () = stop.requested() => {}
            }
        }
        session.close().await;
        Ok(())
    }

    /// Looks once more, at everything.
    ///
    /// # Errors
    /// It cannot look: why.
    pub async fn last_look(&self) -> Result<(), String> {
        let mut session = connect(&self.options, "spark simulator: checker").await?;
        self.round(&mut session, true).await.map_err(|failure| failure.to_string())?;
        session.close().await;
        Ok(())
    }

    async fn round(&self, session: &mut Session, all: bool) -> Result<(), Failure> {
        // Before the snapshot: what these runs did is in it.
        let runs = self.runs.lock().clone();
        let at = self.clock.now();
        let snapshot = by_sql(session, &Moment::of(&self.clock), all).await?;
        let now = self.clock.now();
        let mut by_others = Vec::new();
        for (n, invariant) in INVARIANTS.iter().enumerate() {
            match invariant.source {
                Source::Sql { .. } | Source::Late { .. } => {}
                Source::Calls(look) => by_others.push((n, look(&self.tally.lock()))),
                Source::Runs(look) => by_others.push((n, look(&self.runs.lock(), self.clock.now()))),
            }
        }
        let mut seen = self.seen.lock();
        seen.rounds += 1;
        seen.samples.push(Sample { at, counts: snapshot.states });
        for (n, mut found) in snapshot.answers.into_iter().chain(by_others) {
            if let Some(Source::Late { job, .. }) = INVARIANTS.get(n).map(|invariant| &invariant.source)
                && let Some(overdue) = seen.overdue.get_mut(n)
            {
                let began: Vec<Millis> = runs.done(job).map(|run| run.began).collect();
                found = overdue.left_over(found, &began, now);
            }
            if let Some(looked) = seen.invariants.get_mut(n) {
                looked.add(found);
            }
        }
        Ok(())
    }
}

/// What one snapshot holds.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Invariants by their place in the list, and what was found.
    pub answers: Vec<(usize, Found)>,
    states: [u64; STATES.len()],
}

/// Asks everything in one snapshot.
///
/// # Errors
/// As the server says.
pub async fn by_sql(session: &mut Session, moment: &Moment, all: bool) -> Result<Snapshot, Failure> {
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL jit = off").await?;
    let mut snapshot = Snapshot::default();
    for row in session.query_text(STATES_NOW).await?.rows {
        let state = row.first().and_then(Option::as_deref).unwrap_or_default();
        let place = STATES.iter().position(|known| *known == state);
        if let Some(count) = place.and_then(|place| snapshot.states.get_mut(place)) {
            *count = number(&row, 1);
        }
    }
    for (n, invariant) in INVARIANTS.iter().enumerate() {
        if !all && invariant.tempo == Tempo::Sometimes {
            continue;
        }
        if let Some(question) = invariant.question(moment) {
            let rows = session.query_text(&question).await?.rows;
            snapshot.answers.push((n, found(&rows)));
        }
    }
    session.execute("COMMIT").await?;
    Ok(snapshot)
}

fn number(row: &[Option<String>], n: usize) -> u64 {
    row.get(n).and_then(Option::as_deref).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn found(rows: &[Vec<Option<String>>]) -> Found {
    let text = |row: &[Option<String>], n: usize| row.get(n).and_then(Clone::clone);
    let wrong = rows.iter().filter_map(|row| Some((text(row, 1)?, text(row, 2).unwrap_or_default())));
    Found { looked: rows.first().map_or(0, |row| number(row, 0)), wrong: wrong.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_overdue_is_a_violation_when_three_runs_have_passed_it_over() {
        let mut overdue = Overdue::default();
        let mut look = |keys: &[&str], runs: &[Millis], now| {
            let wrong = keys.iter().map(|key| ((*key).to_owned(), String::new())).collect();
            let found = overdue.left_over(Found { looked: 9, wrong }, runs, now);
            assert_eq!(found.looked, 9);
            found.wrong.into_iter().map(|(key, _)| key).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(look(&["a"], &[10, 20, 30], 31), "");
        // A run that began before it was seen does not count, nor do two.
        assert_eq!(look(&["a", "b"], &[10, 20, 30, 31, 40], 45), "");
        assert_eq!(look(&["a", "b"], &[10, 20, 30, 31, 40, 50], 55), "a");
        // Seen to be in order once, it begins anew.
        assert_eq!(look(&["b"], &[31, 40, 50, 60], 65), "");
        assert_eq!(look(&["a", "b"], &[31, 40, 50, 60, 70], 75), "b");
    }

    #[test]
    fn a_violation_counts_once() {
        let mut looked = Looked::default();
        let found = |keys: &[&str]| Found {
            looked: 2,
            wrong: keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect(),
        };
        looked.add(found(&["a"]));
        looked.add(found(&["a", "b"]));
        looked.add(found(&[]));
        assert_eq!((looked.rounds, looked.things, looked.violations), (3, 6, 2));
        assert_eq!(looked.examples, ["a: x", "b: x"]);
    }
}
