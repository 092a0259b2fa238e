//! Writing to standard output and standard error. A reader that went away (`cutover plan | head`) is no error, and
//! never stops work that is under way.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cutover::report::text::TextStyle;
use serde::Serialize;

use crate::args::Format;
use crate::error::{CliError, Exit};
use crate::terminal::Styles;

/// Version of the JSON forms that are the command's own.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Where a command's words go.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
    styles: Styles,
    quiet: bool,
    verbose: bool,
    /// The first write that failed; nothing is written after it.
    failed: Mutex<Option<io::Error>>,
}

impl Output {
    pub(crate) fn new(format: Format, styles: Styles, quiet: bool, verbose: bool) -> Self {
        Self { format, styles, quiet, verbose, failed: Mutex::new(None) }
    }

    /// How text on standard output looks.
    pub(crate) fn style(&self) -> TextStyle {
        self.styles.stdout
    }

    /// How text on standard error looks.
    pub(crate) fn error_style(&self) -> TextStyle {
        self.styles.stderr
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// What was asked for, as it is.
    pub(crate) fn print(&self, text: &str) {
        let mut failed = self.failed();
        if failed.is_some() {
            return;
        }
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            *failed = Some(error);
        }
    }

    /// A line of progress or remark on standard output, unless quiet. Not for JSON.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet && !self.is_json() {
            self.print(&format!("{line}\n"));
        }
    }

    /// One JSON document in one line.
    pub(crate) fn json(&self, document: &impl Serialize) -> Result<(), CliError> {
        let mut text =
            serde_json::to_string(document).map_err(|error| CliError::new(Exit::RolledBack, error))?;
        text.push('\n');
        self.print(&text);
        Ok(())
    }

    /// Something the user should know, on standard error, unless quiet.
    pub(crate) fn warn(&self, message: &str) {
        if !self.quiet {
            self.to_stderr(&format!("{} {message}\n", self.paint("33", "warning:")));
        }
    }

    /// A remark on standard error, unless quiet.
    pub(crate) fn remark(&self, message: &str) {
        if !self.quiet {
            self.to_stderr(&format!("{message}\n"));
        }
    }

    /// An error with its hints, on standard error.
    pub(crate) fn error(&self, error: &CliError) {
        let mut text = format!("{} {}\n", self.paint("1;31", "error:"), error.message.trim_end());
        for hint in &error.hints {
            let _ = writeln!(text, "  {} {hint}", self.paint("1", "hint:"));
        }
        self.to_stderr(&text);
    }

    /// Text on standard error, which nobody may be reading.
    #[allow(clippy::unused_self, reason = "the way out is through here")]
    pub(crate) fn to_stderr(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// What kept standard output from being written, other than a reader that went away.
    pub(crate) fn failure(&self) -> Option<CliError> {
        let failed = self.failed();
        let error = failed.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)?;
        Some(CliError::usage(format!("cannot write to standard output: {error}")))
    }

    fn failed(&self) -> MutexGuard<'_, Option<io::Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paint(&self, code: &str, word: &str) -> String {
        if self.styles.stderr.color { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
    }
}
