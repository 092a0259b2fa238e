//! What the ways back are and whether they lead back: all that is applied is replayed on a throwaway server, what each
//! migration to be reverted changes is read before and behind it, the ways back are gone there, and what is left is compared
//! with what the other migrations alone make.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use cutover_analysis::diff::{Attribute, Change, What, changes};
use cutover_analysis::effects::{Code, ObjectKind, ObjectRef, beyond, destroys, effects, effects_of_text};
use cutover_analysis::schema::{Id, Schema, Sql};
use cutover_analysis::sql::parse;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use super::choose::Chosen;
use super::losses::Gone;
use super::names::Names;
use super::taken::{self, Tables, Taken, taken_away};
use super::undo::{Place, Undone, undone};
use super::{RevertError, text_of};
use crate::compare::{SideError, told_each};
use crate::migration::{Migration, MigrationId};
use crate::plan::select;
use crate::project::Project;
use crate::script::{Script, ScriptItem};
use crate::source;
use crate::verify::SandboxProvider;
use crate::verify::replay::{self, Likeness, Replay};

/// What a way back is made of.
#[derive(Default)]
pub(super) struct Way {
    pub(super) text: String,
    /// From what is there behind the migration to what was before: of a down file what it does. What has only another name is
    /// changed to nothing and from nothing.
    pub(super) changes: Vec<Change>,
    /// What goes and may hold something.
    pub(super) gone: Vec<Gone>,
    /// What stays as it is, in words.
    pub(super) stays: Vec<String>,
    /// What its statements take away beside objects, in words.
    pub(super) losses: Vec<String>,
    /// It drops with CASCADE.
    pub(super) cascades: bool,
    /// What stays and loses rows or values, each with words for what happens to it.
    pub(super) touched: Vec<(Gone, &'static str)>,
    /// Types that another one of the same name stands for behind it.
    pub(super) rebuilt: BTreeSet<Id>,
    /// What its statements drop by name, whether it was there in the rehearsal or not.
    pub(super) drops: Vec<ObjectRef>,
    /// Columns that its statements give a type where they are there, or in a block.
    pub(super) perhaps: Vec<ObjectRef>,
    /// What its statements make by name.
    pub(super) makes: Vec<ObjectRef>,
    /// What it runs of which nobody knows what it does to rows, in words.
    pub(super) unknown: Vec<String>,
    /// Its statements.
    pub(super) statements: Vec<String>,
    /// What they run for each row.
    pub(super) runs: Code,
    /// Tables that it was seen to write.
    pub(super) written: Vec<Gone>,
    /// Its statements that fail where rows do not fit, by what is to be asked of the database before.
    pub(super) fits: Vec<Fits>,
}

/// What must be so for a statement not to fail.
pub(super) enum Fits {
    /// The table has no rows: it gets a column that is never null, with nothing in it.
    NoRows(Gone, Id),
    /// The column has no null.
    NoNull(Gone),
}

impl Way {
    fn all_gone(&mut self) -> impl Iterator<Item = &mut Gone> {
        let fits = self.fits.iter_mut().map(|(Fits::NoRows(gone, _) | Fits::NoNull(gone))| gone);
        let touched = self.touched.iter_mut().map(|(gone, _)| gone);
        self.gone.iter_mut().chain(touched).chain(&mut self.written).chain(fits)
    }
}

/// The way back of a migration.
pub(super) struct Rehearsed<'a> {
    pub(super) migration: &'a Migration,
    /// Whether it is the migration's own down file.
    pub(super) is_file: bool,
    /// By its own down file, where it has one.
    file: Way,
    /// By what undoes it.
    found_out: Way,
    /// Why its down file is not gone by; for good where that is to spare others.
    given_up: Option<(String, bool)>,
    /// What should be changed by it.
    wanted: Vec<Change>,
    /// What was.
    done: Vec<Change>,
    /// What the statements of its down file take away, as they say.
    taken: Taken,
}

impl Rehearsed<'_> {
    pub(super) fn into_way(self) -> Way {
        if self.is_file { self.file } else { self.found_out }
    }

    fn text(&self) -> &str {
        if self.is_file { &self.file.text } else { &self.found_out.text }
    }

    fn give_up(&mut self, why: String, for_good: bool) {
        self.is_file = false;
        self.given_up = Some((why, for_good));
    }

    /// Another try with its down file.
    fn take_up(&mut self) {
        if self.migration.down.is_some() && !self.given_up.as_ref().is_some_and(|(_, for_good)| *for_good) {
            self.is_file = true;
            self.given_up = None;
        }
    }
}

