//! Concurrent index builds on a database in use: writers are not blocked, and a failed build leaves nothing behind.

use cutover::run::Outcome;
use cutover::stop::Stop;
use cutover_postgres::session::Session;
use testkit::Database;

use crate::support::{
    applied, applying, dump, everything_kept, failure, finished, run, seeded, session, soon, system, until,
    value,
};

/// Sessions of a run that wait for another's transaction or snapshot, as a concurrent index build does.
const BUILD_WAITS: &str = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
    WHERE l.locktype = 'virtualxid' AND NOT l.granted AND a.datname = current_database()";

const INVALID: &str = "SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready)";

/// The optional migrations, with a write to the table that each indexes.
const WRITES: [(&str, &str); 3] = [
    (
        "0230",
        "INSERT INTO strategies (id, user_id, name, asset_type, symbol_scope, timeframe)
         SELECT md5(random()::text)::uuid, id, 'Live ' || clock_timestamp(), 'EQUITY', 'single', '1d' FROM users LIMIT 1",
    ),
    (
        "0331",
        "INSERT INTO backtest_runs (id, user_id, strategy_id, strategy_version_id, symbol_id, timeframe, start_date,
             end_date, initial_equity, status)
         SELECT md5(random()::text)::uuid, user_id, strategy_id, strategy_version_id, symbol_id, timeframe, start_date,
             end_date, initial_equity, 'pending' FROM backtest_runs LIMIT 1",
    ),
    (
        "0404",
        "INSERT INTO executions (id, order_id, paper_account_id, symbol_id, side, quantity, price)
         SELECT md5(random()::text)::uuid, order_id, paper_account_id, symbol_id, side, quantity, price FROM executions LIMIT 1",
    ),
];

/// A client that gives up when a lock cannot be had at once.
async fn client(database: &Database) -> Session {
    let mut session = session(&database.options()).await;
    run(&mut session, "SET lock_timeout = '2s'").await;
    session
}

#[tokio::test]
async fn indexes_run_on_a_live_database() {
    let (project, database) = (system(), seeded());
    let options = database.options();
    for (version, write) in WRITES {
        let (mut long, mut short) = (client(&database).await, client(&database).await);
        // A transaction that has written holds up the build, and so keeps it under way.
        run(&mut long, &format!("BEGIN; {write}")).await;
        let writing = async {
            until(&mut short, BUILD_WAITS, "1").await;
            let built = value(&mut short, INVALID).await;
            for _ in 0..20 {
                run(&mut short, write).await;
                run(&mut long, write).await;
            }
            let still = value(&mut short, BUILD_WAITS).await;
            run(&mut long, "COMMIT").await;
            (built, still)
        };
        let applying = applying(&project, &options).only(version).completes();
        let (applied, (built, still)) = soon(async { tokio::join!(applying, writing) }).await;
        assert_eq!(finished(&applied), [version]);
        assert_eq!(
            (built.as_str(), still.as_str()),
            ("1", "1"),
            "{version}: the build was under way all the time"
        );
    }
    assert_eq!(database.value(INVALID), "0");
    // The rows that came during the builds are in the indexes: a count by index and one without agree.
    for (table, condition) in [("strategies", "user_id IS NOT NULL"), ("executions", "order_id IS NOT NULL")]
    {
        let count = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let by_index = database.rows(&format!("SET enable_seqscan = off; {count}"));
        let by_table = database.rows(&format!(
            "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off; {count}"
        ));
        assert_eq!(by_index, by_table, "{table}");
    }
}

#[tokio::test]
async fn failed_index_leaves_none_invalid() {
    let (project, database) = (system(), seeded());
    let options = database.options();
    let (before, applied_before) = (dump(&database), applied(&database));
    // An old snapshot that has not touched the table: the build gets to its last wait with an index that is not valid.
    let mut old = session(&options).await;
    run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM symbols").await;
    let stop = Stop::new();
    let mut observer = session(&options).await;
    let cancelling = async {
        until(&mut observer, BUILD_WAITS, "1").await;
        let invalid = value(&mut observer, INVALID).await;
        stop.request();
        stop.request();
        invalid
    };
    let run_of_it = applying(&project, &options).only("0331").stopped_by(&stop).run();
    let (ended, invalid) = soon(async { tokio::join!(run_of_it, cancelling) }).await;
    let ended = ended.unwrap();
    assert_eq!(invalid, "1", "the index was there and not valid");
    assert_eq!(ended.outcome, Some(Outcome::Interrupted), "{}", failure(&ended));
    assert_eq!(database.value(INVALID), "0");
    // What it ended with is kept, and that nothing of it is there.
    assert_eq!(
        database.value("SELECT string_agg(state || ' ' || code, ',') FROM cutover.unit"),
        "failed 57014"
    );
    assert_eq!(applied(&database), applied_before);
    assert_eq!(dump(&database), before);
    run(&mut old, "ROLLBACK").await;
    let next = soon(applying(&project, &options).only("0331").completes()).await;
    assert_eq!(finished(&next), ["0331"]);
    assert_eq!(database.value(INVALID), "0");
    assert_eq!(database.value("SELECT count(*) FROM pg_class WHERE relname ~ '^idx_backtests_'"), "3");
    assert!(everything_kept(&database).iter().all(|row| row[0].as_deref() != Some("unit")));
}
