//! What fails when a migration outside a transaction is run again.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableType as Type};

use super::{Look, Rule, Watch};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "not-rerunnable-outside-transaction",
        severity: Severity::Warning,
        on: false,
        why: "Outside a transaction a migration that fails half way leaves what it has done: run again, it fails at what is there already.",
        safe: "IF NOT EXISTS, IF EXISTS, or OR REPLACE",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE INDEX CONCURRENTLY i ON t (n);"),
            Example::of("-- cutover: no-transaction\nALTER TABLE t ADD COLUMN n int;"),
            Example::of("DROP INDEX CONCURRENTLY i;"),
            Example::of("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (n); ALTER TABLE t DROP COLUMN m;"),
        ],
        good: &[
            Example::of("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (n);"),
            Example::of("DROP INDEX CONCURRENTLY IF EXISTS i;"),
            Example::of("ALTER TABLE t ADD COLUMN n int;"),
            Example::of(
                "-- cutover: no-transaction\nALTER TABLE t ADD COLUMN IF NOT EXISTS n int, DROP COLUMN IF EXISTS m;",
            ),
            Example::of("REINDEX INDEX CONCURRENTLY i;"),
            Example::of("VACUUM t;"),
            Example::of("-- cutover: no-transaction\nCREATE OR REPLACE VIEW v AS SELECT 1 AS n;"),
        ],
    },
    look: Look::File(|| Box::new(Once::default())),
};

/// Statements that fail when they run again.
#[derive(Default)]
struct Once(Vec<(usize, &'static str)>);

impl Watch for Once {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        if !site.in_block
            && let Some(what) = missing(site)
        {
            self.0.push((site.number, what));
        }
    }

    fn end(self: Box<Self>, end: &FileEnd, found: &mut Found<'_>) {
        for (number, what) in self.0.into_iter().filter(|_| end.is_apart()) {
            found.say_of(number, end.span(number), format!("without {what} it fails when it runs again"));
        }
    }
}

/// What keeps a statement from running twice, where it could be said.
fn missing(site: &Site<'_>) -> Option<&'static str> {
    const NEW: &str = "IF NOT EXISTS";
    const GONE: &str = "IF EXISTS";
    const OVER: &str = "OR REPLACE";
    let (has, what) = match site.node {
        NodeEnum::IndexStmt(create) => (create.if_not_exists, NEW),
        NodeEnum::CreateStmt(create) => (create.if_not_exists, NEW),
        NodeEnum::CreateTableAsStmt(create) => (create.if_not_exists, NEW),
        NodeEnum::CreateSchemaStmt(create) => (create.if_not_exists, NEW),
        NodeEnum::CreateSeqStmt(create) => (create.if_not_exists, NEW),
        NodeEnum::CreateExtensionStmt(create) => (create.if_not_exists, NEW),
        NodeEnum::AlterEnumStmt(alter) => (alter.skip_if_new_val_exists || alter.new_val.is_empty(), NEW),
        NodeEnum::DropStmt(drop) => (drop.missing_ok, GONE),
        NodeEnum::ViewStmt(create) => (create.replace, OVER),
        NodeEnum::CreateFunctionStmt(create) => (create.replace, OVER),
        NodeEnum::CreateTrigStmt(create) => (create.replace, OVER),
        _ => {
            let fails = |(command, _): (&AlterTableCmd, _)| match command.subtype() {
                Type::AtAddColumn if !command.missing_ok => Some(NEW),
                Type::AtDropColumn | Type::AtDropConstraint if !command.missing_ok => Some(GONE),
                _ => None,
            };
            return site.commands().find_map(fails);
        }
    };
    (!has).then_some(what)
}
