//! What the reference system must hold, each line proven on a real server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
