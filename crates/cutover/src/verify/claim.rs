//! Objects as `cutover.toml` names them: `table users`, `index app.idx`, `constraint orders.fk_account`, a bare name
//! for a table. Names are written as in SQL: folded to lower case unless quoted.

use std::fmt;

use cutover_analysis::effects::{ObjectKind, ObjectRef, SmolStr};
use cutover_analysis::schema::{self, Id};
use cutover_analysis::sql::quote_ident;

use crate::text::suggest;

/// Kinds whose word alone is taken for a mistake. The others' (`server`, `language`) are names that tables often have: alone
/// they mean such a table.
const NEED_A_NAME: [ObjectKind; 20] = [
    ObjectKind::Table,
    ObjectKind::Column,
    ObjectKind::Constraint,
    ObjectKind::Index,
    ObjectKind::View,
    ObjectKind::MaterializedView,
    ObjectKind::Sequence,
    ObjectKind::ForeignTable,
    ObjectKind::Type,
    ObjectKind::Domain,
    ObjectKind::Function,
    ObjectKind::Procedure,
    ObjectKind::Aggregate,
    ObjectKind::Trigger,
    ObjectKind::Policy,
    ObjectKind::Rule,
    ObjectKind::Schema,
    ObjectKind::Extension,
    ObjectKind::Statistics,
    ObjectKind::Publication,
];

/// Kinds whose objects are told apart by arguments.
const WITH_ARGUMENTS: [ObjectKind; 6] = [
    ObjectKind::Function,
    ObjectKind::Procedure,
    ObjectKind::Aggregate,
    ObjectKind::Operator,
    ObjectKind::OperatorClass,
    ObjectKind::OperatorFamily,
];

/// The words for kinds that a claim can name.
fn words() -> impl Iterator<Item = &'static str> {
    schema::words().filter(|word| kind(word).is_some())
}

/// The kind a word in a claim means. What is named by what it belongs to has none.
fn kind(word: &str) -> Option<ObjectKind> {
    let nameless = [ObjectKind::Default, ObjectKind::Partition, ObjectKind::DefaultPrivileges];
    schema::by_word(word).filter(|kind| !nameless.contains(kind))
}

/// One object named by a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// As it is written, for messages.
    text: String,
    kind: ObjectKind,
    /// The parts of the name; its last one is the object's own.
    name: Vec<String>,
}

impl Claim {
    /// Reads a claim; an error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if kind(trimmed).is_some_and(|kind| NEED_A_NAME.contains(&kind)) {
            return Err(format!("{text:?}: a name is missing; an object of that name is written in quotes"));
        }
        // The longest kind word that begins it: `materialized view` before `view`.
        let begins = |word: &&str| trimmed.strip_prefix(word).is_some_and(|rest| rest.starts_with(' '));
        let word = words().filter(begins).max_by_key(|word| word.len());
        let (kind, rest) = match word.and_then(|word| Some((kind(word)?, &trimmed[word.len()..]))) {
            Some(found) => found,
            None => (ObjectKind::Table, trimmed),
        };
        // Arguments may be written and do not count: overloads are one claim.
        let arguments = WITH_ARGUMENTS.contains(&kind);
        let name = name(rest.trim(), arguments).map_err(|why| format!("{text:?}: {why}"))?;
        let longest = if kind.is_part_of_a_table() { 3 } else { 2 };
        if name.len() > longest {
            return Err(format!("{text:?}: too many parts in the name"));
        }
        Ok(Self { text: trimmed.to_owned(), kind, name })
    }

    /// The object's own name.
    pub(crate) fn own_name(&self) -> &str {
        self.name.last().map_or("", String::as_str)
    }

    pub(crate) fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// The relation that it names, as SQL spells it; none for what is no relation, or is named with its table.
    pub(crate) fn relation(&self) -> Option<String> {
        let is_relation = matches!(
            self.kind,
            ObjectKind::Table
                | ObjectKind::Index
                | ObjectKind::View
                | ObjectKind::MaterializedView
                | ObjectKind::Sequence
                | ObjectKind::ForeignTable
        );
        let parts: Vec<String> = self.name.iter().map(|part| quote_ident(part)).collect();
        (is_relation && parts.len() <= 2).then(|| parts.join("."))
    }

    /// What it names, as statements name it.
    pub(crate) fn reference(&self) -> ObjectRef {
        let mut before = self.name.iter().rev().skip(1);
        let table = if self.kind.is_part_of_a_table() { before.next().map(SmolStr::from) } else { None };
        let schema = before.next().map(SmolStr::from);
        ObjectRef { table, ..ObjectRef::new(self.kind, schema, self.own_name()) }
    }

    /// Whether it names this object. Without a schema any will do.
    pub(crate) fn names(&self, object: &Id) -> bool {
        let kind = self.kind == object.kind
            // What a bare name or `table` says of a foreign table, and `type` of a domain, is close enough.
            || self.kind == ObjectKind::Table && object.kind == ObjectKind::ForeignTable
            || self.kind == ObjectKind::Type && object.kind == ObjectKind::Domain;
        if !kind || self.own_name() != object.name {
            return false;
        }
        let schema = object.schema.as_deref();
        let table = object.table.as_deref();
        match (self.kind.is_part_of_a_table(), self.name.as_slice()) {
            (_, [_]) => true,
            (false, [first, _]) => Some(first.as_str()) == schema,
            (true, [first, _]) => Some(first.as_str()) == table,
            (_, [first, second, _]) => Some(first.as_str()) == schema && Some(second.as_str()) == table,
            _ => false,
        }
    }

    /// Whether it is written with the schema of an object it names.
    pub(crate) fn has_schema(&self, object: &Id) -> bool {
        let longest = if self.kind.is_part_of_a_table() { 3 } else { 2 };
        object.schema.is_some() && self.name.len() == longest
    }

    /// Whether it names the table an object belongs to.
    pub(crate) fn names_table_of(&self, object: &Id) -> bool {
        let (Some(_), Some(table)) = (&object.schema, &object.table) else { return false };
        matches!(self.kind, ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView)
            && self.own_name() == table
            && (self.name.len() == 1 || self.name.first().map(String::as_str) == object.schema.as_deref())
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The parts of a name between dots, each folded or unquoted.
fn name(text: &str, arguments: bool) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = part(rest)?;
        parts.push(part);
        if after.is_empty() || arguments && after.trim_start().starts_with('(') {
            return Ok(parts);
        }
        rest = after.strip_prefix('.').ok_or_else(|| unexpected(text, after))?;
    }
}

