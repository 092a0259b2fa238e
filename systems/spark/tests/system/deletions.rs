//! Accounts that are deleted while Spark works, as the live service does it: nothing deadlocks, nothing fails with anything but an error
//! of Spark's own, and nobody else waits.

use crate::support::{Spark, noon};

/// Stands between a deletion's lock of the profile and that of the match: the preferences go before the matches.
const GATE: &str = "SELECT FROM user_preferences WHERE user_id = test.u(2) FOR UPDATE";
const DELETION: &str = "DELETE FROM profiles WHERE id = test.u(2)";

/// A deletion that has locked the profile and not yet the match, and a call of the partner that needs both: one of them waits for the
/// other with nothing in its hands.
#[test]
fn a_deletion_and_a_call_of_the_partner_do_not_lock_each_other_out() {
    let away = "UPDATE matching_queue SET status = 'soft_offline', state_before_offline = 'vote_active',
                       disconnected_at = '2026-01-01 12:00Z' WHERE user_id = test.u(1)";
    let passed = "INSERT INTO votes (match_id, user_id, vote_type) VALUES (test.m(), test.u(2), 'pass')";
    for (before, call, answer) in [
        ("", "submit_vote(test.u(1), '{m}', 'pass')", Err("SP004")),
        ("", "state_machine_transition(test.u(1), 'spin_start') ->> 'to_state'", Ok("spin_active")),
        ("", "queue_remove(test.u(1), 'left')", Ok("")),
        (
            "",
            "handle_idle_voter('{m}', test.u(1)) FROM set_config('spark.now', '2026-01-01 12:01Z', false)",
            Err("SP004"),
        ),
        (
            "",
            "check_user_timeouts(test.u(1)) FROM set_config('spark.now', '2026-01-01 12:01Z', false)",
            Ok("{}"),
        ),
        (
            away,
            "finalize_user_offline(test.u(1)) FROM set_config('spark.now', '2026-01-01 12:00:11Z', false)",
            Ok(""),
        ),
        (passed, "heartbeat_update(test.u(1)) FROM (SELECT handle_user_offline(test.u(1))) o", Ok("")),
    ] {
        let spark = Spark::with_voters();
        spark.0.run(&format!("INSERT INTO user_preferences (user_id) VALUES (test.u(2)); {before}"));
        let call = call.replace("{m}", &spark.0.value("SELECT test.m()"));
        let gate = spark.0.hold(GATE);
        std::thread::scope(|scope| {
            let deletion = spark.0.meanwhile(scope, DELETION);
            spark.0.until_waiting(1);
            let called = spark.0.meanwhile(scope, &format!("{}SELECT {call}", noon(0)));
            spark.0.until_waiting(2);
            gate.lets_go();
            assert_eq!(deletion.join().unwrap(), Ok(String::new()), "{call}");
            let called = called.join().unwrap();
            assert_eq!(called.as_deref().map_err(String::as_str), answer, "{call}");
        });
        assert_eq!(spark.count("matches"), "0");
        spark.value(0, "SELECT guardian_queue_consistency()");
        assert_eq!(spark.0.value(STUCK), "0", "{call}");
    }
}

/// Whoever is with somebody has a match.
const STUCK: &str = "SELECT count(*) FROM matching_queue q WHERE status IN ('paired', 'vote_active')
    AND NOT EXISTS (SELECT FROM match_participants p WHERE p.user_id = q.user_id)";

/// Whose account is deleted while they call is unknown, and says so; it is no key of the log that is violated.
#[test]
fn who_is_deleted_meanwhile_is_unknown() {
    for call in [
        "queue_join(test.u(1))",
        "queue_join(test.u(1), '{\"max_age\": 40}')",
        "handle_user_offline(test.u(1))",
        "heartbeat_update(test.u(1))",
        "state_machine_transition(test.u(1), 'spin_start')",
        "state_machine_transition(test.u(1), 'user_disconnected')",
        "unified_matching_engine(test.u(1))",
        "apply_fairness_boost(test.u(1), 10, 'x')",
        "apply_preference_expansion(test.u(1))",
        "check_user_timeouts(test.u(1))",
    ] {
        for joined in [false, true] {
            let spark = Spark::with(2);
            if joined {
                spark.value(0, "SELECT queue_join(test.u(1))");
            }
            let deletion = spark.0.hold("DELETE FROM profiles WHERE id = test.u(1)");
            std::thread::scope(|scope| {
                let called = spark.0.meanwhile(scope, &format!("{}SELECT {call}", noon(40_000)));
                spark.0.until_waiting(1);
                deletion.lets_go();
                assert_eq!(called.join().unwrap(), Err("SP003".to_owned()), "{call}");
            });
        }
    }
}

