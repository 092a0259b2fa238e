//! `design`: tables equal their definition in the design, the SQL files of `[design] ddl`. Key: `table`, one or a
//! list; without it, or with `all`, every table of the design.
//!
//! The design is built in a scratch database in the order its statements need, and each table is compared with the
//! real one, with all that is part of it: columns, defaults, constraints, indexes, triggers, policies, rules. Owners and
//! privileges are not compared, nor are comments where the design has none. Two things may differ:
//!
//! * An index that an applied migration without `source` creates: it was never cut from the design.
//! * What a migration that waits would settle. That is measured as well: the migrations are run in scratch databases,
//!   once the applied ones alone and once with those that wait. Only if the real table is as the applied ones leave
//!   it, and as designed once the others are in, the difference is explained; the answer is then skipped, with the
//!   names of the migrations that wait. Anything else is false.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cutover_analysis::diff::{self, Attribute, Change, What};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Schema};

use super::{Check, Input};
use crate::catalog;
use crate::compare;
use crate::history::records::History;
use crate::migration::Migration;
use crate::project::Project;
use crate::report::format::count;
use crate::run::Verdict;
use crate::script::Script;
use crate::verify::build::{self, Definition};
use crate::verify::claim::Claim;
use crate::verify::measure::{Ctx, Measured, Measuring, Trouble};
use crate::verify::replay::Replay;
use crate::verify::stages::waiting;

#[derive(Debug)]
struct Design {
    /// Tables to compare; empty means all.
    tables: Vec<Claim>,
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    let table = &mut *input.table;
    if input.project.design.ddl.is_empty() {
        let span = table.span_of("kind");
        table.report(
            &span,
            "the project has no design",
            Some("name its files: [design] ddl = [\"ddl/*.sql\"]".to_owned()),
        );
    }
    let mut tables = Vec::new();
    for name in table.take_strings("table") {
        if name.get_ref() == "all" {
            continue;
        }
        match Claim::parse(name.get_ref()) {
            Ok(claim) => tables.push(claim),
            Err(why) => table.report(&name.span(), why, None),
        }
    }
    Box::new(Design { tables })
}

/// What is compared, and what differences may be explained by.
struct Material<'a> {
    project: &'a Project,
    history: &'a History,
    definitions: Vec<Definition>,
    designed: Schema,
    live: Schema,
    /// PostgreSQL's major where the design was built, if it is not the database's.
    other_major: Option<u32>,
    /// Indexes of applied migrations that are not cut from the design.
    own_indexes: BTreeSet<String>,
}

impl Check for Design {
    fn describe(&self) -> (String, String) {
        (
            "the table as the design builds it in a scratch database, against the one in this database"
                .to_owned(),
            "no difference".to_owned(),
        )
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let start = Instant::now();
            let material = gather(ctx).await?;
            let mut answers = vec![material.built(start.elapsed())];
            let chosen: Vec<&Id> =
                tables(&material.designed).filter(|table| self.is_asked_for(table)).collect();
            if let Some(claim) =
                self.tables.iter().find(|claim| !tables(&material.designed).any(|table| claim.names(table)))
            {
                return Ok(vec![Measured::wrong(format!("the design has no {claim}"))]);
            }
            let mut open = Vec::new();
            let none = chosen.is_empty();
            let changes = diff::changes(&material.designed, &material.live);
            for table in chosen {
                let start = Instant::now();
                let differences = material.differences(table, &changes);
                if differences.is_empty() {
                    let mut answer = Measured::holds(material.summary(table)).of(table.name_sql());
                    answer.elapsed = Some(start.elapsed());
                    answers.push(answer);
                } else {
                    open.push((table.clone(), differences, start.elapsed()));
                }
            }
            if !open.is_empty() {
                let start = Instant::now();
                let explanations = Explanations::find(ctx, &material, &open).await;
                // What explains one explains all: its time is said once.
                let mut explaining = start.elapsed();
                for (table, differences, compared) in open {
                    let mut answer = explanations.answer(&material, &table, &differences);
                    answer.elapsed = Some(compared + std::mem::take(&mut explaining));
                    answers.push(answer);
                }
            }
            if none {
                answers.push(Measured::unknown("the design defines no table"));
            }
            Ok(answers)
        })
    }
}

impl Design {
    fn is_asked_for(&self, table: &Id) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|claim| claim.names(table))
    }
}

fn is_table(id: &Id) -> bool {
    matches!(id.kind, ObjectKind::Table | ObjectKind::ForeignTable)
}

