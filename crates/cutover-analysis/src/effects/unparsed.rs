//! What the keywords of a statement say, where no tree can be built.
//!
//! It knows what the runner must not get wrong: transaction rules and COPY data. Of the objects only those are looked for
//! that stand at the beginning: the table that INSERT and COPY fill, what CREATE, ALTER and DROP are about.

use super::model::{
    Control, Effects, ObjectKind, ObjectRef, Reference, Retry, Setting, TEMPORARY_SCHEMA, TransactionRule,
};
use super::names;
use crate::sql::LONGEST_ANALYSED;
use crate::sql::lexer::{Kind, Scan, scan};
use crate::sql::progress::Progress;
use crate::sql::tokens::{Token, Tokens};

/// So many keywords at the beginning decide; a longer statement has its data or its body behind them.
const DECIDING: usize = 32;

pub(super) fn effects(sql: &str, reason: String) -> Effects {
    let head = Head::of(sql);
    let transaction = head.transaction();
    let retry = match transaction {
        TransactionRule::Forbidden { what: "VACUUM" | "ALTER SYSTEM" | "DISCARD ALL" } => Retry::Idempotent,
        _ => Retry::Unknown,
    };
    let target = head.target();
    let written = target.clone().map(|object| Reference { object, why: "written".into(), by: None });
    let Subject { creates, alters, drops, mut references } = head.subject();
    references.extend(written);
    Effects {
        creates,
        alters,
        drops,
        writes: target.into_iter().collect(),
        references,
        handles: qualified(sql),
        opaque: Some(reason),
        transaction,
        retry,
        copy_from_stdin: head.copy_from_stdin,
        settings: head.setting().into_iter().collect(),
        statements: if sql.len() > LONGEST_ANALYSED { possible_statements(sql) } else { 1 },
        sets_search_path: head.may_set_search_path(),
        // Rows may come from functions; only COPY is known not to call any.
        session_state: !head.copy_from_stdin,
        ..Effects::default()
    }
}

/// What stands behind a name and a dot, one for each such name: a schema's object, a table's column, nobody can tell.
pub(super) fn qualified(sql: &str) -> Vec<ObjectRef> {
    let mut found: Vec<ObjectRef> = Vec::new();
    let mut before: Option<Token<'_>> = None;
    let mut tokens = Tokens::new(sql).peekable();
    while let Some(token) = tokens.next() {
        let is_name = |token: &Token<'_>| matches!(token.kind, Kind::Word | Kind::QuotedIdentifier);
        if token.kind == Kind::Dot
            && let Some(first) = before.filter(is_name)
            && let Some(second) = tokens.peek().filter(|token| is_name(token))
        {
            let known = |known: &ObjectRef| known.schema.as_deref().is_some_and(|name| name == first.name());
            if !found.iter().any(known) {
                found.push(ObjectRef::new(ObjectKind::Relation, Some(first.name().into()), second.name()));
            }
        }
        before = Some(token);
    }
    found
}

/// How many statements a text may be that was not parsed. Only within a body between BEGIN ATOMIC and END does a
/// semicolon stand in what was cut as one, and only the parser knows where such a body really ends.
fn possible_statements(sql: &str) -> usize {
    let mut parentheses = 0_usize;
    let mut semicolons = 0;
    for token in Tokens::new(sql) {
        match token.kind {
            Kind::Open => parentheses += 1,
            Kind::Close => parentheses = parentheses.saturating_sub(1),
            Kind::Semicolon if parentheses == 0 => semicolons += 1,
            _ => {}
        }
    }
    semicolons + 1
}

/// What a statement is about by its first words.
#[derive(Default)]
struct Subject {
    creates: Vec<ObjectRef>,
    alters: Vec<ObjectRef>,
    drops: Vec<ObjectRef>,
    references: Vec<Reference>,
}

