//! A new column whose type is a domain that keeps values out.

use pg_query::protobuf::TypeName;

use super::{Look, Rule};
use crate::effects::{DataType, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "domain-with-check-column",
        severity: Severity::Error,
        on: true,
        why: "A column of a domain with constraints has every row written anew under ACCESS EXCLUSIVE, even where it is NULL everywhere.",
        safe: "give the column the type below the domain, and ADD CONSTRAINT … CHECK (…) NOT VALID, VALIDATE it in another transaction",
        seen: &[Seen::Static, Seen::Catalogue, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ADD COLUMN total amount;").over("CREATE DOMAIN amount AS int CHECK (VALUE > 0); CREATE DOMAIN plain AS int DEFAULT 5; "),
            Example::of("CREATE DOMAIN amount AS int CHECK (VALUE > 0); CREATE DOMAIN plain AS int DEFAULT 5; ALTER TABLE orders ADD COLUMN total public.amount DEFAULT 1;"),
            Example::of("ALTER TABLE events ADD COLUMN total amount;").over("CREATE DOMAIN amount AS int CHECK (VALUE > 0); CREATE DOMAIN plain AS int DEFAULT 5; CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ADD COLUMN total plain;").over("CREATE DOMAIN amount AS int CHECK (VALUE > 0); CREATE DOMAIN plain AS int DEFAULT 5; "),
            Example::of("ALTER TABLE orders ADD COLUMN totals amount[];").over("CREATE DOMAIN amount AS int CHECK (VALUE > 0); CREATE DOMAIN plain AS int DEFAULT 5; "),
            Example::of("CREATE TABLE orders (id int); ALTER TABLE orders ADD COLUMN total amount;").over("CREATE DOMAIN amount AS int CHECK (VALUE > 0); CREATE DOMAIN plain AS int DEFAULT 5; "),
            Example::of("ALTER TABLE orders ADD COLUMN mood mood;"),
            Example::of("ALTER TABLE orders ADD COLUMN total int; ALTER TABLE orders ADD CHECK (total > 0) NOT VALID;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (column, table) in site.added_columns() {
        let Some(domain) = column.type_name.as_ref().filter(|name| is_constrained(name, site)) else {
            continue;
        };
        if site.is_alone() || site.is_harmless(&table) {
            continue;
        }
        let message = format!(
            "every row of {} is written anew while nobody can use it, because the domain {} has constraints",
            table.named(),
            DataType::of(domain).name
        );
        found.say_at(column.location, message);
    }
}

fn is_constrained(name: &TypeName, site: &Site<'_>) -> bool {
    let data_type = DataType::of(name);
    names::type_object(name).is_some()
        && !data_type.array
        && site.known.context.is_constrained_domain(&data_type) == Some(true)
}
