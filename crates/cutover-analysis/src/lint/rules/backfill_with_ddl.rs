//! Rows that are written while a table is locked.

use pg_query::NodeEnum;
use pg_query::protobuf::{BoolExprType, Node, RangeVar};

use super::update_or_delete_without_where::every;
use super::{Look, Rule, Watch};
use crate::effects::{LockMode, Name, ObjectKind, ObjectRef, names, walk};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "backfill-with-ddl",
        severity: Severity::Warning,
        on: true,
        why: "A lock on a table is kept while rows are written in the same transaction: nobody uses the table for as long as that takes.",
        safe: "the rows in batches, in a migration of their own or below `-- cutover: new-transaction`",
        seen: &[Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE users ADD COLUMN a int; UPDATE users SET a = 0;"),
            Example::of(
                "DO $$ BEGIN ALTER TABLE users ADD COLUMN a int; UPDATE users SET a = 1 WHERE a IS NULL; END $$;",
            ),
            Example::of(
                "ALTER TABLE users ADD COLUMN a int; MERGE INTO users USING people ON users.id = people.id WHEN MATCHED THEN UPDATE SET a = people.a;",
            ),
            Example::of("ALTER TABLE users ADD COLUMN a int; UPDATE users SET a = id WHERE a IS NULL;"),
            Example::of("ALTER TABLE users ADD COLUMN a int; DELETE FROM orders WHERE old;"),
            Example::of("ALTER TABLE users ADD COLUMN a int; INSERT INTO archive SELECT * FROM orders;"),
            Example::of(
                "UPDATE users SET a = 0 WHERE a IS NULL; ALTER TABLE users ALTER COLUMN a SET NOT NULL;",
            ),
        ],
        good: &[
            Example::of("ALTER TABLE users ADD COLUMN a int; UPDATE users SET a = 1 WHERE id IN (7, 8);"),
            Example::of(
                "BEGIN; ALTER TABLE users ADD COLUMN a int; COMMIT; BEGIN; UPDATE users SET a = 1 WHERE a IS NULL; COMMIT;",
            ),
            Example::of(
                "ALTER TABLE users ADD COLUMN a int;\n-- cutover: new-transaction\nUPDATE users SET a = id WHERE a IS NULL;",
            ),
            Example::of("ALTER TABLE users ADD COLUMN a int; INSERT INTO kinds VALUES (1), (2);"),
            Example::of("ALTER TABLE users ADD COLUMN a int; UPDATE users SET a = 1 WHERE id = 7;"),
            Example::of(
                "CREATE TABLE t (n int); ALTER TABLE t ADD COLUMN m int; UPDATE users SET a = 1 WHERE a IS NULL;",
            ),
            Example::of("UPDATE users SET a = 0 WHERE a IS NULL; ALTER TABLE orders ADD COLUMN b int;"),
            Example::of(
                "ALTER TABLE users ADD COLUMN a int; CREATE TABLE t (n int); INSERT INTO t SELECT 1; UPDATE t SET n = 2;",
            ),
            Example::of("ALTER TABLE users ADD COLUMN a int; UPDATE users SET a = 1 WHERE key = 'x';")
                .over("CREATE TABLE users (key text PRIMARY KEY);"),
            Example::of("ALTER TABLE users ADD COLUMN a int; UPDATE users SET a = id;")
                .over("CREATE TABLE users (id int);")
                .with_empty(&["public.users"]),
            Example::of("CREATE INDEX CONCURRENTLY i ON users (a); UPDATE users SET a = 0 WHERE a IS NULL;"),
        ],
    },
    look: Look::File(|| Box::new(Backfill::default())),
};

/// Tables that are locked against everybody, and rows that are written.
#[derive(Default)]
struct Backfill {
    locked: Vec<Touched>,
    written: Vec<Touched>,
    /// How many statements have gone by, those in blocks too.
    seen: usize,
}

/// A table that something is done to.
struct Touched {
    /// The statement, by its number.
    number: usize,
    /// Its place among those of blocks too.
    at: usize,
    table: Name,
    named: String,
}

impl Touched {
    fn new(table: &ObjectRef, at: usize, site: &Site<'_>) -> Self {
        let (number, named) = (site.number, table.named());
        Self { number, at, table: site.known.context.resolve(table), named }
    }
}

