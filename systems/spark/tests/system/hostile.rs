//! Whatever path and temporary tables a client has, the functions mean the same things.

use crate::support::Spark;

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