impl Subject {
    fn needs(&mut self, object: ObjectRef, why: &str) {
        self.references.push(Reference { object, why: why.into(), by: None });
    }
}

/// The tokens of a head that are still to be looked at.
struct Rest<'h, 'a>(&'h [(Kind, &'a str)]);

impl Rest<'_, '_> {
    /// Takes the words if they come next.
    fn takes(&mut self, words: &[&str]) -> bool {
        let is = |((kind, text), word): (&(Kind, &str), &&str)| {
            *kind == Kind::Word && text.eq_ignore_ascii_case(word)
        };
        let next = self.0.get(..words.len()).is_some_and(|next| next.iter().zip(words).all(is));
        if next {
            self.0 = self.0.get(words.len()..).unwrap_or_default();
        }
        next
    }

    fn takes_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.takes(&[word]))
    }

    /// Takes the word for a kind of objects.
    fn kind(&mut self) -> Option<ObjectKind> {
        use ObjectKind as K;
        let kinds: [(&[&str], K); 13] = [
            (&["MATERIALIZED", "VIEW"], K::MaterializedView),
            (&["FOREIGN", "TABLE"], K::ForeignTable),
            (&["TABLE"], K::Table),
            (&["VIEW"], K::View),
            (&["INDEX"], K::Index),
            (&["SEQUENCE"], K::Sequence),
            (&["TYPE"], K::Type),
            (&["DOMAIN"], K::Domain),
            (&["FUNCTION"], K::Function),
            (&["PROCEDURE"], K::Procedure),
            (&["AGGREGATE"], K::Aggregate),
            (&["ROUTINE"], K::Routine),
            (&["SCHEMA"], K::Schema),
        ];
        kinds.into_iter().find(|(words, _)| self.takes(words)).map(|(_, kind)| kind)
    }

    /// Takes a name with or without a schema.
    fn name(&mut self, kind: ObjectKind) -> Option<ObjectRef> {
        let is_name = |kind| matches!(kind, Kind::Word | Kind::QuotedIdentifier);
        let mut name = String::new();
        let mut after_dot = true;
        while let Some((token, text)) = self.0.first().copied()
            && (after_dot && is_name(token) || !after_dot && token == Kind::Dot)
        {
            name.push_str(text);
            after_dot = !after_dot;
            self.0 = self.0.get(1..).unwrap_or_default();
        }
        names::from_text(kind, &name)
    }
}

struct Head<'a> {
    tokens: Vec<(Kind, &'a str)>,
    words: Vec<String>,
    copy_from_stdin: bool,
}

impl<'a> Head<'a> {
    fn of(sql: &'a str) -> Self {
        let mut tokens = Vec::new();
        let mut words = Vec::new();
        let mut progress = Progress::default();
        let mut rest = sql;
        // A COPY statement may name many columns before it says where from.
        while words.len() < DECIDING || words.first().is_some_and(|first| first == "COPY") {
            let Scan::Token { kind, len } = scan(rest.as_bytes(), true) else { break };
            let Some((token, after)) = rest.split_at_checked(len) else { break };
            rest = after;
            if matches!(kind, Kind::Space | Kind::LineComment | Kind::BlockComment) {
                continue;
            }
            progress.take(kind, 0, token.as_bytes());
            if kind == Kind::Word {
                words.push(token.to_ascii_uppercase());
            }
            tokens.push((kind, token));
        }
        Self { tokens, words, copy_from_stdin: progress.is_copy_from_stdin() }
    }

    /// The table that INSERT or COPY fills.
    fn target(&self) -> Option<ObjectRef> {
        let before_name = match self.words.first()?.as_str() {
            "COPY" if self.copy_from_stdin => 1,
            "INSERT" => 2,
            _ => return None,
        };
        Rest(self.tokens.get(before_name..)?).name(ObjectKind::Relation)
    }

