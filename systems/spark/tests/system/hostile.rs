//! Whatever path and temporary tables a client has, the functions mean the same things.

use cutover_postgres::session::{Session, Startup};

use crate::support::Spark;
use crate::working::{settings, start};

/// Whoever may make functions and operators in `public` (everybody, before 15) is not run by what others call: theirs would fit the types of
/// an expression better than PostgreSQL's own.
#[test]
fn what_others_make_beside_the_functions_is_not_called() {
    let spark = Spark::with(4);
    spark.0.run(
        "CREATE TABLE caught (what text);
         CREATE FUNCTION public.trap(numeric, int) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.caught VALUES ('/'); RETURN 1; END $$;
         CREATE FUNCTION public.trap(int, interval) RETURNS interval LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.caught VALUES ('*'); RETURN '1 s'; END $$;
         CREATE FUNCTION public.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.caught VALUES ('='); RETURN true; END $$;
         CREATE OPERATOR public./ (LEFTARG = numeric, RIGHTARG = int, FUNCTION = public.trap);
         CREATE OPERATOR public.* (LEFTARG = numeric, RIGHTARG = int, FUNCTION = public.trap);
         CREATE OPERATOR public.* (LEFTARG = int, RIGHTARG = interval, FUNCTION = public.trap);
         CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.trap);
         CREATE FUNCTION public.jsonb_build_object(text, uuid) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.caught VALUES ('json'); RETURN '{}'; END $$;
         CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.caught VALUES ('now'); RETURN '1999-01-01'; END $$;",
    );
    for call in [
        "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 4) n",
        "SELECT calculate_fairness_score(test.u(1))",
        "SELECT matching_orchestrator()",
        "SELECT collect_queue_metrics()",
        "SELECT apply_gender_ratio_balancing()",
        "SELECT monitor_queue_size()",
        "SELECT check_scheduler_health()",
        "SELECT guardian_queue_consistency()",
    ] {
        spark.value(0, call);
        assert_eq!(spark.0.value("SELECT string_agg(what, ' ') FROM caught"), "", "{call}");
    }
}

#[test]
fn a_hostile_path_and_temporary_tables_change_nothing() {
    let tables = [
        "profiles",
        "user_preferences",
        "matches",
        "votes",
        "blocked_users",
        "match_participants",
        "matching_queue",
        "match_history",
        "yes_yes_pairs",
        "spark_event_log",
        "queue_metrics",
    ];
    let traps = tables.map(|table| format!("CREATE TEMP TABLE {table} (LIKE public.{table});")).concat();
    let traps = format!(
        "{traps}
         CREATE SCHEMA hostile;
         CREATE FUNCTION hostile.spark_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''1999-01-01''::timestamptz';
         CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''1999-01-01''::timestamptz';
         CREATE FUNCTION hostile.log_event(text, uuid, jsonb, text, text) RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid';
         CREATE FUNCTION hostile.validate_transition(public.user_matching_state, text, jsonb) RETURNS public.user_matching_state LANGUAGE sql AS 'SELECT ''ended''::public.user_matching_state';
         CREATE FUNCTION hostile.lt(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT false';
         CREATE OPERATOR hostile.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = hostile.lt);
         SET search_path = hostile, pg_temp, pg_catalog, public;"
    );
    let calls = "
        SET spark.now = '2026-01-01 12:00:00+00';
        SELECT public.queue_join(public_u(1)), public.queue_join(public_u(2));
        SELECT public.state_machine_transition(public_u(1), 'spin_start');
        SELECT public.unified_matching_engine(public_u(1));
        SELECT public.complete_reveal(public_u(1), pending()), public.complete_reveal(public_u(2), pending());
        SELECT public.submit_vote(public_u(1), pending(), 'yes');
        SELECT public.heartbeat_update(public_u(1)), public.handle_user_offline(public_u(2));
        SELECT public.collect_queue_metrics(), public.apply_gender_ratio_balancing(), public.monitor_queue_size();
        SELECT public.guardian_queue_consistency(), public.check_vote_timeouts(), public.check_reveal_timeouts();
        SET spark.now = '2026-01-01 12:00:11+00';
        SELECT public.cleanup_expired_soft_offline(), public.matching_orchestrator(), public.check_scheduler_health();
        SELECT public.check_user_timeouts(public_u(1)), public.calculate_fairness_score(public_u(1));"
        .replace("public_u(", "test.u(")
        .replace("pending()", "test.m()");
    let outcome = |before: &str| {
        let spark = Spark::with(2);
        spark.0.run(&format!("{before}{calls}"));
        (
            spark.states(),
            spark.scores(),
            spark.boosts(),
            tables.map(|table| spark.count(&format!("public.{table}"))),
            spark.0.value("SELECT max(\"timestamp\") FROM public.spark_event_log"),
        )
    };
    let plain = outcome("");
    assert_eq!(plain.0, "1 spin_active, 2 disconnected");
    assert_eq!(outcome(&traps), plain);
}

