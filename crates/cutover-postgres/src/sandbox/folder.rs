//! The folder a throwaway server lives in: where it may be, how it is made so that no other user can interfere, and
//! how a living owner is told from one that is gone.
//!
//! A folder belongs to a living owner as long as somebody holds the lock on its marker file. The operating system
//! gives the lock back when the last holder ends, however it ends, and unlike a process id it means the same in every
//! container that shares the file system.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, FlockOperation, Mode, OFlags};

use super::account::Account;
use super::error::SandboxError;

/// Folder names start so; the rest is random.
pub(super) const PREFIX: &str = "cutover-sandbox-";
const MARKER: &str = "owner";
const MARKER_TEXT: &str = "cutover sandbox 1\n";
/// What a server with a few small databases needs, in bytes: a smaller file system is not considered by default.
const ROOM: u64 = 512 << 20;
/// A folder of shared memory on Linux: no disk, and so no waiting for one.
const SHARED_MEMORY: &str = "/dev/shm";

/// The folder of one server.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked while this is held.
    marker: File,
}

impl Folder {
    /// Makes a folder with an unpredictable name in `base` and marks it as owned by this process.
    pub(super) fn create(base: &Path, account: Account) -> Result<Self, SandboxError> {
        let path = base.join(format!("{PREFIX}{}", random_hex(8)?));
        let create = || format!("create {}", path.display());
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(SandboxError::io(create()))?;
        // Locked before it gets its name: a sweep never sees a marker that nobody holds while its owner lives.
        let fresh = path.join("owner.new");
        let marker = new_file(&fresh, 0o600)
            .and_then(|mut marker| {
                rustix::fs::flock(&marker, FlockOperation::LockExclusive)?;
                marker.write_all(format!("{MARKER_TEXT}process {}\n", std::process::id()).as_bytes())?;
                fs::rename(&fresh, path.join(MARKER))?;
                Ok(marker)
            })
            .map_err(SandboxError::io(create()))?;
        account.admit(&path)?;
        Ok(Self { path, marker })
    }

