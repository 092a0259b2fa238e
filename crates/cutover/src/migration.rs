//! What a migration is: one file (or embedded text) with a version, a place in the order and claims about itself.
//! Value types only; reading them from a project folder is `project`'s work.

use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cutover_analysis::schema::Id;
use serde::{Deserialize, Serialize};

/// A version: what identifies a migration in its folder, and where it can, what orders it.
///
/// There are several sorts, for tools identify their migrations by different things. Versions of numbers compare
/// numerically, trailing zero parts do not count (`1.0` equals `1`), and the text is kept as the file wrote it. The
/// order of the others is total and means nothing but for [`Version::is_ordered`] ones: what comes after what is said by
/// the place in [`crate::project::Project::migrations`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "VersionRecord", into = "VersionRecord")]
pub struct Version {
    sort: VersionSort,
    parts: Vec<u64>,
    name: String,
    text: String,
}

/// By what a version identifies its migration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionSort {
    /// By its numbers.
    #[default]
    Numbers,
    /// By its numbers, as a migration that stands for all up to them.
    Baseline,
    /// By a name, which may begin with a number; a list, or the order of the names' bytes, says what comes after what.
    Named,
    /// By the name of something that is made anew whenever its text changes.
    Repeatable,
}

#[derive(Serialize, Deserialize)]
struct VersionRecord {
    text: String,
    parts: Vec<u64>,
    #[serde(default, skip_serializing_if = "is_numbers")]
    sort: VersionSort,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn is_numbers(sort: &VersionSort) -> bool {
    *sort == VersionSort::Numbers
}

impl From<VersionRecord> for Version {
    fn from(VersionRecord { text, parts, sort, name }: VersionRecord) -> Self {
        match sort {
            VersionSort::Numbers => Self::new(parts, text),
            sort => Self { sort, parts, name, text },
        }
    }
}

impl From<Version> for VersionRecord {
    fn from(Version { sort, parts, name, text }: Version) -> Self {
        Self { text, parts, sort, name }
    }
}

impl Version {
    /// A version with its order (`parts`) and the spelling found in the file name.
    pub fn new(parts: Vec<u64>, text: impl Into<String>) -> Self {
        let parts = without_zeros(parts);
        Self { sort: VersionSort::Numbers, parts, name: String::new(), text: text.into() }
    }

    /// A name. One that comes again (`occurrence` 2, 3 …) is another version; `text` is what people write.
    pub fn named(name: impl Into<String>, occurrence: u64, text: impl Into<String>) -> Self {
        let parts = vec![occurrence.max(1)];
        Self { sort: VersionSort::Named, parts, name: name.into(), text: text.into() }
    }

    /// Numbers that a baseline migration stands for, with all versions below.
    pub fn baseline(parts: Vec<u64>, text: impl Into<String>) -> Self {
        let parts = without_zeros(parts);
        Self { sort: VersionSort::Baseline, parts, name: String::new(), text: text.into() }
    }

    /// The name of a repeatable migration.
    pub fn repeatable(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { sort: VersionSort::Repeatable, parts: Vec::new(), text: format!("R__{name}"), name }
    }

    /// By what it identifies its migration.
    pub fn sort(&self) -> VersionSort {
        self.sort
    }

    /// The number parts that order it, without trailing zeros.
    pub fn parts(&self) -> &[u64] {
        &self.parts
    }

    /// The spelling in the file name, for people.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether two of its sort in one folder are in the order of their numbers.
    pub fn is_ordered(&self) -> bool {
        self.sort == VersionSort::Numbers
    }

    /// The name, of versions that have one; else nothing.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The spelling under which the history knows it. Numbers are joined by dots, so that `0001` and `1` are one version;
    /// all others begin with a sign that no number does.
    pub fn key(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(u64::to_string).collect();
        let numbers = parts.join(".");
        match (self.sort, self.parts.as_slice()) {
            (VersionSort::Numbers, _) => numbers,
            (VersionSort::Baseline, _) => format!("B{numbers}"),
            (VersionSort::Named, [0 | 1] | []) => format!("={}", self.name),
            (VersionSort::Named, _) => format!("+{numbers}={}", self.name),
            (VersionSort::Repeatable, _) => format!("~{}#", self.name),
        }
    }

    /// The key of the history's row. A repeatable migration has one for each run that applied it.
    pub fn row_key(&self, run: &str) -> String {
        match self.sort {
            VersionSort::Repeatable => format!("~{}#{run}", self.name),
            _ => self.key(),
        }
    }

    /// The version of a [`key`](Self::key) or [`row_key`](Self::row_key); none for what is neither.
    pub fn of_key(key: &str, text: impl Into<String>) -> Option<Self> {
        let numbers = |text: &str| text.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().ok();
        if let Some(name) = key.strip_prefix('~') {
            return name.rsplit_once('#').map(|(name, _)| Self::repeatable(name));
        }
        if let Some(name) = key.strip_prefix('=') {
            return Some(Self::named(name, 1, text));
        }
        if let Some((occurrence, name)) = key.strip_prefix('+').and_then(|rest| rest.split_once('=')) {
            return Some(Self::named(name, occurrence.parse().ok()?, text));
        }
        if let Some(parts) = key.strip_prefix('B') {
            return Some(Self::baseline(numbers(parts)?, text));
        }
        Some(Self::new(numbers(key)?, text))
    }