fn tables(schema: &Schema) -> impl Iterator<Item = &Id> {
    schema.objects.keys().filter(|id| is_table(id))
}

async fn gather<'a>(ctx: &mut Ctx<'a>) -> Result<Material<'a>, Trouble> {
    let wider = ctx.wider()?;
    let definitions = build::read(ctx.project).map_err(Trouble)?;
    let mut scratch = Replay::open(ctx).await?;
    let other_major = scratch.other_major;
    let designed = match build::build(&mut scratch.session, &definitions).await {
        Ok(()) => catalog::schema(&mut scratch.session, &[]).await.map_err(Trouble::from),
        Err(why) => Err(Trouble(why)),
    };
    scratch.finish().await;
    let designed = designed?;
    let schemas: BTreeSet<String> =
        tables(&designed).filter_map(|table| table.schema.as_deref().map(str::to_owned)).collect();
    let live = if schemas.is_empty() {
        // With no schema named it would be all of them.
        Schema::empty(designed.server_version, designed.owner.clone())
    } else {
        catalog::schema(ctx.session, &schemas.into_iter().collect::<Vec<_>>()).await?
    };
    let own_indexes = own_indexes(ctx.project, wider.history);
    Ok(Material {
        project: ctx.project,
        history: wider.history,
        definitions,
        designed,
        live,
        other_major,
        own_indexes,
    })
}

/// Indexes that applied migrations without a source create, by claim or by their text.
fn own_indexes(project: &Project, history: &History) -> BTreeSet<String> {
    let mut indexes = BTreeSet::new();
    let applied =
        |migration: &&Migration| migration.claims.source.is_none() && history.get(&migration.id).is_some();
    for migration in project.migrations.iter().filter(applied) {
        let claims = migration.claims.creates.iter().filter_map(|text| Claim::parse(text).ok());
        indexes.extend(
            claims.filter(|claim| claim.kind() == ObjectKind::Index).map(|claim| claim.own_name().to_owned()),
        );
        let created = Script::analyse(migration, &project.vars).creates;
        indexes.extend(
            created
                .into_iter()
                .filter(|object| object.kind == ObjectKind::Index)
                .map(|object| object.name.into()),
        );
    }
    indexes
}

impl Material<'_> {
    /// What of the changes from the design to something else are a table's, without what may differ.
    fn differences(&self, table: &Id, changes: &[Change]) -> Vec<Change> {
        let of_table = |id: &Id| {
            // Its sequence is another object that is compared where it is made.
            let part = id.table.as_ref() == Some(&table.name) && id.kind != ObjectKind::Sequence;
            id.schema == table.schema && (part || is_table(id) && id.name == table.name)
        };
        let may_differ = |one: &Attribute| {
            Attribute::is_privilege(&one.name) || one.name == "comment" && one.from.is_none()
        };
        let own_index = |change: &Change| {
            let Change { object, what } = change;
            *what == What::Created
                && object.kind == ObjectKind::Index
                && self.own_indexes.contains(object.name.as_str())
        };
        let of_table = changes.iter().filter(|change| of_table(&change.object) && !own_index(change));
        of_table.filter_map(|change| change.clone().without(may_differ)).collect()
    }

    /// That the design can be built, and the time that took, which belongs to no table.
    fn built(&self, took: Duration) -> Measured {
        let files: BTreeSet<&str> =
            self.definitions.iter().map(|definition| definition.file.as_str()).collect();
        let found = format!(
            "{} of {}: {}{}",
            count(self.definitions.len(), "statement", "statements"),
            count(files.len(), "file", "files"),
            count(tables(&self.designed).count(), "table", "tables"),
            self.remark()
        );
        let mut answer = Measured::holds(found)
            .of("the design itself")
            .measuring("the statements of the design's files, run in a scratch database")
            .expecting("all run, in an order that gives each what it needs");
        answer.elapsed = Some(took);
        answer
    }

    fn summary(&self, table: &Id) -> String {
        let number = |kind| self.designed.parts_of(table).filter(|(id, _)| id.kind == kind).count();
        format!(
            "{}, {}, {}: no difference{}",
            count(number(ObjectKind::Column), "column", "columns"),
            count(number(ObjectKind::Constraint), "constraint", "constraints"),
            count(number(ObjectKind::Index), "index", "indexes"),
            self.remark(),
        )
    }

    /// Differences in words.
    fn words(&self, table: &Id, differences: &[Change]) -> String {
        let is_gone = |change: &Change| change.object == *table && change.what == What::Dropped;
        let is_there = |change: &Change| is_table(&change.object) && change.what == What::Created;
        let words = if differences.iter().any(is_gone) && !differences.iter().any(is_there) {
            "there is no such table".to_owned()
        } else {
            compare::not_as("the design makes it", &compare::told(differences).join("; "))
        };
        format!("{words}{}", self.remark())
    }

    fn remark(&self) -> String {
        self.other_major
            .map(|major| format!(" (the design was built by PostgreSQL {major})"))
            .unwrap_or_default()
    }

    /// Migrations that are not applied and say they are cut from the file that defines a table.
    fn waiting_for(&self, of: &Id) -> Vec<&Migration> {
        let defines = |definition: &&Definition| {
            definition.tables().any(|table| {
                table.name == of.name
                    && (table.schema.is_none() || table.schema.as_deref() == of.schema.as_deref())
            })
        };
        let files: BTreeSet<&str> =
            self.definitions.iter().filter(defines).map(|definition| definition.file.as_str()).collect();
        let cut_from = |migration: &&Migration| sources(migration).any(|source| files.contains(source));
        let waits = |migration: &&Migration| waiting(migration, self.history).is_some();
        self.project.migrations.iter().filter(cut_from).filter(waits).collect()
    }
}