/// A way back that does not work.
pub(super) struct Failing<'a> {
    pub(super) migration: &'a Migration,
    /// What fails, in words.
    pub(super) why: String,
    /// What undoes it works in place of the down file.
    pub(super) can_be_derived: bool,
    /// Some of the down file's transactions had ended by then.
    is_partial: bool,
    /// The way back before it that may be to blame, by a down file, and what that has left otherwise than it was.
    misled: Option<(MigrationId, String)>,
}

impl Failing<'_> {
    /// The down file to be done without, and why, so that it need not fail: its own or that of one that goes before.
    fn to_derive(&self) -> Option<(MigrationId, String)> {
        if self.can_be_derived {
            return self.is_partial.then(|| (self.migration.id.clone(), self.why.clone()));
        }
        let (id, left) = self.misled.as_ref()?;
        Some((
            id.clone(),
            format!("its down file does not leave {left} as it was, which {} needs", self.migration.path),
        ))
    }
}

/// What came of it.
pub(super) struct Rehearsal<'a> {
    /// The last applied one first.
    pub(super) backs: Vec<Rehearsed<'a>>,
    /// What is otherwise behind all ways back than it was before, in words.
    pub(super) differs: Vec<String>,
    /// In the same order; where there are any, nothing else is to be relied upon.
    pub(super) failing: Vec<Failing<'a>>,
    /// All that is there before any of them.
    pub(super) there: Schema,
    /// It was tried by another major version than the database's.
    pub(super) other_major: bool,
    /// How many were not tried, as what they begin with could not be made.
    pub(super) untried: usize,
    pub(super) remarks: Vec<String>,
}

/// `derives`: down files that fail give way to what undoes their migrations.
pub(super) async fn rehearse<'a>(
    project: &Project,
    chosen: &Chosen<'a>,
    options: &ConnectOptions,
    sandbox: &SandboxProvider,
    derives: bool,
) -> Result<Rehearsal<'a>, RevertError> {
    let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let made = replay::made_by(chosen.applied.iter().copied(), &project.vars);
    let likeness = Likeness::of(&mut session).await?.with_surroundings(&mut session, &made).await?;
    let likeness = likeness.without_roles(|role| made.contains(&(ObjectKind::Role, role.to_owned())));
    session.close().await;
    let kept: Vec<&Migration> = chosen
        .applied
        .iter()
        .copied()
        .filter(|one| !chosen.back.iter().any(|back| back.id == one.id))
        .collect();
    let replay = open(&likeness, sandbox).await?;
    let mut there = There { project, chosen, likeness: &likeness, sandbox, replay, goes: BTreeSet::new() };
    let gone = there.tried(&kept, derives).await;
    let other_major = there.replay.other_major;
    there.replay.finish().await;
    let mut rehearsal = gone?;
    rehearsal.remarks.extend(other_major.map(|major| {
        format!("rehearsed by PostgreSQL {major}; --pg-bin names the folder of the database's own version")
    }));
    Ok(rehearsal)
}

async fn open(likeness: &Likeness, sandbox: &SandboxProvider) -> Result<Replay, RevertError> {
    let opened = Replay::open_like(likeness, sandbox).await;
    opened.map_err(|trouble| SideError::NotBuilt("what is applied".to_owned(), trouble.0).into())
}

/// What the migrations that are kept make without the others.
async fn without(
    project: &Project,
    chosen: &Chosen<'_>,
    kept: &[&Migration],
    likeness: &Likeness,
    sandbox: &SandboxProvider,
) -> Result<Schema, RevertError> {
    let mut replay = open(likeness, sandbox).await?;
    let mut failing: Vec<(&Migration, String)> = Vec::new();
    for migration in kept.iter().copied() {
        if let Err(why) = replay.run(migration, &project.vars).await {
            failing.push((migration, why));
        }
    }
    let schema = read(&mut replay).await;
    replay.finish().await;
    let Some((_, first)) = failing.first() else { return schema };
    let called = |one: &&Migration| select::called(project, &one.id);
    let kept: Vec<&Migration> = failing.iter().map(|(one, _)| *one).collect();
    let mut all: Vec<String> = kept.iter().map(called).collect();
    all.extend(chosen.back.iter().map(called));
    let was_recorded = kept.iter().any(|one| chosen.recorded.contains(&one.id));
    let (baseline, allow) = if was_recorded {
        (", which a baseline recorded and nobody ran here", format!(" --allow {}", crate::hazard::DATA_LOSS))
    } else {
        ("", String::new())
    };
    Err(RevertError::Stands(format!(
        "what is kept does not stand without what is to be reverted: {first}\n  hint: `cutover revert {}{allow}` takes it back \
         too{baseline}",
        all.join(" ")
    )))
}