/// The real worker, in a session with such a path, told by a client with such tables; and a job that leaves such tables where it works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_what_the_worker_does() {
    let spark = Spark::with(2);
    let mut ours = Session::connect(&spark.0.options(), &Startup::default()).await.unwrap();
    cutover_worker::schema::ensure(&mut ours).await.unwrap();
    ours.close().await;
    let own = ["meta", "job", "fence", "lease", "run", "given"];
    let own = own.map(|table| format!("CREATE TEMP TABLE {table} (LIKE cutover_worker.{table});")).concat();
    spark.0.run(
        "CREATE SCHEMA hostile;
         CREATE FUNCTION hostile.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT timestamptz ''1999-01-01''';
         CREATE FUNCTION hostile.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION hostile.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS 'BEGIN RAISE ''hostile''; END';
         CREATE FUNCTION hostile.no(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false';
         CREATE FUNCTION hostile.no(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT false';
         CREATE FUNCTION hostile.no(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT false';
         CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.no);
         CREATE OPERATOR hostile.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = hostile.no);
         CREATE OPERATOR hostile.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = hostile.no);
         CREATE DOMAIN hostile.timestamptz AS int;
         CREATE DOMAIN hostile.text AS int;",
    );
    let client = format!(
        "{own} CREATE TEMP TABLE pg_stat_activity (pid int); CREATE TEMP TABLE spark_schedules (name int); CREATE TEMP TABLE status (name int);
         SET search_path = hostile, pg_temp, public, pg_catalog;"
    );
    let registered = format!("{client} SELECT public.setup_schedulers() ->> 'registered'");
    assert_eq!(spark.0.rows(&registered).last().unwrap()[0].as_deref(), Some("8"));
    spark.0.run("SELECT queue_join(test.u(1)), queue_join(test.u(2))");
    // What it works with lies in its own session, in the transaction that its end is recorded in.
    spark.0.run(&format!(
        "CREATE FUNCTION public.leaves() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {own}
             CREATE TEMP TABLE matching_queue (LIKE public.matching_queue); CREATE TEMP TABLE profiles (LIKE public.profiles);
             CREATE TEMP TABLE pg_stat_activity (pid int);
             PERFORM public.matching_orchestrator();
         END $$;
         SELECT cutover_worker.schedule('matching-orchestrator', '5 seconds', 'SELECT public.leaves()')"
    ));
    let mut options = spark.0.options();
    options.options = Some("-csearch_path=hostile,pg_temp,public,pg_catalog".to_owned());
    let workers = ["one", "two"].map(|name| start(&options, settings(name)));
    spark.0.becomes("SELECT count(*) = 8 AND bool_and(next_at IS NOT NULL) FROM cutover_worker.lease", "t");
    spark.0.run("UPDATE cutover_worker.lease SET next_at = clock_timestamp() WHERE run IS NULL; NOTIFY cutover_worker");
    spark.0.becomes("SELECT check_scheduler_health() -> 'healthy'", "true");
    let healthy = format!("{client} SELECT public.check_scheduler_health() -> 'healthy'");
    assert_eq!(spark.0.rows(&healthy).last().unwrap()[0].as_deref(), Some("true"));
    // A tick that has waited for something for 20 ms leaves somebody to the next one.
    spark.0.becomes("SELECT test.states()", "1 paired, 2 paired");
    for worker in workers {
        assert_eq!(worker.stops().await.failed, 0);
    }
    assert_eq!(
        spark.0.value("SELECT count(*) FROM cutover_worker.run WHERE outcome <> 'done' OR attempt > 1"),
        "0"
    );
    let gone = format!("{client} SELECT cutover_worker.unschedule('gender-balancing')");
    assert_eq!(spark.0.rows(&gone).last().unwrap()[0].as_deref(), Some("t"));
    assert_eq!(spark.0.value("SELECT count(*) FROM cutover_worker.job"), "7");
}
