//! Building models on a throwaway server: the schema that they mean, and what of them the server refuses.

use std::collections::BTreeSet;

use cutover_analysis::effects::{ObjectKind, server_wide};
use cutover_analysis::models::{Aspect, Models, Place, ddl};
use cutover_analysis::schema::{Id, Schema};
use cutover_analysis::sql;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};

use super::model::NotCompared;
use super::{AlignError, compare, said};
use crate::compare::likeness;
use crate::verify::SandboxProvider;
use crate::verify::failure_text;
use crate::verify::replay::Replay;

/// What models have been built into.
pub(super) struct Built {
    /// The models, with the tables that are said in statements alone.
    pub(super) models: Models,
    pub(super) schema: Schema,
    pub(super) default_schema: String,
    /// Statements that the server has refused.
    pub(super) refused: Vec<NotCompared>,
    /// Tables that one of them is about.
    pub(super) unbuilt: BTreeSet<Id>,
    /// What of which tables one of them is about besides: it may be what is there.
    pub(super) refused_parts: BTreeSet<(Id, Aspect)>,
}

/// Builds models on a throwaway server, as like what is there as matters to them.
pub(super) async fn build(
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
    let statements = models.statements.iter().cloned();
    for part in statements.chain(ddl(models).parts) {
        let why = match sql::parse(&part.sql) {
            Err(error) => Some(error.to_string()),
            Ok(parsed) if server_wide(&parsed).is_some() => {
                Some("it is of the whole server, and not run".to_owned())
            }
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
            if let Some((table, aspect)) = table {
                refused_parts.insert((compare::id_of(table, &default_schema), aspect));
            } else {
                let table = table_at(models, &part.place);
                unbuilt.extend(table.map(|table| compare::id_of(table, &default_schema)));
            }
            let first = part.sql.lines().next().unwrap_or_default();
            let what = format!("the server refuses what it comes to, `{first} …`: {why}");
            refused.push(NotCompared { path: part.place.path, line: part.place.line, what });
        }
    }
    let schema = replay.schema().await?;
    let mut models = models.clone();
    said::add(&mut models, &schema);
    // What could not be made at all has no table to be compared with.
    unbuilt.retain(|id: &Id| schema.get(id).is_none());
    Ok(Built { models, schema, default_schema, refused, unbuilt, refused_parts })
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