fn part(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end =
            text.find(|c: char| c == '.' || c == '"' || c.is_whitespace() || c == '(').unwrap_or(text.len());
        if end == 0 {
            return Err("a name is missing".to_owned());
        }
        return Ok((text[..end].to_lowercase(), &text[end..]));
    };
    let mut name = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if c != '"' {
            name.push(c);
        } else if characters.next_if(|(_, next)| *next == '"').is_some() {
            name.push('"');
        } else {
            return Ok((name, &quoted[at + 1..]));
        }
    }
    Err("a quoted name is not closed".to_owned())
}

fn unexpected(text: &str, after: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default();
    match suggest(first, words()) {
        Some(word) if after.starts_with(char::is_whitespace) => {
            format!("{first:?} is no kind of object; did you mean {word:?}?")
        }
        _ => format!("{after:?} is not expected after the name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: ObjectKind, schema: &str, table: Option<&str>, name: &str) -> Id {
        Id { table: table.map(Into::into), ..Id::new(kind, schema, name) }
    }

    #[test]
    fn kinds_and_names_are_read_as_sql_writes_them() {
        let users = object(ObjectKind::Table, "public", None, "users");
        for text in ["users", "table users", "table USERS", "public.users", "table \"users\""] {
            assert!(Claim::parse(text).unwrap().names(&users), "{text}");
        }
        for text in ["\"Users\"", "app.users", "view users", "index users"] {
            assert!(!Claim::parse(text).unwrap().names(&users), "{text}");
        }
        let hostile = object(ObjectKind::Table, "public", None, "a \"b\".c\nd");
        assert!(Claim::parse("table \"a \"\"b\"\".c\nd\"").unwrap().names(&hostile));
    }

    #[test]
    fn parts_of_a_table_are_named_with_it() {
        let key = object(ObjectKind::Constraint, "app", Some("orders"), "fk_account");
        for text in
            ["constraint fk_account", "constraint orders.fk_account", "constraint app.orders.fk_account"]
        {
            assert!(Claim::parse(text).unwrap().names(&key), "{text}");
        }
        assert!(!Claim::parse("constraint runs.fk_account").unwrap().names(&key));
        assert!(Claim::parse("table app.orders").unwrap().names_table_of(&key));
        assert!(!Claim::parse("table public.orders").unwrap().names_table_of(&key));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(Claim::parse("tabel users").unwrap_err().contains("did you mean \"table\"?"));
        for text in ["", "table ", "table \"open", "table a.b.c", "a..b", "table t()"] {
            assert!(Claim::parse(text).is_err(), "{text}");
        }
    }
}
