//! Backups that stages require: taken, restored in a throwaway server, compared and recorded before the first
//! statement. A backup that was never restored is a hope, not a backup.
//!
//! The dump is made of a snapshot that stays open until its rows are counted: the restored copy must have every table
//! with exactly as many rows, however busy the database is.

mod content;

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::{Binaries, Interruptible, Sandbox, SandboxError, SandboxOptions};
use cutover_postgres::session::{Session, Startup};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::error::ApplyError;
use super::monitor::Monitor;
use super::recorder::Recorder;
use super::{own_startup, store_early};
use crate::asking::AskError;
use crate::plan::build::Built;
use crate::project::{Project, Stage, text};
use crate::run::EventKind;
use crate::stop::Stop;

/// Where backups go and how they are proven.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    /// Folder for the dumps; created where missing.
    pub folder: PathBuf,
    /// The throwaway server a dump is restored in. Its programs also take the dump: those of the database's major, or
    /// of the next newer one that is installed.
    pub sandbox: SandboxOptions,
}

/// The first pending stage that requires a backup, with the settings for it; an error where there are none.
pub(super) fn required<'a>(
    project: &'a Project,
    built: &Built,
    settings: Option<&'a BackupSettings>,
) -> Result<Option<(&'a Stage, &'a BackupSettings)>, ApplyError> {
    let pending_stages = built.pending().filter_map(|index| project.migrations[index].stage);
    let mut stages = pending_stages.map(|stage| &project.stages[stage]);
    let Some(stage) = stages.find(|stage| stage.require_backup) else { return Ok(None) };
    let settings = settings.ok_or_else(|| {
        ApplyError::NotAllowed(format!(
            "{} {} requires a backup, and no folder for it was given\n  hint: name one with --backup-dir, e.g. --backup-dir \
             backups",
            stage.kind, stage.id
        ))
    })?;
    Ok(Some((stage, settings)))
}

fn complaint(stage: &Stage, why: &str) -> ApplyError {
    ApplyError::Backup(format!("{} {} requires a backup: {why}", stage.kind, stage.id))
}

/// Takes one backup if any pending migration belongs to a stage that requires one. Gives `false` where the run was asked
/// to stop meanwhile: then nothing of it is left.
pub(super) async fn take_required(
    project: &Project,
    built: &Built,
    options: &ConnectOptions,
    settings: Option<&BackupSettings>,
    stop: &Stop,
    monitor: &mut Monitor,
    recorder: &mut Recorder<'_>,
) -> Result<bool, ApplyError> {
    let Some((stage, settings)) = required(project, built, settings)? else { return Ok(true) };
    let name = format!("{}-{}.dump", safe_name(&options.database), recorder.run());
    let path = settings.folder.join(name);
    let work = Arc::new(Work::new(path));
    // Whoever lets go of the run ends the programs at work for it.
    let _end = EndOnDrop(Arc::clone(&work));
    let taking = Taking { stage, settings, options, stop, work };
    match taking.take(recorder).await {
        Ok(()) => {}
        Err(Why::Interrupted) => return Ok(false),
        // pg_restore shows the command that failed, and a dump may hold passwords.
        Err(Why::Failed(why)) => return Err(complaint(stage, &recorder.secrets().star(&why))),
    }
    monitor.for_journal().await?;
    store_early(monitor, "", recorder).await?;
    Ok(true)
}

/// Why there is no backup.
enum Why {
    Interrupted,
    Failed(String),
}

impl From<String> for Why {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl<E> From<E> for Why
where
    AskError: From<E>,
{
    fn from(error: E) -> Self {
        let error = AskError::from(error);
        if error.is_interruption() { Self::Interrupted } else { Self::Failed(error.to_string()) }
    }
}

/// One backup on its way.
struct Taking<'a> {
    stage: &'a Stage,
    settings: &'a BackupSettings,
    options: &'a ConnectOptions,
    stop: &'a Stop,
    work: Arc<Work>,
}

