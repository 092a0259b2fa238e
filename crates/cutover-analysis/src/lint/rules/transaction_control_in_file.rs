//! `BEGIN`, `COMMIT` and `ROLLBACK` in a migration. One pair around the whole file is replaced by the transaction of whoever runs it.

use pg_query::NodeEnum;
use pg_query::protobuf::TransactionStmtKind as Kind;

use super::{Look, Rule, Watch};
use crate::effects::ends_transaction;
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "transaction-control-in-file",
        severity: Severity::Error,
        on: true,
        why: "BEGIN, COMMIT and ROLLBACK in a migration end the transaction that it is applied and recorded in: what fails then is half done.",
        safe: "leave them out: each migration is one transaction, and `-- cutover: new-transaction` begins another",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("DO $$ BEGIN LOOP UPDATE a SET n = 1 WHERE id = 1; COMMIT; EXIT; END LOOP; END $$;"),
            Example::of("CREATE TABLE a (n int); COMMIT; CREATE TABLE b (n int);"),
            Example::of("BEGIN; CREATE TABLE a (n int); COMMIT; BEGIN; CREATE TABLE b (n int); COMMIT;"),
            Example::of("CREATE TABLE a (n int); ROLLBACK;"),
            Example::of("BEGIN; SELECT 1;"),
            Example::of("START TRANSACTION; SELECT 1; COMMIT; SELECT 2;"),
            Example::of("BEGIN; SELECT 1; PREPARE TRANSACTION 'a'; COMMIT;"),
        ],
        good: &[
            Example::of(
                "-- cutover: no-transaction\nDO $$ BEGIN LOOP UPDATE a SET n = 1 WHERE id = 1; COMMIT; EXIT; END LOOP; END $$;",
            ),
            Example::of("DO $$ BEGIN INSERT INTO log (commit) VALUES ('commit;'); END $$;"),
            Example::of("CREATE TABLE a (n int);"),
            Example::of("BEGIN; CREATE TABLE a (n int); COMMIT;"),
            Example::of("BEGIN; CREATE TABLE a (n int); END;"),
            Example::of("START TRANSACTION; SELECT 1; COMMIT WORK;"),
            Example::of("SAVEPOINT a; CREATE TABLE a (n int); RELEASE a;"),
            Example::of("BEGIN; SAVEPOINT a; SELECT 1; ROLLBACK TO a; COMMIT;"),
            Example::of("DO $$ BEGIN PERFORM 1; END $$;"),
            Example::of("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;"),
        ],
    },
    look: Look::File(|| Box::new(Controls::default())),
};

/// Where transactions begin and end.
#[derive(Default)]
struct Controls {
    controls: Vec<(usize, Kind)>,
    /// Blocks that commit or roll back.
    blocks: Vec<usize>,
}

impl Watch for Controls {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        match site.node {
            NodeEnum::TransactionStmt(control) => self.controls.push((site.number, control.kind())),
            NodeEnum::DoStmt(block) if ends_transaction(block) => self.blocks.push(site.number),
            _ => {}
        }
    }

    fn end(self: Box<Self>, end: &FileEnd, found: &mut Found<'_>) {
        for number in self.blocks.into_iter().filter(|_| !end.is_apart()) {
            let message = "a block that commits or rolls back fails inside the transaction of the migration";
            let help = "`-- cutover: no-transaction` above it: its statements run outside a transaction then";
            found.advise_of(number, end.span(number), message, help);
        }
        // Savepoints do no harm.
        let is_inner = |kind: Kind| {
            matches!(kind, Kind::TransStmtSavepoint | Kind::TransStmtRelease | Kind::TransStmtRollbackTo)
        };
        let controls: Vec<(usize, Kind)> =
            self.controls.into_iter().filter(|(_, kind)| !is_inner(*kind)).collect();
        if let [(0, Kind::TransStmtBegin | Kind::TransStmtStart), (last, Kind::TransStmtCommit)] =
            controls.as_slice()
            && *last + 1 == end.count()
        {
            return;
        }
        for (number, kind) in controls {
            let message = match kind {
                Kind::TransStmtBegin | Kind::TransStmtStart => {
                    "there is a transaction already, the one the migration is applied in"
                }
                Kind::TransStmtCommit => {
                    "what stands above is kept, whatever happens to the rest and to the record of it"
                }
                Kind::TransStmtRollback => "what stands above is undone, and the migration counts as applied",
                _ => "a prepared transaction keeps its locks until somebody ends it",
            };
            found.say_of(number, end.span(number), message);
        }
    }
}
