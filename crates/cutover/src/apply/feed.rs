//! Statements of a script in windows that are sent together, streamed with bounded memory, and remembered well
//! enough to say where one failed.

use std::sync::Arc;

use bytes::Bytes;
use cutover_postgres::session::Failure;

use super::crash::CrashPoints;
use super::locate::{self, Place};
use super::watch::{Watch, Watched};
use super::worker::{Notices, Trouble, Worker};
use crate::migration::Migration;
use crate::reading;
use crate::script::{Items, Script, ScriptItem, Unit};
use crate::secrets::Secrets;
use crate::source::Vars;

/// Statements sent in one flush at most.
pub(super) const WINDOW_STATEMENTS: usize = 64;
/// Bytes of statements sent in one flush, unless a single one is larger: 256 KiB.
const WINDOW_BYTES: usize = 256 << 10;

/// A file up to this size is read again for each attempt that fails, to point at the line: 1 MiB.
const READ_AGAIN: u64 = 1 << 20;

/// A statement that was sent.
pub(super) struct Sent {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) text: Arc<str>,
}

/// See the module.
pub(super) struct Feed<'a> {
    script: &'a Script,
    migration: &'a Migration,
    vars: &'a Vars,
    items: Option<Items<'a>>,
    /// An item read too far.
    ahead: Option<ScriptItem>,
    /// Number of the next statement.
    position: u32,
    /// Where the unit at hand ends.
    end: u32,
    /// Line of each statement of the transaction.
    lines: Vec<u32>,
    /// Statements of the window at hand, and the number of the first one within the transaction.
    window: Vec<Sent>,
    window_start: usize,
}

impl<'a> Feed<'a> {
    pub(super) fn new(script: &'a Script, migration: &'a Migration, vars: &'a Vars) -> Self {
        Self {
            script,
            migration,
            vars,
            items: None,
            ahead: None,
            position: 0,
            end: 0,
            lines: Vec::new(),
            window: Vec::new(),
            window_start: 0,
        }
    }

