//! Who may be matched with whom, in what order, and that two who want the same one get one match.

use crate::support::{Spark, noon};

/// What is never waived: each alone keeps two people apart, in each tier and in `create_match_atomic`, and taking it away lets them meet.
#[test]
fn each_condition_keeps_two_people_apart() {
    for (apart, together) in [
        (
            "UPDATE profiles SET is_online = false WHERE id = test.u(2)",
            "UPDATE profiles SET is_online = true",
        ),
        ("INSERT INTO blocked_users VALUES (test.u(1), test.u(2))", "DELETE FROM blocked_users"),
        ("INSERT INTO blocked_users VALUES (test.u(2), test.u(1))", "DELETE FROM blocked_users"),
        (
            "INSERT INTO yes_yes_pairs (user1_id, user2_id) VALUES (test.u(1), test.u(2))",
            "DELETE FROM yes_yes_pairs",
        ),
        (
            "INSERT INTO yes_yes_pairs (user1_id, user2_id) VALUES (test.u(2), test.u(1))",
            "DELETE FROM yes_yes_pairs",
        ),
        (
            "INSERT INTO match_history (user1_id, user2_id, match_id, created_at) VALUES (test.u(1), test.u(2), test.u(9), '2026-01-01 11:55:00.001Z')",
            "UPDATE match_history SET created_at = '2026-01-01 11:55Z'",
        ),
        (
            "INSERT INTO match_history (user1_id, user2_id, match_id, created_at) VALUES (test.u(2), test.u(1), test.u(9), '2026-01-01 11:55:00.001Z')",
            "UPDATE match_history SET created_at = '2026-01-01 11:55Z'",
        ),
        (
            "UPDATE matching_queue SET status = 'vote_active' WHERE user_id = test.u(2)",
            "UPDATE matching_queue SET status = 'spin_active'",
        ),
        (
            "INSERT INTO profiles (id, name, age, gender) VALUES (test.u(3), 'x', 20, 'male'); INSERT INTO matches (user1_id, user2_id) VALUES (test.u(2), test.u(3))",
            "DELETE FROM matches",
        ),
        (
            "UPDATE profiles SET gender = 'male' WHERE id = test.u(2)",
            "UPDATE profiles SET gender = 'female' WHERE id = test.u(2)",
        ),
        (
            "UPDATE profiles SET gender = NULL WHERE id = test.u(2)",
            "UPDATE profiles SET gender = 'female' WHERE id = test.u(2)",
        ),
        (
            "UPDATE profiles SET gender = 'non-binary' WHERE id = test.u(1)",
            "UPDATE profiles SET gender = 'male' WHERE id = test.u(1)",
        ),
    ] {
        let spark = Spark::with(2);
        spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 2) n");
        spark.0.run(apart);
        for tier in 1..=3 {
            assert_eq!(spark.value(0, &format!("SELECT find_candidate(test.u(1), {tier})")), "", "{apart}");
        }
        assert_eq!(spark.value(0, "SELECT create_match_atomic(test.u(1), test.u(2))"), "", "{apart}");
        assert_eq!(spark.value(0, "SELECT unified_matching_engine(test.u(1))"), "", "{apart}");
        spark.0.run(together);
        assert_ne!(spark.value(0, "SELECT unified_matching_engine(test.u(1))"), "", "{together}");
        assert_eq!(spark.states(), "1 paired, 2 paired");
    }
}

