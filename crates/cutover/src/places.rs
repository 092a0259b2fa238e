//! Places in migration files, for messages that point at them. Nothing of this is remembered while a file is read: once
//! something is wrong, the file is read again.
//!
//! Statements are counted in the text as it is sent, with placeholders replaced; people look at the file as it is. What
//! is shown of a line is therefore the file's own text, which also keeps the values of placeholders out of messages.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use cutover_analysis::effects::{ObjectRef, place_of};
use cutover_analysis::sql::{Item, Splitter, Statement, routine_body};

use crate::migration::Migration;
use crate::project::{Place, Vars, text, vars};
use crate::secrets::{Secrets, starred, without_passwords};
use crate::source;
use crate::text::{caret, locate};

/// Bytes of a line that are kept for showing it; of longer lines nothing is shown that is not known already.
const SHOWN: u64 = 4096;
/// Files up to this size are looked through as a whole for passwords: 8 MiB.
const STARRED: u64 = 8 << 20;

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePlace {
    /// Line, counted from 1.
    pub(crate) line: u32,
    /// Column in characters, counted from 1.
    pub(crate) column: u32,
    /// The whole line; empty where there is none to show.
    pub(crate) source_line: String,
}

impl FilePlace {
    /// The line with a caret under the column; nothing where there is no line to show.
    pub(crate) fn excerpt(&self) -> String {
        if self.source_line.is_empty() {
            return String::new();
        }
        format!("\n{}", caret(self.line, self.column, &self.source_line))
    }
}

/// Moves places of the text as it is sent to the file, each with its whole line. What cannot be found, because the file
/// changed or cannot be read any more, or its line is too long, stays as it is.
pub(crate) fn into_file(migration: &Migration, vars: &Vars, places: &mut [&mut FilePlace]) {
    let wanted: Vec<Place> =
        places.iter().map(|place| Place { line: place.line, column: place.column }).collect();
    let Ok(found) = in_file(migration, vars, &wanted) else { return };
    for (place, (line, column, source_line)) in places.iter_mut().zip(found).filter_map(|(place, found)| {
        let (at, source_line) = found?;
        Some((place, (at.line, at.column, source_line)))
    }) {
        place.line = line;
        place.column = column;
        if !source_line.is_empty() {
            place.source_line = source_line;
        }
    }
}

fn in_file(migration: &Migration, vars: &Vars, wanted: &[Place]) -> io::Result<Vec<Option<(Place, String)>>> {
    let found = vars::places_in_source(source::normalised(migration)?, vars, wanted)?;
    let lines =
        shown_lines(migration, found.iter().flatten().map(|place| (place.line, String::new())).collect())?;
    let with_line = |place: Place| (place, lines.get(&place.line).cloned().unwrap_or_default());
    Ok(found.into_iter().map(|place| place.map(with_line)).collect())
}

/// The lines that are wanted by their numbers, with passwords as stars. A password may stand on a line of its own, so
/// the whole text counts, where it is not too large to be looked at once more.
fn shown_lines(migration: &Migration, wanted: BTreeMap<u32, String>) -> io::Result<BTreeMap<u32, String>> {
    let mut reader = text::open(&migration.source)?;
    if migration.checksums.bytes <= STARRED {
        let mut whole = String::new();
        reader.read_to_string(&mut whole)?;
        return lines(starred(&whole).as_bytes(), wanted);
    }
    let mut found = lines(BufReader::new(reader), wanted)?;
    for line in found.values_mut() {
        *line = without_passwords(line);
    }
    Ok(found)
}

