//! The statements of a plan that is kept: what will be sent, for whoever reviews it, with what is secret starred. What is
//! run comes from the files; the plan's checksums and digests hold them to what was shown.

use std::collections::BTreeMap;

use super::graph::{MadeBefore, felt_work, lock_summary, who_waits, work_summary};
use super::{LockSummary, PlannedStatement, Step, StepState};
use crate::migration::Migration;
use crate::places::{FilePlace, into_file};
use crate::project::{Project, Vars};
use crate::script::{Listed, MOST_LISTED, Script, ScriptItem};
use crate::secrets::Secrets;

/// Bytes that are shown of one statement: 64 KiB.
const LONGEST: usize = 64 << 10;
/// Bytes that are shown of one file's statements together: 1 MiB.
const MOST: usize = 1 << 20;

/// Fills in the statements of what would run.
///
/// # Errors
/// Why a file cannot be read again, with its path.
pub(super) fn fill(
    project: &Project,
    scripts: &BTreeMap<usize, Script>,
    steps: &mut [Step],
) -> Result<(), String> {
    let secrets = secrets(project, scripts);
    let mut made = MadeBefore::default();
    for (index, step) in steps.iter_mut().enumerate() {
        let Some(script) = scripts.get(&index) else { continue };
        if step.state.will_run() {
            let migration = &project.migrations[index];
            let taking = Taking { script, secrets: &secrets, made: &made, sql: Vec::new(), kept: 0, more: 0 };
            let failed = |why| format!("{}: {why}", migration.path);
            (step.sql, step.sql_more) = taking.read(migration, &project.vars).map_err(failed)?;
        }
        if !matches!(step.state, StepState::Applied { .. }) {
            made.learn(script);
        }
    }
    Ok(())
}

/// What no statement shows.
fn secrets(project: &Project, scripts: &BTreeMap<usize, Script>) -> Secrets {
    let mut secrets = Secrets::of(&project.vars);
    for script in scripts.values() {
        secrets.learn_from(&script.passwords);
    }
    secrets.spare_objects(scripts.values());
    secrets
}

/// The statements of one file while they stream by.
struct Taking<'a> {
    script: &'a Script,
    secrets: &'a Secrets,
    made: &'a MadeBefore,
    sql: Vec<PlannedStatement>,
    /// Bytes of texts.
    kept: usize,
    /// Statements that are not shown.
    more: u64,
}

impl Taking<'_> {
    fn read(mut self, migration: &Migration, vars: &Vars) -> Result<(Vec<PlannedStatement>, u64), String> {
        let mut places = Vec::new();
        for item in self.script.items(migration, vars) {
            match item? {
                ScriptItem::Statement { text, line, column, unit, .. } => {
                    if self.more > 0 || self.sql.len() >= MOST_LISTED || self.kept >= MOST {
                        self.more += 1;
                        continue;
                    }
                    places.push(FilePlace { line, column, source_line: String::new() });
                    self.statement(&text, unit);
                }
                ScriptItem::CopyData(data) if self.more == 0 => {
                    if let Some(copy) = self.sql.last_mut() {
                        copy.data += u64::try_from(data.len()).unwrap_or(u64::MAX);
                    }
                }
                ScriptItem::CopyData(_) | ScriptItem::CopyEnd => {}
            }
        }
        // A value of several lines moves what is behind it.
        if vars.iter().any(|(_, value)| value.contains('\n')) {
            into_file(migration, vars, &mut places.iter_mut().collect::<Vec<_>>());
        }
        for (number, (statement, place)) in self.sql.iter_mut().zip(&places).enumerate() {
            statement.line = place.line;
            if let Some(listed) = self.script.listed(number) {
                describe(statement, listed, self.made);
            }
        }
        Ok((self.sql, self.more))
    }

    fn statement(&mut self, text: &str, unit: usize) {
        // Starred before it is cut: what stands behind the cut may say that something before it is secret.
        let mut shown = self.secrets.star(text);
        let whole = shown.len();
        let mut end = whole.min(LONGEST);
        while !shown.is_char_boundary(end) {
            end -= 1;
        }
        shown.truncate(end);
        self.kept += shown.len();
        let outside = self.script.units.get(unit).and_then(|unit| unit.outside.as_ref());
        let outside = outside.map(|outside| format!("outside a transaction: {}", outside.what));
        self.sql.push(PlannedStatement {
            line: 0,
            unit: u32::try_from(unit).unwrap_or(u32::MAX).saturating_add(1),
            text: shown,
            cut: u64::try_from(whole - end).unwrap_or(u64::MAX),
            data: 0,
            locks: Vec::new(),
            hazards: outside.into_iter().collect(),
        });
    }
}

/// What a statement locks, and what of it others would notice.
fn describe(statement: &mut PlannedStatement, listed: &Listed, made: &MadeBefore) {
    let line = statement.line;
    let mut locks: Vec<LockSummary> =
        listed.locks.iter().map(|lock| lock_summary(&lock.relation, lock.mode, line)).collect();
    let mut work: Vec<_> = listed.work.iter().map(|work| work_summary(work, line)).collect();
    made.mark(&mut locks, &mut work);
    let waits = locks.iter().filter(|lock| !lock.new && !who_waits(lock).is_empty());
    statement
        .hazards
        .extend(waits.map(|lock| format!("{} of {}: {}", lock.mode, lock.relation, who_waits(lock))));
    statement.hazards.extend(listed.more_locks.iter().map(|more| format!("also locks {more}")));
    statement.hazards.extend(work.iter().filter_map(felt_work));
    statement.hazards.extend(listed.opaque.iter().map(|why| format!("effects not fully known: {why}")));
    statement.locks = locks;
}
