//! Every state and every event: what the table of the specification allows succeeds, and nothing else does.

use crate::support::Spark;

const STATES: [&str; 10] = [
    "none",
    "idle",
    "spin_active",
    "queue_waiting",
    "paired",
    "vote_active",
    "video_date",
    "ended",
    "soft_offline",
    "disconnected",
];

/// The table, written down once more: event, from, to. Who reconnects here has no match.
const TABLE: [(&str, &[&str], &str); 15] = [
    (
        "spin_start",
        &["none", "idle", "ended", "disconnected", "soft_offline", "queue_waiting", "paired", "vote_active"],
        "spin_active",
    ),
    ("queue_joined", &["spin_active"], "queue_waiting"),
    ("match_found", &["queue_waiting", "spin_active"], "paired"),
    ("reveal_complete", &["paired"], "vote_active"),
    ("both_voted_yes", &["vote_active"], "video_date"),
    ("one_voted_pass", &["vote_active"], "spin_active"),
    ("partner_idle", &["vote_active"], "spin_active"),
    ("session_ended", &["video_date"], "ended"),
    ("user_disconnected", &STATES, "soft_offline"),
    ("user_reconnected", &["soft_offline", "disconnected"], "queue_waiting"),
    ("grace_period_expired", &["soft_offline"], "disconnected"),
    ("spin_timeout", &["spin_active"], "queue_waiting"),
    ("reveal_timeout", &["paired"], "spin_active"),
    ("partner_reveal_timeout", &["paired"], "spin_active"),
    ("partner_disconnected", &["paired", "vote_active"], "spin_active"),
];

#[test]
fn only_the_table_succeeds_and_a_refusal_changes_nothing() {
    let spark = Spark::with(1);
    for state in STATES {
        for (event, possible, to) in TABLE {
            spark.0.run("TRUNCATE matching_queue, spark_event_log");
            if state != "none" {
                spark.0.run(&format!(
                    "INSERT INTO matching_queue (user_id, status) VALUES (test.u(1), '{state}')"
                ));
            }
            let call = format!("SELECT state_machine_transition(test.u(1), '{event}')");
            let from = if state == "none" { "idle" } else { state };
            if possible.contains(&state) {
                let answer = spark.value(
                    0,
                    &format!("SELECT concat_ws(' ', t ->> 'user_id' = test.u(1)::text, t ->> 'from_state', t ->> 'to_state', (t ->> 'timestamp')::timestamptz = spark_now()) FROM state_machine_transition(test.u(1), '{event}') t"),
                );
                assert_eq!(answer, format!("t {from} {to} t"), "{state} {event}");
                assert_eq!(spark.states(), format!("1 {to}"));
                let logged = spark.0.value("SELECT string_agg(concat_ws(' ', event_data ->> 'from_state', event_data ->> 'to_state', event_data -> 'event_data' ->> 'event'), ',') FROM spark_event_log WHERE event_type = 'state_transition'");
                assert_eq!(logged, format!("{from} {to} {event}"));
            } else {
                let message = spark.refused(&call, "SP001");
                assert_eq!(message, format!("event {event} is not possible in state {from}"));
            }
        }
    }
    let message = spark.refused("SELECT state_machine_transition(test.u(1), 'nonsense')", "SP002");
    assert_eq!(message, "unknown event 'nonsense'");
    spark.refused("SELECT state_machine_transition(test.u(1), NULL)", "SP002");
    spark.refused("SELECT state_machine_transition(test.u(77), 'spin_start')", "SP003");
}

/// Only one function writes a state: no other body sets the column.
#[test]
fn nothing_else_writes_a_state() {
    let spark = Spark::with(0);
    let writers = "SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc
                    WHERE pronamespace = 'public'::regnamespace
                      AND (prosrc ~* 'UPDATE\\s+(public\\.)?matching_queue[^;]*\\mSET[^;]*\\mstatus\\s*=\\s*v'
                        OR prosrc ~* 'INSERT\\s+INTO\\s+(public\\.)?matching_queue')";
    assert_eq!(spark.0.value(writers), "state_machine_transition");
}

#[test]
fn who_spins_again_breaks_the_match_and_the_partner_spins_on_with_ten() {
    for reveal in [false, true] {
        let spark = if reveal { Spark::with_voters() } else { Spark::with_a_pair() };
        let before = spark.0.value("SELECT fairness_score FROM matching_queue WHERE user_id = test.u(2)");
        spark.value(1000, "SELECT state_machine_transition(test.u(1), 'spin_start')");
        assert_eq!(spark.states(), "1 spin_active, 2 spin_active");
        assert_eq!(spark.count("matches"), "0");
        assert_eq!(spark.boosts(), "2 10 partner_left");
        let after = format!("SELECT fairness_score - {before} FROM matching_queue WHERE user_id = test.u(2)");
        assert_eq!(spark.0.value(&after), "10.00");
    }
}

#[test]
fn reconnecting_leads_to_where_the_match_stands() {
    let soft = "SELECT handle_user_offline(test.u(1))";
    let back = "SELECT heartbeat_update(test.u(1))";
    // Nothing revealed, or only the partner: paired. Both: the vote.
    for (reveals, to) in
        [(vec![], "paired"), (vec![2], "paired"), (vec![1], "paired"), (vec![1, 2], "vote_active")]
    {
        let spark = Spark::with_a_pair();
        for user in reveals {
            spark.value(0, &format!("SELECT complete_reveal(test.u({user}), test.m())"));
        }
        spark.value(0, soft);
        assert!(spark.states().starts_with("1 soft_offline"));
        spark.value(1000, back);
        assert!(spark.states().starts_with(&format!("1 {to}")), "{}", spark.states());
    }
    // The partner's reveal comes while they are away.
    let spark = Spark::with_a_pair();
    spark.value(0, "SELECT complete_reveal(test.u(1), test.m())");
    spark.value(0, soft);
    assert!(spark.value(0, "SELECT complete_reveal(test.u(2), test.m())").contains("both_revealed"));
    assert_eq!(spark.states(), "1 soft_offline, 2 vote_active");
    spark.value(1000, back);
    assert_eq!(spark.states(), "1 vote_active, 2 vote_active");
    // An own vote, whatever else is written.
    let spark = Spark::with_voters();
    spark.value(0, "SELECT submit_vote(test.u(1), test.m(), 'yes')");
    spark.0.run("UPDATE matches SET metadata = '{}'");
    spark.value(0, soft);
    spark.value(1000, back);
    assert_eq!(spark.states(), "1 vote_active, 2 vote_active");
    // A partner's pass that is written and not settled.
    let spark = Spark::with_voters();
    spark.value(0, "SELECT submit_vote(test.u(1), test.m(), 'yes')");
    spark.value(0, soft);
    spark.0.run("INSERT INTO votes (match_id, user_id, vote_type) VALUES (test.m(), test.u(2), 'pass')");
    spark.value(1000, back);
    assert_eq!(spark.states(), "1 spin_active, 2 spin_active");
    assert_eq!(spark.boosts(), "1 10 voted_yes_but_partner_passed");
    assert_eq!((spark.count("matches"), spark.count("match_history")), ("0".into(), "1".into()));
}
