//! One pass over what is pending: each migration as a run applies it, statement by statement, with what the trace sees.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use cutover_analysis::effects::{Context, Effects, ObjectKind, effects_and_after};
use cutover_postgres::session::{Done, Failure, Session, StatementOutcome};
use tokio::time::Instant;

use super::error::RehearseError;
use super::ground::Base;
use super::judge::{self, ByCode, Seen};
use super::model::{Disagreement, Failed, Held, Taken, Traced, TracedStatement};
use super::outside::{self, Outside};
use super::trace::{self, Came, Holding, Relations, Said};
use super::words::excerpt_knowing;
use crate::catalog;
use crate::migration::Migration;
use crate::project::{Project, Vars};
use crate::reading::Reported;
use crate::script::{Items, Script, ScriptItem};
use crate::secrets::Secrets;
use crate::verify::sandbox::Scratch;
use crate::verify::{failure_text, replay};

/// Has the session hand over what it has counted, so that it begins anew (15 and later).
const COUNT_ANEW: &str = "SELECT pg_catalog.pg_stat_force_next_flush()";

/// Said of a foreign key that does not hold over a sample.
const OF_SAMPLE: &str = "this was measured over some of the rows, and the row that is missing may be one that was not taken: \
     rehearse with more rows, or without --with-data, to see whether the rest can be applied";

/// Whether a file has to do with subscriptions, whose statements speak to the publisher: the real one.
fn touches_subscriptions(script: &Script) -> bool {
    let all = [&script.creates, &script.alters, &script.drops];
    all.into_iter().flatten().any(|object| object.kind == ObjectKind::Subscription)
}

/// A traced pass.
pub(super) struct Pass<'a> {
    project: &'a Project,
    base: &'a Base,
    /// As the role that migrates.
    session: Session,
    /// What that session has counted so far, where it goes on counting from one transaction to the next.
    counts: HashMap<u32, [i64; 4]>,
    /// As the superuser of the server.
    watcher: Session,
    /// How to come by another session of that kind.
    copy: &'a Scratch,
    relations: Relations,
    /// What the analysis knows of the database.
    known: Context,
    /// What was there before the first migration.
    ground: u32,
    began: Instant,
    pub(super) disagreements: Vec<Disagreement>,
    /// What is not shown.
    secrets: Secrets,
    /// What statements call the database, and what it is called.
    databases: Option<(String, String)>,
    /// The rows are some of those that the database has.
    is_sample: bool,
}

impl<'a> Pass<'a> {
    /// Begins it in a copy of the ground.
    pub(super) async fn begin(
        project: &'a Project,
        base: &'a Base,
        copy: &'a Scratch,
    ) -> Result<Self, RehearseError> {
        let startup = cutover_postgres::session::Startup::default();
        let mut watcher = Session::connect(&copy.options, &startup).await?;
        watcher
            .execute(trace::INSTALL)
            .await
            .map_err(|failure| RehearseError::NoTrace(failure.to_string()))?;
        let session = Session::connect(&base.runner(copy), &base.startup()).await?;
        let mut relations = Relations::default();
        relations.read(&mut watcher, true).await?;
        let mut pass = Self {
            project,
            base,
            session,
            counts: HashMap::new(),
            watcher,
            copy,
            ground: relations.newest,
            relations,
            known: Context::EMPTY,
            began: Instant::now(),
            disagreements: Vec::new(),
            secrets: Secrets::of(&project.vars),
            databases: base.databases(copy),
            is_sample: base.ground.rows > 0,
        };
        pass.learn().await?;
        pass.began = Instant::now();
        Ok(pass)
    }

    /// Reads what the analysis needs to know of the database.
    async fn learn(&mut self) -> Result<(), RehearseError> {
        let path =
            self.session.query_text("SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))").await?;
        let path = path.rows.into_iter().flatten().flatten().collect();
        self.known = catalog::context(&mut self.watcher, path).await?;
        Ok(())
    }

    /// How long it has been at work.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends it: the event triggers go.
    pub(super) async fn end(mut self) -> Result<(), RehearseError> {
        self.session.close().await;
        self.watcher.execute(trace::REMOVE).await?;
        self.watcher.close().await;
        Ok(())
    }

