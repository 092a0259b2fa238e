//! Reports: pure functions from a [`Run`] or a [`Plan`](crate::plan::Plan) to text.
//!
//! Every form is made from the same digest of the run's events, so that the terminal, Markdown and HTML cannot
//! disagree. Nothing here reads the environment, the clock or the terminal, and nothing here measures: a mark stands
//! only where an event or a check result stands behind it. The JSON form is the document itself, through serde.
//!
//! Text from outside (names, messages of the server, queries, `application_name` of strangers) is shown, never
//! obeyed: control and direction characters appear escaped, and each form escapes its own markup.

/// Appends formatted text to a string. Writing to a string cannot fail, so there is no error to hand on.
macro_rules! add {
    ($out:expr, $($part:tt)*) => {{
        let _ = std::fmt::Write::write_fmt(&mut *$out, format_args!($($part)*));
    }};
}

/// [`add!`] with a line feed at the end.
macro_rules! put {
    ($out:expr, $($part:tt)*) => {{
        add!($out, $($part)*);
        $out.push('\n');
    }};
}

mod digest;
pub(crate) mod erd;
pub(crate) mod escape;
pub mod format;
pub mod graph;
mod html;
pub(crate) mod markdown;
mod picture;
pub mod text;

use crate::run::{CheckResult, Run};

pub use digest::parts_lines;
pub use html::{html, rehearsal_html};

/// What other pages need to look like these, and to be as harmless.
pub mod page {
    pub use super::html::page as whole;

    /// Text from outside as one line: control, direction and invisible characters appear escaped. Markup is the caller's to escape.
    pub fn one_line(text: &str) -> std::borrow::Cow<'_, str> {
        super::escape::line(text)
    }
}
pub use markdown::markdown;

/// The newest answer of each check of a run, in the order they were first given.
pub fn answers(run: &Run) -> Vec<CheckResult> {
    digest::Digest::new(run).checks.into_iter().cloned().collect()
}

/// As [`answers`], without preconditions that kept their migration from starting: the failure tells of them.
pub fn answers_besides_failures(run: &Run) -> Vec<CheckResult> {
    let digest = digest::Digest::new(run);
    digest
        .checks
        .iter()
        .filter(|check| !digest.is_said_by_failure(check))
        .map(|check| (*check).clone())
        .collect()
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod json_docs;
#[cfg(test)]
mod tests;
