//! The files of models that are named. What of them is not read is remembered: what stands there is not in no model.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use cutover_models::{File, Place, SOURCES, Source};

use crate::error::CliError;

/// Folders that hold no sources.
const LEFT_OUT: [&str; 5] = ["__pycache__", "node_modules", "migrations", "venv", "target"];

/// What was read so far.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) files: Vec<File>,
    /// What was not read, and why.
    unread: Vec<(Place, String)>,
    /// Files that are named themselves: they are meant, whatever they are called.
    named: BTreeSet<String>,
    /// Folders as they are without links: each is read once.
    folders: BTreeSet<PathBuf>,
}

impl Reading {
    /// Reads a file, or the files of a folder in order.
    pub(super) fn named(&mut self, path: &Path, shown: &Path) -> Result<(), CliError> {
        if path.is_dir() {
            return self.folder(path, shown);
        }
        self.named.insert(shown.display().to_string());
        self.file(path, shown)
    }

    /// The files that are written in this, and what besides may be models.
    pub(super) fn of(self, source: &Source) -> (Vec<File>, Vec<(Place, String)>) {
        let Self { files, mut unread, named, .. } = self;
        let ends =
            |path: &str, one: &Source| Path::new(path).extension().is_some_and(|own| own == one.extension);
        let is_of = |path: &str| ends(path, source);
        let is_other = |path: &str| !is_of(path) && SOURCES.iter().any(|one| ends(path, one));
        let (files, others): (Vec<File>, Vec<File>) = files.into_iter().partition(|file| is_of(&file.path));
        let meant = others.into_iter().filter(|file| named.contains(&file.path));
        let ending = source.extension;
        unread.retain(|(place, _)| !is_other(&place.path));
        unread.extend(
            meant.map(|file| {
                (Place::new(&file.path, 1), format!("the file, which does not end in .{ending}"))
            }),
        );
        (files, unread)
    }

    fn file(&mut self, path: &Path, shown: &Path) -> Result<(), CliError> {
        let bytes = std::fs::read(path).map_err(|error| failed(shown, &error))?;
        let text = String::from_utf8_lossy(&bytes);
        let path = shown.display().to_string();
        // What is no text in UTF-8 may have been read as something else than it is.
        let wrong = std::str::from_utf8(&bytes).err().map(|error| error.valid_up_to());
        if let Some(at) = wrong.or_else(|| bytes.iter().position(|byte| *byte == 0)) {
            let lines = bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
            let line = u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1);
            self.unread.push((Place::new(&path, line), "what is no text in UTF-8".to_owned()));
        }
        self.files.push(File { path, text: text.into_owned() });
        Ok(())
    }

    fn folder(&mut self, path: &Path, shown: &Path) -> Result<(), CliError> {
        let own = path.canonicalize().map_err(|error| failed(shown, &error))?;
        if !self.folders.insert(own.clone()) {
            return Ok(());
        }
        let entries = std::fs::read_dir(path).map_err(|error| failed(shown, &error))?;
        let mut names: Vec<_> = entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()
            .map_err(|error| failed(shown, &error))?;
        names.sort();
        for name in names {
            let text = name.to_string_lossy();
            if text.starts_with('.') || LEFT_OUT.contains(&&*text) {
                continue;
            }
            let (inner, shown) = (path.join(&name), shown.join(&name));
            let is_source =
                SOURCES.iter().any(|source| inner.extension().is_some_and(|own| own == source.extension));
            if inner.is_dir() {
                self.inner(&inner, &shown, &own)?;
            } else if is_source && inner.is_file() {
                self.file(&inner, &shown)?;
            } else if is_source {
                self.leave(&shown, "a link to nothing that can be read");
            }
        }
        Ok(())
    }

    /// A folder in a folder. One that a link leads to is read as well, unless that would be all around it.
    fn inner(&mut self, path: &Path, shown: &Path, around: &Path) -> Result<(), CliError> {
        let is_around = || path.canonicalize().is_ok_and(|target| around.starts_with(target));
        if path.is_symlink() && is_around() {
            self.leave(shown, "a link to a folder that it lies in");
            return Ok(());
        }
        self.folder(path, shown)
    }

    fn leave(&mut self, shown: &Path, what: &str) {
        self.unread.push((Place::new(&shown.display().to_string(), 1), what.to_owned()));
    }
}

fn failed(shown: &Path, error: &io::Error) -> CliError {
    CliError::usage(format!("cannot read {}: {error}", shown.display()))
}