    /// Runs one migration.
    pub(super) async fn migration(&mut self, migration: &Migration) -> Result<Traced, RehearseError> {
        let vars = &self.project.vars;
        let mut traced = Traced {
            path: migration.path.clone(),
            version: migration.id.version.text().to_owned(),
            from: self.elapsed(),
            to: Duration::ZERO,
            statements: Vec::new(),
            locks: Vec::new(),
            failure: None,
        };
        let script = Script::analyse(migration, vars);
        if let Some(error) = script.errors.iter().find(|error| error.code.is_none()) {
            traced.failure = Some(Failed {
                line: error.line,
                message: error.message.clone(),
                hint: error.hint.clone(),
                partly: false,
                is_of_rows: false,
            });
            traced.to = self.elapsed();
            return Ok(traced);
        }
        if touches_subscriptions(&script) {
            traced.failure = Some(Failed {
                line: 1,
                message: "not rehearsed: a subscription connects to another server".to_owned(),
                hint: None,
                partly: false,
                is_of_rows: false,
            });
            traced.to = self.elapsed();
            return Ok(traced);
        }
        let keeps_counts = self.session.server_version_num() < 150_000;
        let holding =
            Holding { keeps_counts, counts: std::mem::take(&mut self.counts), ..Holding::default() };
        let mut one = One {
            traced,
            holding,
            held: BTreeMap::new(),
            ground: self.ground,
            is_opaque: false,
            may_rename: false,
            gone: HashSet::new(),
            renamed: Vec::new(),
        };
        let outcome = match replay::at_once(&script, self.databases.as_ref(), migration, vars) {
            Some(texts) => self.at_once(&mut one, &texts).await,
            None => self.one_by_one(&mut one, &script, migration, vars).await,
        };
        if let Err(stop) = outcome {
            let mut failed = match stop {
                Stop::Failed(failed) => failed,
                Stop::Lost(failure) => self.connect_again(&one, failure).await?,
            };
            if self.is_sample && failed.is_of_rows {
                failed.hint = Some(OF_SAMPLE.to_owned());
            }
            failed.partly = one.traced.statements.iter().rev().skip(1).any(|statement| statement.outside)
                || (script.units.len() > 1 && one.has_committed(&script));
            one.traced.failure = Some(failed);
        }
        one.release(self.elapsed());
        if keeps_counts {
            self.counts = std::mem::take(&mut one.holding.counts);
        }
        one.traced.to = self.elapsed();
        let has_failed = one.traced.failure.is_some();
        if has_failed || one.may_rename {
            self.relations.read(&mut self.watcher, true).await?;
        }
        if has_failed || one.is_opaque {
            self.learn().await?;
        }
        Ok(one.traced)
    }

    /// A migration has ended its own session: the others are rehearsed in another one. An error where the server is gone, or nobody can
    /// connect as that role any more.
    async fn connect_again(&mut self, one: &One, failure: Failure) -> Result<Failed, RehearseError> {
        let Ok(session) = Session::connect(&self.base.runner(self.copy), &self.base.startup()).await else {
            return Err(failure.into());
        };
        std::mem::replace(&mut self.session, session).close().await;
        let line = one.traced.statements.last().map_or(1, |statement| statement.line);
        let message = format!("it ended the session that it ran in: {}", failure_text(&failure));
        Ok(Failed { line, message, hint: None, partly: false, is_of_rows: false })
    }

