//! Who may do what: an ordinary owner everything, others are told what they lack before anything is done.

use cutover::apply::ApplyError;
use cutover::history::HistoryError;
use cutover::run::Outcome;
use testkit::{database, role};

use crate::checked::{FILES, checked_project};
use crate::support::{APPLIED, OBJECTS, apply, completes, failure, project, session, value};

#[tokio::test]
async fn an_ordinary_owner_can_do_everything() {
    let owner = role("");
    let database = database();
    database.give_to(&owner);
    let options = database.options_as(&owner);
    completes(&checked_project(), &options).await;
    let sql = "SELECT string_agg(DISTINCT role, ' ') FROM cutover.migration";
    assert_eq!(database.value(sql), owner.name);
    let sql = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 't'::regclass";
    assert_eq!(database.value(sql), owner.name);
    // A second run, on a database with data in it.
    let mut more = FILES.to_vec();
    more.push(("V18__more.sql", "ALTER TABLE log ADD CONSTRAINT n_small CHECK (n < 100) NOT VALID;\n-- cutover: new-transaction\nALTER TABLE log VALIDATE CONSTRAINT n_small;"));
    more.push(("V19__more.sql", "CREATE INDEX CONCURRENTLY log_n ON log (n);"));
    let run = completes(&project(&more), &options).await;
    assert_eq!(crate::support::finished(&run), ["18", "19"]);
    drop(database);
}

#[tokio::test]
async fn without_create_on_the_database_the_privilege_is_named() {
    let someone = role("");
    let database = database();
    let options = database.options_as(&someone);
    let error = apply(&checked_project(), &options).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotAllowed(_)), "{error:?}");
    let said = error.to_string();
    let grant = format!("GRANT CREATE ON DATABASE {} TO {}", database.name(), someone.name);
    assert!(
        said.contains("may not create schema \"cutover\"")
            && said.contains(&grant)
            && said.ends_with("nothing was done"),
        "{said}"
    );
    assert_eq!(database.value(OBJECTS), "");
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    // What it says helps.
    database.run(&format!("{grant}; GRANT CREATE ON SCHEMA public TO {}", someone.name));
    completes(&checked_project(), &options).await;
    database.run(&format!("DROP OWNED BY {}", someone.name));
    drop(database);
}

#[tokio::test]
async fn a_schema_prepared_by_somebody_else_is_refused() {
    let stranger = role("");
    let owner = role("");
    let database = database();
    database.give_to(&owner);
    database.run(&format!("CREATE SCHEMA cutover AUTHORIZATION {}", stranger.name));
    for options in [database.options(), database.options_as(&owner)] {
        let error = apply(&checked_project(), &options).await.unwrap_err();
        let ApplyError::History(HistoryError::ForeignSchema { owner, .. }) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(*owner, stranger.name);
        assert!(error.to_string().contains("nothing was written"), "{error}");
    }
    assert_eq!(database.value(OBJECTS), "");
    database.run("DROP SCHEMA cutover");
    drop(database);
}

/// As above, but what was prepared looks exactly like ours.
#[tokio::test]
async fn tables_of_somebody_else_are_refused() {
    let stranger = role("");
    let database = database();
    completes(&project(&FILES[..1]), &database.options()).await;
    database.run(&format!(
        "DO $$ DECLARE t text; BEGIN
           FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'cutover'::regnamespace AND relkind = 'r' LOOP
             EXECUTE 'ALTER TABLE cutover.' || t || ' OWNER TO {0}';
           END LOOP; END $$;
         ALTER SCHEMA cutover OWNER TO {0}",
        stranger.name
    ));
    let error = apply(&project(FILES), &database.options()).await.unwrap_err();
    let ApplyError::History(HistoryError::ForeignSchema { owner, .. }) = &error else { panic!("{error:?}") };
    assert_eq!(*owner, stranger.name);
    assert_eq!(database.value("SELECT to_regclass('b') IS NULL"), "t");
    database.run(&format!("DROP OWNED BY {} CASCADE", stranger.name));
    drop(database);
}

#[tokio::test]
async fn our_tables_with_something_added_are_refused() {
    let additions = [
        "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER t BEFORE INSERT ON cutover.migration FOR EACH ROW EXECUTE FUNCTION public.f()",
        "CREATE RULE r AS ON INSERT TO cutover.event DO INSTEAD NOTHING",
        "ALTER TABLE cutover.fence ENABLE ROW LEVEL SECURITY",
    ];
    for addition in additions {
        let database = database();
        let options = database.options();
        completes(&project(&[("V1__a.sql", "CREATE TABLE a ();")]), &options).await;
        database.run(addition);
        let more = project(&[("V1__a.sql", "CREATE TABLE a ();"), ("V2__b.sql", "CREATE TABLE b ();")]);
        let error = apply(&more, &options).await.unwrap_err();
        assert!(
            matches!(error, ApplyError::History(HistoryError::ForeignSchema { .. })),
            "{addition}: {error:?}"
        );
        assert_eq!(database.value("SELECT to_regclass('b') IS NULL"), "t", "{addition}");
    }
}

