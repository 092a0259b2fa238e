//! The context of the templates as one value.

use serde::Serialize;

use super::api::ApiNote;
use super::checks::Checklist;
use super::compatibility::{Compatibility, Risk, Trouble};
use super::migrations::{MigrationNote, RunNote, StageNote};
use super::rollback::Rollback;
use super::script::Script;
use super::sequence::{Coverage, GraphNote};
use super::sprints::SprintNote;
use super::tables::{Consistency, TableNote};

/// Everything that templates know.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Context {
    pub(super) project: String,
    pub(super) database: String,
    /// Version of the server.
    pub(super) server: String,
    pub(super) files: Vec<FileNote>,
    pub(super) totals: Totals,
    pub(super) stages: Vec<StageNote>,
    pub(super) migrations: Vec<MigrationNote>,
    pub(super) runs: Vec<RunNote>,
    pub(super) tables: Vec<TableNote>,
    pub(super) consistency: Consistency,
    pub(super) graph: GraphNote,
    pub(super) coverage: Coverage,
    pub(super) checks: Checklist,
    pub(super) compatibility: Compatibility,
    pub(super) risks: Vec<Risk>,
    pub(super) troubles: Vec<Trouble>,
    /// Of `cutover revert --all`.
    pub(super) rollback: Rollback,
    /// Of `cutover revert`: the last applied migration alone.
    pub(super) step_back: Rollback,
    /// Where the documents are, seen from the project's folder, as a shell takes it; none where that is not said.
    pub(super) folder: Option<String>,
    /// Where stages are sprints.
    pub(super) sprints: Vec<SprintNote>,
    /// What clients may call.
    pub(super) api: ApiNote,
    pub(super) erd: Diagram,
    pub(super) script: Script,
    /// Remarks on the plan as a whole.
    pub(super) notes: Vec<String>,
}

/// A file that is written, and what for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct FileNote {
    pub(super) name: String,
    pub(super) purpose: String,
}

/// Counts over everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Totals {
    pub(super) migrations: usize,
    pub(super) applied: usize,
    pub(super) stages: usize,
    pub(super) bytes: u64,
    pub(super) tables: usize,
    pub(super) columns: usize,
    /// Those that stand for themselves.
    pub(super) indexes: usize,
    /// Primary keys, unique and exclusion constraints, each with its index.
    pub(super) keys: usize,
    pub(super) foreign_keys: usize,
    pub(super) checks: usize,
}

/// The diagram of the tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Diagram {
    /// In Mermaid's language; empty where there is no table.
    pub(super) mermaid: String,
    /// How many tables are drawn, and how many are not.
    pub(super) drawn: usize,
    pub(super) more: usize,
}

/// The files there are, with what each is for.
pub(super) fn files(has_tables: bool, has_sprints: bool, has_api: bool) -> Vec<FileNote> {
    let all = [
        ("README.md", "this guide", true),
        (
            "MIGRATION_SEQUENCE.md",
            "what needs what, order, waves, timings, indexes, data flow, troubleshooting",
            true,
        ),
        ("IMPLEMENTATION_SUMMARY.md", "what is there, and whether it is what was declared and claimed", true),
        ("SPRINTS.md", "the plan, sprint by sprint", has_sprints),
        ("API.md", "what clients may call: signatures, results, errors, old call and new call", has_api),
        ("ERD.md", "the tables as a diagram in Mermaid", true),
        ("erd.svg", "the same diagram as a picture", has_tables),
        ("verify.sql", "a script for psql that verifies on its own, without cutover", true),
    ];
    let note = |(name, purpose, _): (&str, &str, bool)| FileNote {
        name: name.to_owned(),
        purpose: purpose.to_owned(),
    };
    all.into_iter().filter(|(_, _, is_there)| *is_there).map(note).collect()
}