/// The log takes no part in it: who goes just now is named in its data.
#[test]
fn the_log_waits_for_nobody_who_is_deleted() {
    let spark = Spark::with_a_pair();
    let deletion = spark.0.hold("DELETE FROM profiles WHERE id = test.u(1)");
    let id = spark.value(
        0,
        "SET statement_timeout = '10s'; SELECT log_event('seen', test.u(1), jsonb_build_object('match_id', test.m(), 'related_user_id', test.u(1)))",
    );
    deletion.lets_go();
    let row = format!(
        "SELECT concat_ws(' ', coalesce(user_id, related_user_id, match_id) IS NULL, event_data ->> 'user_id' = test.u(1)::text,
                          event_data ? 'match_id') FROM spark_event_log WHERE id = '{id}'"
    );
    assert_eq!(spark.0.value(&row), "t t t");
}

/// Each has rows about the other, of whom the log takes the names out: whoever comes second waits before they lock anything.
#[test]
fn two_deletions_at_once_do_not_lock_each_other_out() {
    let spark = Spark::with(3);
    spark.0.run(
        "INSERT INTO spark_event_log (event_type, user_id, related_user_id) VALUES
            ('gate', test.u(3), test.u(1)), ('gate', test.u(3), test.u(2)),
            ('seen', test.u(1), test.u(2)), ('seen', test.u(2), test.u(1))",
    );
    let gate = spark.0.hold("SELECT FROM spark_event_log WHERE event_type = 'gate' FOR UPDATE");
    std::thread::scope(|scope| {
        let one = spark.0.meanwhile(scope, "DELETE FROM profiles WHERE id = test.u(1)");
        spark.0.until_waiting(1);
        let other = spark.0.meanwhile(scope, DELETION);
        spark.0.until_waiting(2);
        gate.lets_go();
        assert_eq!([one, other].map(|one| one.join().unwrap()), [Ok(String::new()), Ok(String::new())]);
    });
    assert_eq!(
        spark
            .0
            .value("SELECT count(*) FROM spark_event_log WHERE user_id IS NULL OR related_user_id IS NULL"),
        "4"
    );
}

/// What somebody may leave open.
const BUSY: [&str; 3] = [
    "SELECT FROM profiles WHERE id = test.u(1) FOR UPDATE",
    "DELETE FROM profiles WHERE id = test.u(1)",
    "SELECT FROM user_preferences WHERE user_id = test.u(1) FOR UPDATE",
];

/// Somebody has a profile or preferences locked, or deletes an account, and leaves that open: schedules do what is to do for the others.
#[test]
fn no_schedule_waits_for_a_profile() {
    for busy in BUSY {
        for (prepared, at, schedule, done) in [
            ("fairness_score = 199", 0, "matching_orchestrator() -> 'matched'", "1"),
            (
                "status = 'spin_active', last_spun_at = joined_at",
                60_000,
                "matching_orchestrator() -> 'matched'",
                "1",
            ),
            ("expansion_level = 1", 0, "matching_orchestrator() -> 'matched'", "1"),
            (
                "status = 'soft_offline', disconnected_at = joined_at",
                10_000,
                "cleanup_expired_soft_offline() -> 'finalized'",
                "3",
            ),
            (
                "status = 'disconnected', disconnected_at = joined_at",
                310_000,
                "cleanup_expired_soft_offline() -> 'removed'",
                "3",
            ),
            ("status = 'nonsense'", 0, "guardian_queue_consistency() -> 'cleaned'", "3"),
            ("status = 'paired'", 0, "guardian_queue_consistency() -> 'cleaned'", "0"),
        ] {
            let spark = Spark::with(4);
            spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 4) n");
            spark.0.run(&format!(
                "INSERT INTO user_preferences (user_id, expanded, expanded_until, original_min_age, original_max_age, original_max_distance)
                 SELECT id, true, '2026-01-01 12:00Z', 18, 30, 50 FROM profiles;
                 UPDATE matching_queue SET {prepared}"
            ));
            // Whoever searches first finds 1 first.
            spark.0.run(
                "UPDATE matching_queue SET fairness_score = fairness_score + 500 WHERE user_id = test.u(1)",
            );
            let before = spark.0.value("SELECT q::text FROM matching_queue q WHERE user_id = test.u(1)");
            let holder = spark.0.hold(busy);
            let result = spark.value(at, &format!("SET statement_timeout = '10s'; SELECT {schedule}"));
            let case = format!("{busy}: {schedule} {prepared}");
            assert_eq!(result, done, "{case}");
            if !busy.contains("preferences") {
                assert_eq!(
                    spark.0.value("SELECT q::text FROM matching_queue q WHERE user_id = test.u(1)"),
                    before,
                    "{case}"
                );
            }
            assert_eq!(
                spark.0.value("SELECT count(*) FROM spark_event_log WHERE severity = 'ERROR'"),
                "0",
                "{case}"
            );
            drop(holder);
        }
    }
}