/// What cannot be replayed, though it is applied.
fn not_replayed(why: String) -> RevertError {
    // Something is not there: SQLSTATEs of undefined columns, objects, functions, tables and schemas.
    let is_missing =
        ["42703", "42704", "42883", "42P01", "3F000"].iter().any(|code| why.contains(&format!("({code})")));
    let hint = "\n  hint: where the database had that before the first migration, no file makes it on a throwaway server: write what was \
                there into a file of its own, and have `cutover baseline` record it";
    RevertError::Rehearsal(if is_missing { why + hint } else { why })
}

async fn read(replay: &mut Replay) -> Result<Schema, RevertError> {
    Ok(replay.schema().await?)
}

/// A throwaway database where what is applied is replayed.
struct There<'a, 'b> {
    project: &'b Project,
    chosen: &'b Chosen<'a>,
    likeness: &'b Likeness,
    sandbox: &'b SandboxProvider,
    replay: Replay,
    /// Tables that what is to be reverted has really made, as far as it was looked at.
    goes: BTreeSet<Id>,
}

impl Place for There<'_, '_> {
    type Error = RevertError;

    fn session(&mut self) -> &mut Session {
        &mut self.replay.session
    }

    async fn what_is_there(&mut self) -> Result<(Schema, Names), RevertError> {
        let schema = read(&mut self.replay).await?;
        Ok((schema, Names::read(&mut self.replay.session).await?))
    }
}

