//! What a statement would have said that was not run: what it names is not in no model.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableStmt, AlterTableType};

use crate::effects::{Effects, ObjectKind, effects_of_text};
use crate::sql::parse;

/// What may be in the models although nothing was made of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsaid {
    /// Tables that it makes, or adds something to.
    pub more: Vec<String>,
    /// Tables and types that it makes otherwise.
    pub otherwise: Vec<String>,
    /// It makes a table of a name that is not known.
    pub a_table: bool,
    /// It may have made anything.
    pub anything: bool,
}

/// What a statement of the models would have said, as far as its text says it. Where that cannot be told, it is anything.
pub fn unsaid(text: &str) -> Unsaid {
    let mut unsaid = Unsaid::default();
    let (Ok(parsed), Ok(effects)) = (parse(text), effects_of_text(text)) else {
        match named(text) {
            Some(names) => unsaid.otherwise = names,
            None => unsaid.anything = true,
        }
        return unsaid;
    };
    for node in parsed.statements() {
        one(node, &effects, &mut unsaid);
    }
    unsaid
}

fn one(node: &NodeEnum, effects: &Effects, unsaid: &mut Unsaid) {
    let of = |kinds: &[ObjectKind]| -> Vec<String> {
        let all = effects.creates.iter().chain(&effects.alters).chain(&effects.drops);
        let whole = all.map(|object| (object.kind, object.table.as_ref().unwrap_or(&object.name), object));
        whole
            .filter(|(kind, _, object)| kinds.contains(kind) || object.table.is_some())
            .map(|(_, name, _)| name.to_string())
            .collect()
    };
    let tables = || of(&[ObjectKind::Table, ObjectKind::Partition]);
    match node {
        // What it runs may make anything.
        NodeEnum::DoStmt(_) | NodeEnum::CallStmt(_) | NodeEnum::ExecuteStmt(_) => unsaid.anything = true,
        NodeEnum::SelectStmt(_) | NodeEnum::CreateTableAsStmt(_) => {
            unsaid.more.extend(tables());
            unsaid.anything |= effects.opaque.is_some();
        }
        NodeEnum::CreateStmt(_) | NodeEnum::CreateSchemaStmt(_) | NodeEnum::IndexStmt(_) => {
            unsaid.more.extend(tables());
        }
        NodeEnum::AlterTableStmt(alter) if only_adds(alter) => unsaid.more.extend(tables()),
        NodeEnum::AlterTableStmt(_) | NodeEnum::RenameStmt(_) | NodeEnum::AlterObjectSchemaStmt(_) => {
            unsaid.otherwise.extend(of(&[ObjectKind::Table, ObjectKind::Partition, ObjectKind::Type]));
        }
        NodeEnum::AlterEnumStmt(_) => unsaid.otherwise.extend(of(&[ObjectKind::Type])),
        _ => {}
    }
}

/// Whether what is there of a table stays as it is.
fn only_adds(alter: &AlterTableStmt) -> bool {
    let adds = |node: &pg_query::protobuf::Node| match &node.node {
        Some(NodeEnum::AlterTableCmd(command)) => {
            matches!(command.subtype(), AlterTableType::AtAddColumn | AlterTableType::AtAddConstraint)
        }
        _ => false,
    };
    alter.cmds.iter().all(adds)
}

/// What a text that is no statement names behind TABLE and ON, where that is what it is about; nothing where that cannot be read.
fn named(text: &str) -> Option<Vec<String>> {
    let lower = text.to_ascii_lowercase();
    let first: Vec<&str> = lower.split_whitespace().take(4).collect();
    let is_of_tables = match first.split_first()? {
        (&"create", rest) => {
            let kinds = ["unlogged", "temp", "temporary", "global", "local", "unique"];
            let kind = rest.iter().find(|word| !kinds.contains(word));
            matches!(kind, Some(&"table" | &"index"))
        }
        (&"alter", rest) => rest.first() == Some(&"table"),
        _ => false,
    };
    if !is_of_tables {
        return None;
    }
    // Two statements may have become one: all of its names are meant.
    let mut names = Vec::new();
    for word in ["table", "on"] {
        for (at, _) in lower.match_indices(word).filter(|(at, _)| is_word(&lower, *at, word.len())) {
            match name_at(text.get(at + word.len()..)?) {
                Some(name) => names.push(name),
                None if word == "table" => return None,
                None => {}
            }
        }
    }
    Some(names)
}

