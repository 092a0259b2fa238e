//! A stage that requires a backup gets one, proven, before its first statement; without it nothing is applied.

use std::path::Path;
use std::process::Command;

use cutover::Project;
use cutover::apply::{ApplyError, BackupSettings, Request};
use cutover::run::{EventKind, Outcome, Run};
use cutover_postgres::sandbox::{Sandbox, SandboxOptions, run_client};
use testkit::{Database, database};

use crate::support::{APPLIED, Folder, apply_with, completes, failure, session, value};

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
        assert!(matches!(error, ApplyError::Backup(_)), "{shown}: {error:?}");
        let said = error.to_string();
        assert!(
            said.contains("2 requires a backup: ") && said.ends_with("no migration was applied"),
            "{shown}: {said}"
        );
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