    /// A small file in one flush.
    async fn at_once(&mut self, one: &mut One, statements: &[(String, u32)]) -> Result<(), Stop> {
        let look = trace::look(self.relations.newest);
        let after = Relations::query(self.relations.newest);
        let begin = [COUNT_ANEW, "BEGIN"];
        let begin = if one.holding.keeps_counts { begin.get(1..) } else { begin.get(..) }.unwrap_or_default();
        let mut firsts = Vec::new();
        for text in begin {
            firsts.push(self.session.launch(text).await);
        }
        let mut flights = Vec::with_capacity(statements.len());
        for (text, _) in statements {
            let statement = self.session.launch(text).await;
            flights.push((statement, self.session.launch(&look).await));
        }
        let mut ends = Vec::new();
        for text in ["COMMIT", "DISCARD ALL"] {
            ends.push(self.session.launch(text).await);
        }
        let relations = self.session.launch(&after).await;
        let mut stop = None;
        for flight in firsts {
            let outcome = self.session.land(flight).await;
            stop = stop.or(outcome.result.err().map(|failure| Stop::of(1, failure)));
        }
        for ((text, line), (statement, look)) in statements.iter().zip(flights) {
            let from = self.elapsed();
            let outcome = self.session.land(statement).await;
            let seen = self.session.land(look).await.result.ok();
            if stop.is_some() {
                continue;
            }
            let effects = self.effects(one, text);
            self.seen(one, (text, *line, from), &effects, &outcome, seen.as_ref().and_then(Done::scalar));
            stop = outcome.result.err().map(|failure| Stop::of(*line, failure));
        }
        for (flight, is_commit) in ends.into_iter().zip([true, false]) {
            let outcome = self.session.land(flight).await;
            let line = statements.last().map_or(1, |(_, line)| *line);
            one.release(self.elapsed());
            let refused = match outcome.result {
                Err(failure) => Some(Stop::of(line, failure)),
                Ok(done) if is_commit && done.tag() != "COMMIT" => {
                    Some(Stop::at(line, format!("the server answered COMMIT with {}", done.tag())))
                }
                Ok(_) => None,
            };
            stop = stop.or(refused);
        }
        // At most a hundred rows are kept of a flight: where there may be more, they are read again.
        match self.session.land(relations).await.result {
            Ok(done) if done.rows_dropped == 0 => self.relations.take(done.rows),
            Ok(_) => self.relations.read(&mut self.watcher, false).await?,
            Err(failure) => stop = stop.or(Some(Stop::Lost(failure))),
        }
        stop.map_or(Ok(()), Err)
    }

    /// Any other file.
    async fn one_by_one(
        &mut self,
        one: &mut One,
        script: &Script,
        migration: &Migration,
        vars: &Vars,
    ) -> Result<(), Stop> {
        let outcome = self.statements(one, script, migration, vars).await;
        // Whatever the file left behind: an open transaction after an error, settings, a role.
        for outcome in self.session.pipeline(&["ROLLBACK", "DISCARD ALL"]).await {
            outcome.result?;
        }
        self.relations.read(&mut self.watcher, false).await?;
        outcome
    }

    async fn statements(
        &mut self,
        one: &mut One,
        script: &Script,
        migration: &Migration,
        vars: &Vars,
    ) -> Result<(), Stop> {
        let mut open: Option<usize> = None;
        let mut items = script.items(migration, vars);
        let mut reported = Reported::default();
        let mut count = 0;
        while let Some(item) = items.next() {
            let item = item.map_err(|why| {
                Stop::Failed(Failed { line: 1, message: why, hint: None, partly: false, is_of_rows: false })
            })?;
            let ScriptItem::Statement { text, line, copy, unit, .. } = item else { continue };
            let text = replay::elsewhere(self.databases.as_ref(), text);
            let is_outside = script.units.get(unit).is_some_and(|unit| unit.outside.is_some());
            if open != Some(unit) {
                self.commit(one, open.take(), line).await?;
                if count > 0 {
                    self.session.execute("DISCARD ALL").await?;
                    reported = Reported::default();
                }
                if !is_outside {
                    self.begin_transaction().await?;
                    open = Some(unit);
                }
            }
            let misread = if copy { reported.misreads_copy(&text) } else { reported.misreads(&text) };
            if let Some(bent) = misread {
                return Err(Stop::at(line, bent.because()));
            }
            let outcome = if is_outside {
                self.outside(one, &text, line).await?
            } else {
                self.inside(one, &text, line, copy.then_some(&mut items)).await?
            };
            outcome.result.map_err(|failure| Stop::of(line, failure))?;
            reported.take(count, &outcome.parameters);
            count += 1;
        }
        self.commit(one, open, 1).await
    }

    /// Begins a transaction with nothing counted: what a session has counted is kept for a while behind the end of a
    /// transaction, unless it is told to hand it over (15 and later).
    async fn begin_transaction(&mut self) -> Result<(), Failure> {
        if self.session.server_version_num() >= 150_000 {
            for outcome in self.session.pipeline(&[COUNT_ANEW, "BEGIN"]).await {
                outcome.result?;
            }
            return Ok(());
        }
        self.session.execute("BEGIN").await.map(|_| ())
    }

    async fn commit(&mut self, one: &mut One, open: Option<usize>, line: u32) -> Result<(), Stop> {
        if open.is_none() {
            return Ok(());
        }
        let line = one.traced.statements.last().map_or(line, |statement| statement.line);
        let done = self.session.execute("COMMIT").await.map_err(|failure| Stop::of(line, failure))?;
        one.release(self.elapsed());
        if done.tag() == "COMMIT" {
            return Ok(());
        }
        Err(Stop::at(line, format!("the server answered COMMIT with {}", done.tag())))
    }

