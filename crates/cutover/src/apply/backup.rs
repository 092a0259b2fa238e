//! Backups that stages require: taken, restored in a throwaway server, counted and recorded before the first
//! statement. A backup that was never restored is a hope, not a backup.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::{Binaries, Sandbox, SandboxError, SandboxOptions};
use cutover_postgres::session::{Session, Startup};
use sha2::{Digest, Sha256};

use super::error::ApplyError;
use super::recorder::Recorder;
use super::store;
use crate::plan::build::Built;
use crate::project::{Project, Stage, text};
use crate::run::EventKind;

/// Where backups go and how they are proven.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    /// Folder for the dumps; created where missing.
    pub folder: PathBuf,
    /// The throwaway server a dump is restored in. Its programs also take the dump: those of the database's major, or
    /// of the next newer one that is installed.
    pub sandbox: SandboxOptions,
}

/// Tables, and rows in all of them together: what a restored dump must have as well.
const CONTENT: &str = "
SELECT count(*)::int8 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// The first pending stage that requires a backup, with the settings for it; an error where there are none.
pub(super) fn required<'a>(
    project: &'a Project,
    built: &Built,
    settings: Option<&'a BackupSettings>,
) -> Result<Option<(&'a Stage, &'a BackupSettings)>, ApplyError> {
    let pending_stages = built.pending().filter_map(|index| project.migrations[index].stage);
    let mut stages = pending_stages.map(|stage| &project.stages[stage]);
    let Some(stage) = stages.find(|stage| stage.require_backup) else { return Ok(None) };
    let settings = settings.ok_or_else(|| complaint(stage, "no folder for it was given (--backup-dir)"))?;
    Ok(Some((stage, settings)))
}

fn complaint(stage: &Stage, why: &str) -> ApplyError {
    ApplyError::Backup(format!("{} {} requires a backup: {why}", stage.kind, stage.id))
}

/// Takes one backup if any pending migration belongs to a stage that requires one.
pub(super) async fn take_required(
    project: &Project,
    built: &Built,
    options: &ConnectOptions,
    settings: Option<&BackupSettings>,
    monitor: &mut Session,
    recorder: &mut Recorder<'_>,
) -> Result<(), ApplyError> {
    let Some((stage, settings)) = required(project, built, settings)? else { return Ok(()) };
    let complain = |why: String| complaint(stage, &why);
    let tables = count_tables(monitor).await?;
    let name = format!("{}-{}.dump", safe_name(&options.database), recorder.run());
    let path = settings.folder.join(name);
    let mut sandbox_options = settings.sandbox.clone();
    let target = options.clone();
    let dump = path.clone();
    let server_major = monitor.server_version_num() / 10_000;
    let programs = Binaries::find_for_dump(
        sandbox_options.bin_dir.as_deref(),
        &sandbox_options.search_path,
        sandbox_options.major.unwrap_or(server_major),
    );
    sandbox_options.bin_dir = Some(programs.map_err(|error| complain(error.to_string()))?.folder);
    sandbox_options.major = None;
    // Whoever lets go of the run ends the programs at work for it.
    let work = Arc::new(Work::default());
    let _end = EndOnDrop(Arc::clone(&work));
    let taken = tokio::task::spawn_blocking(move || take(&dump, &target, &sandbox_options, &work))
        .await
        .map_err(|error| complain(error.to_string()))?;
    let Taken { sandbox, bytes, sha256 } = taken.map_err(complain)?;
    let restored = restored_tables(&sandbox).await.map_err(complain)?;
    drop(sandbox);
    if restored != tables {
        return Err(complain(format!(
            "the database has {tables} tables, the restored dump {restored}: {}",
            path.display()
        )));
    }
    recorder.tell(EventKind::BackupTaken {
        stage: stage.id.clone(),
        path: path.display().to_string(),
        bytes,
        sha256,
    });
    store(monitor, "", recorder).await
}

struct Taken {
    sandbox: Sandbox,
    bytes: u64,
    sha256: String,
}