impl<'a> There<'a, '_> {
    /// `kept` is not to be reverted; `derives`: see [`rehearse`].
    async fn tried(&mut self, kept: &[&Migration], derives: bool) -> Result<Rehearsal<'a>, RevertError> {
        let (backs, before) = self.forth().await?;
        // All of it stands: what does not now stands on what is to be reverted.
        let wanted = without(self.project, self.chosen, kept, self.likeness, self.sandbox).await?;
        self.and_back((backs, before), &wanted, derives).await
    }

    async fn and_back(
        &mut self,
        (mut backs, mut before): (Vec<Rehearsed<'a>>, Schema),
        wanted: &Schema,
        derives: bool,
    ) -> Result<Rehearsal<'a>, RevertError> {
        let there = before.clone();
        let mut top = Names::read(&mut self.replay.session).await?;
        for back in &mut backs {
            top.find(back.found_out.all_gone());
        }
        let mut names = top.clone();
        let mut failing: Vec<Failing<'_>> = Vec::new();
        let mut at = 0;
        while at < backs.len() {
            let (gone, rest) = backs.split_at_mut(at);
            let Some(back) = rest.first_mut() else { break };
            at += 1;
            let why = match self.run(back).await {
                Ok(written) => {
                    let (behind, now) = self.what_is_there().await?;
                    back.done = changes(&before, &behind);
                    if back.is_file {
                        let Rehearsed { taken, file, wanted, done, .. } = back;
                        let tables = Tables { before: &before, names: &names, now: &now, wanted, done };
                        tables.seen(taken, &written, file);
                        top.find(back.file.all_gone());
                    }
                    (before, names) = (behind, now);
                    continue;
                }
                Err(why) => why,
            };
            let was_file = back.is_file;
            let (failed, goes_on) = self.go_past(gone, back, why).await?;
            if let Some((id, why)) = failed.to_derive().filter(|_| derives) {
                // From there once more, without the file that led astray.
                at = backs.iter().position(|back| back.migration.id == id).unwrap_or_default();
                backs.iter_mut().skip(at).for_each(Rehearsed::take_up);
                if let Some(back) = backs.get_mut(at) {
                    back.give_up(why, true);
                }
                failing.retain(|one| backs.iter().take(at).any(|back| back.migration.id == one.migration.id));
                top = self.until(&backs[..at]).await?;
            } else if derives && was_file && failed.can_be_derived {
                back.give_up(failed.why, false);
            } else {
                failing.push(failed);
                if !goes_on {
                    break;
                }
            }
            (before, names) = self.what_is_there().await?;
        }
        let differs =
            if failing.is_empty() { departures(&backs, &changes(wanted, &before)) } else { Vec::new() };
        let given_up = |back: &Rehearsed<'_>| {
            let (why, _) = back.given_up.as_ref()?;
            Some(format!("{}: gone back by what undoes it, as {why}", back.migration.path))
        };
        let remarks = backs.iter().filter_map(given_up).collect();
        let untried = backs.len() - at;
        let other_major = self.replay.other_major.is_some();
        Ok(Rehearsal { backs, differs, failing, there, other_major, untried, remarks })
    }

    /// Everything that is applied once more, and these ways back, which are known to work; the names at the top.
    async fn until(&mut self, backs: &[Rehearsed<'_>]) -> Result<Names, RevertError> {
        self.anew(&[]).await?.map_err(RevertError::Rehearsal)?;
        let top = Names::read(&mut self.replay.session).await?;
        for back in backs {
            self.run(back).await.map_err(RevertError::Rehearsal)?;
        }
        Ok(top)
    }

    /// Everything that is applied, and what is there then; the ways back of what is to be reverted, the last one first.
    async fn forth(&mut self) -> Result<(Vec<Rehearsed<'a>>, Schema), RevertError> {
        let mut backs: Vec<Rehearsed<'_>> = Vec::new();
        let mut now: Option<(Schema, Names)> = None;
        for migration in &self.chosen.applied {
            let is_back = self.chosen.back.iter().any(|back| back.id == migration.id);
            let before = match now.take() {
                _ if !is_back => None,
                Some(known) => Some(known),
                None => Some(self.what_is_there().await?),
            };
            self.replay.run(migration, &self.project.vars).await.map_err(not_replayed)?;
            if let Some(before) = before {
                let after = self.what_is_there().await?;
                let back = self.way_back(migration, &before, &after).await?;
                let made = back.wanted.iter().filter(|one| one.what == What::Dropped).map(|one| &one.object);
                self.goes.extend(made.filter(|id| id.kind == ObjectKind::Table).cloned());
                backs.push(back);
                now = Some(after);
            }
        }
        backs.reverse();
        let now = match now {
            Some((known, _)) => known,
            None => read(&mut self.replay).await?,
        };
        Ok((backs, now))
    }

    /// The ways back of a migration that has just run: what was before and what is behind it.
    async fn way_back(
        &mut self,
        migration: &'a Migration,
        (before, names_before): &(Schema, Names),
        (after, names_after): &(Schema, Names),
    ) -> Result<Rehearsed<'a>, RevertError> {
        let project = self.project;
        let wanted = changes(after, before);
        let Undone { found, from } =
            undone(self, project, migration, (before, names_before), (after, names_after)).await?;
        let (from, names) = from.as_ref().map_or((after, names_after), |(from, names)| (from, names));
        let gone = names.gone(&found.changes, None, names_after);
        let lasting = |id: &Id| names_after.has(names_before, id);
        let not_anew = do_not_come_back(&names_before.missing(names_after, before).collect());
        let mut stays: Vec<String> =
            found.left.iter().map(|left| format!("no statement takes this back: {left}")).collect();
        stays.extend(not_anew.iter().map(|(_, words)| words.clone()));
        let mut rows = rows_written(project, migration, before);
        // Those of a table that is reverted as well go with it.
        let is_it = |id: &Id, table: &ObjectRef| {
            id.name == table.name && (table.schema.is_none() || id.schema == table.schema)
        };
        rows.retain(|(table, _)| {
            table.as_ref().is_none_or(|table| !self.goes.iter().any(|id| is_it(id, table)))
        });
        let rows: Vec<String> = rows.into_iter().map(|(_, words)| words).collect();
        stays.extend(rows.iter().cloned());
        let beyond = beyond_schemas(project, migration);
        stays.extend(beyond.iter().cloned());
        let rebuilt = taken::types_of(&found.changes).filter(|id| !lasting(id)).cloned().collect();
        let fits = fitting(&found.changes, before, from, names);
        let found_out =
            Way { changes: found.changes, gone, stays, rebuilt, fits, ..way_of(found.statements) };
        let back = Rehearsed {
            migration,
            is_file: false,
            file: Way::default(),
            found_out,
            given_up: None,
            wanted,
            done: Vec::new(),
            taken: Taken::default(),
        };
        if migration.down.is_none() {
            return Ok(back);
        }
        let (file, taken) = self.by_file(migration, not_anew, (rows, beyond))?;
        Ok(Rehearsed { is_file: true, file, taken, ..back })
    }

    /// The way back by the migration's own down file: `not_anew` does not come back, unless the file writes it; `rows` and `beyond` stay
    /// where it is empty.
    fn by_file(
        &self,
        migration: &Migration,
        not_anew: Vec<(String, String)>,
        (rows, beyond): (Vec<String>, Vec<String>),
    ) -> Result<(Way, Taken), RevertError> {
        let project = self.project;
        let unreadable = |error: std::io::Error| RevertError::Not(format!("{}: {error}", migration.path));
        let down =
            super::way_back(migration.clone(), migration, migration.down.as_deref(), "", &project.vars);
        let text = source::read_to_string(&down).map_err(unreadable)?;
        let mut taken = taken_away(project, migration, &down);
        // It may write them anew.
        let stays = not_anew.into_iter().filter(|(table, _)| !taken.written.contains(table));
        let mut stays: Vec<String> = stays.map(|(_, words)| words).collect();
        if Script::analyse(&down, &project.vars).units.is_empty() {
            // It was left empty: nothing of it sees to them.
            stays.extend(rows);
            stays.extend(beyond);
        }
        let (losses, cascades, drops) =
            (mem::take(&mut taken.losses), taken.cascades, mem::take(&mut taken.drops));
        let (runs, statements) = (mem::take(&mut taken.runs), mem::take(&mut taken.statements));
        let unknown = mem::take(&mut taken.unknown);
        let makes = taken.makes.clone();
        let perhaps = mem::take(&mut taken.perhaps);
        let file = Way {
            text,
            stays,
            losses,
            cascades,
            drops,
            perhaps,
            makes,
            unknown,
            statements,
            runs,
            ..Way::default()
        };
        Ok((file, taken))
    }

    /// Gives what [`Replay::run_seen`] does.
    async fn run(&mut self, back: &Rehearsed<'_>) -> Result<BTreeSet<String>, String> {
        let down = back.migration.down.as_deref().filter(|_| back.is_file);
        let migration =
            super::way_back(back.migration.clone(), back.migration, down, back.text(), &self.project.vars);
        self.replay.run_seen(&migration, &self.project.vars).await
    }

    /// Makes what is there without a migration whose way back has failed, so that those below it can be tried: by what undoes
    /// it, else from the beginning. Whether that was to be had is given too.
    async fn go_past(
        &mut self,
        before_it: &[Rehearsed<'a>],
        back: &mut Rehearsed<'a>,
        why: String,
    ) -> Result<(Failing<'a>, bool), RevertError> {
        let migration = back.migration;
        let mut gone: Vec<&MigrationId> = before_it.iter().map(|back| &back.migration.id).collect();
        let what = if back.is_file { "its own way back" } else { "what undoes it" };
        let mut failed = Failing {
            migration,
            why: format!("{what} fails: {why}"),
            can_be_derived: false,
            is_partial: false,
            misled: None,
        };
        if back.is_file {
            failed.is_partial = has_several_parts(self.project, back);
            back.is_file = false;
            let is_there = if failed.is_partial { self.anew(&gone).await? } else { Ok(()) };
            match (is_there, self.run(back).await) {
                (Ok(()), Ok(_)) => {
                    failed.can_be_derived = true;
                    return Ok((failed, true));
                }
                (Ok(()), Err(why)) => {
                    failed.why = format!("{}; what undoes it fails too: {why}", failed.why);
                }
                (Err(_), _) => {}
            }
        }
        if let Some((by, object)) = misled(before_it, back) {
            let path = &by.migration.path;
            failed.why = format!(
                "{}; the way back of {path} does not leave {object} as it was, which may be why",
                failed.why
            );
            failed.misled = by.is_file.then(|| (by.migration.id.clone(), object.to_string()));
        }
        gone.push(&migration.id);
        let made = self.anew(&gone).await?;
        Ok((failed, made.is_ok()))
    }

    /// What is applied without these, in a database of its own. What fails of it is given inside.
    async fn anew(&mut self, gone: &[&MigrationId]) -> Result<Result<(), String>, RevertError> {
        let another = open(self.likeness, self.sandbox).await?;
        mem::replace(&mut self.replay, another).finish().await;
        for migration in self.chosen.applied.iter().filter(|one| !gone.contains(&&one.id)) {
            if let Err(why) = self.replay.run(migration, &self.project.vars).await {
                return Ok(Err(why));
            }
        }
        Ok(Ok(()))
    }
}