impl Taking<'_> {
    /// Dumps, hashes, restores and compares, and tells of each.
    async fn take(&self, recorder: &mut Recorder<'_>) -> Result<(), Why> {
        let began = Instant::now();
        let (stage, path) = (self.stage.id.clone(), self.work.path.display().to_string());
        recorder.tell(EventKind::BackupStarted { stage: stage.clone(), path: path.clone() });
        let startup = own_startup(recorder.run(), None);
        let mut source = self.unless_stopped(Session::connect(self.options, &startup)).await??;
        let snapshot = content::export_snapshot(&mut source).await?;
        let mut sandbox_options = self.settings.sandbox.clone();
        let server_major = source.server_version_num() / 10_000;
        let programs = Binaries::find_for_dump(
            sandbox_options.bin_dir.as_deref(),
            &sandbox_options.search_path,
            sandbox_options.major.unwrap_or(server_major),
        )?;
        sandbox_options.bin_dir = Some(programs.folder);
        sandbox_options.major = None;
        let sandbox = self.blocking(move |_| start(&sandbox_options)).await?;
        let target = self.options.clone();
        let dumping = move |work: &Work| dump(&target, &snapshot, sandbox, work);
        let (sandbox, bytes, sha256) = self.blocking(dumping).await?;
        recorder.tell(EventKind::BackupTaken { stage: stage.clone(), path: path.clone(), bytes, sha256 });
        let proven = self.prove(source, sandbox).await;
        let (tables, rows) = match proven {
            Err(Why::Failed(why)) => {
                self.work.keep();
                return Err(Why::Failed(format!("{why}\n  the dump stays, unproven: {path}")));
            }
            other => other?,
        };
        self.work.keep();
        recorder.tell(EventKind::BackupRestored { stage, path, tables, rows, took: began.elapsed() });
        Ok(())
    }

    /// Restores the dump and compares it with what its own snapshot holds. Gives the numbers of tables and rows.
    async fn prove(&self, mut source: Session, sandbox: Sandbox) -> Result<(u64, u64), Why> {
        let original = self.unless_stopped(content::of(&mut source)).await??;
        let roles = self.unless_stopped(content::roles(&mut source)).await??;
        source.close().await;
        let restored = sandbox.options(RESTORED);
        content::create_roles(&restored, &roles).await?;
        let sandbox = self.blocking(move |work| restore(sandbox, work)).await?;
        let copy = async {
            let mut session = Session::connect(&restored, &Startup::default()).await?;
            Ok::<_, AskError>(content::of(&mut session).await?)
        };
        let copy = self.unless_stopped(copy).await??;
        // Stopping a server takes a moment.
        self.blocking(move |_| {
            drop(sandbox);
            Ok(())
        })
        .await?;
        content::compare(&original, &copy)?;
        Ok(original.numbers())
    }

    /// Blocking work on a thread of its own. A request to stop ends the program it runs, and is waited for.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Work) -> Result<T, Why> + Send + 'static,
    ) -> Result<T, Why> {
        let shared = Arc::clone(&self.work);
        let mut thread = tokio::task::spawn_blocking(move || work(&shared));
        let result = tokio::select! {
            biased;
            result = &mut thread => result,
            () = self.stop.requested() => {
                self.work.programs.end();
                thread.await
            }
        };
        let result = result.map_err(|error| error.to_string())?;
        if self.work.programs.is_ended() { Err(Why::Interrupted) } else { result }
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Why> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.stop.requested() => {
                self.work.programs.end();
                Err(Why::Interrupted)
            }
        }
    }
}

/// The programs that work on a dump, and its file, which goes with the last of its users unless it is kept.
struct Work {
    programs: Interruptible,
    path: PathBuf,
    /// The file was made by us.
    made: AtomicBool,
    kept: AtomicBool,
}

impl Work {
    fn new(path: PathBuf) -> Self {
        let programs = Interruptible::default();
        Self { programs, path, made: AtomicBool::new(false), kept: AtomicBool::new(false) }
    }

    fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if *self.made.get_mut() && !*self.kept.get_mut() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Ends the work when it is dropped.
struct EndOnDrop(Arc<Work>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.programs.end();
    }
}

/// Database of the throwaway server that the dump is restored into.
const RESTORED: &str = "postgres";

/// Started before the dump: where none can be had, nothing is dumped in vain. Blocks.
fn start(options: &SandboxOptions) -> Result<Sandbox, Why> {
    Sandbox::start(options)
        .map_err(|error| Why::Failed(format!("no throwaway server to restore it in: {error}")))
}

/// Dumps what the snapshot holds, and hashes the file. Blocks.
fn dump(
    target: &ConnectOptions,
    snapshot: &str,
    sandbox: Sandbox,
    work: &Work,
) -> Result<(Sandbox, u64, String), Why> {
    let path = &work.path;
    let failed = |error: io::Error| Why::Failed(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Why::Failed(format!("{}: {error}", folder.display())))?;
    }
    // Made by us before pg_dump writes, so that nobody else can read it at any moment.
    create_private(path).map_err(failed)?;
    work.made.store(true, Ordering::Relaxed);
    let mut command = sandbox.binaries().pg_dump(target)?;
    command.arg("--format=custom").arg(format!("--snapshot={snapshot}")).arg("--file").arg(path);
    work.programs.run("pg_dump", &mut command)?;
    let (bytes, sha256) = hash(path).map_err(failed)?;
    Ok((sandbox, bytes, sha256))
}

/// Restores the dump. Blocks.
fn restore(sandbox: Sandbox, work: &Work) -> Result<Sandbox, Why> {
    let mut command = sandbox.binaries().pg_restore(&sandbox.options(RESTORED))?;
    // Roles' rights and tablespaces belong to a cluster, not to a database.
    command.args(["--no-owner", "--no-privileges", "--no-tablespaces"]).arg(&work.path);
    match work.programs.run("pg_restore", &mut command) {
        Ok(()) => Ok(sandbox),
        Err(SandboxError::Interrupted) => Err(Why::Interrupted),
        Err(error) => Err(Why::Failed(format!("the dump could not be restored: {error}"))),
    }
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

/// A database name as part of a file name.
fn safe_name(database: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    database.chars().map(keep).collect()
}
