//! Writing what was mended: all files or none, and none of them half.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Changed;
use crate::put;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file is not what it was when it was looked at.
    #[error("{} was changed meanwhile; nothing was written", .0.display())]
    Changed(PathBuf),
    /// A file that was to be made is there.
    #[error("{} is there already; nothing was written", .0.display())]
    Exists(PathBuf),
    /// The file system says no.
    #[error("{} cannot be written: {error}; nothing was written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// Some files were written, and could not be brought back.
    #[error("{} cannot be written: {error}; could not be brought back: {}", path.display(), left.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    Half {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        error: io::Error,
        /// The files that are others now.
        left: Vec<PathBuf>,
    },
}

/// A new text beside the file whose place it takes.
struct Ready<'a> {
    changed: &'a Changed,
    /// The file itself, where the path is a link.
    file: PathBuf,
    temporary: PathBuf,
}

/// Stands before the number of the process in the name of a new text that waits.
const WAITS: &str = ".cutover-";

/// Whether a file is a new text that waits to be put in its place. Where nobody is at work, one was stopped before all were: files may
/// be there twice, whole and in parts.
pub(crate) fn is_left(path: &str) -> bool {
    let number = path.strip_suffix(".tmp").and_then(|rest| rest.rsplit_once(WAITS)).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Writes the files. Each new text is written beside its file first, then all are put in their places; where one cannot be, those
/// before it are put back.
///
/// # Errors
/// Why not.
pub fn write(files: &[Changed]) -> Result<(), WriteError> {
    let mut ready = Vec::new();
    let prepared = files.iter().try_for_each(|changed| prepare(changed).map(|one| ready.push(one)));
    let written = prepared.and_then(|()| put(&ready));
    for one in &ready {
        // Those that were put in their places are gone.
        let _ = fs::remove_file(&one.temporary);
    }
    written
}

fn prepare(changed: &Changed) -> Result<Ready<'_>, WriteError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| WriteError::Io { path, error }
    };
    let file = match &changed.before {
        Some(before) => {
            let file = fs::canonicalize(&changed.file).map_err(failed(&changed.file))?;
            if fs::read(&file).map_err(failed(&file))? != before.as_bytes() {
                return Err(WriteError::Changed(changed.file.clone()));
            }
            file
        }
        None if fs::symlink_metadata(&changed.file).is_ok() => {
            return Err(WriteError::Exists(changed.file.clone()));
        }
        None => changed.file.clone(),
    };
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!("{WAITS}{}.tmp", std::process::id()));
    let temporary = file.with_file_name(name);
    let like = changed.before.is_some().then_some(file.as_path());
    put::whole(&temporary, &changed.after, like).map_err(failed(&temporary))?;
    Ok(Ready { changed, file, temporary })
}

/// Puts the new texts in their places, new files first: they are not there for anybody who reads before the rest is.
fn put(ready: &[Ready<'_>]) -> Result<(), WriteError> {
    let (mut made, mut replaced): (Vec<&Ready<'_>>, Vec<&Ready<'_>>) = (Vec::new(), Vec::new());
    for one in ready.iter().filter(|one| one.changed.before.is_none()) {
        // Unlike a rename, a link never takes the place of a file.
        if let Err(error) = fs::hard_link(&one.temporary, &one.file) {
            return Err(undo(&made, &replaced, &one.file, error));
        }
        made.push(one);
    }
    for one in ready.iter().filter(|one| one.changed.before.is_some()) {
        if let Err(error) = fs::rename(&one.temporary, &one.file) {
            return Err(undo(&made, &replaced, &one.file, error));
        }
        replaced.push(one);
    }
    Ok(())
}

fn undo(made: &[&Ready<'_>], replaced: &[&Ready<'_>], path: &Path, error: io::Error) -> WriteError {
    let mut left = Vec::new();
    for one in made {
        if fs::remove_file(&one.file).is_err() {
            left.push(one.file.clone());
        }
    }
    for one in replaced {
        let before = one.changed.before.as_deref().unwrap_or_default();
        if fs::write(&one.file, before).is_err() {
            left.push(one.file.clone());
        }
    }
    let path = path.to_owned();
    if !left.is_empty() {
        return WriteError::Half { path, error, left };
    }
    match error.kind() {
        io::ErrorKind::AlreadyExists => WriteError::Exists(path),
        _ => WriteError::Io { path, error },
    }
}
