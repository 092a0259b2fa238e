//! How commands end: exit codes, errors, and being interrupted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here has failed the test")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::time::{Duration, Instant};

use common::{Place, with_session};
use cutover_postgres::session::Session;
use rustix::process::{Pid, Signal, kill_process};
use testkit::{PoolMode, PoolSettings, Pooler, PoolerOptions};

#[test]
fn usage_and_configuration_end_with_2() {
    let place = Place::without_database();
    let unknown = place.run(&["aply"]).ends_with(2);
    assert!(unknown.stderr.contains("apply"), "{}", unknown.stderr);
    place.run(&["init"]).ends_with(0);
    let status = place.run(&["status"]).ends_with(2);
    assert!(status.stderr.starts_with("error: no database is configured\n  hint: "), "{}", status.stderr);
    place.run(&["plan"]).ends_with(0);
    place.run(&["plan", "--format", "html"]).ends_with(2);
    let again = place.run(&["init"]).ends_with(2);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
    place.write("cutover.toml", "[project]\nnam = \"x\"\n");
    let config = place.run(&["plan"]).ends_with(2);
    assert!(
        config.stderr.contains("cutover.toml:2:1") && config.stderr.contains("name"),
        "{}",
        config.stderr
    );
}

#[test]
fn a_password_in_an_argument_is_refused_and_none_is_shown() {
    let mut place = Place::new();
    let database = place.database.take().unwrap();
    place.run(&["init"]).ends_with(0);
    let url = database.url();
    let refused = place.run(&["status", "--url", &url]).ends_with(2);
    assert!(refused.stderr.contains("--allow-url-password"), "{}", refused.stderr);
    place.run(&["status", "--url", &url, "--allow-url-password"]).ends_with(0);
    place.write(".env", &format!("DATABASE_URL={url}\n"));
    let shown = place.run(&["config", "show"]).ends_with(0);
    assert!(shown.stdout.contains(".env DATABASE_URL") && shown.stdout.contains("***"), "{}", shown.stdout);
    let password = database.server().password.reveal();
    assert!(!(shown.stdout + &shown.stderr + &refused.stderr).contains(password));
}

#[test]
fn an_unreachable_server_ends_with_3() {
    let place = Place::without_database();
    place.run(&["init"]).ends_with(0);
    // Nothing can listen on port 1 of a test machine without being root's own service.
    let outcome = place.run(&["status", "--url", "postgresql://nobody@127.0.0.1:1/none"]).ends_with(3);
    assert!(outcome.stderr.starts_with("error: cannot connect to "), "{}", outcome.stderr);
}

#[test]
fn a_pooler_that_takes_no_settings_ends_with_2() {
    let place = Place::new();
    place.write("migrations/V1__a.sql", "CREATE TABLE a (n int);\n");
    let database = place.database();
    let options = PoolerOptions { mode: PoolMode::Session, settings: PoolSettings::Refused };
    let pooler = Pooler::start(database.server(), options);
    for command in ["apply", "status", "plan"] {
        let mut through = place.command(&[command]);
        through.env("CUTOVER_URL", pooler.server().url(database.name()));
        let outcome = common::outcome(&through.output().unwrap()).ends_with(2);
        for text in ["unsupported startup parameter: options", "past the pooler"] {
            assert!(outcome.stderr.contains(text), "{command}: {text}:\n{}", outcome.stderr);
        }
    }
    assert_eq!(database.value("SELECT to_regclass('a') IS NULL AND to_regnamespace('cutover') IS NULL"), "t");
}

#[test]
fn a_failing_migration_ends_with_4_and_leaves_nothing() {
    let place = Place::new();
    place.write("migrations/V1__a.sql", "CREATE TABLE a (n int);\nSELECT 1 / 0;\n");
    let outcome = place.run(&["apply"]).ends_with(4);
    for text in
        ["error: migrations/V1__a.sql:2:", "22012", "^", "nothing of migrations/V1__a.sql is in the database"]
    {
        assert!(outcome.stderr.contains(text), "{text}:\n{}", outcome.stderr);
    }
    assert_eq!(place.database().value("SELECT to_regclass('a') IS NULL"), "t");
}

