//! Roles that may not do what a worker does are told what to grant; schemas that somebody prepared are refused.

use cutover_postgres::session::Startup;
use cutover_worker::{WorkerError, schema, status};
use testkit::{database, role};

use crate::support::{ended, session, settings, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_make_the_schema_is_told_what_to_grant() {
    let role = role("");
    let database = database();
    let options = database.options_as(&role);
    let said = start(&options, settings("w")).ended().await.unwrap_err();
    assert!(matches!(said, WorkerError::MayNotCreate { .. }), "{said}");
    let grant = format!("GRANT CREATE ON DATABASE {} TO {}", database.name(), role.name);
    assert!(said.to_string().contains(&grant), "{said}");
    let missing = status(&options, &Startup::default()).await.unwrap_err();
    assert!(matches!(missing, WorkerError::Missing), "{missing}");
    // Made by the owner, it may still not be used; with what is named, it may.
    let mut owner = session(&database.options()).await;
    schema::ensure(&mut owner).await.unwrap();
    let WorkerError::Rights { grants, .. } = start(&options, settings("w")).ended().await.unwrap_err() else {
        panic!("rights")
    };
    owner.execute(&grants.join("\n")).await.unwrap();
    owner.execute("SELECT cutover_worker.schedule('a', '1 second', 'SELECT 1')").await.unwrap();
    let worker = start(&options, settings("w"));
    ended(&database, "a", 1).await;
    worker.stops().await;
    assert_eq!(status(&options, &Startup::default()).await.unwrap().len(), 1);
    owner.execute(&format!("DROP OWNED BY {}", role.name)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_is_not_the_workers_is_refused() {
    let stranger = role("");
    let prepared = [
        "CREATE SCHEMA cutover_worker AUTHORIZATION {role}",
        "CREATE SCHEMA cutover_worker",
        "CREATE SCHEMA cutover_worker; CREATE TABLE cutover_worker.meta (version int); ALTER TABLE cutover_worker.meta OWNER TO {role}",
    ];
    for sql in prepared {
        let database = database();
        database.run(&sql.replace("{role}", &stranger.name));
        let mut session = session(&database.options()).await;
        let said = schema::ensure(&mut session).await.unwrap_err();
        assert!(matches!(said, WorkerError::Foreign { .. }), "{sql}: {said}");
    }
    for sql in [
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER t BEFORE INSERT ON cutover_worker.run FOR EACH ROW EXECUTE FUNCTION f()",
        "ALTER FUNCTION cutover_worker._look() OWNER TO {role}",
        "UPDATE cutover_worker.meta SET version = 9",
    ] {
        let database = crate::support::prepared().await;
        let sql = sql.replace("{role}", &stranger.name);
        database.run(&format!("GRANT CREATE ON SCHEMA cutover_worker TO {}; {sql}", stranger.name));
        let mut session = session(&database.options()).await;
        let said = schema::ensure(&mut session).await.unwrap_err();
        assert!(matches!(said, WorkerError::Foreign { .. } | WorkerError::Newer { .. }), "{sql}: {said}");
    }
}
