//! `claims`: every migration creates and changes what `cutover.toml` says of it, and nothing else. No keys.
//!
//! Measured, not read from the SQL: all migrations are run one by one in a scratch database, and the objects there
//! before and after each are compared. Then the claimed objects of applied migrations are looked for in the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use cutover_analysis::diff::{Steps, steps};
use cutover_analysis::effects::{ObjectKind, SmolStr};
use cutover_analysis::schema::{Id, Schema};

use super::exists::is_there;
use super::{Check, Input};
use crate::catalog;
use crate::migration::{Migration, MigrationKind};
use crate::project::Project;
use crate::report::format::count;
use crate::run::Verdict;
use crate::verify::build;
use crate::verify::claim::Claim;
use crate::verify::measure::{Ctx, Measured, Measuring, Trouble, search_path};
use crate::verify::replay::Replay;

#[derive(Debug)]
struct Claims;

/// Claims are part of the stages, where a broken one is reported with its place.
pub(super) fn read(_: &mut Input<'_>) -> Box<dyn Check> {
    Box::new(Claims)
}

/// What is claimed of a migration, read.
struct Claimed {
    creates: Vec<Claim>,
    alters: Vec<Claim>,
    uses: Vec<Claim>,
}

impl Claimed {
    fn read(migration: &Migration) -> Result<Self, String> {
        let read =
            |texts: &[String]| texts.iter().map(|text| Claim::parse(text)).collect::<Result<Vec<_>, _>>();
        let claims = &migration.claims;
        Ok(Self { creates: read(&claims.creates)?, alters: read(&claims.alters)?, uses: read(&claims.uses)? })
    }
}

/// Whether the project says anything of a migration: one that no stage names claims nothing.
fn is_claimed(migration: &Migration) -> bool {
    let claims = &migration.claims;
    migration.stage.is_some()
        || !claims.creates.is_empty()
        || !claims.alters.is_empty()
        || !claims.uses.is_empty()
}

impl Check for Claims {
    fn describe(&self) -> (String, String) {
        (
            "objects before and after each migration, run one by one in a scratch database".to_owned(),
            "what is claimed, and nothing else".to_owned(),
        )
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let project = ctx.project;
            if !project.migrations.iter().any(is_claimed) {
                return Ok(vec![Measured::unknown("the project claims nothing of its migrations")]);
            }
            let mut replay = Replay::open(ctx).await?;
            let replayed = replay_all(&mut replay, project).await;
            replay.finish().await;
            let (mut answers, replayed) = replayed?;
            answers.push(live(ctx, &replayed).await?);
            answers.extend(design(project, &replayed));
            Ok(answers)
        })
    }
}

/// What running all migrations came to.
struct Replayed {
    /// By migration: what it created.
    created: Vec<BTreeSet<Id>>,
    /// What is there in the end.
    last: BTreeMap<Id, bool>,
    /// Some migration failed, so that what is missing proves nothing.
    failed: bool,
}

/// The objects that a migration's claims name.
fn named(migration: &Migration, there: &Schema) -> Vec<Id> {
    let Ok(claimed) = Claimed::read(migration) else { return Vec::new() };
    let is_named = |object: &Id| claimed.creates.iter().chain(&claimed.uses).any(|claim| claim.names(object));
    there.named().into_keys().filter(is_named).collect()
}

async fn replay_all(replay: &mut Replay, project: &Project) -> Result<(Vec<Measured>, Replayed), Trouble> {
    let mut before = replay.schema().await?;
    let mut runs = Vec::with_capacity(project.migrations.len());
    let mut created = Vec::with_capacity(project.migrations.len());
    for migration in &project.migrations {
        let start = Instant::now();
        // One that stands for others would make again what they make.
        let ran = match migration.kind {
            MigrationKind::Baseline => Ok(()),
            _ => replay.run(migration, &project.vars).await,
        };
        let after = replay.schema().await?;
        let change = steps(&before, &after);
        created.push(change.created.iter().map(|(object, _)| object.clone()).collect());
        // Of what was there before only what claims ask for is kept: all of it, for each migration, would be too much.
        let there = named(migration, &before);
        runs.push((ran, change, there, start.elapsed()));
        before = after;
    }
    let failed = runs.iter().any(|(ran, ..)| ran.is_err());
    let replayed = Replayed { created, last: before.named(), failed };
    let mut answers = Vec::new();
    for (index, (migration, (ran, change, there, elapsed))) in project.migrations.iter().zip(runs).enumerate()
    {
        if !is_claimed(migration) {
            continue;
        }
        let claimed = Claimed::read(migration).map_err(Trouble)?;
        let mut answer = match ran {
            Err(why) => Measured::unknown(format!("it cannot be run in the scratch database: {why}")),
            Ok(()) => compare(project, &replayed, index, &claimed, &change, &there),
        };
        if let Some(major) = replay.other_major {
            answer.found = format!("{} (measured on PostgreSQL {major})", answer.found);
        }
        answer.migration = Some(migration.id.clone());
        answer.elapsed = Some(elapsed);
        answers.push(answer.of(migration.file_name()).expecting(expected(migration)));
    }
    Ok((answers, replayed))
}

