//! How a project's files and its history disagree: files that were edited, deleted, renamed or given another number
//! after they were applied, or after a part of them was. Says what of it stops a run, and in words what to do.
//!
//! It changes nothing; a history that follows its files to other numbers is written by the run that is told to.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use cutover_postgres::session::Session;
use similar::udiff::UnifiedHunkHeader;
use similar::{ChangeTag, DiffableStr as _, TextDiff};

use super::HistoryError;
use super::records::{self, Begun, History};
use crate::hazard;
use crate::migration::{Migration, MigrationId, MigrationKind, VersionSort};
use crate::plan::Lines;
use crate::project::Project;
use crate::report::format::count;
use crate::script::Script;
use crate::secrets::Secrets;
use crate::source;

/// How a file and the history disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The file's text changed after it was applied.
    Edited {
        /// Which migration.
        id: MigrationId,
        /// Its path now.
        path: String,
        /// Checksum applied.
        applied: String,
        /// Checksum now.
        now: String,
    },
    /// The file's text changed after a part of it was applied.
    EditedUnfinished {
        /// Which migration.
        id: MigrationId,
        /// Its path now.
        path: String,
        /// How many parts are done.
        done: usize,
        /// Whether the text as a whole is another one; otherwise only its parts are.
        edited: bool,
        /// The parts that are done, or were begun, and are not in the file as they were.
        changed: Vec<ChangedPart>,
    },
    /// Applied (or begun), but no file has that version or that text any more.
    Deleted {
        /// Which migration.
        id: MigrationId,
        /// Path when it was applied.
        path: String,
        /// Only parts of it are applied.
        unfinished: bool,
    },
    /// Same version and text under another name. The next run records the new one.
    Renamed {
        /// Which migration.
        id: MigrationId,
        /// What the file name says after the version, now.
        name: String,
        /// Path when it was applied.
        from: String,
        /// Path now.
        to: String,
    },
    /// Same text under another version.
    Renumbered(Renumbering),
    /// Nothing of the project is applied, but its files are, by another one: it has probably lost its name.
    AppliedElsewhere {
        /// Name of the other project.
        project: String,
        /// How many of the files it has applied.
        files: usize,
    },
    /// Files that are not applied have the text of applied migrations whose files are gone, and it cannot be told which
    /// is which, or whether they are the same at all.
    SameText {
        /// Paths of the files.
        files: Vec<String>,
        /// Paths of the applied migrations with that text.
        applied: Vec<String>,
    },
}

/// A migration whose file has another number than when it was applied, or only another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renumbering {
    /// Identity in the history.
    pub from: MigrationId,
    /// Path when it was applied.
    pub from_path: String,
    /// Identity of the file now.
    pub to: MigrationId,
    /// Name of the file now.
    pub to_name: String,
    /// Its path.
    pub to_path: String,
    /// Only parts of it are applied.
    pub unfinished: bool,
}

/// A part that is done, or was begun, and is not in the file as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedPart {
    /// Its number, from 1.
    pub number: usize,
    /// Whether it is known to be done.
    pub done: bool,
    /// Where it stood in the file when it was begun.
    pub then: Lines,
    /// What the part of this number is now.
    pub now: Option<Lines>,
    /// Number and place of the part that has its text now.
    pub moved: Option<(usize, Lines)>,
}

impl Difference {
    /// The code by which `--allow` accepts it; `None` for what needs no acceptance or cannot be accepted.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Edited { .. } => Some(hazard::EDITED_MIGRATION),
            Self::EditedUnfinished { changed, .. } => changed.is_empty().then_some(hazard::EDITED_UNFINISHED),
            Self::Deleted { unfinished: false, .. } => Some(hazard::DELETED_MIGRATION),
            Self::Deleted { unfinished: true, .. } => Some(hazard::DELETED_UNFINISHED),
            Self::Renumbered(_) => Some(hazard::RENUMBERED_MIGRATION),
            Self::AppliedElsewhere { .. } => Some(hazard::APPLIED_ELSEWHERE),
            Self::Renamed { .. } | Self::SameText { .. } => None,
        }
    }

    /// Whether it stops a run for which these codes are allowed.
    pub fn is_refused(&self, allow: &[String]) -> bool {
        match (self, self.code()) {
            (Self::Renamed { .. }, _) => false,
            (_, Some(code)) => !allow.iter().any(|allowed| allowed == code),
            (_, None) => true,
        }
    }
}

