//! Files that are there whole or not at all, whatever happens while they are written: the text is written beside, and then put in its
//! place in one step.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Writes a file that is not there yet.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where anything of that name is there, which stays as it is; otherwise as the file system says.
pub fn new(path: &Path, text: &str) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let beside = beside(path);
    let put = whole(&beside, text, None).and_then(|()| in_place(&beside, path));
    // Where it was linked to its place it has two names.
    let _ = fs::remove_file(&beside);
    put
}

/// Writes a file in the place of one that may be there, with its rights; one that a link leads to where that is, or would be. What is
/// no file (a pipe, a terminal) is written to.
///
/// # Errors
/// As the file system says; what is there stays then as it is.
pub fn over(path: &Path, text: &str) -> io::Result<()> {
    let there = fs::metadata(path).ok();
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return fs::write(path, text);
    }
    let path = led_to(path)?;
    let beside = beside(&path);
    let like = there.is_some().then_some(path.as_path());
    let put = whole(&beside, text, like).and_then(|()| fs::rename(&beside, &path));
    if put.is_err() {
        let _ = fs::remove_file(&beside);
    }
    put
}

/// Where links lead from here, whether anything is there or not.
fn led_to(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        let Ok(to) = fs::read_link(&path) else { return Ok(path) };
        path = path.parent().unwrap_or(Path::new("")).join(to);
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// Writes a file that is there for nobody yet, to the disk; with the rights of another. Where that fails there is none.
pub(crate) fn whole(path: &Path, text: &str, like: Option<&Path>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut write = || -> io::Result<()> {
        if let Some(like) = like {
            fs::set_permissions(path, fs::metadata(like)?.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        // A disk that is full says so here at the latest.
        file.sync_all()
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// A name beside a file that no other process, and nothing else in this one, writes to.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}.new", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

/// Gives a file its name. Unlike a rename, a link never takes the place of what is there.
fn in_place(beside: &Path, path: &Path) -> io::Result<()> {
    let linked = fs::hard_link(beside, path);
    match &linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => without_links(beside, path).or(linked),
        _ => linked,
    }
}

/// The same where the file system knows no links.
#[cfg(target_os = "linux")]
fn without_links(beside: &Path, path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, beside, CWD, path, RenameFlags::NOREPLACE)?)
}

#[cfg(not(target_os = "linux"))]
fn without_links(_beside: &Path, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A folder in which nobody else of ours puts anything meanwhile.
#[derive(Debug)]
pub(crate) struct Taken {
    _folder: Option<File>,
}

/// Waits until nobody else puts anything into a folder. The hold ends with the process at the latest; where the file system knows no
/// such holds there is none.
pub(crate) fn taken(folder: &Path) -> Taken {
    use rustix::fs::{FlockOperation, flock};
    let folder = File::open(folder).ok();
    Taken { _folder: folder.filter(|folder| flock(folder, FlockOperation::LockExclusive).is_ok()) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::path::Path;
    use std::process::Command;

    use super::{new, over};

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_there_is_never_replaced_by_something_new() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.sql");
        new(&file, "one").unwrap();
        assert_eq!(new(&file, "two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        // Nor where it has come since it was looked for.
        let beside = super::beside(&file);
        super::whole(&beside, "three", None).unwrap();
        assert_eq!(super::in_place(&beside, &file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        #[cfg(target_os = "linux")]
        assert_eq!(super::without_links(&beside, &file).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::remove_file(&beside).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("b.sql")).unwrap();
        assert_eq!(new(&folder.path().join("b.sql"), "x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        over(&file, "four").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "four");
        assert_eq!(names(folder.path()), ["a.sql", "b.sql"]);
    }

    #[test]
    fn what_a_link_leads_to_is_written_where_that_is_or_would_be() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("kept")).unwrap();
        symlink("kept/report.html", at("second")).unwrap();
        symlink("second", at("first")).unwrap();
        symlink(at("first"), at("kept/back")).unwrap();
        for (link, text) in [("first", "made"), ("kept/back", "again")] {
            over(&at(link), text).unwrap();
            assert_eq!(fs::read_to_string(at("kept/report.html")).unwrap(), text);
            assert!(at(link).is_symlink() && at("second").is_symlink());
        }
        symlink("round", at("round")).unwrap();
        assert!(over(&at("round"), "x").is_err() && at("round").is_symlink());
        symlink("nowhere/x", at("astray")).unwrap();
        assert!(over(&at("astray"), "x").is_err() && at("astray").is_symlink());
        assert_eq!(names(&at("kept")), ["back", "report.html"]);
    }

    /// A process of its own may write files of a few bytes and no larger ones, as on a disk that is full.
    #[test]
    fn where_the_text_does_not_fit_there_is_no_file_and_the_old_one_stays() {
        const FOLDER: &str = "CUTOVER_TEST_SMALL_FILES";
        if let Some(folder) = std::env::var_os(FOLDER) {
            let text = "x".repeat(1 << 20);
            new(&Path::new(&folder).join("new.sql"), &text).unwrap_err();
            over(&Path::new(&folder).join("old.sql"), &text).unwrap_err();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("old.sql"), "old").unwrap();
        let own = "put::tests::where_the_text_does_not_fit_there_is_no_file_and_the_old_one_stays";
        let mut small = Command::new("sh");
        // The signal by which larger ones are refused is ignored: the write fails then.
        small.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact --nocapture \"$1\""]);
        small.arg(std::env::current_exe().unwrap()).arg(own).env(FOLDER, folder.path());
        let output = small.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(names(folder.path()), ["old.sql"]);
        assert_eq!(fs::read_to_string(folder.path().join("old.sql")).unwrap(), "old");
    }
}
