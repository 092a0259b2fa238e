//! The 44 files: their order, what they make, that each stands alone, and the way back.

use std::time::Duration;

use cutover::rehearse::{self, GroundRequest};
use cutover::revert::{self, Which};
use cutover::run::Verdict;
use cutover::verify::{SandboxProvider, VerifyRequest, verify};
use cutover::{history::records, inspect};

use crate::support::{Spark, applied, dump, system};

fn scratch() -> SandboxProvider {
    SandboxProvider::dev_url(testkit::server().server().options("postgres"))
}

fn numbers() -> Vec<u32> {
    let project = system();
    let ours = project.migrations.iter().filter(|file| file.path.starts_with("migrations/"));
    ours.map(|file| file.id.version.text().parse().unwrap()).collect()
}

#[test]
fn there_are_44_files_in_14_phases_in_the_order_of_their_numbers() {
    let numbers = numbers();
    assert_eq!(numbers.len(), 44);
    assert!(numbers.is_sorted(), "{numbers:?}");
    let counts: Vec<usize> =
        (0..14).map(|phase| numbers.iter().filter(|number| *number / 100 == phase).count()).collect();
    assert_eq!(counts, [4, 5, 7, 2, 3, 4, 2, 2, 2, 3, 4, 4, 1, 1]);
    let project = system();
    assert_eq!(project.stages.len(), 14);
    assert!(project.stages.iter().all(|stage| stage.kind == "phase"));
}

/// As the specification has them: arguments and what comes back.
const SIGNATURES: &str = "\
acquire_matching_lock() boolean
apply_fairness_boost(uuid,numeric,text) void
apply_gender_ratio_balancing() jsonb
apply_preference_expansion(uuid) void
calculate_fairness_score(uuid) numeric
check_reveal_timeouts() jsonb
check_scheduler_health() jsonb
check_user_timeouts(uuid) jsonb
check_vote_timeouts() jsonb
cleanup_expired_soft_offline() jsonb
collect_queue_metrics() jsonb
complete_reveal(uuid,uuid) jsonb
create_match_atomic(uuid,uuid) uuid
detect_reveal_timeout(uuid) boolean
detect_spin_timeout(uuid) boolean
detect_vote_timeout(uuid) boolean
determine_reconnect_state(jsonb) user_matching_state
execute_transition(uuid,user_matching_state,user_matching_state,jsonb) jsonb
finalize_user_offline(uuid) void
find_candidate(uuid,integer) uuid
find_guaranteed_match_strict(uuid) uuid
guardian_queue_consistency() jsonb
handle_idle_voter(uuid,uuid) void
handle_reveal_timeout(uuid,uuid) void
handle_user_offline(uuid) void
heartbeat_update(uuid) void
is_matchable(uuid) boolean
is_user_already_matched(uuid) boolean
is_user_online(uuid) boolean
log_event(text,uuid,jsonb,text,text) uuid
matching_orchestrator() jsonb
monitor_queue_size() jsonb
queue_join(uuid,jsonb) uuid
queue_remove(uuid,text) void
release_matching_lock() void
reset_preference_expansion(uuid) void
setup_schedulers() jsonb
state_machine_transition(uuid,text,jsonb) jsonb
submit_vote(uuid,uuid,text) jsonb
unified_matching_engine(uuid) uuid
validate_gender_compatibility(uuid,uuid) boolean
validate_transition(user_matching_state,text,jsonb) user_matching_state";

#[test]
fn the_catalogue_has_what_the_specification_names() {
    let spark = Spark::with(0);
    let functions = spark.0.value(
        "SELECT string_agg(oid::regprocedure || ' ' || prorettype::regtype, E'\\n' ORDER BY proname) FROM pg_proc
          WHERE pronamespace = 'public'::regnamespace AND proname !~ '^(spark|old)_' AND proname <> 'keep_match_participants'",
    );
    assert_eq!(functions, SIGNATURES);
    let tables = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
                   WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname IN
                       ('match_history', 'yes_yes_pairs', 'spark_event_log', 'queue_metrics')";
    assert_eq!(spark.0.value(tables), "match_history queue_metrics spark_event_log yes_yes_pairs");
    assert_eq!(
        spark.0.value("SELECT enum_range(NULL::user_matching_state)"),
        "{idle,spin_active,queue_waiting,paired,vote_active,video_date,ended,soft_offline,disconnected}"
    );
    // All but the constants of a schema that is not ours say where they look for names.
    let unpinned = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                       AND NOT coalesce(proconfig::text LIKE '%search_path=pg_catalog, pg_temp%', false)";
    assert_eq!(spark.0.value(unpinned), "0");
}