impl Watch for Backfill {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        self.seen += 1;
        for lock in &site.effects.locks {
            if lock.mode >= LockMode::AccessExclusive && !site.is_harmless(&lock.relation) {
                self.locked.push(Touched::new(&lock.relation, self.seen, site));
            }
        }
        every(site.node, &mut |node| {
            if let Some(table) = written(node, site) {
                self.written.push(Touched::new(&table, self.seen, site));
            }
        });
    }

    fn end(self: Box<Self>, end: &FileEnd, found: &mut Found<'_>) {
        let mut said = Vec::new();
        for Touched { number, at, table, named } in &self.written {
            let together = |lock: &&Touched| end.together(lock.number, *number);
            let mut locks = self.locked.iter().filter(together);
            let before = locks.clone().find(|lock| lock.at < *at);
            // A table that is locked behind it has had its rows locked all the while.
            let behind = locks.find(|lock| lock.at > *at && lock.table == *table);
            let message = match (before, behind) {
                (Some(lock), _) => {
                    format!("nobody uses {} while the rows of {named} are written", lock.named)
                }
                (None, Some(_)) => {
                    format!("the rows of {named} that are written stay locked until it is altered too")
                }
                (None, None) => continue,
            };
            if !said.contains(number) {
                said.push(*number);
                found.say_of(*number, end.span(*number), message);
            }
        }
    }
}

/// The table whose rows a statement writes, as far as they may be many.
fn written(node: &NodeEnum, site: &Site<'_>) -> Option<ObjectRef> {
    let (relation, filter) = match node {
        NodeEnum::UpdateStmt(update) => (update.relation.as_ref()?, update.where_clause.as_deref()),
        NodeEnum::DeleteStmt(delete) => (delete.relation.as_ref()?, delete.where_clause.as_deref()),
        NodeEnum::InsertStmt(insert) => {
            return fed(insert.relation.as_ref()?, insert.select_stmt.as_deref()?, site);
        }
        NodeEnum::MergeStmt(merge) => {
            return fed(merge.relation.as_ref()?, merge.source_relation.as_deref()?, site);
        }
        _ => return None,
    };
    let table = names::relation(ObjectKind::Table, relation);
    let is_few = filter.is_some_and(|filter| is_of_key(filter, &table, site));
    (!is_few && !site.is_harmlessly_written(&table)).then_some(table)
}

/// The table that rows are put into, where these may be many: those that stand in the statement are few, and so are those of small
/// tables.
fn fed(relation: &RangeVar, source: &Node, site: &Site<'_>) -> Option<ObjectRef> {
    let is_large = |read: &ObjectRef| !site.is_harmless(read);
    let many = walk::find(source).reads.iter().any(is_large);
    many.then(|| names::relation(ObjectKind::Table, relation))
}

/// Whether a condition asks for rows by their key.
fn is_of_key(filter: &Node, table: &ObjectRef, site: &Site<'_>) -> bool {
    match filter.node.as_ref() {
        Some(NodeEnum::BoolExpr(of)) if of.boolop() == BoolExprType::AndExpr => {
            of.args.iter().any(|part| is_of_key(part, table, site))
        }
        Some(NodeEnum::AExpr(compared)) => {
            let is_equal = compared.name.iter().filter_map(names::text).eq(["="]);
            let of = |node: &Node| match node.node.as_ref() {
                Some(NodeEnum::ColumnRef(column)) => {
                    column.fields.last().and_then(names::text).map(str::to_owned)
                }
                _ => None,
            };
            let column = compared.lexpr.as_deref().and_then(of);
            let is_key = column.is_some_and(|column| is_key(&column, table, site));
            let is_given = compared
                .rexpr
                .as_deref()
                .is_some_and(|value| walk::columns(&value).is_empty() && walk::find(&value).reads.is_empty());
            is_equal && is_key && is_given
        }
        _ => false,
    }
}

/// Whether a column is the key of a table; where that is not known, what it is called decides.
fn is_key(column: &str, table: &ObjectRef, site: &Site<'_>) -> bool {
    let keys = site.known.relation(table).map(|known| known.indexes.iter().filter(|index| index.primary));
    let mut keys = keys.into_iter().flatten().peekable();
    if keys.peek().is_none() {
        return column == "id";
    }
    keys.any(|key| key.is_over(&[column.into()]))
}
