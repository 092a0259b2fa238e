//! Who blocks somebody while they are with them, matches whose time is not one, and what the log says of who did it.

use crate::support::Spark;

const BLOCK: &str = "INSERT INTO blocked_users VALUES (test.u(2), test.u(1))";

/// Whoever votes, and whatever: over a block nobody has a date. The blocker has left, and the other goes on with +10.
#[test]
fn two_of_yes_over_a_block_are_none() {
    for (first, last, vote) in [(1, 2, "yes"), (2, 1, "yes"), (2, 1, "pass")] {
        let spark = Spark::with_voters();
        let id = spark.0.value("SELECT test.m()");
        spark.value(0, &format!("SELECT submit_vote(test.u({first}), '{id}', 'yes')"));
        spark.0.run(BLOCK);
        let outcome =
            spark.value(1000, &format!("SELECT submit_vote(test.u({last}), '{id}', '{vote}') ->> 'outcome'"));
        assert_eq!(outcome, "one_pass");
        assert_eq!(spark.states(), "1 spin_active, 2 spin_active");
        assert_eq!(spark.boosts(), "1 10 partner_left");
        assert_eq!(
            ["matches", "votes", "yes_yes_pairs", "match_history"].map(|table| spark.count(table)),
            ["0", "0", "0", "1"]
        );
    }
}

/// Seen by a reveal, by who comes back, and by the schedules, which do not wait until something is overdue.
#[test]
fn a_block_ends_the_match_wherever_it_is_seen() {
    let revealed = Spark::with_a_pair();
    revealed.0.run(BLOCK);
    let answer = revealed.value(1000, "SELECT complete_reveal(test.u(1), test.m())");
    assert_eq!(answer, "{\"status\": \"match_ended\", \"next_state\": \"spin_active\"}");
    for (spark, schedule) in
        [(Spark::with_a_pair(), "check_reveal_timeouts"), (Spark::with_voters(), "check_vote_timeouts")]
    {
        spark.0.run(BLOCK);
        assert_eq!(spark.value(1000, &format!("SELECT {schedule}() ->> 'ended'")), "1");
        assert_eq!(
            (spark.states().as_str(), spark.boosts().as_str()),
            ("1 spin_active, 2 spin_active", "1 10 partner_left")
        );
    }
    // The blocker is away for a moment, and is not put into the queue by that.
    let back = Spark::with_voters();
    back.value(0, "SELECT handle_user_offline(test.u(2))");
    back.0.run(BLOCK);
    back.value(1000, "SELECT check_vote_timeouts()");
    assert_eq!(
        (back.states().as_str(), back.boosts().as_str()),
        ("1 spin_active, 2 soft_offline", "1 10 partner_left")
    );
    back.value(2000, "SELECT heartbeat_update(test.u(2))");
    assert_eq!(back.states(), "1 spin_active, 2 queue_waiting");
    // Both have said yes while one was away: coming back settles it, and not as a date.
    let away = Spark::with_voters();
    away.value(0, "SELECT submit_vote(test.u(1), test.m(), 'yes')");
    away.value(0, "SELECT handle_user_offline(test.u(1))");
    away.value(0, "SELECT submit_vote(test.u(2), test.m(), 'yes')");
    away.0.run(BLOCK);
    away.value(1000, "SELECT heartbeat_update(test.u(1))");
    assert_eq!(
        (away.states().as_str(), away.count("yes_yes_pairs").as_str()),
        ("1 spin_active, 2 spin_active", "0")
    );
}

