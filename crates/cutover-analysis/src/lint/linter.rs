//! Runs the rules over the statements of files, in the order in which they would be applied.

use pg_query::NodeEnum;
use pg_query::protobuf::DoStmt;

use super::about::About;
use super::finding::{Finding, Seen, Severity};
use super::fix;
use super::known::{Branches, Known};
use super::rules::{Look, LookAtType, RULES, Watch};
use super::site::{Found, Pending, Said, Site, Still};
use super::suppress::{self, Suppression};
use crate::effects::{
    Control, Effects, ObjectKind, Part, Prepared, Spent, TransactionRule, each_part_of_block, effects_of,
    ends_transaction, made_at_run_time, names,
};
use crate::sql::{Branch, Span, Statement, SyntaxError};

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

    /// No rule: what statements leave behind is learnt, and nothing is said.
    pub fn nothing() -> Self {
        Self(RULES.iter().map(|_| None).collect())
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
#[derive(Default)]
pub struct Linter {
    known: Known,
    /// What is said at the end of the run, where it is still true then.
    pending: Vec<Pending>,
    /// What was said so far of runs as a whole, in the order in which it was given out: whether it is true still.
    told: Vec<Still>,
    /// How many files there were.
    files: usize,
}

impl std::fmt::Debug for Linter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linter").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Linter {
    /// With what is known before the first file.
    pub fn new(known: Known) -> Self {
        Self { known, ..Self::default() }
    }

    /// Begins a file; `apart` where each of its statements runs outside a transaction.
    pub fn file<'a>(&'a mut self, selected: &'a Selected, apart: bool) -> FileLint<'a> {
        let number = self.files;
        self.files += 1;
        FileLint {
            rules: Rules::new(selected, number),
            known: &mut self.known,
            pending: &mut self.pending,
            selected,
            said: Said::default(),
            marks: Vec::new(),
            suppressions: Vec::new(),
            transaction: 0,
            apart,
        }
    }

    /// From here on it is another run: what was made so far is there and in use. Gives what is wrong with the run before as a
    /// whole, each with the number of its file, from 0. What comes behind may put it right: see [`Self::end`].
    pub fn begin_run(&mut self) -> Vec<(usize, Finding)> {
        let said = self.still();
        self.known.is_another_run();
        said
    }

    /// Ends the last run: what is wrong with it as a whole, each with the number of its file, from 0; and of all that was said of runs
    /// as a whole, in the order in which it was, this included, whether nothing that came behind has put it right.
    pub fn end(mut self) -> (Vec<(usize, Finding)>, Vec<bool>) {
        let said = self.still();
        let holds = self.told.iter().map(|still| still(&self.known).is_some()).collect();
        (said, holds)
    }

    /// What was put off and is true by now.
    fn still(&mut self) -> Vec<(usize, Finding)> {
        let pending = std::mem::take(&mut self.pending);
        let mut said = Vec::new();
        for Pending { file, mut finding, still } in pending {
            self.known.forget();
            let Some(message) = still(&self.known) else { continue };
            finding.message = message;
            if let Some(about) = super::by_code(finding.code)
                && self.known.has_decided(about)
            {
                finding.seen_by = Seen::Catalogue;
            }
            said.push((file, finding));
            self.told.push(still);
        }
        said
    }
}

/// A file that is looked at.
pub struct FileLint<'a> {
    known: &'a mut Known,
    pending: &'a mut Vec<Pending>,
    selected: &'a Selected,
    rules: Rules,
    said: Said,
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
        let Self { known, rules, said, apart, transaction, .. } = self;
        let mut change = None;
        let spent = prepared.look(&known.context, |parsed, effects| {
            *apart |= runs_outside(statement, effects);
            for node in parsed.statements() {
                rules.look(&Site::new(node, effects, known, (statement, number), false), said);
            }
            if let TransactionRule::Control(Control::Commit | Control::Rollback) = effects.transaction {
                *transaction += 1;
            }
            change = Some(known.change_by(&parsed.statements().collect::<Vec<_>>(), effects));
        })?;
        if let (Some(change), Some(parsed)) = (change, spent.parsed()) {
            let was_closed = known.is_closed();
            known.learn(&parsed.statements().collect::<Vec<_>>(), change);
            for node in parsed.statements() {
                if let NodeEnum::DoStmt(block) = node {
                    self.block(block, statement, number, was_closed);
                }
            }
        }
        Ok(spent)
    }

    /// Looks at the statements of a block, as far as its text says them: it runs at once. Whether a branch of it runs is not
    /// known; whoever wrote it meant it to. What it would leave behind may not be there afterwards.
    fn block(&mut self, block: &DoStmt, statement: &Statement, number: usize, was_closed: bool) {
        let Self { known, rules, said, .. } = self;
        let anything = known.begin_block(was_closed && made_at_run_time(block).is_empty());
        let mut branches = Branches::default();
        // What it takes back did not happen.
        let is_divided = ends_transaction(block);
        if is_divided {
            branches.begin(false);
        }
        // What is put together at run time nobody can look at here.
        let _ = each_part_of_block(block, &mut |part| match part {
            Part::Statement(node) => {
                let effects = effects_of(node, &known.context);
                rules.look(&Site::new(node, &effects, known, (statement, number), true), said);
                let change = known.change_by(&[node], &effects);
                known.learn_in_block(node, change, &mut branches);
            }
            Part::Branch(Branch::Begins { repeats }) => branches.begin(repeats),
            Part::Branch(Branch::Ends) => branches.end(known),
        });
        if is_divided {
            branches.end(known);
        }
        known.end_block(anything);
    }

    /// Ends the file: what was found, in the order of the text, without what is suppressed.
    pub fn end(mut self) -> Vec<Finding> {
        let end = FileEnd { marks: self.marks, apart: self.apart };
        self.rules.end(&end, &mut self.said);
        self.known.end_file();
        let is_of_database = self.known.is_of_database();
        suppress::apply(&mut self.said, self.suppressions, self.selected, is_of_database);
        self.pending.append(&mut self.said.pending);
        self.said.findings
    }
}

