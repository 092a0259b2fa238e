//! The kinds of checks, one file each. A new kind is a file here and a line in [`KINDS`].

mod access;
mod claims;
mod columns;
mod design;
mod empty;
mod exists;
pub(crate) mod explain;
mod fails;
mod foreign_keys;
mod no_rows;
mod scalar;
mod script;
mod unchanged;
mod uses;

use std::fmt::Debug;

use super::in_psql::InPsql;
use super::measure::{Ctx, Measuring};
use super::preview::Reads;
use crate::project::Project;
use crate::project::config::Table;

/// A check that can be measured.
pub(crate) trait Check: Debug + Send + Sync {
    /// What is measured and what is expected, in words or as the query itself.
    fn describe(&self) -> (String, String);

    /// Measures. Answers are never empty; what keeps the whole from being measured is an error.
    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a>;

    /// What it reads, as far as it says. Of interest for preconditions alone.
    fn reads(&self) -> Reads {
        Reads::default()
    }

    /// It brings rows of its own, which are rolled back.
    fn writes(&self) -> bool {
        false
    }

    /// The same for a script that measures without cutover; none where only cutover can.
    fn in_psql(&self) -> Option<InPsql> {
        None
    }

    /// Tables whose figures are to be taken before a run.
    fn tables_before(&self) -> &[String] {
        &[]
    }
}

/// What a kind reads its keys from.
pub(crate) struct Input<'a> {
    pub(crate) table: &'a mut Table,
    pub(crate) project: &'a Project,
}

/// A kind of check.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    /// Needs a session and nothing else, so that it can be measured before a migration.
    pub(crate) precondition: bool,
    /// Takes its keys. What is wrong is recorded in the table; the check read then is not used.
    pub(crate) read: fn(&mut Input<'_>) -> Box<dyn Check>,
}

/// Every kind that `cutover.toml` can name.
const KINDS: [Kind; 12] = [
    Kind {
        name: "claims",
        summary: "migrations create and change what they claim, and nothing else",
        precondition: false,
        read: claims::read,
    },
    Kind {
        name: "design",
        summary: "tables equal their definition in the design",
        precondition: false,
        read: design::read,
    },
    Kind { name: "no_rows", summary: "a query returns no rows", precondition: true, read: no_rows::read },
    Kind { name: "scalar", summary: "a query returns one value", precondition: true, read: scalar::read },
    Kind { name: "fails", summary: "a statement is refused", precondition: true, read: fails::read },
    Kind {
        name: "foreign_keys",
        summary: "foreign keys are validated and have no orphans",
        precondition: true,
        read: foreign_keys::read,
    },
    Kind {
        name: "unchanged",
        summary: "tables hold the same rows as before the run",
        precondition: false,
        read: unchanged::read,
    },
    Kind {
        name: "explain",
        summary: "a query is answered from an index, without sorting",
        precondition: true,
        read: explain::read,
    },
    Kind {
        name: "empty",
        summary: "tables of a new database hold no rows",
        precondition: false,
        read: empty::read,
    },
    Kind {
        name: "columns",
        summary: "a table has so many columns, or these",
        precondition: true,
        read: columns::read,
    },
    Kind {
        name: "access",
        summary: "roles may do with objects what a matrix says, and nothing else",
        precondition: false,
        read: access::read,
    },
    Kind { name: "exists", summary: "objects exist", precondition: true, read: exists::read },
];

/// A kind of check as lists show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// Its name in `cutover.toml`.
    pub name: &'static str,
    /// What it holds to, in one line.
    pub summary: &'static str,
}

/// The kinds of checks there are, without those made by the tool itself (`uses`, `script`, `replaces`).
pub fn kinds() -> impl Iterator<Item = KindInfo> {
    KINDS.iter().map(|kind| KindInfo { name: kind.name, summary: kind.summary })
}

pub(super) fn find(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Names to choose by.
pub(super) fn names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).chain(["uses", "script", "replaces"]).collect()
}

/// The check of a statement in a SQL file.
pub(super) fn no_rows(sql: String) -> Box<dyn Check> {
    no_rows::of(sql)
}

/// The check that the statements of a file, each with its line, succeed.
pub(super) fn script(path: &str, statements: Vec<(u32, String)>) -> Box<dyn Check> {
    script::of(path, statements)
}

/// The check of what a stage uses.
pub(super) fn uses(objects: &[String]) -> Result<Box<dyn Check>, String> {
    uses::of(objects)
}