/// What can be told of statements that were found out.
fn way_of(statements: Vec<Sql>) -> Way {
    let text = text_of(&statements);
    let mut way = Way { text, ..Way::default() };
    for parsed in statements.iter().filter_map(|sql| parse(&sql.text).ok()) {
        let destroyed = destroys(&parsed);
        way.cascades |= destroyed.cascades;
        way.makes.extend(effects(&parsed).creates);
        taken::add_code(&mut way.runs, destroyed.runs);
    }
    way.statements = statements.into_iter().map(|sql| sql.text).collect();
    way
}

/// Whether not all of a down file is one transaction.
fn has_several_parts(project: &Project, back: &Rehearsed<'_>) -> bool {
    let down = super::way_back(
        back.migration.clone(),
        back.migration,
        back.migration.down.as_deref(),
        "",
        &project.vars,
    );
    let script = Script::analyse(&down, &project.vars);
    script.units.len() != 1 || script.units.iter().any(|unit| unit.outside.is_some())
}

/// What ways back have done otherwise than they should, with the last migration of each.
fn done_otherwise<'a, 'b>(backs: &'b [Rehearsed<'a>]) -> BTreeMap<&'b Id, &'b Rehearsed<'a>> {
    let mut by = BTreeMap::new();
    for back in backs {
        let (done, wanted) = (&back.done, &back.wanted);
        let not_in = |one: &&Change, others: &[Change]| !others.contains(one);
        let one_sided = done.iter().filter(|one| not_in(one, wanted));
        let one_sided = one_sided.chain(wanted.iter().filter(|one| not_in(one, done)));
        by.extend(one_sided.map(|change| (&change.object, back)));
    }
    by
}

