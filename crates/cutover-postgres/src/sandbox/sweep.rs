//! Clears up what killed owners left behind.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::SandboxOptions;
use super::folder::{Folder, PREFIX, usual_bases};
use super::process;

/// An empty folder without a marker is what an owner killed while creating it leaves.
const EMPTY_AFTER: Duration = Duration::from_secs(600);

/// Stops servers of this user whose owner is gone and removes their folders, wherever servers with these options may
/// have been put. Folders of living owners, of other users, and anything that is not certainly a sandbox stay.
///
/// Returns the folders removed. What cannot be removed is left for the next sweep.
pub fn sweep(options: &SandboxOptions) -> Vec<PathBuf> {
    let mut bases = usual_bases(&options.temporary);
    bases.extend(options.base_dir.as_deref().and_then(|base| fs::canonicalize(base).ok()));
    let mut removed = Vec::new();
    for base in bases {
        let Ok(entries) = fs::read_dir(base) else { continue };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) && clear(&entry.path()) {
                removed.push(entry.path());
            }
        }
    }
    removed
}

fn clear(path: &Path) -> bool {
    let Some(folder) = Folder::abandoned(path) else {
        return clear_empty(path);
    };
    process::stop_orphan(&folder.data());
    match folder.remove() {
        Ok(()) => {
            tracing::info!(folder = %path.display(), "removed what a killed sandbox left behind");
            true
        }
        Err(error) => {
            tracing::warn!(folder = %path.display(), %error, "cannot remove an abandoned sandbox");
            false
        }
    }
}

/// Removing a folder that is not empty, or a link, fails by itself.
fn clear_empty(path: &Path) -> bool {
    let old = fs::symlink_metadata(path).is_ok_and(|meta| {
        meta.uid() == rustix::process::geteuid().as_raw()
            && meta.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|age| age > EMPTY_AFTER)
    });
    old && fs::remove_dir(path).is_ok()
}