/// Reads the lines that are wanted by their numbers. One that is too long stays empty.
fn lines(mut reader: impl BufRead, mut wanted: BTreeMap<u32, String>) -> io::Result<BTreeMap<u32, String>> {
    let last = wanted.keys().next_back().copied().unwrap_or(0);
    let mut number = 1;
    while number <= last {
        match wanted.get_mut(&number) {
            Some(line) => {
                let mut bytes = Vec::new();
                reader.by_ref().take(SHOWN).read_until(b'\n', &mut bytes)?;
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                    *line = String::from_utf8_lossy(&bytes).into_owned();
                } else if (bytes.len() as u64) < SHOWN {
                    *line = String::from_utf8_lossy(&bytes).into_owned();
                    break;
                } else if reader.skip_until(b'\n')? == 0 {
                    break;
                }
            }
            None if reader.skip_until(b'\n')? == 0 => break,
            None => {}
        }
        number += 1;
    }
    Ok(wanted)
}

/// Where the statement that begins at a place (of the text as it is sent) names an object: in the file, with its line.
pub(crate) fn of_name(
    migration: &Migration,
    vars: &Vars,
    (line, column): (u32, u32),
    object: &ObjectRef,
) -> FilePlace {
    let mut place = FilePlace { line, column, source_line: String::new() };
    let statement =
        statements(migration, vars).find(|statement| (statement.line, statement.column) == (line, column));
    if let Some(statement) = statement {
        let offset = place_of(&statement.text, object).unwrap_or(0);
        (place.line, place.column, place.source_line) =
            Secrets::of(vars).locate(&statement.text, offset, statement.line, statement.column);
    }
    into_file(migration, vars, &mut [&mut place]);
    place
}

/// Where parts of statements are in the file: each by the number of the statement, from 0, and the byte of it at which the part begins.
pub(crate) fn of_parts(migration: &Migration, vars: &Vars, wanted: &[(usize, usize)]) -> Vec<FilePlace> {
    let unknown = || FilePlace { line: 1, column: 1, source_line: String::new() };
    let mut places: Vec<FilePlace> = wanted.iter().map(|_| unknown()).collect();
    let secrets = Secrets::of(vars);
    for (number, statement) in statements(migration, vars).enumerate() {
        for (place, (_, offset)) in places.iter_mut().zip(wanted).filter(|(_, (of, _))| *of == number) {
            (place.line, place.column, place.source_line) =
                secrets.locate(&statement.text, *offset, statement.line, statement.column);
        }
    }
    into_file(migration, vars, &mut places.iter_mut().collect::<Vec<_>>());
    places
}

/// Where parts of a text are that is sent as its file has it, each by the byte at which it begins: what [`of_parts`] says,
/// without reading the file again. None where a line is too long to be shown as it is.
pub(crate) fn in_text(whole: &str, starts: &[usize]) -> Option<Vec<FilePlace>> {
    let starred = starred(whole);
    let shown: Vec<&str> = starred.split('\n').collect();
    let line_starts: Vec<usize> =
        std::iter::once(0).chain(memchr::memchr_iter(b'\n', whole.as_bytes()).map(|at| at + 1)).collect();
    let place = |start: &usize| {
        let line = line_starts.partition_point(|first| first <= start).checked_sub(1)?;
        let before = whole.get(*line_starts.get(line)?..*start)?;
        let source_line = shown.get(line).filter(|line| (line.len() as u64) < SHOWN)?;
        Some(FilePlace {
            line: u32::try_from(line).ok()?.checked_add(1)?,
            column: u32::try_from(before.chars().count()).ok()?.checked_add(1)?,
            source_line: (*source_line).to_owned(),
        })
    };
    starts.iter().map(place).collect()
}

/// The statements of a file as far as it can be read.
fn statements(migration: &Migration, vars: &Vars) -> impl Iterator<Item = Statement> {
    let items = source::open_for_looking(migration, vars).ok().map(Splitter::new);
    items.into_iter().flatten().map_while(Result::ok).filter_map(|item| match item {
        Item::Statement(statement) => Some(statement),
        _ => None,
    })
}

