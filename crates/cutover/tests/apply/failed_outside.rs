//! A statement outside a transaction that failed with an error the server told: the journal keeps it, and whoever looks
//! later is told what happened and what the next run does about it.

use std::time::Duration;

use cutover::Project;
use cutover::inspect::{self, Inspection};
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::plan::{StepState, UnitState};
use cutover::repair::{self, Finding, Mark};
use cutover::report::parts_lines;
use cutover::run::{EventKind, Outcome};
use cutover_postgres::connect::ConnectOptions;
use testkit::database;

use crate::support::{
    APPLIED, BUILD_WAITS, apply, completes, failure, looking, project, session, settle, soon, until,
};

const JOURNAL: &str = "SELECT coalesce(string_agg(concat_ws(' ', unit, state, code, error), ', ' ORDER BY unit), '') FROM cutover.unit";

async fn look(project: &Project, options: &ConnectOptions) -> Inspection {
    inspect::database(project, &mut looking(options).await, &Selection::default(), Read::Work).await.unwrap()
}

fn lines(inspection: &Inspection, step: usize) -> String {
    parts_lines(&inspection.built.plan.steps[step]).join("\n")
}

#[tokio::test]
async fn what_failed_and_left_nothing_is_told_and_run_again() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (1)");
    let build = "CREATE UNIQUE INDEX CONCURRENTLY u ON t (n);";
    let files = project(&[("V1__u.sql", build)]);
    let run = apply(&files, &options).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean), "{}", failure(&run));
    assert_eq!(database.value(JOURNAL), "0 failed 23505 could not create unique index \"u\"");
    let seen = look(&files, &options).await;
    let said = lines(&seen, 0);
    assert!(said.starts_with("outside a transaction: CREATE INDEX CONCURRENTLY – failed at 20"), "{said}");
    assert!(
        said.ends_with(": could not create unique index \"u\" (23505); it is run again as it is"),
        "{said}"
    );
    let step = &seen.built.plan.steps[0];
    assert_eq!((&step.state, step.units[0].state), (&StepState::Pending, UnitState::Failed));
    assert_eq!(seen.stops(&[]).count(), 0);
    let nothing = settle(&files, &options, "1", Mark::Done).await.unwrap_err().to_string();
    assert!(
        nothing.contains("\npart 1 failed at 20") && nothing.ends_with("runs it again as it is"),
        "{nothing}"
    );
    // Nothing of it is there, so the file may be mended; what failed is not what is there now.
    let mended = project(&[("V1__u.sql", &build.replace("UNIQUE ", ""))]);
    assert_eq!(lines(&look(&mended, &options).await, 0), "outside a transaction: CREATE INDEX CONCURRENTLY");
    database.run("TRUNCATE t");
    let run = completes(&files, &options).await;
    let told = run.events.iter().any(|event| {
        matches!(&event.kind, EventKind::StepNote { note, .. }
            if note.starts_with("CREATE INDEX CONCURRENTLY failed at") && note.ends_with("run again as it is"))
    });
    assert!(told, "{:?}", run.events);
    assert_eq!(database.value(JOURNAL), "");
}

/// A file that is one transaction by now leaves no trace of its failed part either.
#[tokio::test]
async fn a_failed_part_that_was_mended_away_is_forgotten() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE t (n int); INSERT INTO t VALUES (1), (1)");
    let other = ("V2__b.sql", "CREATE TABLE b ();");
    let failing = project(&[("V1__u.sql", "CREATE UNIQUE INDEX CONCURRENTLY u ON t (n);"), other]);
    apply(&failing, &options).await.unwrap();
    assert_ne!(database.value(JOURNAL), "");
    completes(&project(&[("V1__u.sql", "CREATE INDEX u ON t (n);"), other]), &options).await;
    assert_eq!((database.value(JOURNAL), database.value(APPLIED)), (String::new(), "1 2".into()));
}

