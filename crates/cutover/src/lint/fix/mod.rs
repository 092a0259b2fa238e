//! `lint --fix`: the files with their statements in the safe form, where that is mechanical.
//!
//! Works on texts in memory: each round looks at the project as it would be by then and mends what is found, until there is nothing
//! left to mend. What runs in several transactions becomes files of their own where the convention has room for them; in cutover's
//! own convention it may stay one file, of several parts. Nothing is written here but by [`write()`].

mod diff;
mod file;
mod split;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use cutover_analysis::lint::{Fix, Known};
use serde::Serialize;

use super::{Found, Located, Which};
use crate::migration::Source;
use crate::project::Project;

pub use diff::diff;
pub(crate) use write::is_left;
pub use write::{WriteError, write};

/// What can be mended in a project.
#[derive(Debug, Default)]
pub struct Mended {
    /// Files that become others, or are new; in the order in which they would be applied.
    pub files: Vec<Changed>,
    /// What is mended.
    pub fixed: Vec<Fixed>,
    /// What has a safe form that is not mechanical here.
    pub left: Vec<Left>,
}

/// A file that becomes another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Path relative to the project.
    pub path: String,
    /// Where it is, or will be.
    pub file: PathBuf,
    /// Its text; nothing for a new file.
    pub before: Option<String>,
    /// Its text by then.
    pub after: String,
}

/// A finding that is mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fixed {
    /// Path of the file relative to the project.
    pub path: String,
    /// The rule's code.
    pub code: String,
    /// What is done.
    pub done: &'static str,
}

/// A finding that is not mended although its rule has a safe form that is mechanical.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Path of the file relative to the project.
    pub path: String,
    /// Line, counted from 1, in the file as it would be by then.
    pub line: u32,
    /// The rule's code.
    pub code: String,
    /// Why not.
    pub why: String,
}

/// Rounds after which whatever is left stays: a round mends one finding a statement.
const ROUNDS: usize = 32;

/// Mends the files at these places of the project. `known` is what a database says before the first of those that are meant; `now` is
/// UTC as `YYYYMMDDhhmmss`, for conventions that number by time.
pub fn mended(
    project: &Project,
    which: &Which,
    pending: &BTreeSet<usize>,
    known: Option<&Known>,
    now: u64,
) -> Mended {
    // Why a file cannot run in several transactions, once that was tried.
    let mut blocked: BTreeMap<usize, String> = BTreeMap::new();
    loop {
        let mut work = Work {
            project: project.clone(),
            pending,
            blocked: blocked.clone(),
            originals: BTreeMap::new(),
            parted: BTreeSet::new(),
            fixed: Vec::new(),
            left: Vec::new(),
        };
        let found = work.rounds(which, known);
        let known_before = blocked.len();
        let parted = std::mem::take(&mut work.parted);
        let mut split = BTreeMap::new();
        for place in parted {
            match split::files(&work.project, place, now) {
                Ok(files) => drop(split.insert(place, files)),
                Err(why) => drop(blocked.insert(place, why)),
            }
        }
        if blocked.len() > known_before {
            continue;
        }
        if split.values().all(|files| files.len() < 2) {
            return work.finish(&found, split);
        }
        // In files of their own more may be seen.
        let (divided, places, which) = divided(&work.project, pending, which, &split);
        let first = work.finish(&found, split);
        return first.and(mended(&divided, &which, &places, known, now));
    }
}

/// The text of the file at this place with one finding mended, where that takes no other file.
///
/// # Errors
/// Why not.
pub fn one(project: &Project, place: usize, finding: &Located) -> Result<String, String> {
    let migration = project.migrations.get(place).ok_or("there is no such file")?;
    let mending = finding.mending.as_ref().ok_or("there is no mechanical way")?;
    let fix = mending.fix.as_ref().map_err(Clone::clone)?;
    let text = file::Text::read(migration, &project.vars)?;
    text.may_be_written(mending.statement, fix)?;
    if fix.joins.is_some() {
        text.may_be_joined(mending.statement)?;
    }
    if !fix.is_in_place() {
        text.may_be_parted()?;
        text.may_be_opened(mending.statement, fix)?;
        let root = project.roots.iter().find(|root| root.path == migration.id.root);
        if root.is_none_or(|root| root.convention.name() != "numbered") {
            return Err(
                "it takes more than one transaction: `cutover lint --fix` divides the file".to_owned()
            );
        }
    }
    text.with(&[(mending.statement, fix)]).ok_or_else(|| "the place was not found".to_owned())
}