/// The line of COPY data that the server counts as `number`, of the COPY statement that begins at a place; with the
/// column at which a value stands alone in it, where there is one.
pub(crate) fn of_copy_line(
    migration: &Migration,
    vars: &Vars,
    copy: (u32, u32),
    number: u32,
    value: Option<&str>,
) -> Option<FilePlace> {
    let mut items = Splitter::new(source::open(migration, vars).ok()?.reader);
    loop {
        match items.next()?.ok()? {
            Item::Statement(statement) if (statement.line, statement.column) == copy => break,
            _ => {}
        }
    }
    // The data is known to have begun once its first piece was read.
    items.next()?.ok()?;
    let began = items.copy_data_began()?;
    let mut place = FilePlace {
        line: began.line.checked_add(number.checked_sub(1)?)?,
        column: 1,
        source_line: String::new(),
    };
    into_file(migration, vars, &mut [&mut place]);
    if let Some(value) = value {
        place.column = field_column(&place.source_line, value);
    }
    Some(place)
}

/// The column at which a field with this value begins; 1 where no field has it.
fn field_column(line: &str, value: &str) -> u32 {
    let mut column = 1_u32;
    for field in line.split_inclusive(['\t', ',', ';', '|']) {
        let content = field.trim_end_matches(['\t', ',', ';', '|']);
        if !value.is_empty() && (content == value || content.trim_matches('"') == value) {
            return column;
        }
        column = column.saturating_add(u32::try_from(field.chars().count()).unwrap_or(u32::MAX));
    }
    1
}

/// A line of a routine's body, or of a DO block's.
pub(crate) struct BodyLine<'a> {
    /// Name of the routine without its schema; none for a DO block.
    pub(crate) name: Option<&'a str>,
    /// Number of its arguments.
    pub(crate) inputs: usize,
    /// The line as PL/pgSQL counts: the one with the opening quote is 1.
    pub(crate) line: u32,
    /// A statement of the routine and the place in it in characters from 1, to find the column by.
    pub(crate) query: Option<(&'a str, u32)>,
}

/// Where a line of a routine's body is, if the file itself makes the routine before or with the statement that begins
/// at `until`.
pub(crate) fn of_body_line(
    migration: &Migration,
    vars: &Vars,
    until: (u32, u32),
    wanted: &BodyLine<'_>,
) -> Option<FilePlace> {
    let mut found: Option<(Statement, usize)> = None;
    for statement in statements(migration, vars) {
        let last = (statement.line, statement.column) >= until;
        let body = routine_body(&statement.text).filter(|body| {
            body.name.as_deref() == wanted.name && body.inputs == wanted.inputs
                // A DO block runs once, when it is read.
                && (wanted.name.is_some() || last)
        });
        if let Some(body) = body {
            found = Some((statement, body.start));
        }
        if last {
            break;
        }
    }
    let (statement, start) = found?;
    let body = statement.text.get(start..)?;
    let skipped = usize::try_from(wanted.line.checked_sub(1)?).ok()?;
    let line_start = after_newlines(body, skipped)?;
    let rest = body.get(line_start..)?;
    let offset = wanted.query.and_then(|(query, position)| column_of(rest, query, position));
    let offset = offset.unwrap_or_else(|| rest.len() - rest.trim_start_matches([' ', '\t']).len());
    let (line, column, source_line) =
        locate(&statement.text, start + line_start + offset, statement.line, statement.column);
    let mut place = FilePlace { line, column, source_line };
    into_file(migration, vars, &mut [&mut place]);
    Some(place)
}

/// The byte offset after so many line ends.
fn after_newlines(text: &str, count: usize) -> Option<usize> {
    match count.checked_sub(1) {
        None => Some(0),
        Some(before) => memchr::memchr_iter(b'\n', text.as_bytes()).nth(before).map(|at| at + 1),
    }
}

/// The byte offset of a place in a query, where the query stands in the text soon.
fn column_of(text: &str, query: &str, position: u32) -> Option<usize> {
    let query = query.trim_end();
    let at = text.find(query).filter(|at| text[..*at].matches('\n').count() < 20)?;
    let characters = usize::try_from(position.checked_sub(1)?).ok()?;
    let within = query.char_indices().nth(characters).map_or(query.len(), |(offset, _)| offset);
    Some(at + within)
}
