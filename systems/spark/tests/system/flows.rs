//! Reveals and votes, alone and at once: one outcome each, and boosts of exactly 10.

use crate::support::{Spark, noon};

#[test]
fn a_reveal_counts_once_and_two_open_the_vote() {
    let spark = Spark::with_a_pair();
    let reveal = |user: u32| spark.value(0, &format!("SELECT complete_reveal(test.u({user}), test.m())"));
    for _ in 0..3 {
        assert_eq!(reveal(1), "{\"status\": \"waiting_for_partner\"}");
    }
    assert_eq!(spark.0.value("SELECT jsonb_array_length(metadata -> 'revealed_users') FROM matches"), "1");
    let both = "{\"status\": \"both_revealed\", \"next_state\": \"vote_active\"}";
    for user in [2, 2, 1] {
        assert_eq!(reveal(user), both);
    }
    assert_eq!(spark.states(), "1 vote_active, 2 vote_active");
    assert_eq!(spark.scores(), "1 0.00, 2 0.00");
    assert_eq!(
        spark.0.value(
            "SELECT (metadata ->> 'voting_started_at')::timestamptz = '2026-01-01 12:00Z' FROM matches"
        ),
        "t"
    );
}

#[test]
fn a_pass_sends_both_on_and_gives_ten_to_who_said_yes() {
    for (first, second) in [(("1", "yes"), ("2", "pass")), (("2", "pass"), ("1", "yes"))] {
        let spark = Spark::with_voters();
        let vote =
            |(user, vote)| spark.value(0, &format!("SELECT submit_vote(test.u({user}), test.m(), '{vote}')"));
        if first.1 == "yes" {
            assert_eq!(vote(first), "{\"outcome\": \"waiting\"}");
            assert_eq!(vote(second), "{\"outcome\": \"one_pass\"}");
            assert_eq!(spark.scores(), "1 10.00, 2 0.00");
            assert_eq!(spark.boosts(), "1 10 voted_yes_but_partner_passed");
        } else {
            assert_eq!(vote(first), "{\"outcome\": \"one_pass\"}");
            spark.refused("SELECT submit_vote(test.u(1), gen_random_uuid(), 'yes')", "SP004");
            assert_eq!(spark.boosts(), "");
        }
        assert_eq!(spark.states(), "1 spin_active, 2 spin_active");
        assert_eq!(
            ["matches", "votes", "match_participants", "yes_yes_pairs", "match_history"]
                .map(|table| spark.count(table)),
            ["0", "0", "0", "0", "1"]
        );
    }
}

#[test]
fn two_yes_are_a_date_and_a_ban_for_ever() {
    let spark = Spark::with_voters();
    let vote = |user: u32, vote: &str| {
        spark.value(0, &format!("SELECT submit_vote(test.u({user}), test.m(), '{vote}')"))
    };
    assert_eq!(vote(1, "yes"), "{\"outcome\": \"waiting\"}");
    // Once more, and in place of the first.
    assert_eq!(vote(1, "yes"), "{\"outcome\": \"waiting\"}");
    assert_eq!(spark.count("votes"), "1");
    assert_eq!(vote(2, "yes"), "{\"outcome\": \"both_yes\"}");
    assert_eq!(spark.states(), "1 video_date, 2 video_date");
    assert_eq!(spark.0.value("SELECT string_agg(status, ',') FROM matches"), "matched");
    assert_eq!(
        ["yes_yes_pairs", "match_history", "match_participants"].map(|table| spark.count(table)),
        ["1", "1", "0"]
    );
    spark.value(
        0,
        "SELECT count(state_machine_transition(test.u(n), 'session_ended')) FROM generate_series(1, 2) n",
    );
    // Much later they are both there, and nobody else is.
    spark.value(3_000_000, "SELECT count(queue_join(test.u(n))) FROM generate_series(1, 2) n");
    assert_eq!(spark.value(3_000_000, "SELECT unified_matching_engine(test.u(1))"), "");
    assert_eq!(spark.value(3_000_000, "SELECT create_match_atomic(test.u(2), test.u(1))"), "");
    // Banned in whichever order it is written.
    spark.0.run("UPDATE yes_yes_pairs SET user1_id = user2_id, user2_id = user1_id");
    assert_eq!(spark.value(3_000_000, "SELECT create_match_atomic(test.u(2), test.u(1))"), "");
    let again =
        spark.try_at(0, "INSERT INTO yes_yes_pairs (user1_id, user2_id) VALUES (test.u(1), test.u(2))");
    assert_eq!(again.unwrap_err().0, "23505");
}