/// Which way back before may be to blame that one fails: one that has left something of it otherwise than it was.
fn misled<'a, 'b>(before: &'b [Rehearsed<'a>], back: &Rehearsed<'_>) -> Option<(&'b Rehearsed<'a>, &'b Id)> {
    let by = done_otherwise(before);
    back.wanted.iter().find_map(|one| by.get_key_value(&one.object)).map(|(object, by)| (*by, *object))
}

/// What is otherwise in the end, each with the migration whose way back it comes from.
fn departures(backs: &[Rehearsed<'_>], found: &[Change]) -> Vec<String> {
    if found.is_empty() {
        return Vec::new();
    }
    let by = done_otherwise(backs);
    let line = |(change, line): (&Change, String)| match by.get(&change.object) {
        Some(back) => format!("{}: behind the way back, not as it was before: {line}", back.migration.path),
        None => format!("behind the way back, not as it was before: {line}"),
    };
    told_each(found).into_iter().map(line).collect()
}

/// What a migration takes away and was full, perhaps: the table's name, and words for each.
fn do_not_come_back(missing: &BTreeSet<&Id>) -> Vec<(String, String)> {
    let of = |kind: ObjectKind| missing.iter().filter(move |id| id.kind == kind);
    let tables = of(ObjectKind::Table).map(|id| {
        (id.name.to_string(), format!("the rows that {id} had before the migration do not come back"))
    });
    let whole = |column: &Id| {
        of(ObjectKind::Table)
            .any(|table| Some(&table.name) == column.table.as_ref() && table.schema == column.schema)
    };
    let columns = of(ObjectKind::Column).filter(|id| !whole(id)).map(|id| {
        let table = id.table.as_deref().unwrap_or_default().to_owned();
        (table, format!("the values that {id} had before the migration do not come back"))
    });
    tables.chain(columns).collect()
}

/// What a migration changes that no schema holds, in words.
fn beyond_schemas(project: &Project, migration: &Migration) -> Vec<String> {
    let script = Script::analyse(migration, &project.vars);
    let statements = script.items(migration, &project.vars).filter_map(|item| match item {
        Ok(ScriptItem::Statement { text, line, .. }) => Some((text, line)),
        _ => None,
    });
    let words = statements.flat_map(|(text, line)| {
        let found = parse(&text).map(|parsed| beyond(&parsed)).unwrap_or_default();
        found.into_iter().map(move |what| format!("no statement takes this back: {what} (line {line})"))
    });
    let mut words: Vec<String> = words.collect();
    let blocks = script.items(migration, &project.vars).filter_map(|item| match item {
        Ok(ScriptItem::Statement { text, .. }) => Some(text),
        _ => None,
    });
    words.extend(blocks.flat_map(|text| roles_of_block(&text)).map(|role| {
        format!("the role {role}, which a block may have made, stays: it is of the whole server")
    }));
    words
}

/// The roles of which a block says `CREATE ROLE`: nothing says whether it comes to that.
fn roles_of_block(text: &str) -> Vec<String> {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || ";'".contains(c)).filter(|word| !word.is_empty()).collect();
    if !words.first().is_some_and(|first| first.eq_ignore_ascii_case("do")) {
        return Vec::new();
    }
    let is = |word: &str, known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
    let named = words.windows(3).filter_map(|words| match words {
        [create, role, name] if is(create, &["create"]) && is(role, &["role", "user"]) => Some(*name),
        _ => None,
    });
    named
        .filter(|name| name.chars().all(|c| c.is_alphanumeric() || "_$\"".contains(c)))
        .map(str::to_owned)
        .collect()
}

