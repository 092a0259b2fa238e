//! The statements of a script as they are sent, each with its number and unit, while they stream by.

use cutover_analysis::sql::{Item, SplitError, Statement};

use super::{Script, ScriptItem};
use crate::source::Passed;

/// Statements of a script, streamed.
pub struct Items<'a> {
    pub(super) items: Box<dyn Iterator<Item = Result<ScriptItem, String>> + Send + 'a>,
    pub(super) passed: Option<Passed>,
}

impl Items<'_> {
    /// The compressed text, once all of it was streamed, checked against the checksum it was planned with.
    ///
    /// # Errors
    /// When the file changed since it was planned.
    pub fn text_as_read(&self, checksum: &str) -> Result<Option<Vec<u8>>, String> {
        self.passed.as_ref().map_or(Ok(None), |passed| passed.text(checksum))
    }
}

impl Iterator for Items<'_> {
    type Item = Result<ScriptItem, String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.items.next()
    }
}

pub(super) fn readable(item: Result<Item, SplitError>) -> Result<Item, String> {
    item.map_err(|error| error.to_string())
}

/// Gives each statement its number and unit while it streams by.
pub(super) struct Numbering<'a, I: Iterator<Item = Result<Item, String>>> {
    script: &'a Script,
    items: std::iter::Peekable<I>,
    seen: u32,
    sent: u32,
    unit: usize,
}

impl<'a, I: Iterator<Item = Result<Item, String>>> Numbering<'a, I> {
    pub(super) fn new(script: &'a Script, items: I) -> Self {
        Self { script, items: items.peekable(), seen: 0, sent: 0, unit: 0 }
    }

    fn statement(&mut self, statement: Statement) -> Option<ScriptItem> {
        let number = self.seen;
        self.seen += 1;
        // With an outer transaction the first and the last statement are its BEGIN and COMMIT.
        if self.script.outer_transaction && (number == 0 || self.sent == self.script.statements) {
            return None;
        }
        let sent = self.sent;
        self.sent += 1;
        while self.script.units.get(self.unit).is_some_and(|unit| sent >= unit.first + unit.count) {
            self.unit += 1;
        }
        let copy = matches!(self.items.peek(), Some(Ok(Item::CopyData(_) | Item::CopyEnd)));
        let Statement { text, line, column, .. } = statement;
        Some(ScriptItem::Statement { text, line, column, copy, unit: self.unit })
    }
}

impl<I: Iterator<Item = Result<Item, String>>> Iterator for Numbering<'_, I> {
    type Item = Result<ScriptItem, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let item = match self.items.next()? {
                Ok(Item::Statement(statement)) => self.statement(statement),
                Ok(Item::CopyData(data)) => Some(ScriptItem::CopyData(data)),
                Ok(Item::CopyEnd) => Some(ScriptItem::CopyEnd),
                Ok(Item::PsqlCommand { .. }) => None,
                Err(why) => return Some(Err(why)),
            };
            if let Some(item) = item {
                return Some(Ok(item));
            }
        }
    }
}