#[test]
fn a_tier_asks_for_what_it_asks_for() {
    let spark = Spark::with(2);
    spark.value(0, "SELECT count(queue_join(test.u(n), '{\"min_age\": 20, \"max_age\": 30, \"max_distance\": 50}')) FROM generate_series(1, 2) n");
    let tiers = || {
        spark.value(0, "SELECT concat_ws(' ', find_candidate(test.u(1), 1) IS NOT NULL, find_candidate(test.u(1), 2) IS NOT NULL, find_guaranteed_match_strict(test.u(1)) IS NOT NULL)")
    };
    assert_eq!(tiers(), "t t t");
    for (otherwise, found) in [
        // Age, both ways.
        ("UPDATE profiles SET age = 31 WHERE id = test.u(1)", "f f t"),
        ("UPDATE profiles SET age = 31 WHERE id = test.u(2)", "f f t"),
        ("UPDATE user_preferences SET min_age = 26 WHERE user_id = test.u(1)", "f f t"),
        ("UPDATE user_preferences SET min_age = 26 WHERE user_id = test.u(2)", "f f t"),
        // New York and Philadelphia are 81 miles apart, New York and Newark 9.
        ("UPDATE profiles SET latitude = 40.7128, longitude = -74.0060 WHERE id = test.u(1)", "t t t"),
        (
            "UPDATE profiles SET latitude = CASE id WHEN test.u(1) THEN 40.7128 ELSE 39.9526 END, longitude = CASE id WHEN test.u(1) THEN -74.0060 ELSE -75.1652 END",
            "f f t",
        ),
        (
            "UPDATE profiles SET latitude = CASE id WHEN test.u(1) THEN 40.7128 ELSE 40.7357 END, longitude = CASE id WHEN test.u(1) THEN -74.0060 ELSE -74.1724 END",
            "t t t",
        ),
        (
            "UPDATE user_preferences SET max_distance = 80 WHERE user_id = test.u(1); UPDATE profiles SET latitude = CASE id WHEN test.u(1) THEN 40.7128 ELSE 39.9526 END, longitude = CASE id WHEN test.u(1) THEN -74.0060 ELSE -75.1652 END",
            "f f t",
        ),
        (
            "UPDATE user_preferences SET max_distance = 82; UPDATE profiles SET latitude = CASE id WHEN test.u(1) THEN 40.7128 ELSE 39.9526 END, longitude = CASE id WHEN test.u(1) THEN -74.0060 ELSE -75.1652 END",
            "t t t",
        ),
        // Expanded wishes are those of the second tier.
        (
            "UPDATE user_preferences SET expanded = true, original_min_age = 26, original_max_age = 30, original_max_distance = 50 WHERE user_id = test.u(1)",
            "f t t",
        ),
        (
            "UPDATE user_preferences SET expanded = true, original_min_age = 26, original_max_age = 30, original_max_distance = 50 WHERE user_id = test.u(2)",
            "f t t",
        ),
        // Whoever has met before, long ago.
        (
            "INSERT INTO match_history (user1_id, user2_id, created_at) VALUES (test.u(2), test.u(1), '2025-01-01')",
            "f t t",
        ),
    ] {
        let again = "DELETE FROM match_history; UPDATE profiles SET age = 25, latitude = NULL, longitude = NULL;
                     UPDATE user_preferences SET min_age = 20, max_age = 30, max_distance = 50, expanded = false";
        spark.0.run(&format!("{again}; {otherwise}"));
        // What the spin began with is what is there now.
        spark.0.run("UPDATE matching_queue q SET spin_age = p.age, spin_latitude = p.latitude, spin_longitude = p.longitude FROM profiles p WHERE p.id = q.user_id");
        assert_eq!(tiers(), found, "{otherwise}");
        // And where it is not known.
        spark.0.run("UPDATE matching_queue SET spin_gender = NULL, spin_age = NULL, spin_latitude = NULL, spin_longitude = NULL");
        assert_eq!(tiers(), found, "{otherwise}");
    }
}

#[test]
fn fairness_goes_first_and_then_who_came_first() {
    let spark = Spark::with(8);
    spark.value(0, "SELECT count(queue_join(test.u(n))) FROM unnest('{1,2,4,6,8}'::int[]) n");
    spark.0.run("UPDATE matching_queue SET fairness_score = 50, joined_at = '2026-01-01 11:00Z'::timestamptz - interval '1 second' * right(user_id::text, 1)::int");
    for (order, next) in [("true", "8"), ("user_id <> test.u(8)", "6")] {
        assert_eq!(order == "true", next == "8");
        assert_eq!(spark.value(0, "SELECT test.n(find_candidate(test.u(1), 1))"), next);
        spark.0.run("UPDATE matching_queue SET status = 'ended' WHERE user_id = test.u(8)");
    }
    spark.0.run("UPDATE matching_queue SET fairness_score = 51 WHERE user_id = test.u(2)");
    for tier in 1..=3 {
        assert_eq!(spark.value(0, &format!("SELECT test.n(find_candidate(test.u(1), {tier}))")), "2");
    }
}

