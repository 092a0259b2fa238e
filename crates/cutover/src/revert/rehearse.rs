//! What the ways back are and whether they lead back: all that is applied is replayed on a throwaway server, what each
//! migration to be reverted changes is read before and behind it, the ways back are gone there, and what is left is compared
//! with what the other migrations alone make.

use std::collections::BTreeSet;

use cutover_analysis::diff::{Change, Options, What, changes, diff_with_renamed_values};
use cutover_analysis::effects::{ObjectKind, destroys, renamed_values};
use cutover_analysis::schema::{Id, Schema};
use cutover_analysis::sql::parse;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use super::choose::Chosen;
use super::{RevertError, text_of};
use crate::catalog;
use crate::compare::{SideError, told};
use crate::migration::Migration;
use crate::project::Project;
use crate::script::{Script, ScriptItem};
use crate::source;
use crate::verify::SandboxProvider;
use crate::verify::replay::{self, Likeness, Replay};

/// The way back of a migration, and what it changes.
pub(super) struct Rehearsed<'a> {
    pub(super) migration: &'a Migration,
    pub(super) text: String,
    /// From what is there behind the migration to what was before.
    pub(super) changes: Vec<Change>,
    /// What stays as it is, in words.
    pub(super) stays: Vec<String>,
    /// What its statements take away beside objects, in words.
    pub(super) losses: Vec<String>,
}

/// What came of it.
pub(super) struct Rehearsal<'a> {
    pub(super) backs: Vec<Rehearsed<'a>>,
    /// What is otherwise behind all ways back than it was before, in words.
    pub(super) differs: Vec<String>,
    pub(super) remarks: Vec<String>,
}

pub(super) async fn rehearse<'a>(
    project: &Project,
    chosen: &Chosen<'a>,
    options: &ConnectOptions,
    sandbox: &SandboxProvider,
) -> Result<Rehearsal<'a>, RevertError> {
    let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let made = replay::made_by(chosen.applied.iter().copied(), &project.vars);
    let likeness = Likeness::of(&mut session).await?.with_surroundings(&mut session, &made).await?;
    session.close().await;
    let kept: Vec<&Migration> = chosen
        .applied
        .iter()
        .copied()
        .filter(|one| !chosen.back.iter().any(|back| back.id == one.id))
        .collect();
    let wanted = without(project, &kept, &likeness, sandbox).await?;
    let mut replay = open(&likeness, sandbox).await?;
    let other_major = replay.other_major;
    let gone = there_and_back(project, chosen, &mut replay, &wanted).await;
    replay.finish().await;
    let (backs, differs) = gone?;
    let remarks = other_major.map(|major| {
        format!("rehearsed by PostgreSQL {major}; --pg-bin names the folder of the database's own version")
    });
    Ok(Rehearsal { backs, differs, remarks: remarks.into_iter().collect() })
}

async fn open(likeness: &Likeness, sandbox: &SandboxProvider) -> Result<Replay, RevertError> {
    let opened = Replay::open_like(likeness, sandbox).await;
    opened.map_err(|trouble| SideError::NotBuilt("what is applied".to_owned(), trouble.0).into())
}

/// What the migrations that are kept make without the others.
async fn without(
    project: &Project,
    kept: &[&Migration],
    likeness: &Likeness,
    sandbox: &SandboxProvider,
) -> Result<Schema, RevertError> {
    let mut replay = open(likeness, sandbox).await?;
    let mut outcome = Ok(());
    for migration in kept {
        outcome = replay.run(migration, &project.vars).await;
        if outcome.is_err() {
            break;
        }
    }
    let schema = read(&mut replay).await;
    replay.finish().await;
    let needed = |why: String| {
        RevertError::Not(format!("what is kept does not stand without what is to be reverted: {why}"))
    };
    outcome.map_err(needed)?;
    schema
}

async fn read(replay: &mut Replay) -> Result<Schema, RevertError> {
    Ok(catalog::schema(&mut replay.session, &[]).await?)
}

async fn there_and_back<'a>(
    project: &Project,
    chosen: &Chosen<'a>,
    replay: &mut Replay,
    wanted: &Schema,
) -> Result<(Vec<Rehearsed<'a>>, Vec<String>), RevertError> {
    let mut backs: Vec<Rehearsed<'a>> = Vec::new();
    for migration in &chosen.applied {
        let is_back = chosen.back.iter().any(|back| back.id == migration.id);
        let before = if is_back { Some(read(replay).await?) } else { None };
        replay.run(migration, &project.vars).await.map_err(RevertError::Rehearsal)?;
        if let Some(before) = before {
            let after = read(replay).await?;
            backs.push(way_back(project, migration, &before, &after)?);
        }
    }
    backs.reverse();
    let mut before = read(replay).await?;
    for back in &mut backs {
        let is_file = back.migration.down.is_some();
        run(project, back, replay).await.map_err(|why| {
            let what = if is_file { "its own way back" } else { "what undoes it" };
            RevertError::Rehearsal(format!("{}: {what} fails: {why}", back.migration.path))
        })?;
        let behind = read(replay).await?;
        if is_file {
            // What it does, and not what it should: it may drop more.
            back.changes = changes(&before, &behind);
        }
        before = behind;
    }
    Ok((backs, told(&changes(wanted, &before))))
}

