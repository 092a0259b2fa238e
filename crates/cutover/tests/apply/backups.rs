//! A stage that requires a backup gets one, proven, before its first statement; without it nothing is applied.

use std::path::Path;
use std::process::Command;

use cutover::Project;
use cutover::apply::{ApplyError, BackupSettings, Request};
use cutover::run::{EventKind, Outcome, Run, RunEvent};
use cutover::stop::Stop;
use cutover_postgres::sandbox::{Sandbox, SandboxOptions, run_client};
use testkit::{Database, database};

use crate::support::{
    APPLIED, Folder, RUNNERS, apply_watched, apply_with, completes, failure, session, soon, until, value,
};

const CONFIG: &str = r#"
[project]
name = "p"
[[stage]]
id = "1"
[[stage.migration]]
version = "1"
[[stage]]
id = "2"
require_backup = true
[[stage.migration]]
version = "2"
"#;

/// The first stage is applied; the second one is pending and requires a backup.
async fn prepared(database: &Database) -> (Folder, Project) {
    let folder = Folder::with(&[
        ("cutover.toml", CONFIG),
        ("migrations/V1__a.sql", "CREATE TABLE a (n int); INSERT INTO a VALUES (1), (2);"),
    ]);
    let first = folder.path().join("cutover.toml");
    let text = std::fs::read_to_string(&first).unwrap();
    folder.write("cutover.toml", text.split("[[stage]]\nid = \"2\"").next().unwrap());
    completes(&folder.load(), &database.options()).await;
    folder.write("cutover.toml", CONFIG);
    folder.write("migrations/V2__b.sql", "DELETE FROM a; CREATE TABLE b ();");
    let project = folder.load();
    (folder, project)
}

async fn run(
    project: &Project,
    database: &Database,
    backup: Option<BackupSettings>,
) -> Result<Run, ApplyError> {
    let request = Request { backup, ..Request::default() };
    apply_with(project, &database.options(), &request).await
}

fn backup_event(event: &RunEvent) -> Option<String> {
    let word = match &event.kind {
        EventKind::BackupStarted { .. } => "started",
        EventKind::BackupTaken { .. } => "taken",
        EventKind::BackupRestored { .. } => "restored",
        _ => return None,
    };
    Some(word.to_owned())
}

/// Files in the folder for backups.
fn dumps(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("backups")).map_or(0, Iterator::count)
}

fn settings(folder: &Path, sandbox: SandboxOptions) -> BackupSettings {
    BackupSettings { folder: folder.join("backups"), sandbox }
}

#[tokio::test]
async fn a_required_backup_is_taken_proven_and_recorded_first() {
    let database = database();
    let (folder, project) = prepared(&database).await;
    let done = run(&project, &database, Some(settings(folder.path(), testkit::client_sandbox_options())))
        .await
        .unwrap();
    assert_eq!(done.outcome, Some(Outcome::Completed), "{}", failure(&done));
    let at =
        done.events.iter().position(|event| matches!(event.kind, EventKind::BackupTaken { .. })).unwrap();
    let started =
        done.events.iter().position(|event| matches!(event.kind, EventKind::StepStarted { .. })).unwrap();
    assert!(at < started);
    let EventKind::BackupTaken { stage, path, bytes, sha256 } = &done.events[at].kind else { unreachable!() };
    assert_eq!(stage, "2");
    // What it went through, in order, and what the restored copy has.
    let told: Vec<String> = done.events.iter().filter_map(backup_event).collect();
    let tables: u64 = database
        .value("SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'cutover')")
        .parse()
        .unwrap();
    let rows = done.events.iter().find_map(|event| match &event.kind {
        // The table b is made by the run itself.
        EventKind::BackupRestored { tables: compared, rows, .. } => {
            assert_eq!(*compared, tables - 1);
            Some(*rows)
        }
        _ => None,
    });
    assert_eq!(told, ["started", "taken", "restored"]);
    assert!(rows >= Some(2), "{rows:?}");
    assert_eq!(
        database.value("SELECT string_agg(event->>'event', ' ' ORDER BY seq) FROM cutover.event WHERE event->>'event' LIKE 'backup%'"),
        "backup_started backup_taken backup_restored"
    );
    let content = std::fs::read(path).unwrap();
    assert_eq!(content.len() as u64, *bytes);
    let summed = Command::new("sha256sum").arg(path).output().unwrap();
    assert!(String::from_utf8_lossy(&summed.stdout).starts_with(sha256.as_str()), "{sha256}");
    let recorded = format!(
        "SELECT at < (SELECT applied_at FROM cutover.migration WHERE version = '2') FROM cutover.event WHERE event->>'sha256' = '{sha256}'"
    );
    assert_eq!(database.value(&recorded), "t");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o600,
            "nobody else can read it"
        );
    }
    // It holds what there was before.
    let server = Sandbox::start(&testkit::client_sandbox_options()).unwrap();
    let options = server.options("postgres");
    let mut restore = server.binaries().pg_restore(&options).unwrap();
    restore.args(["--no-owner", path]);
    run_client("pg_restore", &mut restore).unwrap();
    let mut session = session(&options).await;
    assert_eq!(value(&mut session, "SELECT count(*) FROM a").await, "2");
    assert_eq!(value(&mut session, "SELECT to_regclass('b') IS NULL").await, "t");
    let notes = done.plan.notes.join("\n");
    assert!(!notes.contains("requires a backup"), "a run that has its backup asks for none: {notes}");
    // The stage is reached: no other backup.
    assert_eq!(run(&project, &database, None).await.unwrap().outcome, Some(Outcome::NothingToDo));
}

