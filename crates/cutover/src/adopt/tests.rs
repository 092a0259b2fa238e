//! What an adoption does when others are at work.

use cutover_postgres::connect::ConnectOptions;

use super::*;
use crate::clock::SystemClock;

fn project() -> Project {
    Project::embedded(
        "x",
        &[
            ("1_a.up.sql", b"CREATE TABLE a (n int);"),
            ("2_b.up.sql", b"CREATE TABLE b (n int);"),
            ("3_c.up.sql", b"CREATE TABLE c (n int);"),
        ],
    )
    .unwrap()
}

fn database() -> testkit::Database {
    let database = testkit::database();
    database.run(
        "CREATE TABLE a (n int); CREATE TABLE b (n int); CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean);
         INSERT INTO schema_migrations VALUES (2, false)",
    );
    database
}

async fn adopt_after(options: &ConnectOptions, meanwhile: impl FnOnce()) -> Result<Recorded, AdoptError> {
    let (project, clock) = (project(), SystemClock::new());
    let sandbox = SandboxProvider::local(testkit::sandbox_options());
    let request = Request {
        from: None,
        allow: &[],
        sandbox: &sandbox,
        operator: "tests".to_owned(),
        tool: "tests".to_owned(),
        clock: &clock,
    };
    let outlook = look(&project, options, &request).await?;
    assert_eq!(outlook.recorded(), 2);
    meanwhile();
    record(&project, options, &request, &outlook).await
}

#[tokio::test]
async fn what_was_looked_at_is_recorded_or_nothing() {
    let moves = [
        "UPDATE schema_migrations SET version = 3",
        "UPDATE schema_migrations SET dirty = true",
        "DELETE FROM schema_migrations",
        "ALTER TABLE b ADD COLUMN m int",
        "DROP TABLE a",
    ];
    for sql in moves {
        let database = database();
        let refused = adopt_after(&database.options(), || database.run(sql)).await;
        assert!(matches!(refused, Err(AdoptError::Record(RecordError::Moved))), "{sql}: {refused:?}");
        assert_eq!(database.value("SELECT to_regclass('cutover.migration') IS NULL"), "t", "{sql}");
    }
    let database = database();
    // What no file makes is nobody's concern.
    let recorded = adopt_after(&database.options(), || database.run("SELECT 1")).await.unwrap();
    assert_eq!(recorded.migrations, 2);
}

#[tokio::test]
async fn a_runner_at_work_is_waited_for_and_then_named() {
    let database = database();
    let held = database.hold(&format!("SELECT pg_advisory_xact_lock({})", crate::history::lock::LOCK_KEY));
    let refused = adopt_after(&database.options(), || {}).await;
    assert!(
        matches!(refused, Err(AdoptError::Record(RecordError::Asked(AskError::History(_))))),
        "{refused:?}"
    );
    drop(held);
}

/// The throwaway server has the roles of the database's own but for those that the files make there.
#[tokio::test]
async fn a_role_that_a_file_makes_is_made_by_it_on_the_throwaway_server() {
    let role = testkit::role("");
    let made = format!("CREATE ROLE {}; CREATE TABLE a (n int);", role.name);
    let project =
        Project::embedded("x", &[("1_a.up.sql", made.as_bytes()), ("1_a.down.sql", b"DROP TABLE a")]);
    let (project, clock, database) = (project.unwrap(), SystemClock::new(), testkit::database());
    database.run(
        "CREATE TABLE a (n bigint); CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean);
         INSERT INTO schema_migrations VALUES (1, false)",
    );
    let sandbox = SandboxProvider::local(testkit::sandbox_options());
    let request = Request {
        from: None,
        allow: &[],
        sandbox: &sandbox,
        operator: "tests".to_owned(),
        tool: "tests".to_owned(),
        clock: &clock,
    };
    let outlook = look(&project, &database.options(), &request).await.unwrap();
    assert_eq!(outlook.report.remarks, Vec::<String>::new());
    assert_eq!(outlook.report.catalogue.differences, ["~ column a.n: type integer → bigint"]);
}
