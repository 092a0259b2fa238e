//! A check that all rows are held against at once.

use pg_query::protobuf::ConstrType;

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "check-without-not-valid",
        severity: Severity::Error,
        on: true,
        why: "A new CHECK is held against every row under ACCESS EXCLUSIVE: nobody can use the table meanwhile.",
        safe: "ADD CONSTRAINT … CHECK (…) NOT VALID, then VALIDATE CONSTRAINT in another transaction",
        seen: &[Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ADD CONSTRAINT total_is_positive CHECK (total > 0);"),
            Example::of("ALTER TABLE orders ADD CHECK (total > 0);"),
            Example::of("ALTER TABLE orders ADD COLUMN total int CHECK (total > 0);"),
            Example::of("ALTER TABLE orders ADD COLUMN note text, ADD CONSTRAINT c CHECK (total > 0) NO INHERIT;"),
            Example::of("ALTER TABLE events ADD CHECK (id > 0);").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"),
            Example::of("DO $$ BEGIN EXECUTE 'ALTER TABLE orders ADD CHECK (total > 0)'; END $$;"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ADD CONSTRAINT total_is_positive CHECK (total > 0) NOT VALID;"),
            Example::of("ALTER TABLE orders VALIDATE CONSTRAINT total_is_positive;"),
            Example::of("ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) NOT ENFORCED;"),
            Example::of("ALTER TABLE orders ADD COLUMN total int CHECK (total > 0) NOT ENFORCED;"),
            Example::of("CREATE TABLE orders (total int CHECK (total > 0)); ALTER TABLE orders ADD CHECK (total < 9);"),
            Example::of("CREATE TEMP TABLE t (n int); ALTER TABLE pg_temp.t ADD CHECK (n > 0);"),
            Example::of("ALTER TABLE orders ADD CHECK (total > 0);").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for added in site.all_added() {
        let check = added.constraint;
        let is_checked =
            check.contype() == ConstrType::ConstrCheck && !check.skip_validation && added.is_enforced();
        if !is_checked || site.is_harmless(&added.table) {
            continue;
        }
        let message = format!("nobody can use {} while all its rows are checked", added.table.named());
        if added.column.is_some() {
            let help = "add the column, then the check with ADD CONSTRAINT … NOT VALID, and VALIDATE it in another transaction";
            found.advise(check.location, message, help);
        } else {
            found.say_at(check.location, message);
        }
    }
}