/// The rows that a migration writes in tables that were there before it: nobody knows what they were.
fn rows_written(
    project: &Project,
    migration: &Migration,
    before: &Schema,
) -> Vec<(Option<ObjectRef>, String)> {
    let script = Script::analyse(migration, &project.vars);
    let there = |name: &str| {
        before.objects.keys().any(|id| {
            matches!(id.kind, ObjectKind::Table | ObjectKind::ForeignTable | ObjectKind::View)
                && id.name == name
        })
    };
    let names: BTreeMap<String, ObjectRef> = script
        .writes
        .iter()
        .filter(|object| there(&object.name))
        .map(|object| {
            let schema = object.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
            (format!("{schema}{}", object.name), object.clone())
        })
        .collect();
    let mut words: Vec<(Option<ObjectRef>, String)> = names
        .into_iter()
        .map(|(name, table)| (Some(table), format!("the rows that it wrote in {name} stay as they are")))
        .collect();
    // What the script of an extension writes is its own, and goes with it.
    if script.unread
        && let Some(why) = perhaps_written(&script, project, migration)
    {
        words.push((None, format!("rows that it may have written stay as they are ({why})")));
    }
    words
}

/// Why a migration may write what cannot be seen, in words. That CASCADE drops what nobody names writes no rows.
fn perhaps_written(script: &Script, project: &Project, migration: &Migration) -> Option<String> {
    let first = script.opaque.clone()?;
    if !first.contains(CASCADE_DROPS) {
        return Some(first);
    }
    script.items(migration, &project.vars).find_map(|item| {
        let Ok(ScriptItem::Statement { text, line, .. }) = item else { return None };
        let why = effects_of_text(&text).ok()?.opaque?;
        (!why.contains(CASCADE_DROPS) && !text.to_uppercase().contains("EXTENSION"))
            .then(|| format!("line {line}: {why}"))
    })
}

/// As the analysis says it.
const CASCADE_DROPS: &str = "CASCADE drops what depends on it";

/// What must be so for these changes to succeed, from what is there `from`, to what is there `to`.
fn fitting(changes: &[Change], to: &Schema, from: &Schema, names: &Names) -> Vec<Fits> {
    let fits = changes.iter().filter_map(|change| {
        let id = &change.object;
        let wanted = to.get(id)?;
        let has_not_null = |attributes: &[Attribute]| {
            attributes.iter().any(|one| one.name == "not null" && one.to.is_some() && one.from.is_none())
        };
        match &change.what {
            _ if id.kind != ObjectKind::Column => None,
            What::Created => {
                let table = from.objects.keys().find(|table| {
                    table.kind == ObjectKind::Table
                        && Some(&table.name) == id.table.as_ref()
                        && table.schema == id.schema
                })?;
                let default = Id { kind: ObjectKind::Default, ..id.clone() };
                let filled = ["identity", "generated", "default"].iter().any(|name| wanted.has(name))
                    || to.objects.contains_key(&default);
                (wanted.has("not null") && wanted.has("type") && !filled)
                    .then(|| Fits::NoRows(names.one(table), id.clone()))
            }
            What::Altered { attributes } if has_not_null(attributes) => Some(Fits::NoNull(names.one(id))),
            _ => None,
        }
    });
    fits.collect()
}