#[test]
fn a_file_that_cannot_run_ends_with_1_before_anything_is_done() {
    let place = Place::new();
    place.write("migrations/V1__a.sql", "CREATE TABLE a (n int);\n");
    place.write("migrations/V2__b.sql", "CREATE TABEL b (n int);\n");
    let outcome = place.run(&["apply"]).ends_with(1);
    assert!(outcome.stderr.contains("error: migrations/V2__b.sql:1:8: "), "{}", outcome.stderr);
    assert_eq!(place.database().value("SELECT to_regclass('a') IS NULL"), "t");
    place.run(&["plan"]).ends_with(1);
}

/// A statement outside a transaction whose session is taken down: what became of it, only a person can say.
#[test]
fn an_unknown_outcome_ends_with_5_until_a_person_settles_it() {
    let place = Place::new();
    place.write(
        "migrations/V1__a.sql",
        "-- cutover: no-transaction\nDO $$ BEGIN PERFORM pg_advisory_xact_lock(78); END $$;\nCREATE TABLE a (n int);\n",
    );
    let first = with_session(&place, "watcher", "SELECT pg_advisory_lock(78)", async |session| {
        let child = place.command(&["apply"]).spawn().unwrap();
        let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                         WHERE datname = current_database() AND query LIKE 'DO %' AND wait_event_type = 'Lock'";
        until(session, terminate).await;
        tokio::task::block_in_place(|| common::outcome(&child.wait_with_output().unwrap()))
    });
    first.ends_with(3);
    let again = place.run(&["apply"]).ends_with(5);
    assert!(again.stderr.contains("cutover repair"), "{}", again.stderr);
    let unasked = place.run(&["repair", "1", "--mark", "done"]).ends_with(2);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    assert!(
        unasked.stderr.contains("part 1 of migrations/V1__a.sql (line 2), which run "),
        "{}",
        unasked.stderr
    );
    place.run(&["repair", "1", "--mark", "not-done", "--yes"]).ends_with(0);
    // Nothing to settle any more: that is said, and nothing is asked.
    let again = place.run(&["repair", "1", "--mark", "not-done"]).ends_with(2);
    assert!(again.stderr.contains("no statement of it waits for a decision"), "{}", again.stderr);
    assert!(!again.stderr.contains("--yes"), "{}", again.stderr);
    place.run(&["apply"]).ends_with(0);
    assert_eq!(place.database().value("SELECT to_regclass('a') IS NOT NULL"), "t");
}

