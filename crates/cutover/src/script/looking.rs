//! The statements of files for somebody who only looks at them: read ahead by several threads, each parsed once.

use std::io;
use std::sync::Arc;

use cutover_analysis::effects::{Prepared, Spent};
use cutover_analysis::sql::{Item, SplitError, Statement};

use super::ahead::Ahead;
use super::control;
use super::reading::{Reading, Texts};
use crate::migration::Migration;
use crate::project::{Place, PlaceholderError};
use crate::source::Vars;

/// What a file consists of, to somebody who looks at it.
pub enum Looked {
    /// A statement.
    Statement(Statement, Prepared),
    /// Something that cannot be looked at.
    Broken(Broken),
}

/// What cannot be looked at, and where, in the text as it is sent unless `in_file` says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Where.
    pub place: Option<Place>,
    /// It is a place in the file as it is.
    pub in_file: bool,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The pieces of one file; what is left of a statement may be given back.
pub struct Pieces {
    reading: Option<Reading>,
    failed: Option<io::Error>,
}

impl Pieces {
    /// The text of a small file, where it is sent as the file has it.
    pub fn text(&self) -> Option<Arc<str>> {
        self.reading.as_ref()?.text()
    }

    /// Takes what is left of a statement.
    pub fn give_back(&mut self, spent: Spent) {
        if let Some(reading) = &mut self.reading {
            reading.give_back(spent);
        }
    }
}

impl Iterator for Pieces {
    type Item = Looked;

    fn next(&mut self) -> Option<Looked> {
        if let Some(error) = self.failed.take() {
            return Some(Looked::Broken(Broken {
                place: None,
                in_file: true,
                message: format!("cannot read the file: {error}"),
                hint: None,
            }));
        }
        loop {
            match self.reading.as_mut()?.next()? {
                Ok((Item::Statement(statement), Some(facts))) => {
                    return Some(Looked::Statement(statement, facts.prepared));
                }
                Ok((Item::PsqlCommand { text, line, column }, _)) => {
                    let text = crate::text::visible(&text);
                    return Some(Looked::Broken(Broken {
                        place: Some(Place { line, column }),
                        in_file: false,
                        message: format!(
                            "psql command `{text}` cannot be run: only SQL is sent to the server"
                        ),
                        hint: Some(control::psql_hint(&text).to_owned()),
                    }));
                }
                Ok(_) => {}
                Err(error) => return Some(Looked::Broken(unreadable(&error))),
            }
        }
    }
}

fn unreadable(error: &SplitError) -> Broken {
    if let SplitError::Read(cause) = error
        && let Some(missing) = PlaceholderError::of(cause)
    {
        let (message, hint) = (missing.message(), Some(missing.hint.clone()));
        return Broken { place: Some(missing.place), in_file: true, message, hint };
    }
    let place = error.place().map(|at| Place { line: at.line, column: at.column });
    Broken { place, in_file: false, message: error.to_string(), hint: None }
}

/// Shows each of these files, in their order, to `each`: its place in the list and its pieces.
pub fn look_through(migrations: &[&Migration], vars: &Vars, mut each: impl FnMut(usize, &mut Pieces)) {
    Ahead::of(migrations, vars, Texts::Looked, |next| {
        let mut spent = Vec::new();
        for place in 0..migrations.len() {
            let (reading, failed) = match next(std::mem::take(&mut spent)) {
                Ok(reading) => (Some(reading), None),
                Err(error) => (None, Some(error)),
            };
            let mut pieces = Pieces { reading, failed };
            each(place, &mut pieces);
            spent = pieces.reading.map(Reading::into_spent).unwrap_or_default();
        }
    });
}
