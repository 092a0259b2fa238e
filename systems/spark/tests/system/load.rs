//! Many people and 8 connections: all pairs that are possible, and none that is not; and what a tick costs.

use std::sync::atomic::{AtomicU32, Ordering};

use cutover_postgres::session::{Session, Startup};

use crate::support::Spark;

const CROWDS: &str = include_str!("../crowd.sql");

fn crowd(men: u32, women: u32) -> Spark {
    let spark = Spark::with(0);
    spark.0.run(CROWDS);
    spark.0.run(&format!("SELECT crowd.joins({men}, {women})"));
    spark
}

const PAIRED: &str = "SELECT count(*) FROM matches WHERE status = 'pending'";

/// Eight connections tick until nothing changes any more: how many ticks have matched somebody.
fn drained(spark: &Spark) -> u32 {
    let matched = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut idle = 0;
                while idle < 2 {
                    let tick = spark.0.value("SELECT matching_orchestrator()");
                    assert!(tick.contains("\"locked\"") || tick.contains("\"success\""), "{tick}");
                    if tick.contains("\"matched\": 0") {
                        idle += 1;
                    } else if tick.contains("success") {
                        matched.fetch_add(1, Ordering::Relaxed);
                        idle = 0;
                    }
                }
            });
        }
    });
    assert_eq!(
        spark.0.value("SELECT count(*) FROM spark_event_log WHERE severity IN ('ERROR', 'CRITICAL')"),
        "0"
    );
    assert_eq!(spark.0.value(WRONG_PAIRS), "0");
    matched.into_inner()
}

/// Pairs that must not be: not a man and a woman, twice in a match, or with a state that says otherwise.
const WRONG_PAIRS: &str = "
    SELECT (SELECT count(*) FROM matches m JOIN profiles a ON a.id = m.user1_id JOIN profiles b ON b.id = m.user2_id
             WHERE NOT (a.gender, b.gender) IN (('male', 'female'), ('female', 'male')))
         + (SELECT count(*) FROM (SELECT u FROM matches, unnest(ARRAY[user1_id, user2_id]) u WHERE status = 'pending'
                                   GROUP BY u HAVING count(*) > 1) twice)
         + (SELECT count(*) FROM matching_queue q
             WHERE (q.status = 'paired') <> EXISTS (SELECT FROM match_participants p WHERE p.user_id = q.user_id))";

#[test]
fn everybody_who_can_be_paired_is() {
    for (men, women, pairs) in [(250, 250, "250"), (200, 50, "50"), (250, 249, "249"), (60, 0, "0")] {
        let spark = crowd(men, women);
        let ticks = drained(&spark);
        assert_eq!(spark.0.value(PAIRED), pairs, "{men} {women}");
        // How long that takes is the machine's; a tick looks for twenty, or finds nobody any more.
        assert!(ticks <= men.min(women) / 5 + 5, "{men} {women}: {ticks} ticks");
    }
}

/// The least that a tick costs, of three.
#[derive(Debug)]
struct Cost {
    /// Rows of tables that were read, some of them again and again.
    rows: f64,
    /// Seconds that the server computed, as it says itself: how long it waited for its turn is the machine's.
    seconds: f64,
}

/// With so many who wait and so many miles that they would go.
async fn tick(people: u32, miles: u32) -> Cost {
    let spark = Spark::with(0);
    spark.0.run(CROWDS);
    spark.0.run(&format!("SELECT crowd.waits({people}, {miles})"));
    spark.0.run("VACUUM ANALYZE");
    let mut session = Session::connect(&spark.0.options(), &Startup::default()).await.unwrap();
    let mut least = Cost { rows: f64::INFINITY, seconds: f64::INFINITY };
    for _ in 0..3 {
        let measuring = "BEGIN; SET LOCAL client_min_messages = log; SET LOCAL log_statement_stats = on";
        session.execute(measuring).await.unwrap();
        let ticked = session.pipeline(&["SELECT matching_orchestrator()"]).await.remove(0);
        assert!(ticked.result.unwrap().scalar().unwrap().contains("success"));
        let usage = ticked.notices.iter().find_map(|notice| notice.detail.clone()).unwrap();
        session.execute("SET LOCAL log_statement_stats = off").await.unwrap();
        let read = "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables";
        let rows: f64 = session.query_text(read).await.unwrap().scalar().unwrap().parse().unwrap();
        session.execute("COMMIT").await.unwrap();
        least = Cost { rows: least.rows.min(rows), seconds: least.seconds.min(computed(&usage)) };
    }
    session.close().await;
    least
}

