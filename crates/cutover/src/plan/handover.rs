//! A plan as a script for `psql`, for somebody else to run: what a run would do, in the same transactions and with the
//! same records, so that the history is what it would be after a run.
//!
//! It checks first that it is the database it was made for and that nothing was applied since, takes the runner's lock
//! and the next fencing token, and stops at the first error. It does not try again for locks.

use std::io::{self, Write};

use cutover_analysis::sql::{quote_literal, without_psql_variables};
use thiserror::Error;

use super::StepState;
use super::build::Built;
use crate::apply::{found_before, measured};
use crate::history::units::{self, UnitRecord};
use crate::history::{journal, lock, schema};
use crate::migration::Migration;
use crate::project::Project;
use crate::run::{EventKind, Outcome, Run, RunEvent};
use crate::script::{Script, ScriptItem};

/// Why no script can be made.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// A migration is half applied: what is left of it is for a run to find out.
    #[error("{0} is applied in part: only `cutover apply` can go on with it")]
    Begun(String),
    /// Something that only a run does comes before a migration.
    #[error("{0} {1}: only `cutover apply` does that; choose others, e.g. with --to")]
    OnlyByRun(String, &'static str),
    /// A file is not what it was, or cannot be read again.
    #[error("{0}: {1}")]
    Unreadable(String, String),
    /// The script could not be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// What makes a session as good as new, but for the runner's lock (`DISCARD ALL` would let go of it). How text is read is
/// not left to the defaults of the role and the database: `psql` and the server must cut it as it was cut here.
const AS_NEW: &str = "RESET SESSION AUTHORIZATION; RESET ALL; CLOSE ALL; UNLISTEN *; DEALLOCATE ALL; DISCARD TEMP; \
                      DISCARD SEQUENCES; DISCARD PLANS; SET standard_conforming_strings = on; SET client_encoding = 'UTF8';";

/// Fails unless nobody has taken over since the script began.
const FENCE: &str = "SELECT 1 / pg_catalog.count(*) AS the_runner_s_token_is_ours FROM (SELECT FROM cutover.fence \
                     WHERE token = :cutover_token FOR SHARE) AS held \\gset";

/// Writes the script of what `built` would run. `run` stands for it in the history; `version` is that of our tables in
/// the database, none where there are none yet.
///
/// # Errors
/// [`HandoverError`]
pub fn write(
    project: &Project,
    built: &Built,
    version: Option<i32>,
    run: &Run,
    out: &mut dyn Write,
) -> Result<(), HandoverError> {
    let started = built.plan.steps.iter().find(|step| matches!(step.state, StepState::Resume { .. }));
    let open = built.pending().find(|index| built.history.begun(&project.migrations[*index].id).is_some());
    if let Some(path) = started.map(|step| &step.path).or(open.map(|index| &project.migrations[index].path)) {
        return Err(HandoverError::Begun(path.clone()));
    }
    only_by_run(project, built)?;
    head(project, built, version, run, out)?;
    for (number, index) in (1_u64..).zip(built.pending()) {
        let migration = &project.migrations[index];
        let Some(script) = built.scripts.get(&index) else { continue };
        let stage = migration.stage.map(|stage| project.stages[stage].id.as_str());
        Writer { project, migration, script, stage, run, number, out: &mut *out }.step()?;
    }
    writeln!(
        out,
        "\\echo done\n{AS_NEW}\nBEGIN; SET LOCAL synchronous_commit = on;\n{};\nCOMMIT;\nSELECT pg_catalog.pg_advisory_unlock({}) AS unlocked \\gset",
        journal::finish_run(&run.id, Outcome::Completed),
        lock::LOCK_KEY
    )?;
    Ok(())
}

/// Refuses what a script cannot do.
fn only_by_run(project: &Project, built: &Built) -> Result<(), HandoverError> {
    let refuse = |path: &str, why| Err(HandoverError::OnlyByRun(path.to_owned(), why));
    for migration in built.pending().map(|index| &project.migrations[index]) {
        if migration.stage.is_some_and(|stage| project.stages[stage].require_backup) {
            return refuse(&migration.path, "belongs to a stage that requires a backup");
        }
        if measured::has_preconditions(project, migration) {
            return refuse(&migration.path, "has preconditions, which are measured just before it");
        }
    }
    match built.renumbered.first() {
        Some(moved) => refuse(&moved.to_path, "is an applied file under another number or name"),
        None => Ok(()),
    }
}

fn head(
    project: &Project,
    built: &Built,
    version: Option<i32>,
    run: &Run,
    out: &mut dyn Write,
) -> Result<(), HandoverError> {
    let target = built.plan.target.as_ref();
    let database = target.map(|target| target.database.as_str()).unwrap_or_default();
    let system = target.map(|target| target.system_identifier.as_str()).unwrap_or_default();
    let applied =
        built.plan.steps.iter().filter(|step| matches!(step.state, StepState::Applied { .. })).count();
    let (found, begun) = match version {
        Some(_) => moved(project, built, applied),
        None => ("to_regnamespace('cutover') IS NOT NULL".to_owned(), "false".to_owned()),
    };
    // No name may end the block it stands in.
    let mut tag = String::from("$cutover$");
    while project.name.contains(&tag) || database.contains(&tag) {
        tag.insert(1, 'x');
    }
    writeln!(
        out,
        "-- Migrations of project {}, for database {}: run it once, as the role that owns what they change, with\n\
         --   psql --no-psqlrc --file THIS-FILE DATABASE\n\
         -- It stops at the first error; what is finished by then is recorded. Then look (cutover status) and plan again.\n\
         \\set ON_ERROR_STOP on\n\\set AUTOCOMMIT on\n\\set QUIET on\n\\encoding UTF8\n\
         SET standard_conforming_strings = on;\nSET client_encoding = 'UTF8';\n\
         DO {tag} BEGIN\n  \
           IF current_database() <> {} THEN RAISE EXCEPTION 'this script is for another database'; END IF;\n  \
           IF NOT pg_try_advisory_lock({}) THEN RAISE EXCEPTION 'another runner is at work in this database'; END IF;\n  \
           IF EXISTS (SELECT FROM unnest(string_to_array(current_setting('search_path'), ',')) AS s (name)\n             \
                       WHERE lower(btrim(name, E' \"\\t\\n')) = 'cutover'\n                \
                          OR current_user = 'cutover' AND btrim(name, E' \"\\t\\n') = '$user') THEN\n    \
             RAISE EXCEPTION 'schema cutover, which holds the history, is in the search path'\n      \
               USING HINT = 'set another one for the role or the database';\n  \
           END IF;\n  \
           IF {found} THEN\n    \
             RAISE EXCEPTION 'migrations were applied since this script was made' USING HINT = 'plan again';\n  \
           END IF;\n  \
           IF {begun} THEN\n    \
             RAISE EXCEPTION 'a migration of this script was begun since it was made, and parts of it are done or open'\n      \
               USING HINT = 'what is left of it is for cutover apply to go on with';\n  \
           END IF;\n\
         END {tag};",
        comment(&project.name),
        comment(database),
        quote_literal(database),
        lock::LOCK_KEY
    )?;
    if !system.is_empty() {
        writeln!(
            out,
            "DO $cutover$ BEGIN\n  \
               IF (SELECT system_identifier::text FROM pg_control_system()) <> {} THEN\n    \
                 RAISE EXCEPTION 'this script is for another server';\n  END IF;\n\
             EXCEPTION WHEN insufficient_privilege THEN NULL; END $cutover$;",
            quote_literal(system)
        )?;
    }
    if let Some(upgrade) = schema::upgrade_from(version) {
        writeln!(out, "BEGIN; SET LOCAL search_path = pg_catalog, pg_temp;\n{upgrade}\nCOMMIT;")?;
    }
    writeln!(
        out,
        "BEGIN; SET LOCAL synchronous_commit = on;\n{};\n{};\n\
         UPDATE cutover.fence SET token = token + 1, run = {}, holder = SESSION_USER, since = pg_catalog.now() RETURNING token AS cutover_token \\gset\n\
         COMMIT;",
        journal::close_open_runs(&project.name),
        journal::insert_run(run),
        quote_literal(&run.id)
    )?;
    Ok(())
}

/// Two conditions under which the history is not the one that the script was made for: something was applied, or parts of
/// what it would run were begun. None was when it was made.
fn moved(project: &Project, built: &Built, applied: usize) -> (String, String) {
    let project_is = format!("project = {}", quote_literal(&project.name));
    let ids = built.pending().map(|index| &project.migrations[index].id);
    let ids: Vec<String> = ids
        .map(|id| format!("({}, {})", quote_literal(&id.root), quote_literal(&id.version.key())))
        .collect();
    let count = format!("(SELECT count(*) FROM cutover.migration WHERE {project_is}) <> {applied}");
    if ids.is_empty() {
        return (count, "false".to_owned());
    }
    let ours = format!("{project_is} AND (root, version) IN ({})", ids.join(", "));
    (
        format!("{count} OR EXISTS (SELECT FROM cutover.migration WHERE {ours})"),
        format!(
            "EXISTS (SELECT FROM cutover.unit WHERE {ours} AND state <> 'failed') OR EXISTS (SELECT FROM cutover.begun WHERE {ours})"
        ),
    )
}

/// Text in a comment or after `\echo`: one line, nothing that psql would take for its own.
fn comment(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\\' | '`' | '\'' | '"' | ':') { ' ' } else { c })
        .collect()
}

/// Writes one migration.
struct Writer<'a> {
    project: &'a Project,
    migration: &'a Migration,
    script: &'a Script,
    stage: Option<&'a str>,
    run: &'a Run,
    /// Place in the run, from 1.
    number: u64,
    out: &'a mut dyn Write,
}

impl Writer<'_> {
    fn unreadable(&self, why: String) -> HandoverError {
        HandoverError::Unreadable(self.migration.path.clone(), why)
    }

    fn step(&mut self) -> Result<(), HandoverError> {
        writeln!(self.out, "\n-- {0}\n\\echo {0}", comment(&self.migration.path))?;
        let mut items = self.script.items(self.migration, &self.project.vars);
        let mut open: Option<usize> = None;
        let several = !self.script.is_one_transaction();
        for item in items.by_ref() {
            match item.map_err(|why| self.unreadable(why))? {
                ScriptItem::Statement { text, unit, .. } => {
                    if open != Some(unit) {
                        if let Some(before) = open {
                            self.end_unit(before)?;
                        }
                        self.begin_unit(unit)?;
                        open = Some(unit);
                    }
                    self.out.write_all(without_psql_variables(&text).as_bytes())?;
                    // A comment at its end would swallow the semicolon.
                    self.out.write_all(b"\n;\n")?;
                }
                ScriptItem::CopyData(data) => self.out.write_all(&data)?,
                ScriptItem::CopyEnd => self.out.write_all(b"\\.\n")?,
            }
        }
        let text = match self.script.kept_text() {
            Some(kept) => kept,
            None => items
                .text_as_read(&self.migration.checksums.normalised)
                .map_err(|why| HandoverError::Unreadable(self.migration.path.clone(), why))?,
        };
        let last_is_outside =
            open.is_some_and(|unit| self.script.units.get(unit).is_some_and(|unit| unit.outside.is_some()));
        match open {
            Some(unit) if last_is_outside => {
                self.end_unit(unit)?;
                self.begin()?;
            }
            Some(_) => {}
            None => self.begin()?,
        }
        self.close(text.as_deref(), several)
    }

    fn begin(&mut self) -> Result<(), HandoverError> {
        let timeout = self.project.apply.lock_timeout.as_millis();
        writeln!(self.out, "{AS_NEW}\nBEGIN; SET LOCAL lock_timeout = {timeout};\n{FENCE}")?;
        Ok(())
    }

    fn begin_unit(&mut self, unit: usize) -> Result<(), HandoverError> {
        let outside = self.script.units.get(unit).is_some_and(|unit| unit.outside.is_some());
        if !outside {
            return self.begin();
        }
        let record = self.unit_record(unit, false)?;
        self.begin()?;
        writeln!(self.out, "{record};\nCOMMIT;\n{AS_NEW}\nSET lock_timeout = 0;")?;
        Ok(())
    }

    /// Ends a unit that others follow.
    fn end_unit(&mut self, unit: usize) -> Result<(), HandoverError> {
        let record = self.unit_record(unit, true)?;
        let outside = self.script.units.get(unit).is_some_and(|unit| unit.outside.is_some());
        if outside {
            self.begin()?;
        }
        writeln!(self.out, "{};\n{record};\nCOMMIT;", journal::OWN_TERMS.trim_end_matches("; "))?;
        Ok(())
    }

    fn unit_record(&self, index: usize, done: bool) -> Result<String, HandoverError> {
        let parts = &self.script.parts;
        let part = parts.list.get(index).ok_or_else(|| {
            self.unreadable("it has fewer statements than when it was read before".to_owned())
        })?;
        let (project, run, migration) = (self.project.name.as_str(), self.run.id.as_str(), self.migration);
        let unit = u32::try_from(index).unwrap_or(u32::MAX);
        let outside = self.script.units.get(index).and_then(|unit| unit.outside.as_ref()).filter(|_| !done);
        let found = outside.and_then(|outside| found_before(&outside.retry));
        let found = found.as_deref();
        let mut record = units::upsert(&UnitRecord { project, run, migration, unit, part, done, found });
        if index == 0 {
            record.push_str(";\n");
            record.push_str(&units::keep_text(project, run, migration, parts.text.as_deref()));
        }
        Ok(record)
    }

    /// The history row, which ends the migration.
    fn close(&mut self, text: Option<&[u8]>, several: bool) -> Result<(), HandoverError> {
        let kind = EventKind::StepStarted {
            migration: self.migration.id.clone(),
            path: self.migration.path.clone(),
        };
        let event = RunEvent { at_micros: self.run.started_micros, elapsed: std::time::Duration::ZERO, kind };
        let row = journal::insert_step_now(&journal::Record {
            project: &self.project.name,
            run: &self.run.id,
            migration: self.migration,
            stage: self.stage,
            statements: self.script.statements,
            source: text,
            attempts: 1,
            started: &journal::Numbered { seq: self.number * 2, event },
            ended: self.number * 2 + 1,
        });
        writeln!(self.out, "{};\n{row};", journal::OWN_TERMS.trim_end_matches("; "))?;
        if several {
            writeln!(self.out, "{};", units::forget_all(&self.project.name, &self.migration.id))?;
        }
        writeln!(self.out, "{};", journal::delete_deferral(&self.project.name, &self.migration.id))?;
        self.out.write_all(b"COMMIT;\n")?;
        Ok(())
    }
}
