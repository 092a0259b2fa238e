//! Who goes, comes back in time or too late, and what becomes of the partner.

use crate::support::Spark;

fn gone() -> Spark {
    let spark = Spark::with_a_pair();
    spark.value(0, "SELECT handle_user_offline(test.u(1))");
    assert_eq!(spark.states(), "1 soft_offline, 2 paired");
    spark
}

#[test]
fn back_after_nine_seconds_is_back_in_the_match() {
    let spark = gone();
    spark.value(9000, "SELECT cleanup_expired_soft_offline()");
    spark.value(9000, "SELECT finalize_user_offline(test.u(1))");
    spark.value(9000, "SELECT heartbeat_update(test.u(1))");
    assert_eq!(spark.states(), "1 paired, 2 paired");
    assert_eq!(
        spark.0.value(
            "SELECT is_online AND last_seen = '2026-01-01 12:00:09Z' FROM profiles WHERE id = test.u(1)"
        ),
        "t"
    );
    assert_eq!(spark.0.value("SELECT count(*) FROM matching_queue WHERE disconnected_at IS NOT NULL OR state_before_offline IS NOT NULL"), "0");
}

/// Whether the schedule has run or not, the grace is over.
#[test]
fn back_after_eleven_seconds_is_free_and_the_partner_has_gone_on() {
    for schedule in [true, false] {
        let spark = gone();
        if schedule {
            let done = spark.value(11_000, "SELECT cleanup_expired_soft_offline()");
            assert_eq!(done, "{\"removed\": 0, \"skipped\": 0, \"finalized\": 1}");
            assert_eq!(spark.states(), "1 disconnected, 2 spin_active");
            assert_eq!(spark.0.value("SELECT is_online FROM profiles WHERE id = test.u(1)"), "f");
        }
        spark.value(11_000, "SELECT heartbeat_update(test.u(1))");
        assert_eq!(spark.states(), "1 queue_waiting, 2 spin_active");
        assert_eq!(spark.boosts(), "2 10 partner_offline");
        assert_eq!(spark.count("matches"), "0");
        assert_eq!(spark.0.value("SELECT is_online FROM profiles WHERE id = test.u(1)"), "t");
    }
}

#[test]
fn the_grace_ends_at_ten_seconds_and_not_before() {
    let spark = gone();
    spark.value(5000, "SELECT handle_user_offline(test.u(1))");
    spark.value(9999, "SELECT finalize_user_offline(test.u(1))");
    assert_eq!(spark.states(), "1 soft_offline, 2 paired");
    spark.value(10_000, "SELECT finalize_user_offline(test.u(1))");
    assert_eq!(spark.states(), "1 disconnected, 2 spin_active");
    // Nothing more happens to somebody who is gone.
    spark.value(20_000, "SELECT handle_user_offline(test.u(1))");
    spark.value(40_000, "SELECT finalize_user_offline(test.u(1))");
    assert_eq!(
        (spark.states().as_str(), spark.boosts().as_str()),
        ("1 disconnected, 2 spin_active", "2 10 partner_offline")
    );
}

#[test]
fn the_entry_goes_five_minutes_later() {
    let spark = gone();
    spark.value(10_000, "SELECT cleanup_expired_soft_offline()");
    spark.value(309_999, "SELECT cleanup_expired_soft_offline()");
    assert!(spark.states().starts_with("1 disconnected"));
    spark.value(310_000, "SELECT cleanup_expired_soft_offline()");
    assert_eq!(spark.states(), "2 spin_active");
    // Just before, a heartbeat finds a free user; after it nobody, also where the schedule is late.
    let spark = gone();
    spark.value(10_000, "SELECT cleanup_expired_soft_offline()");
    spark.value(309_999, "SELECT heartbeat_update(test.u(1))");
    assert!(spark.states().starts_with("1 queue_waiting"));
    let spark = gone();
    spark.value(10_000, "SELECT cleanup_expired_soft_offline()");
    spark.value(310_000, "SELECT heartbeat_update(test.u(1))");
    assert_eq!(spark.states(), "2 spin_active");
}

#[test]
fn both_gone_leave_no_match_and_no_boost() {
    let spark = gone();
    spark.value(1000, "SELECT handle_user_offline(test.u(2))");
    spark.value(11_000, "SELECT cleanup_expired_soft_offline()");
    assert_eq!((spark.states().as_str(), spark.boosts().as_str()), ("1 disconnected, 2 disconnected", ""));
    assert_eq!(spark.count("matches"), "0");
}

/// Waiting goes on for who was away for a moment; who was not in the queue is not put into it.
#[test]
fn waiting_goes_on_and_nobody_is_put_into_the_queue() {
    let spark = Spark::with(2);
    spark.value(0, "SELECT queue_join(test.u(1))");
    spark.value(20_000, "SELECT handle_user_offline(test.u(1))");
    spark.value(25_000, "SELECT heartbeat_update(test.u(1))");
    assert_eq!(spark.0.value("SELECT joined_at = '2026-01-01 12:00Z' FROM matching_queue"), "t");
    spark.value(25_000, "SELECT handle_user_offline(test.u(2))");
    assert_eq!(spark.0.value("SELECT is_online FROM profiles WHERE id = test.u(2)"), "f");
    spark.value(26_000, "SELECT heartbeat_update(test.u(2))");
    assert_eq!(spark.states(), "1 queue_waiting");
}

/// Who has revealed and is away for a moment comes back to the vote as everybody begins it: without fairness, boost and skips.
#[test]
fn who_comes_back_to_the_vote_begins_it_at_zero() {
    let spark = Spark::with_a_pair();
    spark.value(0, "SELECT complete_reveal(test.u(1), test.m())");
    spark.value(0, "SELECT apply_fairness_boost(test.u(1), 10, 'test')");
    spark.0.run("UPDATE matching_queue SET skip_count = 2");
    spark.value(1000, "SELECT handle_user_offline(test.u(1))");
    spark.value(2000, "SELECT complete_reveal(test.u(2), test.m())");
    assert_eq!(spark.states(), "1 soft_offline, 2 vote_active");
    spark.value(3000, "SELECT heartbeat_update(test.u(1))");
    assert_eq!(spark.states(), "1 vote_active, 2 vote_active");
    assert_eq!(spark.scores(), "1 0.00, 2 0.00");
    let left = "SELECT count(*) FROM matching_queue WHERE fairness_boost <> 0 OR skip_count <> 0";
    assert_eq!(spark.0.value(left), "0");
}

#[test]
fn who_leaves_the_queue_lets_the_partner_go_on() {
    let spark = Spark::with_voters();
    spark.value(0, "SELECT queue_remove(test.u(2), 'bored')");
    assert_eq!((spark.states().as_str(), spark.boosts().as_str()), ("1 spin_active", "1 10 partner_left"));
    assert_eq!(
        spark
            .0
            .value("SELECT event_data ->> 'reason' FROM spark_event_log WHERE event_type = 'queue_removed'"),
        "bored"
    );
    spark.value(0, "SELECT queue_remove(test.u(2), 'again')");
}
