//! Several ALTER TABLE where one would do.

use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule, Watch};
use crate::effects::{LockMode, ObjectRef};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::fix::{self, Fix, Mended};
use crate::lint::joining::{Action, Together, together};
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site};
use crate::sql::Span;

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "several-alters-of-one-table",
        severity: Severity::Warning,
        on: true,
        why: "Each ALTER TABLE asks for its lock and reads or writes the rows by itself; one with several actions does both once.",
        safe: "one ALTER TABLE with the actions separated by commas",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of(
                "ALTER TABLE orders ADD COLUMN a uuid; ALTER TABLE orders ALTER a SET DEFAULT gen_random_uuid();",
            ),
            Example::of("ALTER TABLE orders ADD COLUMN a int; ALTER TABLE orders ADD COLUMN b int;"),
            Example::of(
                "ALTER TABLE public.orders ADD COLUMN a int; SET lock_timeout = '1s'; ALTER TABLE orders ALTER note SET NOT NULL;",
            ),
            Example::of(
                "ALTER TABLE orders ADD COLUMN a int; ALTER TABLE customers ADD COLUMN b int; ALTER TABLE orders DROP COLUMN c;",
            ),
        ],
        good: &[
            // What PostgreSQL would do in another order.
            Example::of("ALTER TABLE orders ALTER a SET DEFAULT 1; ALTER TABLE orders ALTER a DROP DEFAULT;"),
            Example::of(
                "ALTER TABLE orders ADD CONSTRAINT c CHECK (n > 0) NOT VALID; ALTER TABLE orders DROP CONSTRAINT IF EXISTS c;",
            ),
            Example::of("ALTER TABLE orders ALTER a TYPE varchar(9); ALTER TABLE orders ALTER a TYPE text;"),
            // In one statement the default would go before the column is there.
            Example::of(
                "ALTER TABLE orders ADD COLUMN a int NOT NULL DEFAULT 0; ALTER TABLE orders ALTER a DROP DEFAULT;",
            ),
            Example::of("ALTER TABLE orders ADD COLUMN a int; ALTER TABLE orders ALTER a TYPE bigint;"),
            Example::of("ALTER TABLE orders ADD COLUMN a int, ADD COLUMN b int;"),
            Example::of("ALTER TABLE orders ADD COLUMN a int; ALTER TABLE customers ADD COLUMN a int;"),
            Example::of(
                "ALTER TABLE ONLY orders ALTER a SET DEFAULT 1; ALTER TABLE orders ALTER b SET DEFAULT 1;",
            ),
            Example::of(
                "ALTER TABLE orders ADD CONSTRAINT c CHECK (n > 0) NOT VALID; ALTER TABLE orders VALIDATE CONSTRAINT c;",
            ),
            Example::of(
                "ALTER TABLE orders ADD COLUMN a int; UPDATE orders SET a = 1; ALTER TABLE orders ALTER a SET NOT NULL;",
            ),
            Example::of(
                "ALTER TABLE orders ALTER a SET NOT NULL; ALTER TABLE orders DROP CONSTRAINT a_there;",
            ),
            Example::of("ALTER TABLE orders SET UNLOGGED; ALTER TABLE orders SET LOGGED;"),
            Example::of(
                "ALTER TABLE orders ADD COLUMN a int; ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES b NOT VALID;",
            ),
            Example::of(
                "ALTER TABLE orders ADD COLUMN a int;\n-- cutover: new-transaction\nALTER TABLE orders ADD COLUMN b int;",
            ),
            Example::of(
                "CREATE TABLE orders (id int); ALTER TABLE orders ADD COLUMN a int; ALTER TABLE orders ADD COLUMN b int;",
            ),
        ],
    },
    look: Look::File(|| Box::new(Alters::default())),
};

/// The last ALTER TABLE of each table, as long as nothing else has been done to that.
#[derive(Default)]
struct Alters {
    last: Vec<Last>,
    pairs: Vec<Pair>,
}

/// Two that would be one.
struct Pair {
    first: usize,
    second: usize,
    span: Span,
    message: String,
    /// How the second one is joined to the first, or why that is left to people; nothing where other statements stand between.
    mended: Option<Mended>,
}

struct Last {
    number: usize,
    table: ObjectRef,
    mode: LockMode,
    /// What it does, with what is done above it that it would be joined to.
    actions: Vec<Action>,
    /// Without what inherits from it.
    only: bool,
    missing_ok: bool,
}

impl Watch for Alters {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        let own = site.alter_table().map(|(_, table)| table);
        let mode = own.as_ref().and_then(|own| locks(site, own));
        let before =
            own.as_ref().and_then(|own| self.last.iter().position(|last| site.is_same(&last.table, own)));
        let before = before.map(|place| self.last.swap_remove(place));
        self.forget_what_is_touched(site);
        let (Some(table), Some(mode)) = (own, mode) else { return };
        if site.is_harmless(&table)
            || site.in_block
            || mode < LockMode::ShareRowExclusive
            || stands_alone(site)
        {
            return;
        }
        let only = !site.has_heirs();
        let missing_ok = site.alter_table().is_some_and(|(alter, _)| alter.missing_ok);
        let mut actions: Vec<Action> = site.commands().map(|(command, _)| Action::of(command)).collect();
        let fits = |last: &&Last| last.mode == mode && last.only == only;
        let before = before.as_ref().filter(fits).map(|last| (last, together(&last.actions, &actions)));
        if let Some((last, together)) = before.filter(|(_, together)| *together != Together::Never) {
            let message = format!(
                "{} is altered above too: one statement would lock it, and read it, once",
                table.named()
            );
            let is_behind = last.number + 1 == site.number
                && last.missing_ok == missing_ok
                && site.statement.directives.is_empty();
            let at = is_behind.then(|| fix::actions(site)).flatten();
            let mended = at.map(|at| match together {
                Together::AsTheyAre => Ok(Fix::joined(at)),
                _ => Err(UNSURE.to_owned()),
            });
            let (first, second, span) = (last.number, site.number, site.statement.span);
            self.pairs.push(Pair { first, second, span, message, mended });
            actions.splice(..0, last.actions.iter().cloned());
        }
        self.last.push(Last { number: site.number, table, mode, actions, only, missing_ok });
    }

    fn end(self: Box<Self>, end: &FileEnd, found: &mut Found<'_>) {
        for Pair { first, second, span, message, mended } in self.pairs {
            if end.together(first, second) {
                found.say_of(second, span, message);
                if let Some(mended) = mended {
                    found.last_is_mended_by(mended);
                }
            }
        }
    }
}

const UNSURE: &str = "PostgreSQL does what one statement says in an order of its own, and whether these come to the same then takes thought";

impl Alters {
    /// What stands between two statements may have to.
    fn forget_what_is_touched(&mut self, site: &Site<'_>) {
        if site.effects.opaque.is_some() && site.alter_table().is_none() {
            self.last.clear();
        }
        self.last.retain(|last| locks(site, &last.table).is_none());
    }
}

/// How a statement locks a table.
fn locks(site: &Site<'_>, table: &ObjectRef) -> Option<LockMode> {
    let lock = site.effects.locks.iter().find(|lock| site.is_same(&lock.relation, table))?;
    Some(lock.mode)
}

/// Partitions come and go one by one, and what is validated wants a transaction of its own.
fn stands_alone(site: &Site<'_>) -> bool {
    site.commands().any(|(command, _)| {
        matches!(
            command.subtype(),
            Type::AtAttachPartition
                | Type::AtDetachPartition
                | Type::AtDetachPartitionFinalize
                | Type::AtValidateConstraint
        )
    })
}
