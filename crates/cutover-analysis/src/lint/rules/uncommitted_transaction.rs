//! A transaction that is not committed.

use pg_query::NodeEnum;
use pg_query::protobuf::TransactionStmtKind as Kind;

use super::{Look, Rule, Watch};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "uncommitted-transaction",
        severity: Severity::Error,
        on: true,
        why: "What a transaction has done that nobody commits is undone when the connection ends: the migration has no effect.",
        safe: "end it with COMMIT, or leave out its BEGIN",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("BEGIN; CREATE TABLE a (n int);"),
            Example::of("BEGIN; CREATE TABLE a (n int); ROLLBACK;"),
            Example::of("BEGIN; SELECT 1; COMMIT; START TRANSACTION; CREATE TABLE a (n int);"),
            Example::of("BEGIN; SAVEPOINT s; CREATE TABLE a (n int); ROLLBACK TO s;"),
        ],
        good: &[
            Example::of("BEGIN; CREATE TABLE a (n int); COMMIT;"),
            Example::of("START TRANSACTION; CREATE TABLE a (n int); END;"),
            Example::of("CREATE TABLE a (n int);"),
            Example::of("BEGIN; SAVEPOINT s; SELECT 1; RELEASE s; COMMIT;"),
            Example::of("BEGIN; SELECT 1; PREPARE TRANSACTION 'a';"),
        ],
    },
    look: Look::File(|| Box::new(Open::default())),
};

/// The transaction that has begun and not ended, or those that are undone.
#[derive(Default)]
struct Open {
    begun: Option<usize>,
    undone: Vec<usize>,
}

impl Watch for Open {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        let NodeEnum::TransactionStmt(control) = site.node else { return };
        match control.kind() {
            Kind::TransStmtBegin | Kind::TransStmtStart => self.begun = self.begun.or(Some(site.number)),
            Kind::TransStmtRollback => self.undone.extend(self.begun.take()),
            Kind::TransStmtCommit if control.chain => self.begun = Some(site.number),
            Kind::TransStmtCommit | Kind::TransStmtPrepare => self.begun = None,
            _ => {}
        }
    }

    fn end(self: Box<Self>, end: &FileEnd, found: &mut Found<'_>) {
        for number in self.undone {
            found.say_of(
                number,
                end.span(number),
                "what this transaction does is rolled back: it has no effect",
            );
        }
        if let Some(number) = self.begun {
            found.say_of(number, end.span(number), "nobody commits this transaction: it has no effect");
        }
    }
}
