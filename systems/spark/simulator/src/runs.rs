//! What is known of the runs of the schedules.

use crate::plan::Millis;

/// A run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRun {
    /// The schedule.
    pub job: String,
    /// Not later than its transaction began.
    pub began: Millis,
    /// How long it took, in real seconds.
    pub seconds: f64,
    /// How long after its due time it began.
    pub lag: Millis,
    /// What went wrong.
    pub error: Option<String>,
}

/// A schedule, as the database declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// Its interval.
    pub seconds: u64,
    /// What it runs.
    pub command: String,
}

/// All runs of a simulation, in the order of their ends.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    /// What there is to run.
    pub schedules: Vec<Schedule>,
    /// What was run.
    pub runs: Vec<JobRun>,
    /// How often due times passed without a run.
    pub skipped: u64,
    /// What was wrong with whoever runs them.
    pub problems: Vec<String>,
    /// Whether they are still run.
    pub ended: bool,
}

/// So many runs of a schedule may leave an entry to the next one, because somebody is changing it.
const PATIENCE: usize = 3;

impl Runs {
    /// Runs of a schedule that did their work.
    pub fn done<'a>(&'a self, job: &'a str) -> impl DoubleEndedIterator<Item = &'a JobRun> + 'a {
        self.runs.iter().filter(move |run| run.job == job && run.error.is_none())
    }

    /// When the third last run of a schedule that has done its work began: whatever was overdue then has been passed over by
    /// three runs, and what a schedule has to end it has had its chances to end.
    pub fn passed_over(&self, job: &str) -> Option<Millis> {
        self.done(job).rev().nth(PATIENCE - 1).map(|run| run.began)
    }
}