    /// Goes to the first statement of a unit, back to it where a transaction is tried again.
    pub(super) fn seek(&mut self, unit: &Unit) -> Result<(), String> {
        self.lines.clear();
        self.window.clear();
        self.window_start = 0;
        self.end = unit.first + unit.count;
        if self.items.is_none() || self.position != unit.first {
            self.items = Some(self.script.items(self.migration, self.vars));
            self.ahead = None;
            self.position = 0;
            while self.position < unit.first {
                if self.next()?.is_none() {
                    return Err("it has fewer statements than when it was read before".into());
                }
            }
            self.skip_data()?;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<ScriptItem>, String> {
        let item = match self.ahead.take() {
            Some(item) => Some(item),
            None => self.items.as_mut().and_then(Iterator::next).transpose()?,
        };
        if matches!(item, Some(ScriptItem::Statement { .. })) {
            self.position += 1;
        }
        Ok(item)
    }

    /// COPY data left over from a statement that is not run again.
    fn skip_data(&mut self) -> Result<(), String> {
        while let Some(item) = self.items.as_mut().and_then(Iterator::next).transpose()? {
            if matches!(item, ScriptItem::Statement { .. }) {
                self.ahead = Some(item);
                break;
            }
        }
        Ok(())
    }

    /// The next statement alone, for a unit outside a transaction.
    pub(super) fn one(&mut self) -> Result<Arc<str>, String> {
        match self.next()? {
            Some(ScriptItem::Statement { text, line, column, .. }) => {
                let text: Arc<str> = text.into();
                self.lines.push(line);
                self.window = vec![Sent { line, column, text: Arc::clone(&text) }];
                Ok(text)
            }
            _ => Err("it has fewer statements than when it was read before".into()),
        }
    }

    /// Sends full windows and COPY data; gives the statements of the last window, which go with the commit.
    pub(super) async fn all_but_last_window(
        &mut self,
        worker: &mut Worker,
        watch: &mut Watch<'_>,
        crash: &CrashPoints,
        notices: &mut Notices,
    ) -> Result<Vec<Arc<str>>, Trouble> {
        let most = if crash.one_by_one() { 1 } else { WINDOW_STATEMENTS };
        let mut statements: Vec<Arc<str>> = Vec::new();
        let mut bytes = 0;
        while self.position < self.end {
            let item = self.next().map_err(unreadable)?;
            let Some(ScriptItem::Statement { text, line, column, copy, .. }) = item else {
                return Err(unreadable("it ended early, or its COPY data is out of place".into()));
            };
            let full = statements.len() >= most || bytes + text.len() > WINDOW_BYTES;
            if (full || copy) && !statements.is_empty() {
                crash.point();
                worker.run(&std::mem::take(&mut statements), notices, watch).await?;
                bytes = 0;
            }
            if statements.is_empty() {
                self.window_start = self.lines.len();
                self.window.clear();
            }
            // Shared, not copied: a statement may be a large part of the memory there is.
            let text: Arc<str> = text.into();
            self.lines.push(line);
            self.window.push(Sent { line, column, text: Arc::clone(&text) });
            if copy {
                crash.point();
                self.copy(&text, worker, watch).await?;
            } else {
                bytes += text.len();
                statements.push(text);
            }
        }
        Ok(statements)
    }

    /// All statements of the unit, where they are few enough for one window and none takes data.
    pub(super) fn only_window(&mut self) -> Result<Vec<Arc<str>>, String> {
        let mut statements = Vec::new();
        while self.position < self.end {
            match self.next()? {
                Some(ScriptItem::Statement { copy: false, .. }) if statements.len() >= WINDOW_STATEMENTS => {
                    return Err("it has more statements than when it was read before".into());
                }
                Some(ScriptItem::Statement { text, line, column, copy: false, .. }) => {
                    let text: Arc<str> = text.into();
                    self.lines.push(line);
                    self.window.push(Sent { line, column, text: Arc::clone(&text) });
                    statements.push(text);
                }
                _ => return Err("it has fewer statements than when it was read before".into()),
            }
        }
        Ok(statements)
    }

    async fn copy(
        &mut self,
        statement: &str,
        worker: &mut Worker,
        watch: &mut Watch<'_>,
    ) -> Result<(), Trouble> {
        let number = worker.begin_copy(statement)?;
        let pid = worker.session.backend_pid();
        let cancel = worker.session.cancel_token();
        let transfer = async {
            if reading::is_ambiguous(statement) {
                worker.session.execute(reading::TERMS).await?;
            }
            let mut copy = worker.session.copy_in(statement).await?;
            loop {
                match self.next() {
                    Ok(Some(ScriptItem::CopyData(data))) => copy.send(Bytes::from(data)).await?,
                    Ok(Some(ScriptItem::CopyEnd) | None) => break,
                    Ok(Some(item)) => {
                        self.position -= 1;
                        self.ahead = Some(item);
                        break;
                    }
                    Err(why) => {
                        copy.abort("the file could not be read").await?;
                        return Ok(Err(why));
                    }
                }
            }
            let outcome = copy.finish_outcome().await;
            outcome.result.clone().map(|_| Ok(outcome))
        };
        let (result, cancelled) = match watch.during(transfer, pid, cancel).await {
            Watched::Done(result) => (result, false),
            Watched::Cancelled(result) => (result, true),
        };
        match result {
            Ok(Ok(outcome)) => {
                worker.end_copy(number, &outcome);
                Ok(())
            }
            Ok(Err(why)) | Err(Failure::Invalid(why)) => Err(unreadable(why)),
            Err(Failure::Server(_)) if cancelled => Err(Trouble::Cancelled),
            Err(Failure::Server(message)) => Err(Trouble::Refused { message, statement: Some(number) }),
            Err(Failure::Lost(why)) => Err(Trouble::Lost { why, committing: false }),
        }
    }

    /// The compressed text as it was read, once all of it was sent; checked against the checksum it was planned with.
    pub(super) fn text_as_read(&mut self) -> Result<Option<Vec<u8>>, String> {
        if let Some(text) = self.script.kept_text() {
            return Ok(text);
        }
        if self.items.is_none() {
            self.items = Some(self.script.items(self.migration, self.vars));
        }
        while self.next()?.is_some() {}
        self.items.as_ref().map_or(Ok(None), |items| items.text_as_read(&self.migration.checksums.normalised))
    }

    /// Line of a statement of the transaction; the first line where it is not known.
    pub(super) fn line_of(&self, statement: usize) -> u32 {
        self.lines.get(statement).copied().unwrap_or(1)
    }

    /// Where trouble came from, with what may be shown of it.
    pub(super) fn place_of(&self, trouble: &Trouble, secrets: &Secrets) -> Option<Place> {
        let sent =
            |number: usize| number.checked_sub(self.window_start).and_then(|index| self.window.get(index));
        let (message, number) = match trouble {
            Trouble::Refused { message, statement: Some(number) } => (message, *number),
            Trouble::Misread(bent) => {
                return Some(match sent(bent.by) {
                    Some(sent) => locate::of_statement(self.migration, self.vars, sent, secrets),
                    None => locate::of_line(self.migration, self.vars, self.line_of(bent.by)),
                });
            }
            _ => return None,
        };
        let sent = sent(number)?;
        // An attempt that fails for a lock is made again many times.
        if trouble.is_retryable() && self.migration.checksums.bytes > READ_AGAIN {
            return Some(locate::in_statement(sent, message, secrets));
        }
        Some(locate::in_file(self.migration, self.vars, sent, message, secrets))
    }
}

fn unreadable(why: String) -> Trouble {
    Trouble::Unreadable(why)
}