/// A view there, e.g. for a dashboard, has a rule of its own and is nobody's harm.
#[tokio::test]
async fn a_view_beside_our_tables_is_left_alone() {
    let database = database();
    let options = database.options();
    completes(&project(&[("V1__a.sql", "CREATE TABLE a ();")]), &options).await;
    database.run("CREATE VIEW cutover.applied AS SELECT version_text FROM cutover.migration");
    completes(
        &project(&[("V1__a.sql", "CREATE TABLE a ();"), ("V2__b.sql", "CREATE TABLE b ();")]),
        &options,
    )
    .await;
    assert_eq!(database.value("SELECT count(*) FROM cutover.applied"), "2");
}

#[tokio::test]
async fn a_newer_history_is_refused() {
    let database = database();
    let options = database.options();
    completes(&project(&[("V1__a.sql", "CREATE TABLE a ();")]), &options).await;
    database.run("UPDATE cutover.meta SET version = 3");
    let more = project(&[("V1__a.sql", "CREATE TABLE a ();"), ("V2__b.sql", "CREATE TABLE b ();")]);
    let error = apply(&more, &options).await.unwrap_err();
    assert!(
        matches!(error, ApplyError::History(HistoryError::NewerSchema { found: 3, known: 2 })),
        "{error:?}"
    );
    assert_eq!(database.value("SELECT to_regclass('b') IS NULL"), "t");
}

#[tokio::test]
async fn a_read_only_database_is_refused() {
    let database = database();
    database.run(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", database.name()));
    let error = apply(&checked_project(), &database.options()).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotAllowed(_)), "{error:?}");
    assert!(error.to_string().contains("read-only"), "{error}");
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL"), "t");
}

#[tokio::test]
async fn a_replica_is_refused() {
    let mut server = testkit::private_server(&[]);
    server.stop_immediately();
    // It recovers, and then waits for a primary that never comes.
    std::fs::write(server.folder().join("data/standby.signal"), "").unwrap();
    server.restart().unwrap();
    let error = apply(&checked_project(), &server.options("postgres")).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotAllowed(_)), "{error:?}");
    assert!(error.to_string().contains("the server is a replica: connect to the primary"), "{error}");
}

/// A file may do its work as another role; what is missing there is said with the place.
#[tokio::test]
async fn a_role_that_lacks_something_is_told_where() {
    let owner = role("");
    let database = database();
    database.give_to(&owner);
    database.run("CREATE TABLE theirs (n int)");
    let project = project(&[("V1__a.sql", "CREATE TABLE mine ();\nALTER TABLE theirs ADD m int;")]);
    let run = apply(&project, &database.options_as(&owner)).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    assert!(
        said.contains("V1__a.sql:2:1: ERROR: must be owner of table theirs (42501)")
            && said.contains("SET ROLE"),
        "{said}"
    );
    let mut session = session(&database.options()).await;
    assert_eq!(value(&mut session, APPLIED).await, "");
    assert_eq!(value(&mut session, "SELECT to_regclass('mine') IS NULL").await, "t");
    session.close().await;
    drop(database);
}

/// Granted by the table, before there were schemas to record.
#[tokio::test]
async fn a_role_that_may_not_record_schemas_may_migrate() {
    let someone = role("");
    let database = database();
    completes(&project(&[("V1__a.sql", "CREATE TABLE a ();")]), &database.options()).await;
    let name = &someone.name;
    database.run(&format!(
        "GRANT USAGE, CREATE ON SCHEMA public TO {name}; GRANT USAGE ON SCHEMA cutover TO {name};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA cutover TO {name};
         REVOKE INSERT ON cutover.snapshot FROM {name}"
    ));
    let more = project(&[("V1__a.sql", "CREATE TABLE a ();"), ("V2__b.sql", "CREATE TABLE b ();")]);
    completes(&more, &database.options_as(&someone)).await;
    assert_eq!(database.value("SELECT count(*) FROM cutover.snapshot"), "1");
    database.run(&format!("DROP OWNED BY {name} CASCADE"));
    drop(database);
}
