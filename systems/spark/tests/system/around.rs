//! What happens around: accounts that go, callers with older snapshots, schedules that are late, and rows that somebody has written by hand.

use crate::support::{Spark, noon};

/// A vote that the other's snapshot does not show is an error there: two of yes that each wait for the other would wait for ever.
#[test]
fn a_vote_behind_an_older_snapshot_is_refused_and_can_be_given_again() {
    let spark = Spark::with_voters();
    let gate = spark.0.hold("SELECT pg_advisory_xact_lock(77)");
    std::thread::scope(|scope| {
        let old = format!(
            "{}BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM matching_queue; SELECT pg_advisory_xact_lock(77); \
             SELECT submit_vote(test.u(1), test.m(), 'yes'); COMMIT",
            noon(1000)
        );
        let old = spark.0.meanwhile(scope, &old);
        spark.0.until_waiting(1);
        let vote = "SELECT submit_vote(test.u(2), test.m(), 'yes') ->> 'outcome'";
        assert_eq!(spark.value(1000, vote), "waiting");
        gate.lets_go();
        assert_eq!(old.join().unwrap(), Err("40001".to_owned()));
    });
    assert_eq!(spark.value(1000, "SELECT submit_vote(test.u(1), test.m(), 'yes') ->> 'outcome'"), "both_yes");
}

/// Votes that are there and that nobody has settled are settled by the schedule.
#[test]
fn votes_that_nobody_settled_are_settled_when_their_time_is_over() {
    let spark = Spark::with_voters();
    spark.0.run("INSERT INTO votes (match_id, user_id, vote_type) SELECT test.m(), test.u(n), 'yes' FROM generate_series(1, 2) n");
    assert_eq!(spark.value(29_999, "SELECT check_vote_timeouts() ->> 'ended'"), "0");
    assert_eq!(spark.value(30_000, "SELECT check_vote_timeouts() ->> 'ended'"), "1");
    assert_eq!(spark.states(), "1 video_date, 2 video_date");
}

/// Whose partner's account, or whose match, is deleted, spins on; that is no mistake of anybody's.
#[test]
fn whose_match_is_gone_spins_on() {
    for (spark, gone) in [
        (Spark::with_a_pair(), "DELETE FROM profiles WHERE id = test.u(2)"),
        (Spark::with_voters(), "DELETE FROM profiles WHERE id = test.u(2)"),
        (Spark::with_a_pair(), "DELETE FROM matches; DELETE FROM matching_queue WHERE user_id = test.u(2)"),
    ] {
        spark.0.run(gone);
        spark.value(0, "SELECT guardian_queue_consistency()");
        assert_eq!(spark.states(), "1 spin_active", "{gone}");
        let told = spark.0.value(
            "SELECT count(*) FROM spark_event_log WHERE event_type = 'match_gone' AND user_id = test.u(1)",
        );
        assert_eq!(told, "1", "{gone}");
    }
}

/// The +10 of who is away for a moment is there when they come back.
#[test]
fn who_is_away_for_a_moment_gets_their_ten_all_the_same() {
    let voted = Spark::with_voters();
    voted.value(0, "SELECT submit_vote(test.u(1), test.m(), 'yes')");
    voted.value(25_000, "SELECT handle_user_offline(test.u(1))");
    voted.value(30_000, "SELECT check_vote_timeouts()");
    assert_eq!(voted.boosts(), "1 10 partner_idle_in_vote");
    voted.value(31_000, "SELECT heartbeat_update(test.u(1))");
    assert_eq!((voted.states(), voted.scores()), ("1 queue_waiting".to_owned(), "1 10.00".to_owned()));

    let revealed = Spark::with_a_pair();
    revealed.value(0, "SELECT complete_reveal(test.u(1), test.m())");
    revealed.value(14_000, "SELECT handle_user_offline(test.u(1))");
    revealed.value(15_000, "SELECT check_reveal_timeouts()");
    assert_eq!(revealed.boosts(), "1 10 partner_reveal_timeout");

    let both = Spark::with_a_pair();
    both.value(0, "SELECT handle_user_offline(test.u(1))");
    both.value(5_000, "SELECT handle_user_offline(test.u(2))");
    both.value(11_000, "SELECT finalize_user_offline(test.u(1))");
    assert_eq!(both.boosts(), "2 10 partner_offline");
}

/// The grace and the five minutes are over when they are over, whether any schedule has run or not.
#[test]
fn who_comes_back_after_the_five_minutes_is_in_no_queue() {
    for (at, states) in [(309_999, "1 queue_waiting"), (310_000, "")] {
        let spark = Spark::with(1);
        spark.value(0, "SELECT queue_join(test.u(1))");
        spark.value(0, "SELECT handle_user_offline(test.u(1))");
        spark.value(at, "SELECT heartbeat_update(test.u(1))");
        assert_eq!(spark.states(), states, "{at}");
    }
}

