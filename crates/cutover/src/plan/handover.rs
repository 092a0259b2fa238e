//! A plan as a script for `psql`, for somebody else to run: what a run would do, in the same transactions and with the
//! same records, so that the history is what it would be after a run.
//!
//! It checks first that it is the database it was made for and that nothing was applied since, takes the runner's lock
//! and the next fencing token, and stops at the first error. It does not try again for locks.
//!
//! Whoever runs it has a profile, variables and defaults of their own. What must hold is set, at the beginning and for each
//! transaction; what cannot be set is looked at; and where code of a file may have changed how the server reads texts, that
//! is looked at before each text that it matters for.

use std::io::{self, Write};

use cutover_analysis::sql::{quote_literal, without_psql_variables};
use thiserror::Error;

use super::StepState;
use super::build::Built;
use super::select::{self, SelectError, Selection};
use crate::apply::{found_before, measured};
use crate::history::units::{self, UnitRecord};
use crate::history::{journal, lock, schema};
use crate::migration::Migration;
use crate::project::Project;
use crate::reading;
use crate::report::format::count;
use crate::run::{EventKind, Outcome, Run, RunEvent};
use crate::script::{Script, ScriptItem};
use crate::text::visible;

/// Why no script can be made.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// A migration is half applied: what is left of it is for a run to find out.
    #[error("{0} is applied in part: only `cutover apply` can go on with it")]
    Begun(String),
    /// Something that only a run does comes before a migration.
    #[error("{0} {1}: only `cutover apply` does that; choose others, e.g. with --to")]
    OnlyByRun(String, &'static str),
    /// What is to be left for later is not there.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A file is not what it was, or cannot be read again.
    #[error("{0}: {1}")]
    Unreadable(String, String),
    /// The script could not be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Takes away what a profile or an argument may have told psql: to end statements at the end of each line, to ask before each,
/// to go on after an error, to leave transactions open, to fetch by a cursor. The first line comes first.
pub(crate) const PSQL: &str = "\\set SINGLELINE off\n\\set SINGLESTEP off\n\\set ON_ERROR_STOP on\n\\set ON_ERROR_ROLLBACK off\n\
                    \\set AUTOCOMMIT on\n\\set FETCH_COUNT 0\n\\set QUIET on\n\\pset pager off\n\\encoding UTF8";

/// What follows [`PSQL`] in a script.
const TITLE: &str = "-- Migrations of project ";

/// Whether a text begins as a script does.
pub fn is_script(text: &str) -> bool {
    text.strip_prefix(PSQL).is_some_and(|rest| rest.trim_start().starts_with(TITLE))
}

/// Fails within a transaction: one that a profile has begun, or `--single-transaction` around everything.
const ALONE: &str = "DO $cutover$ BEGIN
  IF pg_catalog.now() <> pg_catalog.statement_timestamp() THEN
    RAISE EXCEPTION 'a transaction is open already: each file has a transaction of its own'
      USING HINT = 'run the script without --single-transaction, and with --no-psqlrc';
  END IF;
END $cutover$;";

/// Fails where the profile of whoever runs it decides what dates and times in a file come to. A run does not hear these
/// variables; a script cannot get rid of what they set.
const NOT_FROM_A_PROFILE: &str = "DO $cutover$ DECLARE names text; BEGIN
  SELECT pg_catalog.string_agg(name, ', ') INTO names FROM pg_catalog.pg_settings
   WHERE source = 'client' AND name IN ('TimeZone', 'DateStyle');
  IF names IS NOT NULL THEN
    RAISE EXCEPTION 'set by the environment of psql: %', names
      USING HINT = 'unset PGTZ and PGDATESTYLE, also in PGOPTIONS: what a file comes to must not depend on who runs it';
  END IF;
END $cutover$;";

/// Fails, with these words, unless a query gives true. `words` and `hint` hold no quote.
fn demand(query: &str, words: &str, hint: &str) -> String {
    format!(
        "SELECT ({query}) AS cutover_holds \\gset\n\\if :cutover_holds\n\\else\n\
         DO $cutover$ BEGIN RAISE EXCEPTION '{words}' USING HINT = '{hint}'; END $cutover$;\n\\endif"
    )
}

/// Fails unless nobody has taken over since the script began, and this session is the one that has the lock: through a
/// pooler that lends sessions it may be another one.
fn fence() -> String {
    let token = demand(
        "SELECT pg_catalog.count(*) = 1 FROM (SELECT FROM cutover.fence WHERE token = :cutover_token FOR SHARE) AS held",
        "another runner has taken over (the fencing token changed), so this script stops",
        "look (cutover status) and plan again",
    );
    let lock = demand(
        &format!(
            "SELECT pg_catalog.count(*) = 1 FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 \
             AND classid = {}::pg_catalog.oid AND objid = {}::pg_catalog.oid AND pid = pg_catalog.pg_backend_pid()",
            lock::LOCK_KEY >> 32,
            lock::LOCK_KEY & 0xffff_ffff,
        ),
        "this session does not hold the runner''s lock any more",
        "connect to the server itself, past any pooler; look (cutover status) and plan again",
    );
    format!("{token}\n{lock}")
}

/// Fails where code that ran before this line of a file has changed how the server reads what follows. In ASCII, and without
/// a backslash: it is read as it stands there however that may be.
fn read_as_written(line: u32) -> String {
    format!(
        "DO $cutover$ BEGIN
  IF pg_catalog.current_setting('client_encoding') <> 'UTF8'
      OR pg_catalog.current_setting('standard_conforming_strings') <> 'on' THEN
    RAISE EXCEPTION 'code that ran before line {line} of the file has set client_encoding or standard_conforming_strings and left it \
         so; the server would read what follows otherwise than it is written'
      USING HINT = 'have that code set it back before it ends; nothing of this part of the file is in the database';
  END IF;
END $cutover$;"
    )
}

/// Writes the script of what `built` would run. `run` stands for it in the history; `version` is that of our tables in
/// the database, none where there are none yet. `selection` is what `built` was made from; `to` is where psql is to connect
/// to, as it takes that on its command line, without a password and the files of this machine, and the keywords of those
/// that are left out: it stands in a comment for whoever runs the script.
///
/// # Errors
/// [`HandoverError`]
pub fn write(
    project: &Project,
    built: &Built,
    selection: &Selection,
    version: Option<i32>,
    run: &Run,
    to: (&str, &[&str]),
    out: &mut dyn Write,
) -> Result<(), HandoverError> {
    let started = built.plan.steps.iter().find(|step| matches!(step.state, StepState::Resume { .. }));
    let open = built.pending().find(|index| built.history.begun(&project.migrations[*index].id).is_some());
    if let Some(path) = started.map(|step| &step.path).or(open.map(|index| &project.migrations[index].path)) {
        return Err(HandoverError::Begun(path.clone()));
    }
    only_by_run(project, built)?;
    let as_new = as_new(project);
    head(project, built, version, (&as_new, to), out)?;
    begin_run(project, selection, version, run, out)?;
    let of = built.pending().count();
    writeln!(out, "{}\n{}", echo(&heading(project, built, of)), stopwatch("run"))?;
    for (number, index) in (1_u64..).zip(built.pending()) {
        let migration = &project.migrations[index];
        let Some(script) = built.scripts.get(&index) else { continue };
        let stage = migration.stage.map(|stage| project.stages[stage].id.as_str());
        let as_new = as_new.as_str();
        Writer { project, migration, script, stage, run, number, of, as_new, out: &mut *out }.step()?;
    }
    writeln!(
        out,
        "\n{as_new}\nBEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp;\n{};\nCOMMIT;\n\
         SELECT pg_catalog.pg_advisory_unlock({}) AS unlocked \\gset\n{}",
        journal::finish_run(&run.id, Outcome::Completed),
        lock::LOCK_KEY,
        lap("run", &format!("done: {} applied in", count(of, "migration", "migrations")))
    )?;
    Ok(())
}

/// What psql says: one line. Within quotes it looks for no variables and runs nothing.
fn echo(text: &str) -> String {
    let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("\\echo '{}'", one_line.replace('\\', "\\\\").replace('\'', "''"))
}

fn heading(project: &Project, built: &Built, pending: usize) -> String {
    let database = built.plan.target.as_ref().map_or("", |target| target.database.as_str());
    format!("{}: {} to apply on database {database}", project.name, count(pending, "migration", "migrations"))
}

/// Begins to measure how long something takes, by the server's clock. Whatever a file has made of the session, it means the
/// same, and is written out with all its digits.
fn stopwatch(name: &str) -> String {
    format!(
        "SELECT pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())::pg_catalog.numeric AS cutover_{name} \\gset"
    )
}

/// When a stopwatch began, in SQL.
fn since(name: &str) -> String {
    format!(":cutover_{name}::pg_catalog.float8")
}

/// Says how long it has taken, behind these words. Outside a transaction, so that the commit is in it.
fn lap(name: &str, words: &str) -> String {
    format!(
        "SELECT pg_catalog.to_char(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.-) \
         {}, 'FM999999990.000') AS cutover_took \\gset\n{} :cutover_took s",
        since(name),
        echo(words)
    )
}

/// A record of ours that says by a row that it was written: for itself, and not to whoever runs the script.
fn unseen(record: &str) -> String {
    format!("{record} \\gset cutover_")
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

/// What makes a session as good as new, but for the runner's lock (`DISCARD ALL` would let go of it), and gives it what a
/// run's sessions begin with. How text is read is not left to the defaults of the role and the database: `psql` and the
/// server must cut it as it was cut here.
fn as_new(project: &Project) -> String {
    let timeout = project.apply.statement_timeout;
    let timeout = match timeout.as_millis() {
        0 => String::new(),
        millis => format!(" SET statement_timeout = {millis};"),
    };
    format!(
        "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; SET standard_conforming_strings = on; SET client_encoding = 'UTF8'; \
         SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off; \
         SET default_transaction_deferrable = off;{timeout} CLOSE ALL; UNLISTEN *; DEALLOCATE ALL; DISCARD TEMP; \
         DISCARD SEQUENCES; DISCARD PLANS;"
    )
}

/// Settles what psql does, and checks what it runs on.
fn head(
    project: &Project,
    built: &Built,
    version: Option<i32>,
    (as_new, (to, left_out)): (&str, (&str, &[&str])),
    out: &mut dyn Write,
) -> Result<(), HandoverError> {
    let target = built.plan.target.as_ref();
    let database = target.map(|target| target.database.as_str()).unwrap_or_default();
    let system = target.map(|target| target.system_identifier.as_str()).unwrap_or_default();
    let applied = built.history.rows();
    let (found, begun) = match version {
        Some(_) => moved(project, built, applied),
        None => ("to_regnamespace('cutover') IS NOT NULL".to_owned(), "false".to_owned()),
    };
    // No name may end the block it stands in.
    let mut tag = String::from("$cutover$");
    while project.name.contains(&tag) || database.contains(&tag) {
        tag.insert(1, 'x');
    }
    let own_files = match left_out {
        [] => String::new(),
        names => format!("-- adding {} as your machine has them.\n", names.join(", ")),
    };
    writeln!(
        out,
        "{PSQL}\n\
         {TITLE}{}, for database {}: run it once, as the role that owns what they change, with\n\
         --   psql --no-psqlrc --file THIS-FILE {}\n\
         {own_files}-- It stops at the first error; what is finished by then is recorded. Then look (cutover status) and plan again.\n\
         {ALONE}\n{as_new}\n{NOT_FROM_A_PROFILE}\n\
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
        visible(to),
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
    Ok(())
}

/// Our tables, the record of the run with who begins it and when, what is left for later, and the next token.
fn begin_run(
    project: &Project,
    selection: &Selection,
    version: Option<i32>,
    run: &Run,
    out: &mut dyn Write,
) -> Result<(), HandoverError> {
    if let Some(upgrade) = schema::upgrade_from(version) {
        writeln!(out, "BEGIN; SET LOCAL search_path = pg_catalog, pg_temp;\n{upgrade}\nCOMMIT;")?;
    }
    writeln!(
        out,
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp;\n{};\n{};\n\
         UPDATE cutover.run SET started_at = now(), head = (head::jsonb || jsonb_build_object('role', current_user, \
         'started_micros', (date_part('epoch', now()) * 1000000)::int8))::json WHERE id = {};",
        journal::close_open_runs(&project.name),
        journal::insert_run(run),
        quote_literal(&run.id)
    )?;
    for text in &selection.defer {
        let (_, migration) = select::find(project, text)?;
        writeln!(out, "{};", journal::insert_deferral(&project.name, &run.id, migration))?;
    }
    writeln!(
        out,
        "UPDATE cutover.fence SET token = token + 1, run = {}, holder = SESSION_USER, since = pg_catalog.now() \
         RETURNING token AS cutover_token \\gset\nCOMMIT;",
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

/// Before what is ours, behind code of anybody's.
fn own_terms() -> String {
    format!("{}SET LOCAL client_encoding = 'UTF8';", journal::OWN_TERMS)
}

/// Text in a comment: one line, nothing that psql would take for its own.
fn comment(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\\' | '`' | '\'' | '"' | ':') { ' ' } else { c })
        .collect()
}

fn count_u32(number: u32, one: &str, many: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), one, many)
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
    /// How many there are in the run.
    of: usize,
    /// See [`as_new`].
    as_new: &'a str,
    out: &'a mut dyn Write,
}

impl Writer<'_> {
    fn unreadable(&self, why: String) -> HandoverError {
        HandoverError::Unreadable(self.migration.path.clone(), why)
    }

    fn step(&mut self) -> Result<(), HandoverError> {
        let path = &self.migration.path;
        let say = echo(&format!("{}/{} {path}", self.number, self.of));
        writeln!(self.out, "\n-- {}\n{say}\n{}", comment(path), stopwatch("step"))?;
        let mut items = self.script.items(self.migration, &self.project.vars);
        let mut open: Option<usize> = None;
        // Statements may have run code since it was made sure of how texts are read.
        let mut unsure = false;
        let several = !self.script.is_one_transaction();
        for item in items.by_ref() {
            match item.map_err(|why| self.unreadable(why))? {
                ScriptItem::Statement { text, unit, line, copy, .. } => {
                    if open != Some(unit) {
                        if let Some(before) = open {
                            self.end_unit(before)?;
                        }
                        self.begin_unit(unit)?;
                        (open, unsure) = (Some(unit), false);
                    }
                    if unsure && (copy || reading::depends_on_terms(&text)) {
                        writeln!(self.out, "{}", read_as_written(line))?;
                    }
                    unsure = true;
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
                open = None;
                self.begin()?;
            }
            Some(_) => {}
            None => self.begin()?,
        }
        self.close(text.as_deref(), several, open)
    }

    fn begin(&mut self) -> Result<(), HandoverError> {
        let timeout = self.project.apply.lock_timeout.as_millis();
        let (as_new, terms) = (self.as_new, reading::TERMS);
        writeln!(self.out, "{as_new}\nBEGIN; {terms}; SET LOCAL lock_timeout = {timeout};\n{}", fence())?;
        Ok(())
    }

    fn begin_unit(&mut self, unit: usize) -> Result<(), HandoverError> {
        if self.script.units.len() > 1 {
            writeln!(self.out, "{}", stopwatch("part"))?;
        }
        let outside = self.script.units.get(unit).is_some_and(|unit| unit.outside.is_some());
        if !outside {
            return self.begin();
        }
        let record = self.unit_record(unit, false)?;
        self.begin()?;
        writeln!(self.out, "{record}COMMIT;\n{}\nSET lock_timeout = 0;", self.as_new)?;
        Ok(())
    }

    /// Ends a unit that others follow.
    fn end_unit(&mut self, unit: usize) -> Result<(), HandoverError> {
        let record = self.unit_record(unit, true)?;
        let outside = self.script.units.get(unit).is_some_and(|unit| unit.outside.is_some());
        if outside {
            self.begin()?;
        }
        writeln!(self.out, "{}\n{record}COMMIT;", own_terms())?;
        self.say_part(unit)
    }

    /// How long a part took, where there are several.
    fn say_part(&mut self, index: usize) -> Result<(), HandoverError> {
        let (unit, of) = (self.script.units.get(index), self.script.units.len());
        if of < 2 {
            return Ok(());
        }
        let what = match unit.and_then(|unit| unit.outside.as_ref()) {
            Some(outside) => outside.what.clone(),
            None => count_u32(unit.map_or(0, |unit| unit.count), "statement", "statements"),
        };
        let words = format!("  part {} of {of}, {what}, in", index + 1);
        writeln!(self.out, "{}", lap("part", &words))?;
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
        let upsert = units::upsert(&UnitRecord { project, run, migration, unit, part, done, found });
        let mut record = unseen(&upsert) + "\n";
        if index == 0 {
            record.push_str(&units::keep_text(project, run, migration, parts.text.as_deref()));
            record.push_str(";\n");
        }
        Ok(record)
    }

    /// The history row, which ends the migration and the part that is open.
    fn close(
        &mut self,
        text: Option<&[u8]>,
        several: bool,
        open: Option<usize>,
    ) -> Result<(), HandoverError> {
        let kind = EventKind::StepStarted {
            migration: self.migration.id.clone(),
            path: self.migration.path.clone(),
        };
        let event = RunEvent { at_micros: self.run.started_micros, elapsed: std::time::Duration::ZERO, kind };
        let record = journal::Record {
            project: &self.project.name,
            run: &self.run.id,
            migration: self.migration,
            stage: self.stage,
            statements: self.script.statements,
            source: text,
            attempts: 1,
            started: &journal::Numbered { seq: self.number * 2, event },
            ended: self.number * 2 + 1,
        };
        let row = journal::insert_step_between(&record, &since("step"), &since("run"));
        writeln!(self.out, "{}\n{}", own_terms(), unseen(&row))?;
        if several {
            writeln!(self.out, "{};", units::forget_all(&self.project.name, &self.migration.id))?;
        }
        writeln!(self.out, "{};", journal::delete_deferral(&self.project.name, &self.migration.id))?;
        self.out.write_all(b"COMMIT;\n")?;
        if let Some(unit) = open {
            self.say_part(unit)?;
        }
        let statements = count_u32(self.script.statements, "statement", "statements");
        writeln!(self.out, "{}", lap("step", &format!("  {statements} in")))?;
        Ok(())
    }
}