/// Whoever is first in the order and busy is passed over by a search, in each tier, and nobody waits for them or gets nothing.
#[test]
fn a_search_passes_over_who_is_busy() {
    for busy in BUSY {
        for max_age in [30, 20] {
            let spark = Spark::with(4);
            spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 4) n");
            spark.0.run(&format!(
                "INSERT INTO user_preferences (user_id, max_age) SELECT id, {max_age} FROM profiles;
                 UPDATE user_preferences SET expanded = true, original_min_age = 18, original_max_age = {max_age}, original_max_distance = 50
                  WHERE user_id = test.u(1);
                 UPDATE matching_queue SET fairness_score = fairness_score + 500 WHERE user_id = test.u(1)"
            ));
            let holder = spark.0.hold(busy);
            spark.value(0, "SET statement_timeout = '10s'; SELECT unified_matching_engine(test.u(2))");
            assert_eq!(
                spark.states(),
                "1 queue_waiting, 2 paired, 3 paired, 4 queue_waiting",
                "{busy} {max_age}"
            );
            drop(holder);
        }
    }
}

/// A search that passes somebody over because their entry is locked has not taken their preferences: two searches that pass each other over
/// would each keep what the other writes next.
#[test]
fn a_search_takes_nothing_of_whom_it_passes_over() {
    for max_age in [30, 20] {
        let spark = Spark::with(2);
        spark.0.run(&format!(
            "INSERT INTO user_preferences (user_id, max_age) SELECT id, {max_age} FROM profiles"
        ));
        spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 2) n");
        let searches = |user: u32| {
            format!(
                "{}SELECT FROM matching_queue WHERE user_id = test.u({user}) FOR UPDATE; SELECT pg_advisory_xact_lock_shared(78); \
                 SELECT unified_matching_engine(test.u({user})); SELECT reset_preference_expansion(test.u({user})); \
                 SELECT queue_join(test.u({user}), '{{\"max_age\": {max_age}}}')",
                noon(0)
            )
        };
        // Each has their own entry before either searches.
        let gate = spark.0.hold("SELECT pg_advisory_xact_lock(78)");
        std::thread::scope(|scope| {
            let two = [1, 2].map(|user| spark.0.meanwhile(scope, &searches(user)));
            spark.0.until_waiting(2);
            gate.lets_go();
            for one in two {
                assert!(one.join().unwrap().is_ok_and(|entry| !entry.is_empty()), "{max_age}");
            }
        });
        let busy = spark.0.hold("SELECT FROM matching_queue WHERE user_id = test.u(2) FOR UPDATE");
        let search = spark.0.hold(&format!("{}SELECT unified_matching_engine(test.u(1))", noon(0)));
        spark.0.run("SELECT FROM user_preferences WHERE user_id = test.u(2) FOR UPDATE NOWAIT");
        drop((search, busy));
    }
}

/// Preferences that somebody writes for the first time are no row yet that could be passed over: a tick does not wait for them for long.
#[test]
fn preferences_that_are_new_hold_up_no_tick() {
    let spark = Spark::with(4);
    spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 4) n");
    // Nobody is there for 1, whose wishes are to be widened.
    spark.0.run("INSERT INTO blocked_users VALUES (test.u(1), test.u(2)), (test.u(1), test.u(4))");
    let holder = spark.0.hold("INSERT INTO user_preferences (user_id) VALUES (test.u(1))");
    let matched = "SET statement_timeout = '10s'; SELECT matching_orchestrator() -> 'matched'";
    assert_eq!(spark.value(40_000, matched), "1");
    assert_eq!(spark.0.value("SELECT count(*) FROM spark_event_log WHERE severity = 'ERROR'"), "0");
    holder.lets_go();
    spark.value(40_000, "SELECT matching_orchestrator()");
    assert_eq!(spark.0.value("SELECT expansion_level FROM matching_queue WHERE user_id = test.u(1)"), "1");
}

