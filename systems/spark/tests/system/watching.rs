//! Numbers of the queue, warnings, balancing, and the guardian.

use crate::support::{Spark, noon};

/// So many men and women who wait since noon.
fn waiting(men: u32, women: u32) -> Spark {
    let spark = Spark::with(2 * men.max(women));
    spark.0.run(&format!(
        "INSERT INTO matching_queue (user_id, status, joined_at, fairness_score)
         SELECT id, 'queue_waiting', '2026-01-01 12:00Z', 60 FROM (
             SELECT id, gender, row_number() OVER (PARTITION BY gender ORDER BY id) AS n FROM profiles) p
          WHERE n <= CASE gender WHEN 'male' THEN {men} ELSE {women} END"
    ));
    spark
}

#[test]
fn metrics_have_their_keys_and_are_kept() {
    let spark = waiting(6, 2);
    spark.0.run("UPDATE matching_queue SET status = 'paired' WHERE user_id IN (test.u(1), test.u(2))");
    spark.0.run("UPDATE matching_queue SET fairness_score = 200 WHERE user_id = test.u(3)");
    spark.0.run(
        "UPDATE matching_queue SET fairness_score = 40, status = 'spin_active' WHERE user_id = test.u(5)",
    );
    let metrics = spark.value(30_000, "SELECT collect_queue_metrics()");
    let expected = "{\"male_count\": 6, \"tier1_count\": 1, \"tier2_count\": 4, \"tier3_count\": 1, \"total_users\": 8, \"female_count\": 2, \"needs_balancing\": true, \"avg_fairness_score\": 80.00, \"supply_demand_ratio\": 3.0000, \"avg_wait_time_seconds\": 30, \"gender_imbalance_score\": 0.5000}";
    assert_eq!(metrics, expected);
    assert_eq!(
        spark.0.value("SELECT concat_ws(' ', total_users, spin_active_count, queue_waiting_count, paired_count, vote_active_count, other_count, recorded_at = '2026-01-01 12:00:30Z') FROM queue_metrics"),
        "8 1 5 2 0 0 t"
    );
    // Two minutes make everybody's tier the first.
    assert!(spark.value(120_000, "SELECT collect_queue_metrics()").contains("\"tier1_count\": 6"));
    let empty = Spark::with(0).value(0, "SELECT collect_queue_metrics()");
    assert!(empty.contains("\"needs_balancing\": false") && empty.contains("\"total_users\": 0"), "{empty}");
}

#[test]
fn balancing_begins_at_three_tenths_and_reaches_twenty() {
    // 13 and 7 are 0.3, 27 and 15 are 0.286.
    for (men, women, boosted) in [(13, 7, "7"), (27, 15, "0"), (7, 13, "7"), (60, 25, "20"), (5, 5, "0")] {
        let spark = waiting(men, women);
        let scarce = if men < women { "male" } else { "female" };
        spark.value(0, "SELECT apply_gender_ratio_balancing()");
        let count = format!(
            "SELECT count(*) FROM matching_queue q JOIN profiles p ON p.id = q.user_id WHERE fairness_score = 70 AND fairness_boost = 10 AND gender = '{scarce}'"
        );
        assert_eq!(spark.0.value(&count), boosted, "{men} {women}");
        assert_eq!(spark.0.value("SELECT count(*) FROM matching_queue WHERE fairness_boost <> 0"), boosted);
    }
    let spark = waiting(6, 2);
    spark.0.run(
        "UPDATE matching_queue SET fairness_score = CASE user_id WHEN test.u(2) THEN 200 ELSE 199.99 END",
    );
    spark.value(0, "SELECT apply_gender_ratio_balancing()");
    assert_eq!(spark.boosts(), "4 10 gender_balancing");
}

#[test]
fn a_queue_of_a_wrong_size_is_warned_of() {
    for (men, women, at, warnings) in [
        (5, 5, 0, "[]"),
        (5, 4, 0, "[\"queue_too_small\"]"),
        (250, 250, 0, "[]"),
        (251, 250, 0, "[\"queue_too_large\"]"),
        (15, 5, 0, "[]"),
        (16, 5, 0, "[\"gender_imbalance\"]"),
        (5, 5, 300_000, "[]"),
        (5, 5, 301_000, "[\"long_wait\"]"),
    ] {
        let spark = waiting(men, women);
        assert_eq!(spark.value(at, "SELECT monitor_queue_size() -> 'warnings'"), warnings, "{men} {women}");
        let logged = "SELECT coalesce(jsonb_agg(event_data -> 'type'), '[]') FROM spark_event_log WHERE severity = 'WARNING'";
        assert_eq!(spark.0.value(logged), warnings);
    }
}

const WARNINGS: &str = "SELECT count(*) FROM spark_event_log WHERE event_type = 'guardian_warning' AND severity = 'WARNING' AND source = 'guardian'";

#[test]
fn the_guardian_leaves_alone_what_is_in_order() {
    let spark = Spark::with(20);
    let states = [
        "spin_active",
        "queue_waiting",
        "paired",
        "vote_active",
        "video_date",
        "ended",
        "soft_offline",
        "disconnected",
    ];
    for (n, state) in states.iter().enumerate() {
        spark.0.run(&format!("INSERT INTO matching_queue (user_id, status, disconnected_at) VALUES (test.u({}), '{state}', '2026-01-01 12:00Z')", n + 1));
    }
    // Offline within their time.
    spark.0.run("UPDATE profiles SET is_online = false WHERE id IN (test.u(7), test.u(8))");
    for at in [0, 24_999] {
        assert_eq!(spark.value(at, "SELECT guardian_queue_consistency()"), "{\"cleaned\": 0}");
    }
    assert_eq!(spark.0.value(WARNINGS), "0");
    // Beyond it, with what the schedule may be late.
    assert_eq!(spark.value(25_001, "SELECT guardian_queue_consistency()"), "{\"cleaned\": 1}");
    assert_eq!(spark.value(315_001, "SELECT guardian_queue_consistency()"), "{\"cleaned\": 1}");
    assert_eq!(spark.count("matching_queue"), "6");
}

