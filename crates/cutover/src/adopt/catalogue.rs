//! Whether a database is what the adopted files make: built on a throwaway server and compared. It changes nothing of
//! anybody's.

use std::collections::BTreeSet;

use cutover_analysis::diff::{self, Change, What};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Schema};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use super::AdoptError;
use super::tables::TablePlace;
use crate::baseline::respell;
use crate::catalog::{self, CatalogError};
use crate::compare::{self, drift};
use crate::migration::Migration;
use crate::project::Project;
use crate::verify::SandboxProvider;
use crate::verify::replay::{Likeness, Replay};

/// What files make, as PostgreSQL prints it.
#[derive(Debug)]
pub(super) struct Basis {
    built: Schema,
    /// The same after a dump and a restore, where that can be told: some definitions are spelt otherwise then.
    respelt: Option<Schema>,
    /// The schemas that the files touch; all, where that is not known.
    scope: Vec<String>,
    /// The major version that built it, where it is not the database's.
    pub(super) other_major: Option<u32>,
}

/// What a comparison came to, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What is not as the files make it.
    pub(super) differing: Vec<String>,
    /// Who may do what, or owns what, otherwise than the files say.
    pub(super) privileges: Vec<String>,
    /// What is there and made by none of them.
    pub(super) besides: Vec<String>,
    /// How many objects were compared.
    pub(super) compared: usize,
}

impl Basis {
    /// Builds what these migrations make. Why that cannot be done is no error, but a word for people.
    ///
    /// # Errors
    /// As the server says.
    pub(super) async fn build(
        project: &Project,
        place: &TablePlace,
        migrations: &[&Migration],
        options: &ConnectOptions,
        sandbox: &SandboxProvider,
    ) -> Result<Result<Self, String>, AdoptError> {
        let scope = drift::touched(project, migrations, options).await?;
        let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
        let mut session = Session::connect(options, &startup).await?;
        let likeness = Likeness::of(&mut session).await;
        session.close().await;
        let likeness = likeness?.with_table(place.clone());
        let mut replay = match Replay::open_like(&likeness, sandbox).await {
            Ok(replay) => replay,
            Err(why) => return Ok(Err(why.0)),
        };
        let built = build(project, migrations, &mut replay).await;
        let other_major = replay.other_major;
        replay.finish().await;
        Ok(built.map(|(built, respelt)| Self { built, respelt, scope, other_major }))
    }

    /// Compares a database with it. What is the other tool's is on neither side.
    pub(super) fn compare(&self, live: &Schema, place: &TablePlace) -> Found {
        let side = |schema: &Schema| {
            let mut schema = drift::within(schema.clone(), &self.scope);
            place.take_from(&mut schema);
            schema
        };
        let (live, built) = (side(live), side(&self.built));
        let mut changes = diff::changes(&built, &live);
        if let Some(respelt) = self.respelt.as_ref().filter(|_| !changes.is_empty()) {
            let in_both: BTreeSet<Id> =
                diff::changes(&side(respelt), &live).into_iter().map(|change| change.object).collect();
            changes.retain(|change| in_both.contains(&change.object));
        }
        let (besides, changes): (Vec<Change>, Vec<Change>) =
            changes.into_iter().partition(|change| change.what == What::Created && is_apart(change, &built));
        let (privileges, differing): (Vec<Change>, Vec<Change>) =
            changes.into_iter().partition(is_of_privileges);
        Found {
            differing: compare::told(&differing),
            privileges: compare::told(&privileges),
            besides: compare::told(&besides),
            compared: built.objects.keys().filter(|id| id.table.is_none()).count(),
        }
    }
}

/// Whether it is only about who may do what, or owns what: that is often another matter in each database.
fn is_of_privileges(change: &Change) -> bool {
    let of_privileges = |name: &str| matches!(name, "grants" | "revoked" | "owner");
    change.object.kind == ObjectKind::DefaultPrivileges
        || matches!(&change.what, What::Altered { attributes } if attributes.iter().all(|one| of_privileges(&one.name)))
}

/// Whether it is, or belongs to, something that no file makes.
fn is_apart(change: &Change, built: &Schema) -> bool {
    let (Some(schema), Some(table)) = (&change.object.schema, &change.object.table) else { return true };
    let kinds = [ObjectKind::Table, ObjectKind::ForeignTable, ObjectKind::View, ObjectKind::MaterializedView];
    !kinds.iter().any(|kind| built.get(&Id::new(*kind, schema.clone(), table.clone())).is_some())
}

async fn build(
    project: &Project,
    migrations: &[&Migration],
    replay: &mut Replay,
) -> Result<(Schema, Option<Schema>), String> {
    for migration in migrations {
        let run = replay.run(migration, &project.vars).await;
        run.map_err(|why| format!("the files cannot be run on a throwaway server: {why}"))?;
    }
    let read = |error: CatalogError| format!("what the files make cannot be read: {error}");
    let built = catalog::schema(&mut replay.session, &[]).await.map_err(read)?;
    let respelt = if respell(&mut replay.session).await {
        catalog::schema(&mut replay.session, &[]).await.ok()
    } else {
        None
    };
    Ok((built, respelt))
}
