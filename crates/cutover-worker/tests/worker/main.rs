//! Workers against real servers. Nothing sleeps: due times are set in the table, and tests wait for what they can see.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod basics;
mod declaring;
mod endings;
mod exactly_once;
mod hostile;
mod pg_cron;
mod rights;
mod support;
mod working;