#[test]
fn one_corruption_is_one_warning_and_goes() {
    for (corruption, what) in [
        ("INSERT INTO matching_queue (user_id, status) VALUES (test.u(99), 'queue_waiting')", "no_profile"),
        ("UPDATE matching_queue SET status = 'nonsense' WHERE user_id = test.u(1)", "state"),
        ("UPDATE matching_queue SET status = 'idle' WHERE user_id = test.u(1)", "state"),
        ("UPDATE profiles SET is_online = false WHERE id = test.u(1)", "offline"),
        (
            "UPDATE matching_queue SET status = 'soft_offline', disconnected_at = NULL WHERE user_id = test.u(1)",
            "away_too_long",
        ),
    ] {
        let spark = Spark::with_a_pair();
        spark.0.run(corruption);
        assert_eq!(spark.value(0, "SELECT guardian_queue_consistency()"), "{\"cleaned\": 1}", "{corruption}");
        assert_eq!(spark.value(0, "SELECT guardian_queue_consistency()"), "{\"cleaned\": 0}");
        assert_eq!(spark.0.value(WARNINGS), "1");
        let said = "SELECT concat_ws(' ', event_data ->> 'type', event_data ->> 'invalid_entries', event_data -> 'entries' -> 0 ->> 'wrong') FROM spark_event_log WHERE event_type = 'guardian_warning'";
        assert_eq!(spark.0.value(said), format!("queue_consistency 1 {what}"));
        let expected = if what == "no_profile" { "1 paired, 2 paired" } else { "2 spin_active" };
        assert_eq!(spark.states(), expected);
        assert_eq!(
            spark.0.value("SELECT count(*) FROM spark_event_log WHERE event_type = 'queue_removed'"),
            "1"
        );
    }
}

#[test]
fn the_log_keeps_what_is_about_people_and_matches_that_are_gone() {
    let spark = Spark::with_voters();
    spark.value(0, "SELECT log_event('test', test.u(1), jsonb_build_object('match_id', test.m(), 'related_user_id', test.u(2)), 'ERROR', 'here')");
    let row = "SELECT concat_ws(' ', test.n(user_id), test.n(related_user_id), match_id IS NOT NULL, severity, function_name, success, source) FROM spark_event_log WHERE event_type = 'test'";
    assert_eq!(spark.0.value(row), "1 2 t ERROR here f backend");
    spark.value(0, "SELECT submit_vote(test.u(1), test.m(), 'pass')");
    spark.0.run("DELETE FROM profiles WHERE id = test.u(2)");
    assert_eq!(spark.0.value(row), "1 f ERROR here f backend");
    spark.0.run("SELECT log_event('x', test.u(99), '{\"match_id\": \"no id\"}')");
    assert_eq!(spark.0.value("SELECT count(*) FROM spark_event_log WHERE event_type = 'x' AND user_id IS NULL AND event_data ? 'user_id'"), "1");
    // Who is gone leaves no history behind; a match that is gone does.
    assert_eq!(spark.count("match_history"), "0");
}

/// Between what the guardian finds and its lock, whoever it is about may have moved on: what it does is about what is there behind the lock.
#[test]
fn what_was_put_right_before_the_guardian_came_to_it_is_left_alone() {
    for (wrong, right) in [
        ("DELETE FROM matches", "UPDATE matching_queue SET status = 'spin_active'"),
        (
            "DELETE FROM matches; UPDATE matching_queue SET status = 'nonsense'",
            "UPDATE matching_queue SET status = 'spin_active'",
        ),
        (
            "DELETE FROM matches; UPDATE matching_queue SET status = 'spin_active'; UPDATE profiles SET is_online = false",
            "UPDATE profiles SET is_online = true",
        ),
    ] {
        let spark = Spark::with_a_pair();
        spark.0.run(&format!("DELETE FROM matching_queue WHERE user_id = test.u(2); {wrong}"));
        spark.0.run(
            "ALTER FUNCTION spark_lock_match(uuid, boolean, boolean) SET SCHEMA test;
             CREATE FUNCTION public.spark_lock_match(p_user uuid, p_wait boolean, p_writes boolean DEFAULT false) RETURNS uuid
             LANGUAGE plpgsql SET lock_timeout = 0 AS $$
             BEGIN
                 PERFORM pg_advisory_xact_lock_shared(84);
                 RETURN test.spark_lock_match(p_user, p_wait, p_writes);
             END $$",
        );
        let gate = spark.0.hold("SELECT pg_advisory_xact_lock(84)");
        std::thread::scope(|scope| {
            let guardian =
                spark.0.meanwhile(scope, &format!("{}SELECT guardian_queue_consistency()", noon(0)));
            spark.0.until_waiting(1);
            spark.0.run(right);
            gate.lets_go();
            assert_eq!(guardian.join().unwrap(), Ok("{\"cleaned\": 0}".to_owned()), "{wrong}");
        });
        assert_eq!(spark.states(), "1 spin_active", "{wrong}");
        assert_eq!(
            spark.0.value("SELECT count(*) FROM spark_event_log WHERE source = 'guardian'"),
            "0",
            "{wrong}"
        );
    }
}
