//! The independent eye: looks at what must hold, over and over, on a connection of its own, in one snapshot a round.

use std::collections::HashSet;
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

/// What the eye has seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// In the order of [`INVARIANTS`].
    pub invariants: Vec<Looked>,
    /// The queue from round to round.
    pub samples: Vec<Sample>,
    /// Rounds.
    pub rounds: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { invariants: vec![Looked::default(); INVARIANTS.len()], samples: Vec::new(), rounds: 0 }
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
        let moment = Moment::of(&self.clock, &self.runs.lock());
        let at = self.clock.now();
        let mut found = by_sql(session, &moment, all).await?;
        for (n, invariant) in INVARIANTS.iter().enumerate() {
            let here = match invariant.source {
                Source::Sql { .. } => continue,
                Source::Calls(look) => look(&self.tally.lock()),
                Source::Runs(look) => look(&self.runs.lock(), self.clock.now()),
            };
            found.answers.push((n, here));
        }
        let mut seen = self.seen.lock();
        seen.rounds += 1;
        seen.samples.push(Sample { at, counts: found.states });
        for (n, answer) in found.answers {
            if let Some(looked) = seen.invariants.get_mut(n) {
                looked.add(answer);
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