    /// What identity and order are made of. Sorts do not mix in a folder, but for what Flyway has.
    fn rank(&self) -> (bool, &[u64], VersionSort, &str) {
        (self.sort == VersionSort::Repeatable, &self.parts, self.sort, &self.name)
    }
}

fn without_zeros(mut parts: Vec<u64>) -> Vec<u64> {
    while parts.len() > 1 && parts.last() == Some(&0) {
        parts.pop();
    }
    parts
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
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
        self.rank().cmp(&other.rank())
    }
}
impl std::hash::Hash for Version {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
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

/// Lines of a file, counted from 1, both included.
pub type LineRange = RangeInclusive<u32>;

/// Which part of a file is meant: all of it, or the lines of a section. What is outside is treated as if it were not
/// there, but lines keep their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section(Option<Arc<[LineRange]>>);

impl Section {
    /// All of a file.
    pub const WHOLE: Self = Self(None);

    /// These lines, in order and without overlap.
    pub fn of_lines(lines: Vec<LineRange>) -> Self {
        Self(Some(lines.into()))
    }

    /// The lines, where it is not all of the file.
    pub fn lines(&self) -> Option<&[LineRange]> {
        self.0.as_deref()
    }
}

/// How often a migration is applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationKind {
    /// Once.
    #[default]
    Versioned,
    /// Whenever its text is another one than when it was last applied, after all others of its folder.
    Repeatable,
    /// Once, in a database without a history, in place of all versions up to its own.
    Baseline,
}

impl MigrationKind {
    /// Whether it is one as all are where a tool knows no other kinds.
    pub fn is_versioned(&self) -> bool {
        *self == Self::Versioned
    }
}

/// The way back of a migration.
#[derive(Debug, Clone)]
pub struct Down {
    /// Path relative to the project folder, with `/`; the migration's own where it is a section of the same file.
    pub path: String,
    /// Where its text is.
    pub source: Source,
    /// Which part of the file it is.
    pub section: Section,
    /// Whether the tool runs it outside a transaction.
    pub no_transaction: bool,
    /// Digests of its text.
    pub checksums: Checksums,
}

/// What a migration takes back that is itself a way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// The migration that it takes back.
    pub of: MigrationId,
    /// Tables and columns that go by it and held nothing when it was looked: where one of them holds something by now, none of
    /// it is run.
    pub emptied: Vec<Id>,
}

/// SHA-256 digests, lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksums {
    /// Over the bytes as they are: what `sha256sum` prints.
    pub raw: String,
    /// Over the text with one leading byte order mark removed and CRLF made LF: what the history compares. Only over the
    /// section that is run, where the file has others.
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

/// One migration of a project. What most have not is boxed: there may be tens of thousands of them.
#[derive(Debug, Clone)]
pub struct Migration {
    /// Its identity.
    pub id: MigrationId,
    /// What the file name says after the version, e.g. `create_users`.
    pub name: String,
    /// Path relative to the project folder, with `/`.
    pub path: String,
    /// How often it is applied.
    pub kind: MigrationKind,
    /// Where its text is.
    pub source: Source,
    /// Which part of the file is run.
    pub section: Section,
    /// The tool it was written for runs it outside a transaction: each of its statements is a part of its own.
    pub no_transaction: bool,
    /// The tool it was written for lets it go in below versions that are applied.
    pub any_time: bool,
    /// The way back.
    pub down: Option<Box<Down>>,
    /// It is itself a way back: when it is applied, the history forgets the migration that it is the way back of.
    pub takes_back: Option<Box<WayBack>>,
    /// A script that fails where what the migration made is not there, and its path relative to the project.
    pub verify: Option<Box<(Source, String)>>,
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

    #[test]
    fn keys_are_read_as_they_were_written() {
        let all = [
            Version::new(vec![1, 2], "1.2"),
            Version::baseline(vec![5], "5"),
            Version::named("2026", 1, "2026@v1"),
            Version::named("2026", 2, "2026"),
            Version::named("a#b=c", 1, "a#b=c"),
            Version::named("a#b=c", 3, "a#b=c"),
            Version::named("", 1, ""),
            Version::repeatable("my #view"),
        ];
        for version in &all {
            assert_eq!(Version::of_key(&version.key(), version.text()).as_ref(), Some(version));
            assert_eq!(Version::of_key(&version.row_key("r-1"), version.text()).as_ref(), Some(version));
            let json = serde_json::to_string(version).unwrap();
            let again: Version = serde_json::from_str(&json).unwrap();
            assert_eq!((&again, again.text()), (version, version.text()));
        }
        for (at, version) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other != version && other.key() != version.key()));
        }
        for none in ["", "x", "1.x", "x_1", "moving 1", "+a=b", "Bx", "~x"] {
            assert_eq!(Version::of_key(none, ""), None, "{none}");
        }
        assert!(Version::new(vec![9], "") < Version::repeatable("a"));
    }

    #[test]
    fn numbers_are_written_as_they_always_were() {
        let json = serde_json::to_string(&Version::new(vec![1], "0001")).unwrap();
        assert_eq!(json, r#"{"text":"0001","parts":[1]}"#);
    }
}
