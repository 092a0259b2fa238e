//! `VALIDATE CONSTRAINT` in the transaction that added the constraint.

use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule, Watch};
use crate::effects::ObjectRef;
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::fix::Fix;
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site};
use crate::sql::Span;

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "validate-in-same-transaction",
        severity: Severity::Warning,
        on: true,
        why: "The lock that ADD CONSTRAINT … NOT VALID takes is kept while VALIDATE reads all rows: nothing is won by NOT VALID.",
        safe: "VALIDATE CONSTRAINT in a migration of its own, or below `-- cutover: new-transaction`",
        seen: &[Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of(
                "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID, VALIDATE CONSTRAINT c;",
            ),
            Example::of(
                "DO $$ BEGIN ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID; ALTER TABLE a VALIDATE CONSTRAINT c; END $$;",
            ),
            Example::of(
                "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID; ALTER TABLE a VALIDATE CONSTRAINT c;",
            ),
            Example::of(
                "ALTER TABLE public.a ADD CONSTRAINT c FOREIGN KEY (b) REFERENCES b NOT VALID; SELECT 1; ALTER TABLE a VALIDATE CONSTRAINT c;",
            ),
        ],
        good: &[
            Example::of(
                "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID; ALTER TABLE a VALIDATE CONSTRAINT c;",
            )
            .over("CREATE TABLE a (n int);")
            .with_empty(&["public.a"]),
            Example::of("ALTER TABLE a VALIDATE CONSTRAINT c;"),
            Example::of(
                "BEGIN; ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID; COMMIT; BEGIN; ALTER TABLE a VALIDATE CONSTRAINT c; COMMIT;",
            ),
            Example::of(
                "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID;\n-- cutover: new-transaction\nALTER TABLE a VALIDATE CONSTRAINT c;",
            ),
            Example::of(
                "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID; ALTER TABLE a VALIDATE CONSTRAINT other;",
            ),
            Example::of(
                "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID; CREATE INDEX CONCURRENTLY i ON a (n); ALTER TABLE a VALIDATE CONSTRAINT c;",
            ),
            Example::of(
                "CREATE TABLE a (n int); ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID; ALTER TABLE a VALIDATE CONSTRAINT c;",
            ),
        ],
    },
    look: Look::File(|| Box::new(Validated::default())),
};

/// Constraints that were added without being looked at, and those that were validated behind them.
#[derive(Default)]
struct Validated {
    added: Vec<(usize, ObjectRef, String)>,
    pairs: Vec<(usize, usize, Span, String)>,
}

impl Watch for Validated {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        for (constraint, table) in site.added_constraints() {
            if constraint.skip_validation && !site.is_harmless(&table) {
                self.added.push((site.number, table, constraint.conname.clone()));
            }
        }
        for (command, table) in site.commands() {
            if command.subtype() != Type::AtValidateConstraint {
                continue;
            }
            let added =
                self.added.iter().find(|(_, of, name)| *name == command.name && site.is_same(of, &table));
            if let Some((number, ..)) = added {
                let message = format!(
                    "the lock on {} that adding {} took is kept while all rows are read",
                    table.named(),
                    command.name
                );
                self.pairs.push((*number, site.number, site.statement.span, message));
            }
        }
    }

    fn end(self: Box<Self>, end: &FileEnd, found: &mut Found<'_>) {
        for (added, validated, span, message) in self.pairs {
            if end.together(added, validated) {
                found.say_of(validated, span, message);
                if added != validated {
                    found.last_is_mended_by(Ok(Fix::another_transaction()));
                }
            }
        }
    }
}