/// Two want the only one there is: whoever is second finds the entry taken, waits for nobody and gets nothing.
#[test]
fn two_seekers_for_one_candidate_make_one_match() {
    for direct in [false, true] {
        let spark = Spark::with(3);
        spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 3) n");
        let seek = |user: u32| {
            let call = if direct {
                format!("create_match_atomic(test.u({user}), test.u(2))")
            } else {
                format!("unified_matching_engine(test.u({user}))")
            };
            format!("{}SELECT {call}", noon(0))
        };
        let first = spark.0.hold(&seek(1));
        // Not committed yet, and not waited for.
        assert_eq!(spark.0.value(&format!("SET lock_timeout = '1s'; {}", seek(3))), "");
        first.lets_go();
        assert_eq!(spark.0.value(&seek(3)), "");
        assert_eq!(spark.count("matches"), "1");
        // She was there, and after 30 cycles still busy.
        let told =
            "SELECT coalesce(string_agg(event_type, ' '), '') FROM spark_event_log WHERE severity = 'ERROR'";
        assert_eq!(spark.0.value(told), if direct { "" } else { "guaranteed_match_failed" });
    }
}

/// Really at once, again and again.
#[test]
fn a_race_has_one_winner() {
    let spark = Spark::with(3);
    for round in 0..20 {
        spark.0.run(
            "TRUNCATE matches, votes, match_participants, match_history, matching_queue, spark_event_log",
        );
        spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 3) n");
        std::thread::scope(|scope| {
            let gate = spark.0.hold("SELECT pg_advisory_xact_lock(1)");
            let seekers: Vec<_> = [1, 3]
                .into_iter()
                .map(|user| {
                    let sql = format!("{}SELECT pg_advisory_xact_lock_shared(1); SELECT unified_matching_engine(test.u({user}))", noon(0));
                    spark.0.meanwhile(scope, &sql)
                })
                .collect();
            spark.0.becomes(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                "2",
            );
            gate.lets_go();
            let matched: Vec<String> =
                seekers.into_iter().map(|seeker| seeker.join().unwrap().unwrap()).collect();
            assert_eq!(matched.iter().filter(|id| !id.is_empty()).count(), 1, "round {round}: {matched:?}");
        });
        assert_eq!(spark.count("matches"), "1");
    }
}

/// Somebody writes a match past the queue: the key of `match_participants` is in the way, and that is no error.
#[test]
fn a_match_past_the_queue_is_no_error() {
    let spark = Spark::with(4);
    spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 3) n");
    let other = spark.0.hold("INSERT INTO matches (user1_id, user2_id) VALUES (test.u(2), test.u(3))");
    assert_eq!(
        spark.value(0, "SET statement_timeout = '10s'; SELECT create_match_atomic(test.u(1), test.u(2))"),
        ""
    );
    other.lets_go();
    assert_eq!(spark.value(0, "SELECT create_match_atomic(test.u(1), test.u(2))"), "");
    for call in [
        "NULL, test.u(2)",
        "test.u(1), NULL",
        "test.u(1), test.u(1)",
        "test.u(1), test.u(99)",
        "test.u(1), test.u(4)",
    ] {
        assert_eq!(spark.value(0, &format!("SELECT create_match_atomic({call})")), "", "{call}");
    }
    let wrong = spark.0.try_rows("INSERT INTO matches (user1_id, user2_id) VALUES (test.u(1), test.u(2))");
    assert_eq!(wrong.unwrap_err().code().unwrap().code(), "23505");
}

