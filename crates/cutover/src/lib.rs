//! cutover takes a PostgreSQL database from one shape to another while it is in use, and proves each step.
//!
//! The library never prints, prompts, or reads the environment, the home folder or the wall clock: its callers
//! pass an [`Environment`] and a [`Clock`].

pub mod clock;
pub mod migration;
pub mod plan;
pub mod report;
pub mod run;

pub use clock::{Clock, SystemClock};
