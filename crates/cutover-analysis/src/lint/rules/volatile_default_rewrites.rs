//! A default that is another one for each row.

use pg_query::protobuf::ConstrType;

use super::{Look, Rule};
use crate::effects::{ObjectRef, Volatility, volatility_where};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site, column_constraints};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "volatile-default-rewrites",
        severity: Severity::Error,
        on: true,
        why: "A column whose default differs from row to row is written into every row under ACCESS EXCLUSIVE, and all indexes are built anew.",
        safe: "add the column without a default, ALTER COLUMN … SET DEFAULT, then fill the old rows in batches",
        seen: &[Seen::Static, Seen::Catalogue, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ADD COLUMN key text DEFAULT new_key();").over("CREATE FUNCTION new_key() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT 1'; ALTER FUNCTION new_key() VOLATILE;"),
            Example::of("ALTER TABLE orders ADD COLUMN key uuid DEFAULT gen_random_uuid();"),
            Example::of("ALTER TABLE orders ADD COLUMN key uuid NOT NULL DEFAULT uuid_generate_v4();"),
            Example::of("ALTER TABLE orders ADD COLUMN seen timestamptz DEFAULT clock_timestamp();"),
            Example::of("ALTER TABLE orders ADD COLUMN place int DEFAULT nextval('places');"),
            Example::of("ALTER TABLE orders ADD COLUMN luck float8 DEFAULT (1 + random() * 5), ADD COLUMN note text;"),
            Example::of("ALTER TABLE orders ADD COLUMN key text DEFAULT app.new_key();").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ADD COLUMN key text DEFAULT app.tenant();").over("CREATE FUNCTION app.tenant() RETURNS text LANGUAGE sql STABLE AS 'SELECT 1';"),
            Example::of("ALTER TABLE orders ADD COLUMN IF NOT EXISTS key uuid DEFAULT gen_random_uuid();")
                .over("CREATE TABLE orders (key uuid);"),
            Example::of("ALTER TABLE orders ADD COLUMN key uuid; ALTER TABLE orders ALTER COLUMN key SET DEFAULT gen_random_uuid();"),
            Example::of("ALTER TABLE orders ADD COLUMN at timestamptz NOT NULL DEFAULT now();"),
            Example::of("ALTER TABLE orders ADD COLUMN at timestamptz DEFAULT CURRENT_TIMESTAMP, ADD COLUMN state text DEFAULT 'new'::text;"),
            Example::of("ALTER TABLE orders ADD COLUMN tags jsonb DEFAULT jsonb_build_object('a', 1);"),
            Example::of("CREATE TABLE orders (id int); ALTER TABLE orders ADD COLUMN key uuid DEFAULT gen_random_uuid();"),
            Example::of("ALTER TABLE orders ADD COLUMN key uuid DEFAULT gen_random_uuid();").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (column, table) in site.added_columns() {
        if site.is_alone() || site.is_harmless(&table) {
            continue;
        }
        let mut constraints = column_constraints(column);
        let default = constraints.find(|one| one.contype() == ConstrType::ConstrDefault);
        let Some(default) = default else { continue };
        let table = table.named();
        let is_stable =
            |routine: &ObjectRef| site.known.security.is_stable(&site.known.context.resolve(routine));
        match volatility_where(&default.raw_expr, is_stable) {
            Volatility::None => {}
            Volatility::Volatile(function) => found.say_at(
                column.location,
                format!("{function}() is written into every row of {table} while nobody can use it"),
            ),
            // Functions are volatile unless they say otherwise; PostgreSQL's own that do are known.
            Volatility::Unknown(function) => found.say_at(
                column.location,
                format!(
                    "every row of {table} is written anew while nobody can use it, unless {function}() is STABLE or IMMUTABLE"
                ),
            ),
        }
    }
}