/// Adds to the differences that another project has applied these files, where nothing of this one is applied: at least
/// half of them, for two projects may well have a file in common.
///
/// # Errors
/// As the server says.
pub async fn look_elsewhere(
    project: &Project,
    history: &History,
    session: &mut Session,
    differences: &mut Vec<Difference>,
) -> Result<(), HistoryError> {
    if !history.is_empty() || project.migrations.is_empty() {
        return Ok(());
    }
    let Some((other, files)) = records::applied_elsewhere(session, project).await? else { return Ok(()) };
    if files * 2 >= project.migrations.len() {
        differences.push(Difference::AppliedElsewhere { project: other, files });
    }
    Ok(())
}

/// The migrations that were given other numbers, or other names.
pub fn renumberings(differences: &[Difference]) -> Vec<Renumbering> {
    let moved = |difference: &Difference| match difference {
        Difference::Renumbered(renumbering) => Some(renumbering.clone()),
        Difference::Renamed { id, name, from, to } => Some(Renumbering {
            from: id.clone(),
            from_path: from.clone(),
            to: id.clone(),
            to_name: name.clone(),
            to_path: to.clone(),
            unfinished: false,
        }),
        _ => None,
    };
    differences.iter().filter_map(moved).collect()
}

/// Compares files with the history; in the order of the files, deleted ones last. Files that are begun and not finished
/// are read.
pub fn compare(project: &Project, history: &History) -> Vec<Difference> {
    let lost = Lost::find(&project.migrations, history);
    let mut differences = Vec::new();
    for migration in &project.migrations {
        if let Some(renumbering) = lost.moves.iter().find(|renumbering| renumbering.to == migration.id) {
            differences.push(Difference::Renumbered(renumbering.clone()));
        } else if !lost.moves.iter().any(|renumbering| renumbering.from == migration.id) {
            differences.extend(compare_one(project, migration, history));
        }
    }
    differences.extend(lost.gone.into_iter().map(|row| Difference::Deleted {
        id: row.id.clone(),
        path: row.path.to_owned(),
        unfinished: row.unfinished,
    }));
    differences
        .extend(lost.alike.into_iter().map(|(files, applied)| Difference::SameText { files, applied }));
    differences
}

fn compare_one(project: &Project, migration: &Migration, history: &History) -> Option<Difference> {
    let (id, path) = (migration.id.clone(), migration.path.clone());
    let now = &migration.checksums.normalised;
    // What is made anew may change, and its path is kept with each run; parts that are done may not.
    let applied = history.get(&id).filter(|_| migration.kind != MigrationKind::Repeatable);
    match (applied, history.begun(&id)) {
        (Some(row), _) if row.checksum != *now => {
            Some(Difference::Edited { id, path, applied: row.checksum.clone(), now: now.clone() })
        }
        (Some(row), _) if row.path != path => {
            let name = migration.name.clone();
            Some(Difference::Renamed { id, name, from: row.path.clone(), to: path })
        }
        (None, Some(begun)) => {
            let changed = changed_parts(project, migration, begun);
            let edited = begun.checksum != *now;
            (edited || !changed.is_empty()).then(|| Difference::EditedUnfinished {
                id,
                path,
                done: begun.done(),
                edited,
                changed,
            })
        }
        _ => None,
    }
}

/// The parts of a begun migration that are not in its file as they were. A file that cannot be read has none: why it
/// cannot be read is what stops it.
fn changed_parts(project: &Project, migration: &Migration, begun: &Begun) -> Vec<ChangedPart> {
    let mut script = Script::analyse(migration, &project.vars);
    script.take_parts(migration, &project.vars);
    if script.errors.iter().any(|error| error.code.is_none()) {
        return Vec::new();
    }
    let parts = &script.parts.list;
    let place = |row: &records::UnitRow| usize::try_from(row.unit).unwrap_or(usize::MAX);
    let changed =
        begun.units.iter().filter(|row| parts.get(place(row)).is_none_or(|part| part.digest != row.digest));
    changed
        .map(|row| ChangedPart {
            number: place(row).saturating_add(1),
            done: row.done,
            then: row.lines,
            now: parts.get(place(row)).map(|part| part.lines),
            moved: parts
                .iter()
                .position(|part| part.digest == row.digest)
                .and_then(|at| Some((at + 1, parts.get(at)?.lines))),
        })
        .collect()
}

