//! What a migration is: one file (or embedded text) with a version, a place in the order and claims about itself.
//! Value types only; reading them from a project folder is `project`'s work.

use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A version as its convention orders it: number parts compare numerically, trailing zero parts do not count
/// (`1.0` equals `1`), and the text is kept as the file wrote it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "VersionRecord", into = "VersionRecord")]
pub struct Version {
    parts: Vec<u64>,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct VersionRecord {
    text: String,
    parts: Vec<u64>,
}

impl From<VersionRecord> for Version {
    fn from(record: VersionRecord) -> Self {
        Self::new(record.parts, record.text)
    }
}

impl From<Version> for VersionRecord {
    fn from(version: Version) -> Self {
        Self { text: version.text, parts: version.parts }
    }
}

impl Version {
    /// A version with its order (`parts`) and the spelling found in the file name.
    pub fn new(mut parts: Vec<u64>, text: impl Into<String>) -> Self {
        while parts.len() > 1 && parts.last() == Some(&0) {
            parts.pop();
        }
        Self { parts, text: text.into() }
    }

    /// The number parts that order it, without trailing zeros.
    pub fn parts(&self) -> &[u64] {
        &self.parts
    }

    /// The spelling in the file name, for people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The spelling under which the history knows it: parts joined by dots, so that `0001` and `1` are one version.
    pub fn key(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(u64::to_string).collect();
        parts.join(".")
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}
impl Eq for Version {}
impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts)
    }
}
impl std::hash::Hash for Version {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.parts.hash(state);
    }
}
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Which migration within a project: the folder (root) it comes from, as `cutover.toml` spells it, and its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MigrationId {
    /// The migration folder's path relative to the project, with `/`, `.` for the project folder itself.
    pub root: String,
    /// The version within that folder.
    pub version: Version,
}

impl fmt::Display for MigrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.version)
    }
}

/// Where the text of a migration is.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file on disk, absolute path. Read again while it is applied, and compared with its checksum.
    File(PathBuf),
    /// Text compiled into the program.
    Embedded(Arc<[u8]>),
}

/// SHA-256 digests, lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    /// Over the bytes as they are: what `sha256sum` prints.
    pub raw: String,
    /// Over the text with one leading byte order mark removed and CRLF made LF: what the history compares.
    pub normalised: String,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// What `cutover.toml` claims of a migration. Nothing here is believed: `verify` measures each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Objects it creates, as `kind name`, e.g. `table users`, `index idx_a`; a bare name is a table.
    pub creates: Vec<String>,
    /// Objects it changes.
    pub alters: Vec<String>,
    /// Objects it reads or refers to.
    pub uses: Vec<String>,
    /// The design file it is cut from, relative to the project.
    pub source: Option<String>,
    /// The checklist task it fulfils.
    pub task: Option<String>,
    /// Left out of ordinary runs until it is named; may go in later, out of order.
    pub deferred: bool,
    /// Applied only when named or with `--optional`.
    pub optional: bool,
    /// Versions (as text) that must be applied before it.
    pub requires: Vec<String>,
}

/// One migration of a project.
#[derive(Debug, Clone)]
pub struct Migration {
    /// Its identity.
    pub id: MigrationId,
    /// What the file name says after the version, e.g. `create_users`.
    pub name: String,
    /// Path relative to the project folder, with `/`.
    pub path: String,
    /// Where its text is.
    pub source: Source,
    /// Digests of the text.
    pub checksums: Checksums,
    /// Index into the project's stages, where a stage names it.
    pub stage: Option<usize>,
    /// What is claimed of it.
    pub claims: Claims,
}

impl Migration {
    /// The file name without its folder.
    pub fn file_name(&self) -> &str {
        Path::new(&self.path).file_name().and_then(|name| name.to_str()).unwrap_or(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_number_and_ignore_trailing_zeros() {
        let v = |parts: &[u64]| Version::new(parts.to_vec(), "x");
        assert!(v(&[999]) < v(&[1001]));
        assert!(v(&[1, 2]) < v(&[1, 10]));
        assert_eq!(v(&[1, 0]), v(&[1]));
        assert_eq!(v(&[0]).key(), "0");
        assert!(v(&[1]) < v(&[1, 1]));
    }
}