/// A time that is none stops nobody, is said once, and ends as others do.
#[test]
fn a_vote_that_began_at_no_time_ends_in_time_and_stops_no_other() {
    for since in
        ["\"soon\"", "null", "\"infinity\"", "\"2999-01-01\"", "\"-infinity\"", "\"now\"", "{\"a\": 1}", "7"]
    {
        let spark = Spark::with(4);
        spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 4) n");
        spark.value(0, "SELECT matching_orchestrator()");
        spark.value(0, "SELECT count(complete_reveal(user_id, match_id)) FROM match_participants");
        assert_eq!(spark.states(), "1 vote_active, 2 vote_active, 3 vote_active, 4 vote_active");
        spark.0.run(&format!(
            "UPDATE matches SET metadata = metadata || '{{\"voting_started_at\": {since}}}' WHERE test.u(1) IN (user1_id, user2_id)"
        ));
        for at in [10_000, 20_000, 29_999] {
            assert_eq!(spark.value(at, "SELECT check_vote_timeouts() ->> 'ended'"), "0", "{since}");
        }
        let told = "SELECT string_agg(severity || ' ' || source, ',') FROM spark_event_log WHERE event_type = 'voting_time_unknown'";
        assert_eq!(spark.0.value(told), "WARNING scheduler", "{since}");
        assert_eq!(spark.value(30_000, "SELECT check_vote_timeouts() ->> 'ended'"), "2", "{since}");
        assert_eq!(spark.states(), "", "{since}");
    }
    // A match that began at no time, neither.
    let spark = Spark::with_voters();
    spark.0.run("UPDATE matches SET matched_at = 'infinity'");
    assert_eq!(spark.value(30_000, "SELECT check_vote_timeouts() ->> 'ended'"), "1");
    // Without the schedule, too.
    let spark = Spark::with_voters();
    spark.0.run("UPDATE matches SET metadata = metadata || '{\"voting_started_at\": null}'");
    let (code, message) = spark.try_at(30_000, "SELECT submit_vote(test.u(1), test.m(), 'yes')").unwrap_err();
    assert_eq!(code, "SP005", "{message}");
}

/// What happens to a match names it in the data, which stays when the match, and with it the column, is gone; and whose doing it was
/// is in the source.
#[test]
fn the_log_names_the_match_and_who_did_it() {
    let spark = Spark::with(4);
    spark.value(0, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 4) n");
    spark.value(0, "SELECT matching_orchestrator()");
    spark.value(
        0,
        "SELECT count(complete_reveal(user_id, match_id)) FROM match_participants WHERE user_id <> test.u(4)",
    );
    spark.value(15_000, "SELECT check_reveal_timeouts()");
    spark.value(
        20_000,
        "SELECT submit_vote(test.u(1), match_id, 'yes') FROM match_participants WHERE user_id = test.u(1)",
    );
    spark.value(30_000, "SELECT check_vote_timeouts()");
    assert_eq!(spark.count("matches"), "0");
    let named = "SELECT string_agg(DISTINCT event_type, ' ') FROM spark_event_log WHERE match_id IS NULL AND event_data ? 'match_id'";
    assert_eq!(
        spark.0.value(named),
        "match_broken reveal_timeout state_transition user_revealed vote_submitted vote_timeout"
    );
    let unnamed = "SELECT count(*) FROM spark_event_log WHERE NOT event_data ? 'match_id'
                      AND (event_type IN ('match_broken', 'reveal_timeout', 'user_revealed', 'vote_submitted', 'vote_timeout')
                           OR event_data ->> 'from_state' IN ('paired', 'vote_active') OR event_data ->> 'to_state' IN ('paired', 'vote_active'))
                      AND event_type <> 'queue_removed'";
    assert_eq!(spark.0.value(unnamed), "0");
    let by = |event: &str| {
        spark.0.value(&format!(
            "SELECT string_agg(DISTINCT source, ' ') FROM spark_event_log WHERE event_type = '{event}' OR event_data -> 'event_data' ->> 'event' = '{event}'"
        ))
    };
    for (event, source) in [
        ("queue_joined", "backend"),
        ("match_found", "scheduler"),
        ("reveal_complete", "backend"),
        ("reveal_timeout", "scheduler"),
        ("vote_submitted", "backend"),
        ("vote_timeout", "scheduler"),
        ("queue_removed", "scheduler"),
    ] {
        assert_eq!(by(event), source, "{event}");
    }
    // Those who are left: 1, who voted, and 3, who revealed.
    spark.value(30_000, "SELECT count(handle_user_offline(user_id)) FROM matching_queue");
    spark.value(40_000, "SELECT cleanup_expired_soft_offline()");
    assert_eq!(
        (by("user_disconnected"), by("grace_period_expired")),
        ("backend".to_owned(), "scheduler".to_owned())
    );
    spark.0.run("UPDATE matching_queue SET status = 'nonsense'; DELETE FROM spark_event_log");
    spark.value(40_000, "SELECT guardian_queue_consistency()");
    assert_eq!((by("guardian_warning"), by("queue_removed")), ("guardian".to_owned(), "guardian".to_owned()));
    spark.value(40_000, "SELECT monitor_queue_size()");
    assert_eq!(by("queue_size_warning"), "scheduler");
    spark.0.run("SET spark.source = 'frontend'; SELECT log_event('clicked'); SET spark.source = 'nonsense'; SELECT log_event('odd')");
    assert_eq!((by("clicked"), by("odd")), ("frontend".to_owned(), "backend".to_owned()));
}
