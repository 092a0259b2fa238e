//! The score, boosts beside it, and preferences that widen and come back.

use crate::support::Spark;

#[test]
fn the_score_is_the_formula() {
    let spark = Spark::with(12);
    let score = |at: u32| spark.value(at, "SELECT calculate_fairness_score(test.u(1))");
    // No preferences, no entry: 18-30, 50 miles, nobody else.
    assert_eq!(score(0), "175.50");
    spark
        .value(0, "SELECT queue_join(test.u(1), '{\"min_age\": 18, \"max_age\": 30, \"max_distance\": 50}')");
    assert_eq!(spark.scores(), "1 175.50");
    // 95 seconds, three skips, two others: 9.5 + 150 + 75.5 + 80.
    spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(2, 3) n");
    spark.0.run("UPDATE matching_queue SET skip_count = 3 WHERE user_id = test.u(1)");
    assert_eq!(score(95_000), "315.00");
    // Ten others or more: nothing for them. At most 300 for skips, 500 for the wait.
    spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(4, 12) n");
    spark.0.run("UPDATE matching_queue SET skip_count = 7 WHERE user_id = test.u(1)");
    spark.0.run("UPDATE matching_queue SET joined_at = '2026-01-01 09:00Z' WHERE user_id = test.u(1)");
    assert_eq!(score(0), "875.50");
    // Wider wishes: (1 - ((60-20)/50 + 100/200)/2) * 100 = 35.
    spark.0.run("UPDATE user_preferences SET min_age = 20, max_age = 60, max_distance = 100 WHERE user_id = test.u(1)");
    assert_eq!(score(0), "835.00");
}

#[test]
fn boosts_add_up_outlive_the_formula_and_end_with_the_vote() {
    let spark = Spark::with(2);
    spark.value(0, "SELECT queue_join(test.u(1))");
    for _ in 0..3 {
        spark.value(0, "SELECT apply_fairness_boost(test.u(1), 10, 'test')");
    }
    assert_eq!(spark.scores(), "1 205.50");
    assert_eq!(spark.value(0, "SELECT calculate_fairness_score(test.u(1))"), "205.50");
    assert_eq!(spark.boosts(), "1 10 test, 1 10 test, 1 10 test");
    spark.value(0, "SELECT queue_join(test.u(2))");
    spark.value(0, "SELECT unified_matching_engine(test.u(2))");
    spark.value(0, "SELECT count(complete_reveal(test.u(n), test.m())) FROM generate_series(1, 2) n");
    assert_eq!(spark.0.value("SELECT string_agg(fairness_score || ' ' || fairness_boost || ' ' || skip_count, ', ') FROM matching_queue"), "0.00 0.00 0, 0.00 0.00 0");
}

fn wishes(spark: &Spark) -> String {
    spark.0.value("SELECT concat_ws(' ', min_age, max_age, max_distance, expanded, expanded_until, original_min_age, original_max_age, original_max_distance, (SELECT expansion_level FROM matching_queue q WHERE q.user_id = p.user_id)) FROM user_preferences p WHERE user_id = test.u(1)")
}

#[test]
fn preferences_widen_twice_and_come_back() {
    let spark = Spark::with(2);
    spark.0.run("SET timezone = 'UTC'");
    spark
        .value(0, "SELECT queue_join(test.u(1), '{\"min_age\": 25, \"max_age\": 97, \"max_distance\": 20}')");
    let expand = |at: u32| spark.value(at, "SELECT apply_preference_expansion(test.u(1))");
    expand(29_999);
    assert_eq!(wishes(&spark), "25 97 20 f 0");
    for _ in 0..2 {
        expand(30_000);
        assert!(wishes(&spark).starts_with("20 100 70 t "), "{}", wishes(&spark));
        assert!(wishes(&spark).ends_with(" 25 97 20 1"), "{}", wishes(&spark));
    }
    expand(59_999);
    assert!(wishes(&spark).ends_with(" 25 97 20 1"));
    for at in [60_000, 60_000, 200_000] {
        expand(at);
        assert!(wishes(&spark).starts_with("18 100 120 t ") && wishes(&spark).ends_with(" 25 97 20 2"));
    }
    // The score is of what they want by themselves.
    assert_eq!(spark.value(60_000, "SELECT calculate_fairness_score(test.u(1))"), "129.00");
    // It expires 5 minutes after the second step, with a tick, and does not come again for this spin.
    spark.value(359_999, "SELECT matching_orchestrator()");
    assert!(wishes(&spark).starts_with("18 100 120 t "));
    for at in [360_000, 365_000] {
        spark.value(at, "SELECT matching_orchestrator()");
        assert_eq!(wishes(&spark), "25 97 20 f 0");
    }
}

#[test]
fn a_match_a_new_spin_and_leaving_bring_preferences_back() {
    for (end, states) in [
        ("SELECT unified_matching_engine(test.u(2))", "1 paired, 2 paired"),
        ("SELECT state_machine_transition(test.u(1), 'spin_start')", "1 spin_active, 2 queue_waiting"),
        ("SELECT queue_remove(test.u(1), 'test')", "2 queue_waiting"),
    ] {
        let spark = Spark::with(2);
        spark.value(0, "SELECT queue_join(test.u(1))");
        spark.value(30_000, "SELECT apply_preference_expansion(test.u(1))");
        assert!(wishes(&spark).starts_with("18 35 100 t "), "{}", wishes(&spark));
        spark.value(30_000, "SELECT queue_join(test.u(2))");
        spark.value(30_000, end);
        assert_eq!(spark.states(), states);
        assert!(wishes(&spark).starts_with("18 30 50 f"), "{end}: {}", wishes(&spark));
    }
}