/// `! system usage stats:\n!\t0.077 s user, 0.007 s system, 0.098 s elapsed\n…`
fn computed(usage: &str) -> f64 {
    let line = usage.lines().nth(1).unwrap().trim_start_matches("!\t");
    line.split(", ").take(2).map(|part| part.split(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// For each of the 60 whom a tick looks for, it reads less than all.
#[tokio::test]
async fn a_tick_over_five_thousand_does_not_read_all_for_each() {
    let cost = tick(5000, 60).await;
    assert!(cost.rows < 5000.0 * 60.0, "{cost:?}");
}

/// From 500 to 50,000 is a hundred times as many, and n log n 174 times as much. Nobody fits anybody's wishes: everybody is looked
/// at for each who is looked for.
#[tokio::test]
async fn a_tick_grows_no_worse_than_n_log_n() {
    let (few, many) = (tick(500, 0).await, tick(50_000, 0).await);
    assert!(many.rows / few.rows < 174.0, "{few:?}, {many:?}");
    assert!(many.seconds / few.seconds < 174.0, "{few:?}, {many:?}");
}

/// People who reveal, vote, leave, go and come back at random from 8 connections, while ticks and timeouts run.
#[test]
fn at_random_nothing_happens_that_must_not() {
    let spark = crowd(40, 40);
    spark.0.run(
        "CREATE TABLE test.wrong (what text);
         INSERT INTO blocked_users SELECT a.id, b.id FROM profiles a, profiles b
          WHERE a.gender = 'male' AND b.gender = 'female' AND random() < 0.3;
         -- The independent eye: whatever is matched is held against what must keep two apart.
         CREATE FUNCTION test.look() RETURNS trigger LANGUAGE plpgsql SET search_path = public, test AS $$ BEGIN
             IF EXISTS (SELECT FROM blocked_users WHERE NEW.user1_id IN (blocker_id, blocked_user_id) AND NEW.user2_id IN (blocker_id, blocked_user_id))
                 THEN INSERT INTO test.wrong VALUES ('blocked'); END IF;
             IF EXISTS (SELECT FROM yes_yes_pairs WHERE NEW.user1_id IN (user1_id, user2_id) AND NEW.user2_id IN (user1_id, user2_id))
                 THEN INSERT INTO test.wrong VALUES ('banned'); END IF;
             IF EXISTS (SELECT FROM match_history WHERE NEW.user1_id IN (user1_id, user2_id) AND NEW.user2_id IN (user1_id, user2_id)
                           AND created_at > NEW.matched_at - interval '5 minutes')
                 THEN INSERT INTO test.wrong VALUES ('cooling'); END IF;
             RETURN NULL; END $$;
         CREATE TRIGGER look AFTER INSERT ON matches FOR EACH ROW EXECUTE FUNCTION test.look();
         -- One step of somebody: what they can do where they are. What is refused is refused because somebody else was quicker.
         CREATE FUNCTION test.step(p_user uuid) RETURNS text LANGUAGE plpgsql AS $$
         DECLARE v_state text := (SELECT status FROM matching_queue WHERE user_id = p_user);
                 v_match uuid := (SELECT match_id FROM match_participants WHERE user_id = p_user);
                 v_dice float := random();
         BEGIN
             IF v_state IS NULL OR v_state = 'ended' THEN PERFORM queue_join(p_user);
             ELSIF v_dice < 0.05 THEN PERFORM queue_remove(p_user, 'random');
             ELSIF v_dice < 0.15 THEN PERFORM handle_user_offline(p_user);
             ELSIF v_dice < 0.25 THEN PERFORM heartbeat_update(p_user);
             ELSIF v_state = 'paired' AND v_match IS NOT NULL THEN PERFORM complete_reveal(p_user, v_match);
             ELSIF v_state = 'vote_active' AND v_match IS NOT NULL THEN
                 PERFORM submit_vote(p_user, v_match, CASE WHEN random() < 0.5 THEN 'yes' ELSE 'pass' END);
             ELSIF v_state = 'video_date' THEN PERFORM state_machine_transition(p_user, 'session_ended');
             ELSIF v_dice < 0.35 AND v_state <> 'spin_active' THEN PERFORM state_machine_transition(p_user, 'spin_start');
             ELSE PERFORM heartbeat_update(p_user);
             END IF;
             RETURN 'done';
         EXCEPTION WHEN SQLSTATE 'SP001' OR SQLSTATE 'SP004' OR SQLSTATE 'SP005' THEN RETURN 'too late';
         END $$;",
    );
    let clients = [
        "SELECT test.step(id) FROM profiles ORDER BY random() LIMIT 1",
        "SELECT matching_orchestrator()",
        "SELECT check_reveal_timeouts(), check_vote_timeouts(), cleanup_expired_soft_offline()",
        "SELECT guardian_queue_consistency(), apply_gender_ratio_balancing()",
    ];
    std::thread::scope(|scope| {
        for client in [0, 0, 0, 0, 0, 1, 2, 3] {
            let (spark, clients) = (&spark, &clients);
            scope.spawn(move || {
                let rounds = if client == 0 { 300 } else { 100 };
                for round in 0..rounds {
                    // Time flies: a second and a half a round, so that everything times out now and then.
                    let sql =
                        format!("{}{}", crate::support::noon(round * 450_000 / rounds), clients[client]);
                    spark.0.rows(&sql);
                }
            });
        }
    });
    assert_eq!(spark.0.value("SELECT string_agg(DISTINCT what, ' ') FROM test.wrong"), "");
    // Whom all who are there have just met looks for them in vain.
    let failed = "SELECT count(*) FROM spark_event_log WHERE severity IN ('ERROR', 'CRITICAL') AND event_type <> 'guaranteed_match_failed'";
    assert_eq!(spark.0.value(failed), "0");
    let boosts = "SELECT count(*) FROM spark_event_log WHERE event_type = 'fairness_boost_applied' AND event_data ->> 'boost_amount' <> '10'";
    assert_eq!(spark.0.value(boosts), "0");
    let twice = "SELECT count(*) FROM (SELECT u FROM matches, unnest(ARRAY[user1_id, user2_id]) u WHERE status = 'pending' GROUP BY u HAVING count(*) > 1) t";
    assert_eq!(spark.0.value(twice), "0");
    // Who is with somebody has a match, and a match has two who are with somebody or away for a moment.
    let alone = "SELECT count(*) FROM matching_queue q WHERE status IN ('paired', 'vote_active')
                    AND NOT EXISTS (SELECT FROM match_participants p WHERE p.user_id = q.user_id)";
    assert_eq!(spark.0.value(alone), "0");
    let unattended = "SELECT count(*) FROM match_participants p LEFT JOIN matching_queue q USING (user_id)
                       WHERE q.status IS NULL OR q.status NOT IN ('paired', 'vote_active', 'soft_offline')";
    assert_eq!(spark.0.value(unattended), "0");
    let happened = spark.0.value("SELECT count(DISTINCT event_type) FROM spark_event_log WHERE event_type IN ('state_transition', 'vote_submitted', 'user_revealed', 'queue_removed', 'fairness_boost_applied', 'match_broken')");
    assert_eq!(happened, "6");
}

/// Whoever holds the lock keeps others out without making them wait, and takes it along when their session dies.
#[test]
fn the_lock_is_one_and_dies_with_its_holder() {
    let spark = crowd(2, 2);
    let holder = spark.0.hold("SELECT acquire_matching_lock()");
    assert_eq!(spark.0.value("SELECT acquire_matching_lock()"), "f");
    assert_eq!(spark.0.value("SELECT matching_orchestrator()"), "{\"status\": \"locked\"}");
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(spark.0.value(kill), "1");
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    spark.0.becomes(held, "0");
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(holder)));
    assert_eq!(spark.0.value("SELECT acquire_matching_lock()"), "t");
    // Released by its owner; twice is no error.
    let released = spark.0.rows(
        "SELECT acquire_matching_lock(); SELECT release_matching_lock(); SELECT release_matching_lock();
         SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    );
    assert_eq!(released.last().unwrap(), &[Some("0".to_owned())]);
    // That of a tick ends with its transaction, however that ends.
    for end in ["COMMIT", "ROLLBACK"] {
        let left = spark.0.rows(&format!(
            "BEGIN; SELECT matching_orchestrator(); {end};
             SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        ));
        assert_eq!(left.last().unwrap(), &[Some("0".to_owned())], "{end}");
        spark.0.run("TRUNCATE matches, votes, match_participants, spark_event_log; UPDATE matching_queue SET status = 'queue_waiting'");
    }
    // A tick that fails leaves nothing of it, in the session either.
    spark.0.run(
        "CREATE FUNCTION test.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'query_canceled'; END $$;
         CREATE TRIGGER fail BEFORE INSERT ON spark_event_log FOR EACH ROW EXECUTE FUNCTION test.fail()",
    );
    assert!(spark.0.try_rows("SELECT matching_orchestrator()").is_err());
    spark.0.run("DROP TRIGGER fail ON spark_event_log");
    assert!(spark.0.value("SELECT matching_orchestrator()").contains("\"matched\": 2"));
}
