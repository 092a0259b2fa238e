//! cutover takes a PostgreSQL database from one shape to another while it is in use, and proves each step.
//!
//! The library never prints, prompts, or reads the environment, the home folder or the wall clock: its callers
//! pass an [`Environment`](cutover_postgres::Environment) and a [`Clock`].

pub mod adopt;
pub mod align;
pub mod apply;
pub mod asking;
pub mod baseline;
pub mod catalog;
pub mod clock;
pub mod compare;
pub mod documents;
pub mod erd;
pub mod hazard;
pub mod history;
pub mod inspect;
pub mod jitter;
mod latebound;
pub mod lint;
pub mod migrate;
pub mod migration;
mod places;
pub mod plan;
pub mod project;
pub mod put;
mod reading;
pub mod recording;
pub mod rehearse;
pub mod repair;
pub mod report;
pub mod revert;
pub mod run;
pub mod script;
pub mod secrets;
pub mod source;
pub mod stop;
pub mod text;
mod unheard;
pub mod verify;

pub use clock::{Clock, SystemClock};
pub use migrate::migrate;
pub use project::Project;