#[test]
fn a_lock_that_is_not_obtained_ends_with_6_and_names_who_holds_it() {
    let place = Place::new();
    place.database().run("CREATE TABLE busy (n int)");
    place.write("migrations/V1__a.sql", "ALTER TABLE busy ADD COLUMN a int;\n");
    let outcome = with_session(&place, "the-holder", "BEGIN; LOCK TABLE busy", async |_| {
        tokio::task::block_in_place(|| place.run(&["apply", "--lock-wait", "3s"]))
    });
    let outcome = outcome.ends_with(6);
    assert!(outcome.stderr.contains("the-holder"), "{}", outcome.stderr);
    place.run(&["apply"]).ends_with(0);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::without_database();
    place.write("migrations/V1__a.sql", "CREATE TABLE a (n int);\n");
    let mut child = place.command(&["plan", "--offline"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_first_interrupt_finishes_the_step() {
    let outcome = interrupted_in_the_first_step(1);
    assert_eq!(outcome, ("t".to_owned(), "f".to_owned()));
}

#[test]
fn the_second_interrupt_cancels_the_step() {
    let outcome = interrupted_in_the_first_step(2);
    assert_eq!(outcome, ("f".to_owned(), "f".to_owned()));
}

/// Interrupts an apply while its first migration waits for an advisory lock that the test holds. Tells whether the
/// table of the first and of the second migration are there afterwards.
fn interrupted_in_the_first_step(times: usize) -> (String, String) {
    let place = Place::new();
    let waiting =
        "CREATE TABLE a (n int);\nSET LOCAL lock_timeout = 0;\nSELECT pg_advisory_xact_lock(4711);\n";
    place.write("migrations/V1__a.sql", waiting);
    place.write("migrations/V2__b.sql", "CREATE TABLE b (n int);\n");
    let (code, stderr) = with_session(&place, "the-test", "SELECT pg_advisory_lock(4711)", async |session| {
        let mut child = place.command(&["apply"]).spawn().unwrap();
        // Asked until a session of this database waits for the lock.
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        until(session, waiting).await;
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        for _ in 0..times {
            interrupt(&child);
            // The signal has arrived once the command says so.
            tokio::task::block_in_place(|| stderr.read_line(&mut said)).unwrap();
        }
        if times == 1 {
            session.execute("SELECT pg_advisory_unlock(4711)").await.unwrap();
        }
        let status = tokio::task::block_in_place(|| child.wait()).unwrap();
        tokio::task::block_in_place(|| std::io::Read::read_to_string(&mut stderr, &mut said)).unwrap();
        (status.code(), said)
    });
    assert_eq!(code, Some(130), "{stderr}");
    let there = |table: &str| place.database().value(&format!("SELECT to_regclass('{table}') IS NOT NULL"));
    let found = (there("a"), there("b"));
    place.run(&["apply"]).ends_with(0);
    assert_eq!((there("a"), there("b")), ("t".to_owned(), "t".to_owned()));
    found
}

fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}

/// Asks until the answer is 1.
async fn until(session: &mut Session, sql: &str) {
    let begun = Instant::now();
    while session.execute(sql).await.unwrap().scalar() != Some("1") {
        assert!(begun.elapsed() < Duration::from_secs(60), "never 1: {sql}");
    }
}
/// A dump waits for a lock that another session holds: interrupted there, the command ends, and nothing is left.
#[test]
fn an_interrupt_during_a_backup_ends_it_and_removes_the_half_dump() {
    let place = Place::new();
    place.write(
        "cutover.toml",
        "[project]\nname = \"p\"\n[[stage]]\nid = \"1\"\nrequire_backup = true\n[[stage.migration]]\nversion = \"1\"\n",
    );
    place.write("migrations/1_a.sql", "CREATE TABLE a ();");
    place.database().run("CREATE TABLE held (n int)");
    let took = with_session(&place, "holder", "BEGIN; LOCK held IN ACCESS EXCLUSIVE MODE", async |session| {
        let programs = testkit::clients().folder;
        let mut child =
            place.command_with(Some(programs), &["apply", "--backup-dir", "backups"]).spawn().unwrap();
        until(session, "SELECT count(*) FROM pg_locks WHERE relation = 'held'::regclass AND NOT granted")
            .await;
        let began = Instant::now();
        interrupt(&child);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        began.elapsed()
    });
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(std::fs::read_dir(place.folder.join("backups")).unwrap().count(), 0);
    let list = place.run(&["report", "--list"]).ends_with(0);
    assert!(list.stdout.trim_end().ends_with("interrupted"), "{}", list.stdout);
}

/// Processes whose arguments name a folder.
fn at_work_in(folder: &std::path::Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let words = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let words = words.map(|words| String::from_utf8_lossy(&words).replace('\0', " "));
    words.filter(|words| words.contains(&folder)).collect()
}

/// The dump is complete and its restoration hangs: what is not proven is not kept.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_during_a_restoration_ends_it_and_removes_the_dump() {
    let place = Place::new();
    place.write(
        "cutover.toml",
        "[project]\nname = \"p\"\n[[stage]]\nid = \"1\"\nrequire_backup = true\n[[stage.migration]]\nversion = \"1\"\n",
    );
    place.write("migrations/1_a.sql", "CREATE TABLE a ();");
    // Restored databases are called postgres.
    place.database().run(
        "CREATE FUNCTION slow(n int) RETURNS boolean LANGUAGE plpgsql AS $$
         BEGIN IF current_database() = 'postgres' THEN PERFORM pg_sleep(600); END IF; RETURN true; END $$;
         CREATE TABLE held (n int CHECK (slow(n))); INSERT INTO held VALUES (1)",
    );
    let backups = place.folder.join("backups");
    let folder = backups.display().to_string();
    let mut child = place.command(&["apply", "--backup-dir", &folder]).spawn().unwrap();
    let mut said = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    while !said.contains("restoring it") {
        assert_ne!(stdout.read_line(&mut said).unwrap(), 0, "{said}");
    }
    assert!(said.contains("backup for 1: dumping to "), "{said}");
    let begun = Instant::now();
    while !at_work_in(&backups).iter().any(|words| words.contains("pg_restore")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the restoration never began");
    }
    assert_eq!(std::fs::read_dir(&backups).unwrap().count(), 1);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_dir(&backups).unwrap().count(), 0);
    assert_eq!(at_work_in(&backups), [""; 0]);
    let list = place.run(&["report", "--list"]).ends_with(0);
    assert!(list.stdout.trim_end().ends_with("interrupted"), "{}", list.stdout);
}

