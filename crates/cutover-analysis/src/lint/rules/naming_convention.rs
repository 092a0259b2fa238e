//! Names of new things.

use pg_query::NodeEnum;

use super::{Look, Rule};
use crate::effects::ObjectKind;
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::naming::Pattern;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "naming-convention",
        severity: Severity::Warning,
        on: false,
        why: "Names that follow no rule have to be looked up, and in quotes at that where they have capital letters.",
        safe: "a name as the configuration wants it",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE TABLE \"Users\" (id bigint);"),
            Example::of("ALTER TABLE users ADD COLUMN \"createdAt\" timestamptz;"),
            Example::of("CREATE INDEX \"Idx-1\" ON users (id);"),
            Example::of("CREATE TABLE users (\"userId\" bigint);"),
            Example::of("ALTER TABLE users RENAME TO \"People\";"),
        ],
        good: &[
            Example::of("CREATE TABLE Users (id bigint);"),
            Example::of("ALTER TABLE \"Users\" ADD COLUMN created_at timestamptz;"),
            Example::of("CREATE INDEX ON \"Users\" (id);"),
            Example::of("CREATE TABLE order_lines_2 (n int CHECK (n > 0));"),
            Example::of("DROP TABLE \"Users\";"),
            Example::of("SELECT \"Id\" FROM \"Users\";"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let naming = &site.known.facts.naming;
    for object in &site.effects.creates {
        let pattern = match object.kind {
            ObjectKind::Table | ObjectKind::Relation | ObjectKind::View | ObjectKind::MaterializedView => {
                &naming.tables
            }
            ObjectKind::Column => &naming.columns,
            ObjectKind::Index => &naming.indexes,
            ObjectKind::Constraint => &naming.constraints,
            // These are called by what they connect, or by others.
            ObjectKind::Cast
            | ObjectKind::Transform
            | ObjectKind::UserMapping
            | ObjectKind::Operator
            | ObjectKind::Default
            | ObjectKind::Partition
            | ObjectKind::Extension
            | ObjectKind::Policy
            | ObjectKind::DefaultPrivileges
            | ObjectKind::LargeObject => continue,
            _ => &naming.others,
        };
        say(object.kind.word(), &object.name, pattern, found);
    }
    // The columns of a new table are not made one by one.
    if let NodeEnum::CreateStmt(create) = site.node {
        for node in &create.table_elts {
            if let Some(NodeEnum::ColumnDef(column)) = node.node.as_ref() {
                say("column", &column.colname, &naming.columns, found);
            }
        }
    }
}

fn say(word: &str, name: &str, pattern: &Pattern, found: &mut Found<'_>) {
    // An empty name is one that PostgreSQL chooses.
    if !name.is_empty() && !pattern.matches(name) {
        found.say(format!("the {word} \"{name}\" is not {}", pattern.words()));
    }
}