    /// What CREATE, ALTER and DROP are about.
    fn subject(&self) -> Subject {
        let mut subject = Subject::default();
        let mut rest = Rest(&self.tokens);
        if rest.takes(&["CREATE"]) {
            Self::created(&mut rest, &mut subject);
        } else if rest.takes(&["ALTER"]) {
            if let Some(kind) = rest.kind() {
                let missing_ok = rest.takes(&["IF", "EXISTS"]);
                rest.takes(&["ONLY"]);
                if let Some(object) = rest.name(kind) {
                    if !missing_ok {
                        subject.needs(object.clone(), "altered");
                    }
                    subject.alters.push(object);
                }
            }
        } else if rest.takes(&["DROP"])
            && let Some(kind) = rest.kind()
        {
            rest.takes(&["CONCURRENTLY"]);
            let missing_ok = rest.takes(&["IF", "EXISTS"]);
            while let Some(object) = rest.name(kind) {
                if !missing_ok {
                    subject.needs(object.clone(), "dropped");
                }
                subject.drops.push(object);
                if rest.0.first().is_none_or(|(kind, _)| *kind != Kind::Comma) {
                    break;
                }
                rest.0 = rest.0.get(1..).unwrap_or_default();
            }
        }
        subject
    }

    fn created(rest: &mut Rest<'_, '_>, subject: &mut Subject) {
        let replaced = rest.takes(&["OR", "REPLACE"]);
        rest.takes_any(&["GLOBAL", "LOCAL"]);
        let temporary = rest.takes_any(&["TEMPORARY", "TEMP"]);
        while rest.takes_any(&["UNLOGGED", "RECURSIVE", "UNIQUE"]) {}
        let Some(kind) = rest.kind() else { return };
        rest.takes(&["CONCURRENTLY"]);
        rest.takes(&["IF", "NOT", "EXISTS"]);
        if kind == ObjectKind::Index {
            let named = !rest.takes(&["ON"]);
            let index = if named { rest.name(kind) } else { None };
            if named && !rest.takes(&["ON"]) {
                return;
            }
            rest.takes(&["ONLY"]);
            let Some(table) = rest.name(ObjectKind::Relation) else { return };
            let index = index.map_or_else(String::new, |index| index.name.to_string());
            subject.creates.push(names::part_of(kind, &table, index));
            subject.needs(table.clone(), "indexed");
            subject.alters.push(table);
            return;
        }
        let Some(mut object) = rest.name(kind) else { return };
        if temporary && object.schema.is_none() {
            object.schema = Some(TEMPORARY_SCHEMA.into());
        }
        if replaced {
            subject.alters.push(object.clone());
        }
        subject.creates.push(object);
    }

