//! The old backend's client works on while the 44 come, phase by phase, and go again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use cutover::revert::{self, Which};
use cutover::verify::SandboxProvider;
use testkit::Database;

use crate::support::{applied, system};

/// Joins, pairs and votes until it is told to stop; how often it did. Panics at any error.
fn client(database: &Database, stop: &AtomicBool, rounds: &AtomicU32) {
    while !stop.load(Ordering::Relaxed) {
        database.run("SELECT old_join(id) FROM (SELECT id FROM profiles ORDER BY random() LIMIT 2) p");
        let pair =
            database.value("SELECT old_pair((SELECT user_id FROM old_queue ORDER BY random() LIMIT 1))");
        if !pair.is_empty() {
            for user in ["user1_id", "user2_id"] {
                database
                    .run(&format!("SELECT old_vote({user}, id, 'yes') FROM old_pairs WHERE id = '{pair}'"));
            }
        }
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until the client has been round a few more times.
async fn some_rounds(rounds: &AtomicU32, client: &JoinHandle<()>) {
    let target = rounds.load(Ordering::Relaxed) + 3;
    while rounds.load(Ordering::Relaxed) < target {
        assert!(!client.is_finished(), "an error has ended it");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_old_backend_works_on_while_phases_come_and_go() {
    let (database, stop, rounds) =
        (Arc::new(testkit::database()), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    applied(&system(), &database.options(), Some("base/010"), &mut |_: &_| {}).await;
    database.run("INSERT INTO profiles (name, age) SELECT 'p', 20 + n % 10 FROM generate_series(1, 20) n");
    let client = {
        let (database, stop, rounds) = (Arc::clone(&database), Arc::clone(&stop), Arc::clone(&rounds));
        std::thread::spawn(move || client(&database, &stop, &rounds))
    };
    phases(&database, &rounds, &client).await;
    stop.store(true, Ordering::Relaxed);
    client.join().unwrap();
    assert_eq!(database.value("SELECT count(*) > 0 FROM old_pairs WHERE outcome = 'date'"), "t");
    assert_eq!(database.value("SELECT to_regclass('match_history') IS NULL"), "t");
}

/// Each phase there, and all of them back.
async fn phases(database: &Database, rounds: &AtomicU32, client: &JoinHandle<()>) {
    let (project, options) = (system(), database.options());
    some_rounds(rounds, client).await;
    for version in LAST_OF_PHASE {
        applied(&project, &options, Some(&format!("migrations/{version}")), &mut |_: &_| {}).await;
        some_rounds(rounds, client).await;
    }
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    // Ways back that were found out and rehearsed, with clients between them.
    for phase in (0..14_u32).rev() {
        let meant = |number: u32| number / 100 == phase;
        let versions = project.migrations.iter().filter(|file| file.path.starts_with("migrations/"));
        let versions =
            versions.map(|file| file.id.version.text()).filter(|text| meant(text.parse().unwrap()));
        let request = revert::Request {
            which: Which::These(versions.map(|version| format!("migrations/{version}")).collect()),
            // The columns of 002 hold their defaults.
            allow: &["data-loss".to_owned()],
            derive: &[],
            sandbox: &sandbox,
            only_look: false,
        };
        let t = std::time::Instant::now();
        let outlook = Box::pin(revert::look(&project, &options, &request)).await.unwrap();
        eprintln!("{phase} {:?}", t.elapsed());
        applied(&outlook.project, &options, None, &mut |_: &_| {}).await;
        eprintln!("{phase} {:?}", t.elapsed());
        some_rounds(rounds, client).await;
    }
}

const LAST_OF_PHASE: [&str; 14] =
    ["004", "105", "207", "302", "403", "504", "602", "702", "802", "903", "1004", "1104", "1201", "1301"];
