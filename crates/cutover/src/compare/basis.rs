//! What migrations make, built on a throwaway server to be held against a database that was made by other means: in which
//! ways that is not the same. Whoever asks says what follows from it.

use std::collections::BTreeSet;

use cutover_analysis::diff::{self, Attribute, Change, What};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Schema};
use cutover_postgres::session::Session;

use crate::catalog::{self, CatalogError};
use crate::migration::Migration;
use crate::project::Project;
use crate::verify::SandboxProvider;
use crate::verify::replay::{Likeness, Replay};

/// What files make, as PostgreSQL prints it.
#[derive(Debug)]
pub(crate) struct Basis {
    built: Schema,
    /// The same as a database has it that was dumped and restored: PostgreSQL spells some definitions otherwise once it has
    /// read its own spelling (`IN` over `varchar`). None where that cannot be told.
    respelt: Option<Schema>,
    /// The major version it was built by, where it is not the database's.
    other_major: Option<u32>,
}

/// In which ways a database is not what files make.
#[derive(Debug, Default)]
pub(crate) struct Departures {
    /// What is not as they make it: not there, otherwise, or there besides as a part of what they make.
    pub(crate) changes: Vec<Change>,
    /// What is there besides and belongs to nothing of theirs.
    pub(crate) besides: Vec<Change>,
}

impl Basis {
    /// Runs migrations in a scratch database and reads what that comes to. An error says in words why that cannot be done.
    pub(crate) async fn build(
        project: &Project,
        migrations: impl IntoIterator<Item = &Migration>,
        likeness: &Likeness,
        sandbox: &SandboxProvider,
    ) -> Result<Self, String> {
        let mut replay = Replay::open_like(likeness, sandbox).await.map_err(|why| why.0)?;
        let built = run(project, migrations, &mut replay).await;
        let other_major = replay.other_major;
        replay.finish().await;
        built.map(|(built, respelt)| Self { built, respelt, other_major })
    }

    /// What they make.
    pub(crate) fn built(&self) -> &Schema {
        &self.built
    }

    /// What is to be known where it was built by another version.
    pub(crate) fn remark(&self) -> Option<String> {
        self.other_major.map(|major| {
            format!(
                "what the files make was built by PostgreSQL {major}, which may spell a definition otherwise than this server; \
                 --pg-bin names the folder of its own programs"
            )
        })
    }

    /// Compares a database with it, both as far as `side` leaves them.
    pub(crate) fn departures(&self, live: Schema, side: impl Fn(Schema) -> Schema) -> Departures {
        let (live, built) = (side(live), side(self.built.clone()));
        let mut changes = diff::changes(&built, &live);
        if let Some(respelt) = self.respelt.as_ref().filter(|_| !changes.is_empty()) {
            let in_both: BTreeSet<Id> = diff::changes(&side(respelt.clone()), &live)
                .into_iter()
                .map(|change| change.object)
                .collect();
            changes.retain(|change| in_both.contains(&change.object));
        }
        let changes = changes.into_iter().filter_map(of_consequence);
        let is_besides =
            |change: &Change| change.what == What::Created && built.whole_of(&change.object).is_none();
        let (besides, changes) = changes.partition(is_besides);
        Departures { changes, besides }
    }
}

/// Without which version of an extension is there: that is for the installation to say.
fn of_consequence(change: Change) -> Option<Change> {
    let is_extension = change.object.kind == ObjectKind::Extension;
    change.without(|one: &Attribute| is_extension && one.name == "version")
}

async fn run(
    project: &Project,
    migrations: impl IntoIterator<Item = &Migration>,
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

/// Makes what has a definition that PostgreSQL prints anew from what it printed, as a restore does: checks, indexes with
/// expressions or conditions, views.
const RESPELL: &str = "DO $respell$
DECLARE one record;
BEGIN
  FOR one IN SELECT c.conrelid::regclass AS of, c.conname AS name, pg_get_constraintdef(c.oid) AS text
               FROM pg_constraint c WHERE c.contype = 'c' AND c.conrelid <> 0 AND c.oid >= 16384 AND c.coninhcount = 0 LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.of, one.name);
    EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s', one.of, one.name, one.text);
  END LOOP;
  FOR one IN SELECT c.contypid::regtype AS of, c.conname AS name, pg_get_constraintdef(c.oid) AS text
               FROM pg_constraint c WHERE c.contype = 'c' AND c.contypid <> 0 AND c.oid >= 16384 LOOP
    EXECUTE format('ALTER DOMAIN %s DROP CONSTRAINT %I', one.of, one.name);
    EXECUTE format('ALTER DOMAIN %s ADD CONSTRAINT %I %s', one.of, one.name, one.text);
  END LOOP;
  FOR one IN SELECT i.indexrelid::regclass AS name, pg_get_indexdef(i.indexrelid) AS text
               FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
              WHERE i.indexrelid >= 16384 AND c.relkind = 'i' AND NOT c.relispartition
                AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)
                AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid) LOOP
    EXECUTE format('DROP INDEX %s', one.name);
    EXECUTE one.text;
  END LOOP;
  FOR one IN SELECT c.oid::regclass AS name, pg_get_viewdef(c.oid) AS text,
                    coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') AS options
               FROM pg_class c WHERE c.relkind = 'v' AND c.oid >= 16384 LOOP
    EXECUTE format('CREATE OR REPLACE VIEW %s%s AS %s', one.name, one.options, one.text);
  END LOOP;
END $respell$";

/// Makes a scratch database what it looks like after a dump and a restore; says whether it is. It stays so.
async fn respell(session: &mut Session) -> bool {
    match session.execute(RESPELL).await {
        Ok(_) => true,
        Err(failure) => {
            tracing::debug!(%failure, "definitions are compared in one spelling alone");
            false
        }
    }
}
