//! The static rules of locks and work against what servers were measured to do: every row of
//! `facts/postgres_locks.tsv`, on every major it stands for.
#![allow(clippy::expect_used, clippy::panic, reason = "a test helper")]

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{Context, Effects, LockMode, WorkKind, effects_in};
use cutover_analysis::sql::{Item, Splitter, parse};

/// What the server said of a statement that it has, but does not do here: codes of "feature not supported" and "object not
/// in prerequisite state".
const REFUSED: [&str; 2] = ["(0A000)", "(55000)"];

struct Row<'a> {
    command: &'a str,
    sql: &'a str,
    major: u32,
    locks: BTreeSet<String>,
    rewritten: BTreeSet<String>,
    rebuilt: BTreeSet<String>,
    scanned: BTreeSet<String>,
    error: &'a str,
}

fn rows() -> Vec<Row<'static>> {
    let list = |text: &str| text.split(", ").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let mut rows = Vec::new();
    for line in include_str!("../facts/postgres_locks.tsv").lines().skip(1) {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let [command, sql, majors, locks, rewritten, rebuilt, scanned, error] = columns.as_slice() else {
            panic!("eight columns: {line}");
        };
        for major in majors.split(',') {
            rows.push(Row {
                command,
                sql,
                major: major.parse().expect("a number"),
                locks: list(locks),
                rewritten: list(rewritten),
                rebuilt: list(rebuilt),
                scanned: list(scanned),
                error,
            });
        }
    }
    rows
}

/// Rows of what the server did.
fn measured() -> impl Iterator<Item = Row<'static>> {
    rows().into_iter().filter(|row| row.error.is_empty())
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

/// Rows that lock what the rules cannot name; they must say so, and of no other row.
const UNNAMED: [&str; 6] = [
    "ALTER PUBLICATION SET TABLE",
    "COPY FROM with a trigger that writes",
    "INSERT into a partitioned table with a trigger",
    "INSERT with a rule that writes",
    "INSERT with a trigger that writes",
    "UPDATE through a view that reads another table",
];

#[test]
fn locks_are_those_measured() {
    let (setups, mut wrong, mut count) = (setups(), Vec::new(), 0);
    let mut unnamed = BTreeSet::new();
    for row in measured() {
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
        let more: Vec<&String> = all.iter().flat_map(|effects| &effects.more_locks).collect();
        unnamed.extend((!more.is_empty()).then_some(row.command));
        if derived != row.locks && !(derived.is_subset(&row.locks) && UNNAMED.contains(&row.command)) {
            wrong.push(format!("{} ({}): {derived:?}, measured {:?}", row.command, row.major, row.locks));
        }
        for more in more.iter().filter(|_| !UNNAMED.contains(&row.command)) {
            wrong.push(format!("{} ({}): nothing is unknown here, but: {more}", row.command, row.major));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(unnamed, BTreeSet::from(UNNAMED));
    assert!(count > 2300, "{count} rows");
}

/// Rows whose work depends on what only the server knows; the rules must say so, and of no other row.
const DEPENDS: [&str; 51] = [
    "ADD COLUMN DEFAULT 1 REFERENCES",
    "ADD COLUMN DEFAULT own function (volatile)",
    "ADD FK",
    "ADD FK of ONLY a table with a child",
    "ADD FK of a partitioned table",
    "ADD FK of a table with a child",
    "ADD FK to a partitioned table",
    "ALTER INDEX SET TABLESPACE",
    "ALTER TYPE ALTER ATTRIBUTE CASCADE",
    "ATTACH PARTITION (CHECK proof)",
    "COPY query TO",
    "CREATE MATERIALIZED VIEW",
    "CREATE TABLE AS",
    "DELETE",
    "DELETE USING",
    "DELETE of ONLY a table with a child",
    "DELETE that a key follows",
    "DELETE that sets keys to NULL",
    "DELETE through a view",
    "DETACH PARTITION CONCURRENTLY of a table that keys refer to",
    "DETACH PARTITION of a table that keys refer to",
    "DETACH PARTITION with partitions",
    "INSERT SELECT",
    "MERGE (15+)",
    "REFRESH MATERIALIZED VIEW",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY",
    "SELECT",
    "SELECT FOR SHARE",
    "SELECT FOR UPDATE",
    "SELECT of ONLY a table with a child",
    "SELECT of a partitioned table",
    "SELECT of a table with a child",
    "SELECT through views",
    "SET ACCESS METHOD heap (15+)",
    "SET TABLESPACE same",
    "TYPE of a column of a partitioned table's key",
    "TYPE of a column with a foreign key",
    "TYPE of a key that refers to a partitioned table",
    "UPDATE",
    "UPDATE FROM",
    "UPDATE of ONLY a table with a child",
    "UPDATE of no key",
    "UPDATE that a key follows",
    "UPDATE through a view that reads another table",
    "UPDATE through views",
    "UPDATE without a trigger",
    "VACUUM",
    "VACUUM ANALYZE",
    "VACUUM of a partitioned table",
    "VACUUM of a table with a child",
    "VALIDATE FK",
];

#[test]
fn work_is_that_measured() {
    let (setups, mut wrong) = (setups(), Vec::new());
    let mut depends = BTreeSet::new();
    for row in measured() {
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
                    sure.insert(work.relation.name.to_string());
                } else {
                    possible.insert(work.relation.name.to_string());
                    depends.insert(row.command);
                }
            }
        }
        let rebuilt: BTreeSet<String> = before
            .relations
            .iter()
            .filter(|(_, known)| known.indexes.iter().any(|index| row.rebuilt.contains(index.name.as_str())))
            .map(|(table, _)| table.name.to_string())
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

#[test]
fn what_the_server_does_not_do_here_is_refused() {
    let (setups, mut wrong, mut count) = (setups(), Vec::new(), 0);
    for row in rows() {
        let refused = REFUSED.iter().any(|code| row.error.ends_with(code));
        if !refused && !row.error.is_empty() {
            continue;
        }
        count += u32::from(refused);
        let all = of(&row, &setups[&row.major]);
        if all.iter().any(|effects| effects.refused.is_some()) != refused {
            wrong.push(format!("{} ({}): {}", row.command, row.major, row.error));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 20, "{count} refused");
}

/// Whoever plans a query of the table looks at all of its indexes. Measured are locks on tables alone.
#[test]
fn an_index_that_moves_is_locked_against_reads() {
    let context = setup(18);
    let mode = |sql: &str| {
        let effects = effects_in(&parse(sql).expect("parses"), &context);
        effects.locks.iter().map(|lock| lock.mode).collect::<Vec<_>>()
    };
    assert_eq!(mode("ALTER INDEX t_a_idx SET TABLESPACE pg_default"), [LockMode::AccessExclusive]);
    assert_eq!(mode("ALTER INDEX t_a_idx SET (fillfactor = 70)"), [LockMode::ShareUpdateExclusive]);
}
