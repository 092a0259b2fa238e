//! Runs the rules over the statements of files, in the order in which they would be applied.

use super::finding::{Finding, Severity};
use super::known::Known;
use super::rules::{Look, RULES, Watch};
use super::site::{Found, Site};
use super::suppress::{self, Suppression};
use crate::effects::{
    Control, Effects, Prepared, Spent, TransactionRule, each_statement_of_block as each_statement, effects_of,
};
use crate::sql::{Span, Statement, SyntaxError};
use pg_query::NodeEnum;
use pg_query::protobuf::DoStmt;

/// Which rules look at a file, and how bad what they find is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected(Vec<Option<Severity>>);

impl Default for Selected {
    fn default() -> Self {
        Self(RULES.iter().map(|rule| rule.about.on.then_some(rule.about.severity)).collect())
    }
}

impl Selected {
    /// Every rule there is, as bad as it says itself.
    pub fn everything() -> Self {
        Self(RULES.iter().map(|rule| Some(rule.about.severity)).collect())
    }

    /// Lets a rule look, with this severity, or not at all. Says whether there is such a rule.
    pub fn set(&mut self, code: &str, severity: Option<Severity>) -> bool {
        let place = RULES.iter().position(|rule| rule.about.code == code);
        if let Some(chosen) = place.and_then(|place| self.0.get_mut(place)) {
            *chosen = severity;
        }
        place.is_some()
    }

    /// How bad findings of a rule are here; none where it does not look.
    pub fn severity(&self, code: &str) -> Option<Severity> {
        RULES
            .iter()
            .zip(&self.0)
            .find(|(rule, _)| rule.about.code == code)
            .and_then(|(_, severity)| *severity)
    }
}

/// Looks at the files of a run, one after the other.
#[derive(Debug, Default)]
pub struct Linter {
    known: Known,
}

impl Linter {
    /// With what is known before the first file.
    pub fn new(known: Known) -> Self {
        Self { known }
    }

    /// Begins a file; `apart` where each of its statements runs outside a transaction.
    pub fn file<'a>(&'a mut self, selected: &'a Selected, apart: bool) -> FileLint<'a> {
        let rules = RULES.iter().zip(&selected.0).filter_map(|(rule, severity)| Some((rule, (*severity)?)));
        let watches = rules
            .clone()
            .filter_map(|(rule, severity)| match rule.look {
                Look::File(begin) => Some((&rule.about, severity, begin())),
                _ => None,
            })
            .collect();
        let looks = rules
            .filter(|(rule, _)| matches!(rule.look, Look::Statement(_) | Look::Plain(_)))
            .map(|(rule, severity)| (&rule.about, severity, rule.look))
            .collect();
        let path = self.known.context.search_path.clone();
        FileLint {
            path,
            known: &mut self.known,
            selected,
            looks,
            watches,
            findings: Vec::new(),
            marks: Vec::new(),
            suppressions: Vec::new(),
            transaction: 0,
            apart,
        }
    }
}

/// A file that is looked at.
pub struct FileLint<'a> {
    known: &'a mut Known,
    /// Where names are looked for at the beginning of each file.
    path: Vec<String>,
    selected: &'a Selected,
    looks: Vec<(&'static super::About, Severity, Look)>,
    watches: Vec<(&'static super::About, Severity, Box<dyn Watch>)>,
    findings: Vec<Finding>,
    /// Of each statement the part of the file, and its transaction.
    marks: Vec<(Span, u32)>,
    suppressions: Vec<Suppression>,
    transaction: u32,
    apart: bool,
}

impl std::fmt::Debug for FileLint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileLint").field("statements", &self.marks.len()).finish_non_exhaustive()
    }
}

