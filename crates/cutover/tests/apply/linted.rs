//! What lint says of what would run: an error stops the run before its first statement, unless it is allowed.

use cutover::apply::{ApplyError, Request};
use cutover::history::journal;
use cutover::inspect;
use cutover::lint::Severity;
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::run::{Outcome, Run};
use testkit::{Database, database};

use crate::support::{APPLIED, Folder, apply, apply_with, completes, looking, project};

const FIRST: (&str, &str) =
    ("V1__a.sql", "CREATE TABLE users (id int PRIMARY KEY, mail text); INSERT INTO users VALUES (1, 'a');");
const SECOND: (&str, &str) =
    ("V2__b.sql", "CREATE TABLE made (j json);\nALTER TABLE users DROP COLUMN mail;");

fn allowing(codes: &[&str]) -> Request {
    Request { allow: codes.iter().map(ToString::to_string).collect(), ..Request::default() }
}

/// Everything that a run could have changed.
fn state(database: &Database) -> String {
    database.value(
        "SELECT concat_ws(' ', (SELECT count(*) FROM cutover.migration), (SELECT count(*) FROM cutover.run),
           (SELECT count(*) FROM cutover.event), to_regclass('made'), (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
           (SELECT string_agg(mail, '') FROM users), (SELECT token FROM cutover.fence))",
    )
}

/// The findings of a run, as they stand in its plan.
fn findings(run: &Run) -> Vec<(String, Severity)> {
    let all = run.plan.steps.iter().flat_map(|step| &step.findings);
    all.map(|finding| (finding.code.clone(), finding.severity)).collect()
}

#[tokio::test]
async fn an_error_stops_a_run_before_its_first_statement() {
    let database = database();
    let options = database.options();
    completes(&project(&[FIRST]), &options).await;
    let before = state(&database);
    let files = project(&[FIRST, SECOND]);
    let error = apply(&files, &options).await.unwrap_err();
    assert!(matches!(&error, ApplyError::Linted(all) if all.len() == 1), "{error:?}");
    let said = error.to_string();
    for part in [
        "V2__b.sql:2:1: what users.mail holds is lost, and whoever still names it fails (drop-column)\n  |\n2 | ALTER TABLE",
        "`--allow drop-column` runs it as it is, and so does `-- cutover: allow drop-column REASON` above the statement",
        "\nnothing was done",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!(state(&database), before);
    // Another code accepts nothing, and one that nobody knows is refused.
    apply_with(&files, &options, &allowing(&["drop-table"])).await.unwrap_err();
    let unknown = apply_with(&files, &options, &allowing(&["drop-colum"])).await.unwrap_err();
    assert!(unknown.to_string().contains("did you mean drop-column?"), "{unknown}");
    assert_eq!(state(&database), before);
    // What plan says stops a run is the same.
    let mut session = looking(&options).await;
    let mut inspection =
        inspect::database(&files, &mut session, &Selection::default(), Read::Pending).await.unwrap();
    inspect::look_closer(&files, &options, &mut inspection).await.unwrap();
    let stops: Vec<String> = inspection.stops(&[]).map(|stop| stop.text).collect();
    assert_eq!(format!("{}\nnothing was done", stops.join("\n\n")), said);
    assert_eq!(inspection.stops(&["drop-column".to_owned()]).count(), 0);
    // Accepted by its code it runs, and the run keeps what was found.
    let run = apply_with(&files, &options, &allowing(&["drop-column"])).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed));
    let expected =
        [("json-column".to_owned(), Severity::Warning), ("drop-column".to_owned(), Severity::Error)];
    assert_eq!(findings(&run), expected);
    let stored = journal::read_run(&mut session, &run.id).await.unwrap().unwrap();
    assert_eq!(findings(&stored), expected);
    assert_eq!(database.value(APPLIED), "1 2");
}

#[tokio::test]
async fn what_somebody_has_thought_about_runs() {
    let database = database();
    let options = database.options();
    completes(&project(&[FIRST]), &options).await;
    let text =
        "-- cutover: allow drop-column nobody has read it since March\nALTER TABLE users DROP COLUMN mail;";
    let run = completes(&project(&[FIRST, ("V2__b.sql", text)]), &options).await;
    assert_eq!(findings(&run), []);
}

