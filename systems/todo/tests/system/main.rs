//! What the reference system must hold, each line proven on a real server through the library.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod design;
mod drift;
mod files;
mod install;
mod isolation;
mod roles;
mod support;
mod updated_at;
