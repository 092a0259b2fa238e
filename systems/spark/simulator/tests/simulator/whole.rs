//! Whole simulations, faster than real time.

use std::time::{Duration, Instant};

use cutover::stop::Stop;
use spark_simulator::agent::Taken;
use spark_simulator::html::page;
use spark_simulator::invariants::INVARIANTS;
use spark_simulator::simulation::{Outcome, Settings, run};
use spark_simulator::summary::lines;

use crate::support::{applied_with, blocking};

fn simulated(settings: &Settings) -> Outcome {
    let database = applied_with("");
    blocking(async { run(&database.options(), settings, &Stop::new()).await.unwrap() })
}

const SETTINGS: Settings =
    Settings { users: 40, men: 55, connections: 4, seconds: 150, seed: 1, speed: 15, deleting: 0 };

#[test]
fn everything_holds_and_everything_happens() {
    let outcome = simulated(&SETTINGS);
    assert!(outcome.holds(), "{}", lines(&outcome).join("\n"));
    let missing: Vec<&str> = INVARIANTS
        .iter()
        .zip(&outcome.seen.invariants)
        .filter(|(_, looked)| looked.rounds == 0)
        .map(|(invariant, _)| invariant.name)
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
    let ended =
        |name: &str| outcome.figures.outcomes.iter().any(|(ended, times)| *ended == name && *times > 0);
    assert!(
        ended("both said yes") && ended("one passed") && ended("one left"),
        "{:?}",
        outcome.figures.outcomes
    );
    assert_eq!(outcome.figures.joined, 40);
    assert!(!outcome.figures.ended(None).is_empty() && !outcome.figures.means().is_empty());
    let page = page(&outcome);
    assert!(page.contains("everything held") && page.contains("a timer on the simulated clock"));
}

/// Some delete their accounts, in whatever they are, and most of them come anew: the eye loses nobody.
#[test]
fn accounts_end_and_the_eye_loses_nobody() {
    let outcome = simulated(&Settings { deleting: 8, seconds: 200, ..SETTINGS });
    let violated: Vec<&str> = INVARIANTS
        .iter()
        .zip(&outcome.seen.invariants)
        .filter(|(_, looked)| looked.violations > 0)
        .map(|(invariant, _)| invariant.name)
        .collect();
    assert!(violated.is_empty() && outcome.problems.is_empty(), "{}", lines(&outcome).join("\n"));
    assert!(outcome.figures.joined > 40, "{}", outcome.figures.joined);
    let looked = |name: &str| {
        let n = INVARIANTS.iter().position(|invariant| invariant.name == name).unwrap();
        outcome.seen.invariants[n].things
    };
    assert!(looked("gone-leave-the-queue") > 0 && looked("left-behind-spin-on") > 0);
}

/// In real time cutover's worker runs the schedules. Asked to stop, a simulation ends with what it has seen.
#[test]
fn in_real_time_the_worker_runs_the_schedules() {
    let database = applied_with("");
    let settings = Settings { speed: 1, seconds: 600, users: 20, ..SETTINGS };
    let stop = Stop::new();
    let outcome = std::thread::scope(|scope| {
        let simulation =
            scope.spawn(|| blocking(async { run(&database.options(), &settings, &stop).await.unwrap() }));
        // Those of every 5 and of every 10 seconds, and one that somebody was there for.
        let done = "SELECT count(DISTINCT job) >= 4 AND EXISTS (SELECT FROM matches) FROM cutover_worker.run WHERE outcome = 'done'";
        let give_up = Instant::now() + Duration::from_secs(120);
        while !database.try_rows(done).is_ok_and(|rows| rows[0][0].as_deref() == Some("t")) {
            assert!(Instant::now() < give_up && !simulation.is_finished(), "the worker runs nothing");
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.request();
        simulation.join().unwrap()
    });
    assert!(outcome.holds(), "{}", lines(&outcome).join("\n"));
    assert!(outcome.interrupted);
    // Nobody has waited for 30 seconds yet: what would be seen then is said not to be shown.
    let told = lines(&outcome).into_iter().find(|line| line.contains("nothing to look at"));
    assert!(told.as_ref().is_some_and(|line| line.contains("expansions-end")), "{told:?}");
    assert_eq!(outcome.scheduler(), "cutover worker");
    assert!(outcome.runs.done("matching-orchestrator").count() > 0 && !outcome.figures.pairs.is_empty());
    let set = "SELECT count(*) FROM cutover_worker.job WHERE project IS NULL";
    assert_eq!(database.value(set), "8");
}

/// A schedule that does not do its work, and one that fails: what it had to end is found, and so is its error.
#[test]
fn what_schedules_do_not_do_is_found() {
    let database = applied_with("");
    database.run(
        "CREATE OR REPLACE FUNCTION check_reveal_timeouts() RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
         CREATE OR REPLACE FUNCTION monitor_queue_size() RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$",
    );
    let outcome = blocking(async { run(&database.options(), &SETTINGS, &Stop::new()).await.unwrap() });
    assert!(!outcome.holds());
    let violated: Vec<&str> = INVARIANTS
        .iter()
        .zip(&outcome.seen.invariants)
        .filter(|(_, looked)| looked.violations > 0)
        .map(|(invariant, _)| invariant.name)
        .collect();
    assert!(violated.contains(&"reveals-end") && violated.contains(&"schedules-succeed"), "{violated:?}");
    assert!(lines(&outcome).iter().any(|line| line.contains("not today")));
    assert!(page(&outcome).contains("What did not hold"));
}

/// What two runs of a seed have both come to is the same, however their connections took turns.
#[test]
fn two_runs_of_a_seed_decide_the_same() {
    let settings = Settings { users: 16, seconds: 45, ..SETTINGS };
    let (one, other) = (simulated(&settings), simulated(&settings));
    let sorted = |taken: &[Taken]| {
        let mut taken = taken.to_vec();
        taken.sort_by_key(|(occasion, n, _)| (*occasion, *n));
        taken
    };
    let mut both = 0;
    for (one, other) in one.taken.iter().zip(&other.taken) {
        let other = sorted(other);
        for (occasion, n, decision) in sorted(one) {
            if let Some((.., again)) = other.iter().find(|(o, m, _)| (*o, *m) == (occasion, n)) {
                assert_eq!(decision, *again, "{occasion:?} {n}");
                both += 1;
            }
        }
    }
    assert!(both > 16, "{both}");
}