/// An applied or begun migration.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    id: &'a MigrationId,
    path: &'a str,
    checksum: &'a str,
    unfinished: bool,
}

/// What the history has and the files do not have in its place.
#[derive(Debug, Default)]
struct Lost<'a> {
    moves: Vec<Renumbering>,
    /// Without a file.
    gone: Vec<Row<'a>>,
    /// Files and applied migrations of one text.
    alike: Vec<(Vec<String>, Vec<String>)>,
}

impl<'a> Lost<'a> {
    /// A text says which migration it is only where it is the only one of its kind among the files and in the history:
    /// of texts that are there more than once nothing is guessed.
    fn find(migrations: &'a [Migration], history: &'a History) -> Self {
        let files: HashMap<&MigrationId, &Migration> =
            migrations.iter().map(|migration| (&migration.id, migration)).collect();
        let rows = || rows(history);
        let is_repeatable = |id: &MigrationId| id.version.sort() == VersionSort::Repeatable;
        let in_place = |row: &Row<'_>| {
            files
                .get(row.id)
                .is_some_and(|file| is_repeatable(row.id) || file.checksums.normalised == row.checksum)
        };
        let mut lost: Vec<Row<'a>> = rows().filter(|row| !in_place(row)).collect();
        if lost.is_empty() {
            return Self::default();
        }
        lost.sort_by(|one, other| one.id.cmp(other.id));
        let mut of_text: HashMap<&str, (usize, Vec<&Migration>)> =
            lost.iter().map(|row| (row.checksum, (0, Vec::new()))).collect();
        for row in rows() {
            if let Some((count, _)) = of_text.get_mut(row.checksum) {
                *count += 1;
            }
        }
        // A repeatable migration goes by its name alone.
        for file in migrations.iter().filter(|file| !is_repeatable(&file.id)) {
            if let Some((_, files)) = of_text.get_mut(file.checksums.normalised.as_str()) {
                files.push(file);
            }
        }
        let mut found = Self::default();
        let mut undecided: BTreeSet<&str> = BTreeSet::new();
        for row in &lost {
            match of_text.get(row.checksum) {
                _ if is_repeatable(row.id) => {}
                Some((1, files)) if files.len() == 1 => found.moves.push(renumbering(row, files[0])),
                Some((_, files)) if files.iter().any(|file| is_new(file, history)) => {
                    undecided.insert(row.checksum);
                }
                _ => {}
            }
        }
        found.gone = lost
            .into_iter()
            .filter(|row| !files.contains_key(row.id) && !undecided.contains(row.checksum))
            .filter(|row| !found.moves.iter().any(|renumbering| renumbering.from == *row.id))
            .collect();
        for text in undecided {
            let of_text = migrations.iter().filter(|file| file.checksums.normalised == text);
            let new = of_text.filter(|file| is_new(file, history)).map(|file| file.path.clone());
            let applied = rows().filter(|row| row.checksum == text).map(|row| row.path.to_owned());
            let mut applied: Vec<String> = applied.collect();
            applied.sort_unstable();
            found.alike.push((new.collect(), applied));
        }
        found
    }
}

fn rows(history: &History) -> impl Iterator<Item = Row<'_>> {
    let applied = history.applied().map(|row| Row {
        id: &row.id,
        path: &row.path,
        checksum: &row.checksum,
        unfinished: false,
    });
    let begun = history.all_begun().map(|(id, begun)| Row {
        id,
        path: &begun.path,
        checksum: &begun.checksum,
        unfinished: true,
    });
    applied.chain(begun)
}

/// Whether the history has nothing of this version: the file would be run from its beginning.
fn is_new(file: &Migration, history: &History) -> bool {
    history.get(&file.id).is_none() && history.begun(&file.id).is_none()
}

fn renumbering(row: &Row<'_>, file: &Migration) -> Renumbering {
    Renumbering {
        from: row.id.clone(),
        from_path: row.path.to_owned(),
        to: file.id.clone(),
        to_name: file.name.clone(),
        to_path: file.path.clone(),
        unfinished: row.unfinished,
    }
}