    fn transaction(&self) -> TransactionRule {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let concurrently = words.contains(&"CONCURRENTLY");
        let forbidden = |what| TransactionRule::Forbidden { what };
        let control = TransactionRule::Control;
        match words.as_slice() {
            ["BEGIN", ..] | ["START", "TRANSACTION", ..] => control(Control::Begin),
            ["SAVEPOINT" | "RELEASE", ..]
            | ["PREPARE", "TRANSACTION", ..]
            | ["COMMIT" | "ROLLBACK", "PREPARED", ..]
            | ["ROLLBACK", "TO", ..]
            | ["ROLLBACK", "TRANSACTION" | "WORK", "TO", ..] => control(Control::Other),
            ["COMMIT" | "END", ..] => control(Control::Commit),
            ["ROLLBACK" | "ABORT", ..] => control(Control::Rollback),
            ["CREATE", "INDEX", "CONCURRENTLY", ..] | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", ..] => {
                forbidden("CREATE INDEX CONCURRENTLY")
            }
            ["DROP", "INDEX", "CONCURRENTLY", ..] => forbidden("DROP INDEX CONCURRENTLY"),
            ["REINDEX", ..] if concurrently => forbidden("REINDEX CONCURRENTLY"),
            ["REINDEX", "SCHEMA" | "DATABASE" | "SYSTEM", ..] => forbidden("REINDEX of a database"),
            ["ALTER", "TABLE", rest @ ..] if concurrently && rest.contains(&"DETACH") => {
                forbidden("ALTER TABLE … DETACH PARTITION CONCURRENTLY")
            }
            ["VACUUM", ..] => forbidden("VACUUM"),
            ["CLUSTER"] => forbidden("CLUSTER of all tables"),
            ["CREATE", "DATABASE", ..] => forbidden("CREATE DATABASE"),
            ["DROP", "DATABASE", ..] => forbidden("DROP DATABASE"),
            ["CREATE", "TABLESPACE", ..] => forbidden("CREATE TABLESPACE"),
            ["DROP", "TABLESPACE", ..] => forbidden("DROP TABLESPACE"),
            ["CREATE", "SUBSCRIPTION", ..] => forbidden("CREATE SUBSCRIPTION with a replication slot"),
            ["DROP", "SUBSCRIPTION", ..] => forbidden("DROP SUBSCRIPTION"),
            ["ALTER", "SYSTEM", ..] => forbidden("ALTER SYSTEM"),
            ["DISCARD", "ALL", ..] => forbidden("DISCARD ALL"),
            _ => TransactionRule::Allowed,
        }
    }

    /// What SET sets; to which value is not looked for.
    fn setting(&self) -> Option<Setting> {
        let mut names = self.tokens.iter().map(|(_, text)| text.trim_matches('"').to_ascii_lowercase());
        if names.next()? != "set" {
            return None;
        }
        let name = names.find(|name| !matches!(name.as_str(), "local" | "session"))?;
        let name = if name == "names" { "client_encoding".to_owned() } else { name };
        Some(Setting { name, values: None })
    }

    fn may_set_search_path(&self) -> bool {
        let first = self.words.first().map_or("", String::as_str);
        // Plain rows cannot; a query, a block or a procedure can.
        !matches!(first, "COPY" | "CREATE" | "ALTER" | "DROP" | "INSERT" | "COMMENT" | "GRANT")
    }
}

#[cfg(test)]
mod tests {
    use smol_str::SmolStr;

    use super::*;
    use crate::effects::effects_of_text;

    fn of(sql: &str) -> Effects {
        effects(sql, "too long".to_owned())
    }

    #[test]
    fn keywords_tell_what_a_transaction_forbids() {
        let forbidden = |sql: &str| matches!(of(sql).transaction, TransactionRule::Forbidden { .. });
        assert!(forbidden("/* a */ create -- b\n unique index concurrently i on t (a)"));
        assert!(forbidden("VACUUM (FULL) t"));
        assert!(forbidden("REINDEX TABLE CONCURRENTLY t"));
        assert!(!forbidden("CREATE INDEX \"concurrently\" ON t (a)"));
        assert!(!forbidden("INSERT INTO vacuum VALUES (1)"));
    }

    #[test]
    fn keywords_tell_transaction_control() {
        let control = |sql: &str| of(sql).transaction;
        assert_eq!(control("begin"), TransactionRule::Control(Control::Begin));
        assert_eq!(control("ROLLBACK TO SAVEPOINT a"), TransactionRule::Control(Control::Other));
        assert_eq!(control("END"), TransactionRule::Control(Control::Commit));
    }

    #[test]
    fn the_table_that_is_filled_is_known() {
        let table = |sql: &str| of(sql).writes.into_iter().next().map(|table| (table.schema, table.name));
        let name = |schema: Option<&str>, name: &str| Some((schema.map(SmolStr::new), SmolStr::new(name)));
        assert_eq!(table("INSERT INTO App . \"Users\" (id) VALUES (1)"), name(Some("app"), "Users"));
        assert_eq!(table("insert into /* a */ t values (1)"), name(None, "t"));
        assert_eq!(table("COPY app.t FROM STDIN"), name(Some("app"), "t"));
        assert_eq!(table("SELECT 1"), None);
    }

