//! The apply engine on real servers: what it does, what it says, and that it can be stopped anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::large_futures)]

mod backups;
mod basics;
mod checked;
mod choosing;
mod cuts;
mod durable;
mod hygiene;
mod kills;
mod large;
mod locks;
mod poolers;
mod privileges;
mod runner_lock;
mod stopping;
mod support;
mod together;
mod undecided;