#[tokio::test]
async fn the_configuration_says_what_stops_a_run() {
    for (lint, stops, told) in [
        ("", true, 0),
        ("[lint]\napply = \"warn\"", false, 2),
        ("[lint]\napply = \"off\"", false, 0),
        ("[lint.rules]\ndrop-column = \"warning\"\njson-column = \"off\"", false, 1),
        ("[lint.rules]\ndrop-column = \"off\"\njson-column = \"error\"", true, 0),
    ] {
        let database = database();
        let config = format!("[project]\nname = \"p\"\n{lint}\n");
        let in_folder = |file: &(&str, &str)| (format!("migrations/{}", file.0), file.1.to_owned());
        let first = in_folder(&FIRST);
        let folder = Folder::with(&[("cutover.toml", &config), (&first.0, &first.1)]);
        completes(&folder.load(), &database.options()).await;
        let second = in_folder(&SECOND);
        folder.write(&second.0, &second.1);
        let done = apply(&folder.load(), &database.options()).await;
        if stops {
            assert!(matches!(done, Err(ApplyError::Linted(_))), "{lint}: {done:?}");
        } else {
            assert_eq!(findings(&done.unwrap()).len(), told, "{lint}");
        }
    }
}

/// A new database is nobody's yet, and a small one waits for nobody.
#[tokio::test]
async fn new_and_small_databases_are_not_stopped() {
    let harsh = "CREATE TABLE t (n int); INSERT INTO t VALUES (1); ALTER TABLE t RENAME n TO m; DROP TABLE t;
                 CREATE TABLE t (n int); CREATE POLICY p ON t USING (true);
                 CREATE FUNCTION f() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1';";
    let run = completes(&project(&[FIRST, ("V2__b.sql", harsh)]), &database().options()).await;
    assert_eq!(findings(&run), []);
    let database = database();
    completes(&project(&[FIRST]), &database.options()).await;
    let locking = "CREATE INDEX ON users (mail); ALTER TABLE users ADD UNIQUE (mail); ALTER TABLE users ALTER mail SET NOT NULL;
                   ALTER TABLE users ALTER id TYPE bigint; ALTER TABLE users ADD CHECK (id > 0);
                   CREATE TABLE orders (u bigint REFERENCES users); ALTER TABLE users ADD u uuid DEFAULT gen_random_uuid();
                   UPDATE users SET mail = 'b'; DROP INDEX users_mail_idx;";
    let run = completes(&project(&[FIRST, ("V2__b.sql", locking)]), &database.options()).await;
    let errors = findings(&run).into_iter().filter(|(_, severity)| *severity == Severity::Error);
    assert_eq!(errors.collect::<Vec<_>>(), []);
}

/// What an earlier run has applied of a file is not looked at again.
#[tokio::test]
async fn a_part_that_is_applied_is_not_looked_at() {
    let database = database();
    let options = database.options();
    completes(&project(&[FIRST]), &options).await;
    let text = "ALTER TABLE users DROP COLUMN mail;\n-- cutover: new-transaction\nSELECT 1 / 0;";
    let files = project(&[FIRST, ("V2__b.sql", text)]);
    let run = apply_with(&files, &options, &allowing(&["drop-column"])).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let again = apply(&files, &options).await.unwrap();
    assert_eq!((again.outcome, findings(&again)), (Some(Outcome::FailedClean), Vec::new()));
}

/// Files that come late are found, where the history is asked.
#[tokio::test]
async fn lint_of_a_database_is_about_what_is_pending() {
    let database = database();
    let options = database.options();
    let third = ("V3__c.sql", "CREATE TABLE c (j json);");
    completes(&project(&[FIRST, third]), &options).await;
    let files = project(&[FIRST, SECOND, third]);
    let found = inspect::lint(&files, &options, None).await.unwrap();
    let codes: Vec<&str> = found.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes, ["json-column", "drop-column", "out-of-order-file"]);
    assert!(
        found.findings[2].message.ends_with("highest one that is applied, V3"),
        "{:?}",
        found.findings[2]
    );
    assert_eq!(found.files, 1);
}
