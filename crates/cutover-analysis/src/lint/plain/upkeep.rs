//! Rules about maintenance, partitions, triggers, domains and indexes that are a kind of statement and a sentence.

use pg_query::NodeEnum;
use pg_query::protobuf::RangeVar;

use super::{off, plain, seen};
use crate::effects::{ObjectKind, ObjectRef, is_option_set, names};
use crate::lint::about::Example;
use crate::lint::finding::{Seen, Severity};
use crate::lint::rules::Rule;
use crate::lint::site::Site;

/// The relation, unless what is done to it concerns nobody else.
fn in_use(relation: Option<&RangeVar>, site: &Site<'_>) -> Option<ObjectRef> {
    let relation = names::relation(ObjectKind::Relation, relation?);
    (!site.is_new(&relation)).then_some(relation)
}

pub(in crate::lint) static CONCURRENT_INDEX_ON_14_0: Rule = seen(
    plain(
        "concurrent-index-on-14.0-14.3",
        Severity::Error,
        "PostgreSQL 14.0 to 14.3 leave rows out of indexes that are built CONCURRENTLY: queries over them give wrong results.",
        "upgrade to 14.4 or later first, and REINDEX what was built before",
        |site| {
            // Source: the release notes of 14.4.
            let server = site.known.server();
            if !(140_000..140_004).contains(&server) {
                return None;
            }
            let version = format!("14.{}", server % 10_000);
            match site.node {
                NodeEnum::IndexStmt(index) if index.concurrent => {
                    let table = in_use(index.relation.as_ref(), site)?;
                    Some(format!("version {version} may leave rows of {} out of the index", table.named()))
                }
                NodeEnum::ReindexStmt(reindex) if is_option_set(&reindex.params, "concurrently") => {
                    Some(format!("version {version} may leave rows out of the indexes"))
                }
                _ => None,
            }
        },
        (
            &[
                Example::of("CREATE INDEX CONCURRENTLY orders_number ON orders (number);").on(140_000),
                Example::of("CREATE UNIQUE INDEX CONCURRENTLY ON orders (number);").on(140_003),
                Example::of("REINDEX TABLE CONCURRENTLY orders;").on(140_002),
            ],
            &[
                Example::of("CREATE INDEX CONCURRENTLY orders_number ON orders (number);").on(140_004),
                Example::of("CREATE INDEX CONCURRENTLY orders_number ON orders (number);").on(130_005),
                Example::of("CREATE INDEX CONCURRENTLY orders_number ON orders (number);"),
                Example::of("CREATE INDEX orders_number ON orders (number);").on(140_002),
            ],
        ),
    ),
    &[Seen::Catalogue],
);

pub(in crate::lint) static CREATE_PARTITION_OF_LOCKS: Rule = seen(
    plain(
        "create-partition-of-locks",
        Severity::Error,
        "CREATE TABLE … PARTITION OF takes ACCESS EXCLUSIVE on the partitioned table: nobody can use any of its partitions until the transaction ends.",
        "CREATE TABLE … (LIKE parent INCLUDING ALL) with a CHECK that proves its rows belong there, then ATTACH PARTITION",
        |site| {
            let NodeEnum::CreateStmt(create) = site.node else { return None };
            create.partbound.as_ref()?;
            let parent = create.inh_relations.iter().find_map(|node| match node.node.as_ref()? {
                NodeEnum::RangeVar(parent) => in_use(Some(parent), site),
                _ => None,
            })?;
            if site.is_harmless(&parent) {
                return None;
            }
            let rest = site.known.default_partition(&parent).filter(|rest| !site.is_harmless(rest));
            let read = rest.map(|rest| format!(", while all rows of {} are read", rest.named()));
            let read = read.unwrap_or_default();
            Some(format!("nobody can use {} until the transaction ends{read}", parent.named()))
        },
        (
            &[
                Example::of("CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);"),
                Example::of("CREATE TABLE IF NOT EXISTS events_rest PARTITION OF events DEFAULT;"),
                Example::of("CREATE TABLE p PARTITION OF events FOR VALUES IN (1) PARTITION BY LIST (kind);"),
            ],
            &[
                Example::of(
                    "CREATE TABLE events (id int) PARTITION BY RANGE (id); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);",
                ),
                Example::of(
                    "CREATE TABLE events_1 (LIKE events INCLUDING ALL, CHECK (id >= 1 AND id < 2)); ALTER TABLE events ATTACH PARTITION events_1 FOR VALUES FROM (1) TO (2);",
                ),
                Example::of("CREATE TABLE child () INHERITS (parent);"),
                Example::of("CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);")
                    .over("CREATE TABLE events (id int) PARTITION BY RANGE (id);")
                    .with_empty(&["public.events"]),
            ],
        ),
    ),
    &[Seen::Static, Seen::Trace],
);