/// A difference in words, with what to do; an edited file with a diff.
///
/// # Errors
/// As the server says when it is asked for the applied text.
pub async fn describe(
    project: &Project,
    difference: &Difference,
    session: &mut Session,
) -> Result<String, HistoryError> {
    let (id, path, when) = match difference {
        Difference::Edited { id, path, .. } => (id, path, "as applied"),
        Difference::EditedUnfinished { id, path, edited: true, .. } => (id, path, "when it was begun"),
        other => return Ok(words(project, other)),
    };
    let mut text = words(project, difference);
    let migration = project.migrations.iter().find(|migration| migration.id == *id);
    let now = migration.and_then(|migration| source::read_to_string(migration).ok());
    let then = records::kept(session, &project.name, id).await?.and_then(|kept| kept.text);
    match (then, now) {
        (Some(then), Some(now)) => {
            text.push('\n');
            text.push_str(&unified_diff(&then, &now, path, when));
        }
        (None, _) => text.push_str("\n  (its text was too large to keep: no diff)"),
        (_, None) => text.push_str("\n  (the file cannot be read: no diff)"),
    }
    Ok(text)
}

/// A difference in words.
fn words(project: &Project, difference: &Difference) -> String {
    match difference {
        Difference::Edited { id, path, applied, now } => format!(
            "{path}: was changed after it was applied (checksum {} then, {} now)\n  hint: put it back and write a new \
             migration (`cutover status --show {}` prints the text that was applied), or accept it with --allow \
             edited-migration",
            short(applied),
            short(now),
            shown(project, id)
        ),
        Difference::EditedUnfinished { id, path, done, edited, changed } => {
            unfinished(&shown(project, id), path, *done, *edited, changed)
        }
        Difference::Deleted { id, path, unfinished } => {
            let (what, code) = if *unfinished {
                ("parts of version", "deleted-unfinished")
            } else {
                ("version", "deleted-migration")
            };
            let verb = if *unfinished { "are" } else { "is" };
            format!(
                "{path}: {what} {id} {verb} applied, but no file has it any more\n  hint: bring the file back \
                 (`cutover status --show {}` prints its text), or accept it with --allow {code}",
                shown(project, id)
            )
        }
        Difference::Renamed { from, to, .. } => {
            format!(
                "{to}: was applied under the name {from}; the text is the same, and the next apply records the new name"
            )
        }
        Difference::Renumbered(renumbering) => renumbered(project, renumbering),
        Difference::AppliedElsewhere { project: other, files } => format!(
            "{} of {} are applied already, as project {other:?}; nothing is applied as {:?}\n  hint: write name = {other:?} \
             in [project] of cutover.toml; where it is another project that shares these files, accept it with --allow {}",
            count(*files, "file", "files"),
            project.migrations.len(),
            project.name,
            hazard::APPLIED_ELSEWHERE
        ),
        Difference::SameText { files, applied } => format!(
            "{}: the text is that of {}; whether it is the same migration under another number cannot be told\n  \
             hint: give the files that are applied their old numbers back; where one is to run all the same, let its text \
             differ, if only by a comment",
            files.join(", "),
            applied.join(" and of "),
        ),
    }
}

fn unfinished(version: &str, path: &str, done: usize, edited: bool, changed: &[ChangedPart]) -> String {
    let parts =
        format!("{} of it {} applied", count(done, "part", "parts"), if done == 1 { "was" } else { "were" });
    if changed.is_empty() {
        return format!(
            "{path}: was changed after {parts}; what is applied is unchanged, only the rest was edited\n  hint: put it back, \
             or accept it with --allow edited-unfinished: the run goes on behind the parts that are done, with the rest as \
             it is in the file now"
        );
    }
    let mut text = if edited {
        format!("{path}: was changed after {parts}, and with it what was begun:")
    } else {
        format!(
            "{path}: the text is the one of which {parts}, but it has other parts now; is it a placeholder's value?"
        )
    };
    for part in changed {
        let _ = write!(text, "\n  {}", changed_words(part));
    }
    text.push_str(
        "\n  hint: what is applied is not changed by editing it: put these parts back as they were and in their order, and \
         write what should be otherwise below them or in a new migration",
    );
    let _ = write!(text, "; `cutover status --show {version}` prints the text as it was");
    if changed.iter().any(|part| !part.done) {
        let _ = write!(
            text,
            "\n  hint: if nothing of the part whose end is not known is there, `cutover repair {version} --mark not-done` \
             settles that"
        );
    }
    text
}

