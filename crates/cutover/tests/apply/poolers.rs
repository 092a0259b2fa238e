//! A connection pooler between us and the server: refused where sessions are shared, no hindrance where they are not.

use cutover::apply::ApplyError;
use cutover::asking::AskError;
use cutover::history::HistoryError;
use cutover::inspect;
use cutover::plan::Lines;
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::repair::{self, Mark, Open, RepairError};
use cutover::run::Outcome;
use cutover_postgres::connect::ConnectOptions;
use testkit::{Database, PoolMode, PoolSettings, Pooler, PoolerOptions, database};

use crate::support::{apply, completes, failure, project};

const FILES: &[(&str, &str)] = &[
    ("V1__a.sql", "CREATE TABLE a (n int);"),
    (
        "V2__b.sql",
        "SET search_path = public; CREATE TABLE b (n int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    ),
    ("V3__c.sql", "CREATE INDEX CONCURRENTLY a_n ON a (n);"),
];

fn through(database: &Database, mode: PoolMode, settings: PoolSettings) -> (Pooler, ConnectOptions) {
    let pooler = Pooler::start(database.server(), PoolerOptions { mode, settings });
    let options = pooler.server().options(database.name());
    (pooler, options)
}

fn refusal(error: &ApplyError) -> String {
    assert!(matches!(error, ApplyError::History(HistoryError::Pooler(_))), "{error:?}");
    error.to_string()
}

/// Nothing of ours is there, and no lock stays behind in the pool.
fn untouched(database: &Database) {
    assert_eq!(database.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'cutover'"), "0");
    assert_eq!(database.value("SELECT count(*) FROM pg_class WHERE relname IN ('a', 'b')"), "0");
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(database.value(locks), "0");
}

#[tokio::test]
async fn a_pooler_that_shares_sessions_is_refused_before_anything_is_written() {
    let database = database();
    let (_pooler, options) = through(&database, PoolMode::Transaction, PoolSettings::Passed);
    // Again: the pool holds more sessions each time.
    for _ in 0..3 {
        let said = refusal(&apply(&project(FILES), &options).await.unwrap_err());
        assert!(said.contains("transaction mode") && said.contains("past the pooler"), "{said}");
        untouched(&database);
    }
}

#[tokio::test]
async fn a_pooler_that_drops_settings_is_refused_by_readers_too() {
    for mode in [PoolMode::Transaction, PoolMode::Session] {
        let database = database();
        let (_pooler, options) = through(&database, mode, PoolSettings::Dropped);
        let said = refusal(&apply(&project(FILES), &options).await.unwrap_err());
        assert!(said.contains("drops the settings"), "{said}");
        let mut session = inspect::connect(&options, None).await.unwrap();
        let looked = inspect::database(&project(FILES), &mut session, &Selection::default(), Read::All).await;
        refusal(&looked.unwrap_err());
        untouched(&database);
    }
}

#[tokio::test]
async fn a_pooler_that_keeps_sessions_apart_is_no_hindrance() {
    let database = database();
    let (_pooler, options) = through(&database, PoolMode::Session, PoolSettings::Passed);
    completes(&project(FILES), &options).await;
    let again = apply(&project(FILES), &options).await.unwrap();
    assert_eq!(again.outcome, Some(Outcome::NothingToDo), "{}", failure(&again));
    assert_eq!(database.value("SELECT count(*) FROM cutover.migration"), "3");
}

/// What is settled by hand is settled under the runner's lock, which such a pooler would lend to others.
#[tokio::test]
async fn a_repair_past_a_pooler_that_shares_sessions_is_refused() {
    let database = database();
    completes(&project(FILES), &database.options()).await;
    let (_pooler, options) = through(&database, PoolMode::Transaction, PoolSettings::Passed);
    let open = Open { path: String::new(), part: 1, lines: Lines { first: 1, last: 1 }, run: String::new() };
    let error = repair::mark(&project(FILES), &options, "3", &open, Mark::Done).await.unwrap_err();
    let RepairError::Asked(AskError::Apply(error)) = error else { panic!("{error:?}") };
    refusal(&error);
}
