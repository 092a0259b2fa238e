//! What a tick takes, in which order, and that it waits for nobody.

use crate::support::{Spark, noon};

#[test]
fn a_tick_takes_twenty_of_each_tier() {
    let spark = Spark::with(0);
    // Men alone: all stay. 30 of each tier, the first by score and by wait.
    spark.0.run(
        "INSERT INTO profiles (id, name, age, gender, is_online) SELECT test.u(n), 'm', 25, 'male', true FROM generate_series(1, 120) n;
         INSERT INTO matching_queue (user_id, status, joined_at, fairness_score)
         SELECT test.u(n), CASE n % 2 WHEN 0 THEN 'spin_active' ELSE 'queue_waiting' END,
                CASE n % 4 WHEN 3 THEN '2026-01-01 11:58:00Z' ELSE '2026-01-01 11:59:30Z' END::timestamptz,
                CASE n % 4 WHEN 0 THEN 200 WHEN 1 THEN 199.99 - n / 100.0 WHEN 2 THEN 49.99 ELSE 0 END
           FROM generate_series(1, 120) n",
    );
    let tick = |at| {
        spark.value(
            at,
            "SELECT concat_ws(' ', t ->> 'status', t ->> 'tier1_processed', t ->> 'tier2_processed', t ->> 'tier3_processed', t ->> 'total_processed') FROM matching_orchestrator() t",
        )
    };
    assert_eq!(tick(0), "success 20 20 20 60");
    // Nobody twice before everybody once, within a tier. Their score has grown: who was taken is of the first tier by now.
    assert_eq!(
        spark.0.value(
            "SELECT max(skip_count) || ' ' || count(*) FILTER (WHERE skip_count = 1) FROM matching_queue"
        ),
        "1 60"
    );
    // Somebody offline, or of a gender that is never matched, is not among them.
    spark.0.run("UPDATE profiles SET is_online = false WHERE id > test.u(5); UPDATE profiles SET gender = NULL WHERE id = test.u(1)");
    assert!(tick(0).ends_with(" 4"));
}

/// Thirty men whom the only women has blocked have more fairness than the one whom she has not: they do not keep him waiting.
#[test]
fn nobody_waits_behind_those_for_whom_nobody_is_there() {
    let spark = Spark::with(0);
    spark.0.run(
        "INSERT INTO profiles (id, name, age, gender, is_online)
         SELECT test.u(n), 'p', 25, CASE WHEN n > 40 THEN 'female' ELSE 'male' END, true FROM generate_series(1, 80) n;
         INSERT INTO blocked_users SELECT test.u(w), test.u(m) FROM generate_series(41, 80) w, generate_series(1, 40) m
          WHERE NOT (w = 80 AND m = 40);
         INSERT INTO matching_queue (user_id, status, fairness_score, joined_at)
         SELECT test.u(n), 'queue_waiting', 199 - n % 40, '2026-01-01 12:00Z' FROM generate_series(1, 80) n;
         UPDATE matching_queue SET fairness_score = 50 WHERE user_id IN (test.u(40), test.u(80))",
    );
    let mut ticks = 0;
    while spark.count("matches") == "0" {
        ticks += 1;
        assert!(ticks <= 5, "they never meet");
        spark.value(0, "SELECT matching_orchestrator()");
    }
    assert_eq!(spark.0.value("SELECT test.n(user1_id) || ' ' || test.n(user2_id) FROM matches"), "40 80");
}

/// Whatever works on many leaves an entry that somebody has locked to its next run.
#[test]
fn no_schedule_waits_for_an_entry() {
    let spark = Spark::with(4);
    spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 4) n");
    // Each schedule has something to do with the entry.
    for (prepared, schedule, at) in [
        ("", "matching_orchestrator()", 0),
        ("status = 'spin_active', last_spun_at = joined_at", "matching_orchestrator()", 60_000),
        (
            "status = 'soft_offline', disconnected_at = '2026-01-01 12:00Z'",
            "cleanup_expired_soft_offline()",
            10_000,
        ),
        (
            "status = 'disconnected', disconnected_at = '2026-01-01 12:00Z'",
            "cleanup_expired_soft_offline()",
            310_000,
        ),
        ("status = 'nonsense'", "guardian_queue_consistency()", 0),
    ] {
        spark.0.run(&format!(
            "UPDATE matching_queue SET status = 'queue_waiting'; {}",
            if prepared.is_empty() {
                String::new()
            } else {
                format!("UPDATE matching_queue SET {prepared} WHERE user_id = test.u(1)")
            }
        ));
        let before = spark.0.value("SELECT q::text FROM matching_queue q WHERE user_id = test.u(1)");
        let busy = spark.0.hold("SELECT FROM matching_queue WHERE user_id = test.u(1) FOR UPDATE");
        spark.value(at, &format!("SET statement_timeout = '10s'; SELECT {schedule}"));
        assert_eq!(
            spark.0.value("SELECT q::text FROM matching_queue q WHERE user_id = test.u(1)"),
            before,
            "{schedule}"
        );
        busy.lets_go();
        spark.value(at, &format!("SELECT {schedule}"));
        assert_ne!(
            spark.0.value("SELECT string_agg(q::text, '') FROM matching_queue q WHERE user_id = test.u(1)"),
            before,
            "{schedule} {prepared}"
        );
        spark.0.run(
            "TRUNCATE matches, votes, match_participants, match_history, matching_queue, spark_event_log",
        );
        spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 4) n");
    }
    // Balancing: of three men and one woman, she is locked.
    spark.0.run("UPDATE profiles SET gender = 'male' WHERE id = test.u(4)");
    let busy = spark.0.hold("SELECT FROM matching_queue WHERE user_id = test.u(2) FOR UPDATE");
    assert!(
        spark
            .value(0, "SET statement_timeout = '10s'; SELECT apply_gender_ratio_balancing()")
            .contains("\"boosted\": 0")
    );
    busy.lets_go();
    assert!(spark.value(0, "SELECT apply_gender_ratio_balancing()").contains("\"boosted\": 1"));
}

