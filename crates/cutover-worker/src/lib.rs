//! Runs what a database needs done on time: declared jobs, their schedules, leases that several workers share, and records of
//! each run. The database coordinates, and its clock alone decides what is due.
//!
//! * [`schedule`] is when a job is due: pure;
//! * [`schema`] makes what is kept in the database;
//! * [`run`] is the worker;
//! * `attempt` is one run of one job, and says why it is done exactly once.

mod attempt;
mod declare;
mod engine;
mod error;
mod event;
pub mod kinds;
mod listen;
mod metrics;
pub mod pg_cron;
pub mod schedule;
pub mod schema;
mod settings;
mod status;
mod store;

pub use declare::{Declared, declare, problems};
pub use engine::{Summary, run};
pub use error::WorkerError;
pub use event::{RunEnd, RunOutcome, WorkerEvent};
pub use settings::Settings;
pub use status::{JobStatus, status};