/// The design files a migration is cut from.
fn sources(migration: &Migration) -> impl Iterator<Item = &str> {
    migration.claims.source.iter().flat_map(|list| list.split(", "))
}

/// What the migrations make of the tables, for differences that waiting ones may explain.
enum Explanations {
    /// No migration waits that could explain anything.
    None,
    /// It could not be measured, and why.
    Failed(String),
    /// What differs from the design as the applied migrations leave it, and as those that wait would.
    Replayed { applied: Vec<Change>, all: Vec<Change> },
}

impl Explanations {
    async fn find(ctx: &mut Ctx<'_>, material: &Material<'_>, open: &[(Id, Vec<Change>, Duration)]) -> Self {
        let waiting: Vec<&Migration> =
            open.iter().flat_map(|(table, ..)| material.waiting_for(table)).collect();
        if waiting.is_empty() {
            return Self::None;
        }
        let is_applied = |migration: &Migration| material.history.get(&migration.id).is_some();
        let would_be = |migration: &Migration| is_applied(migration) || migration.claims.source.is_some();
        let applied = replayed(ctx, material.project, is_applied).await;
        let all = replayed(ctx, material.project, would_be).await;
        match (applied, all) {
            (Ok(applied), Ok(all)) => Self::Replayed {
                applied: diff::changes(&material.designed, &applied),
                all: diff::changes(&material.designed, &all),
            },
            (Err(Trouble(why)), _) | (_, Err(Trouble(why))) => Self::Failed(why),
        }
    }

    fn answer(&self, material: &Material<'_>, table: &Id, differences: &[Change]) -> Measured {
        let found = material.words(table, differences);
        let waiting: Vec<String> = material
            .waiting_for(table)
            .into_iter()
            .filter_map(|migration| waiting(migration, material.history))
            .collect();
        let answer = match self {
            _ if waiting.is_empty() => Measured::wrong(found),
            Self::None => Measured::wrong(found),
            Self::Failed(why) => Measured::unknown(format!(
                "{found}; {}, and whether that explains it cannot be measured: {why}",
                waiting.join(", ")
            )),
            Self::Replayed { applied, all } => {
                let as_applied = material.differences(table, applied) == differences;
                let left = material.differences(table, all);
                if as_applied && left.is_empty() {
                    Measured::new(Verdict::Skipped, format!("{}: {found}", waiting.join(", ")))
                } else {
                    Measured::wrong(format!(
                        "{found} (and {}, which does not explain it)",
                        waiting.join(", ")
                    ))
                }
            }
        };
        answer.of(table.name_sql())
    }
}

/// What some of the migrations make in a scratch database.
async fn replayed(
    ctx: &mut Ctx<'_>,
    project: &Project,
    which: impl Fn(&Migration) -> bool,
) -> Result<Schema, Trouble> {
    let mut replay = Replay::open(ctx).await?;
    let mut outcome = Ok(());
    for migration in project.migrations.iter().filter(|migration| which(migration)) {
        outcome = replay.run(migration, &project.vars).await.map_err(Trouble);
        if outcome.is_err() {
            break;
        }
    }
    let made = match outcome {
        Ok(()) => catalog::schema(&mut replay.session, &[]).await.map_err(Trouble::from),
        Err(trouble) => Err(trouble),
    };
    replay.finish().await;
    made
}
