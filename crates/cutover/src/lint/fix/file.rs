//! The text of one file, and what fixes come to in it.

use std::cell::OnceCell;
use std::io::Read as _;
use std::ops::Range;

use cutover_analysis::effects::{Control, ObjectKind, ObjectRef, TransactionRule, effects_of_text};
use cutover_analysis::lint::Fix;
use cutover_analysis::lint::fix::{Step, asks_for_its_transaction};
use cutover_analysis::sql::{Item, Span, Splitter, Statement, without_comments};

use crate::migration::{Migration, Source};
use crate::project::Vars;
use crate::source;

pub(super) const NEW_TRANSACTION: &str = "-- cutover: new-transaction";

/// A file as it is, and its statements as they are sent.
pub(super) struct Text {
    raw: String,
    /// What is run of it: line ends normalised, what is no part of the section left out, lines with their numbers.
    sent: String,
    pub(super) statements: Vec<Piece>,
    /// What they do, once that was asked.
    doings: OnceCell<Vec<Doing>>,
}

/// A statement, and where it ends with its `;`.
pub(super) struct Piece {
    pub(super) statement: Statement,
    pub(super) end: usize,
}

impl Text {
    /// Reads a file.
    ///
    /// # Errors
    /// Why it cannot be mended.
    pub(super) fn read(migration: &Migration, vars: &Vars) -> Result<Self, String> {
        let unreadable = |error: std::io::Error| format!("the file cannot be read: {error}");
        let bytes = match &migration.source {
            Source::File(path) => std::fs::read(path).map_err(unreadable)?,
            Source::Embedded(bytes) => bytes.to_vec(),
        };
        let raw = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let (mut written, mut sent) = (String::new(), String::new());
        source::normalised(migration)
            .map_err(unreadable)?
            .read_to_string(&mut written)
            .map_err(unreadable)?;
        source::open_for_looking(migration, vars)
            .and_then(|mut reader| reader.read_to_string(&mut sent))
            .map_err(unreadable)?;
        if written != sent {
            return Err("it has placeholders: what is sent is not what stands in the file".to_owned());
        }
        let statements = pieces(&sent)?;
        Ok(Self { raw, sent, statements, doings: OnceCell::new() })
    }

    /// The file as it is.
    pub(super) fn raw(&self) -> &str {
        &self.raw
    }

    /// Whether its statements may run in several transactions.
    pub(super) fn may_be_parted(&self) -> Result<(), String> {
        for Piece { statement, .. } in &self.statements {
            let line = statement.line;
            let Ok(effects) = effects_of_text(&statement.text) else { continue };
            if let TransactionRule::Control(control) = effects.transaction {
                let says = match control {
                    Control::Begin => "begins",
                    Control::Commit | Control::Rollback => "ends",
                    Control::Other => "divides",
                };
                return Err(format!("line {line} {says} a transaction: take such statements out first"));
            }
            if effects.creates.iter().any(ObjectRef::is_temporary) {
                return Err(format!("line {line} makes something temporary, for the statements behind it"));
            }
            let is_limit = !effects.settings.is_empty()
                && effects.settings.iter().all(|setting| setting.name.ends_with("_timeout"));
            if (effects.session_state || effects.sets_search_path) && !is_limit {
                return Err(format!("line {line} sets something that holds for the statements behind it"));
            }
            if is_lock(&statement.text) {
                return Err(format!("line {line} locks something for the statements behind it"));
            }
        }
        Ok(())
    }

