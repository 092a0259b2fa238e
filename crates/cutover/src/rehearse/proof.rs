//! What `--full` proves of migrations: each leaves nothing when it is rolled back, can be reverted, and makes the same when it is
//! applied again; and what the bodies of functions name is there in the end.
//!
//! Catalogues are compared at the ends, which is quick; only where they differ, or a way back has to be found out, each migration is
//! looked at by itself.

use cutover_analysis::diff::{changes, without_column_order};
use cutover_analysis::schema::Schema;
use cutover_analysis::sql::quote_ident;
use cutover_postgres::session::{Failure, Session, Startup};

use super::error::RehearseError;
use super::ground::Base;
use super::made::{Around, Beside, Shared};
use super::model::{Answer, Proof, Proven, Unresolved};
use crate::catalog;
use crate::compare::told;
use crate::latebound::{self, LateFinding};
use crate::migration::{Migration, MigrationKind};
use crate::project::Project;
use crate::revert::names::Names;
use crate::revert::undo::{Place, Undone, undone};
use crate::revert::{text_of, way_back};
use crate::script::Script;
use crate::verify::SandboxProvider;
use crate::verify::measure::search_path;
use crate::verify::replay;
use crate::verify::sandbox::Scratch;

/// Differences that are named.
const NAMED: usize = 10;

/// When they are seen.
const ELSEWHERE: &str = "applied in another database";

/// What is there: the schemas, and what belongs to none.
pub(super) struct There {
    schema: Schema,
    beside: Beside,
}

impl There {
    /// What is otherwise now, but for the order of columns: one that comes back comes back behind the others.
    fn differs(&self, now: &Self) -> Vec<String> {
        self.differs_from(&now.schema, &now.beside)
    }

    fn differs_from(&self, schema: &Schema, beside: &Beside) -> Vec<String> {
        let mut words = told(&without_column_order(changes(&self.schema, schema)));
        words.extend(self.beside.differences(beside));
        words
    }
}

/// What is there in a database.
pub(super) async fn there_in(copy: &Scratch, around: &Around) -> Result<There, RehearseError> {
    let mut reader = Session::connect(&copy.options, &Startup::default()).await?;
    let read = there(&mut reader, around).await;
    reader.close().await;
    read
}

async fn there(reader: &mut Session, around: &Around) -> Result<There, RehearseError> {
    Ok(There { schema: schema(reader).await?, beside: around.read(reader).await? })
}

/// Proves it. `made`: what `pending` has made, of which `migrations` could be applied.
pub(super) async fn prove(
    project: &Project,
    base: &Base,
    (sandbox, shared): (&SandboxProvider, &Shared),
    made: &There,
    pending: &[&Migration],
    migrations: &[&Migration],
) -> Result<Proof, RehearseError> {
    let mut proof = Proof::default();
    if migrations.len() < pending.len() {
        proof.not_proven.push(format!(
            "{} of {} migrations could not be applied: nothing is proven of them, and what bodies name was looked for without what they would make",
            pending.len() - migrations.len(),
            pending.len()
        ));
    }
    let copy = base.copy(sandbox).await?;
    let done = Proving::begin(project, base, &copy, &shared.around).await;
    let done = match done {
        Ok(mut proving) => {
            let done = proving.all(made, migrations, migrations.len() == pending.len(), &mut proof).await;
            proving.end().await;
            done
        }
        Err(error) => Err(error),
    };
    copy.finish().await;
    let is_to_be_told_apart = done?;
    if is_to_be_told_apart {
        shared.take_back(&base.scratch).await?;
        let copy = base.copy(sandbox).await?;
        let done = match Proving::begin(project, base, &copy, &shared.around).await {
            Ok(mut proving) => {
                let made = (migrations.len() == pending.len()).then_some(made);
                let done = proving.each(made, migrations, &mut proof).await;
                proving.end().await;
                done
            }
            Err(error) => Err(error),
        };
        copy.finish().await;
        done?;
    }
    Ok(proof)
}

/// A database in which it is proven.
struct Proving<'a> {
    project: &'a Project,
    /// As the role that migrates.
    session: Session,
    /// As the superuser, to read everything.
    reader: Session,
    /// What statements call the database, and what it is called.
    databases: Option<(String, String)>,
    around: &'a Around,
}