#[tokio::test]
async fn without_its_backup_nothing_is_applied() {
    let database = database();
    let (folder, project) = prepared(&database).await;
    let no_programs =
        SandboxOptions { bin_dir: Some(folder.path().to_owned()), ..testkit::sandbox_options() };
    let unwritable =
        BackupSettings { folder: "/proc/nowhere".into(), sandbox: testkit::client_sandbox_options() };
    for backup in [None, Some(settings(folder.path(), no_programs)), Some(unwritable)] {
        let shown = format!("{backup:?}");
        let error = run(&project, &database, backup).await.unwrap_err();
        // Without a folder nothing was tried.
        let right = if shown == "None" {
            matches!(error, ApplyError::NotAllowed(_))
        } else {
            matches!(error, ApplyError::Backup(_))
        };
        assert!(right, "{shown}: {error:?}");
        let said = error.to_string();
        if shown == "None" {
            assert!(said.contains("requires a backup") && said.contains("--backup-dir"), "{said}");
        } else {
            assert!(
                said.contains("2 requires a backup: ") && said.ends_with("no migration was applied"),
                "{shown}: {said}"
            );
        }
        assert_eq!(database.value(APPLIED), "1", "{shown}");
        assert_eq!(database.value("SELECT count(*) FROM a"), "2", "{shown}");
    }
    // pg_dump itself fails: it may not read a table.
    database.run("CREATE TABLE secret (); ALTER TABLE secret ENABLE ROW LEVEL SECURITY; ALTER TABLE a OWNER TO CURRENT_USER");
    let owner = testkit::role("");
    database.run(&format!("GRANT ALL ON SCHEMA cutover TO {0}; GRANT ALL ON ALL TABLES IN SCHEMA cutover TO {0}; GRANT SELECT ON a TO {0}", owner.name));
    let request = Request {
        backup: Some(settings(folder.path(), testkit::client_sandbox_options())),
        ..Request::default()
    };
    let error = apply_with(&project, &database.options_as(&owner), &request).await.unwrap_err();
    assert!(matches!(error, ApplyError::Backup(_)), "{error:?}");
    assert!(error.to_string().contains("permission denied for table secret"), "{error}");
    assert_eq!(database.value(APPLIED), "1");
    database.run(&format!("DROP OWNED BY {}", owner.name));
    drop(database);
}

/// The dump and the numbers it is compared with are of one snapshot, however busy the database is.
#[tokio::test]
async fn rows_that_come_while_a_backup_is_taken_make_no_difference() {
    let database = database();
    let (folder, project) = prepared(&database).await;
    let mut rows = None;
    let mut sink = |event: &RunEvent| match &event.kind {
        EventKind::BackupTaken { .. } => {
            database.run("INSERT INTO a SELECT generate_series(3, 1000); CREATE TABLE late (n int)");
        }
        EventKind::BackupRestored { rows: found, .. } => rows = Some(*found),
        _ => {}
    };
    let before: u64 = database.value("SELECT count(*) FROM a").parse().unwrap();
    let request =
        Request { backup: Some(settings(folder.path(), testkit::sandbox_options())), ..Request::default() };
    let run = apply_watched(&project, &database.options(), &request, &Stop::new(), &mut sink).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    // Besides, the history has rows of its own.
    assert!(rows.is_some_and(|rows| rows >= before && rows < 500), "{rows:?}");
}

