//! A folder as conventions see it: names, and texts where one asks for them.

use std::fmt;
use std::io;

/// Files that say something of migrations are read up to this size: 16 MiB.
const LARGEST: u64 = 16 << 20;
/// So much of a migration is looked at to tell of which convention it is: 16 KiB.
const HEAD: u64 = 16 << 10;
/// So many files are looked into to tell the convention of a folder.
const LOOKED_INTO: usize = 32;

/// Reads the beginning of a file, by its path relative to the folder, up to so many bytes.
pub(super) type ReadFile<'a> = dyn Fn(&str, u64) -> io::Result<Vec<u8>> + 'a;

/// A folder of migrations.
#[derive(Clone, Copy)]
pub struct Folder<'a> {
    /// Path relative to the project, with `/`; `.` for the project itself.
    pub path: &'a str,
    /// Paths of all its files relative to it, with `/`, sorted.
    pub paths: &'a [String],
    read: &'a ReadFile<'a>,
    /// Reads files of the project, by their paths relative to that.
    project: Option<&'a ReadFile<'a>>,
    /// It is read to tell its convention: SQL files that are none of a convention's need not be named.
    pub(super) is_to_be_told: bool,
}

impl fmt::Debug for Folder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("path", &self.path).field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl<'a> Folder<'a> {
    /// A folder whose files can be read.
    pub fn new(path: &'a str, paths: &'a [String], read: &'a ReadFile<'a>) -> Self {
        Self { path, paths, read, project: None, is_to_be_told: false }
    }

    /// The same folder in a project whose other files can be read.
    #[must_use]
    pub fn within(self, project: &'a ReadFile<'a>) -> Self {
        Self { project: Some(project), ..self }
    }

    /// Names alone: all files are empty.
    pub fn of_names(paths: &'a [String]) -> Self {
        Self { path: ".", paths, read: &|_, _| Ok(Vec::new()), project: None, is_to_be_told: false }
    }

    /// The same folder, read to tell its convention.
    #[must_use]
    pub(super) fn to_be_told(self) -> Self {
        Self { is_to_be_told: true, ..self }
    }

    /// The same folder with only these files.
    #[must_use]
    pub fn with_paths(self, paths: &'a [String]) -> Self {
        Self { paths, ..self }
    }

    /// Whether there is such a file.
    pub fn has(&self, path: &str) -> bool {
        self.paths.binary_search_by(|other| other.as_str().cmp(path)).is_ok()
    }

    /// The text of a small file, without a byte order mark and with LF as line ends.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let bytes =
            (self.read)(path, LARGEST + 1).map_err(|error| format!("cannot read the file: {error}"))?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!("the file is larger than {} MiB", LARGEST >> 20));
        }
        let text = String::from_utf8(bytes).map_err(|_| "the file is not UTF-8".to_owned())?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Ok(text.replace("\r\n", "\n"))
    }

    /// The text of a small file of this name in one of the folders above, or in the folder itself, the nearest one, with its
    /// path relative to the project; none where there is none.
    pub fn above(&self, name: &str) -> Option<(String, String)> {
        let read = self.project?;
        let folders = std::iter::successors(Some(self.path), |path| {
            (*path != ".").then(|| path.rsplit_once('/').map_or(".", |(above, _)| above))
        });
        folders
            .map(|folder| if folder == "." { name.to_owned() } else { format!("{folder}/{name}") })
            .find_map(|path| {
                let text = read(&path, LARGEST).ok()?;
                Some((path, String::from_utf8_lossy(&text).into_owned()))
            })
    }

    /// How a file begins; nothing where it cannot be read, for that is said elsewhere.
    pub fn head(&self, path: &str) -> String {
        let bytes = (self.read)(path, HEAD).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n")
    }

    /// The first file, among those of which the names are right, of which the beginning is.
    pub fn first_with(
        &self,
        is_named: impl Fn(&str) -> bool,
        begins: impl Fn(&str) -> bool,
    ) -> Option<&'a str> {
        let named = self.paths.iter().map(String::as_str).filter(|path| is_named(path));
        named.take(LOOKED_INTO).find(|path| begins(&self.head(path)))
    }
}