    /// A statement in a transaction, with a look behind it in the same flush.
    async fn inside(
        &mut self,
        one: &mut One,
        text: &str,
        line: u32,
        data: Option<&mut Items<'_>>,
    ) -> Result<StatementOutcome, Stop> {
        let from = self.elapsed();
        let effects = self.effects(one, text);
        let look = trace::look(self.relations.newest);
        let (outcome, seen) = if let Some(items) = data {
            let outcome = self.copied(text, line, items).await?;
            (outcome, self.session.query_text(&look).await.ok())
        } else {
            let flight = self.session.launch(text).await;
            let look = self.session.launch(&look).await;
            let outcome = self.session.land(flight).await;
            (outcome, self.session.land(look).await.result.ok())
        };
        self.seen(one, (text, line, from), &effects, &outcome, seen.as_ref().and_then(Done::scalar));
        Ok(outcome)
    }

    /// Takes note of what a statement did, and of a look behind it.
    fn seen(
        &mut self,
        one: &mut One,
        (text, line, from): (&str, u32, Duration),
        effects: &Effects,
        outcome: &StatementOutcome,
        look: Option<&str>,
    ) {
        let came = one.holding.take(look.unwrap_or("[]"), &mut self.relations);
        let said = Said::of(&outcome.notices);
        let statement = TracedStatement {
            line,
            text: excerpt_knowing(text, &self.secrets),
            from,
            to: self.elapsed(),
            ..TracedStatement::default()
        };
        let by_code = if outcome.result.is_ok() {
            self.compare(one, (text, &statement), effects, &came, &said)
        } else {
            ByCode::default()
        };
        one.take(statement, came, said, &by_code, &self.relations);
    }

    /// COPY with its data.
    async fn copied(
        &mut self,
        text: &str,
        line: u32,
        items: &mut Items<'_>,
    ) -> Result<StatementOutcome, Stop> {
        let stop = |failure| Stop::of(line, failure);
        let mut sink = self.session.copy_in(text).await.map_err(stop)?;
        for item in items.by_ref() {
            match item.map_err(|why| Stop::at(line, why))? {
                ScriptItem::CopyData(data) => sink.send(Bytes::from(data)).await.map_err(stop)?,
                _ => break,
            }
        }
        Ok(sink.finish_outcome().await)
    }

    /// A statement outside a transaction, watched from outside.
    async fn outside(&mut self, one: &mut One, text: &str, line: u32) -> Result<StatementOutcome, Stop> {
        let effects = self.effects(one, text);
        let tables: Vec<String> =
            effects.locks.iter().filter_map(|lock| self.shown(&lock.relation)).collect();
        let from = self.elapsed();
        let Outside { outcome, locks } = outside::run(
            (&mut self.session, &mut self.watcher),
            &self.copy.options,
            (text, &tables),
            (&self.relations, self.began),
            self.ground,
        )
        .await?;
        let said = Said::of(&outcome.notices);
        let mut statement = TracedStatement {
            line,
            text: excerpt_knowing(text, &self.secrets),
            outside: true,
            from,
            to: self.elapsed(),
            ..TracedStatement::default()
        };
        for held in locks {
            let taken =
                Taken { relation: held.relation.clone(), mode: held.mode, waited: held.waiting.is_some() };
            statement.locks.push(taken);
            one.traced.locks.push(Held { line, ..held });
        }
        one.take(statement, Came::default(), said, &ByCode::default(), &self.relations);
        Ok(outcome)
    }

    /// What the text says that it does; what it leaves behind is known from then on.
    fn effects(&mut self, one: &mut One, text: &str) -> Effects {
        let effects = effects_and_after(text, &mut self.known).unwrap_or_default();
        one.is_opaque |= effects.opaque.is_some();
        // What has another name is among what is gone.
        let gone: Vec<String> = effects.drops.iter().filter_map(|object| self.shown(object)).collect();
        one.renamed.extend(gone);
        one.may_rename |= !effects.drops.is_empty() || effects.opaque.is_some();
        effects
    }

    /// The name of a table that was there before the migration.
    fn shown(&self, object: &cutover_analysis::effects::ObjectRef) -> Option<String> {
        let name = self.known.resolve(object);
        let oid = self.relations.by_name(&name.schema, &name.name)?;
        Some(self.relations.get(oid)?.name.clone())
    }

