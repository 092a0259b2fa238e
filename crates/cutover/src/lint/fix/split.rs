//! A file that runs in several transactions, as several files.
//!
//! In cutover's own convention what runs outside a transaction gets a file of its own where the next number is free; otherwise it is
//! a part of its own in the file, which comes to the same. Other tools know no parts: what they would run in one transaction has to
//! be divided, or is left as it is.

use std::sync::Arc;

use cutover_analysis::effects::{TransactionRule, effects_of_text};

use super::file::{Piece, pieces};
use crate::migration::{Claims, Migration, Source};
use crate::project::Project;
use crate::project::conventions::{Convention, Folder};
use crate::source;

/// One of the files that a file becomes.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// The migration that it is.
    pub(super) migration: Migration,
    /// Its text.
    pub(super) text: String,
}

/// How a tool is told that a file runs outside a transaction.
enum Mark {
    /// It sees that itself.
    Seen,
    /// By what the file begins with.
    Begins(&'static str),
}

fn mark(convention: &dyn Convention) -> Option<Mark> {
    match convention.name() {
        "numbered" | "golang-migrate" | "flyway" => Some(Mark::Seen),
        "sqlx" => Some(Mark::Begins("-- no-transaction\n")),
        _ => None,
    }
}

/// The files that the file becomes, itself first; none where it stays one file.
///
/// # Errors
/// Why its convention does not let it run in several transactions.
pub(super) fn files(project: &Project, place: usize, now: u64) -> Result<Vec<File>, String> {
    let Some(migration) = project.migrations.get(place) else { return Ok(Vec::new()) };
    let root = project.roots.iter().find(|root| root.path == migration.id.root);
    let convention = root.ok_or("its folder is not known")?.convention;
    let Source::Embedded(bytes) = &migration.source else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let is_ours = convention.name() == "numbered";
    let Some(mark) = mark(convention) else {
        let about = convention.about();
        return Err(format!(
            "it takes more than one transaction, and {} is told of that otherwise ({}): divide the file by hand",
            about.tool, about.no_transaction
        ));
    };
    if migration.section.lines().is_some() {
        return Err("it is a section of its file: divide it by hand".to_owned());
    }
    // Offsets are those of the text without its mark and with LF alone.
    let plain = source::read_to_string(migration).map_err(|error| error.to_string())?;
    let groups = groups(&plain, is_ours)?;
    if groups.len() < 2 {
        return Ok(match (&mark, groups.first()) {
            (Mark::Begins(mark), Some(Group { apart: true, .. })) if !text.starts_with(mark.trim_end()) => {
                vec![File { migration: migration.clone(), text: format!("{mark}{text}") }]
            }
            _ => Vec::new(),
        });
    }
    let split =
        room(project, migration).and_then(|()| next(project, convention, migration, groups.len(), now));
    let migrations = match split {
        Ok(migrations) => migrations,
        Err(_) if is_ours => return Ok(Vec::new()),
        Err(why) => return Err(why),
    };
    let (lead, rest) = match text.strip_prefix('\u{feff}') {
        Some(rest) => ("\u{feff}", rest),
        None => ("", text.as_str()),
    };
    let crlf = text.contains("\r\n");
    if crlf && plain.replace('\n', "\r\n") != rest {
        return if is_ours {
            Ok(Vec::new())
        } else {
            Err("its lines end in two ways: divide it by hand".to_owned())
        };
    }
    let texts = groups.into_iter().enumerate().map(|(at, group)| {
        let lead = if at == 0 { lead } else { "" };
        let begin = match (&mark, group.apart) {
            (Mark::Begins(mark), true) => *mark,
            _ => "",
        };
        let text = format!("{lead}{begin}{}", group.text);
        if crlf { text.replace('\n', "\r\n") } else { text }
    });
    Ok(migrations.into_iter().zip(texts).map(|(migration, text)| File { migration, text }).collect())
}

/// Whether more files can come right behind this one.
fn room(project: &Project, migration: &Migration) -> Result<(), String> {
    if migration.down.is_some() || migration.verify.is_some() {
        return Err("it takes more than one transaction, so several files, and its way back is written for all of it: divide both by hand".to_owned());
    }
    if migration.stage.is_some() || migration.claims != Claims::default() {
        return Err("it takes more than one transaction, so several files, and cutover.toml says something of this one".to_owned());
    }
    let is_of_root = |other: &&Migration| other.id.root == migration.id.root && other.kind.is_versioned();
    let last = project.migrations.iter().rfind(is_of_root);
    if !migration.kind.is_versioned() || last.is_none_or(|last| last.id != migration.id) {
        return Err("it takes more than one transaction, so several files, and there are files behind it already: divide it by hand".to_owned());
    }
    Ok(())
}

/// Migrations for so many files, this one first.
fn next(
    project: &Project,
    convention: &dyn Convention,
    migration: &Migration,
    count: usize,
    now: u64,
) -> Result<Vec<Migration>, String> {
    let root = &migration.id.root;
    let mut made: Vec<Migration> =
        project.migrations.iter().filter(|other| other.id.root == *root).cloned().collect();
    let mut migrations = vec![migration.clone()];
    for number in 2..=count {
        let existing: Vec<&Migration> = made.iter().collect();
        let slug = format!("{}_{number}", migration.name.replace([' ', '/', '\\'], "_"));
        let files = convention.next(&existing, &slug, now)?;
        let path = files.first().ok_or("its convention names no next file")?.path.clone();
        let names = [path.clone()];
        let reading = convention.read(&Folder::of_names(&names));
        let found = reading.migrations.into_iter().next().ok_or("its convention names no next file")?;
        let mut next = migration.clone();
        (next.id.version, next.name) = (found.version, found.name);
        next.path = if root == "." { path } else { format!("{root}/{path}") };
        next.source = Source::Embedded(Arc::from(Vec::new()));
        let behind = made.iter().rposition(|other| other.kind.is_versioned()).map_or(0, |at| at + 1);
        migrations.push(next.clone());
        made.insert(behind, next);
    }
    Ok(migrations)
}

/// Statements that stay together.
struct Group {
    text: String,
    /// It is one statement outside a transaction.
    apart: bool,
}

/// Divides a text before and behind each statement that runs outside a transaction; where there are no parts, also where another
/// transaction begins.
fn groups(text: &str, has_parts: bool) -> Result<Vec<Group>, String> {
    let pieces = pieces(text)?;
    let mut groups: Vec<(usize, usize, bool)> = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let apart = is_apart(piece);
        let anew = !has_parts && is_anew(piece);
        match groups.last_mut() {
            Some((_, last, was_apart)) if !apart && !*was_apart && !anew => *last = number,
            _ => groups.push((number, number, apart)),
        }
    }
    let count = groups.len();
    let mut begin = 0;
    let mut divided = Vec::with_capacity(count);
    for (at, (_, last, apart)) in groups.into_iter().enumerate() {
        let end = if at + 1 == count { text.len() } else { behind(text, pieces.get(last)) };
        let part = text.get(begin..end).unwrap_or_default();
        let part = if at == 0 { part } else { without_directive(part.trim_start_matches(['\n', ' '])) };
        let part = if at + 1 == count { part.to_owned() } else { format!("{}\n", part.trim_end()) };
        divided.push(Group { text: part, apart });
        begin = end;
    }
    Ok(divided)
}

/// A new file is a new transaction.
fn without_directive(text: &str) -> &str {
    match text.split_once('\n') {
        Some((first, rest)) if first.trim() == super::file::NEW_TRANSACTION => rest,
        _ => text,
    }
}

/// The end of the line in which a statement ends, unless another statement begins in it.
fn behind(text: &str, piece: Option<&Piece>) -> usize {
    let end = piece.map_or(0, |piece| piece.end);
    let rest = text.get(end..).unwrap_or_default().split('\n').next().unwrap_or_default();
    let is_said_of_it = rest.trim().is_empty() || rest.trim_start().starts_with("--");
    if is_said_of_it { end + rest.len() } else { end }
}

fn is_apart(piece: &Piece) -> bool {
    effects_of_text(&piece.statement.text)
        .is_ok_and(|effects| matches!(effects.transaction, TransactionRule::Forbidden { .. }))
}

fn is_anew(piece: &Piece) -> bool {
    piece.statement.directives.iter().any(|directive| directive.name == "new-transaction")
}
