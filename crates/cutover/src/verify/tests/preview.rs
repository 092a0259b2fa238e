//! Preconditions before the run: measured where they can be, by reading alone.

use cutover_postgres::session::{Session, Startup};

use super::World;
use crate::inspect::{self, Inspection};
use crate::plan::select::Selection;
use crate::run::Verdict::{False, Holds, NotMeasured, Skipped};
use crate::verify::Precondition;

const CONFIG: &str = "
[[migrations]]
path = \"migrations\"
";

fn check(name: &str, before: u32, keys: &str) -> String {
    format!("[[check]]\nname = \"{name}\"\nbefore = \"{before}\"\n{keys}\n")
}

/// A look at a project whose first migration is applied.
async fn look(migrations: &[(&str, &str)], checks: &[String]) -> (World, Inspection) {
    let mut world = World::new(&[("cutover.toml", &(CONFIG.to_owned() + &checks.concat()))]);
    for (path, sql) in migrations {
        world.write(&format!("migrations/{path}"), sql);
    }
    world.apply(&["1"]).await;
    let project = world.project();
    let built = crate::plan::build::build(
        &project,
        world.history.clone(),
        &Selection::default(),
        None,
        crate::plan::build::Read::Pending,
        cutover_analysis::effects::Context::EMPTY,
    );
    let mut inspection = inspect::files_only(&project, &Selection::default()).unwrap();
    inspection.built = built.unwrap();
    inspect::look_closer(&project, &world.database.options(), &mut inspection).await.unwrap();
    (world, inspection)
}

#[track_caller]
fn named<'a>(inspection: &'a Inspection, name: &str) -> &'a Precondition {
    inspection.preconditions.iter().find(|one| one.name == name).unwrap()
}

#[tokio::test]
async fn what_can_be_measured_is_and_decides() {
    let migrations = [
        ("V1__a.sql", "CREATE TABLE a (n int); INSERT INTO a VALUES (1);"),
        ("V2__b.sql", "CREATE TABLE b ();"),
    ];
    let checks = [
        check("no ones", 2, "kind = 'no_rows'\nsql = 'SELECT n FROM a WHERE n = 1'"),
        check("no twos", 2, "kind = 'no_rows'\nsql = 'SELECT n FROM a WHERE n = 2'"),
        check("wrong", 2, "kind = 'no_rows'\nsql = 'SELECT x FROM nowhere'"),
        check("there", 2, "kind = 'exists'\nobjects = ['table a']"),
        check("keys", 2, "kind = 'foreign_keys'\ntables = ['a']"),
        check("applied", 1, "kind = 'no_rows'\nsql = 'SELECT n FROM a'"),
    ];
    let (world, inspection) = look(&migrations, &checks).await;
    let verdicts: Vec<_> = inspection
        .preconditions
        .iter()
        .map(|one| (one.name.as_str(), one.answers[0].verdict, one.stops(), one.later.as_deref()))
        .collect();
    let expected = [
        ("no ones", False, true, None),
        ("no twos", Holds, false, None),
        ("wrong", NotMeasured, true, None),
        ("there", Holds, false, None),
        ("keys", Holds, false, None),
    ];
    assert_eq!(verdicts, expected, "what is applied has none any more");
    let stops: Vec<String> = inspection.stops(&[]).map(|stop| stop.text).collect();
    assert_eq!(
        stops[0],
        "migrations/V2__b.sql: what must hold before it does not\n  no ones: expected no rows, found 1 row: n = 1"
    );
    assert!(
        stops[1].contains("wrong: expected no rows, could not be measured: ERROR: relation"),
        "{stops:?}"
    );
    assert_eq!(world.database.value("SELECT count(*) FROM a"), "1");
}

#[tokio::test]
async fn what_only_the_run_can_measure_is_said_to_be_so() {
    let migrations = [
        ("V1__a.sql", "CREATE TABLE a (n int); INSERT INTO a VALUES (1);"),
        ("V2__b.sql", "CREATE TABLE b (n int);"),
        ("V3__clean.sql", "DELETE FROM a;"),
        ("V4__end.sql", "CREATE TABLE c ();"),
        ("V5__code.sql", "DO $$ BEGIN NULL; END $$;"),
        ("V6__last.sql", "CREATE TABLE d ();"),
    ];
    let no_rows = |table: &str| format!("kind = 'no_rows'\nsql = 'SELECT n FROM {table}'");
    let checks = [
        check("reads b", 4, &no_rows("b")),
        check("reads a early", 2, &no_rows("a")),
        check("reads a late", 4, &no_rows("a")),
        check("after code", 6, &no_rows("a WHERE false")),
        check("made by code", 6, &no_rows("unknown")),
        check("waits", 4, "kind = 'no_rows'\nsql = 'SELECT 1'\nrequires = ['3']"),
        check("waits for ever", 2, "kind = 'no_rows'\nsql = 'SELECT 1'\nrequires = ['6']"),
        check("tries", 2, "kind = 'fails'\nsql = 'INSERT INTO a VALUES (9)'\nsqlstate = '23505'"),
        check("keys", 4, "kind = 'foreign_keys'"),
    ];
    let (world, inspection) = look(&migrations, &checks).await;
    let later = |name: &str, why: &str, answers: usize| {
        let one = named(&inspection, name);
        assert_eq!(
            (one.later.as_deref(), one.answers.len(), one.stops()),
            (Some(why), answers, false),
            "{name}"
        );
    };
    later("reads b", "it reads b, which V2 creates first", 0);
    later("reads a late", "V3 changes a first", 1);
    later("after code", "V3 changes a first", 1);
    later("made by code", "it reads unknown, which is not there yet; what V5 creates is not known", 0);
    later("waits", "V3 is applied first", 0);
    later("tries", "it tries rows of its own, which only a run does", 0);
    later("keys", "V2 comes first and may change the answer", 1);
    // Nothing before it changes what it reads: that it is false now is what the run would find.
    assert!(named(&inspection, "reads a early").stops());
    let skipped = named(&inspection, "waits for ever");
    assert_eq!((skipped.answers[0].verdict, skipped.stops()), (Skipped, false));
    assert_eq!(world.database.value("SELECT count(*) FROM a"), "1");
}

/// The session that looks may not write, whatever a query does.
#[tokio::test]
async fn a_query_that_writes_is_refused() {
    let migrations = [("V1__a.sql", "CREATE SEQUENCE s;"), ("V2__b.sql", "CREATE TABLE b ();")];
    let checks = [check("moves on", 2, "kind = 'no_rows'\nsql = \"SELECT nextval('s')\"")];
    let (world, inspection) = look(&migrations, &checks).await;
    let answer = &named(&inspection, "moves on").answers[0];
    assert_eq!(answer.verdict, NotMeasured);
    assert!(answer.found.contains("read-only transaction"), "{}", answer.found);
    let mut session = Session::connect(&world.database.options(), &Startup::default()).await.unwrap();
    assert_eq!(session.query_text("SELECT is_called FROM s").await.unwrap().scalar(), Some("f"));
}
