//! The shared server, its databases, templates and roles.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::NoTls;

use testkit::{catalogue_dump, database, database_from_template, private_server, role, server};

#[test]
fn each_test_has_a_database_that_goes_with_it() {
    let (one, two) = (database(), database());
    one.run("create table t(n int); insert into t values (1), (null)");
    assert_eq!(one.rows("select n from t order by n"), vec![vec![Some("1".to_owned())], vec![None]]);
    assert!(two.try_rows("select n from t").is_err());
    let name = one.name().to_owned();
    drop(one);
    assert_eq!(two.value(&format!("select count(*) from pg_database where datname = '{name}'")), "0");
}

#[tokio::test]
async fn it_works_inside_a_runtime() {
    assert_eq!(database().value("select 1"), "1");
}

#[test]
fn a_template_is_built_once_and_copied() {
    static BUILT: AtomicUsize = AtomicUsize::new(0);
    // Another process of the same run may be asked for the same key: it is this test's alone.
    let key = format!("create table t as select 7 as n -- {}", std::process::id());
    let copies: Vec<_> = std::thread::scope(|scope| {
        let copy = || {
            database_from_template(&key, |template| {
                BUILT.fetch_add(1, Ordering::Relaxed);
                template.run(&key);
            })
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(copy)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(BUILT.load(Ordering::Relaxed), 1);
    copies[0].run("update t set n = 8");
    let values: Vec<_> = copies.iter().map(|copy| copy.value("select n from t")).collect();
    assert_eq!(values, ["8", "7", "7", "7"]);
}

#[test]
fn a_template_whose_build_failed_is_built_anew() {
    let key = format!("fails first {}", std::process::id());
    let failed = std::panic::catch_unwind(|| {
        database_from_template(&key, |template| {
            template.run("create table half(n int)");
            panic!("half way");
        })
    });
    assert!(failed.is_err());
    let second = database_from_template(&key, |template| template.run("create table whole(n int)"));
    assert_eq!(second.value("select to_regclass('half') is null and to_regclass('whole') is not null"), "t");
}

#[tokio::test]
async fn an_ordinary_role_owns_what_it_is_given_and_no_more() {
    let role = role("");
    let database = database();
    database.give_to(&role);
    let facts = database.rows(&format!(
        "select rolsuper, rolcreaterole, rolbypassrls from pg_roles where rolname = '{}'",
        role.name
    ));
    assert_eq!(facts, vec![vec![Some("f".to_owned()); 3]]);
    let owner = database.value("select datdba::regrole from pg_database where datname = current_database()");
    assert_eq!(owner, role.name);
    let (client, connection) = tokio_postgres::connect(&database.url_as(&role), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("create schema mine; create table public.t(n int)").await.unwrap();
    let refused = client.batch_execute("create role another").await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "42501");
}

/// What is held is in the way until it is let go, which commits it; gone without that, it was never there.
#[test]
fn a_holder_holds_until_it_lets_go() {
    let db = database();
    db.run("create table t(n int)");
    let is_locked =
        "select count(*) from pg_locks where relation = 't'::regclass and mode = 'AccessExclusiveLock'";
    for (lets_go, rows) in [(true, "1"), (false, "1")] {
        let holder = db.hold("lock table t; insert into t values (1)");
        assert_eq!(db.value(is_locked), "1");
        if lets_go {
            holder.lets_go();
        } else {
            drop(holder);
        }
        // Who has gone without a word is missed by the server a moment later.
        db.becomes(is_locked, "0");
        assert_eq!(db.value("select count(*) from t"), rows);
    }
}

#[test]
#[should_panic(expected = "no such thing")]
fn a_holder_that_cannot_hold_fails_its_test() {
    let _ = database().hold("do $$ begin raise 'no such thing'; end $$");
}

#[test]
fn a_dump_tells_catalogues_apart_and_only_those() {
    let (one, two) = (database(), database());
    let sql = "create table t(n int check (n > 0)); create schema history; create table history.h(n int)";
    one.run(sql);
    two.run(sql);
    let dump = |db: &testkit::Database, exclude: &[&str]| catalogue_dump(&db.options(), exclude);
    assert!(dump(&one, &[]).contains("CHECK ((n > 0))"));
    assert_eq!(dump(&one, &[]), dump(&two, &[]));
    two.run("alter table history.h add m int");
    assert_ne!(dump(&one, &[]), dump(&two, &[]));
    assert_eq!(dump(&one, &["history"]), dump(&two, &["history"]));
    two.run("alter table t alter n set not null");
    assert_ne!(dump(&one, &["history"]), dump(&two, &["history"]));
}

#[test]
fn a_private_server_is_another_one() {
    let private = private_server(&[("wal_level", "logical")]);
    assert_ne!(private.port(), server().server().port);
}