fn expected(migration: &Migration) -> String {
    let claims = &migration.claims;
    let part =
        |word: &str, list: &[String]| (!list.is_empty()).then(|| format!("{word} {}", list.join(", ")));
    let parts: Vec<String> =
        [part("creates", &claims.creates), part("alters", &claims.alters), part("uses", &claims.uses)]
            .into_iter()
            .flatten()
            .collect();
    if parts.is_empty() { "creates and alters nothing".to_owned() } else { parts.join("; ") }
}

/// One migration's claims against what it did.
fn compare(
    project: &Project,
    replayed: &Replayed,
    index: usize,
    claimed: &Claimed,
    change: &Steps,
    before: &[Id],
) -> Measured {
    let mut wrong = Vec::new();
    for claim in &claimed.creates {
        if !change.created.iter().any(|(object, _)| claim.names(object)) {
            wrong.push(not_created(project, replayed, index, claim, before));
        }
    }
    for object in own(&change.created) {
        if object.kind != ObjectKind::Column
            && !comes_with_table(object, change)
            && !claimed.creates.iter().any(|claim| claim.names(object))
        {
            wrong.push(format!("creates {object}, which is not claimed"));
        }
    }
    let touched = touched(change);
    for claim in &claimed.alters {
        if !touched.iter().any(|object| claim.names(object) || claim.names_table_of(object)) {
            wrong.push(format!("claims to alter {claim}, and does not"));
        }
    }
    for object in altered(change) {
        let claims = claimed.alters.iter().chain(&claimed.creates);
        let mut claims = claims.filter(|claim| claim.names(object) || claim.names_table_of(object));
        if claims.next().is_none() {
            let verb = if is_dropped(object, change) { "drops" } else { "alters" };
            wrong.push(format!("{verb} {object}, which is not claimed"));
        }
    }
    for claim in &claimed.uses {
        if !before.iter().any(|object| claim.names(object)) {
            wrong.push(format!("uses {claim}, which is not there before it"));
        }
    }
    if wrong.is_empty() { Measured::holds(done(change)) } else { Measured::wrong(wrong.join("; ")) }
}

fn not_created(project: &Project, replayed: &Replayed, index: usize, claim: &Claim, before: &[Id]) -> String {
    if before.iter().any(|object| claim.names(object)) {
        return format!("claims to create {claim}, which is there before it");
    }
    let other = replayed
        .created
        .iter()
        .enumerate()
        .find(|(other, created)| *other != index && created.iter().any(|object| claim.names(object)));
    match other {
        Some((other, _)) => {
            format!("claims to create {claim}, which {} creates", project.migrations[other].file_name())
        }
        None => format!("claims to create {claim}, which no file creates"),
    }
}

/// Objects of a table that the same migration creates come with it and need no claim.
fn comes_with_table(object: &Id, change: &Steps) -> bool {
    change.created.iter().any(|(whole, _)| is_whole_of(whole, object))
}

/// Whether an object is a part of another one: a column, key or trigger of a table, say.
fn is_whole_of(whole: &Id, object: &Id) -> bool {
    let kinds = [ObjectKind::Table, ObjectKind::ForeignTable, ObjectKind::View, ObjectKind::MaterializedView];
    object.table.as_ref() == Some(&whole.name) && kinds.contains(&whole.kind) && whole.schema == object.schema
}

fn is_dropped(object: &Id, change: &Steps) -> bool {
    change.dropped.iter().any(|(dropped, _)| dropped == object)
}

/// All objects that are different afterwards, but for those of tables made here: an `alters` claim must find one.
fn touched(change: &Steps) -> Vec<&Id> {
    let parts = change.created.iter().map(|(object, _)| object).filter(|object| object.table.is_some());
    let dropped = change.dropped.iter().map(|(object, _)| object);
    parts
        .chain(&change.altered)
        .chain(&change.along)
        .chain(dropped)
        .filter(|object| !comes_with_table(object, change))
        .collect()
}

/// What must be claimed as altered: everything changed or dropped, and new columns. A new constraint, index or trigger
/// is an object of its own and claimed as created. What comes or goes along with something else, as a dropped table, is not
/// named besides it.
fn altered(change: &Steps) -> Vec<&Id> {
    let columns = own(&change.created).filter(|object| object.kind == ObjectKind::Column);
    let went_along = |object: &Id| change.dropped.iter().any(|(whole, _)| is_whole_of(whole, object));
    columns
        .chain(&change.altered)
        .chain(own(&change.dropped).filter(|object| !went_along(object)))
        .filter(|object| !comes_with_table(object, change))
        .collect()
}

