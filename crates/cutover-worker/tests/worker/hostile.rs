//! Names, commands and surroundings that mean harm.

use cutover_worker::{Settings, WorkerEvent};

use crate::support::{due, ended, prepared, ran, runs, schedule, settings, start};

/// Things of the same names in front of PostgreSQL's, in the search path of every session.
const EVIL: &str = "
    CREATE SCHEMA evil;
    CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '1999-01-01' $$;
    CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz '1999-01-01' $$;
    CREATE FUNCTION evil.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
    CREATE FUNCTION evil.no(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
    CREATE FUNCTION evil.no(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
    CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.no);
    CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.no);
    CREATE DOMAIN evil.text AS int;
    CREATE DOMAIN evil.bigint AS int;
    CREATE TABLE evil.pg_stat_activity (pid int);";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_search_path_changes_nothing() {
    let database = prepared().await;
    database.run(EVIL);
    let mut options = database.options();
    options.options = Some("-csearch_path=evil,public,pg_catalog".to_owned());
    let worker = start(&options, settings("w"));
    schedule(&database, "a", "SELECT public.work('a')");
    due(&database, "a").await;
    // The command is the user's, and runs in the user's path.
    ended(&database, "a", 1).await;
    worker.stops().await;
    assert_eq!((runs(&database), ran(&database)), (vec!["a 1 done".to_owned()], "1".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_says_where_it_looks_for_names() {
    let database = prepared().await;
    let others = "SELECT coalesce(string_agg(oid::regprocedure::text, ' '), '') FROM pg_proc
                   WHERE pronamespace = 'cutover_worker'::regnamespace
                     AND proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp']";
    assert_eq!(database.value(others), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_names() {
    let database = prepared().await;
    let worker = start(&database.options(), settings("w'; DROP TABLE ran; --"));
    for name in ["''; DROP TABLE ran; --", "$1", "\\'' %s {} ${x}", "ä\u{202e}\u{1f600}"] {
        schedule(&database, name, "INSERT INTO ran VALUES ('$1 ; \\')");
        due(&database, name).await;
        ended(&database, name, 1).await;
    }
    assert_eq!(ran(&database), "4");
    worker.stops().await;
}

/// What a job leaves in its session is gone before the next one runs there, and is not in the way of its own record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_leave_nothing_to_each_other() {
    let database = prepared().await;
    let role = testkit::role("");
    let worker = start(&database.options(), Settings { jobs: 1, ..settings("w") });
    for (number, command) in [
        "SELECT set_config('search_path', 'nowhere', false)",
        "CREATE TEMP TABLE ran (nothing int)",
        &format!("SET ROLE {}", role.name),
        &format!("SET SESSION AUTHORIZATION {}", role.name),
        // Nobody waits for a lock here: a limit that also statements of ours come under would be one of the machine.
        "SET lock_timeout = 1",
        "SET default_transaction_read_only = on",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET session_replication_role = replica",
        "PREPARE x AS SELECT 1",
        "LISTEN elsewhere",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("leaves {number}");
        schedule(&database, &name, command);
        due(&database, &name).await;
        ended(&database, &name, 1).await;
        let next = format!("next {number}");
        schedule(
            &database,
            &next,
            &format!(
                "INSERT INTO ran SELECT 'x' WHERE current_user = session_user AND '{}' <> current_user AND current_setting('lock_timeout') = '0'",
                role.name
            ),
        );
        due(&database, &next).await;
        ended(&database, &next, 1).await;
    }
    let amiss =
        "SELECT string_agg(job || ': ' || error, '; ') FROM cutover_worker.run WHERE outcome <> 'done'";
    assert_eq!(database.value(amiss), "");
    assert_eq!(ran(&database), "10");
    worker.stops().await;
}

/// A command that ends the transaction, or cannot run in one, is said to be a problem of that job; the others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_are_more_than_a_statement_are_not_run() {
    let database = prepared().await;
    let worker = start(&database.options(), settings("w"));
    for (name, command) in [
        ("two", "INSERT INTO ran VALUES (1); COMMIT"),
        ("commit", "COMMIT"),
        ("vacuum", "VACUUM ran"),
        ("nonsense", "SELEC 1"),
    ] {
        schedule(&database, name, command);
        worker.tells(|event| matches!(event, WorkerEvent::Problem { job, .. } if job == name)).await;
    }
    database.run("SELECT cutover_worker.schedule('zone', '* * * * *', 'SELECT 1', 'UTC+3')");
    worker.tells(|event| matches!(event, WorkerEvent::Problem { job, .. } if job == "zone")).await;
    database.run("CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN INSERT INTO ran VALUES (1); COMMIT; END'");
    schedule(&database, "procedure", "CALL p()");
    due(&database, "procedure").await;
    ended(&database, "procedure", 1).await;
    schedule(&database, "good", "SELECT 1");
    due(&database, "good").await;
    ended(&database, "good", 1).await;
    assert_eq!(runs(&database), ["procedure 1 failed", "good 1 done"]);
    assert_eq!(ran(&database), "0");
    assert_eq!(
        database.value("SELECT count(*) FROM cutover_worker.status WHERE problem IS NOT NULL AND overdue"),
        "5"
    );
    // Declared anew, it is looked at anew.
    schedule(&database, "nonsense", "SELECT 1");
    due(&database, "nonsense").await;
    ended(&database, "nonsense", 1).await;
    worker.stops().await;
}

/// A job may change jobs, also itself; nothing waits for it meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_may_declare_jobs() {
    let database = prepared().await;
    let worker = start(&database.options(), settings("w"));
    schedule(
        &database,
        "a",
        "SELECT cutover_worker.schedule(''a'', ''0 0 2 1 *'', ''SELECT 1'')".replace("''", "'").as_str(),
    );
    due(&database, "a").await;
    ended(&database, "a", 1).await;
    crate::support::until(
        &database,
        "SELECT extract(day FROM next_at AT TIME ZONE 'UTC') = 2 FROM cutover_worker.lease",
    )
    .await;
    schedule(&database, "b", "SELECT cutover_worker.unschedule('b'), work('b')");
    due(&database, "b").await;
    ended(&database, "b", 1).await;
    assert_eq!(database.value("SELECT count(*) FROM cutover_worker.job WHERE name = 'b'"), "0");
    assert_eq!(runs(&database), ["a 1 done", "b 1 done"]);
    // Anew, by its own work.
    schedule(
        &database,
        "b",
        "SELECT cutover_worker.unschedule('b'), cutover_worker.schedule('b', '0 0 3 1 *', 'SELECT 1')",
    );
    due(&database, "b").await;
    ended(&database, "b", 2).await;
    crate::support::until(
        &database,
        "SELECT extract(day FROM next_at AT TIME ZONE 'UTC') = 3 FROM cutover_worker.lease WHERE job = 'b'",
    )
    .await;
    schedule(&database, "c", "SELECT work('c')");
    due(&database, "c").await;
    ended(&database, "c", 1).await;
    worker.stops().await;
}

/// The server's clock went back: what was run lies ahead of it, and the job waits, which is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_waits_for_a_clock_is_overdue() {
    let database = prepared().await;
    let worker = start(&database.options(), settings("w"));
    schedule(&database, "a", "SELECT work('a')");
    due(&database, "a").await;
    ended(&database, "a", 1).await;
    worker.stops().await;
    let overdue = "SELECT overdue FROM cutover_worker.status";
    assert_eq!(database.value(overdue), "f");
    database.run("UPDATE cutover_worker.run SET scheduled = scheduled + interval '1 hour'");
    assert_eq!(database.value(overdue), "t");
}