/// An entry that something is wrong with costs one error in the log, and the others are matched.
#[test]
fn one_bad_entry_does_not_stop_the_others() {
    let spark = Spark::with(4);
    spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 4) n");
    // A score that no longer fits its column.
    spark.0.run(
        "UPDATE matching_queue SET fairness_boost = 99999999 WHERE user_id = test.u(1);
                 INSERT INTO blocked_users VALUES (test.u(1), test.u(2)), (test.u(1), test.u(4))",
    );
    let tick = spark.value(0, "SELECT matching_orchestrator()");
    assert!(tick.contains("\"matched\": 1"), "{tick}");
    let errors = "SELECT string_agg(test.n(user_id) || ' ' || event_type, ', ') FROM spark_event_log WHERE severity = 'ERROR'";
    assert_eq!(spark.0.value(errors), "1 matching_failed");
}

#[test]
fn who_joins_twice_keeps_their_place() {
    let spark = Spark::with(2);
    let join = |at| spark.value(at, "SELECT queue_join(test.u(1), '{\"max_age\": 40}')");
    let first = join(0);
    assert_eq!(join(20_000), first);
    assert_eq!(spark.states(), "1 queue_waiting");
    assert_eq!(spark.0.value("SELECT joined_at = '2026-01-01 12:00Z' FROM matching_queue"), "t");
    // Also while they spin; a new spin is a new wait.
    spark.value(30_000, "SELECT state_machine_transition(test.u(1), 'spin_start')");
    assert_eq!(join(40_000), first);
    assert_eq!(spark.states(), "1 spin_active");
    assert_eq!(spark.0.value("SELECT joined_at = '2026-01-01 12:00:30Z' FROM matching_queue"), "t");
}

/// A client that has had no answer, or a finger that was quick: joining again changes nothing for whoever waits, is with somebody, or was lost
/// for a moment.
#[test]
fn joining_twice_is_joining_once() {
    // At once, by whoever is in no queue yet; and beside a spin.
    for first in ["SELECT queue_join(test.u(1))", "SELECT state_machine_transition(test.u(1), 'spin_start')"]
    {
        let spark = Spark::with(1);
        std::thread::scope(|scope| {
            let one = spark.0.hold(&format!("{}{first}", noon(0)));
            let other = spark.0.meanwhile(scope, &format!("{}SELECT queue_join(test.u(1))", noon(1000)));
            spark.0.until_waiting(1);
            one.lets_go();
            let entry = spark.0.value("SELECT id FROM matching_queue");
            assert_eq!(other.join().unwrap(), Ok(entry), "{first}");
        });
        assert_eq!(spark.0.value("SELECT count(*) FROM spark_event_log WHERE event_data -> 'event_data' ->> 'event' = 'spin_start'"), "1");
        assert_eq!(
            spark.0.value("SELECT joined_at = '2026-01-01 12:00Z' FROM matching_queue"),
            "t",
            "{first}"
        );
    }
    for spark in [Spark::with_a_pair(), Spark::with_voters()] {
        let (before, entry) =
            (spark.states(), spark.0.value("SELECT id FROM matching_queue WHERE user_id = test.u(1)"));
        assert_eq!(spark.value(1000, "SELECT queue_join(test.u(1))"), entry);
        assert_eq!((spark.states(), spark.count("matches")), (before.clone(), "1".to_owned()));
        spark.value(2000, "SELECT handle_user_offline(test.u(1))");
        assert_eq!(spark.value(11_999, "SELECT queue_join(test.u(1))"), entry);
        assert_eq!((spark.states(), spark.boosts()), (before.clone(), String::new()));
        // A spin is another wish, and still leaves.
        spark.value(3000, "SELECT state_machine_transition(test.u(1), 'spin_start')");
        assert_eq!(
            (spark.states().as_str(), spark.boosts().as_str()),
            ("1 spin_active, 2 spin_active", "2 10 partner_left")
        );
    }
    // After the grace they are lost, and join anew; whose match is gone does so, too.
    let spark = Spark::with_a_pair();
    spark.value(0, "SELECT handle_user_offline(test.u(1))");
    spark.value(10_000, "SELECT queue_join(test.u(1))");
    assert_eq!(
        (spark.states().as_str(), spark.boosts().as_str()),
        ("1 queue_waiting, 2 spin_active", "2 10 partner_offline")
    );
    let spark = Spark::with_a_pair();
    spark.0.run("DELETE FROM profiles WHERE id = test.u(2)");
    spark.value(0, "SELECT queue_join(test.u(1))");
    assert_eq!(spark.0.value("SELECT status FROM matching_queue WHERE user_id = test.u(1)"), "queue_waiting");
}