pub(in crate::lint) static VACUUM_FULL_OR_CLUSTER: Rule = plain(
    "vacuum-full-or-cluster",
    Severity::Error,
    "VACUUM FULL and CLUSTER write the whole table anew under ACCESS EXCLUSIVE: nobody can use it meanwhile.",
    "plain VACUUM; pg_repack where the space has to be given back; or hours in which nobody uses the table",
    |site| {
        let relations = match site.node {
            NodeEnum::VacuumStmt(vacuum) if vacuum.is_vacuumcmd && is_option_set(&vacuum.options, "full") => {
                vacuum.rels.iter().filter_map(vacuumed).collect()
            }
            NodeEnum::ClusterStmt(cluster) => cluster.relation.iter().collect::<Vec<_>>(),
            _ => return None,
        };
        if relations.is_empty() {
            return Some(
                "nobody can use a table while it is written anew, one table after the other".to_owned(),
            );
        }
        let mut tables = relations.into_iter().map(|relation| names::relation(ObjectKind::Table, relation));
        let table = tables.find(|table| !site.is_harmless(table))?;
        Some(format!("nobody can use {} while it is written anew", table.named()))
    },
    (
        &[
            Example::of("VACUUM FULL orders;"),
            Example::of("VACUUM (ANALYZE, FULL) a, b;"),
            Example::of("VACUUM FULL;"),
            Example::of("CLUSTER orders USING orders_at;"),
            Example::of("CLUSTER;"),
        ],
        &[
            Example::of("VACUUM orders;"),
            Example::of("VACUUM (FULL false, ANALYZE) orders;"),
            Example::of("ANALYZE orders;"),
            Example::of("ALTER TABLE orders CLUSTER ON orders_at;"),
            Example::of("CREATE TABLE orders (n int); CREATE INDEX i ON orders (n); CLUSTER orders USING i;"),
            Example::of("VACUUM FULL orders;")
                .over("CREATE TABLE orders (n int);")
                .with_empty(&["public.orders"]),
        ],
    ),
);

fn vacuumed(node: &pg_query::protobuf::Node) -> Option<&RangeVar> {
    match node.node.as_ref()? {
        NodeEnum::VacuumRelation(target) => target.relation.as_ref(),
        _ => None,
    }
}

pub(in crate::lint) static REFRESH_MATERIALIZED_VIEW_LOCKS: Rule = plain(
    "refresh-materialized-view-locks",
    Severity::Error,
    "REFRESH MATERIALIZED VIEW takes ACCESS EXCLUSIVE: nobody can read the view while its query runs.",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY, which takes a unique index over columns of the view, without a condition",
    |site| {
        let NodeEnum::RefreshMatViewStmt(refresh) = site.node else { return None };
        if refresh.concurrent {
            return None;
        }
        let view = in_use(refresh.relation.as_ref(), site)?;
        let until = if refresh.skip_data { "until it is filled again" } else { "while its query runs" };
        Some(format!("nobody can read {} {until}", view.named()))
    },
    (
        &[
            Example::of("REFRESH MATERIALIZED VIEW sales;"),
            Example::of("REFRESH MATERIALIZED VIEW app.sales WITH NO DATA;"),
        ],
        &[
            Example::of("REFRESH MATERIALIZED VIEW CONCURRENTLY sales;"),
            Example::of(
                "CREATE MATERIALIZED VIEW sales AS SELECT 1 AS n WITH NO DATA; REFRESH MATERIALIZED VIEW sales;",
            ),
        ],
    ),
);

