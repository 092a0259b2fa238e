//! The apply engine on real servers: what it does, what it says, and that it can be stopped anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod basics;
mod checked;
mod cuts;
mod hygiene;
mod kills;
mod locks;
mod runner_lock;
mod stopping;
mod support;
mod together;
