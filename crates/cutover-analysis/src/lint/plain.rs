//! Rules that are a kind of statement and a sentence.

pub(super) mod clients;
pub(super) mod taste;
pub(super) mod upkeep;

use pg_query::NodeEnum;
use pg_query::protobuf::{DropBehavior, ObjectType};

use super::about::{About, Example, Origin};
use super::finding::{Seen, Severity};
use super::rules::{Look, LookAtType, Rule};
use super::site::Site;
use crate::effects::names;

/// A rule of this table: on, seen in the text.
const fn plain(
    code: &'static str,
    severity: Severity,
    why: &'static str,
    safe: &'static str,
    look: fn(&Site<'_>) -> Option<String>,
    (bad, good): (&'static [Example], &'static [Example]),
) -> Rule {
    let seen = &[Seen::Static];
    Rule {
        about: About { code, severity, on: true, why, safe, seen, origin: Origin::Sql, bad, good },
        look: Look::Plain(look),
    }
}

/// A rule about types of columns: on, seen in the text.
const fn of_type(
    code: &'static str,
    (why, safe): (&'static str, &'static str),
    look: LookAtType,
    examples: (&'static [Example], &'static [Example]),
) -> Rule {
    let mut rule = plain(code, Severity::Warning, why, safe, |_| None, examples);
    rule.look = Look::Type(look);
    rule
}

/// The same rule, which others see too.
const fn seen(mut rule: Rule, seen: &'static [Seen]) -> Rule {
    rule.about.seen = seen;
    rule
}

/// The same rule where it looks only for those who ask for it.
const fn off(mut rule: Rule) -> Rule {
    rule.about.on = false;
    rule
}

pub(super) static DROP_SCHEMA: Rule = plain(
    "drop-schema",
    Severity::Error,
    "DROP SCHEMA with CASCADE takes everything in it along, also what nobody thought of.",
    "drop what is in it by name, then the empty schema without CASCADE",
    |site| {
        let NodeEnum::DropStmt(drop) = site.node else { return None };
        if drop.remove_type() != ObjectType::ObjectSchema || drop.behavior() != DropBehavior::DropCascade {
            return None;
        }
        let schemas = drop.objects.iter().filter_map(|node| names::addressed(drop.remove_type(), node));
        // What this run has made holds nothing that anybody else knows.
        let named: Vec<String> =
            schemas.filter(|schema| !site.known.is_made(schema)).map(|schema| schema.named()).collect();
        (!named.is_empty()).then(|| format!("everything in the schema {} goes with it", named.join(", ")))
    },
    (
        &[
            Example::of("DROP SCHEMA app CASCADE;"),
            Example::of("DROP SCHEMA IF EXISTS a, b CASCADE;"),
            // What was there before is not new.
            Example::of("CREATE SCHEMA IF NOT EXISTS app; DROP SCHEMA app CASCADE;"),
        ],
        &[
            Example::of("DROP SCHEMA app;"),
            Example::of("CREATE SCHEMA scratch; DROP SCHEMA scratch CASCADE;"),
            Example::of("DROP SCHEMA app RESTRICT;"),
            Example::of("CREATE SCHEMA a; ALTER SCHEMA a RENAME TO scratch; DROP SCHEMA scratch CASCADE;"),
            Example::of(
                "CREATE SCHEMA scratch; CREATE TABLE scratch.t (n int); DROP SCHEMA scratch CASCADE;",
            ),
            Example::of("DROP TABLE app.t CASCADE;"),
        ],
    ),
);