    fn compare(
        &mut self,
        one: &One,
        (text, statement): (&str, &TracedStatement),
        effects: &Effects,
        came: &Came,
        said: &Said,
    ) -> ByCode {
        let seen = Seen {
            effects,
            known: &self.known,
            relations: &self.relations,
            holding: &one.holding,
            came,
            said,
            gone: &one.gone,
        };
        let disagreements = judge::disagreements(&seen).into_iter().map(|what| Disagreement {
            path: one.traced.path.clone(),
            line: statement.line,
            text: statement.text.clone(),
            what,
        });
        let by_code = judge::by_code(&seen, text, self.ground);
        self.disagreements.extend(disagreements);
        by_code
    }
}

/// The migration that runs.
struct One {
    traced: Traced,
    holding: Holding,
    /// What its transaction holds, by relation.
    held: BTreeMap<u32, Held>,
    /// Relations up to this number were there before the first migration.
    ground: u32,
    /// It runs code of which nobody knows what it does.
    is_opaque: bool,
    /// Relations may have other names behind it, or be gone.
    may_rename: bool,
    /// What it has dropped so far, by its shown name.
    gone: HashSet<String>,
    /// What the statement at hand drops or renames, by the names it has before.
    renamed: Vec<String>,
}

impl One {
    fn take(
        &mut self,
        mut statement: TracedStatement,
        came: Came,
        said: Said,
        by_code: &ByCode,
        relations: &Relations,
    ) {
        for (oid, mode) in came.locks {
            let Some(relation) = relations.get(oid) else { continue };
            let held = Held {
                relation: relation.name.clone(),
                is_table: relation.is_table(),
                is_new: oid > self.ground,
                mode,
                from: statement.from,
                to: statement.to,
                waiting: None,
                line: statement.line,
            };
            self.held.insert(oid, held);
            statement.locks.push(Taken { relation: relation.name.clone(), mode, waited: false });
        }
        let named = |oid: &u32| relations.get(*oid).map(|relation| relation.name.clone());
        let was_there = |oid: &&u32| **oid <= self.ground;
        statement.announced =
            said.rewritten.iter().filter(was_there).chain(&by_code.anew).filter_map(named).collect();
        statement.announced.sort_unstable();
        statement.announced.dedup();
        statement.gone = by_code.gone.iter().filter_map(named).collect();
        statement.held = by_code.held.iter().filter_map(named).collect();
        statement.rewritten = said.rewritten.iter().filter_map(named).chain(came.rewritten).collect();
        statement.rewritten.sort_unstable();
        statement.rewritten.dedup();
        statement.rebuilt = came.rebuilt;
        statement.scanned = came.scanned;
        statement.wrote = came.wrote;
        self.gone.extend(std::mem::take(&mut self.renamed));
        self.gone.extend(said.dropped.iter().map(|object| object.name.clone()));
        (statement.created, statement.altered, statement.dropped) =
            (said.created, said.altered, said.dropped);
        self.traced.statements.push(statement);
    }

    /// The transaction has ended: its locks are given back.
    fn release(&mut self, at: Duration) {
        let held = std::mem::take(&mut self.held);
        self.traced.locks.extend(held.into_values().map(|held| Held { to: at, ..held }));
        self.holding.release();
    }

    /// Whether any part of the file has ended.
    fn has_committed(&self, script: &Script) -> bool {
        let first = script.units.first().map_or(0, |unit| unit.count);
        self.traced.statements.len() > usize::try_from(first).unwrap_or(usize::MAX)
    }
}

/// Why a migration ended early.
enum Stop {
    Failed(Failed),
    Lost(Failure),
}

impl Stop {
    fn at(line: u32, message: String) -> Self {
        Self::Failed(Failed { line, message, hint: None, partly: false, is_of_rows: false })
    }

    fn of(line: u32, failure: Failure) -> Self {
        if let Failure::Lost(_) = failure {
            return Self::Lost(failure);
        }
        let hint = failure.server().and_then(|message| message.hint.clone());
        let is_of_rows = failure.code() == Some("23503");
        Self::Failed(Failed { line, message: failure_text(&failure), hint, partly: false, is_of_rows })
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Lost(failure)
    }
}

impl From<RehearseError> for Stop {
    fn from(error: RehearseError) -> Self {
        Self::Lost(Failure::Invalid(error.to_string()))
    }
}
