//! Putting documents into a folder: over what was put there before, and nothing else.

use std::fs;
use std::io;
use std::path::Path;

use crate::put;

/// What every document begins with, between the marks of its file.
const MARK: &str = "Written by cutover report (documents): made anew each time, and edits are lost.";

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Name of the file.
    pub name: String,
    /// All of its text.
    pub text: String,
}

impl Document {
    /// A document under its mark, ending in a line feed.
    pub(super) fn new(name: &str, text: &str) -> Self {
        let head = match name.rsplit('.').next() {
            Some("sql") => format!("-- {MARK}\n"),
            Some("svg") => format!("<!-- {MARK} -->\n"),
            _ => format!("<!-- {MARK} -->\n\n"),
        };
        Self { name: name.to_owned(), text: format!("{head}{text}\n") }
    }
}

/// Whether a text begins as a document does that was written here.
pub fn is_ours(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    first
        .strip_prefix("-- ")
        .or_else(|| first.strip_prefix("<!-- "))
        .is_some_and(|rest| rest.starts_with(MARK))
}

/// Writes the documents; the folder is made, and each file is there as it was or as it is to be, whatever happens meanwhile. A file that is as it should be is left alone. Says how many were written.
///
/// # Errors
/// The first file that cannot be written, with its name.
pub fn write(folder: &Path, documents: &[Document]) -> Result<usize, (String, io::Error)> {
    fs::create_dir_all(folder).map_err(|error| ("the folder".to_owned(), error))?;
    let mut written = 0;
    for document in documents {
        let path = folder.join(&document.name);
        if fs::read(&path).is_ok_and(|there| there == document.text.as_bytes()) {
            continue;
        }
        put::over(&path, &document.text).map_err(|error| (document.name.clone(), error))?;
        written += 1;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_is_put_in_place_whole_and_a_link_to_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (link, elsewhere) = (folder.path().join("docs/README.md"), folder.path().join("real.md"));
        fs::create_dir(folder.path().join("docs")).unwrap();
        fs::write(&elsewhere, Document::new("README.md", "old").text).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        let new = Document::new("README.md", "new");
        assert_eq!(write(&folder.path().join("docs"), std::slice::from_ref(&new)).unwrap(), 1);
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), new.text);
        assert!(link.symlink_metadata().unwrap().is_symlink());
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn documents_are_known_by_their_first_line() {
        for name in ["README.md", "verify.sql", "erd.svg"] {
            assert!(is_ours(&Document::new(name, "x").text), "{name}");
        }
        assert!(!is_ours("# My own\n") && !is_ours(""));
    }
}
