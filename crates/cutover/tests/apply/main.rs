//! The apply engine on real servers: what it does, what it says, and that it can be stopped anywhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::large_futures)]

mod backups;
mod basics;
mod checked;
mod choosing;
mod conventions;
mod cuts;
mod detach;
mod durable;
mod failed_outside;
mod foresight;
mod hygiene;
mod indexes;
mod kills;
mod large;
mod lock_lost;
mod locks;
mod outside;
mod own_schema;
mod partitioned;
mod parts;
mod pipelined;
mod places;
mod poolers;
mod privileges;
mod refused;
mod renumbered;
mod repeatable;
mod runner_lock;
mod side_by_side;
mod side_by_side_order;
mod stopping;
mod support;
mod swallowed;
mod together;
mod undecided;