pub(in crate::lint) static ALTER_DOMAIN_ADD_CONSTRAINT: Rule = seen(
    plain(
        "alter-domain-add-constraint",
        Severity::Warning,
        "A new constraint of a domain is held against every row of every table that uses the domain, which are locked against writes meanwhile.",
        "ADD CONSTRAINT … NOT VALID keeps new values out and looks at no row; or put a CHECK on the columns that need it",
        |site| {
            let NodeEnum::AlterDomainStmt(alter) = site.node else { return None };
            let checks = match alter.subtype.as_str() {
                "C" => match alter.def.as_deref().and_then(|node| node.node.as_ref()) {
                    Some(NodeEnum::Constraint(constraint)) => !constraint.skip_validation,
                    _ => true,
                },
                // SET NOT NULL
                "O" => true,
                _ => false,
            };
            let domain = names::object(ObjectKind::Domain, &alter.type_name).filter(|_| checks)?;
            // Its tables are known where the domain is known from the database.
            let is_used = site
                .known
                .users_of_domain(&domain)
                .is_none_or(|tables| tables.iter().any(|table| !site.is_harmless(table)));
            let message = || {
                format!(
                    "all tables with columns of {} are read, and nobody can write to them",
                    domain.named()
                )
            };
            (is_used && !site.known.is_made(&domain)).then(message)
        },
        (
            &[
                Example::of("ALTER DOMAIN amount ADD CONSTRAINT positive CHECK (VALUE > 0);"),
                Example::of("ALTER DOMAIN app.amount SET NOT NULL;"),
                Example::of("ALTER DOMAIN amount ADD CHECK (VALUE > 0);")
                    .over("CREATE DOMAIN amount AS int; CREATE TABLE orders (total amount);"),
            ],
            &[
                Example::of("ALTER DOMAIN amount ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID;"),
                Example::of("ALTER DOMAIN amount DROP CONSTRAINT positive;"),
                Example::of("ALTER DOMAIN amount SET DEFAULT 1;"),
                Example::of("CREATE DOMAIN amount AS int; ALTER DOMAIN amount ADD CHECK (VALUE > 0);"),
                Example::of("ALTER DOMAIN amount ADD CHECK (VALUE > 0);")
                    .over("CREATE DOMAIN amount AS int; CREATE TABLE orders (total amount);")
                    .with_empty(&["public.orders"]),
            ],
        ),
    ),
    &[Seen::Static, Seen::Catalogue],
);

/// The bit of a trigger's timing that says INSTEAD OF, as `pg_trigger.tgtype` has it.
const INSTEAD: i32 = 64;

pub(in crate::lint) static CREATE_TRIGGER_LOCKS: Rule = seen(
    plain(
        "create-trigger-locks",
        Severity::Warning,
        "CREATE TRIGGER takes SHARE ROW EXCLUSIVE: nobody can write to the table until the transaction ends.",
        "a short transaction of its own, with a lock_timeout and further attempts",
        |site| {
            let NodeEnum::CreateTrigStmt(create) = site.node else { return None };
            // Those are of views.
            if create.timing & INSTEAD != 0 {
                return None;
            }
            let table = in_use(create.relation.as_ref(), site)?;
            Some(format!("nobody can write to {} until the transaction ends", table.named()))
        },
        (
            &[
                Example::of(
                    "CREATE TRIGGER stamp BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp();",
                ),
                Example::of(
                    "CREATE OR REPLACE TRIGGER t AFTER INSERT OR DELETE ON app.orders EXECUTE PROCEDURE f();",
                ),
                Example::of(
                    "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON orders DEFERRABLE FOR EACH ROW EXECUTE FUNCTION f();",
                ),
            ],
            &[
                Example::of(
                    "CREATE TABLE orders (n int); CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f();",
                ),
                Example::of(
                    "CREATE TRIGGER t INSTEAD OF INSERT ON orders_view FOR EACH ROW EXECUTE FUNCTION f();",
                ),
                Example::of("CREATE EVENT TRIGGER t ON ddl_command_end EXECUTE FUNCTION f();"),
            ],
        ),
    ),
    &[Seen::Static, Seen::Trace],
);

/// Columns of an index beyond which more are seldom of use.
const COLUMNS_OF_USE: usize = 3;

pub(in crate::lint) static INDEX_OVER_THREE_COLUMNS: Rule = off(plain(
    "index-over-three-columns",
    Severity::Warning,
    "An index over more than three columns is large, slows every write, and its last columns seldom narrow anything.",
    "an index over the columns that narrow most; the others with INCLUDE where reading the index alone is the point",
    |site| {
        let NodeEnum::IndexStmt(index) = site.node else { return None };
        // Uniqueness takes the columns it takes, and in other kinds of indexes each column narrows by itself.
        if index.unique || index.access_method != "btree" || index.index_params.len() <= COLUMNS_OF_USE {
            return None;
        }
        let table = names::relation(ObjectKind::Table, index.relation.as_ref()?);
        Some(format!("the index on {} has {} columns", table.named(), index.index_params.len()))
    },
    (
        &[
            Example::of("CREATE INDEX CONCURRENTLY orders_all ON orders (a, b, c, d);"),
            Example::of("CREATE INDEX ON orders (a, b, lower(c), d DESC) WHERE e;"),
        ],
        &[
            Example::of("CREATE INDEX ON orders (a, b, c);"),
            Example::of("CREATE INDEX ON orders (a) INCLUDE (b, c, d);"),
            Example::of("CREATE UNIQUE INDEX ON orders (a, b, c, d);"),
            Example::of("CREATE INDEX ON orders USING gin (a, b, c, d);"),
        ],
    ),
));