fn changed_words(part: &ChangedPart) -> String {
    let ChangedPart { number, done, then, now, moved } = part;
    let state = if *done { "applied" } else { "begun, its end not known" };
    let became = match (moved, now) {
        (Some((other, lines)), _) => format!("is part {other} now, {lines}"),
        (None, Some(lines)) => format!("reads otherwise now, {lines}"),
        (None, None) => "is not in the file any more".to_owned(),
    };
    format!("part {number} ({state}; {then} then) {became}")
}

fn renumbered(project: &Project, renumbering: &Renumbering) -> String {
    let Renumbering { from, from_path, to, to_path, unfinished, .. } = renumbering;
    let renumbered = hazard::RENUMBERED_MIGRATION;
    let state = if *unfinished { "of which parts are applied" } else { "which is applied" };
    let taken = project.migrations.iter().find(|migration| migration.id == *from);
    let old = match taken {
        Some(other) => format!("that number is {}'s now", other.path),
        None => "no file has that number any more".to_owned(),
    };
    let (again, stays) =
        if *unfinished { ("begun again", "goes on with it") } else { ("run again", "counts it as applied") };
    format!(
        "{to_path}: is {from_path}, {state} as version {from}, under another number ({old})\n  hint: give it its number back, or \
         accept {from} → {to} with --allow {renumbered}: the history follows the file and {stays}, and it is not {again}; if it \
         is to be, let its text differ, if only by a comment"
    )
}

/// How `status --show` is told which migration is meant.
fn shown(project: &Project, id: &MigrationId) -> String {
    let several = project.migrations.iter().any(|migration| migration.id.root != id.root);
    if several { format!("{}/{}", id.root, id.version) } else { id.version.to_string() }
}

fn short(checksum: &str) -> &str {
    checksum.get(..12).unwrap_or(checksum)
}

/// A unified diff of a kept text against the file as it is now. A password that changed shows as a changed line of
/// stars.
fn unified_diff(then: &str, now: &str, path: &str, when: &str) -> String {
    let diff = TextDiff::from_lines(then, now);
    let mut secrets = Secrets::default();
    secrets.learn(then);
    secrets.learn(now);
    let (then_shown, now_shown) = (secrets.star(then), secrets.star(now));
    let (then_shown, now_shown) = (then_shown.tokenize_lines(), now_shown.tokenize_lines());
    let mut out = format!("--- {path} ({when})\n+++ {path} (now)\n");
    for group in diff.grouped_ops(3) {
        let _ = writeln!(out, "{}", UnifiedHunkHeader::new(&group));
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = match (change.tag(), change.old_index(), change.new_index()) {
                (ChangeTag::Insert, _, Some(at)) => now_shown.get(at),
                (_, Some(at), _) => then_shown.get(at),
                _ => None,
            };
            let end = if change.missing_newline() { "\n\\ No newline at end of file\n" } else { "" };
            let _ = write!(out, "{}{}{end}", change.tag(), line.copied().unwrap_or_default());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_is_unified_and_shows_no_password() {
        let then = "a;\nb;\nCREATE ROLE r\n  PASSWORD\n  'S3cret1';\nc;\nd;\ne;\nf;\ng;\nh";
        let now = "a;\nb2;\nCREATE ROLE r\n  PASSWORD\n  'S3cret2';\nc;\nd;\ne;\nf;\ng;\nh";
        let expected = "--- V1.sql (as applied)\n+++ V1.sql (now)\n@@ -1,8 +1,8 @@\n a;\n-b;\n+b2;\n CREATE ROLE r\n   PASSWORD\n-  '*******';\n+  '*******';\n c;\n d;\n e;\n";
        assert_eq!(unified_diff(then, now, "V1.sql", "as applied"), expected);
        let again = format!("{then}\n-- S3cret1 again");
        assert!(!unified_diff(then, &again, "V1.sql", "as applied").contains("S3cret1"));
        let longer = format!("{then}\ni");
        let end = unified_diff(then, &longer, "V1.sql", "as applied");
        assert!(
            end.ends_with("-h\n\\ No newline at end of file\n+h\n+i\n\\ No newline at end of file\n"),
            "{end}"
        );
        let plain = TextDiff::from_lines(then, &longer)
            .unified_diff()
            .context_radius(3)
            .header("V1.sql (as applied)", "V1.sql (now)")
            .to_string();
        assert_eq!(end, plain);
    }
}
