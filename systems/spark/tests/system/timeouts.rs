//! Each limit, a millisecond before it and at it.

use crate::support::Spark;

const NOTHING: &str = "{}";

#[test]
fn a_spin_lasts_sixty_seconds() {
    let spark = Spark::with(1);
    spark.value(0, "SELECT state_machine_transition(test.u(1), 'spin_start')");
    assert_eq!(spark.value(59_999, "SELECT detect_spin_timeout(test.u(1))"), "f");
    assert_eq!(spark.value(59_999, "SELECT check_user_timeouts(test.u(1))"), NOTHING);
    spark.value(59_999, "SELECT matching_orchestrator()");
    assert_eq!(spark.states(), "1 spin_active");
    assert_eq!(spark.value(60_000, "SELECT detect_spin_timeout(test.u(1))"), "t");
    spark.value(60_000, "SELECT matching_orchestrator()");
    assert_eq!(spark.states(), "1 queue_waiting");
    // And by itself.
    let spark = Spark::with(1);
    spark.value(0, "SELECT state_machine_transition(test.u(1), 'spin_start')");
    assert_eq!(spark.value(60_000, "SELECT check_user_timeouts(test.u(1))"), "{\"spin_timeout\": true}");
    assert_eq!(spark.value(60_000, "SELECT check_user_timeouts(test.u(1))"), NOTHING);
    assert_eq!(spark.states(), "1 queue_waiting");
}

/// The idle one leaves, both where neither has revealed, and who has spins on with 10; by the schedule, and asked for one user.
#[test]
fn a_reveal_is_waited_for_fifteen_seconds() {
    for (revealed, states, boosts) in [
        (vec![1], "1 spin_active", "1 10 partner_reveal_timeout"),
        (vec![2], "2 spin_active", "2 10 partner_reveal_timeout"),
        (vec![], "", ""),
    ] {
        for call in
            ["check_reveal_timeouts()", "check_user_timeouts(test.u(1))", "check_user_timeouts(test.u(2))"]
        {
            let spark = Spark::with_a_pair();
            for user in &revealed {
                spark.value(0, &format!("SELECT complete_reveal(test.u({user}), test.m())"));
            }
            assert_eq!(spark.value(14_999, "SELECT detect_reveal_timeout(test.u(1))"), "f");
            spark.value(14_999, &format!("SELECT {call}"));
            assert_eq!(spark.states(), "1 paired, 2 paired");
            assert_eq!(spark.value(15_000, "SELECT detect_reveal_timeout(test.u(1))"), "t");
            let fired = spark.value(15_000, &format!("SELECT {call}"));
            let expected = if call.starts_with("check_user") {
                "{\"reveal_timeout\": true}"
            } else {
                "{\"ended\": 1, \"skipped\": 0}"
            };
            assert_eq!(fired, expected);
            assert_eq!((spark.states().as_str(), spark.boosts().as_str()), (states, boosts));
            assert_eq!(spark.count("matches"), "0");
        }
    }
}

#[test]
fn a_vote_is_waited_for_thirty_seconds() {
    for (voted, states, boosts) in [
        (vec![1], "1 spin_active", "1 10 partner_idle_in_vote"),
        (vec![2], "2 spin_active", "2 10 partner_idle_in_vote"),
        (vec![], "", ""),
    ] {
        for call in
            ["check_vote_timeouts()", "check_user_timeouts(test.u(1))", "check_user_timeouts(test.u(2))"]
        {
            let spark = Spark::with_a_pair();
            // The window opens with the second reveal.
            spark.value(5000, "SELECT complete_reveal(test.u(1), test.m())");
            spark.value(10_000, "SELECT complete_reveal(test.u(2), test.m())");
            for user in &voted {
                spark.value(10_000, &format!("SELECT submit_vote(test.u({user}), test.m(), 'yes')"));
            }
            assert_eq!(spark.value(39_999, "SELECT detect_vote_timeout(test.u(1))"), "f");
            spark.value(39_999, &format!("SELECT {call}"));
            assert_eq!(spark.states(), "1 vote_active, 2 vote_active");
            assert_eq!(spark.value(40_000, "SELECT detect_vote_timeout(test.u(1))"), "t");
            spark.value(40_000, &format!("SELECT {call}"));
            assert_eq!((spark.states().as_str(), spark.boosts().as_str()), (states, boosts));
            assert_eq!((spark.count("matches"), spark.count("votes")), ("0".into(), "0".into()));
        }
    }
}

/// A match that somebody works on is left for the next run, and nobody is waited for.
#[test]
fn the_schedules_wait_for_nobody() {
    let spark = Spark::with_a_pair();
    let busy = spark.0.hold("SELECT FROM matching_queue WHERE user_id = test.u(2) FOR UPDATE");
    let skipped = "{\"ended\": 0, \"skipped\": 1}";
    assert_eq!(spark.value(20_000, "SELECT check_reveal_timeouts()"), skipped);
    busy.lets_go();
    assert_eq!(spark.value(20_000, "SELECT check_reveal_timeouts()"), "{\"ended\": 1, \"skipped\": 0}");
}
