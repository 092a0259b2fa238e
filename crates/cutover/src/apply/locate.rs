//! Where in a file an error of the server comes from: the server knows statements, lines of COPY data and lines of
//! functions, people look at files. Pure but for reading the file again.

use cutover_analysis::sql::routine_body;
use cutover_postgres::session::ServerMessage;

use super::feed::Sent;
use crate::migration::Migration;
use crate::places::{self, BodyLine, FilePlace};
use crate::project::Vars;
use crate::secrets::Secrets;

/// Where in a file something went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) at: FilePlace,
    /// The statement that ran into it, where that stands elsewhere: line and column.
    pub(super) called_at: Option<(u32, u32)>,
}

/// Where a statement failed, as far as its own text says: nothing is read.
pub(super) fn in_statement(sent: &Sent, message: &ServerMessage, secrets: &Secrets) -> Place {
    let offset = message.position.map_or(0, |position| byte_offset(&sent.text, position));
    statement_place(sent, offset, secrets)
}

/// Where a statement begins.
pub(super) fn of_statement(migration: &Migration, vars: &Vars, sent: &Sent, secrets: &Secrets) -> Place {
    let mut place = statement_place(sent, 0, secrets);
    places::into_file(migration, vars, &mut [&mut place.at]);
    place
}

/// Where a statement begins of which only the line is known: with the first word there.
pub(super) fn of_line(migration: &Migration, vars: &Vars, line: u32) -> Place {
    let mut at = FilePlace { line, column: 1, source_line: String::new() };
    places::into_file(migration, vars, &mut [&mut at]);
    let blanks = at.source_line.chars().take_while(|c| c.is_whitespace()).count();
    at.column = u32::try_from(blanks + 1).unwrap_or(1);
    Place { at, called_at: None }
}

/// Where a statement failed: in its text, in its data, or in a function that the file itself makes.
pub(super) fn in_file(
    migration: &Migration,
    vars: &Vars,
    sent: &Sent,
    message: &ServerMessage,
    secrets: &Secrets,
) -> Place {
    let elsewhere = copy_line(migration, vars, sent, message).or_else(|| {
        message.position.is_none().then(|| routine_line(migration, vars, sent, message)).flatten()
    });
    let mut place = match internal_offset(sent, message) {
        Some(offset) => statement_place(sent, offset, secrets),
        None => in_statement(sent, message, secrets),
    };
    places::into_file(migration, vars, &mut [&mut place.at]);
    match elsewhere {
        Some(mut at) => {
            at.source_line = secrets.star(&at.source_line);
            Place { at, called_at: Some((place.at.line, place.at.column)) }
        }
        None => place,
    }
}

fn statement_place(sent: &Sent, offset: usize, secrets: &Secrets) -> Place {
    let (line, column, source_line) = secrets.locate(&sent.text, offset, sent.line, sent.column);
    Place { at: FilePlace { line, column, source_line }, called_at: None }
}

