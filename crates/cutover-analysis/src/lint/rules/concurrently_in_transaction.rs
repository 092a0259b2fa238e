//! What PostgreSQL refuses in a transaction, in one.

use pg_query::NodeEnum;

use super::{Look, Rule, Watch};
use crate::effects::{Control, TransactionRule, made_at_run_time};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "concurrently-in-transaction",
        severity: Severity::Error,
        on: true,
        why: "PostgreSQL refuses CONCURRENTLY, VACUUM and the like inside a transaction: the file fails when it runs.",
        safe: "a file with the statement alone, without BEGIN and COMMIT: its statements run outside a transaction",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("BEGIN; CREATE INDEX CONCURRENTLY orders_number ON orders (number); COMMIT;"),
            Example::of("START TRANSACTION; DROP INDEX CONCURRENTLY orders_number; END;"),
            Example::of("BEGIN; SELECT 1; COMMIT AND CHAIN; REINDEX TABLE CONCURRENTLY orders; COMMIT;"),
            Example::of("BEGIN; ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY; COMMIT;"),
            Example::of("BEGIN; VACUUM orders; COMMIT;"),
            Example::of("DO $$ BEGIN CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON orders (number); END $$;"),
            Example::of("DO $$ BEGIN EXECUTE 'CREATE INDEX CONCURRENTLY i ON orders (number)'; END $$;"),
            Example::of(
                "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables LOOP EXECUTE format('CREATE INDEX CONCURRENTLY ON %I (id)', t); END LOOP; END $$;",
            ),
        ],
        good: &[
            Example::of("CREATE INDEX CONCURRENTLY orders_number ON orders (number);"),
            Example::of(
                "BEGIN; SELECT 1; COMMIT; CREATE INDEX CONCURRENTLY orders_number ON orders (number);",
            ),
            Example::of("BEGIN; CREATE INDEX orders_number ON orders (number); COMMIT;"),
            Example::of("BEGIN; REFRESH MATERIALIZED VIEW CONCURRENTLY sales; COMMIT;"),
            Example::of(
                "DO $$ BEGIN EXECUTE format('REFRESH MATERIALIZED VIEW CONCURRENTLY %I', 'sales'); END $$;",
            ),
            Example::of(
                "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE INDEX CONCURRENTLY i ON orders (number)'; END $$;",
            ),
        ],
    },
    look: Look::File(|| Box::new(Open::default())),
};

/// Whether a transaction is open.
#[derive(Default)]
struct Open(bool);

impl Watch for Open {
    fn statement(&mut self, site: &Site<'_>, found: &mut Found<'_>) {
        if let NodeEnum::DoStmt(block) = site.node
            && made_at_run_time(block).iter().any(|text| is_concurrent(text))
        {
            found.say("a block always runs in a transaction, in which PostgreSQL refuses CONCURRENTLY");
        }
        match site.effects.transaction {
            TransactionRule::Control(Control::Begin) => self.0 = true,
            TransactionRule::Control(Control::Commit | Control::Rollback) => {
                // With AND CHAIN the next one is open already.
                self.0 = matches!(site.node, NodeEnum::TransactionStmt(ends) if ends.chain);
            }
            TransactionRule::Forbidden { what } if site.in_block => {
                found
                    .say(format!("a block always runs in a transaction, in which PostgreSQL refuses {what}"));
            }
            TransactionRule::Forbidden { what } if self.0 => {
                found.say(format!("PostgreSQL refuses {what} between BEGIN and COMMIT"));
            }
            _ => {}
        }
    }
}

/// Whether a text that is put together makes such a statement. Views may be refreshed so in a transaction.
fn is_concurrent(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    text.contains("CONCURRENTLY") && !text.contains("REFRESH")
}