/// Both at once, whoever of them is first: the other waits for the row and finds what the first has left.
#[test]
fn votes_at_once_have_one_outcome() {
    for (one, two, states, boosts) in [
        ("yes", "yes", "1 video_date, 2 video_date", ""),
        ("yes", "pass", "1 spin_active, 2 spin_active", "1 10 voted_yes_but_partner_passed"),
        ("pass", "pass", "1 spin_active, 2 spin_active", ""),
    ] {
        let spark = Spark::with_voters();
        let id = spark.0.value("SELECT test.m()");
        let vote = |user: u32, vote: &str| {
            format!("{}SELECT submit_vote(test.u({user}), '{id}', '{vote}')", noon(0))
        };
        std::thread::scope(|scope| {
            let first = spark.0.hold(&vote(1, one));
            let second = spark.0.meanwhile(scope, &vote(2, two));
            spark.0.until_waiting(1);
            first.lets_go();
            let second = second.join().unwrap();
            // After a pass there is nothing to vote on any more.
            assert_eq!(second.is_err(), one == "pass", "{second:?}");
        });
        assert_eq!((spark.states().as_str(), spark.boosts().as_str()), (states, boosts));
        assert_eq!(spark.count("match_history"), "1");
    }
}

#[test]
fn reveals_at_once_open_the_vote_once() {
    let spark = Spark::with_a_pair();
    let id = spark.0.value("SELECT test.m()");
    let reveal = |user: u32| format!("{}SELECT complete_reveal(test.u({user}), '{id}')", noon(0));
    std::thread::scope(|scope| {
        let first = spark.0.hold(&reveal(2));
        let second = spark.0.meanwhile(scope, &reveal(1));
        spark.0.until_waiting(1);
        first.lets_go();
        assert!(second.join().unwrap().unwrap().contains("both_revealed"));
    });
    assert_eq!(spark.states(), "1 vote_active, 2 vote_active");
    let opened = "SELECT count(*) FROM spark_event_log WHERE event_data -> 'event_data' ->> 'event' = 'reveal_complete'";
    assert_eq!(spark.0.value(opened), "2");
}

/// The partner is away for a moment: a pass is settled at once, a yes when they are back.
#[test]
fn a_vote_while_the_partner_is_away() {
    let spark = Spark::with_voters();
    spark.value(0, "SELECT submit_vote(test.u(1), test.m(), 'yes')");
    spark.value(0, "SELECT handle_user_offline(test.u(1))");
    assert_eq!(
        spark.value(1000, "SELECT submit_vote(test.u(2), test.m(), 'yes')"),
        "{\"outcome\": \"waiting\"}"
    );
    spark.value(2000, "SELECT heartbeat_update(test.u(1))");
    assert_eq!(spark.states(), "1 video_date, 2 video_date");

    let spark = Spark::with_voters();
    spark.value(0, "SELECT submit_vote(test.u(1), test.m(), 'yes')");
    spark.value(0, "SELECT handle_user_offline(test.u(1))");
    assert_eq!(
        spark.value(1000, "SELECT submit_vote(test.u(2), test.m(), 'pass')"),
        "{\"outcome\": \"one_pass\"}"
    );
    assert_eq!(spark.states(), "1 soft_offline, 2 spin_active");
    assert_eq!(spark.boosts(), "1 10 voted_yes_but_partner_passed");
    spark.value(2000, "SELECT heartbeat_update(test.u(1))");
    assert_eq!(spark.states(), "1 queue_waiting, 2 spin_active");
}

