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
    /// How much later than at speed 1 they may be: a machine that is busy for a real second is so for many simulated ones.
    pub slack: Millis,
    /// Whether they are not run any more.
    pub ended: bool,
}

impl Runs {
    /// Runs of a schedule that did their work.
    pub fn done<'a>(&'a self, job: &'a str) -> impl DoubleEndedIterator<Item = &'a JobRun> + 'a {
        self.runs.iter().filter(move |run| run.job == job && run.error.is_none())
    }
}