/// The program that works on a backup, so that it can be ended from outside.
#[derive(Default)]
struct Work {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: bool,
    child: Option<Child>,
}

impl Work {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the program at work, and lets no other begin.
    fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        if let Some(child) = &mut state.child {
            let _ = child.kill();
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.state().ended { Err("interrupted".to_owned()) } else { Ok(()) }
    }

    /// Runs a client program to its end. Blocks.
    fn run(&self, program: &'static str, command: &mut Command) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot run {program}: {error}");
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut errors = {
            let mut state = self.state();
            if state.ended {
                return Err("interrupted".to_owned());
            }
            let mut child = command.spawn().map_err(failed)?;
            let errors = child.stderr.take();
            state.child = Some(child);
            errors
        };
        // Its end closes the pipe; until then others may end it.
        let mut output = Vec::new();
        if let Some(errors) = &mut errors {
            errors.read_to_end(&mut output).map_err(failed)?;
        }
        let child = self.state().child.take();
        let status = child.map(|mut child| child.wait()).transpose().map_err(failed)?;
        self.check()?;
        match status {
            Some(status) if !status.success() => {
                let output = String::from_utf8_lossy(&output).trim().to_owned();
                Err(SandboxError::Program { program, status: status.to_string(), output }.to_string())
            }
            _ => Ok(()),
        }
    }
}

/// Ends the work when it is dropped.
struct EndOnDrop(Arc<Work>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Dumps, hashes and restores. Blocks. A dump that was not finished, or not tried because the work was ended, is removed.
fn take(
    path: &Path,
    target: &ConnectOptions,
    options: &SandboxOptions,
    work: &Work,
) -> Result<Taken, String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    work.check()?;
    let sandbox =
        Sandbox::start(options).map_err(|error| format!("no throwaway server to restore it in: {error}"))?;
    work.check()?;
    // Made by us before pg_dump writes, so that nobody else can read it at any moment.
    create_private(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if let Err(why) = dump(path, target, &sandbox, work) {
        let _ = std::fs::remove_file(path);
        return Err(why);
    }
    let (bytes, sha256) = hash(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if let Err(why) = restore(path, &sandbox, work) {
        if work.check().is_err() {
            let _ = std::fs::remove_file(path);
        }
        return Err(why);
    }
    Ok(Taken { sandbox, bytes, sha256 })
}

fn dump(path: &Path, target: &ConnectOptions, sandbox: &Sandbox, work: &Work) -> Result<(), String> {
    let mut command = sandbox.binaries().pg_dump(target).map_err(|error| error.to_string())?;
    command.arg("--format=custom").arg("--file").arg(path);
    work.run("pg_dump", &mut command)
}

fn restore(path: &Path, sandbox: &Sandbox, work: &Work) -> Result<(), String> {
    let mut command =
        sandbox.binaries().pg_restore(&sandbox.options("postgres")).map_err(|error| error.to_string())?;
    // Roles and tablespaces belong to a cluster, not to a database: the throwaway server does not have them.
    command.args(["--no-owner", "--no-privileges", "--no-tablespaces"]).arg(path);
    work.run("pg_restore", &mut command).map_err(|why| format!("the dump could not be restored: {why}"))
}

fn create_private(path: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map(drop)
}

fn hash(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                bytes += u64::try_from(count).unwrap_or(0);
            }
        }
    }
    let digest = hasher.finalize();
    Ok((bytes, text::hex(&digest)))
}

async fn count_tables(session: &mut Session) -> Result<i64, ApplyError> {
    let rows = session.query(CONTENT, &[]).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

async fn restored_tables(sandbox: &Sandbox) -> Result<i64, String> {
    let mut session = Session::connect(&sandbox.options("postgres"), &Startup::default())
        .await
        .map_err(|error| error.to_string())?;
    count_tables(&mut session).await.map_err(|error| error.to_string())
}

/// A database name as part of a file name.
fn safe_name(database: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    database.chars().map(keep).collect()
}
