//! One file a verb.

pub(crate) mod adopt;
pub(crate) mod align;
mod align_write;
pub(crate) mod apply;
pub(crate) mod baseline;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod diff;
mod documents;
pub(crate) mod dry_run;
pub(crate) mod graph;
pub(crate) mod init;
pub(crate) mod kept;
pub(crate) mod lint;
mod lint_fix;
pub(crate) mod new;
pub(crate) mod plan;
pub(crate) mod rehearse;
pub(crate) mod repair;
pub(crate) mod report;
pub(crate) mod revert;
pub(crate) mod sandbox;
pub(crate) mod status;
pub(crate) mod verify;
pub(crate) mod worker;
mod written;
