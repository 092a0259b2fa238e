//! Findings about SQL before it runs: one rule a file, found in one list (`rules`).
//!
//! A rule looks at one statement, or at the statements of one file together, with what is known of the database before them: what
//! earlier statements of the run made (a new table may be locked freely), and, where somebody asked a server, what is there. Nothing
//! here reads files or talks to a server; what a rehearsal sees and what names of files say is found elsewhere, under the codes of the
//! same list.

mod about;
mod elsewhere;
mod finding;
pub mod fix;
mod joining;
mod known;
mod linter;
mod naming;
pub mod page;
mod plain;
mod rules;
mod security;
mod site;
mod suppress;
#[cfg(test)]
mod tests;

pub use about::{About, Example, Origin};
pub use elsewhere::{Covered, OtherRule, of_other_tools};
pub use finding::{Finding, Seen, Severity};
pub use fix::Fix;
pub use known::{Facts, Known, Size};
pub use linter::{FileEnd, Linter, Selected};
pub use naming::{Naming, Pattern};
pub use security::{Condition, Policy, Routine, Security};
pub use suppress::{DIRECTIVE, Suppression, suppressions};

/// Every rule, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static About> {
    rules::RULES.iter().map(|rule| &rule.about)
}

/// The rule of a code.
pub fn by_code(code: &str) -> Option<&'static About> {
    all().find(|about| about.code == code)
}