fn way_back<'a>(
    project: &Project,
    migration: &'a Migration,
    before: &Schema,
    after: &Schema,
) -> Result<Rehearsed<'a>, RevertError> {
    let unreadable = |error: std::io::Error| RevertError::Not(format!("{}: {error}", migration.path));
    if migration.down.is_some() {
        let down = super::way_back(migration.clone(), migration, "");
        let text = source::read_to_string(&down).map_err(unreadable)?;
        let (losses, written) = taken_away(project, migration, &down);
        let mut stays = do_not_come_back(&changes(after, before));
        // It may write them anew.
        stays.retain(|(table, _)| !written.contains(table));
        let stays = stays.into_iter().map(|(_, words)| words).collect();
        return Ok(Rehearsed { migration, text, changes: Vec::new(), stays, losses });
    }
    let renamed = values_renamed(project, migration);
    let found = diff_with_renamed_values(after, before, Options { safe: false }, &renamed);
    let mut stays: Vec<String> =
        found.left.iter().map(|left| format!("no statement takes this back: {left}")).collect();
    stays.extend(do_not_come_back(&found.changes).into_iter().map(|(_, words)| words));
    stays.extend(rows_written(project, migration, before));
    let text = text_of(&found.statements);
    Ok(Rehearsed { migration, text, changes: found.changes, stays, losses: Vec::new() })
}

/// The values of enums that the migration gives other names, as its way back does: new and old.
fn values_renamed(project: &Project, migration: &Migration) -> Vec<(String, String)> {
    let script = Script::analyse(migration, &project.vars);
    let texts = script.items(migration, &project.vars).filter_map(|item| match item {
        Ok(ScriptItem::Statement { text, .. }) => parse(&text).ok(),
        _ => None,
    });
    texts.flat_map(|parsed| renamed_values(&parsed)).map(|(old, new)| (new, old)).collect()
}

/// What is made anew and was full once: the table's name, and words for each.
fn do_not_come_back(changes: &[Change]) -> Vec<(String, String)> {
    let created = |kind: ObjectKind| {
        let these = changes.iter().filter(|change| change.what == What::Created).map(|change| &change.object);
        these.filter(move |id| id.kind == kind)
    };
    let tables = created(ObjectKind::Table).map(|id| {
        (id.name.to_string(), format!("the rows that {id} had before the migration do not come back"))
    });
    let whole = |column: &Id| {
        created(ObjectKind::Table)
            .any(|table| Some(&table.name) == column.table.as_ref() && table.schema == column.schema)
    };
    let columns = created(ObjectKind::Column).filter(|id| !whole(id)).map(|id| {
        let table = id.table.as_deref().unwrap_or_default().to_owned();
        (table, format!("the values that {id} had before the migration do not come back"))
    });
    tables.chain(columns).collect()
}

/// What the statements of a down file take away beside the objects that they drop, in words, unless the migration has made the
/// tables itself; and the names of all tables whose rows it writes.
fn taken_away(project: &Project, migration: &Migration, down: &Migration) -> (Vec<String>, BTreeSet<String>) {
    let forth = Script::analyse(migration, &project.vars);
    let back = Script::analyse(down, &project.vars);
    let (mut rows, mut cascades) = (BTreeSet::new(), false);
    for item in back.items(down, &project.vars) {
        // What cannot be read is told by the rehearsal, what is not understood by the server.
        let Ok(ScriptItem::Statement { text, .. }) = item else { continue };
        let Ok(parsed) = parse(&text) else { continue };
        let destroyed = destroys(&parsed);
        cascades |= destroyed.cascades;
        let others = destroyed.rows.into_iter().filter(|table| !forth.makes(table));
        rows.extend(others.map(|table| match &table.schema {
            Some(schema) => format!("{schema}.{}", table.name),
            None => table.name.to_string(),
        }));
    }
    let mut losses: Vec<String> = rows
        .into_iter()
        .map(|table| format!("rows of {table}, which its way back deletes or changes"))
        .collect();
    if cascades {
        losses.push("whatever depends on what its way back drops with CASCADE".to_owned());
    }
    (losses, back.writes.iter().map(|table| table.name.to_string()).collect())
}

/// The rows that a migration writes in tables that were there before it: nobody knows what they were.
fn rows_written(project: &Project, migration: &Migration, before: &Schema) -> Vec<String> {
    let script = Script::analyse(migration, &project.vars);
    let there = |name: &str| {
        before.objects.keys().any(|id| {
            matches!(id.kind, ObjectKind::Table | ObjectKind::ForeignTable | ObjectKind::View)
                && id.name == name
        })
    };
    let names: BTreeSet<String> = script
        .writes
        .iter()
        .filter(|object| there(&object.name))
        .map(|object| {
            let schema = object.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
            format!("{schema}{}", object.name)
        })
        .collect();
    let mut words: Vec<String> =
        names.into_iter().map(|name| format!("the rows that it wrote in {name} stay as they are")).collect();
    words.extend(script.opaque.map(|why| format!("rows that it may have written stay as they are ({why})")));
    words
}

async fn run(project: &Project, back: &Rehearsed<'_>, replay: &mut Replay) -> Result<(), String> {
    let migration = super::way_back(back.migration.clone(), back.migration, &back.text);
    replay.run(&migration, &project.vars).await
}