/// What is done otherwise than a file says is said where the file is, in the plan and while it is done.
#[test]
fn a_note_stands_with_its_step() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TABLE a ();");
    place.write("migrations/2_b.sql", "BEGIN;\nCREATE TABLE b ();\nCOMMIT;");
    place.write("migrations/3_c.sql", "CREATE TABLE c ();");
    let note = "note: its outer BEGIN … COMMIT is replaced by cutover's own transaction";
    let order = |text: &str, parts: [&str; 3]| {
        let places: Vec<_> = parts.iter().map(|part| text.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}:\n{text}");
        assert_eq!(text.matches(note).count(), 1, "{text}");
    };
    order(&place.run(&["plan"]).ends_with(0).stdout, ["2  b", note, "3  c"]);
    let applied = place.run(&["apply"]).ends_with(0);
    assert_eq!(applied.stderr, "");
    order(&applied.stdout, ["✓ 1", note, "✓ 2"]);
}

/// The command is busy with a large file and asks for no signals: it ends all the same.
#[test]
fn an_interrupt_during_analysis_ends_the_command() {
    let place = Place::new();
    let insert = "INSERT INTO a VALUES (1, 'some text that is not short, and then some more of it');\n";
    place.write(
        "migrations/1_a.sql",
        &format!("CREATE TABLE a (n int, t text);\n{}", insert.repeat(1_000_000)),
    );
    let mut child = place.command(&["apply", "--yes"]).spawn().unwrap();
    with_session(&place, "watcher", "SELECT 1", async |session| {
        let connected = "SELECT count(*) FROM pg_stat_activity \
                         WHERE application_name LIKE 'cutover/%' AND datname = current_database()";
        until(session, connected).await;
        interrupt(&child);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let rows = session.query("SELECT to_regclass('a') IS NULL", &[]).await.unwrap();
        assert!(rows[0].get::<_, bool>(0));
    });
}

/// With several jobs a failure is said when it happens: the other migration still waits for a lock then.
#[test]
fn a_failure_is_said_while_others_run() {
    let place = Place::new();
    place.database().run("CREATE TABLE busy (n int)");
    place.write("migrations/V1__a.sql", "ALTER TABLE busy ADD COLUMN a int;\n");
    place.write("migrations/V2__b.sql", "CREATE TABLE b (n int);\nALTER TABLE b ADD n int;\n");
    with_session(&place, "the-holder", "BEGIN; LOCK TABLE busy", async |session| {
        let (stderr, code) = tokio::task::block_in_place(|| {
            let mut child = place.command(&["apply", "--jobs", "2", "--lock-wait", "120s"]).spawn().unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
            let first = lines.next().unwrap();
            assert!(first.starts_with("error: migrations/V2__b.sql:2:"), "{first}");
            let journal = "SELECT event->'migration'->'version'->>'text' FROM cutover.event WHERE event->>'event' = 'step_failed'";
            place.database().becomes(&format!("SELECT coalesce(({journal}), '')"), "2");
            assert!(child.try_wait().unwrap().is_none(), "the other one waits");
            tokio::runtime::Handle::current().block_on(session.execute("COMMIT")).unwrap();
            let rest: Vec<String> = lines.collect();
            (rest, child.wait().unwrap().code())
        });
        assert_eq!(code, Some(4));
        assert!(!stderr.iter().any(|line| line.starts_with("error:")), "it is said once: {stderr:?}");
    });
    assert_eq!(place.database().value("SELECT string_agg(version_text, ' ') FROM cutover.migration"), "1");
}