impl Place for Proving<'_> {
    type Error = RehearseError;

    fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    async fn what_is_there(&mut self) -> Result<(Schema, Names), RehearseError> {
        Ok((schema(&mut self.reader).await?, Names::read(&mut self.reader).await?))
    }
}

impl<'a> Proving<'a> {
    async fn begin(
        project: &'a Project,
        base: &Base,
        copy: &Scratch,
        around: &'a Around,
    ) -> Result<Self, RehearseError> {
        let reader = Session::connect(&copy.options, &Startup::default()).await?;
        let session = Session::connect(&base.runner(copy), &base.startup()).await?;
        Ok(Self { project, session, reader, databases: base.databases(copy), around })
    }

    async fn end(self) {
        self.session.close().await;
        self.reader.close().await;
    }

    async fn there(&mut self) -> Result<There, RehearseError> {
        there(&mut self.reader, self.around).await
    }

    async fn beside(&mut self) -> Result<Beside, RehearseError> {
        Ok(self.around.read(&mut self.reader).await?)
    }

    /// What bodies name and is not there, for somebody with the search path of the role that migrates.
    async fn late(&mut self) -> Result<Vec<LateFinding>, RehearseError> {
        let path = search_path(&mut self.session).await?;
        let path: Vec<_> = path.iter().map(|schema| quote_ident(schema)).collect();
        let path = if path.is_empty() { "''".to_owned() } else { path.join(", ") };
        self.reader.execute(&format!("SET search_path = {path}")).await?;
        let found = latebound::check(&mut self.reader).await?;
        self.reader.execute("RESET search_path").await?;
        Ok(found)
    }

    /// All migrations forth, back and forth again, compared at the ends. Says whether each has to be looked at by itself.
    async fn all(
        &mut self,
        made: &There,
        migrations: &[&Migration],
        is_whole: bool,
        proof: &mut Proof,
    ) -> Result<bool, RehearseError> {
        let ground = self.there().await?;
        let before = self.late().await?;
        for migration in migrations {
            let (rolled_back, applied) = self.rolled_back_and_applied(migration).await?;
            proof.migrations.push(Proven { path: migration.path.clone(), rolled_back, ..Proven::default() });
            if let Err(why) = applied {
                proof.differs.push(format!("{} failed when it was applied once more: {why}", migration.path));
                proof.not_proven.push(format!("nothing is proven of what comes behind {}", migration.path));
                return Ok(false);
            }
        }
        proof.unresolved = unresolved(&before, self.late().await?);
        let back: Vec<&&Migration> = migrations.iter().filter(|migration| has_way_back(migration)).collect();
        // Where all of it goes back and comes again, that is what is compared; where some could not be applied, what they have
        // left there is not here.
        let now = if is_whole && back.len() == migrations.len() { None } else { Some(self.there().await?) };
        let first = now.as_ref().filter(|_| !is_whole).unwrap_or(made);
        if let Some(now) = &now {
            let mut words = told(&changes(&first.schema, &now.schema));
            words.extend(first.beside.differences(&now.beside));
            proof.differs.extend(differences(ELSEWHERE, &words));
        }
        if !back.iter().all(|migration| migration.down.is_some()) {
            return Ok(true);
        }
        for migration in back.iter().rev() {
            let down = self.down_of(migration, "");
            if self.run(&down).await.is_err() {
                return Ok(true);
            }
        }
        if back.len() == migrations.len() && !ground.differs(&self.there().await?).is_empty() {
            return Ok(true);
        }
        for migration in back {
            if self.run(migration).await.is_err() {
                return Ok(true);
            }
        }
        if !first.differs(&self.there().await?).is_empty() {
            return Ok(true);
        }
        for (migration, proven) in migrations.iter().zip(&mut proof.migrations) {
            if has_way_back(migration) {
                (proven.reverted, proven.again) = (Answer::Yes, Answer::Yes);
            }
        }
        Ok(false)
    }

