//! Many users against the matching backend of `systems/spark`, and an independent eye on what must hold.
//!
//! * [`plan`] is what users decide, from a seed; [`agent`] is one user; both are pure;
//! * [`clients`] serves them over connections;
//! * [`schedules`] runs what the database wants done on time;
//! * [`record`] is what the eye writes down itself, since nobody else keeps it;
//! * [`invariants`] is the list of what must hold, and [`checker`] looks at it.

pub mod agent;
pub mod checker;
pub mod clients;
pub mod clock;
pub mod database;
pub mod dice;
pub mod figures;
pub mod html;
pub mod invariants;
pub mod people;
pub mod plan;
pub mod record;
pub mod runs;
pub mod schedules;
pub mod simulation;
pub mod summary;
pub mod tally;