    #[test]
    fn what_a_statement_is_about_stands_at_its_beginning() {
        let about = |sql: &str| {
            let effects = of(sql);
            let words = |sign: char, objects: &[ObjectRef]| {
                objects.iter().map(|object| format!("{sign}{object}")).collect::<Vec<_>>()
            };
            [words('+', &effects.creates), words('~', &effects.alters), words('-', &effects.drops)]
                .concat()
                .join(" ")
        };
        for (sql, found) in [
            ("CREATE VIEW v AS SELECT 1+1", "+view v"),
            ("create or replace recursive view App.\"V\" as select 1", "+view app.V ~view app.V"),
            ("CREATE MATERIALIZED VIEW IF NOT EXISTS a.m AS SELECT 1", "+materialized view a.m"),
            ("CREATE UNLOGGED TABLE t (a int)", "+table t"),
            ("CREATE TEMP TABLE t (a int)", "+table pg_temp.t"),
            ("CREATE UNIQUE INDEX i ON ONLY a.t (b)", "+index a.i ~relation a.t"),
            ("CREATE INDEX ON t (b)", "+index (named by PostgreSQL) ~relation t"),
            ("CREATE FUNCTION f(a int) RETURNS int", "+function f"),
            ("ALTER TABLE IF EXISTS ONLY a.t ADD b int", "~table a.t"),
            ("DROP TABLE IF EXISTS a, b.c CASCADE", "-table a -table b.c"),
            ("CREATE ROLE r", ""),
            ("CREATE", ""),
            ("SELECT 'CREATE TABLE t'", ""),
        ] {
            assert_eq!(about(sql), found, "{sql}");
        }
        let needed = of("DROP INDEX a.i").references;
        assert_eq!(needed.len(), 1);
        assert!(of("DROP INDEX IF EXISTS a.i").references.is_empty());
    }

    #[test]
    fn what_a_text_without_a_tree_may_touch() {
        let touched = |sql: &str| -> Vec<String> { of(sql).touches().map(ToString::to_string).collect() };
        assert_eq!(
            touched("GRANT ALL ON app . a, App.b, \"X\".\"y\" TO c"),
            ["relation app.a", "relation X.y"]
        );
        assert!(touched("COMMENT ON x IS 'app.a' -- app.b").is_empty());
        assert!(touched("VALUES (1.5, '.', a)").is_empty());
    }

    #[test]
    fn a_long_text_that_may_be_several_statements_is_told() {
        let long = format!(
            "CREATE FUNCTION f() BEGIN ATOMIC /*{}*/ SELECT 1 case; END; COMMIT; SELECT 1 end",
            " ".repeat(LONGEST_ANALYSED)
        );
        assert_eq!(effects_of_text(&long).unwrap().statements, 4);
        let rows = format!("INSERT INTO t VALUES ('{};')", ";".repeat(LONGEST_ANALYSED));
        assert_eq!(effects_of_text(&rows).unwrap().statements, 1);
    }

    #[test]
    fn keywords_tell_what_is_set() {
        let set = |sql: &str| of(sql).settings.into_iter().map(|setting| setting.name).collect::<Vec<_>>();
        assert_eq!(
            set("SET /* a */ LOCAL standard_conforming_strings = on"),
            ["standard_conforming_strings"]
        );
        assert_eq!(set("set names 'utf8'"), ["client_encoding"]);
        assert!(set("SELECT 1").is_empty());
    }

    #[test]
    fn keywords_tell_copy_data() {
        assert!(of("COPY t (a, b) FROM stdin WITH (FORMAT csv)").copy_from_stdin);
        assert!(!of("COPY t FROM '/tmp/stdin'").copy_from_stdin);
        assert!(!of("COPY (SELECT 1 FROM stdin) TO STDOUT").copy_from_stdin);
    }
}