/// A dump waits for a lock: asked to stop there, its program is ended, and with it what it does on the server.
#[tokio::test]
async fn asked_to_stop_while_a_dump_is_taken_nothing_is_left_of_it() {
    let database = database();
    let (folder, project) = prepared(&database).await;
    let options = database.options();
    let holder = database.hold("LOCK a IN ACCESS EXCLUSIVE MODE");
    let mut watcher = session(&options).await;
    let stop = Stop::new();
    let backup = Some(settings(folder.path(), testkit::sandbox_options()));
    // How much there is in a locked table nobody can ask.
    let allow = vec!["update-or-delete-without-where".to_owned()];
    let request = Request { backup, allow, ..Request::default() };
    let mut sink = |_: &RunEvent| {};
    let run = apply_watched(&project, &options, &request, &stop, &mut sink);
    let dumping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pg_dump'";
    let asking = async {
        let waits = format!("{dumping} AND wait_event_type = 'Lock'");
        until(&mut watcher, &waits, "1").await;
        stop.request();
        until(&mut watcher, dumping, "0").await;
    };
    let (run, ()) = soon(async { tokio::join!(run, asking) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Interrupted));
    assert_eq!(dumps(folder.path()), 0);
    assert_eq!(database.value(APPLIED), "1");
    let newest = "SELECT outcome FROM cutover.run ORDER BY started_at DESC LIMIT 1";
    assert_eq!(database.value(newest), "interrupted");
    assert_eq!(value(&mut watcher, RUNNERS).await, "0");
    drop(holder);
}

/// What cannot be restored is no backup; what `pg_restore` says of it is shown without passwords.
#[tokio::test]
async fn a_dump_that_cannot_be_restored_refuses_the_run() {
    let database = database();
    let (folder, project) = prepared(&database).await;
    database.run(
        "CREATE FUNCTION boom(n int, t text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
         BEGIN IF current_database() = 'postgres' THEN RAISE 'boom'; END IF; RETURN n; END $$;
         CREATE INDEX booms ON a (boom(n, 'host=h password=S3cretWord user=u'))",
    );
    let request =
        Request { backup: Some(settings(folder.path(), testkit::sandbox_options())), ..Request::default() };
    let error = apply_with(&project, &database.options(), &request).await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ApplyError::Backup(_)), "{error:?}");
    for part in
        ["the dump could not be restored", "boom", "password=**********", "the dump stays, unproven: "]
    {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert!(!said.contains("S3cretWord") && said.ends_with("no migration was applied"), "{said}");
    assert_eq!(dumps(folder.path()), 1);
    assert_eq!(database.value(APPLIED), "1");
    // The run is over, and its journal says how far the backup came.
    let newest = "SELECT outcome FROM cutover.run ORDER BY started_at DESC LIMIT 1";
    assert_eq!(database.value(newest), "failed_clean");
    assert_eq!(
        database.value("SELECT string_agg(event->>'event', ' ' ORDER BY seq) FROM cutover.event WHERE event->>'event' LIKE 'backup%'"),
        "backup_started backup_taken"
    );
}

/// A dump that can be restored and lacks rows is no backup: what comes out is compared with what went in.
#[cfg(unix)]
#[tokio::test]
async fn a_dump_that_lacks_rows_refuses_the_run() {
    use std::os::unix::fs::PermissionsExt;
    let database = database();
    let (folder, project) = prepared(&database).await;
    // The programs as they are, but for a pg_dump that leaves out the rows of one table.
    let sandbox = testkit::client_sandbox_options();
    let real = sandbox.bin_dir.clone().unwrap();
    let programs = tempfile::tempdir().unwrap();
    let everybody =
        |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    everybody(programs.path());
    for name in std::fs::read_dir(&real).unwrap().map(|entry| entry.unwrap().file_name()) {
        let more = if name == "pg_dump" { "--exclude-table-data=public.a" } else { "" };
        let program = programs.path().join(&name);
        let text = format!("#!/bin/sh\nexec '{}' \"$@\" {more}\n", real.join(&name).display());
        std::fs::write(&program, text).unwrap();
        everybody(&program);
    }
    let sandbox = SandboxOptions { bin_dir: Some(programs.path().to_owned()), ..sandbox };
    let error = run(&project, &database, Some(settings(folder.path(), sandbox))).await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ApplyError::Backup(_)), "{error:?}");
    for part in ["stage 2 requires a backup: ", "public.a", "the dump stays, unproven: "] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!((database.value(APPLIED), database.value("SELECT count(*) FROM a")), ("1".into(), "2".into()));
}

/// Policies name roles, which a throwaway server does not have of itself.
#[tokio::test]
async fn policies_of_roles_are_restored_too() {
    let database = database();
    let (folder, project) = prepared(&database).await;
    let reader = testkit::role("");
    database.run(&format!("CREATE POLICY readers ON a FOR SELECT TO {} USING (n > 0)", reader.name));
    let done =
        run(&project, &database, Some(settings(folder.path(), testkit::sandbox_options()))).await.unwrap();
    assert_eq!(done.outcome, Some(Outcome::Completed), "{}", failure(&done));
    database.run(&format!("DROP OWNED BY {}", reader.name));
    drop(database);
}