/// Calls that are refused where 1 and 2 vote on a match, 3 is somebody else and 99 nobody; with their SQLSTATEs.
pub(crate) fn misuse(id: &str) -> Vec<(String, &'static str)> {
    vec![
        (format!("submit_vote(test.u(99), '{id}', 'yes')"), "SP003"),
        (format!("submit_vote(test.u(3), '{id}', 'yes')"), "SP004"),
        ("submit_vote(test.u(1), test.u(1), 'yes')".into(), "SP004"),
        ("submit_vote(test.u(1), NULL, 'yes')".into(), "SP004"),
        (format!("submit_vote(test.u(1), '{id}', 'maybe')"), "SP006"),
        (format!("submit_vote(test.u(1), '{id}', NULL)"), "SP006"),
        (format!("complete_reveal(test.u(99), '{id}')"), "SP003"),
        (format!("complete_reveal(test.u(3), '{id}')"), "SP004"),
        (format!("handle_idle_voter('{id}', test.u(3))"), "SP004"),
        (format!("handle_reveal_timeout('{id}', test.u(1))"), "SP005"),
        ("queue_join(test.u(99))".into(), "SP003"),
        ("queue_join(NULL)".into(), "SP003"),
        ("queue_join(test.u(3), '[]')".into(), "SP007"),
        ("queue_join(test.u(3), '{\"min_age\": \"young\"}')".into(), "SP007"),
        ("queue_join(test.u(3), '{\"min_age\": 40, \"max_age\": 30}')".into(), "SP007"),
        ("queue_join(test.u(3), '{\"height\": 180}')".into(), "SP007"),
        ("queue_remove(test.u(99), 'x')".into(), "SP003"),
        ("heartbeat_update(test.u(99))".into(), "SP003"),
        ("handle_user_offline(test.u(99))".into(), "SP003"),
        ("finalize_user_offline(test.u(99))".into(), "SP003"),
        ("unified_matching_engine(test.u(99))".into(), "SP003"),
        ("calculate_fairness_score(test.u(99))".into(), "SP003"),
        ("apply_fairness_boost(test.u(1), -10, 'x')".into(), "SP007"),
        ("apply_fairness_boost(test.u(99), 10, 'x')".into(), "SP003"),
        ("check_user_timeouts(test.u(99))".into(), "SP003"),
        ("find_candidate(test.u(1), 4)".into(), "SP007"),
        ("log_event('x', NULL, '{}', 'LOUD')".into(), "SP007"),
        ("log_event('x', NULL, '{}', NULL)".into(), "SP007"),
        ("log_event(NULL)".into(), "SP007"),
        ("determine_reconnect_state('{\"user_id\": \"me\"}')".into(), "SP007"),
    ]
}

/// Unknown people, other people's matches, votes that are none, wrong states: each is refused and changes nothing.
#[test]
fn misuse_is_refused_and_changes_nothing() {
    let spark = Spark::with_voters();
    spark.0.run("SELECT test.people(0); INSERT INTO profiles (id, name, age, gender, is_online) VALUES (test.u(3), 'other', 30, 'male', true)");
    let id = spark.0.value("SELECT test.m()");
    for (sql, code) in misuse(&id) {
        spark.refused(&format!("SELECT {sql}"), code);
    }
    // Whatever is told back is not longer than a line or two.
    for (sql, code) in [
        (format!("submit_vote(test.u(1), '{id}', repeat('long', 5000))"), "SP006"),
        ("state_machine_transition(test.u(1), repeat('long', 5000))".to_owned(), "SP002"),
        ("log_event('x', NULL, '{}', repeat('long', 5000))".to_owned(), "SP007"),
        ("determine_reconnect_state(jsonb_build_object('user_id', repeat('long', 5000)))".to_owned(), "SP007"),
        ("queue_join(test.u(3), to_jsonb(repeat('long', 5000)))".to_owned(), "SP007"),
        ("queue_join(test.u(3), jsonb_build_object(repeat('k', 5000), 1, 'min_age', repeat('v', 5000), repeat('x', 9), 1, repeat('y', 90), 1))".to_owned(), "SP007"),
    ] {
        let message = spark.refused(&format!("SELECT {sql}"), code);
        assert!(message.chars().count() < 300, "{message}");
    }
    spark.value(0, &format!("SELECT submit_vote(test.u(1), '{id}', 'yes')"));
    spark.refused(&format!("SELECT handle_idle_voter('{id}', test.u(1))"), "SP005");
    let spark = Spark::with_a_pair();
    spark.refused("SELECT submit_vote(test.u(1), test.m(), 'yes')", "SP005");
}