/// Has a rule look at each type of a column, and says what it finds at the type.
fn look_at_types(look: LookAtType, site: &Site<'_>, found: &mut Found<'_>) {
    for (table, column, data_type) in site.typed_columns() {
        // The grammar's own spellings (`int`, `char(3)`) stand in pg_catalog; so may what is written so.
        let is_own = match data_type.names.as_slice() {
            [_] => true,
            [schema, _] => names::text(schema) == Some("pg_catalog"),
            _ => false,
        };
        let Some(name) = data_type.names.last().and_then(names::text).filter(|_| is_own) else { continue };
        let column = || names::part_of(ObjectKind::Column, table, *column).named();
        if let Some(message) = look(data_type, name, &column) {
            found.say_at(data_type.location, message);
        }
    }
}

/// The rules that look at one file.
struct Rules {
    looks: Vec<(&'static About, Severity, Look)>,
    watches: Vec<(&'static About, Severity, Box<dyn Watch>)>,
    /// The number of the file.
    file: usize,
}

impl Rules {
    fn new(selected: &Selected, file: usize) -> Self {
        let (mut looks, mut watches) = (Vec::new(), Vec::new());
        for (rule, severity) in RULES.iter().zip(&selected.0) {
            let Some(severity) = *severity else { continue };
            match rule.look {
                Look::File(begin) => watches.push((&rule.about, severity, begin())),
                Look::Statement(_) | Look::Plain(_) | Look::Type(_) => {
                    looks.push((&rule.about, severity, rule.look));
                }
                Look::Elsewhere => {}
            }
        }
        Self { looks, watches, file }
    }

    /// Has every rule look at a statement.
    fn look(&mut self, site: &Site<'_>, said: &mut Said) {
        let Site { number, statement, .. } = *site;
        // Places in the text of a block are no places in the statement.
        let (span, placed, file) = (statement.span, !site.in_block, self.file);
        let before = (said.findings.len(), said.pending.len());
        for (about, severity, look) in &self.looks {
            let before = begin(site, said);
            let mut found = Found { about, severity: *severity, span, placed, number, file, said };
            match look {
                Look::Plain(look) => look(site).into_iter().for_each(|message| found.say(message)),
                Look::Type(look) => look_at_types(*look, site, &mut found),
                Look::Statement(look) => look(site, &mut found),
                Look::File(_) | Look::Elsewhere => {}
            }
            site.known.mark(about, found.said, before);
        }
        mend(site, said, before);
        for (about, severity, watch) in &mut self.watches {
            let before = begin(site, said);
            let mut found = Found { about, severity: *severity, span, placed, number, file, said };
            watch.statement(site, &mut found);
            site.known.mark(about, found.said, before);
        }
    }

    /// Tells those that watch the whole file that there is no more.
    fn end(self, end: &FileEnd, said: &mut Said) {
        let (number, file) = (end.count().saturating_sub(1), self.file);
        let span = end.span(number);
        for (about, severity, watch) in self.watches {
            watch.end(end, &mut Found { about, severity, span, placed: true, number, file, said });
        }
    }
}

/// Finds out how that is mended which a statement made rules say.
fn mend(site: &Site<'_>, said: &mut Said, (findings, pending): (usize, usize)) {
    let said_now = said.findings.iter_mut().skip(findings);
    let put_off = said.pending.iter_mut().skip(pending).map(|later| &mut later.finding);
    for finding in said_now.chain(put_off) {
        finding.fix = fix::mend(site, finding);
    }
}

/// Before a rule looks: nothing is told yet. How much is found by now.
fn begin(site: &Site<'_>, said: &Said) -> usize {
    site.known.forget();
    said.findings.len()
}

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