    /// Each migration forth, back and forth again, compared each time, and in the end with what they have made elsewhere (`None`:
    /// not all of them could be applied there).
    async fn each(
        &mut self,
        made: Option<&There>,
        migrations: &[&Migration],
        proof: &mut Proof,
    ) -> Result<(), RehearseError> {
        let mut before = self.everything().await?;
        for migration in migrations {
            if self.run(migration).await.is_err() {
                // What has failed before it may be to blame: it is said there.
                proof
                    .not_proven
                    .push(format!("{} and what follows could not be applied any more", migration.path));
                return Ok(());
            }
            let after = self.everything().await?;
            let Some(proven) = proof.migrations.iter_mut().find(|proven| proven.path == migration.path)
            else {
                continue;
            };
            if !has_way_back(migration) {
                before = after;
                continue;
            }
            let (reverted, again, now) = self.there_and_back(migration, &before, after).await?;
            (proven.reverted, proven.again) = (reverted, again);
            before = now;
        }
        let is_told = |proven: &Proven| !matches!(proven.again, Answer::Yes | Answer::NotAsked);
        if proof.differs.is_empty() && !proof.migrations.iter().any(is_told) {
            let differs = made.map(|made| made.differs(&before.0)).unwrap_or_default();
            proof.differs.extend(differences(ELSEWHERE, &differs));
        }
        Ok(())
    }

    /// With the names that the server gives.
    async fn everything(&mut self) -> Result<(There, Names), RehearseError> {
        Ok((self.there().await?, Names::read(&mut self.reader).await?))
    }

    /// Reverts a migration and applies it again; gives what is there then.
    async fn there_and_back(
        &mut self,
        migration: &Migration,
        (before, names_before): &(There, Names),
        (after, names_after): (There, Names),
    ) -> Result<(Answer, Answer, (There, Names)), RehearseError> {
        let unasked = |why: &str| Answer::NotMeasured(why.to_owned());
        let has_file = migration.down.is_some();
        let found = if has_file {
            String::new()
        } else {
            let (project, names) = (self.project, names_before);
            let ends = ((&before.schema, names), (&after.schema, &names_after));
            let Undone { found, .. } = undone(self, project, migration, ends.0, ends.1).await?;
            let left = found.left.first().map(ToString::to_string);
            // What belongs to no schema is nothing that a way back is found out for.
            if let Some(left) = left.or_else(|| before.beside.differences(&after.beside).into_iter().next()) {
                let why = unasked(&format!("no statement takes this back: {left}"));
                return Ok((why, Answer::NotAsked, (after, names_after)));
            }
            text_of(&found.statements)
        };
        let down = self.down_of(migration, &found);
        if let Err(why) = self.run(&down).await {
            let now = self.everything().await?;
            return Ok((Answer::No(why), unasked("it could not be reverted"), now));
        }
        let (schema, beside) = (schema(&mut self.reader).await?, self.beside().await?);
        let reverted = answer(&before.differs_from(&schema, &beside));
        if let Err(why) = self.run(migration).await {
            return Ok((reverted, Answer::No(why), self.everything().await?));
        }
        let now = self.everything().await?;
        Ok((reverted, answer(&after.differs(&now.0)), now))
    }

    fn down_of(&self, migration: &Migration, found: &str) -> Migration {
        way_back(migration.clone(), migration, migration.down.as_deref(), found, &self.project.vars)
    }

    async fn run(&mut self, migration: &Migration) -> Result<(), String> {
        replay::run_in(&mut self.session, self.databases.as_ref(), migration, &self.project.vars).await
    }

    /// Runs a migration in a transaction that is rolled back, looks for what is left of it, and applies it.
    async fn rolled_back_and_applied(
        &mut self,
        migration: &Migration,
    ) -> Result<(Answer, Result<(), String>), RehearseError> {
        let vars = &self.project.vars;
        let script = Script::analyse(migration, vars);
        if !script.is_one_transaction() {
            let why = Answer::NotMeasured("it does not run in one transaction".to_owned());
            return Ok((why, self.run(migration).await));
        }
        if let Some(statements) = replay::at_once(&script, self.databases.as_ref(), migration, vars) {
            return self.both_at_once(migration, &statements).await;
        }
        let before = self.session.query_text(TRACES).await?.rows;
        let ran =
            replay::run_and_roll_back(&mut self.session, self.databases.as_ref(), migration, vars).await;
        let after = self.session.query_text(TRACES).await?.rows;
        self.session.execute("DISCARD ALL").await?;
        Ok((left_nothing(&before, ran, &after), self.run(migration).await))
    }