/// The project with the files that files are divided into, and which of them are meant.
fn divided(
    project: &Project,
    pending: &BTreeSet<usize>,
    which: &Which,
    split: &BTreeMap<usize, Vec<split::File>>,
) -> (Project, BTreeSet<usize>, Which) {
    let mut by_then = Project { migrations: Vec::new(), ..project.clone() };
    let (mut places, mut meant) = (BTreeSet::new(), BTreeSet::new());
    for (place, migration) in project.migrations.iter().enumerate() {
        let one = [split::File { migration: migration.clone(), text: String::new() }];
        let files = split.get(&place).filter(|files| !files.is_empty());
        for file in files.map_or(&one[..], Vec::as_slice) {
            let at = by_then.migrations.len();
            by_then.migrations.push(file.migration.clone());
            if files.is_some() {
                set_text(&mut by_then, at, file.text.clone());
            }
            places.extend(pending.contains(&place).then_some(at));
            meant.extend(which.is_meant(place).then_some(at));
        }
    }
    let which = match which {
        Which::Each => Which::Each,
        Which::These(_) => Which::These(meant),
        Which::OneRun(_) => Which::OneRun(meant),
    };
    (by_then, places, which)
}

impl Mended {
    /// What was mended first, and what could be mended then.
    fn and(mut self, then: Self) -> Self {
        for changed in then.files {
            match self.files.iter_mut().find(|file| file.path == changed.path) {
                Some(file) => file.after = changed.after,
                None => self.files.push(changed),
            }
        }
        self.fixed.extend(then.fixed);
        self.left = then.left;
        self
    }
}

struct Work<'a> {
    project: Project,
    pending: &'a BTreeSet<usize>,
    blocked: BTreeMap<usize, String>,
    /// The texts of the files that were changed.
    originals: BTreeMap<usize, String>,
    /// Files that run in several transactions by now and did not before.
    parted: BTreeSet<usize>,
    fixed: Vec<Fixed>,
    left: Vec<Left>,
}

impl Work<'_> {
    fn rounds(&mut self, which: &Which, known: Option<&Known>) -> Found {
        let mut found = super::look(&self.project, which, known.cloned());
        for _ in 0..ROUNDS {
            if !self.round(&found) {
                break;
            }
            found = super::look(&self.project, which, known.cloned());
        }
        found
    }

    /// Mends one finding a statement. Says whether anything was changed.
    fn round(&mut self, found: &Found) -> bool {
        let mut changed = false;
        self.left.clear();
        let mut of_files: HashMap<&str, Vec<&Located>> = HashMap::new();
        for finding in found.findings.iter().filter(|finding| finding.mending.is_some()) {
            of_files.entry(finding.path.as_str()).or_default().push(finding);
        }
        let broken: HashSet<&str> = found.broken.iter().map(|problem| problem.path.as_str()).collect();
        for place in self.pending {
            let path = self.project.migrations.get(*place).map(|migration| migration.path.as_str());
            let Some((path, of_file)) = path.and_then(|path| of_files.get_key_value(path)) else { continue };
            if broken.contains(path) {
                let why = "not all of the file can be read";
                self.left.extend(of_file.iter().map(|finding| left(finding, why.to_owned())));
            } else {
                changed |= self.file(*place, of_file);
            }
        }
        changed
    }

    fn file(&mut self, place: usize, findings: &[&Located]) -> bool {
        let Some(migration) = self.project.migrations.get(place) else { return false };
        let text = match file::Text::read(migration, &self.project.vars) {
            Ok(text) => text,
            Err(why) => {
                self.left.extend(findings.iter().map(|finding| left(finding, why.clone())));
                return false;
            }
        };
        let parts = self.blocked.get(&place).map_or_else(|| text.may_be_parted(), |why| Err(why.clone()));
        let mut choice =
            Choice { text: &text, parts, fixes: Vec::new(), taken: HashSet::new(), codes: Vec::new() };
        let joins = |finding: &Located| {
            finding.mending.as_ref().is_some_and(|one| one.fix.as_ref().is_ok_and(|fix| fix.joins.is_some()))
        };
        // Statements are joined when there is nothing else to do: a statement that does one thing is more easily mended.
        let (joining, others): (Vec<&Located>, Vec<&Located>) =
            findings.iter().partition(|finding| joins(finding));
        for finding in others.into_iter().chain(joining) {
            if let Err(why) = choice.take(finding) {
                self.left.push(left(finding, why));
            }
        }
        let Choice { fixes, codes, .. } = choice;
        let Some(after) = text.with(&fixes).filter(|_| !fixes.is_empty()) else { return false };
        if let Err(why) = file::parses(&after) {
            self.left.extend(findings.iter().map(|finding| left(finding, why.clone())));
            return false;
        }
        let path = migration.path.clone();
        self.originals.entry(place).or_insert_with(|| text.raw().to_owned());
        if fixes.iter().any(|(_, fix)| !fix.is_in_place()) {
            self.parted.insert(place);
        }
        let fixed = |(code, done)| Fixed { path: path.clone(), code, done };
        self.fixed.extend(codes.into_iter().map(fixed));
        set_text(&mut self.project, place, after);
        true
    }

    fn finish(mut self, found: &Found, mut split: BTreeMap<usize, Vec<split::File>>) -> Mended {
        let mut files = Vec::new();
        for (place, before) in self.originals {
            let Some(migration) = self.project.migrations.get(place) else { continue };
            let pieces = split.remove(&place).unwrap_or_default();
            let mut pieces = pieces.into_iter();
            let text = match pieces.next() {
                Some(first) => first.text,
                None => match &migration.source {
                    Source::Embedded(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    Source::File(_) => continue,
                },
            };
            let file = self.project.root.join(&migration.path);
            files.push(Changed { path: migration.path.clone(), file, before: Some(before), after: text });
            files.extend(pieces.map(|piece| Changed {
                file: self.project.root.join(&piece.migration.path),
                path: piece.migration.path,
                before: None,
                after: piece.text,
            }));
        }
        // What has a fix still was not mended in all these rounds.
        let is_still_there = |finding: &&Located| {
            let is_said =
                self.left.iter().any(|left| (&left.code, left.line) == (&finding.code, finding.line));
            finding.mending.as_ref().is_some_and(|mending| mending.fix.is_ok())
                && !is_said
                && files.iter().any(|file| file.path == finding.path)
        };
        let why = "it is there still after everything else was mended";
        let still: Vec<Left> = found
            .findings
            .iter()
            .filter(is_still_there)
            .map(|finding| left(finding, why.to_owned()))
            .collect();
        self.left.extend(still);
        self.left.dedup();
        Mended { files, fixed: self.fixed, left: self.left }
    }
}