#[tokio::test]
async fn every_claim_and_check_holds() {
    let (project, database) = (system(), testkit::database());
    applied(&project, &database.options(), None, &mut |_: &_| {}).await;
    let mut session = inspect::connect(&database.options(), None).await.unwrap();
    let history = records::read(&mut session, &project.name).await.unwrap();
    session.close().await;
    let request = VerifyRequest { fresh: true, ..VerifyRequest::default() };
    let results =
        verify(&project, &database.options(), &scratch(), &history, &request, |_| {}).await.unwrap();
    let wrong: Vec<_> = results
        .iter()
        .filter(|result| result.verdict != Verdict::Holds)
        .map(|result| (&result.name, result.verdict, &result.found))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Each alone leaves nothing when it is rolled back, all can be taken back and applied again, and what bodies mention is there in
/// the end. What is only looked up when a body runs is named.
#[tokio::test]
async fn a_rehearsal_proves_each_file_alone_and_the_way_back() {
    let request = rehearse::Request {
        selection: cutover::plan::select::Selection::default(),
        ground: GroundRequest { replay: false, without_missing: false, sample: None },
        full: true,
        workload: Some(Duration::from_millis(500)),
    };
    let programs = testkit::sandbox_options();
    let rehearsal = rehearse::rehearse(&system(), None, &request, &scratch(), &programs).await.unwrap();
    assert!(rehearsal.is_clean(&[]), "{}", rehearse::lines(&rehearsal, true));
    assert_eq!(rehearsal.migrations.len(), 46);
}

#[tokio::test]
async fn all_44_taken_back_leave_exactly_the_tables_of_before() {
    let (project, database, base) = (system(), testkit::database(), testkit::database());
    applied(&project, &base.options(), Some("base/010"), &mut |_: &_| {}).await;
    applied(&project, &database.options(), None, &mut |_: &_| {}).await;
    let whole = dump(&database);
    let sandbox = scratch();
    let request = revert::Request {
        which: Which::To("base/010".to_owned()),
        allow: &[],
        derive: &[],
        sandbox: &sandbox,
        only_look: false,
    };
    let outlook = Box::pin(revert::look(&project, &database.options(), &request)).await.unwrap();
    assert_eq!(outlook.backs.len(), 44);
    applied(&outlook.project, &database.options(), None, &mut |_: &_| {}).await;
    assert_eq!(dump(&database), dump(&base));
    applied(&project, &database.options(), None, &mut |_: &_| {}).await;
    assert_eq!(dump(&database), whole);
}

/// Whoever waits when the files are taken back has had their wishes widened: the way back gives them their own again, whether it goes on to the
/// beginning or stops below 403, behind which nothing else could.
#[tokio::test]
async fn the_way_back_gives_whoever_waits_their_own_wishes_again() {
    for (to, more) in [("base/010", ""), ("migrations/402", " AND NOT expanded AND original_min_age IS NULL")]
    {
        let (project, database) = (system(), testkit::database());
        applied(&project, &database.options(), None, &mut |_: &_| {}).await;
        database.run(
            "INSERT INTO profiles (name, age, gender, is_online) SELECT 'p', 30, 'male', true FROM generate_series(1, 2);
             SET spark.now = '2026-01-01 12:00Z';
             SELECT queue_join(id, '{\"min_age\": 25, \"max_age\": 35, \"max_distance\": 20}') FROM profiles;
             SET spark.now = '2026-01-01 12:01Z'; SELECT matching_orchestrator()",
        );
        let own = format!(
            "SELECT count(*) FROM user_preferences WHERE (min_age, max_age, max_distance) = (25, 35, 20){more}"
        );
        assert_eq!(
            database.value(
                "SELECT count(*) FROM user_preferences WHERE (min_age, max_age, max_distance) = (18, 45, 120)"
            ),
            "2"
        );
        let sandbox = scratch();
        let request = revert::Request {
            which: Which::To(to.to_owned()),
            allow: &["data-loss".to_owned()],
            derive: &[],
            sandbox: &sandbox,
            only_look: false,
        };
        let outlook = Box::pin(revert::look(&project, &database.options(), &request)).await.unwrap();
        applied(&outlook.project, &database.options(), None, &mut |_: &_| {}).await;
        assert_eq!(database.value(&own), "2", "{to}");
        // Else they would not be widened again, once it is there again.
        assert_eq!(
            database.value("SELECT count(*) FROM matching_queue WHERE expansion_level = 0"),
            "2",
            "{to}"
        );
    }
}
