//! The apply engine on real servers: what it does, what it says, and that it can be stopped anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod basics;
mod checked;
mod cuts;
mod kills;
mod support;
