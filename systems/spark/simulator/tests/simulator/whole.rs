//! Whole simulations, faster than real time.

use cutover::stop::Stop;
use spark_simulator::agent::Taken;
use spark_simulator::invariants::INVARIANTS;
use spark_simulator::simulation::{Outcome, Settings, run};

use crate::support::{applied_with, blocking};

fn simulated(settings: &Settings) -> Outcome {
    let database = applied_with("");
    blocking(async { run(&database.options(), settings, &Stop::new()).await.unwrap() })
}

const SETTINGS: Settings = Settings { users: 40, men: 50, connections: 4, seconds: 180, seed: 1, speed: 30 };

#[test]
fn everything_holds_and_everything_happens() {
    let outcome = simulated(&SETTINGS);
    for (invariant, looked) in INVARIANTS.iter().zip(&outcome.seen.invariants) {
        println!("{:36} {:6} {:8} {} {:?}", invariant.name, looked.rounds, looked.things, looked.violations, looked.examples);
    }
    println!("{:?} {:?} late {}", outcome.figures.outcomes, outcome.figures.boosts, outcome.runs.skipped);
    for (kind, (name, _)) in outcome.tally.kinds.iter().zip(spark_simulator::agent::KINDS) {
        println!("{name} {} {:?}", kind.micros.len(), kind.errors);
    }
    assert!(outcome.holds());
}

/// What two runs of a seed have both come to is the same, however their connections took turns.
#[test]
fn two_runs_of_a_seed_decide_the_same() {
    let settings = Settings { users: 16, seconds: 60, ..SETTINGS };
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
