//! What undoes a migration that has just run on a throwaway server: what only has another name or is in another schema is given the old
//! one, with all that is in it, and the rest is made by statements.

use std::collections::BTreeSet;

use cutover_analysis::diff::{Diff, Options, diff_with_renamed_values};
use cutover_analysis::effects::{ObjectKind, SmolStr, renamed_values};
use cutover_analysis::schema::{Id, Schema, Sql};
use cutover_analysis::sql::{parse, quote_ident};
use cutover_postgres::session::{Failure, Session};

use super::names::Names;
use crate::compare::rename::in_order;
use crate::migration::Migration;
use crate::project::Project;
use crate::script::{Script, ScriptItem};

/// A throwaway database in which it is found out.
pub(crate) trait Place {
    /// Why it cannot be.
    type Error: From<Failure>;

    /// Who runs statements there.
    fn session(&mut self) -> &mut Session;

    /// What is there by now, with its names.
    async fn what_is_there(&mut self) -> Result<(Schema, Names), Self::Error>;
}

/// What undoes a migration.
pub(crate) struct Undone {
    /// All statements; changes and what is left over without what only has another name.
    pub(crate) found: Diff,
    /// What the changes begin with, where something was given its old name.
    pub(crate) from: Option<(Schema, Names)>,
}

/// Finds out what leads back from what is there `after` a migration, which is what is there now, to what was `before`.
pub(crate) async fn undone<P: Place>(
    place: &mut P,
    project: &Project,
    migration: &Migration,
    (before, names_before): (&Schema, &Names),
    (after, names_after): (&Schema, &Names),
) -> Result<Undone, P::Error> {
    let given_back = with_old_names(place, (after, names_after), names_before).await?;
    let (renames, from) = match given_back {
        Some((renames, from, names)) => (renames, Some((from, names))),
        None => (Vec::new(), None),
    };
    let mut found = diff_with_renamed_values(
        from.as_ref().map_or(after, |(from, _)| from),
        before,
        Options { safe: false },
        &values_renamed(project, migration),
    );
    found.statements.splice(0..0, renames.into_iter().map(Sql::plain));
    Ok(Undone { found, from })
}

/// What is there when things are in the schemas and have the names again that they were in and had before a migration, and the
/// statements for that; nothing where there is nothing to do or it cannot be done. All is given back.
async fn with_old_names<P: Place>(
    place: &mut P,
    (after, names_after): (&Schema, &Names),
    before: &Names,
) -> Result<Option<(Vec<String>, Schema, Names)>, P::Error> {
    let mut done: Vec<Step> = Vec::new();
    let mut now: Option<(Schema, Names)> = None;
    for sequences in [false, true] {
        let (schema, names) = now.as_ref().map_or((after, names_after), |(schema, names)| (schema, names));
        let steps = steps_of_moves(schema, &names.moved(before, schema, sequences));
        if steps.is_empty() {
            continue;
        }
        if taken(place, &steps).await? {
            done.extend(steps);
            now = Some(place.what_is_there().await?);
        } else {
            given_back(place, &mut done).await?;
            now = None;
            break;
        }
    }
    let (schema, names) = now.as_ref().map_or((after, names_after), |(schema, names)| (schema, names));
    let renames = names.back_to(before, schema);
    if let Ok(renames) = in_order(schema, &renames)
        && !renames.is_empty()
    {
        let steps: Vec<Step> =
            renames.iter().map(|rename| Step(rename.sql(), rename.undone().sql())).collect();
        if taken(place, &steps).await? {
            done.extend(steps);
            now = Some(place.what_is_there().await?);
        }
    }
    let texts = done.iter().map(|Step(text, _)| text.clone()).collect();
    given_back(place, &mut done).await?;
    Ok(now.map(|(schema, names)| (texts, schema, names)))
}

/// Takes all steps, or none.
async fn taken<P: Place>(place: &mut P, steps: &[Step]) -> Result<bool, P::Error> {
    let session = place.session();
    let texts: Vec<&str> = steps.iter().map(|Step(text, _)| text.as_str()).collect();
    match session.execute(&format!("BEGIN; {}; COMMIT", texts.join("; "))).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.code().is_some() => {
            session.execute("ROLLBACK").await?;
            Ok(false)
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Undoes steps that were taken.
async fn given_back<P: Place>(place: &mut P, done: &mut Vec<Step>) -> Result<(), P::Error> {
    let texts: Vec<String> = done.drain(..).rev().map(|Step(_, undone)| undone).collect();
    if !texts.is_empty() {
        place.session().execute(&format!("BEGIN; {}; COMMIT", texts.join("; "))).await?;
    }
    Ok(())
}

/// A statement, and what undoes it.
struct Step(String, String);

/// What brings things into the schemas that they were in; one that is not there any more is made.
fn steps_of_moves(schema: &Schema, moves: &[(Id, SmolStr)]) -> Vec<Step> {
    let names: BTreeSet<&SmolStr> = moves.iter().map(|(_, to)| to).collect();
    let is_there = |name: &SmolStr| {
        name == "public" || schema.objects.contains_key(&Id::global(ObjectKind::Schema, name.clone()))
    };
    let missing = names.into_iter().filter(|name| !is_there(name)).map(|name| quote_ident(name));
    let mut steps: Vec<Step> =
        missing.map(|name| Step(format!("CREATE SCHEMA {name}"), format!("DROP SCHEMA {name}"))).collect();
    steps.extend(moves.iter().map(|(id, to)| {
        let word = id.kind.word().to_uppercase();
        let there = Id { schema: Some(to.clone()), ..id.clone() };
        let back = quote_ident(id.schema.as_deref().unwrap_or_default());
        Step(
            format!("ALTER {word} {} SET SCHEMA {}", id.name_sql(), quote_ident(to)),
            format!("ALTER {word} {} SET SCHEMA {back}", there.name_sql()),
        )
    }));
    steps
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
