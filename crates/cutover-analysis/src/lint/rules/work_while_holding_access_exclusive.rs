//! Long work while a table is locked against everybody.

use pg_query::NodeEnum;
use pg_query::protobuf::AlterTableType;

use super::{Look, Rule, Watch};
use crate::effects::{Control, LockMode, TransactionRule, Work, WorkKind};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site};
use crate::sql::Span;

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "work-while-holding-access-exclusive",
        severity: Severity::Warning,
        on: true,
        why: "A lock is kept until its transaction ends: what takes long behind an ALTER TABLE keeps everybody from that table.",
        safe: "the long part in a migration of its own, or below `-- cutover: new-transaction`",
        seen: &[Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ADD COLUMN state text; CREATE INDEX ON customers (name);"),
            Example::of("DROP TABLE old; CREATE TABLE archive AS SELECT * FROM orders;"),
            Example::of("ALTER TABLE customers ALTER name SET DEFAULT ''; ALTER TABLE orders VALIDATE CONSTRAINT total_is_positive;"),
            Example::of("DO $$ BEGIN ALTER TABLE orders ADD COLUMN state text; CREATE INDEX ON customers (name); END $$;"),
        ],
        good: &[
            // Rows that are written are what backfill-with-ddl is about.
            Example::of("ALTER TABLE orders ADD COLUMN state text; UPDATE orders SET state = 'open';"),
            Example::of("DROP TABLE old; INSERT INTO archive SELECT * FROM orders;"),
            Example::of("ALTER TABLE orders ADD COLUMN state text;\n-- cutover: new-transaction\nCREATE INDEX ON customers (name);"),
            Example::of("ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) NOT VALID; ALTER TABLE orders VALIDATE CONSTRAINT c;"),
            Example::of("ALTER TABLE orders ADD COLUMN a int; ALTER TABLE orders ADD CHECK (total > 0);"),
            Example::of("CREATE INDEX ON customers (name); ALTER TABLE orders ADD COLUMN state text;"),
            Example::of("ALTER TABLE orders ADD COLUMN state text; INSERT INTO kinds VALUES (1);"),
            Example::of("ALTER TABLE orders ADD COLUMN state text; CREATE TABLE kinds (id int); CREATE INDEX ON kinds (id);"),
            Example::of("CREATE TABLE kinds (id int); ALTER TABLE kinds ADD COLUMN name text; UPDATE orders SET state = 'open';"),
            Example::of("ALTER TABLE orders ADD COLUMN state text; CREATE INDEX CONCURRENTLY ON customers (name);"),
            Example::of("BEGIN; ALTER TABLE orders ADD COLUMN state text; COMMIT; BEGIN; UPDATE orders SET state = 'open'; COMMIT;"),
            Example::of("ALTER TABLE orders ADD COLUMN state text; UPDATE orders SET state = 'open';").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::File(|| Box::new(Held::default())),
};

/// Tables that are locked against everybody, by which statement, and the long work behind them.
#[derive(Default)]
struct Held {
    locked: Vec<(usize, String)>,
    long: Vec<Long>,
}

/// Work in a statement, with what was locked before it.
struct Long {
    number: usize,
    span: Span,
    behind: Vec<(usize, String)>,
    what: String,
}

impl Watch for Held {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        if let TransactionRule::Control(Control::Commit | Control::Rollback) = site.effects.transaction {
            self.locked.clear();
            return;
        }
        if !self.locked.is_empty()
            && let Some(work) = site.effects.work.iter().find(|work| takes_long(work, site))
        {
            let mut behind = self.locked.clone();
            // What it locks against everybody itself, other rules say.
            let strong = site.effects.locks.iter().filter(|lock| lock.mode == LockMode::AccessExclusive);
            let own: Vec<String> = strong.map(|lock| lock.relation.named()).collect();
            behind.retain(|(_, table)| !own.contains(table));
            // That the table itself is locked since NOT VALID is what validate-in-same-transaction says.
            if validates(site) {
                behind.retain(|(_, table)| *table != work.relation.named());
            }
            self.long.push(Long {
                number: site.number,
                span: site.statement.span,
                behind,
                what: words(work),
            });
        }
        let strong = site.effects.locks.iter().filter(|lock| lock.mode == LockMode::AccessExclusive);
        let others = strong.filter(|lock| !site.is_new_itself(&lock.relation));
        self.locked.extend(others.map(|lock| (site.number, lock.relation.named())));
    }

    fn end(self: Box<Self>, end: &FileEnd, found: &mut Found<'_>) {
        for Long { number, span, behind, what } in self.long {
            let holds = |(locked, _): &&(usize, String)| end.together(*locked, number);
            if let Some((_, table)) = behind.iter().find(holds) {
                found.say_of(number, span, format!("{table} stays locked against everybody while {what}"));
            }
        }
    }
}

fn validates(site: &Site<'_>) -> bool {
    site.commands().any(|(command, _)| command.subtype() == AlterTableType::AtValidateConstraint)
}

fn takes_long(work: &Work, site: &Site<'_>) -> bool {
    let is_sure = match site.node {
        // What is written so backfill-with-ddl looks at, and says it better.
        NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_)
        | NodeEnum::MergeStmt(_) => false,
        // Whether rows are looked for by an index is not known here; who copies them means more than one.
        NodeEnum::CreateTableAsStmt(_) => true,
        _ => work.sure,
    };
    is_sure && work.kind != WorkKind::Empty && !site.is_harmless(&work.relation)
}

fn words(work: &Work) -> String {
    let table = work.relation.named();
    match work.kind {
        WorkKind::Rewrite => format!("{table} is written anew"),
        WorkKind::Reindex => format!("the indexes of {table} are built anew"),
        WorkKind::Scan | WorkKind::Empty => format!("rows of {table} are read"),
    }
}
