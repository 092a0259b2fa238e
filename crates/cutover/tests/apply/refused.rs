//! The server refuses something of our own before the first step, or after the last: what was being done, what to do about
//! it, and what is now true of the database.

use cutover::apply::{ApplyError, Request};
use cutover::run::Outcome;
use testkit::{Database, database, role};

use crate::support::{APPLIED, apply, apply_with, completes, failure, project};

/// An event trigger that runs `body` for each command of these kinds.
fn on_command(database: &Database, event: &str, tags: &str, body: &str) {
    database.run(&format!(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN {body} END $f$;
         CREATE EVENT TRIGGER refuse ON {event} WHEN TAG IN ({tags}) EXECUTE FUNCTION refuse()"
    ));
}

/// Applies and expects an error whose words are these, in this order, and nothing else.
async fn says(database: &Database, parts: &[&str]) -> ApplyError {
    let project = project(&[("V1__a.sql", "CREATE TABLE a ();")]);
    let error = apply(&project, &database.options()).await.unwrap_err();
    assert_eq!(error.to_string(), parts.join("\n"));
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL AND to_regclass('a') IS NULL"), "t");
    error
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_and_says_so() {
    let database = database();
    on_command(
        &database,
        "ddl_command_start",
        "'CREATE SCHEMA'",
        "RAISE 'could not extend file \"base/1\"' USING ERRCODE = '53100', HINT = 'Check free disk space.';",
    );
    let error = says(
        &database,
        &[
            "creating or upgrading the tables in schema cutover: ERROR: could not extend file \"base/1\" (53100)",
            "  hint: Check free disk space.",
            "  hint: the server's disk is full: make room there, then run again",
            "nothing was done",
        ],
    )
    .await;
    assert!(matches!(error, ApplyError::Refused { .. }), "{error:?}");
    database.run("DROP EVENT TRIGGER refuse");
    completes(&project(&[("V1__a.sql", "CREATE TABLE a ();")]), &database.options()).await;
}

#[tokio::test]
async fn a_timeout_of_the_database_is_named() {
    let database = database();
    // The limit is there from the schema on: whatever comes before takes as long as it takes. PostgreSQL calls it a request
    // of somebody where the time is up just as a statement ends: it is long for the statements that do.
    on_command(
        &database,
        "ddl_command_end",
        "'CREATE SCHEMA', 'CREATE TABLE'",
        "PERFORM set_config('statement_timeout', '1s', false);
         IF tg_tag = 'CREATE TABLE' THEN PERFORM pg_sleep(600); END IF;",
    );
    says(
        &database,
        &[
            "creating or upgrading the tables in schema cutover: ERROR: canceling statement due to statement timeout (57014)",
            "  hint: a timeout ended the statement: see statement_timeout in cutover.toml, the role or the database",
            "nothing was done",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_becomes_read_only_in_between_is_named() {
    let database = database();
    let body = "PERFORM set_config('transaction_read_only', 'on', true);";
    on_command(&database, "ddl_command_end", "'CREATE TABLE'", body);
    says(
        &database,
        &[
            "creating or upgrading the tables in schema cutover: ERROR: cannot execute INSERT in a read-only transaction (25006)",
            "  hint: the server or the session is read-only: is this a replica?",
            "nothing was done",
        ],
    )
    .await;
}

/// Tables are there, and a role that may not write one of them.
#[tokio::test]
async fn a_run_that_cannot_be_recorded_does_not_begin() {
    let database = database();
    let first = ("V1__a.sql", "CREATE TABLE a ();");
    completes(&project(&[first]), &database.options()).await;
    let someone = role("");
    database.run(&format!(
        "GRANT USAGE ON SCHEMA cutover TO {0}; GRANT SELECT ON ALL TABLES IN SCHEMA cutover TO {0};
         GRANT UPDATE ON cutover.fence TO {0}; GRANT CREATE ON SCHEMA public TO {0}",
        someone.name
    ));
    let project = project(&[first, ("V2__b.sql", "CREATE TABLE b ();")]);
    let error = apply(&project, &database.options_as(&someone)).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("recording that the run begins: ERROR: permission denied for table run (42501)\n"),
        "{said}"
    );
    assert!(said.contains("\n  hint: the connected role lacks a privilege"), "{said}");
    assert!(said.ends_with("\nno migration was applied"), "{said}");
    assert_eq!(database.value(APPLIED), "1");
    database.run(&format!("DROP OWNED BY {}", someone.name));
    drop(database);
}

#[tokio::test]
async fn a_second_connection_that_is_not_had_says_what_is_true() {
    let owner = role("");
    let database = database();
    database.give_to(&owner);
    let options = database.options_as(&owner);
    database.run(&format!("ALTER ROLE {} CONNECTION LIMIT 1", owner.name));
    let files = [("V1__a.sql", "CREATE TABLE a ();"), ("V2__b.sql", "CREATE TABLE b ();")];
    let error = apply(&project(&files[..1]), &options).await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ApplyError::Connection { .. }), "{error:?}");
    assert!(said.contains("too many connections for role") && said.ends_with("\nnothing was done"), "{said}");
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    database.run(&format!("ALTER ROLE {} CONNECTION LIMIT -1", owner.name));
    completes(&project(&files[..1]), &options).await;
    database.run(&format!("ALTER ROLE {} CONNECTION LIMIT 1", owner.name));
    let error = apply(&project(&files), &options).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("too many connections for role") && said.ends_with("\nnothing was done"), "{said}");
    assert_eq!(database.value(APPLIED), "1");
    drop(database);
}

