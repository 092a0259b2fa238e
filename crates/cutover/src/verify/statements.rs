//! SQL in checks: statements taken out of `cutover.toml` and files. Nothing that ends the transaction a check runs in
//! may be among them, since that transaction is what keeps a check from changing anything.

use std::fmt;

use cutover_analysis::effects::{Control, TransactionRule, effects_of_text};
use cutover_analysis::sql::{Item, Splitter, Statement};

use crate::project::config::Table;
use crate::text::locate;

/// What is wrong with a text, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {} of it: ", self.line)?;
        }
        f.write_str(&self.message)
    }
}

/// Splits a text.
pub(crate) fn split(text: &str) -> Result<Vec<Statement>, Wrong> {
    let statements = split_whatever(text)?;
    may_be_rolled_back(&statements)?;
    Ok(statements)
}

/// Splits a script that may bring a transaction of its own, which the check's takes the place of.
pub(crate) fn script(text: &str) -> Result<Vec<Statement>, Wrong> {
    let mut statements = split_whatever(text)?;
    let control = |statement: &Statement| match effects_of_text(&statement.text).ok()?.transaction {
        TransactionRule::Control(control) => Some(control),
        _ => None,
    };
    if statements.first().and_then(control) == Some(Control::Begin)
        && matches!(statements.last().and_then(control), Some(Control::Rollback | Control::Commit))
    {
        statements.pop();
        statements.remove(0);
    }
    may_be_rolled_back(&statements)?;
    Ok(statements)
}

fn may_be_rolled_back(statements: &[Statement]) -> Result<(), Wrong> {
    let refusal = |statement: &Statement| Some((statement.line, statement.column, refused(&statement.text)?));
    match statements.iter().find_map(refusal) {
        Some((line, column, why)) => Err(Wrong { line, column, message: why.to_owned() }),
        None => Ok(()),
    }
}

fn split_whatever(text: &str) -> Result<Vec<Statement>, Wrong> {
    let wrong = |line, column, message: &str| Wrong { line, column, message: message.to_owned() };
    let mut statements: Vec<Statement> = Vec::new();
    for item in Splitter::new(text.as_bytes()) {
        match item {
            Ok(Item::Statement(statement)) => statements.push(statement),
            Ok(Item::CopyData(_) | Item::CopyEnd) => {
                let (line, column) = statements.last().map_or((1, 1), |copy| (copy.line, copy.column));
                return Err(wrong(line, column, "COPY FROM STDIN has no place in a check"));
            }
            Ok(Item::PsqlCommand { text, line, column }) => {
                return Err(wrong(line, column, &format!("{text}: commands of psql are not SQL")));
            }
            Err(error) => {
                let (line, column) = error.place().map_or((1, 1), |place| (place.line, place.column));
                return Err(wrong(line, column, &error.to_string()));
            }
        }
    }
    Ok(statements)
}

/// What the grammar of PostgreSQL 18 says against a statement, if anything. A server may be a newer one.
pub(crate) fn unparsed(statement: &Statement) -> Option<Wrong> {
    let error = effects_of_text(&statement.text).err()?;
    let (line, column, _) = locate(&statement.text, error.offset, statement.line, statement.column);
    Some(Wrong { line, column, message: error.message })
}

/// Why a statement cannot be part of a check. What PostgreSQL's grammar refuses is left to the server.
fn refused(statement: &str) -> Option<&'static str> {
    if statement.to_ascii_lowercase().contains("standard_conforming_strings") {
        return Some("standard_conforming_strings decides what the text of a check means, and stays on");
    }
    match effects_of_text(statement).ok()?.transaction {
        TransactionRule::Allowed => None,
        TransactionRule::Forbidden { .. } => {
            Some("this cannot run in a transaction, and a check must be rolled back")
        }
        TransactionRule::Control(_) => {
            Some("a check runs in a transaction of its own, which it cannot end or divide")
        }
    }
}

/// Takes the one statement under a key; `None` when the key is absent or wrong, which is recorded.
pub(crate) fn take_one(table: &mut Table, key: &str) -> Option<String> {
    let span = table.span_of(key);
    let text = table.take_string(key)?;
    one(table, &span, &text)
}

/// Takes one statement from under `sql`, or from the file under `file`, which is relative to the project.
pub(crate) fn require_one(table: &mut Table, key: &str) -> String {
    if !table.has(key) {
        table.missing(key);
    }
    take_one(table, key).unwrap_or_default()
}

/// The one statement of a text that stands at `span`.
pub(crate) fn one(table: &mut Table, span: &std::ops::Range<usize>, text: &str) -> Option<String> {
    match split(text) {
        Ok(statements) if statements.len() == 1 => {
            statements.into_iter().next().map(|statement| statement.text)
        }
        Ok(statements) => {
            table.report(span, format!("one statement is expected here, not {}", statements.len()), None);
            None
        }
        Err(why) => {
            table.report(span, why.to_string(), None);
            None
        }
    }
}

/// Takes any number of statements under a key.
pub(crate) fn take_all(table: &mut Table, key: &str) -> Vec<String> {
    let span = table.span_of(key);
    let Some(text) = table.take_string(key) else { return Vec::new() };
    match split(&text) {
        Ok(statements) => statements.into_iter().map(|statement| statement.text).collect(),
        Err(why) => {
            table.report(&span, why.to_string(), None);
            Vec::new()
        }
    }
}
