//! Models of an application against what is there: a database, or what migrations make.
//!
//! Models become SQL, which PostgreSQL builds on a throwaway server; both sides are then read from catalogues, so that types,
//! defaults and checks are compared as PostgreSQL itself writes them. What a model cannot say, or leaves open, is not compared and
//! never called equal. Nothing is changed here, and models are not read: `cutover-models` does that.

mod compare;
mod decide;
mod model;
mod parts;
mod proof;
#[cfg(test)]
mod tests;
mod text;
mod wanted;
mod write;
#[cfg(test)]
mod write_tests;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::models::{Aspect, Models, Place, ddl};
use cutover_analysis::schema::{Id, Schema};
use cutover_analysis::sql;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};
use thiserror::Error;

pub use decide::{Decisions, Fill, Undecided, what};
pub use model::{
    AlignedTable, Alignment, CODES, Difference, FORMAT_VERSION, ModelsSettings, NotCompared, Severity,
    Subject,
};
pub use text::lines;
pub use write::{GenerateError, Generated, generate};

use crate::catalog::CatalogError;
use crate::compare::{Side, SideError, likeness};
use crate::verify::SandboxProvider;
use crate::verify::failure_text;
use crate::verify::replay::Replay;

/// Why models are held against nothing.
#[derive(Debug, Error)]
pub enum AlignError {
    /// What is there cannot be read, or built.
    #[error(transparent)]
    There(#[from] SideError),
    /// There is no throwaway server to build the models on.
    #[error("the models cannot be built on a throwaway server: {0}")]
    NoSandbox(String),
    /// What was built cannot be read.
    #[error("what the models have been built into cannot be read: {0}")]
    Read(#[from] CatalogError),
    /// The connection to the throwaway server failed.
    #[error("the throwaway server: {0}")]
    Lost(Failure),
}

/// Holds models against a schema. `like`: the database whose version, roles, search path and extensions the throwaway one is to have.
/// `keep`: what is meant to be there without a model, as `--keep` names it; it is no difference.
///
/// # Errors
/// See [`AlignError`]. What models say otherwise is no error: it is in the result.
pub async fn align(
    models: &Models,
    there: Side,
    keep: &[String],
    like: Option<&ConnectOptions>,
    sandbox: &SandboxProvider,
) -> Result<Alignment, AlignError> {
    let began = Instant::now();
    let against = there.to_string();
    let schemas: Vec<String> = Vec::new();
    // Large: it is not for the stack of whoever waits for it.
    let there = Box::pin(there.read(&schemas, like, sandbox)).await?;
    let built = Box::pin(build(models, &against, &there.schema, like, sandbox)).await?;
    let mut alignment = hold(models, &built, &there.schema, keep);
    alignment.against = against;
    alignment.remarks = there.remarks;
    alignment.took = began.elapsed();
    Ok(alignment)
}

/// Holds what models have been built into against a schema.
fn hold(models: &Models, built: &Built, there: &Schema, keep: &[String]) -> Alignment {
    let sides = compare::Sides {
        models,
        expected: &built.schema,
        there,
        default_schema: &built.default_schema,
        unbuilt: &built.unbuilt,
        refused_parts: &built.refused_parts,
    };
    let mut compared = compare::compare(&sides);
    let mut not_compared: Vec<NotCompared> = models
        .unsupported
        .iter()
        .map(|one| NotCompared { path: one.place.path.clone(), line: one.place.line, what: one.what.clone() })
        .collect();
    not_compared.extend(built.refused.iter().cloned());
    not_compared.append(&mut compared.open);
    let mut kept = Vec::new();
    compared.differences.retain(|difference| {
        let meant = decide::only_there(difference).filter(|object| decide::is_meant(object, keep));
        kept.extend(meant.map(decide::drop_name));
        meant.is_none()
    });
    for table in &mut compared.tables {
        table.differences =
            compared.differences.iter().filter(|difference| difference.table == table.name).count();
    }
    Alignment {
        format_version: FORMAT_VERSION,
        against: String::new(),
        tables: compared.tables,
        differences: compared.differences,
        not_compared,
        beyond: compared.beyond,
        kept,
        remarks: Vec::new(),
        took: Duration::ZERO,
    }
}

/// What models have been built into.
struct Built {
    schema: Schema,
    default_schema: String,
    /// Statements that the server has refused.
    refused: Vec<NotCompared>,
    /// Tables that one of them is about.
    unbuilt: BTreeSet<Id>,
    /// What of which tables one of them is about besides: it may be what is there.
    refused_parts: BTreeSet<(Id, Aspect)>,
}

async fn build(
    models: &Models,
    against: &str,
    there: &Schema,
    like: Option<&ConnectOptions>,
    sandbox: &SandboxProvider,
) -> Result<Built, AlignError> {
    let likeness = likeness(against, like).await?.of_major(there.server_version / 10_000);
    let mut replay =
        Replay::open_like(&likeness, sandbox).await.map_err(|trouble| AlignError::NoSandbox(trouble.0))?;
    let done = run(models, there, &mut replay).await;
    replay.finish().await;
    done
}

async fn run(models: &Models, there: &Schema, replay: &mut Replay) -> Result<Built, AlignError> {
    let session = &mut replay.session;
    extensions(there, session).await?;
    let path = session.query_text("SELECT pg_catalog.current_schema()").await.map_err(AlignError::Lost)?;
    let default_schema = path.scalar().unwrap_or("public").to_owned();
    let (mut refused, mut unbuilt, mut refused_parts) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for part in ddl(models).parts {
        let why = match sql::parse(&part.sql) {
            Err(error) => Some(error.to_string()),
            // A model that says more than one statement in the place of an expression is not obeyed.
            Ok(parsed) if parsed.statement_count() != 1 => Some("it is not one statement".to_owned()),
            Ok(_) => match session.execute(&part.sql).await {
                Ok(_) => None,
                Err(failure @ Failure::Lost(_)) => return Err(AlignError::Lost(failure)),
                Err(failure) => Some(failure_text(&failure)),
            },
        };
        if let Some(why) = why {
            let table = part.part_of.and_then(|(at, aspect)| Some((models.tables.get(at)?, aspect)));
            match table {
                Some((table, aspect)) => {
                    drop(refused_parts.insert((compare::id_of(table, &default_schema), aspect)))
                }
                None => unbuilt.extend(
                    table_at(models, &part.place).map(|table| compare::id_of(table, &default_schema)),
                ),
            }
            let first = part.sql.lines().next().unwrap_or_default();
            let what = format!("the server refuses what it comes to, `{first} …`: {why}");
            refused.push(NotCompared { path: part.place.path, line: part.place.line, what });
        }
    }
    let schema = replay.schema().await?;
    // What could not be made at all has no table to be compared with.
    unbuilt.retain(|id: &Id| schema.get(id).is_none());
    Ok(Built { schema, default_schema, refused, unbuilt, refused_parts })
}

/// The extensions that are there: types of models may be theirs.
async fn extensions(there: &Schema, session: &mut Session) -> Result<(), AlignError> {
    for (id, object) in there.objects.iter().filter(|(id, _)| id.kind == ObjectKind::Extension) {
        let schema = object.text("schema").unwrap_or("public");
        let (name, schema) = (sql::quote_ident(&id.name), sql::quote_ident(schema));
        let text = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE EXTENSION IF NOT EXISTS {name} SCHEMA {schema} CASCADE"
        );
        // One that the throwaway server has not is missed where a type needs it.
        if let Err(failure @ Failure::Lost(_)) = session.execute(&text).await {
            return Err(AlignError::Lost(failure));
        }
    }
    Ok(())
}

/// The table that says something at a place: that whose class begins last before it.
fn table_at<'a>(models: &'a Models, place: &Place) -> Option<&'a cutover_analysis::models::Table> {
    let before =
        models.tables.iter().filter(|table| table.place.path == place.path && table.place.line <= place.line);
    before.max_by_key(|table| table.place.line)
}
