//! The safe form of a statement, where getting there is mechanical: edits of its own text, and statements before and behind it.
//!
//! Each fix is a function of the statement as its rule saw it, found in one list. Nothing here knows of files: what a fix comes to in
//! a file, and whether the file lets it, is found elsewhere.

mod constraints;
mod indexes;
mod others;
mod text;

use std::ops::Range;

use super::finding::Finding;
use super::site::Site;

/// How a statement gets its safe form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fix {
    /// What is done, in words that follow "cutover": `builds the index CONCURRENTLY`.
    pub title: &'static str,
    /// Parts of the statement's text that get another text; they do not overlap.
    pub edits: Vec<Edit>,
    /// Statements before it.
    pub before: Vec<Step>,
    /// The statement itself begins another transaction.
    pub anew: bool,
    /// The statement itself runs outside a transaction.
    pub apart: bool,
    /// Statements behind it.
    pub after: Vec<Step>,
    /// It goes on the statement before it: what stands in its text from this byte on follows that one, behind a comma.
    pub joins: Option<usize>,
}

/// A part of a statement's text, in bytes from its beginning, and what is written in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The part; where it is empty, the text is put in there.
    pub at: Range<usize>,
    /// What is written.
    pub text: String,
}

/// A statement beside the one that is mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its text, without the closing `;`.
    pub sql: String,
    /// It begins another transaction.
    pub anew: bool,
    /// It runs outside a transaction.
    pub apart: bool,
}

impl Step {
    /// In the transaction of what comes before it.
    fn along(sql: String) -> Self {
        Self { sql, anew: false, apart: false }
    }

    /// In another transaction than what comes before it.
    fn anew(sql: String) -> Self {
        Self { sql, anew: true, apart: false }
    }

    /// Outside a transaction.
    fn apart(sql: String) -> Self {
        Self { sql, anew: false, apart: true }
    }
}

impl Fix {
    fn new(title: &'static str) -> Self {
        Self { title, ..Self::default() }
    }

    fn edit(mut self, at: Range<usize>, text: impl Into<String>) -> Self {
        self.edits.push(Edit { at, text: text.into() });
        self
    }

    /// The same with spaces where words would run together in the statement's text.
    fn spaced(mut self, text: &str) -> Mended {
        let is_part =
            |char: char| char.is_alphanumeric() || matches!(char, '_' | '$' | '"' | '\'') || !char.is_ascii();
        for edit in &mut self.edits {
            let (Some(before), Some(behind)) = (text.get(..edit.at.start), text.get(edit.at.end..)) else {
                return Err("its place was not found".to_owned());
            };
            if before.ends_with(is_part) && edit.text.starts_with(is_part) {
                edit.text.insert(0, ' ');
            }
            if behind.starts_with(is_part) && edit.text.ends_with(is_part) {
                edit.text.push(' ');
            }
        }
        Ok(self)
    }

    /// Whether all that it writes in the place of a statement is SQL, each one statement. Not asked before somebody wants the fix: it
    /// takes as long as reading the statement did.
    pub fn writes_statements(&self, text: &str) -> bool {
        let mut edits: Vec<&Edit> = self.edits.iter().collect();
        edits.sort_by_key(|edit| (edit.at.start, edit.at.end));
        let (mut written, mut at) = (String::new(), 0);
        for edit in edits {
            let Some(kept) = text.get(at..edit.at.start) else { return false };
            written = written + kept + &edit.text;
            at = edit.at.end;
        }
        written += text.get(at..).unwrap_or_default();
        let is_one = |sql: &str| crate::sql::parse(sql).is_ok_and(|parsed| parsed.statements().count() == 1);
        let mut steps = self.before.iter().chain(&self.after);
        is_one(&written) && steps.all(|step| is_one(&step.sql))
    }

    /// Whether it is done by edits of the statement's text alone, in the transaction in which it stands.
    pub fn is_in_place(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && !self.apart && !self.anew
    }

    /// That the statement's actions, which begin at this byte, are to be those of the one before it.
    pub(super) fn joined(actions: usize) -> Self {
        Self { joins: Some(actions), ..Self::new("makes one statement of it and the one before it") }
    }

    /// That the statement is to begin another transaction.
    pub(super) fn another_transaction() -> Self {
        Self { anew: true, ..Self::new("puts it into another transaction") }
    }
}

pub(super) use others::actions;
pub use text::asks_for_its_transaction;

/// The fix, or why there is none although the safe form is mechanical.
pub type Mended = Result<Fix, String>;

type Mend = fn(&Site<'_>, &Finding) -> Mended;

/// The rules whose findings can be mended.
const MENDS: [(&str, Mend); 13] = [
    ("create-index-blocks-writes", indexes::create),
    ("drop-index-locks", indexes::drop),
    ("reindex-locks", indexes::reindex),
    ("foreign-key-without-not-valid", constraints::not_valid),
    ("check-without-not-valid", constraints::not_valid),
    ("unique-constraint-builds-index", constraints::using_index),
    ("primary-key-builds-index", constraints::using_index),
    ("set-not-null-scans", constraints::not_null),
    ("detach-partition-locks", others::detach),
    ("refresh-materialized-view-locks", others::refresh),
    ("security-definer-without-search-path", others::search_path),
    ("view-bypasses-rls", others::security_invoker),
    ("replace-view-drops-options", others::repeated_options),
];

/// Whether findings of a rule can be mended at all.
pub fn is_mechanical(code: &str) -> bool {
    OF_FILES.contains(&code) || MENDS.iter().any(|(of, _)| *of == code)
}

/// Rules that look at the statements of a file together, and say themselves how they are mended.
const OF_FILES: [&str; 2] = ["validate-in-same-transaction", "several-alters-of-one-table"];

/// How the finding at this statement is mended; nothing where that is not mechanical.
pub(super) fn mend(site: &Site<'_>, finding: &Finding) -> Option<Mended> {
    let (_, mend) = MENDS.iter().find(|(code, _)| *code == finding.code)?;
    if site.in_block {
        return Some(Err("it stands in a DO block, which is one transaction: take it out first".to_owned()));
    }
    let mended = mend(site, finding).and_then(|fix| fix.spaced(&site.statement.text)).and_then(|fix| {
        let speaks = |name: &str| name != super::DIRECTIVE || !fix.before.is_empty();
        match site.statement.directives.iter().find(|directive| speaks(&directive.name)) {
            Some(directive) if !fix.is_in_place() => Err(format!(
                "a comment at it says `cutover: {}`, which would be of another statement then",
                directive.name
            )),
            _ => Ok(fix),
        }
    });
    Some(mended)
}
