//! Generated migration folders, the same on every machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;

/// Which files.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A table and an index each.
    Tables,
    /// A table and an index each, each table with a key to the one ten files before: ten chains.
    Chains,
    /// A statement that touches no relation file.
    Trivial,
}

/// Writes `count` files as `V0001__step.sql …`, which cutover, refinery and the floor read.
pub(crate) fn folder(name: &str, kind: Kind, count: usize) -> Result<PathBuf, Failure> {
    let folder = super::folder()?.join(name);
    rewrite(&folder)?;
    for n in 1..=count {
        fs::write(folder.join(format!("V{n:05}__step.sql")), text(kind, n))?;
    }
    Ok(folder)
}

/// The same files under the names sqlx expects.
pub(crate) fn sqlx_folder(name: &str, kind: Kind, count: usize) -> Result<PathBuf, Failure> {
    let folder = super::folder()?.join(format!("{name}-sqlx"));
    rewrite(&folder)?;
    for n in 1..=count {
        fs::write(folder.join(format!("{n:05}_step.sql")), text(kind, n))?;
    }
    Ok(folder)
}

pub(super) fn rewrite(folder: &Path) -> Result<(), Failure> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    Ok(())
}

fn text(kind: Kind, n: usize) -> String {
    match kind {
        Kind::Tables => format!(
            "CREATE TABLE step_{n} (\n    id bigint PRIMARY KEY,\n    name text NOT NULL,\n    made_at timestamptz NOT NULL DEFAULT now()\n);\n\
             CREATE INDEX step_{n}_name ON step_{n} (name);\n"
        ),
        Kind::Chains => {
            let parent = match n.checked_sub(10) {
                Some(parent) if parent > 0 => format!(" REFERENCES step_{parent}"),
                _ => String::new(),
            };
            format!(
                "CREATE TABLE step_{n} (\n    id bigint PRIMARY KEY,\n    before bigint{parent},\n    name text NOT NULL\n);\n\
                 CREATE INDEX step_{n}_name ON step_{n} (name);\n"
            )
        }
        Kind::Trivial => format!("COMMENT ON SCHEMA public IS 'step {n}';\n"),
    }
}