/// In a tick one cycle a user: the count goes on, and the thirtieth that fails is an error in the log. A candidate whom nothing
/// lets match is made with a trigger.
#[test]
fn thirty_cycles_that_fail_are_told() {
    let spark = Spark::with(2);
    spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 2) n");
    spark.0.run("CREATE FUNCTION test.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE unique_violation; END $$;
                 CREATE TRIGGER no BEFORE INSERT ON matches FOR EACH ROW EXECUTE FUNCTION test.no()");
    let failed = "SELECT count(*) FROM spark_event_log WHERE event_type = 'guaranteed_match_failed' AND severity = 'ERROR'";
    for tick in 1..=30 {
        assert_eq!(spark.0.value(failed), "0", "{tick}");
        spark.value(0, "SELECT matching_orchestrator()");
    }
    assert_eq!(spark.0.value(failed), "2");
    assert_eq!(spark.0.value("SELECT string_agg(skip_count::text, ' ') FROM matching_queue"), "30 30");
    // Asked directly, all thirty at once.
    spark.value(0, "SELECT unified_matching_engine(test.u(1))");
    assert_eq!(spark.0.value(failed), "3");
    spark.0.run("UPDATE profiles SET is_online = false WHERE id = test.u(2)");
    spark.value(0, "SELECT unified_matching_engine(test.u(1))");
    assert_eq!(
        spark.0.value("SELECT count(*) FROM spark_event_log WHERE event_type = 'no_online_candidates'"),
        "1"
    );
}

/// Somebody eligible is online, though they have met a moment ago or are busy just now: that is not nobody, and what does not come of it is told
/// after 30 cycles.
#[test]
fn who_is_cooling_or_busy_is_there() {
    let told = |spark: &Spark| {
        spark.0.value("SELECT coalesce(string_agg(test.n(user_id) || ' ' || event_type, ', ' ORDER BY user_id, event_type), '') FROM spark_event_log
                        WHERE event_type IN ('no_online_candidates', 'guaranteed_match_failed')")
    };
    let waiting = || {
        let spark = Spark::with(2);
        spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 2) n");
        spark
    };
    let cooling = "INSERT INTO match_history (user1_id, user2_id, created_at) VALUES (test.u(1), test.u(2), '2026-01-01 12:00Z')";
    let spark = waiting();
    spark.0.run(cooling);
    for _ in 1..30 {
        spark.value(0, "SELECT matching_orchestrator()");
    }
    assert_eq!(told(&spark), "");
    spark.value(0, "SELECT matching_orchestrator()");
    assert_eq!(told(&spark), "1 guaranteed_match_failed, 2 guaranteed_match_failed");
    // Asked directly, at once; and when they have cooled, they meet.
    spark.value(0, "SELECT unified_matching_engine(test.u(1))");
    assert_eq!(
        told(&spark),
        "1 guaranteed_match_failed, 1 guaranteed_match_failed, 2 guaranteed_match_failed"
    );
    spark.value(300_000, "SELECT matching_orchestrator()");
    assert_eq!(spark.states(), "1 paired, 2 paired");

    for busy in
        ["matching_queue WHERE user_id = test.u(2) FOR UPDATE", "profiles WHERE id = test.u(2) FOR UPDATE"]
    {
        let spark = waiting();
        let holder = spark.0.hold(&format!("SELECT FROM {busy}"));
        spark.value(0, "SELECT unified_matching_engine(test.u(1))");
        assert_eq!(told(&spark), "1 guaranteed_match_failed", "{busy}");
        drop(holder);
    }
    for nobody in [
        "INSERT INTO blocked_users VALUES (test.u(2), test.u(1))",
        "INSERT INTO yes_yes_pairs (user1_id, user2_id) VALUES (test.u(2), test.u(1))",
        "UPDATE profiles SET is_online = false WHERE id = test.u(2)",
        "DELETE FROM matching_queue WHERE user_id = test.u(2)",
        "UPDATE profiles SET gender = 'male'",
    ] {
        let spark = waiting();
        spark.0.run(&format!("{cooling}; {nobody}"));
        spark.value(0, "SELECT unified_matching_engine(test.u(1))");
        assert_eq!(told(&spark), "1 no_online_candidates", "{nobody}");
    }
}