impl FileLint<'_> {
    /// Looks at the next statement.
    ///
    /// # Errors
    /// It does not parse: nothing else is found in it.
    pub fn statement(&mut self, statement: &Statement, prepared: Prepared) -> Result<Spent, SyntaxError> {
        let number = self.marks.len();
        if statement.directives.iter().any(|directive| directive.name == "new-transaction") {
            self.transaction += 1;
        }
        self.marks.push((statement.span, self.transaction));
        self.suppressions.extend(suppress::suppressions(statement, number));
        let Self { known, looks, watches, findings, apart, transaction, .. } = self;
        let mut change = None;
        let spent = prepared.look(&known.context, |parsed, effects| {
            *apart |= runs_outside(statement, effects);
            for node in parsed.statements() {
                let site = Site { node, effects, known, statement, number, in_block: false };
                look_at(&site, looks, watches, findings);
            }
            if let TransactionRule::Control(Control::Commit | Control::Rollback) = effects.transaction {
                *transaction += 1;
            }
            change = Some(known.change_by(parsed.statements(), effects));
        })?;
        if let (Some(change), Some(parsed)) = (change, spent.parsed()) {
            known.learn(parsed.statements(), change);
            for node in parsed.statements() {
                if let NodeEnum::DoStmt(block) = node {
                    self.block(block, statement, number);
                }
            }
        }
        Ok(spent)
    }

    /// Looks at the statements of a block, as far as its text says them: it runs at once. Whether a branch of it runs is not
    /// known; whoever wrote it meant it to.
    fn block(&mut self, block: &DoStmt, statement: &Statement, number: usize) {
        let Self { known, looks, watches, findings, .. } = self;
        // What is put together at run time nobody can look at here.
        let _ = each_statement(block, &mut |node| {
            let effects = effects_of(node, &known.context);
            let site = Site { node, effects: &effects, known, statement, number, in_block: true };
            look_at(&site, looks, watches, findings);
            let change = known.change_by(std::iter::once(node), &effects);
            known.learn(std::iter::once(node), change);
        });
    }

    /// Ends the file: what was found, in the order of the text, without what is suppressed.
    pub fn end(mut self) -> Vec<Finding> {
        let end = FileEnd { marks: std::mem::take(&mut self.marks), apart: self.apart, known: self.known };
        let last = end.marks.last().map(|(span, _)| *span).unwrap_or_default();
        for (about, severity, watch) in self.watches {
            let number = end.marks.len().saturating_sub(1);
            let findings = &mut self.findings;
            let placed = true;
            watch.end(&end, &mut Found { about, severity, span: last, placed, number, findings });
        }
        self.known.context.search_path = self.path;
        suppress::apply(self.findings, self.suppressions, self.selected)
    }
}

/// Has every rule look at a statement.
fn look_at(
    site: &Site<'_>,
    looks: &[(&'static super::About, Severity, Look)],
    watches: &mut [(&'static super::About, Severity, Box<dyn Watch>)],
    findings: &mut Vec<Finding>,
) {
    let Site { number, statement, .. } = *site;
    // Places in the text of a block are no places in the statement.
    let (span, placed) = (statement.span, !site.in_block);
    for (about, severity, look) in looks {
        let mut found = Found { about, severity: *severity, span, placed, number, findings };
        match look {
            Look::Plain(look) => look(site).into_iter().for_each(|message| found.say(message)),
            Look::Statement(look) => look(site, &mut found),
            Look::File(_) | Look::Elsewhere => {}
        }
    }
    for (about, severity, watch) in watches {
        watch.statement(site, &mut Found { about, severity: *severity, span, placed, number, findings });
    }
}

fn runs_outside(statement: &Statement, effects: &Effects) -> bool {
    matches!(effects.transaction, TransactionRule::Forbidden { .. })
        || statement.directives.iter().any(|directive| directive.name == "no-transaction")
}

/// What is known of a file at its end.
#[derive(Debug)]
pub struct FileEnd<'a> {
    marks: Vec<(Span, u32)>,
    apart: bool,
    /// What is known behind the last statement.
    pub(crate) known: &'a Known,
}

impl FileEnd<'_> {
    /// Whether two statements, by their numbers, run in one transaction.
    pub(crate) fn together(&self, one: usize, other: usize) -> bool {
        let of = |number: usize| self.marks.get(number).map(|(_, transaction)| *transaction);
        !self.apart && of(one) == of(other)
    }

    /// The part of the file that a statement is.
    pub(crate) fn span(&self, number: usize) -> Span {
        self.marks.get(number).map(|(span, _)| *span).unwrap_or_default()
    }
}