fn is_word(text: &str, at: usize, length: usize) -> bool {
    let apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '"');
    apart(text.get(..at).and_then(|before| before.chars().next_back()))
        && apart(text.get(at + length..).and_then(|behind| behind.chars().next()))
}

/// The name that a text begins with, without its schema.
fn name_at(text: &str) -> Option<String> {
    let mut rest = text.trim_start();
    while let Some(behind) = ["if", "not", "exists", "only"].iter().find_map(|word| {
        let is_it = rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        rest.get(word.len()..).filter(|behind| is_it && behind.starts_with(char::is_whitespace))
    }) {
        rest = behind.trim_start();
    }
    let mut name = None;
    loop {
        let quoted = rest.strip_prefix('"').and_then(|quoted| quoted.split_once('"'));
        let (part, behind) = if let Some((part, behind)) = quoted {
            (part.to_owned(), behind)
        } else {
            let is_of = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
            let end = rest.find(|c| !is_of(c)).unwrap_or(rest.len());
            let (part, behind) = rest.split_at_checked(end)?;
            (part.to_lowercase(), behind)
        };
        if part.is_empty() || behind.starts_with('"') {
            return None;
        }
        name = Some(part).or(name);
        match behind.strip_prefix('.') {
            Some(behind) => rest = behind,
            None => return name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Unsaid, unsaid};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_a_statement_names_is_told_and_what_cannot_be_read_is_anything() {
        for (sql, more) in [
            ("CREATE TABLE b (g geometry)", &["b"][..]),
            ("CREATE TABLE app.\"B\" AS SELECT 1 AS x", &["B"]),
            ("ALTER TABLE b ADD COLUMN g geometry, ADD CONSTRAINT c CHECK (true)", &["b", "b", "b"]),
            ("CREATE INDEX i ON b USING gist (g)", &["b"]),
            ("CREATE VIEW v AS SELECT 1 AS x", &[]),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", &[]),
            ("SET transaction_timeout = 0", &[]),
        ] {
            let found = unsaid(sql);
            assert!(more.iter().all(|name| found.more.iter().any(|it| it == name)), "{sql}: {found:?}");
            assert!(!found.anything && found.otherwise.is_empty(), "{sql}: {found:?}");
            assert_eq!(found.more.is_empty(), more.is_empty(), "{sql}: {found:?}");
        }
        for (sql, otherwise) in [
            ("CREATE TABLE b (id int PRIMARY KEY, v text,)", &["b"][..]),
            ("create unlogged table IF NOT EXISTS app.\"B c\" (id int,)", &["B c"]),
            ("CREATE TABLE a (id int)\nCREATE TABLE b (id int)", &["a", "b"]),
            ("ALTER TABLE ONLY b ADD COLUM x int y", &["b"]),
            ("CREATE UNIQUE INDEX i ON b (x,)", &["b"]),
            ("ALTER TABLE b ALTER COLUMN g TYPE geometry", &["b"]),
            ("ALTER TABLE b RENAME TO c", &["b", "c"]),
            ("ALTER TYPE mood ADD VALUE 'odd'", &["mood"]),
        ] {
            let found = unsaid(sql);
            assert!(
                otherwise.iter().all(|name| found.otherwise.iter().any(|it| it == name)),
                "{sql}: {found:?}"
            );
            assert!(!found.anything, "{sql}: {found:?}");
        }
        let anything = Unsaid { anything: true, ..Unsaid::default() };
        for sql in [
            "CREATE TABEL b (id int)",
            "CREATE TABLE :name (id int)",
            "CREATE TABLE /* which */ b (id int,)",
            "DO $$ BEGIN EXECUTE 'CREATE TABLE b ()'; END $$",
            "SELECT make_tables()",
        ] {
            assert_eq!(unsaid(sql), anything, "{sql}");
        }
        assert_eq!(unsaid("CREATE TABLE b ()").more, names(&["b"]));
    }
}
