//! The proxy sees every message and breaks connections where it is told to.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use testkit::proxy::{ConnectionKind, Direction, How, Point, Scope, When};
use testkit::{Database, Proxy, database};
use tokio_postgres::{Client, NoTls};

async fn connect(proxy: &Proxy, database: &Database) -> Client {
    let url = proxy.server().url(database.name());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Three statements in a transaction, each its own message.
async fn work(proxy: &Proxy, database: &Database) -> Result<(), tokio_postgres::Error> {
    let client = connect(proxy, database).await;
    for sql in ["begin", "insert into t values (1)", "commit"] {
        client.batch_execute(sql).await?;
    }
    Ok(())
}

fn tags(proxy: &Proxy, direction: Direction) -> String {
    let of_direction = |message: &testkit::proxy::Message| message.direction == direction;
    proxy.messages().into_iter().filter(of_direction).map(|message| char::from(message.tag)).collect()
}

fn point(direction: Direction, message: usize, when: When) -> Point {
    Point { connection: Some(0), direction, message, when }
}

fn with_table() -> Database {
    let database = database();
    database.run("create table t(n int)");
    database
}

#[tokio::test]
async fn messages_are_counted_from_the_end_of_the_startup() {
    let database = with_table();
    let proxy = Proxy::start(database.server());
    work(&proxy, &database).await.unwrap();
    assert_eq!(&tags(&proxy, Direction::Frontend)[..3], "QQQ");
    assert_eq!(tags(&proxy, Direction::Backend), "CZCZCZ");
    let first = proxy.messages()[0];
    assert_eq!((first.connection, first.number, first.length), (0, 1, 5 + "begin\0".len()));
    assert_eq!(proxy.connections(), [ConnectionKind::Session]);
}

/// Whether the row is there after a cut decides what each cut means.
async fn rows_after(direction: Direction, message: usize, when: When, how: How) -> String {
    let database = with_table();
    let proxy = Proxy::start(database.server());
    proxy.cut(point(direction, message, when), how, Scope::One);
    let outcome = work(&proxy, &database).await;
    let told = direction == Direction::Backend && message == 6 && when == When::After;
    assert_eq!(outcome.is_ok(), told, "{direction:?} {message} {when:?} {how:?}: {outcome:?}");
    proxy.wait_cuts(1);
    // What the server has received it still works off: wait for its session to end before looking.
    let others = "select count(*) from pg_stat_activity where datname = current_database() \
                  and backend_type = 'client backend' and pid <> pg_backend_pid()";
    let give_up = std::time::Instant::now() + Duration::from_secs(30);
    while database.value(others) != "0" {
        assert!(std::time::Instant::now() < give_up, "the server's session does not end");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    database.value("select count(*) from t")
}

#[tokio::test]
async fn a_cut_on_the_way_to_the_server_loses_what_was_not_passed_on() {
    for how in [How::Close, How::Reset] {
        for message in 1..=3 {
            for when in [When::Before, When::Inside] {
                assert_eq!(
                    rows_after(Direction::Frontend, message, when, how).await,
                    "0",
                    "{message} {when:?}"
                );
            }
        }
        for message in 1..=2 {
            assert_eq!(rows_after(Direction::Frontend, message, When::After, how).await, "0", "{message}");
        }
    }
    // COMMIT arrived whole; only its answer is lost. A reset may overtake it, so that is not asked for here.
    assert_eq!(rows_after(Direction::Frontend, 3, When::After, How::Close).await, "1");
}

#[tokio::test]
async fn a_cut_on_the_way_back_loses_answers_only() {
    for how in [How::Close, How::Reset] {
        for (message, rows) in [(1, "0"), (2, "0"), (3, "0"), (4, "0"), (5, "1"), (6, "1")] {
            for when in [When::Before, When::Inside] {
                assert_eq!(
                    rows_after(Direction::Backend, message, when, how).await,
                    rows,
                    "{message} {when:?}"
                );
            }
        }
    }
    assert_eq!(rows_after(Direction::Backend, 6, When::After, How::Close).await, "1");
}

#[tokio::test]
async fn a_cut_may_take_all_connections() {
    let database = with_table();
    let proxy = Proxy::start(database.server());
    let (first, second) = (connect(&proxy, &database).await, connect(&proxy, &database).await);
    let bystander = connect(&proxy, &database).await;
    proxy.cut(point(Direction::Frontend, 1, When::Before), How::Reset, Scope::One);
    assert!(first.batch_execute("select 1").await.is_err());
    bystander.batch_execute("select 1").await.unwrap();
    proxy.cut(
        Point { connection: None, ..point(Direction::Frontend, 1, When::Before) },
        How::Close,
        Scope::All,
    );
    assert!(second.batch_execute("select 1").await.is_err());
    assert!(bystander.batch_execute("select 1").await.is_err());
    connect(&proxy, &database).await.batch_execute("select 1").await.unwrap();
    assert_eq!(proxy.cuts(), 2);
}

#[tokio::test]
async fn a_held_message_waits_for_the_test() {
    let database = with_table();
    let proxy = Proxy::start(database.server());
    let hold = proxy.hold(point(Direction::Frontend, 3, When::Before));
    let client = connect(&proxy, &database).await;
    let working = tokio::spawn(async move {
        client.batch_execute("begin").await.unwrap();
        client.batch_execute("insert into t values (1)").await.unwrap();
        client.batch_execute("commit").await.unwrap();
    });
    let hold = tokio::task::spawn_blocking(move || {
        hold.wait_reached();
        hold
    });
    let hold = hold.await.unwrap();
    assert!(!working.is_finished());
    assert_eq!(database.value("select count(*) from t"), "0");
    hold.release();
    working.await.unwrap();
    assert_eq!(database.value("select count(*) from t"), "1");
}

#[tokio::test]
async fn requests_to_cancel_and_to_encrypt_pass() {
    let database = with_table();
    let proxy = Proxy::start(database.server());
    let url = proxy.server().url(database.name()).replace("sslmode=disable", "sslmode=prefer");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let cancel = client.cancel_token();
    let hold = proxy.hold(point(Direction::Frontend, 1, When::After));
    let sleeping = tokio::spawn(async move { client.batch_execute("select pg_sleep(60)").await });
    tokio::task::spawn_blocking(move || hold.wait_reached()).await.unwrap();
    let sleeps = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and datname = current_database()";
    database.becomes(sleeps, "1");
    cancel.cancel_query(NoTls).await.unwrap();
    let error = sleeping.await.unwrap().unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57014");
    assert_eq!(proxy.connections(), [ConnectionKind::Session, ConnectionKind::Cancel]);
}

#[tokio::test]
async fn large_messages_pass_whole() {
    let database = with_table();
    let proxy = Proxy::start(database.server());
    let client = connect(&proxy, &database).await;
    let text = "x".repeat(3_000_001);
    let row = client.query_one("select $1::text, length($1::text)", &[&text]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), text);
    assert_eq!(row.get::<_, i32>(1), 3_000_001);
}

/// As behind a firewall that has forgotten the connection: the server does not even learn that the client is gone.
#[tokio::test]
async fn nothing_gets_through_a_stalled_connection() {
    let database = with_table();
    let proxy = Proxy::start(database.server());
    let stalled = connect(&proxy, &database).await;
    let other = connect(&proxy, &database).await;
    let pid: i32 = stalled.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let stall = proxy.stall(0);
    let asked = tokio::spawn(async move { stalled.batch_execute("insert into t values (1)").await });
    let reached = tokio::task::spawn_blocking(move || {
        stall.wait_reached();
        stall
    });
    let stall = reached.await.unwrap();
    other.batch_execute("select").await.unwrap();
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    let backend = format!("select count(*) from pg_stat_activity where pid = {pid}");
    for _ in 0..3 {
        assert_eq!(database.value(&backend), "1");
    }
    assert_eq!(database.value("select count(*) from t"), "0");
    drop(stall);
    while database.value(&backend) != "0" {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(database.value("select count(*) from t"), "1");
}