/// What is mended of a file in one round: a finding a statement.
struct Choice<'a> {
    text: &'a file::Text,
    /// Why the file cannot run in several transactions, if it cannot.
    parts: Result<(), String>,
    fixes: Vec<(usize, &'a Fix)>,
    /// Statements that get another text.
    taken: HashSet<usize>,
    /// The rules whose findings are mended, and what is done.
    codes: Vec<(String, &'static str)>,
}

impl<'a> Choice<'a> {
    /// Takes a finding, or leaves it to a later round.
    ///
    /// # Errors
    /// Why it is not mended.
    fn take(&mut self, finding: &'a Located) -> Result<(), String> {
        let Some(mending) = &finding.mending else { return Ok(()) };
        let fix = mending.fix.as_ref().map_err(Clone::clone)?;
        if !fix.is_in_place() {
            self.parts.clone()?;
            self.text.may_be_opened(mending.statement, fix)?;
        }
        let at = mending.statement;
        self.text.may_be_written(at, fix)?;
        let is_taken = if fix.joins.is_some() {
            let is_next = self.fixes.iter().all(|(_, fix)| fix.joins.is_some());
            let Some(before) = at.checked_sub(1).filter(|before| is_next && !self.taken.contains(before))
            else {
                return Ok(());
            };
            self.text.may_be_joined(at)?;
            self.taken.insert(at) && self.taken.insert(before)
        } else {
            self.taken.insert(at)
        };
        if is_taken {
            self.fixes.push((at, fix));
        }
        // Several findings may have one fix.
        if self.fixes.contains(&(at, fix)) {
            self.codes.push((finding.code.clone(), fix.title));
        }
        Ok(())
    }
}

fn left(finding: &Located, why: String) -> Left {
    Left { path: finding.path.clone(), line: finding.line, code: finding.code.clone(), why }
}

/// Gives a migration another text than its file has.
pub(super) fn set_text(project: &mut Project, place: usize, text: String) {
    if let Some(migration) = project.migrations.get_mut(place) {
        migration.checksums.bytes = text.len() as u64;
        migration.source = Source::Embedded(Arc::from(text.into_bytes()));
    }
}