/// What did not come along with something else.
fn own(list: &[(Id, bool)]) -> impl Iterator<Item = &Id> {
    list.iter().filter(|(_, implied)| !implied).map(|(object, _)| object)
}

/// What a migration did, in words.
fn done(change: &Steps) -> String {
    let with_table = |object: &Id| comes_with_table(object, change);
    let made: Vec<String> = own(&change.created)
        .filter(|object| object.kind != ObjectKind::Column && !with_table(object))
        .map(ToString::to_string)
        .collect();
    let along = change
        .created
        .iter()
        .filter(|(object, _)| with_table(object) && object.kind != ObjectKind::Column)
        .count();
    let mut parts = Vec::new();
    if !made.is_empty() {
        let with = match along {
            0 => String::new(),
            along => format!(" and {} of its own", count(along, "object", "objects")),
        };
        parts.push(format!("creates {}{with}", made.join(", ")));
    }
    let tables: BTreeSet<String> = altered(change)
        .iter()
        .map(|object| match &object.table {
            Some(table) => format!("table {table}"),
            None => object.to_string(),
        })
        .collect();
    if !tables.is_empty() {
        parts.push(format!("changes {}", tables.into_iter().collect::<Vec<_>>().join(", ")));
    }
    if parts.is_empty() { "changes no object".to_owned() } else { parts.join("; ") }
}

/// Claimed objects of applied migrations, in the real database.
async fn live(ctx: &mut Ctx<'_>, replayed: &Replayed) -> Result<Measured, Trouble> {
    let wider = ctx.wider()?;
    let start = Instant::now();
    let path = search_path(ctx.session).await?;
    let live = catalog::schema(ctx.session, &[]).await?.named();
    let (mut missing, mut looked_for) = (Vec::new(), 0);
    let applied =
        ctx.project.migrations.iter().filter(|migration| wider.history.get(&migration.id).is_some());
    for migration in applied {
        for claim in Claimed::read(migration).map_err(Trouble)?.creates {
            // A later migration may have dropped it again; and what none creates is said above.
            if !replayed.failed && !replayed.last.keys().any(|object| claim.names(object)) {
                continue;
            }
            looked_for += 1;
            if !is_there(&claim, &live, &path) {
                missing.push(format!("{claim} ({})", migration.file_name()));
            }
        }
    }
    let mut answer = if looked_for == 0 {
        // Nothing was looked for: a tick would say more than was measured.
        let why = "no applied migration claims an object that the migrations create";
        Measured::new(Verdict::Skipped, why)
    } else if missing.is_empty() {
        let verb = if looked_for == 1 { "is" } else { "are" };
        Measured::holds(format!("{} {verb} there", count(looked_for, "object", "objects")))
    } else {
        Measured::wrong(format!("missing: {}", missing.join(", ")))
    };
    answer.elapsed = Some(start.elapsed());
    Ok(answer
        .of("in this database")
        .measuring("the catalogue, for each object claimed by an applied migration")
        .expecting("all are there"))
}

/// Tables of the design that no migration creates.
fn design(project: &Project, replayed: &Replayed) -> Option<Measured> {
    if project.design.ddl.is_empty() {
        return None;
    }
    let start = Instant::now();
    let answer = match build::read(project) {
        Err(why) => Measured::unknown(why),
        Ok(definitions) => {
            let created: BTreeSet<(&Option<SmolStr>, &str)> = replayed
                .created
                .iter()
                .flatten()
                .filter(|object| object.kind == ObjectKind::Table)
                .map(|object| (&object.schema, object.name.as_str()))
                .collect();
            let tables = definitions
                .iter()
                .flat_map(|definition| definition.tables().map(move |table| (definition, table)));
            let (mut missing, mut defined) = (Vec::new(), 0);
            for (definition, table) in tables {
                defined += 1;
                let found = created.iter().any(|(schema, name)| {
                    *name == table.name
                        && (table.schema.is_none() || schema.as_deref() == table.schema.as_deref())
                });
                if !found {
                    missing.push(format!("table {} ({})", table.name, definition.file));
                }
            }
            if missing.is_empty() {
                Measured::holds(format!("{}, each created by a migration", count(defined, "table", "tables")))
            } else if replayed.failed {
                Measured::unknown(format!(
                    "not created by the migrations that could be run: {}",
                    missing.join(", ")
                ))
            } else {
                Measured::wrong(format!("no migration creates {}", missing.join(", ")))
            }
        }
    };
    let mut answer = answer
        .of("tables of the design")
        .measuring("tables of the design against tables created by the migrations in the scratch database")
        .expecting("each is created by a migration");
    answer.elapsed = Some(start.elapsed());
    Some(answer)
}
