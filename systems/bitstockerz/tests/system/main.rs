//! What the reference system must hold, each line proven on a real server through the library.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod again;
mod behaviour;
mod checks;
mod deferred;
mod design;
mod documents;
mod indexes;
mod live;
mod plan;
mod report;
mod roadmap;
mod stages;
mod support;
mod whole;
