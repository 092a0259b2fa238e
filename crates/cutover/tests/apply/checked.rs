//! A project of every kind of file whose effects can be told apart and counted, and the question that is asked after
//! every accident: do history and catalogue agree, and did everything happen exactly once?

use std::collections::BTreeMap;

use cutover::Project;
use cutover::apply::{ApplyError, Request};
use cutover::run::{EventKind, Outcome, Run};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;

use crate::support::{OBJECTS, RUNNERS, apply, apply_with, project, session, until, value};

/// Inserts go into a table without any key, so that a second run of one would show.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("V1__base.sql", "CREATE TABLE log (what text, n int);\nCREATE TABLE t (id int);"),
    (
        "V2__several.sql",
        "CREATE TABLE b (id int);\nINSERT INTO log VALUES ('2', 1);\nCREATE VIEW v AS SELECT id FROM b;\n\
         INSERT INTO log VALUES ('2', 2);",
    ),
    ("V3__copy.sql", "COPY log FROM stdin;\n3\t1\n3\t2\n3\t3\n\\.\nALTER TABLE t ADD copied int;"),
    (
        "V4__two.sql",
        "ALTER TABLE t ADD c int;\nINSERT INTO log VALUES ('4a', 1);\n\
         -- cutover: new-transaction\nALTER TABLE t ADD d int CHECK (d > 0);\nINSERT INTO log VALUES ('4b', 1);",
    ),
    ("V5__index.sql", "CREATE INDEX CONCURRENTLY t_id ON t (id);"),
    (
        "V6__mixed.sql",
        "INSERT INTO log VALUES ('6a', 1);\nCREATE INDEX CONCURRENTLY t_c ON t (c);\nINSERT INTO log VALUES ('6b', 1);",
    ),
    ("V7__data.sql", "INSERT INTO log SELECT '7', n FROM generate_series(1, 5) n;"),
    // These three leave the session alone, so each is sent before the one before it is answered.
    ("V8__plain.sql", "CREATE TABLE p8 (id int);"),
    ("V9__plain.sql", "CREATE TABLE p9 (id int);\nCREATE INDEX p9_id ON p9 (id);"),
    ("V10__plain.sql", "CREATE TABLE p10 (id int, at timestamptz DEFAULT now());"),
];

type Fact = (&'static str, &'static str);

/// What each part (unit) of each migration leaves behind: facts as [`FACTS`] gives them.
const PARTS: &[(&str, &[&[Fact]])] = &[
    ("1", &[&[("r log", "1"), ("r t", "1")]]),
    ("2", &[&[("r b", "1"), ("v v", "1"), ("rows 2", "2")]]),
    ("3", &[&[("rows 3", "3"), ("column copied", "1")]]),
    ("4", &[&[("column c", "1"), ("rows 4a", "1")], &[("column d", "1"), ("rows 4b", "1")]]),
    ("5", &[&[("i t_id", "1")]]),
    ("6", &[&[("rows 6a", "1")], &[("i t_c", "1")], &[("rows 6b", "1")]]),
    ("7", &[&[("rows 7", "5")]]),
    ("8", &[&[("r p8", "1")]]),
    ("9", &[&[("r p9", "1"), ("i p9_id", "1")]]),
    ("10", &[&[("r p10", "1")]]),
];

/// Relations, columns and numbers of rows. An index that is not valid counts as 0.
const FACTS: &str = "
SELECT c.relkind::text || ' ' || c.relname, coalesce(i.indisvalid, true)::int::text
  FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'column ' || attname, '1' FROM pg_attribute WHERE attrelid = to_regclass('t') AND attnum > 0";

pub(crate) fn checked_project() -> Project {
    project(FILES)
}

/// What a database holds: all objects and all rows.
pub(crate) async fn contents(session: &mut Session) -> String {
    let objects = value(session, OBJECTS).await;
    let rows = "SELECT string_agg(what || ' ' || n, ', ' ORDER BY what, n) FROM log";
    format!("{objects}\n{}", value(session, rows).await)
}

/// What an undisturbed run leaves.
pub(crate) async fn undisturbed(options: &ConnectOptions) -> String {
    undisturbed_with(options, &Request::default()).await
}

pub(crate) async fn undisturbed_with(options: &ConnectOptions, request: &Request) -> String {
    let run = apply_with(&checked_project(), options, request).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed));
    contents(&mut session(options).await).await
}

/// The state after an accident.
pub(crate) struct Aftermath {
    /// Versions in the history.
    pub(crate) applied: Vec<String>,
    /// Units by version: number and whether done.
    pub(crate) units: BTreeMap<String, Vec<(usize, bool)>>,
}

async fn facts(session: &mut Session) -> BTreeMap<String, String> {
    let mut rows = session.query_text(FACTS).await.unwrap().rows;
    if rows.iter().any(|row| row[0].as_deref() == Some("r log")) {
        let counts = "SELECT 'rows ' || what, count(*)::text FROM log GROUP BY 1";
        rows.extend(session.query_text(counts).await.unwrap().rows);
    }
    rows.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())).collect()
}

