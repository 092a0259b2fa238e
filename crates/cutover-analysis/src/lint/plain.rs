//! Rules that are a kind of statement and a sentence.

mod upkeep;

use pg_query::NodeEnum;
use pg_query::protobuf::{DropBehavior, ObjectType};

use super::about::{About, Example, Origin};
use super::finding::{Seen, Severity};
use super::rules::{Look, Rule};
use super::site::Site;
use crate::effects::names;

pub(super) use upkeep::{
    ALTER_DOMAIN_ADD_CONSTRAINT, CONCURRENT_INDEX_ON_14_0, CREATE_PARTITION_OF_LOCKS, CREATE_TRIGGER_LOCKS,
    INDEX_OVER_THREE_COLUMNS, REFRESH_MATERIALIZED_VIEW_LOCKS, REINDEX_LOCKS, VACUUM_FULL_OR_CLUSTER,
};

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

/// The same rule, which others see too.
#[allow(clippy::needless_pass_by_value, reason = "it is made anew where it is used")]
const fn seen(rule: Rule, seen: &'static [Seen]) -> Rule {
    Rule { about: About { seen, ..rule.about }, look: rule.look }
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
        let mut schemas = drop.objects.iter().filter_map(|node| names::addressed(drop.remove_type(), node));
        let schema = schemas.find(|schema| !site.known.is_new_schema(&schema.name))?;
        Some(format!("everything in the schema {} goes with it", schema.named()))
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
            Example::of("DROP SCHEMA app RESTRICT;"),
            Example::of(
                "CREATE SCHEMA scratch; CREATE TABLE scratch.t (n int); DROP SCHEMA scratch CASCADE;",
            ),
            Example::of("DROP TABLE app.t CASCADE;"),
        ],
    ),
);
