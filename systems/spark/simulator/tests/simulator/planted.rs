//! A check that cannot fail is none: for each invariant somebody breaks it, and exactly that one is counted.

use cutover_postgres::session::{Session, Startup};
use spark_simulator::checker::by_sql;
use spark_simulator::invariants::{Found, INVARIANTS, Moment, Source};
use spark_simulator::record::STATEMENTS;
use testkit::Database;

use crate::support::{applied_with, blocking};

/// People, odd ones men and even ones women, wherever somebody can be: 1 and 2 are paired and 1 has revealed, 3 and 4 vote and 3 has
/// said yes, 5 and 6 are on a date, 7 said yes and 8 passed (so that 7 has a boost, and waits; 8 has left), 9 waits with
/// expanded preferences, 10 is away for a moment, 11 for long, 12 has left, 13 spins, 14 has never come, 15 has left after the account
/// of 16, with whom they were paired, was gone, and the guardian had taken its entry away.
const HEALTHY: &str = "
    CREATE SCHEMA test;
    CREATE FUNCTION test.u(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
        SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
    CREATE FUNCTION test.m(n int) RETURNS uuid LANGUAGE sql AS $$
        SELECT id FROM public.matches WHERE test.u(n) IN (user1_id, user2_id) $$;
    CREATE FUNCTION test.wait(n int) RETURNS void LANGUAGE sql AS $$ SELECT public.queue_join(test.u(n), '{\"max_age\": 40}') $$;
    CREATE FUNCTION test.pair(n int) RETURNS uuid LANGUAGE sql AS $$
        SELECT test.wait(n); SELECT test.wait(n + 1); SELECT public.unified_matching_engine(test.u(n)) $$;
    CREATE FUNCTION test.reveal(n int) RETURNS void LANGUAGE sql AS $$ SELECT public.complete_reveal(test.u(n), test.m(n)) $$;
    CREATE FUNCTION test.vote(n int, vote text) RETURNS void LANGUAGE sql AS $$ SELECT public.submit_vote(test.u(n), test.m(n), vote) $$;
    -- A step that is lawful, or not, written to the log.
    CREATE FUNCTION test.step(n int, event text, was text, is_now text, match uuid DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
        SELECT public.log_event('state_transition', test.u(n), jsonb_build_object('from_state', was, 'to_state', is_now,
            'event_data', jsonb_build_object('event', event, 'match_id', match))) $$;
    INSERT INTO public.profiles (id, name, age, gender, is_online)
    SELECT test.u(i), 'person ' || i, 25, CASE i % 2 WHEN 1 THEN 'male' ELSE 'female' END, true FROM generate_series(1, 16) i;
    SET spark.now = '2026-01-01 12:00:00+00';
    SELECT test.pair(15); DELETE FROM public.profiles WHERE id = test.u(16);
    SELECT public.guardian_queue_consistency(); SELECT public.queue_remove(test.u(15), 'left');
    SELECT test.pair(7); SELECT test.reveal(7); SELECT test.reveal(8); SELECT test.vote(7, 'yes'); SELECT test.vote(8, 'pass');
    SELECT public.queue_remove(test.u(8), 'left'), public.handle_user_offline(test.u(7));
    SELECT test.pair(5); SELECT test.reveal(5); SELECT test.reveal(6); SELECT test.vote(5, 'yes'); SELECT test.vote(6, 'yes');
    SELECT test.wait(12); SELECT public.queue_remove(test.u(12), 'left');
    SELECT test.wait(11); SELECT public.handle_user_offline(test.u(11));
    SET spark.now = '2026-01-01 12:00:09+00';
    SELECT public.heartbeat_update(test.u(7));
    SET spark.now = '2026-01-01 12:00:10+00';
    SELECT public.finalize_user_offline(test.u(11)), test.wait(9);
    SET spark.now = '2026-01-01 12:00:20+00';
    SELECT test.pair(3); SELECT test.reveal(3); SELECT test.reveal(4); SELECT test.vote(3, 'yes');
    SET spark.now = '2026-01-01 12:00:30+00';
    SELECT test.pair(1); SELECT test.reveal(1);
    SET spark.now = '2026-01-01 12:00:35+00';
    SELECT test.wait(10); SELECT public.handle_user_offline(test.u(10));
    SET spark.now = '2026-01-01 12:00:40+00';
    SELECT public.apply_preference_expansion(test.u(9)), public.state_machine_transition(test.u(13), 'spin_start');
    SELECT public.collect_queue_metrics();
    SET spark.now = ''";

/// What every plant may have to get past.
const WITHOUT_GUARDS: &str = "SET session_replication_role = replica; ";

/// For plants that need what keys do, at the moment that is looked at: 9 and 14, who would not have each other, are matched by whom
/// nobody else is there for.
const THIRD_TIER: &str = "SET session_replication_role = origin; SET spark.now = '2026-01-01 12:00:40+00';
    UPDATE profiles SET age = 70 WHERE id = test.u(14); SELECT test.wait(14); SELECT public.unified_matching_engine(test.u(9));";

/// As above: they have met ten minutes ago.
const MET_BEFORE: &str = "SET session_replication_role = origin; SET spark.now = '2026-01-01 12:00:40+00';
    INSERT INTO match_history (user1_id, user2_id, match_id, created_at) VALUES (test.u(9), test.u(14), test.u(99), '2026-01-01 11:50:40+00');
    SELECT test.wait(14); SELECT public.unified_matching_engine(test.u(9));";

/// As above: 2 is away for a moment when 1 leaves.
const LEFT_WHILE_AWAY: &str =
    "SET session_replication_role = origin; SET spark.now = '2026-01-01 12:00:40+00';
    SELECT public.handle_user_offline(test.u(2)); SELECT public.queue_remove(test.u(1), 'left');";

/// As above: the account of 1 is gone, and the guardian has seen that, but not that 2 is left behind.
const LEFT_BEHIND: &str = "SET session_replication_role = origin; SET spark.now = '2026-01-01 12:00:40+00';
    DELETE FROM profiles WHERE id = test.u(1); SELECT public.queue_remove(test.u(1), 'guardian: no_profile');";

/// For each invariant that the database is asked about, what breaks it.
const PLANTS: &[(&str, &str)] = &[
    ("left-behind-spin-on", "{left behind}"),
    (
        "gone-leave-the-queue",
        "SET session_replication_role = origin; DELETE FROM profiles WHERE id = test.u(9)",
    ),
    ("history-is-kept", "DELETE FROM match_history WHERE user1_id = test.u(5)"),
    ("history-is-kept", "DELETE FROM match_history WHERE user1_id = test.u(7)"),
    ("history-is-kept", "{left while away} DELETE FROM match_history WHERE user1_id = test.u(1)"),
    (
        "history-is-kept",
        "INSERT INTO match_history (user1_id, user2_id, match_id, created_at)
         SELECT user2_id, user1_id, match_id, created_at FROM match_history WHERE user1_id = test.u(7)",
    ),
    (
        "tiers-fit",
        "{third tier} UPDATE spark_event_log SET event_data = jsonb_set(event_data, '{event_data,tier}', '2')
         WHERE event_data -> 'event_data' ->> 'tier' = '3'",
    ),
    (
        "tiers-fit",
        "{met before} UPDATE spark_event_log SET event_data = jsonb_set(event_data, '{event_data,tier}', '1')
         WHERE event_data -> 'event_data' ->> 'tier' = '2'",
    ),
    (
        "boosts-are-given",
        "DELETE FROM spark_event_log WHERE event_type = 'fairness_boost_applied' AND user_id = test.u(7);
         UPDATE matching_queue SET fairness_boost = 0, fairness_score = fairness_score - 10 WHERE user_id = test.u(7)",
    ),
    (
        "boosts-are-given",
        "{left while away} DELETE FROM spark_event_log WHERE event_type = 'fairness_boost_applied' AND user_id = test.u(2);
         UPDATE matching_queue SET fairness_boost = 0, fairness_score = fairness_score - 10 WHERE user_id = test.u(2)",
    ),
    ("scores-follow", "UPDATE matching_queue SET fairness_score = fairness_score + 50 WHERE user_id = test.u(9)"),
    ("scores-follow", "UPDATE matching_queue SET skip_count = skip_count + 3 WHERE user_id = test.u(9)"),
    ("skips-are-counted", "SELECT public.log_event('no_online_candidates', test.u(9))"),
    (
        "waits-begin-with-the-spin",
        "UPDATE matching_queue SET joined_at = joined_at - interval '1 second' WHERE user_id = test.u(9)",
    ),
    (
        "waits-begin-with-the-spin",
        "UPDATE matching_queue SET joined_at = '2026-01-01 12:00:00+00' WHERE user_id = test.u(7);
         SET spark.now = '2026-01-01 12:00:40+00';
         SELECT test.step(7, 'match_found', 'queue_waiting', 'paired'), test.step(7, 'partner_disconnected', 'paired', 'spin_active'),
                test.step(7, 'queue_joined', 'spin_active', 'queue_waiting')",
    ),
    (
        "one-pending-match",
        "INSERT INTO matches (id, user1_id, user2_id, matched_at) VALUES (test.u(99), test.u(1), test.u(14), '2026-01-01 12:00:30+00');
         INSERT INTO match_participants VALUES (test.u(14), test.u(99));
         INSERT INTO matching_queue (user_id, status) VALUES (test.u(14), 'paired');
         SELECT test.step(14, 'spin_start', 'idle', 'spin_active'), test.step(14, 'match_found', 'spin_active', 'paired')",
    ),
    (
        "one-queue-entry",
        "ALTER TABLE matching_queue DROP CONSTRAINT matching_queue_user_id_key;
         INSERT INTO matching_queue (user_id, status, joined_at) VALUES (test.u(13), 'spin_active', '2026-01-01 12:00:40+00')",
    ),
    ("participants-are-kept", "DELETE FROM match_participants WHERE user_id = test.u(1)"),
    ("participants-have-a-match", "INSERT INTO match_participants VALUES (test.u(9), test.m(1))"),
    (
        "matched-are-in-a-match-state",
        "UPDATE matching_queue SET status = 'disconnected', disconnected_at = '2026-01-01 12:00:40+00' WHERE user_id = test.u(2);
         SELECT test.step(2, 'user_disconnected', 'paired', 'soft_offline'), test.step(2, 'grace_period_expired', 'soft_offline', 'disconnected')",
    ),
    (
        "match-states-have-a-match",
        "UPDATE matching_queue SET status = 'paired' WHERE user_id = test.u(9);
         SELECT public.reset_preference_expansion(test.u(9));
         SELECT test.step(9, 'match_found', 'queue_waiting', 'paired')",
    ),
    ("never-blocked", "INSERT INTO blocked_users VALUES (test.u(2), test.u(1), '2025-12-31')"),
    (
        "never-banned",
        "INSERT INTO matches (id, user1_id, user2_id, status, matched_at) VALUES (test.u(99), test.u(3), test.u(4), 'matched', '2025-01-01');
         INSERT INTO yes_yes_pairs (user1_id, user2_id, match_id, created_at) VALUES (test.u(4), test.u(3), test.u(99), '2025-01-01');
         INSERT INTO match_history (user1_id, user2_id, match_id, created_at) VALUES (test.u(4), test.u(3), test.u(99), '2025-01-01')",
    ),
    (
        "never-cooling",
        "INSERT INTO match_history (user1_id, user2_id, match_id, created_at) VALUES (test.u(4), test.u(3), test.u(99), '2026-01-01 11:55:20.001+00')",
    ),
    ("a-man-and-a-woman", "UPDATE profiles SET gender = NULL WHERE id = test.u(7)"),
    (
        "users-in-order",
        "ALTER TABLE matches DROP CONSTRAINT matches_users_in_order;
         UPDATE matches SET user1_id = user2_id, user2_id = user1_id WHERE id = test.m(1)",
    ),
    (
        "steps-are-lawful",
        "UPDATE matching_queue SET status = 'ended' WHERE user_id = test.u(9); SELECT public.reset_preference_expansion(test.u(9));
         SELECT test.step(9, 'session_ended', 'queue_waiting', 'ended')",
    ),
    ("steps-are-a-chain", "SELECT test.step(9, 'reveal_complete', 'paired', 'vote_active')"),
    (
        "steps-are-a-chain",
        "SELECT test.step(9, 'reveal_complete', 'paired', 'vote_active'), test.step(9, 'user_disconnected', 'vote_active', 'soft_offline'),
                test.step(9, 'user_reconnected', 'soft_offline', 'paired')",
    ),
    ("nobody-is-lost", "UPDATE user_preferences SET expanded = false; DELETE FROM matching_queue WHERE user_id = test.u(9)"),
    ("nobody-is-lost", "INSERT INTO matching_queue (user_id, status) VALUES (test.u(14), 'queue_waiting')"),
    (
        "boosts-are-ten",
        "SELECT public.log_event('fairness_boost_applied', test.u(8), '{\"boost_amount\": 20}')",
    ),
    ("boosts-add-up", "UPDATE matching_queue SET fairness_boost = 10 WHERE user_id = test.u(9)"),
    (
        "boosts-add-up",
        "SELECT public.log_event('fairness_boost_applied', test.u(9), '{\"boost_amount\": 10}')",
    ),
    ("voters-begin-at-zero", "UPDATE matching_queue SET fairness_score = 1 WHERE user_id = test.u(3)"),
    ("yes-yes-once", "DELETE FROM yes_yes_pairs"),
    (
        "yes-yes-once",
        "INSERT INTO yes_yes_pairs (user1_id, user2_id, match_id) VALUES (test.u(9), test.u(10), test.u(99))",
    ),
    (
        "one-outcome",
        "SELECT public.log_event('match_broken', test.u(5), jsonb_build_object('match_id', test.m(5), 'event', 'partner_disconnected'))",
    ),
    (
        "one-outcome",
        "SELECT public.log_event(t, test.u(1), jsonb_build_object('match_id', test.m(1))) FROM unnest(ARRAY['reveal_timeout', 'vote_timeout']) t",
    ),
    ("votes-are-of-participants", "INSERT INTO votes VALUES (test.m(1), test.u(9), 'yes')"),
    (
        "votes-are-of-participants",
        "SELECT public.log_event('vote_submitted', test.u(9), jsonb_build_object('match_id', test.m(1)))",
    ),
    ("votes-are-settled", "INSERT INTO votes VALUES (test.m(3), test.u(4), 'yes')"),
    ("votes-are-settled", "UPDATE votes SET vote_type = 'pass' WHERE match_id = test.m(3)"),
    (
        "reveals-are-of-participants",
        "UPDATE matches SET metadata = metadata || jsonb_build_object('revealed_users', ARRAY[test.u(1), test.u(9)]) WHERE id = test.m(1)",
    ),
    (
        "reveals-are-of-participants",
        "UPDATE matches SET metadata = metadata || jsonb_build_object('revealed_users', ARRAY[test.u(1), test.u(1)]) WHERE id = test.m(1)",
    ),
    ("spins-end", "UPDATE matching_queue SET last_spun_at = '2026-01-01 11:59:40+00' WHERE user_id = test.u(13)"),
    ("reveals-end", "UPDATE matches SET matched_at = '2026-01-01 12:00:25+00' WHERE id = test.m(1)"),
    (
        "votes-end",
        "UPDATE matches SET metadata = metadata || '{\"voting_started_at\": \"2026-01-01 12:00:10+00\"}' WHERE id = test.m(3)",
    ),
    ("graces-end", "UPDATE matching_queue SET disconnected_at = '2026-01-01 12:00:30+00' WHERE user_id = test.u(10)"),
    ("absences-end", "UPDATE matching_queue SET disconnected_at = '2026-01-01 11:55:40+00' WHERE user_id = test.u(11)"),
    ("expansions-are-of-who-waits", "UPDATE user_preferences SET expanded = true WHERE user_id = test.u(3)"),
    ("expansions-are-of-who-waits", "UPDATE matching_queue SET expansion_level = 3 WHERE user_id = test.u(9)"),
    ("expansions-end", "UPDATE user_preferences SET expanded_until = '2026-01-01 12:00:40+00' WHERE expanded"),
    ("metrics-add-up", "UPDATE queue_metrics SET paired_count = paired_count + 1, total_users = total_users + 1"),
    ("metrics-add-up", "UPDATE queue_metrics SET supply_demand_ratio = 3"),
    (
        "guardian-removes-nothing-healthy",
        "SELECT public.queue_remove(test.u(9), 'guardian: offline')",
    ),
    (
        "guardian-removes-nothing-healthy",
        "SET spark.now = '2026-01-01 12:00:59.999+00'; SELECT public.queue_remove(test.u(10), 'guardian: away_too_long')",
    ),
    ("no-logged-errors", "SELECT public.log_event('matching_failed', test.u(9), '{}', 'ERROR')"),
];

/// What is in order just yet, and violates nothing.
const LAWFUL: &[&str] = &[
    "{third tier}",
    "{met before}",
    "{left while away}",
    "{left behind} SELECT public.guardian_queue_consistency()",
    // What somebody wants, and is, after the match.
    "UPDATE user_preferences SET max_age = 20 WHERE user_id = test.u(1); UPDATE profiles SET age = 70 WHERE id = test.u(3)",
    // Accounts that are gone with everything about them: of a date, of a boost, of a vote, of who left.
    "SET session_replication_role = origin; SET spark.now = '2026-01-01 12:00:40+00';
     DELETE FROM profiles WHERE id IN (test.u(5), test.u(7), test.u(4), test.u(8), test.u(12)); SELECT public.guardian_queue_consistency()",
    "SELECT public.log_event('no_online_candidates', test.u(9)); UPDATE matching_queue SET skip_count = 1, fairness_score = fairness_score + 50
      WHERE user_id = test.u(9)",
    "INSERT INTO match_history (user1_id, user2_id, match_id, created_at) VALUES (test.u(4), test.u(3), test.u(99), '2026-01-01 11:55:20+00')",
    "SET spark.now = '2026-01-01 12:01:00+00'; SELECT public.queue_remove(test.u(10), 'guardian: away_too_long')",
    "UPDATE matches SET matched_at = '2026-01-01 12:00:25.001+00' WHERE id = test.m(1)",
    "UPDATE matching_queue SET last_spun_at = '2026-01-01 11:59:40.001+00' WHERE user_id = test.u(13)",
    "UPDATE matching_queue SET disconnected_at = '2026-01-01 12:00:30.001+00' WHERE user_id = test.u(10)",
    "INSERT INTO blocked_users VALUES (test.u(2), test.u(1), '2026-01-01 12:00:30.001+00')",
    "SELECT public.log_event('guaranteed_match_failed', test.u(9), '{}', 'ERROR')",
    "UPDATE matching_queue SET status = 'soft_offline', disconnected_at = '2026-01-01 12:00:40+00' WHERE user_id = test.u(4);
     INSERT INTO votes VALUES (test.m(3), test.u(4), 'yes'); SELECT test.step(4, 'user_disconnected', 'vote_active', 'soft_offline')",
];

/// The statements of a plant.
fn plant(sql: &str) -> String {
    let names = [
        ("{third tier}", THIRD_TIER),
        ("{met before}", MET_BEFORE),
        ("{left while away}", LEFT_WHILE_AWAY),
        ("{left behind}", LEFT_BEHIND),
    ];
    let sql = names.iter().fold(sql.to_owned(), |sql, (name, text)| sql.replace(name, text));
    format!("{WITHOUT_GUARDS}{sql}")
}

/// What is seen of invariants: the names of those that are violated, and of those for which there was nothing to look at.
fn look(database: &Database) -> (Vec<&'static str>, Vec<&'static str>) {
    // At this moment everything that is healthy is so just yet.
    let moment = Moment {
        now: "'2026-01-01 12:00:40+00'::timestamptz".to_owned(),
        blur: "interval '1 second'".to_owned(),
    };
    let snapshot = blocking(async {
        let mut session = Session::connect(&database.options(), &Startup::default()).await.unwrap();
        let snapshot = by_sql(&mut session, &moment, true).await.unwrap();
        session.close().await;
        snapshot
    });
    let names = |is_meant: &dyn Fn(&Found) -> bool| {
        let meant = snapshot.answers.iter().filter(|(_, found)| is_meant(found));
        meant.map(|(n, _)| INVARIANTS[*n].name).collect()
    };
    (names(&|found| !found.wrong.is_empty()), names(&|found| found.looked == 0))
}

fn healthy() -> Database {
    applied_with(&format!("{STATEMENTS}{HEALTHY}"))
}

#[test]
fn what_is_healthy_violates_nothing_and_there_is_something_to_look_at_for_each() {
    let database = healthy();
    let states = "SELECT string_agg(ltrim(right(user_id::text, 2), '0') || ' ' || status, ', ' ORDER BY user_id) FROM matching_queue";
    assert_eq!(
        database.value(states),
        "1 paired, 2 paired, 3 vote_active, 4 vote_active, 5 video_date, 6 video_date, 7 queue_waiting, 9 queue_waiting, \
         10 soft_offline, 11 disconnected, 13 spin_active"
    );
    assert_eq!(look(&database), (vec![], vec![]));
    for sql in LAWFUL {
        let database = healthy();
        database.run(&plant(sql));
        assert_eq!(look(&database).0, Vec::<&str>::new(), "{sql}");
    }
}

#[test]
fn each_invariant_is_seen_to_be_violated_and_no_other_is() {
    let asked = INVARIANTS
        .iter()
        .filter(|invariant| matches!(invariant.source, Source::Sql { .. } | Source::Late { .. }));
    for invariant in asked {
        assert!(PLANTS.iter().any(|(name, _)| *name == invariant.name), "nothing breaks {}", invariant.name);
    }
    let mut mistaken = Vec::new();
    for (name, sql) in PLANTS {
        let database = healthy();
        database.run(&plant(sql));
        let (violated, _) = look(&database);
        if violated != [*name] {
            mistaken.push(format!("{name}: {violated:?}: {sql}"));
        }
    }
    assert!(mistaken.is_empty(), "{}", mistaken.join("\n"));
}
