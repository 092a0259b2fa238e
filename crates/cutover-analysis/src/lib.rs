//! What SQL really does, found from its text alone.
//!
//! Pure: no I/O, no async, no clock, no environment; the same text gives the same answer everywhere. The only crate
//! that uses `pg_query`, whose types never leave it.

pub mod diff;
pub mod effects;
pub mod graph;
pub mod lint;
pub mod models;
pub mod ours;
pub mod schema;
pub mod sql;