/// The same of the two that end what has lasted too long; preferences are no matter of theirs.
#[test]
fn nor_do_the_timeouts() {
    for busy in BUSY {
        let spark = Spark::with(4);
        spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 4) n");
        spark.value(0, "SELECT matching_orchestrator()");
        let holder = spark.0.hold(busy);
        let late = spark.value(15_000, "SET statement_timeout = '10s'; SELECT check_reveal_timeouts()");
        assert_eq!(
            late,
            if busy.contains("preferences") {
                "{\"ended\": 2, \"skipped\": 0}"
            } else {
                "{\"ended\": 1, \"skipped\": 1}"
            }
        );
        drop(holder);
        spark.value(0, "SELECT count(complete_reveal(user_id, match_id)) FROM match_participants");
        let holder = spark.0.hold(busy);
        let late = spark.value(30_000, "SET statement_timeout = '10s'; SELECT check_vote_timeouts()");
        assert_eq!(
            late,
            if busy.contains("preferences") {
                "{\"ended\": 0, \"skipped\": 0}"
            } else {
                "{\"ended\": 0, \"skipped\": 1}"
            }
        );
        drop(holder);
    }
    // What goes with a match is not waited for either: a vote, or the log's row, that somebody has locked.
    for busy in ["SELECT FROM votes FOR UPDATE", "DELETE FROM spark_event_log"] {
        let spark = Spark::with_voters();
        spark.value(1_000, "SELECT submit_vote(test.u(1), test.m(), 'yes')");
        let holder = spark.0.hold(busy);
        let late = spark.value(30_000, "SET statement_timeout = '10s'; SELECT check_vote_timeouts()");
        assert_eq!(late, "{\"ended\": 0, \"skipped\": 1}", "{busy}");
        drop(holder);
        assert_eq!(spark.value(30_000, "SELECT check_vote_timeouts() ->> 'ended'"), "1");
    }
}

/// Four who do whatever they can, two who delete accounts and come back as somebody else, and the schedules: no deadlock, and no error
/// that is not Spark's own. Any other ends the test.
#[test]
fn accounts_come_and_go_while_everybody_works() {
    let spark = Spark::with(24);
    spark.0.run(
        "CREATE TABLE test.refused (code text);
         -- One step of somebody, as they come, with no look at whether it is in order.
         CREATE FUNCTION test.step(p_user uuid) RETURNS void LANGUAGE plpgsql AS $$
         DECLARE v_match uuid := (SELECT match_id FROM match_participants WHERE user_id = p_user);
         BEGIN
             CASE (random() * 8)::int
                 WHEN 0 THEN PERFORM queue_remove(p_user, 'random');
                 WHEN 1 THEN PERFORM handle_user_offline(p_user);
                 WHEN 2 THEN PERFORM heartbeat_update(p_user);
                 WHEN 3 THEN PERFORM complete_reveal(p_user, v_match);
                 WHEN 4 THEN PERFORM submit_vote(p_user, v_match, CASE WHEN random() < 0.3 THEN 'yes' ELSE 'pass' END);
                 WHEN 5 THEN PERFORM unified_matching_engine(p_user);
                 WHEN 6 THEN PERFORM state_machine_transition(p_user, 'spin_start');
                 ELSE PERFORM queue_join(p_user, '{\"max_age\": 60}');
             END CASE;
         EXCEPTION WHEN SQLSTATE 'SP001' OR SQLSTATE 'SP003' OR SQLSTATE 'SP004' OR SQLSTATE 'SP005' THEN
             INSERT INTO test.refused VALUES (SQLSTATE);
         END $$;
         CREATE TABLE test.person AS SELECT * FROM profiles",
    );
    let clients = [
        "SELECT test.step((SELECT id FROM profiles ORDER BY random() LIMIT 1))",
        // Who comes back is somebody else: one of the same id can deadlock with a call about who was before.
        "DELETE FROM profiles WHERE id = (SELECT min(id::text)::uuid FROM profiles WHERE name = 'person {n}'); INSERT INTO profiles SELECT (jsonb_populate_record(p, jsonb_build_object('id', gen_random_uuid()))).* FROM test.person p WHERE name = 'person {n}'",
        "SELECT matching_orchestrator()",
        "SELECT check_reveal_timeouts(), check_vote_timeouts(); SELECT cleanup_expired_soft_offline(); SELECT guardian_queue_consistency()",
    ];
    std::thread::scope(|scope| {
        for (who, client) in [0, 0, 0, 0, 1, 1, 2, 3].into_iter().enumerate() {
            let (spark, sql) = (&spark, clients[client]);
            scope.spawn(move || {
                for round in 0..100_u32 {
                    let n = 1 + (round * 7 + u32::try_from(who).unwrap() * 11) % 24;
                    spark.0.rows(&format!("{}{}", noon(round * 1000), sql.replace("{n}", &n.to_string())));
                }
            });
        }
    });
    spark.value(200_000, "SELECT guardian_queue_consistency()");
    assert_eq!(spark.0.value(STUCK), "0");
    let failed = "SELECT string_agg(event_data::text, '') FROM spark_event_log WHERE severity IN ('ERROR', 'CRITICAL') AND event_type <> 'guaranteed_match_failed'";
    assert_eq!(spark.0.value(failed), "");
    assert_ne!(spark.0.value("SELECT count(*) FROM spark_event_log WHERE event_type = 'match_broken'"), "0");
}
