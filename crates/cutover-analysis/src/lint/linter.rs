//! Runs the rules over the statements of files, in the order in which they would be applied.

use pg_query::NodeEnum;
use pg_query::protobuf::DoStmt;

use super::finding::{Finding, Severity};
use super::known::Known;
use super::rules::{Look, RULES, Watch};
use super::site::{Found, Pending, Site};
use super::suppress::{self, Suppression};
use crate::effects::{Effects, Prepared, Spent, TransactionRule, statements_of_block};
use crate::sql::{Span, Statement, SyntaxError};

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
    /// What is said at the end of the run, where it is still true then.
    pending: Vec<Pending>,
    files: usize,
}

impl Linter {
    /// With what is known before the first file.
    pub fn new(known: Known) -> Self {
        Self { known, ..Self::default() }
    }

    /// Ends the run: what is wrong with it as a whole, each with the number of its file, from 0.
    pub fn end(&mut self) -> Vec<(usize, Finding)> {
        let pending = std::mem::take(&mut self.pending);
        let still = pending.into_iter().filter_map(|Pending { file, mut finding, still }| {
            finding.message = still(&self.known)?;
            Some((file, finding))
        });
        still.collect()
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
        let number = self.files;
        self.files += 1;
        FileLint {
            known: &mut self.known,
            pending: &mut self.pending,
            of_file: Vec::new(),
            file: number,
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
    pending: &'a mut Vec<Pending>,
    /// Those of this file.
    of_file: Vec<Pending>,
    file: usize,
    selected: &'a Selected,
    looks: Vec<Looking>,
    watches: Vec<Watching>,
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
        let mut change = None;
        let spent = prepared.look(&self.known.context, |parsed, effects| {
            self.apart |= runs_outside(statement, effects);
            let around = (&*self.known, statement, number, self.file);
            for node in parsed.statements() {
                let mut into = (&mut self.findings, &mut self.of_file);
                look(
                    &Around { at: around, within: false },
                    (node, effects),
                    (&self.looks, &mut self.watches),
                    &mut into,
                );
            }
            change = Some(self.known.change_by(parsed, effects));
        })?;
        if let (Some(change), Some(parsed)) = (change, spent.parsed()) {
            self.known.learn(parsed, change);
            for node in parsed.statements() {
                if let NodeEnum::DoStmt(block) = node {
                    self.block(block, statement, number);
                }
            }
        }
        Ok(spent)
    }

    /// Looks at the statements of a block that is run now.
    fn block(&mut self, block: &DoStmt, statement: &Statement, number: usize) {
        for text in statements_of_block(block) {
            let mut change = None;
            // What does not parse by itself is not looked at.
            let _ = Prepared::of(&text).look(&self.known.context, |parsed, effects| {
                let around = (&*self.known, statement, number, self.file);
                for node in parsed.statements() {
                    let mut into = (&mut self.findings, &mut self.of_file);
                    look(
                        &Around { at: around, within: true },
                        (node, effects),
                        (&self.looks, &mut self.watches),
                        &mut into,
                    );
                }
                change = Some(self.known.change_by(parsed, effects));
            });
            if let Some(change) = change {
                self.known.learn_within(change);
            }
        }
    }

    /// Ends the file: what was found, in the order of the text, without what is suppressed.
    pub fn end(mut self) -> Vec<Finding> {
        let end = FileEnd { marks: std::mem::take(&mut self.marks), apart: self.apart };
        let last = end.marks.last().map(|(span, _)| *span).unwrap_or_default();
        for (about, severity, watch) in self.watches {
            let number = end.marks.len().saturating_sub(1);
            let (findings, pending) = (&mut self.findings, &mut self.of_file);
            let (file, within) = (self.file, false);
            watch.end(
                &end,
                &mut Found { about, severity, span: last, number, within, file, findings, pending },
            );
        }
        let findings = suppress::apply(self.findings, &mut self.of_file, self.suppressions, self.selected);
        self.pending.append(&mut self.of_file);
        findings
    }
}

/// Where a statement stands.
struct Around<'a> {
    at: (&'a Known, &'a Statement, usize, usize),
    within: bool,
}

/// Lets rules look at one statement.
fn look(
    around: &Around<'_>,
    (node, effects): (&NodeEnum, &Effects),
    (looks, watches): (&[Looking], &mut [Watching]),
    into: &mut (&mut Vec<Finding>, &mut Vec<Pending>),
) {
    let (known, statement, number, file) = around.at;
    let within = around.within;
    let site = Site { node, effects, known, statement, number, within };
    let span = statement.span;
    for (about, severity, look) in looks {
        let (findings, pending) = (&mut *into.0, &mut *into.1);
        let mut found = Found { about, severity: *severity, span, number, within, file, findings, pending };
        match look {
            Look::Plain(look) => look(&site).into_iter().for_each(|message| found.say(message)),
            Look::Statement(look) => look(&site, &mut found),
            Look::File(_) | Look::Elsewhere => {}
        }
    }
    for (about, severity, watch) in watches {
        let (findings, pending) = (&mut *into.0, &mut *into.1);
        let mut found = Found { about, severity: *severity, span, number, within, file, findings, pending };
        watch.statement(&site, &mut found);
    }
}

type Looking = (&'static super::About, Severity, Look);
type Watching = (&'static super::About, Severity, Box<dyn Watch>);

fn runs_outside(statement: &Statement, effects: &Effects) -> bool {
    matches!(effects.transaction, TransactionRule::Forbidden { .. })
        || statement.directives.iter().any(|directive| directive.name == "no-transaction")
}

/// What is known of a file at its end.
#[derive(Debug)]
pub struct FileEnd {
    marks: Vec<(Span, u32)>,
    apart: bool,
}

impl FileEnd {
    /// Whether two statements, by their numbers, run in one transaction.
    pub(crate) fn together(&self, one: usize, other: usize) -> bool {
        let of = |number: usize| self.marks.get(number).map(|(_, transaction)| *transaction);
        !self.apart && of(one) == of(other)
    }

    /// Whether the statements run outside a transaction.
    pub(crate) fn is_apart(&self) -> bool {
        self.apart
    }

    /// How many statements there are.
    pub(crate) fn count(&self) -> usize {
        self.marks.len()
    }

    /// The part of the file that a statement is.
    pub(crate) fn span(&self, number: usize) -> Span {
        self.marks.get(number).map(|(span, _)| *span).unwrap_or_default()
    }
}