    /// Takes over a folder whose owner is gone: `None` for whatever is not certainly such a folder.
    pub(super) fn abandoned(path: &Path) -> Option<Self> {
        // No step follows a symbolic link, and everything is checked on what was opened, not on its name.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags | OFlags::DIRECTORY, Mode::empty()).ok()?;
        let meta = File::from(folder.try_clone().ok()?).metadata().ok()?;
        if !private(&meta) {
            return None;
        }
        let marker = rustix::fs::openat(&folder, MARKER, flags | OFlags::NONBLOCK, Mode::empty()).ok()?;
        let marker = File::from(marker);
        let meta = marker.metadata().ok()?;
        if !meta.is_file() || !private(&meta) {
            return None;
        }
        let mut text = String::new();
        (&marker).take(256).read_to_string(&mut text).ok()?;
        if !text.starts_with(MARKER_TEXT) {
            return None;
        }
        rustix::fs::flock(&marker, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Self { path: path.to_owned(), marker })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Another handle that keeps the folder owned.
    pub(super) fn lock_handle(&self) -> io::Result<File> {
        self.marker.try_clone()
    }

    /// The server's data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Makes a folder that belongs to the server's user alone.
    pub(super) fn make_private(&self, name: &str, account: Account) -> Result<PathBuf, SandboxError> {
        let path = self.path.join(name);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(SandboxError::io(format!("create {}", path.display())))?;
        account.own(&path)?;
        Ok(path)
    }

    /// Removes everything, the marker last: whatever interrupts this, the next sweep can go on.
    pub(super) fn remove(&self) -> io::Result<()> {
        let mut last = Ok(());
        // A server that is going down may still create a file or two.
        for _ in 0..10 {
            last = self.try_remove();
            if last.is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        last
    }

    fn try_remove(&self) -> io::Result<()> {
        for entry in present(fs::read_dir(&self.path))?.into_iter().flatten() {
            let entry = entry?;
            if entry.file_name() == MARKER {
                continue;
            }
            if entry.file_type()?.is_dir() {
                present(fs::remove_dir_all(entry.path()))?;
            } else {
                present(fs::remove_file(entry.path()))?;
            }
        }
        present(fs::remove_file(self.path.join(MARKER)))?;
        present(fs::remove_dir(&self.path))?;
        Ok(())
    }
}

/// Something else may have removed it first.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Owned by this user and writable by nobody else.
fn private(meta: &fs::Metadata) -> bool {
    meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0
}

/// Creates a file that must not exist yet.
pub(super) fn new_file(path: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)
}

/// `bytes` random bytes from the operating system, as hexadecimal digits.
pub(super) fn random_hex(bytes: usize) -> Result<String, SandboxError> {
    use std::fmt::Write as _;
    let mut random = vec![0_u8; bytes];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(SandboxError::io("read /dev/urandom"))?;
    Ok(random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// The folders servers are put in when none is named, best first.
pub(super) fn usual_bases(temporary: &Path) -> Vec<PathBuf> {
    let mut bases = Vec::new();
    for base in [Path::new(SHARED_MEMORY), temporary, Path::new("/tmp")] {
        let base = fs::canonicalize(base).unwrap_or_else(|_| base.to_owned());
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    bases
}

/// The folder to put a server in: `wanted` alone where it is given, else the first usual one that serves.
pub(super) fn choose_base(
    wanted: Option<&Path>,
    temporary: &Path,
    account: Account,
) -> Result<PathBuf, SandboxError> {
    if let Some(wanted) = wanted {
        let base = fs::canonicalize(wanted).map_err(SandboxError::io(format!("use {}", wanted.display())))?;
        return match refusal(&base, account) {
            None => Ok(base),
            Some(why) => Err(SandboxError::NoFolder { refused: vec![format!("{}: {why}", base.display())] }),
        };
    }
    let mut refused = Vec::new();
    for base in usual_bases(temporary) {
        match refusal(&base, account).or_else(|| unsuitable(&base)) {
            None => return Ok(base),
            Some(why) => refused.push(format!("{}: {why}", base.display())),
        }
    }
    Err(SandboxError::NoFolder { refused })
}

/// Why no server may be put there.
fn refusal(base: &Path, account: Account) -> Option<String> {
    let meta = match fs::metadata(base) {
        Ok(meta) => meta,
        Err(error) => return Some(error.to_string()),
    };
    let me = rustix::process::geteuid().as_raw();
    if !meta.is_dir() {
        Some("not a folder".to_owned())
    } else if rustix::fs::access(base, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        Some("not writable".to_owned())
    } else if meta.mode() & 0o022 != 0 && meta.mode() & 0o1000 == 0 {
        Some(
            "others may write there and it has no sticky bit, so they could exchange the server's folder"
                .to_owned(),
        )
    } else if meta.uid() != 0 && meta.uid() != me {
        Some(format!("belongs to user {}", meta.uid()))
    } else if !account.can_reach(base) {
        Some(format!("user {}, who would run the server, cannot get there", account.uid))
    } else {
        None
    }
}

/// Why another folder is the better default.
fn unsuitable(base: &Path) -> Option<String> {
    let space = rustix::fs::statvfs(base).ok()?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free < ROOM {
        return Some(format!("only {} MiB free", free >> 20));
    }
    (base == Path::new(SHARED_MEMORY) && !in_memory(base)).then(|| "not in memory".to_owned())
}

#[cfg(target_os = "linux")]
fn in_memory(base: &Path) -> bool {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    rustix::fs::statfs(base)
        .is_ok_and(|info| u64::try_from(info.f_type).is_ok_and(|kind| kind == TMPFS_MAGIC))
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_base: &Path) -> bool {
    false
}
