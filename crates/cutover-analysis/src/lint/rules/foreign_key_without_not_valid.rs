//! A foreign key whose rows are looked up at once.

use pg_query::protobuf::ConstrType;

use super::{Look, Rule};
use crate::effects::{ObjectKind, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "foreign-key-without-not-valid",
        severity: Severity::Error,
        on: true,
        why: "A new foreign key locks both tables against writes while each row is looked up in the other table.",
        safe: "ADD CONSTRAINT … NOT VALID, then VALIDATE CONSTRAINT in another transaction",
        seen: &[Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id);"),
            Example::of("ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers;"),
            Example::of("ALTER TABLE IF EXISTS ONLY orders ADD CONSTRAINT c FOREIGN KEY (a, b) REFERENCES p (a, b) ON DELETE CASCADE DEFERRABLE;"),
            Example::of("ALTER TABLE orders ADD COLUMN customer_id bigint DEFAULT 1 REFERENCES customers;"),
            Example::of("CREATE TABLE customers (id int PRIMARY KEY); ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers;"),
            Example::of("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'c') THEN ALTER TABLE orders ADD CONSTRAINT c FOREIGN KEY (customer_id) REFERENCES customers; END IF; END $$;"),
            Example::of("ALTER TABLE events ADD FOREIGN KEY (id) REFERENCES kinds;").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;"),
            Example::of("ALTER TABLE orders VALIDATE CONSTRAINT orders_customer;"),
            Example::of("ALTER TABLE orders ADD COLUMN customer_id bigint REFERENCES customers;"),
            Example::of("ALTER TABLE orders ADD COLUMN customer_id bigint DEFAULT NULL REFERENCES customers;"),
            Example::of("ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT ENFORCED;"),
            Example::of("CREATE TABLE orders (customer_id int); ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers;"),
            Example::of("CREATE TABLE orders (customer_id int REFERENCES customers);"),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES b; END $$;"),
            Example::of("ALTER TABLE orders ADD FOREIGN KEY (id) REFERENCES customers;").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for added in site.all_added() {
        let key = added.constraint;
        let is_checked =
            key.contype() == ConstrType::ConstrForeign && !key.skip_validation && added.is_enforced();
        // Where the new column is NULL in every row there is nothing to look up.
        let is_of_nulls = added.column.is_some_and(|column| !crate::lint::site::has_value(column));
        if !is_checked || is_of_nulls || site.is_harmless(&added.table) {
            continue;
        }
        let parent = key.pktable.as_ref().map(|parent| names::relation(ObjectKind::Table, parent));
        let parent = parent.map(|parent| parent.named()).unwrap_or_default();
        let table = added.table.named();
        let message = format!(
            "nobody can write to {table} or {parent} while each row of {table} is looked up in {parent}"
        );
        if added.column.is_some() {
            let help = "add the column, then the key with ADD CONSTRAINT … NOT VALID, and VALIDATE it in another transaction";
            found.advise(key.location, message, help);
        } else if site.known.is_partitioned(&added.table) && site.known.major() < 18 {
            // Before 18 a partitioned table has no foreign keys that are NOT VALID; it takes over those of its partitions.
            let help = "add the key to each partition as NOT VALID and VALIDATE it there, then add it to the partitioned table";
            found.advise(key.location, message, help);
        } else {
            found.say_at(key.location, message);
        }
    }
}
