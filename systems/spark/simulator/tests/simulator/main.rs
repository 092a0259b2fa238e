//! The simulator, and that its eye sees what it looks for.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod databases;
mod planted;
mod support;
mod whole;