#[tokio::test]
async fn what_failed_and_may_have_done_something_is_asked_about_with_its_error() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE log (n int PRIMARY KEY)");
    let text = "CREATE TABLE a ();\n-- cutover: no-transaction\nDO $$ BEGIN INSERT INTO log VALUES (1); COMMIT; \
                RAISE EXCEPTION 'no ${TOKEN}'; END $$;";
    let mut files = project(&[("V1__a.sql", text)]);
    files.vars.insert_hidden("TOKEN", "sesame-open").unwrap();
    let run = apply(&files, &options).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::NeedsDecision), "{}", failure(&run));
    assert_eq!(database.value(JOURNAL), "0 done, 1 started P0001 no ***********");
    let words = [
        "V1__a.sql: DO (no-transaction) (part 2",
        "failed at 20",
        ": no *********** (P0001), and what it did before",
    ];
    let seen = look(&files, &options).await;
    let stops = seen.stops(&[]).map(|stop| stop.text).collect::<String>();
    let again = failure(&apply(&files, &options).await.unwrap());
    for said in [&stops, &again] {
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert!(said.contains("cutover repair 1 --mark done") && !said.contains("never learned"), "{said}");
    }
    assert!(
        lines(&seen, 0).contains("no *********** (P0001); look whether its effect is there"),
        "{}",
        lines(&seen, 0)
    );
    settle(&files, &options, "1", Mark::Done).await.unwrap();
    completes(&files, &options).await;
}

#[tokio::test]
async fn what_could_not_be_cleaned_up_is_told_with_its_error() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE t (n int); CREATE INDEX t_n ON t (n)");
    let mut reader = session(&options).await;
    reader.execute("BEGIN; SELECT FROM t").await.unwrap();
    let mut files = project(&[("V1__d.sql", "DROP INDEX CONCURRENTLY t_n;")]);
    files.apply.lock_wait = Duration::from_millis(300);
    let run = soon(apply(&files, &options)).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::LockNotObtained), "{}", failure(&run));
    assert_eq!(database.value(JOURNAL), "0 started 57014 waited too long for other sessions (lock_wait)");
    let said = lines(&look(&files, &options).await, 0);
    assert!(
        said.contains(
            "waited too long for other sessions (lock_wait) (57014); what is left of it to do is done"
        ),
        "{said}"
    );
}

/// The session was ended: that may have been after the commit, so nobody knows.
#[tokio::test]
async fn what_nobody_knows_stays_unknown() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE t (n int)");
    let mut writer = session(&options).await;
    writer.execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    let files = project(&[("V1__i.sql", "CREATE INDEX CONCURRENTLY i ON t (n);")]);
    let mut killer = session(&options).await;
    let killing = async {
        until(&mut killer, BUILD_WAITS, "1").await;
        let kill = "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.locktype = 'virtualxid' AND NOT l.granted AND a.datname = current_database()";
        killer.execute(kill).await.unwrap();
    };
    let (run, ()) = soon(async { tokio::join!(apply(&files, &options), killing) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::ConnectionLost), "{}", failure(&run));
    assert!(failure(&run).contains("may still be running or be done"), "{}", failure(&run));
    let ended = "FATAL: terminating connection due to administrator command";
    assert_eq!(database.value(JOURNAL), format!("0 started 57P01 {ended}"));
    let mut seen = look(&files, &options).await;
    let said = lines(&seen, 0);
    assert!(said.contains(" – lost its connection at 20"), "{said}");
    assert!(
        said.ends_with(&format!(
            "{ended} (57P01); what it left behind is removed first, then it is run again"
        ))
    );
    // What the catalogue says of it is what `repair` says.
    inspect::look_at_open(&files, &options, &mut looking(&options).await, &mut seen).await.unwrap();
    let said = lines(&seen, 0);
    let known = &repair::list(&files, &options, None).await.unwrap().statements[0];
    assert!(said.ends_with(&format!("{ended} (57P01); {}", known.finding)), "{said}");
    assert_eq!(known.finding, Finding::Again);
    assert_eq!(seen.stops(&[]).count(), 0);
    let failed = inspect::last_failures(&mut looking(&options).await, &files.name, &seen).await.unwrap();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].message.contains(ended) && failed[0].run == run.id, "{failed:?}");
    writer.execute("COMMIT").await.unwrap();
    completes(&files, &options).await;
    let none = inspect::last_failures(&mut looking(&options).await, &files.name, &seen).await.unwrap();
    assert_eq!(none, []);
}