/// Everything is applied and the end cannot be recorded: that is said, and not that all is well.
#[tokio::test]
async fn an_end_that_cannot_be_recorded_is_no_success() {
    let database = database();
    let text = "CREATE TABLE kept ();\nALTER TABLE cutover.run RENAME COLUMN outcome TO gone;";
    let request = Request { allow: vec!["own-schema".into(), "rename-column".into()], ..Request::default() };
    let first = ("V1__a.sql", "CREATE TABLE a ();");
    completes(&project(&[first]), &database.options()).await;
    let project = project(&[first, ("V2__b.sql", text)]);
    let error = apply_with(&project, &database.options(), &request).await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ApplyError::Journal { .. }), "{error:?}");
    assert!(
        said.starts_with(
            "the run could not be recorded: ERROR: column \"outcome\" of relation \"run\" does not exist"
        ),
        "{said}"
    );
    assert!(
        said.contains("\nevery migration was committed, but it is not known whether all of them are on disk"),
        "{said}"
    );
    database.run("ALTER TABLE cutover.run RENAME COLUMN gone TO outcome");
    let run = apply(&project, &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::NothingToDo), "{}", failure(&run));
    assert_eq!(database.value(APPLIED), "1 2");
}

/// A file that nobody has written yet would otherwise count as applied for good.
#[tokio::test]
async fn a_file_without_a_statement_stops_the_run_before_its_first_statement() {
    let database = database();
    let options = database.options();
    let mut files = project(&[("V1__a.sql", "CREATE TABLE a ();"), ("V2__b.sql", "-- to be written\n")]);
    let error = apply(&files, &options).await.unwrap_err();
    assert!(matches!(error, ApplyError::Scripts(_)), "{error:?}");
    assert!(error.to_string().contains("V2__b.sql:1:1: it has no statements"), "{error}");
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL AND to_regclass('a') IS NULL"), "t");
    // Left for later, it is in nobody's way.
    files.migrations[1].claims.deferred = true;
    completes(&files, &options).await;
    files.migrations[1].claims.deferred = false;
    assert!(apply(&files, &options).await.is_err());
    let request = Request { allow: vec!["empty-migration".into()], ..Request::default() };
    let run = apply_with(&files, &options, &request).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    assert_eq!(database.value("SELECT statements FROM cutover.migration WHERE version = '2'"), "0");
    assert_eq!(database.value(APPLIED), "1 2");
}