/// A profile that changes while its user waits counts from the next tick on, or when they join again.
#[test]
fn a_profile_that_changes_counts_from_the_next_tick_on() {
    for again in ["SELECT matching_orchestrator()", "SELECT queue_join(test.u(3))"] {
        let spark = Spark::with(3);
        spark.0.run("DELETE FROM profiles WHERE id = test.u(2)");
        spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 3, 2) n");
        spark.0.run("UPDATE profiles SET gender = 'female' WHERE id = test.u(3)");
        spark.value(0, again);
        spark.value(0, "SELECT unified_matching_engine(test.u(1))");
        assert_eq!(spark.states(), "1 paired, 3 paired", "{again}");
    }
}

/// What ends a match because its time is over does so when it is, and in its phase.
#[test]
fn nobody_is_timed_out_before_their_time() {
    let spark = Spark::with_a_pair();
    spark.refused("SELECT handle_idle_voter(test.m(), test.u(1))", "SP005");
    spark.refused("SELECT handle_reveal_timeout(test.m(), test.u(1))", "SP005");
    let spark = Spark::with_voters();
    spark.refused("SELECT handle_idle_voter(test.m(), test.u(1))", "SP005");
    spark.refused("SELECT handle_reveal_timeout(test.m(), test.u(1))", "SP005");
}

/// Who is late is late, whether the schedule has been there or not.
#[test]
fn what_comes_after_its_time_is_refused() {
    let spark = Spark::with_voters();
    spark.value(29_999, "SELECT submit_vote(test.u(1), test.m(), 'yes')");
    let (code, message) = spark.try_at(30_000, "SELECT submit_vote(test.u(2), test.m(), 'yes')").unwrap_err();
    assert_eq!(code, "SP005", "{message}");
    let spark = Spark::with_a_pair();
    spark.value(14_999, "SELECT complete_reveal(test.u(1), test.m())");
    let (code, message) = spark.try_at(15_000, "SELECT complete_reveal(test.u(2), test.m())").unwrap_err();
    assert_eq!(code, "SP005", "{message}");
    assert_eq!(spark.states(), "1 paired, 2 paired");
}

/// Wishes that the base lets through, whatever they are: nobody fails of them, and they do not decide who comes first.
#[test]
fn wishes_without_a_limit_are_wishes() {
    let spark = Spark::with(2);
    spark.0.run(
        "INSERT INTO user_preferences (user_id, min_age, max_age, max_distance) VALUES (test.u(1), -2147483648, 2147483647, 2147483647)
             ON CONFLICT (user_id) DO UPDATE SET min_age = excluded.min_age, max_age = excluded.max_age, max_distance = excluded.max_distance",
    );
    spark.value(0, "SELECT queue_join(test.u(1))");
    assert_eq!(spark.value(0, "SELECT fairness_score > -100000 FROM matching_queue"), "t");
    for at in [30_000, 60_000] {
        spark.value(at, "SELECT apply_preference_expansion(test.u(1))");
    }
    let widened = "SELECT concat_ws(' ', expanded, min_age, max_age, max_distance) FROM user_preferences WHERE user_id = test.u(1)";
    assert_eq!(spark.value(60_000, widened), "t -2147483648 2147483647 2147483647");
    spark.value(60_000, "SELECT queue_join(test.u(2))");
    assert_eq!(spark.value(60_000, "SELECT matching_orchestrator() ->> 'matched'"), "1");
}

/// Numbers and times that are none.
#[test]
fn what_is_no_number_and_no_time_is_refused_and_stops_nobody() {
    let spark = Spark::with(3);
    spark.value(0, "SELECT queue_join(test.u(1))");
    for amount in ["'NaN'", "1e9", "-1", "0", "0.001", "NULL"] {
        spark.refused(&format!("SELECT apply_fairness_boost(test.u(1), {amount}, 'x')"), "SP007");
    }
    let (code, message) =
        spark.try_at(0, "SET spark.now = 'infinity'; SELECT queue_join(test.u(2))").unwrap_err();
    assert_eq!(code, "SP007", "{message}");
    spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(2, 3) n");
    spark.0.run("UPDATE matching_queue SET joined_at = 'infinity' WHERE user_id = test.u(1)");
    assert_eq!(spark.value(0, "SELECT matching_orchestrator() ->> 'matched'"), "1");
    assert_eq!(spark.value(0, "SELECT guardian_queue_consistency() ->> 'cleaned'"), "1");
    // Whoever of the two men it was, 1 is gone.
    assert_eq!(spark.value(0, "SELECT collect_queue_metrics() -> 'total_users'"), "2");
}
