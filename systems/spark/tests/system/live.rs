//! The old backend's client works on while the 44 come, phase by phase, and go again, phase by phase; and clients of the new one
//! work beside it as soon as they can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use cutover::Project;
use cutover::revert::{self, Which};
use cutover::verify::SandboxProvider;
use testkit::Database;

use crate::support::{applied, system};

/// Somebody who does the same again and again. Any error ends it, and the test.
struct Client {
    rounds: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Client {
    fn start(database: &Arc<Database>, round: fn(&Database)) -> Self {
        let (rounds, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (database, counted, stopped) = (Arc::clone(database), Arc::clone(&rounds), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                round(&database);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { rounds, stop, thread }
    }

    /// Waits until it has been round a few more times.
    async fn some_rounds(&self) {
        let target = self.rounds.load(Ordering::Relaxed) + 3;
        while self.rounds.load(Ordering::Relaxed) < target {
            assert!(!self.thread.is_finished(), "an error has ended it");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    fn stops(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// Joins, pairs and votes.
fn old(database: &Database) {
    database.run("SELECT old_join(id) FROM (SELECT id FROM profiles ORDER BY random() LIMIT 2) p");
    let pair = database.value("SELECT old_pair((SELECT user_id FROM old_queue ORDER BY random() LIMIT 1))");
    if !pair.is_empty() {
        for user in ["user1_id", "user2_id"] {
            database.run(&format!("SELECT old_vote({user}, id, 'yes') FROM old_pairs WHERE id = '{pair}'"));
        }
    }
}

/// What the new backend can do once its first three phases are there: it looks, and nothing is looked up in later ones.
fn looks(database: &Database) {
    database.run(
        "SELECT is_user_online(id), is_user_already_matched(id), spark_now() FROM profiles;
         SELECT validate_gender_compatibility(a.id, b.id) FROM profiles a, profiles b;
         INSERT INTO spark_event_log (event_type) VALUES ('looked')",
    );
}

/// Everything it is for: joining, being matched, revealing, voting, and leaving.
fn new(database: &Database) {
    database.run("SELECT queue_join(id) FROM (SELECT id FROM profiles ORDER BY random() LIMIT 4) p");
    database.run("SELECT matching_orchestrator()");
    database.run("SELECT complete_reveal(user_id, match_id) FROM match_participants JOIN matching_queue USING (user_id) WHERE status = 'paired'");
    database.run("SELECT submit_vote(user_id, match_id, 'yes') FROM match_participants JOIN matching_queue USING (user_id) WHERE status = 'vote_active'");
    database.run("SELECT state_machine_transition(user_id, 'session_ended') FROM matching_queue WHERE status = 'video_date'");
    database.run("SELECT queue_remove(user_id, 'left') FROM matching_queue WHERE status = 'ended'");
}

#[tokio::test]
async fn the_old_backend_works_on_while_phases_come_and_go() {
    let (project, database) = (system(), Arc::new(testkit::database()));
    applied(&project, &database.options(), Some("base/010"), &mut |_: &_| {}).await;
    database.run(
        "INSERT INTO profiles (name, age, gender, is_online)
         SELECT 'p', 20 + n % 10, CASE n % 2 WHEN 0 THEN 'male' ELSE 'female' END, true FROM generate_series(1, 20) n",
    );
    let client = Client::start(&database, old);
    client.some_rounds().await;
    let mut others = Vec::new();
    for (phase, version) in LAST_OF_PHASE.into_iter().enumerate() {
        let version = format!("migrations/{version}");
        applied(&project, &database.options(), Some(&version), &mut |_: &_| {}).await;
        match phase {
            2 => others.push(Client::start(&database, looks)),
            13 => others.push(Client::start(&database, new)),
            _ => {}
        }
        for client in others.iter().chain([&client]) {
            client.some_rounds().await;
        }
    }
    for other in others {
        other.stops();
    }
    let dates = database.value("SELECT count(*) FROM yes_yes_pairs");
    assert_ne!(dates, "0");
    for phase in (0..14).rev() {
        taken_back(&project, &database, phase).await;
        client.some_rounds().await;
    }
    client.stops();
    assert_eq!(database.value("SELECT count(*) > 0 FROM old_pairs WHERE outcome = 'date'"), "t");
    assert_eq!(database.value("SELECT to_regclass('match_history') IS NULL"), "t");
    // What is in tables that were there before stays.
    assert_eq!(database.value("SELECT count(*) FROM matches WHERE status = 'matched'"), dates);
}

/// A way back of one phase that was found out, rehearsed, and is applied as anything is.
async fn taken_back(project: &Project, database: &Database, phase: u32) {
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let versions = project.migrations.iter().filter(|file| file.path.starts_with("migrations/"));
    let versions = versions.map(|file| file.id.version.text());
    let versions = versions.filter(|text| text.parse::<u32>().unwrap() / 100 == phase);
    let request = revert::Request {
        which: Which::These(versions.map(|version| format!("migrations/{version}")).collect()),
        // What the new backend has written goes with its tables and columns.
        allow: &["data-loss".to_owned()],
        derive: &[],
        sandbox: &sandbox,
        only_look: false,
    };
    let outlook = Box::pin(revert::look(project, &database.options(), &request)).await.unwrap();
    applied(&outlook.project, &database.options(), None, &mut |_: &_| {}).await;
}

const LAST_OF_PHASE: [&str; 14] =
    ["004", "105", "207", "302", "403", "504", "602", "702", "802", "903", "1004", "1104", "1201", "1301"];