/// Waits until nothing of the run is left in the server, then asks whether history and catalogue agree.
///
/// A statement outside a transaction whose end nobody recorded may be there or not; everything else is certain.
pub(crate) async fn agree(session: &mut Session, what: &str) -> Aftermath {
    until(session, RUNNERS, "0").await;
    let facts = facts(session).await;
    let history = value(session, "SELECT to_regclass('cutover.migration') IS NOT NULL").await == "t";
    let mut aftermath = Aftermath { applied: Vec::new(), units: BTreeMap::new() };
    if history {
        let rows =
            session.query_text("SELECT version_text FROM cutover.migration ORDER BY 1").await.unwrap().rows;
        aftermath.applied = rows.into_iter().map(|row| row[0].clone().unwrap()).collect();
        let rows = session
            .query_text("SELECT version, unit, state = 'done' FROM cutover.unit ORDER BY 1, 2")
            .await
            .unwrap()
            .rows;
        for row in rows {
            let unit = (row[1].as_deref().unwrap().parse().unwrap(), row[2].as_deref() == Some("t"));
            aftermath.units.entry(row[0].clone().unwrap()).or_default().push(unit);
        }
    }
    for (version, parts) in PARTS {
        let applied = aftermath.applied.iter().any(|row| row == version);
        let units = aftermath.units.get(*version).map_or(&[][..], Vec::as_slice);
        assert!(!applied || units.is_empty(), "{what}: {version} is applied and still has units {units:?}");
        for (number, part) in parts.iter().enumerate() {
            let unit = units.iter().find(|(unit, _)| *unit == number).map(|(_, done)| *done);
            let found: Vec<_> = part.iter().map(|(key, _)| facts.get(*key).map(String::as_str)).collect();
            let whole: Vec<_> = part.iter().map(|(_, value)| Some(*value)).collect();
            let nothing = vec![None; part.len()];
            let right = match (applied, unit) {
                (true, _) | (_, Some(true)) => found == whole,
                (false, None) => found == nothing,
                // Begun outside a transaction and not recorded: there, not there, or left invalid.
                (false, Some(false)) => true,
            };
            assert!(
                right,
                "{what}: part {number} of {version} (applied {applied}, unit {unit:?}) has {found:?} of {part:?}"
            );
        }
    }
    aftermath
}

/// Whether a run told the truth about the database it left.
pub(crate) fn told_the_truth(result: &Result<Run, ApplyError>, aftermath: &Aftermath, what: &str) {
    let run = match result {
        // It makes no claim but that the history knows.
        Err(ApplyError::Journal { .. }) => return,
        Err(error) => {
            assert!(
                aftermath.applied.is_empty() && aftermath.units.is_empty(),
                "{what}: {error}, but something was done"
            );
            return;
        }
        Ok(run) => run,
    };
    if matches!(run.outcome, Some(Outcome::Completed | Outcome::NothingToDo)) {
        assert_eq!(aftermath.applied.len(), PARTS.len(), "{what}: {:?}", run.outcome);
        return;
    }
    assert_eq!(run.outcome, Some(Outcome::ConnectionLost), "{what}: {}", crate::support::failure(run));
    // Several, where several ran side by side.
    let failed = run.events.iter().filter_map(|event| match &event.kind {
        EventKind::StepFailed { migration, state, .. } => Some((migration.version.text(), state.as_str())),
        _ => None,
    });
    let failed: Vec<(&str, &str)> = failed.collect();
    assert!(!failed.is_empty(), "{what}: a lost connection without a failed step");
    for (version, state) in &failed {
        is_true_of(version, state, aftermath, what);
    }
    let finished = crate::support::finished(run);
    for told in &finished {
        assert!(aftermath.applied.contains(told), "{what}: {told} was told as finished");
    }
    for unheard in aftermath.applied.iter().filter(|other| !finished.contains(other)) {
        let told = failed.iter().any(|(version, state)| {
            version == unheard || state.contains(&format!("V{unheard}__")) && state.contains("is applied too")
        });
        assert!(told, "{what}: {unheard} is applied, but it said {failed:?}");
    }
}

/// Whether what was said of a step that failed is what is there of it.
fn is_true_of(version: &str, state: &str, aftermath: &Aftermath, what: &str) {
    let applied = aftermath.applied.iter().any(|other| other == version);
    let units = aftermath.units.get(version).map_or(&[][..], Vec::as_slice);
    let open = units.iter().any(|(_, done)| !done);
    let done = units.iter().filter(|(_, done)| *done).count();
    let right = if applied {
        state.contains("is applied")
    } else if open {
        state.contains("may still be running or be done")
    } else if done > 0 {
        state.contains(&format!("{done} part")) && state.contains("applied and recorded")
    } else {
        state.contains("nothing of")
    };
    assert!(right, "{what}: {version} is applied: {applied}, units {units:?}, but it said {state:?}");
}

/// The next run completes, and the database is as after an undisturbed one.
pub(crate) async fn next_run_completes(
    project: &Project,
    options: &ConnectOptions,
    session: &mut Session,
    expected: &str,
    what: &str,
) {
    let run = apply(project, options).await.unwrap_or_else(|error| panic!("{what}: next run: {error}"));
    let said = crate::support::failure(&run);
    assert!(
        matches!(run.outcome, Some(Outcome::Completed | Outcome::NothingToDo)),
        "{what}: next run: {said}"
    );
    let aftermath = agree(session, what).await;
    assert_eq!(aftermath.applied.len(), PARTS.len(), "{what}");
    assert_eq!(contents(session).await, expected, "{what}");
}

/// Empties the database for the next accident.
pub(crate) async fn empty(session: &mut Session) {
    let sql = "SET client_min_messages = warning; DROP SCHEMA IF EXISTS cutover CASCADE; DROP SCHEMA public CASCADE; \
               CREATE SCHEMA public";
    session.execute(sql).await.unwrap();
}
