//! A new value of an enum that is used before it may be.

use pg_query::NodeEnum;

use super::{Look, Rule, Watch};
use crate::effects::{ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site};
use crate::sql::lexer::Kind;
use crate::sql::tokens::{Token, Tokens};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "enum-add-value-used-in-same-transaction",
        severity: Severity::Error,
        on: true,
        why: "A new value of an enum can be used when the transaction that added it is committed: until then it fails with 55P04.",
        safe: "ADD VALUE in a migration of its own, or `-- cutover: new-transaction` behind it",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TYPE mood ADD VALUE 'so so'; INSERT INTO people VALUES ('so so');"),
            Example::of(
                "ALTER TYPE mood ADD VALUE 'so so'; SELECT 1; ALTER TABLE people ALTER COLUMN mood SET DEFAULT 'so so';",
            ),
            Example::of(
                "ALTER TYPE app.mood ADD VALUE IF NOT EXISTS 'x' BEFORE 'y'; UPDATE people SET mood = 'x'::app.mood WHERE id = 1;",
            ),
            Example::of("ALTER TYPE mood ADD VALUE 'x'; CREATE INDEX i ON people (id) WHERE mood = 'x';")
                .over("CREATE TABLE people (id int, mood mood);"),
            Example::of(
                "ALTER TYPE mood ADD VALUE 'x'; UPDATE people SET mood = 'x'::public.mood WHERE id = 1; SELECT 1;",
            ),
            Example::of(
                "ALTER TYPE mood ADD VALUE 'x'; DO $$ BEGIN UPDATE people SET mood = 'x' WHERE id = 1; END $$;",
            ),
        ],
        good: &[
            Example::of(
                "ALTER TYPE mood ADD VALUE 'x';\n-- cutover: new-transaction\nINSERT INTO people VALUES ('x');",
            ),
            Example::of(
                "CREATE TYPE mood AS ENUM ('a'); ALTER TYPE mood ADD VALUE 'x'; CREATE TABLE people (mood mood DEFAULT 'x');",
            ),
            Example::of("ALTER TYPE mood ADD VALUE 'x'; ALTER TYPE mood ADD VALUE 'y' AFTER 'x';"),
            Example::of("ALTER TYPE mood ADD VALUE 'x'; COMMENT ON TYPE mood IS 'x';"),
            Example::of("ALTER TYPE mood ADD VALUE 'x'; INSERT INTO people VALUES ('a');"),
            Example::of("ALTER TYPE mood ADD VALUE 'x'; INSERT INTO notes VALUES ('x');")
                .over("CREATE TABLE notes (body text);"),
            Example::of("ALTER TYPE mood ADD VALUE 'x'; INSERT INTO notes VALUES ('x'::text);"),
            Example::of("INSERT INTO people VALUES ('x'); ALTER TYPE mood ADD VALUE 'x';"),
            Example::of(
                "ALTER TYPE mood ADD VALUE 'x'; CREATE FUNCTION f() RETURNS mood LANGUAGE plpgsql AS $$ BEGIN RETURN 'x'; END $$;",
            ),
        ],
    },
    look: Look::File(|| Box::new(Added::default())),
};

/// Values that were added, and statements that use them.
#[derive(Default)]
struct Added {
    values: Vec<(usize, ObjectRef, String)>,
    used: Vec<(usize, usize, String)>,
}

impl Watch for Added {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        if let NodeEnum::AlterEnumStmt(alter) = site.node {
            if let Some(own) = names::object(ObjectKind::Type, &alter.type_name)
                && alter.old_val.is_empty()
                // The values of a type that is not committed either can be used.
                && !site.known.is_made(&own)
            {
                self.values.push((site.number, own, alter.new_val.clone()));
            }
            return;
        }
        if self.values.is_empty() || !evaluates(site.node) {
            return;
        }
        let constants =
            constants(&site.statement.text, matches!(site.node, NodeEnum::DoStmt(_)) || site.in_block);
        for (number, own, value) in &self.values {
            let is_used = constants
                .iter()
                .any(|(text, cast)| text == value && cast.as_ref().is_none_or(|cast| *cast == own.name));
            if is_used && may_have(site, own) {
                let message =
                    format!("'{value}' of {} cannot be used before what adds it is committed", own.named());
                self.used.push((*number, site.number, message));
            }
        }
    }

    fn end(mut self: Box<Self>, end: &FileEnd, found: &mut Found<'_>) {
        self.used.dedup();
        for (added, used, message) in self.used {
            if end.together(added, used) {
                found.say_of(used, end.span(used), message);
            }
        }
    }
}

/// Whether a statement makes values of the constants in it. Bodies of functions wait until they are called.
fn evaluates(node: &NodeEnum) -> bool {
    !matches!(
        node,
        NodeEnum::CommentStmt(_)
            | NodeEnum::CreateFunctionStmt(_)
            | NodeEnum::CreateEnumStmt(_)
            | NodeEnum::VariableSetStmt(_)
            | NodeEnum::SecLabelStmt(_)
    )
}

/// Whether a table that a statement is about has a column of the type, or may have one.
fn may_have(site: &Site<'_>, own: &ObjectRef) -> bool {
    let effects = site.effects;
    let relations =
        [&effects.reads, &effects.writes, &effects.alters, &effects.creates].into_iter().flatten();
    let mut tables = relations.filter(|object| object.kind.family() == ObjectKind::Relation).peekable();
    let has = |table: &ObjectRef| {
        let Some(known) = site.known.relation(table).filter(|known| known.columns_known) else { return true };
        known.columns.iter().any(|column| column.data_type.name == own.name)
    };
    tables.peek().is_none() || tables.any(has)
}

/// The string constants of a text, and the types that they are cast to where that stands behind them; also those in blocks.
fn constants(text: &str, of_block: bool) -> Vec<(String, Option<String>)> {
    let tokens: Vec<Token<'_>> = Tokens::new(text).collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::String) {
        if let Some(body) = body(token.text) {
            if of_block {
                found.extend(constants(body, true));
                continue;
            }
            found.push((body.to_owned(), None));
        } else if let Some(quoted) = token.text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
            found.push((quoted.replace("''", "'"), cast(tokens.get(at + 1..).unwrap_or_default())));
        }
    }
    found
}

/// What stands between the dollars.
fn body(text: &str) -> Option<&str> {
    let (tag, _) = text.strip_prefix('$')?.split_once('$')?;
    let tag = format!("${tag}$");
    text.strip_prefix(&tag)?.strip_suffix(&tag)
}

/// The last name of the type behind `::`.
fn cast(tokens: &[Token<'_>]) -> Option<String> {
    let [first, second, rest @ ..] = tokens else { return None };
    if first.text != ":" || second.text != ":" {
        return None;
    }
    let mut name = rest.first()?;
    let mut rest = rest.get(1..)?;
    while let [dot, next, after @ ..] = rest {
        if dot.kind != Kind::Dot {
            break;
        }
        (name, rest) = (next, after);
    }
    Some(name.name())
}
