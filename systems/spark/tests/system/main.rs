//! What the reference system must hold, each line proven on a real server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod around;
mod away;
mod blocks;
mod deletions;
mod fairness;
mod flows;
mod hostile;
mod install;
mod live;
mod load;
mod matching;
mod schedules;
mod states;
mod support;
mod ticks;
mod timeouts;
mod watching;
mod worker;
#[path = "../../../../crates/cutover-worker/tests/worker/working.rs"]
#[allow(dead_code, reason = "the worker's own tests use all of it")]
mod working;