    /// Whether other transactions may begin where a fix of a statement has them begin: not where something is gone in between that was
    /// there before and is there again, and not between two that ask for the time of theirs.
    pub(super) fn may_be_opened(&self, number: usize, fix: &Fix) -> Result<(), String> {
        let opens = |step: &Step| step.anew || step.apart;
        let front = fix.apart || fix.anew || fix.before.iter().any(opens);
        let back = fix.apart || fix.after.iter().any(opens);
        // Whether another transaction begins between two statements.
        let apart = |one: usize, other: usize| {
            front && one < number && number <= other || back && one <= number && number < other
        };
        let all = self.doings.get_or_init(|| self.statements.iter().map(Doing::of).collect());
        for (at, one) in all.iter().enumerate().take(number + 1) {
            if one.drops.is_empty() && !one.asks {
                continue;
            }
            let behind = all.iter().enumerate().skip(at).filter(|(other, _)| apart(at, *other));
            for (_, other) in behind {
                let (line, other_line) = (one.line, other.line);
                if one.asks && other.asks {
                    return Err(format!(
                        "lines {line} and {other_line} ask for the time or number of their transaction, which would be two"
                    ));
                }
                if let Some(gone) = one.drops.iter().find(|gone| other.makes_anew(gone)) {
                    return Err(format!(
                        "line {line} takes {} away and line {other_line} makes it anew: between two transactions there would be none. Make the new one first, under another name",
                        gone.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether what a fix of a statement writes is SQL.
    pub(super) fn may_be_written(&self, number: usize, fix: &Fix) -> Result<(), String> {
        match self.statements.get(number) {
            Some(piece) if fix.joins.is_some() || fix.writes_statements(&piece.statement.text) => Ok(()),
            _ => Err(NOT_SQL.to_owned()),
        }
    }

    /// Whether nothing stands between a statement and the one before it.
    pub(super) fn may_be_joined(&self, number: usize) -> Result<(), String> {
        match self.between(number) {
            Some(between) if between.trim_matches([' ', '\t', '\n', ';']).is_empty() => Ok(()),
            _ => Err("a comment stands between the two statements".to_owned()),
        }
    }

    /// What stands between a statement and the one before it.
    fn between(&self, number: usize) -> Option<&str> {
        let before = self.statements.get(number.checked_sub(1)?)?;
        self.sent.get(before.statement.span.end..self.statements.get(number)?.statement.span.start)
    }

    /// The text with these fixes, each of one statement; none where a place is not found.
    pub(super) fn with(&self, fixes: &[(usize, &Fix)]) -> Option<String> {
        let mut edits = Vec::new();
        for (number, fix) in fixes {
            self.edits(*number, fix, &mut edits)?;
        }
        // Of what is put in at one place, what comes first in this list stands first.
        edits.sort_by_key(|(part, _)| (part.start, part.end));
        let in_file = self.places();
        let mut text = String::with_capacity(self.raw.len());
        let mut written = 0;
        for (part, with) in edits {
            text += self.raw.get(written..in_file(part.start)?)?;
            text += &with;
            written = in_file(part.end)?;
        }
        text += self.raw.get(written..)?;
        Some(text)
    }

    /// What a fix of a statement comes to, in places of what is sent.
    fn edits(&self, number: usize, fix: &Fix, edits: &mut Vec<(Range<usize>, String)>) -> Option<()> {
        let piece = self.statements.get(number)?;
        let Span { start, end } = piece.statement.span;
        let eol = if self.raw.contains("\r\n") { "\r\n" } else { "\n" };
        let (begins_line, indent) = self.before(start);
        let lines =
            |steps: &[Step]| steps.iter().map(|step| step_text(step, indent, eol)).collect::<Vec<_>>();
        let mut before = lines(&fix.before);
        before.extend(fix.anew.then(|| NEW_TRANSACTION.to_owned()));
        if !before.is_empty() {
            let between = format!("{eol}{indent}");
            let lead = if begins_line { "" } else { eol };
            edits.push((start..start, format!("{lead}{}{between}", before.join(&between))));
        }
        if let Some(actions) = fix.joins {
            let from = self.statements.get(number.checked_sub(1)?)?.statement.span.end;
            let is_below = self.between(number).is_some_and(|between| between.contains('\n'));
            let comma = if is_below { format!(",{eol}{indent}    ") } else { ", ".to_owned() };
            edits.push((from..start + actions, comma));
        }
        for edit in &fix.edits {
            edits.push((start + edit.at.start..start + edit.at.end, edit.text.clone()));
        }
        if !fix.after.is_empty() {
            let (behind, closed) = self.behind(piece);
            if !closed {
                edits.push((end..end, ";".to_owned()));
            }
            let after = lines(&fix.after).join(&format!("{eol}{indent}"));
            edits.push((behind..behind, format!("{eol}{indent}{after}")));
        }
        Some(())
    }

    /// Whether nothing but space stands before a place in its line, and that space.
    fn before(&self, at: usize) -> (bool, &str) {
        let line = self.sent.get(..at).map_or(0, |before| before.rfind('\n').map_or(0, |end| end + 1));
        let lead = self.sent.get(line..at).unwrap_or_default();
        let blank = lead.len() - lead.trim_start_matches([' ', '\t']).len();
        (blank == lead.len(), lead.get(..blank).unwrap_or_default())
    }

    /// Where something can be put in behind a statement, and whether the statement has its `;`.
    fn behind(&self, piece: &Piece) -> (usize, bool) {
        let last = piece.statement.span.end;
        let closed = closing(&self.sent, last);
        let end = closed.unwrap_or(last);
        let rest = self.sent.get(end..).unwrap_or_default();
        let rest = rest.split('\n').next().unwrap_or_default();
        let is_said_of_it = rest.trim().is_empty() || rest.trim_start().starts_with("--");
        (if is_said_of_it { end + rest.trim_end().len() } else { end }, closed.is_some())
    }

    /// From places in what is sent to places in the file: lines are the same, their ends are not.
    fn places(&self) -> impl Fn(usize) -> Option<usize> + '_ {
        let starts = |text: &str| -> Vec<usize> {
            std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect()
        };
        let (sent, raw) = (starts(&self.sent), starts(&self.raw));
        let mark = if self.raw.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        move |place| {
            let line = sent.partition_point(|start| *start <= place).checked_sub(1)?;
            let column = place - sent.get(line)?;
            let lead = if line == 0 { mark } else { 0 };
            Some(raw.get(line)? + lead + column)
        }
    }
}

/// The place behind the `;` that ends the statement whose last token ends at a place; none where the text ends first.
fn closing(text: &str, from: usize) -> Option<usize> {
    let mut rest = text.get(from..)?;
    loop {
        rest = rest.trim_start();
        if let Some(behind) = rest.strip_prefix("--") {
            rest = behind.split_once('\n')?.1;
        } else if rest.starts_with("/*") {
            rest = rest.get(comment(rest)?..)?;
        } else {
            return rest.strip_prefix(';').map(|behind| text.len() - behind.len());
        }
    }
}

/// The length of the comment that a text begins with; comments may stand in comments.
fn comment(text: &str) -> Option<usize> {
    let (mut open, mut at) = (0_usize, 0);
    loop {
        let rest = text.get(at..)?;
        let next = [rest.find("/*"), rest.find("*/")].into_iter().flatten().min()?;
        open = if rest.get(next..)?.starts_with("/*") { open + 1 } else { open.checked_sub(1)? };
        at += next + 2;
        if open == 0 {
            return Some(at);
        }
    }
}

/// What matters of a statement where another transaction begins before or behind it.
struct Doing {
    line: u32,
    drops: Vec<ObjectRef>,
    makes: Vec<ObjectRef>,
    /// It may make a key.
    has_key: bool,
    /// Names of tables that it locks.
    tables: Vec<String>,
    /// It asks for the time or number of its transaction.
    asks: bool,
}

impl Doing {
    fn of(Piece { statement, .. }: &Piece) -> Self {
        let effects = effects_of_text(&statement.text).unwrap_or_default();
        let text = without_comments(&statement.text, statement.text.len()).to_ascii_uppercase();
        let words = ["UNIQUE", "PRIMARY KEY", "EXCLUDE"];
        Self {
            line: statement.line,
            makes: effects.creates.iter().chain(&effects.chosen).cloned().collect(),
            has_key: words.iter().any(|word| text.contains(word)) && !text.starts_with("CREATE TABLE"),
            tables: effects.locks.iter().map(|lock| lock.relation.name.to_string()).collect(),
            asks: asks_for_its_transaction(&statement.text),
            drops: effects.drops,
        }
    }

    /// Whether it makes what was taken away, or a key in the place of what may have been one.
    fn makes_anew(&self, gone: &ObjectRef) -> bool {
        let is_same = |made: &ObjectRef| {
            made.kind.family() == gone.kind.family()
                && made.name == gone.name
                && made.table == gone.table
                && (made.schema.is_none() || gone.schema.is_none() || made.schema == gone.schema)
        };
        let is_key = match gone.kind {
            ObjectKind::Constraint => {
                self.has_key
                    && gone.table.as_ref().is_some_and(|table| self.tables.iter().any(|one| table == one))
            }
            ObjectKind::Index => self.has_key,
            _ => false,
        };
        is_key || self.makes.iter().any(is_same)
    }
}

fn is_lock(text: &str) -> bool {
    without_comments(text, 16).split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case("LOCK"))
}

fn step_text(step: &Step, indent: &str, eol: &str) -> String {
    let directive = if step.anew { format!("{NEW_TRANSACTION}{eol}{indent}") } else { String::new() };
    format!("{directive}{};", step.sql)
}

/// The statements of a text.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut splitter = Splitter::new(text.as_bytes());
    let mut pieces = Vec::new();
    while let Some(item) = splitter.next() {
        match item.map_err(|error| error.to_string())? {
            Item::Statement(statement) => pieces.push(Piece { statement, end: splitter.offset() }),
            Item::PsqlCommand { .. } => return Err("it has commands of psql".to_owned()),
            Item::CopyData(_) | Item::CopyEnd => {
                if let Some(last) = pieces.last_mut() {
                    last.end = splitter.offset();
                }
            }
        }
    }
    Ok(pieces)
}

/// Why a fix is refused that its rule has made wrong.
const NOT_SQL: &str = "what would be written for it does not parse";

/// Whether everything in a text that was put together can be read.
pub(super) fn parses(text: &str) -> Result<(), String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_whole = |piece: &Piece| effects_of_text(&piece.statement.text).is_ok();
    if pieces(text).is_ok_and(|pieces| pieces.iter().all(is_whole)) {
        return Ok(());
    }
    Err(NOT_SQL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::closing;

    #[test]
    fn what_closes_a_statement_is_found_behind_comments() {
        let of = |text: &str| closing(text, 1);
        assert_eq!(of("A;"), Some(2));
        assert_eq!(of("A -- x;\n /* ; /* ; */ */ ; B;"), Some(26));
        for open in ["A", "A -- x;", "A /* ;", "A \n", "A /* /* */ ;"] {
            assert_eq!(of(open), None, "{open}");
        }
    }
}