/// The byte offset of a character counted from 1.
fn byte_offset(text: &str, position: u32) -> usize {
    let characters = usize::try_from(position.saturating_sub(1)).unwrap_or(0);
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

/// A place in the body that this statement gives a routine, where the server counts it in the body alone.
fn internal_offset(sent: &Sent, message: &ServerMessage) -> Option<usize> {
    let (query, position) = (message.internal_query.as_deref()?, message.internal_position?);
    let body = routine_body(&sent.text)?;
    let same = sent.text.get(body.start..)?.starts_with(query);
    same.then(|| body.start + byte_offset(query, position))
}

/// `COPY t, line 3, column b: "x"`, in whatever language the server speaks.
fn copy_line(migration: &Migration, vars: &Vars, sent: &Sent, message: &ServerMessage) -> Option<FilePlace> {
    let context = message.where_.as_deref()?.lines().find(|line| line.starts_with("COPY "))?;
    let (number, rest) = context.split(", ").skip(1).find_map(|part| {
        let (word, number) = part.split_once(' ')?;
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let number = number.get(..end)?.parse().ok()?;
        word.chars().all(char::is_alphabetic).then_some((number, &context[context.find(part)?..]))
    })?;
    let value = rest.split_once('"').and_then(|(_, value)| value.strip_suffix('"'));
    places::of_copy_line(migration, vars, (sent.line, sent.column), number, value)
}

/// The innermost function of the call stack that the file itself makes.
fn routine_line(
    migration: &Migration,
    vars: &Vars,
    sent: &Sent,
    message: &ServerMessage,
) -> Option<FilePlace> {
    let context = message.where_.as_deref()?;
    let mut query = message.internal_query.as_deref().zip(message.internal_position);
    for frame in context.lines().filter_map(frame) {
        let wanted = BodyLine { name: frame.name.as_deref(), inputs: frame.inputs, line: frame.line, query };
        let found = places::of_body_line(migration, vars, (sent.line, sent.column), &wanted);
        if found.is_some() {
            return found;
        }
        // The server's own query belongs to the innermost function alone.
        query = None;
    }
    None
}

/// One line of a call stack.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    /// Name of the function without its schema; none for a DO block.
    name: Option<String>,
    inputs: usize,
    line: u32,
}

/// Reads `PL/pgSQL function app.f(integer,text) line 7 at RAISE`, in whatever language the server speaks.
fn frame(context: &str) -> Option<Frame> {
    const BLOCK: &str = "inline_code_block";
    if !context.contains("PL/pgSQL") {
        return None;
    }
    if let Some((_, after)) = context.split_once(BLOCK) {
        return Some(Frame { name: None, inputs: 0, line: first_number(after)? });
    }
    let mut quoted = false;
    let mut word_start = 0;
    let mut open = None;
    for (at, c) in context.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            // A dot divides schema and name, a space the words of the sentence.
            ' ' | '.' => word_start = at + 1,
            '(' => {
                open = Some(at);
                break;
            }
            _ => {}
        }
    }
    let open = open?;
    let name = context.get(word_start..open)?;
    let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_owned(),
    };
    let (inputs, after) = arguments(context.get(open + 1..)?)?;
    Some(Frame { name: Some(name), inputs, line: first_number(after)? })
}

/// Number of types up to the closing parenthesis, and what follows it.
fn arguments(text: &str) -> Option<(usize, &str)> {
    let (mut quoted, mut commas) = (false, 0);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => commas += 1,
            ')' if !quoted => {
                let inputs = if text[..at].trim().is_empty() { 0 } else { commas + 1 };
                return Some((inputs, &text[at + 1..]));
            }
            _ => {}
        }
    }
    None
}

fn first_number(text: &str) -> Option<u32> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let digits = text.get(start..)?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_stacks_are_read_in_any_language() {
        let read = |text| frame(text).map(|frame| (frame.name, frame.inputs, frame.line));
        let some = |name: &str, inputs, line| Some((Some(name.to_owned()), inputs, line));
        assert_eq!(read("PL/pgSQL function f() line 7 at RAISE"), some("f", 0, 7));
        assert_eq!(
            read("PL/pgSQL function app.\"Big one\"(integer,timestamp with time zone) line 12 at IF"),
            some("Big one", 2, 12)
        );
        assert_eq!(read("PL/pgSQL-Funktion f(integer) Zeile 3 bei RAISE"), some("f", 1, 3));
        assert_eq!(read("fonction PL/pgSQL f(), ligne 3 à RAISE"), some("f", 0, 3));
        assert_eq!(read("PL/pgSQL function inline_code_block line 2 at SQL statement"), Some((None, 0, 2)));
        assert_eq!(read("SQL statement \"SELECT f(1) line 3\""), None);
        assert_eq!(read("PL/pgSQL function f() while casting return value"), None);
    }
}