    /// The same of a small file, in one flush.
    async fn both_at_once(
        &mut self,
        migration: &Migration,
        statements: &[(String, u32)],
    ) -> Result<(Answer, Result<(), String>), RehearseError> {
        let (back, forth) =
            (replay::in_transaction(statements, true), replay::in_transaction(statements, false));
        let texts = [&[TRACES][..], &back, &[TRACES, "DISCARD ALL"], &forth].concat();
        let mut outcomes = self.session.pipeline(&texts).await;
        let applied = outcomes.split_off(texts.len() - forth.len());
        let missing = || Failure::Invalid("no answer".to_owned());
        let discarded = outcomes.pop().ok_or_else(missing)?;
        let after = outcomes.pop().ok_or_else(missing)?.result?.rows;
        let ran = outcomes.split_off(1);
        let before = outcomes.pop().ok_or_else(missing)?.result?.rows;
        discarded.result?;
        let ran = replay::came_through(migration, statements, &back, &ran);
        let applied = replay::came_through(migration, statements, &forth, &applied);
        Ok((left_nothing(&before, ran, &after), applied))
    }
}

/// What is left of a migration that was rolled back, by looks before and behind it.
fn left_nothing(before: &[Row], ran: Result<(), String>, after: &[Row]) -> Answer {
    let (before, after) = (before.concat(), after.concat());
    let left: Vec<&str> = LOOKED_AT
        .iter()
        .zip(before.iter().zip(&after))
        .filter(|(_, (before, after))| before != after)
        .map(|(what, _)| *what)
        .collect();
    match ran {
        Err(why) => Answer::No(why),
        Ok(()) if left.is_empty() => Answer::Yes,
        Ok(()) => Answer::No(format!("rolled back, it has changed {}", left.join(", "))),
    }
}

/// A row as text.
type Row = Vec<Option<String>>;

/// What a rollback does not take back, and the catalogue of relations, as the session itself sees them: a row of it that was
/// written has a younger transaction. (Ages are counted from the first one that can be: they grow meanwhile.)
const TRACES: &str = "
SELECT (SELECT pg_catalog.count(*) || ':' || (pg_catalog.sum(pg_catalog.age(c.xmin)) - pg_catalog.count(*) * pg_catalog.age('3'::pg_catalog.xid))
          FROM pg_catalog.pg_class c WHERE c.oid >= 16384),
       (SELECT pg_catalog.string_agg(s.seqrelid || ':' || coalesce(pg_catalog.pg_sequence_last_value(s.seqrelid)::pg_catalog.text, ''), ','
               ORDER BY s.seqrelid)
          FROM pg_catalog.pg_sequence s WHERE pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT')),
       (SELECT pg_catalog.count(*)::pg_catalog.text FROM pg_catalog.pg_locks
         WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()),
       (SELECT pg_catalog.count(*)::pg_catalog.text FROM pg_catalog.pg_prepared_statements)";

/// What [`TRACES`] looks at, in its order.
const LOOKED_AT: [&str; 4] = [
    "relations",
    "sequences (which never go back)",
    "advisory locks of the session",
    "prepared statements of the session",
];

/// What is wrong with bodies after the migrations, and whether it was before.
fn unresolved(before: &[LateFinding], after: Vec<LateFinding>) -> Vec<Unresolved> {
    let was =
        |now: &LateFinding| before.iter().any(|old| old.routine == now.routine && old.wrong == now.wrong);
    let told = after.into_iter().map(|late| Unresolved {
        is_new: !was(&late),
        message: late.wrong.to_string(),
        routine: late.routine,
        line: late.line,
        hint: late.hint,
    });
    told.collect()
}

/// Whether a migration is one that is reverted at all.
fn has_way_back(migration: &Migration) -> bool {
    migration.kind == MigrationKind::Versioned && migration.takes_back.is_none()
}

async fn schema(reader: &mut Session) -> Result<Schema, RehearseError> {
    catalog::schema(reader, &[]).await.map_err(RehearseError::Read)
}

fn answer(differs: &[String]) -> Answer {
    if differs.is_empty() { Answer::Yes } else { Answer::No(differs.join("; ")) }
}

/// Differences in words, the first ones.
fn differences(when: &str, differs: &[String]) -> Vec<String> {
    let mut words: Vec<String> =
        differs.iter().take(NAMED).map(|change| format!("{when}: {change}")).collect();
    if differs.len() > NAMED {
        words.push(format!("{when}: and {} more", differs.len() - NAMED));
    }
    words
}
