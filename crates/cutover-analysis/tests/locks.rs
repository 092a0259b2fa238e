//! The static rules of locks and work against what servers were measured to do: every row of
//! `facts/postgres_locks.tsv`, on every major it stands for.
#![allow(clippy::expect_used, clippy::panic, reason = "a test helper")]

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{Context, Effects, WorkKind, effects_in};
use cutover_analysis::sql::{Item, Splitter, parse};

struct Row<'a> {
    command: &'a str,
    sql: &'a str,
    major: u32,
    locks: BTreeSet<String>,
    rewritten: BTreeSet<String>,
    rebuilt: BTreeSet<String>,
    scanned: BTreeSet<String>,
}

fn rows() -> Vec<Row<'static>> {
    let list = |text: &str| text.split(", ").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let mut rows = Vec::new();
    for line in include_str!("../facts/postgres_locks.tsv").lines().skip(1) {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let [command, sql, majors, locks, rewritten, rebuilt, scanned, error] = columns.as_slice() else {
            panic!("eight columns: {line}");
        };
        for major in majors.split(',').filter(|_| error.is_empty()) {
            rows.push(Row {
                command,
                sql,
                major: major.parse().expect("a number"),
                locks: list(locks),
                rewritten: list(rewritten),
                rebuilt: list(rebuilt),
                scanned: list(scanned),
            });
        }
    }
    rows
}

fn statements(text: &str) -> Vec<String> {
    let items = Splitter::new(text.as_bytes()).map(|item| item.expect("right"));
    items.filter_map(|item| if let Item::Statement(one) = item { Some(one.text) } else { None }).collect()
}

/// What the commands find, by major.
fn setups() -> BTreeMap<u32, Context> {
    (12..=18).map(|major| (major, setup(major))).collect()
}

fn setup(major: u32) -> Context {
    let mut context = Context::of_empty_database(major);
    for statement in statements(include_str!("../facts/postgres_locks.sql")) {
        context.learn(&parse(&statement).expect("parses"));
    }
    context
}

/// The effects of all statements of a row together.
fn of(row: &Row<'_>, before: &Context) -> Vec<Effects> {
    let mut context = before.clone();
    let mut all = Vec::new();
    for statement in statements(row.sql) {
        let parsed = parse(&statement).expect("parses");
        all.push(effects_in(&parsed, &context));
        context.learn(&parsed);
    }
    all
}

fn is_table(context: &Context, name: &str) -> bool {
    context.relations.keys().any(|known| known.name == name)
}

#[test]
fn locks_are_those_measured() {
    let (setups, mut wrong, mut count) = (setups(), Vec::new(), 0);
    for row in rows() {
        count += 1;
        let before = &setups[&row.major];
        let all = of(&row, before);
        let mut modes = BTreeMap::new();
        for lock in all.iter().flat_map(|effects| &effects.locks) {
            if is_table(before, &lock.relation.name) {
                let mode = modes.entry(lock.relation.name.as_str()).or_insert(lock.mode);
                *mode = lock.mode.max(*mode);
            }
        }
        let derived: BTreeSet<String> =
            modes.iter().map(|(name, mode)| format!("{name}:{}", mode.short())).collect();
        if derived != row.locks {
            wrong.push(format!("{} ({}): {derived:?}, measured {:?}", row.command, row.major, row.locks));
        }
        for unnamed in all.iter().flat_map(|effects| &effects.more_locks) {
            wrong.push(format!("{} ({}): nothing is unknown here, but: {unnamed}", row.command, row.major));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 1500, "{count} rows");
}

/// Rows whose work depends on what only the server knows; the rules must say so, and of no other row.
const DEPENDS: [&str; 25] = [
    "ADD COLUMN DEFAULT 1 REFERENCES",
    "ADD COLUMN DEFAULT own function (volatile)",
    "ADD FK",
    "ATTACH PARTITION (CHECK proof)",
    "COPY query TO",
    "CREATE MATERIALIZED VIEW",
    "CREATE TABLE AS",
    "DELETE",
    "DELETE USING",
    "INSERT SELECT",
    "MERGE (15+)",
    "REFRESH MATERIALIZED VIEW",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY",
    "SELECT",
    "SELECT FOR SHARE",
    "SELECT FOR UPDATE",
    "SELECT of a partitioned table",
    "SELECT through views",
    "SET ACCESS METHOD heap (15+)",
    "SET TABLESPACE same",
    "UPDATE",
    "UPDATE FROM",
    "VACUUM",
    "VACUUM ANALYZE",
    "VALIDATE FK",
];

#[test]
fn work_is_that_measured() {
    let (setups, mut wrong) = (setups(), Vec::new());
    let mut depends = BTreeSet::new();
    for row in rows() {
        let before = &setups[&row.major];
        let all = of(&row, before);
        let mut derived: BTreeMap<&str, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
        for work in all.iter().flat_map(|effects| &effects.work) {
            let kinds: &[&str] = match work.kind {
                WorkKind::Scan => &["scan"],
                WorkKind::Reindex => &["reindex", "scan"],

                WorkKind::Rewrite | WorkKind::Empty => &["rewrite", "reindex", "scan"],
            };
            for kind in kinds {
                let (sure, possible) = derived.entry(kind).or_default();
                if work.sure {
                    sure.insert(work.relation.name.clone());
                } else {
                    possible.insert(work.relation.name.clone());
                    depends.insert(row.command);
                }
            }
        }
        let rebuilt: BTreeSet<String> = before
            .relations
            .iter()
            .filter(|(_, known)| known.indexes.iter().any(|index| row.rebuilt.contains(&index.name)))
            .map(|(table, _)| table.name.clone())
            .collect();
        let has_index = |name: &String| {
            before.relations.iter().any(|(table, known)| table.name == *name && !known.indexes.is_empty())
        };
        for (kind, measured) in [("rewrite", &row.rewritten), ("reindex", &rebuilt), ("scan", &row.scanned)] {
            let (mut sure, possible) = derived.remove(kind).unwrap_or_default();
            // The empty index of an emptied table is built from what is not there.
            let emptied =
                all.iter().flat_map(|effects| &effects.work).any(|work| work.kind == WorkKind::Empty);
            if kind == "reindex" || kind == "scan" && emptied {
                sure.retain(has_index);
            }
            let missing: Vec<_> =
                measured.iter().filter(|name| !sure.contains(*name) && !possible.contains(*name)).collect();
            let invented: Vec<_> = sure.iter().filter(|name| !measured.contains(*name)).collect();
            if !missing.is_empty() || !invented.is_empty() {
                wrong.push(format!(
                    "{} ({}): {kind} missing {missing:?}, invented {invented:?}",
                    row.command, row.major
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(depends, BTreeSet::from(DEPENDS));
}
