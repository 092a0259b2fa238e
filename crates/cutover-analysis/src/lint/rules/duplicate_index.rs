//! An index that another one does the work of.

use pg_query::NodeEnum;
use pg_query::protobuf::{ConstrType, IndexStmt};

use super::{Look, Rule};
use crate::effects::{Index, ObjectKind, ObjectRef, is_ordinary, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::{Known, relation_of};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "duplicate-index",
        severity: Severity::Warning,
        on: true,
        why: "An index that another one does the work of takes space and slows every write, and no query needs it.",
        safe: "leave out one of the two",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of(
                "CREATE TABLE orders (a int, b int); CREATE INDEX one ON orders (a); CREATE INDEX two ON orders (a);",
            ),
            Example::of("CREATE TABLE orders (id int PRIMARY KEY); CREATE INDEX ON orders (id);"),
            Example::of("CREATE INDEX CONCURRENTLY ON orders (a);")
                .over("CREATE TABLE orders (a int, b int); CREATE INDEX ab ON orders (a, b);"),
            Example::of("ALTER TABLE orders ADD UNIQUE (number);")
                .over("CREATE TABLE orders (number text); CREATE UNIQUE INDEX n ON orders (number);"),
            Example::of(
                "CREATE INDEX one ON orders (a); CREATE INDEX two ON public.orders USING btree (a ASC);",
            ),
            // In whichever order they come.
            Example::of("CREATE INDEX CONCURRENTLY ab ON orders (a, b);")
                .over("CREATE TABLE orders (a int, b int); CREATE INDEX ON orders (a);"),
            Example::of("CREATE UNIQUE INDEX CONCURRENTLY n ON orders (number);")
                .over("CREATE TABLE orders (number text); CREATE INDEX by_number ON orders (number);"),
            Example::of("ALTER TABLE orders ADD UNIQUE (a, b);")
                .over("CREATE TABLE orders (a int, b int); CREATE INDEX ON orders (a);"),
        ],
        good: &[
            Example::of(
                "CREATE TABLE orders (a int, b int); CREATE INDEX ON orders (a, b); CREATE INDEX ON orders (b);",
            ),
            Example::of(
                "CREATE TABLE orders (a int, b int); CREATE INDEX ON orders (a); CREATE INDEX ON orders (a DESC NULLS FIRST, b);",
            ),
            Example::of(
                "CREATE TABLE orders (a int, b int); CREATE INDEX ON orders (a); CREATE INDEX ON orders (a) WHERE b IS NULL;",
            ),
            Example::of(
                "CREATE TABLE orders (a text); CREATE INDEX ON orders (a); CREATE INDEX ON orders USING gin (a gin_trgm_ops);",
            ),
            Example::of(
                "CREATE TABLE orders (a text); CREATE INDEX ON orders (a text_pattern_ops); CREATE INDEX ON orders (a);",
            ),
            Example::of(
                "CREATE TABLE orders (a int, b int); CREATE INDEX ON orders (a, b); CREATE UNIQUE INDEX ON orders (a);",
            ),
            Example::of(
                "CREATE TABLE orders (a int, b int); CREATE INDEX ON orders (a); CREATE INDEX ON orders (a) INCLUDE (b);",
            ),
            Example::of(
                "CREATE TABLE orders (a int UNIQUE, b int); CREATE INDEX ON orders (a, b); ALTER TABLE orders ADD PRIMARY KEY (b, a);",
            ),
            Example::of("CREATE INDEX CONCURRENTLY ab ON orders (a, b); DROP INDEX CONCURRENTLY old;")
                .over("CREATE TABLE orders (a int, b int); CREATE INDEX old ON orders (a);"),
            Example::of("CREATE UNIQUE INDEX CONCURRENTLY n ON orders (a); ALTER TABLE orders ADD UNIQUE USING INDEX n;")
                .over("CREATE TABLE orders (a int, b int);"),
            Example::of("CREATE INDEX CONCURRENTLY anew ON orders (a); DROP INDEX CONCURRENTLY old;")
                .over("CREATE TABLE orders (a int); CREATE INDEX old ON orders (a);"),
            Example::of("CREATE INDEX IF NOT EXISTS one ON orders (a);")
                .over("CREATE TABLE orders (a int); CREATE INDEX one ON orders (a);"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    if let NodeEnum::IndexStmt(index) = site.node
        && let Some(relation) = &index.relation
        && let Some(columns) = columns(index)
    {
        let table = names::relation(ObjectKind::Table, relation);
        let does_more =
            |other: &Index| index.unique && !(other.unique && other.columns.len() == columns.len());
        let does = |other: &Index| other.name != index.idxname && !does_more(other);
        say(&table, &columns, does, site, found);
        say_of_shorter(&table, &columns, &index.idxname, index.unique, site, found);
    }
    for (constraint, table) in site.added_constraints() {
        let is_plain = constraint.indexname.is_empty()
            && constraint.including.is_empty()
            && !constraint.nulls_not_distinct
            && !constraint.deferrable;
        if constraint.contype() == ConstrType::ConstrUnique && is_plain {
            let columns: Vec<&str> = constraint.keys.iter().filter_map(names::text).collect();
            let is_same = |other: &Index| other.unique && other.columns.len() == columns.len();
            say(&table, &columns, is_same, site, found);
        }
        // With USING INDEX it is one that is there already.
        let is_key = matches!(constraint.contype(), ConstrType::ConstrUnique | ConstrType::ConstrPrimary);
        if is_key && constraint.indexname.is_empty() {
            let columns: Vec<&str> = constraint.keys.iter().filter_map(names::text).collect();
            say_of_shorter(&table, &columns, &constraint.conname, true, site, found);
        }
    }
}

/// Says which index a new one does the work of, unless either is gone at the end of the run. What is unique is needed for that.
fn say_of_shorter(
    table: &ObjectRef,
    columns: &[&str],
    own: &str,
    unique: bool,
    site: &Site<'_>,
    found: &mut Found<'_>,
) {
    let known = site.known.relation(table).into_iter().flat_map(|known| &known.indexes);
    let is_in_it = |other: &&Index| {
        let keys: Option<Vec<&str>> = other.columns.iter().map(|key| key.as_deref()).collect();
        let keys = keys.filter(|keys| keys.len() < columns.len() || unique && keys.len() == columns.len());
        let is_plain = other.ordinary && !other.computed && other.others.is_empty() && !other.unique;
        is_plain
            && other.name != own
            && keys.is_some_and(|keys| !keys.is_empty() && columns.starts_with(&keys))
    };
    let table = relation_of(&site.known.context.resolve(table));
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    for other in known.filter(is_in_it) {
        let (table, columns, other) = (table.clone(), columns.clone(), other.name.clone());
        let still = move |known: &Known| {
            let indexes = &known.relation(&table)?.indexes;
            indexes.iter().find(|index| index.name == other)?;
            // Its own name may be another one by then.
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let is_it = |index: &Index| index.name != other && begins_with(index, &columns);
            indexes.iter().any(is_it).then(|| {
                format!(
                    "index {other} of {} is not needed beside it: it begins with the same columns",
                    table.named()
                )
            })
        };
        found.later(-1, found.about.safe, Box::new(still));
    }
}

/// Says which index does the work of a new one, unless it is gone at the end of the run: the one that takes its place is made
/// first.
fn say(
    table: &ObjectRef,
    columns: &[&str],
    does: impl Fn(&Index) -> bool,
    site: &Site<'_>,
    found: &mut Found<'_>,
) {
    let known = site.known.relation(table).into_iter().flat_map(|known| &known.indexes);
    let mut others = known.filter(|other| {
        other.ordinary
            && !other.computed
            && other.others.is_empty()
            && begins_with(other, columns)
            && does(other)
    });
    let Some(other) = others.next() else { return };
    let is_wider = other.columns.len() > columns.len();
    let (table, other) = (relation_of(&site.known.context.resolve(table)), other.name.clone());
    let still = move |known: &Known| {
        let mut indexes = known.relation(&table)?.indexes.iter();
        indexes.find(|index| index.name == other)?;
        let how = if is_wider { "begins with the same columns" } else { "is over the same columns" };
        Some(format!("index {other} of {} {how}", table.named()))
    };
    found.later(-1, found.about.safe, Box::new(still));
}

/// The columns of an index that is like any other over them; none for one of another kind.
fn columns(index: &IndexStmt) -> Option<Vec<&str>> {
    let is_plain =
        is_ordinary(index) && index.where_clause.is_none() && index.index_including_params.is_empty();
    let columns = index.index_params.iter().map(|node| match node.node.as_ref()? {
        NodeEnum::IndexElem(element) => element.expr.is_none().then_some(element.name.as_str()),
        _ => None,
    });
    columns.collect::<Option<Vec<_>>>().filter(|_| is_plain && !index.nulls_not_distinct)
}

fn begins_with(index: &Index, columns: &[&str]) -> bool {
    let first: Vec<&str> =
        index.columns.iter().take(columns.len()).filter_map(|key| key.as_deref()).collect();
    first == columns
}
