//! What the migrations make, against what a database has: built on a throwaway server and compared part by part, or, where
//! none can be had, looked for by name and kind. It records nothing.

use std::collections::BTreeSet;

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use super::BaselineError;
use crate::catalog::{self, Departure, Object, Objects, Shape, Sides};
use crate::history::records::History;
use crate::migration::{Migration, MigrationKind};
use crate::project::Project;
use crate::report::format::count;
use crate::script::Script;
use crate::secrets::{Secrets, without_passwords};
use crate::verify::SandboxProvider;
use crate::verify::replay::{Likeness, Replay};

/// More objects that no file makes are not named one by one.
const NAMED: usize = 10;

/// What a database is compared with.
#[derive(Debug)]
pub(super) enum Basis {
    /// What the files make, built on another server.
    Built(Box<Built>),
    /// The names alone of what the files create, and why.
    Names(String),
}

/// What the files make.
#[derive(Debug)]
pub(super) struct Built {
    shape: Shape,
    /// The same as a database has it that was dumped and restored: PostgreSQL spells some definitions otherwise once it has
    /// read its own spelling (`IN` over `varchar`).
    respelt: Option<Shape>,
    /// The major version it was built by, where it is not the database's.
    other_major: Option<u32>,
}

/// What a comparison came to, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What the migrations make and is not there.
    pub(super) missing: Vec<String>,
    /// What is there otherwise than they make it.
    pub(super) differing: Vec<String>,
    /// What is there besides, of which nothing follows.
    pub(super) besides: Option<String>,
    /// How many tables, and other objects, of what is not applied yet were compared.
    pub(super) compared: (usize, usize),
}

impl Found {
    /// What was compared, how, and that it agrees; nothing where it does not, or there was nothing to compare.
    pub(super) fn agreement(&self, basis: &Basis) -> Option<String> {
        let (tables, others) = self.compared;
        let all_alike = self.missing.is_empty() && self.differing.is_empty();
        if !all_alike || tables + others == 0 {
            return None;
        }
        let with_parts = match (tables, basis) {
            (_, Basis::Names(_)) => "",
            (1, _) => " with its columns, constraints, indexes, triggers and policies",
            _ => " with their columns, constraints, indexes, triggers and policies",
        };
        let tables = (tables > 0).then(|| format!("{}{with_parts}", count(tables, "table", "tables")));
        let others = (others > 0).then(|| match tables {
            Some(_) => count(others, "other object", "other objects"),
            None => count(others, "object", "objects"),
        });
        let what = [tables, others].into_iter().flatten().collect::<Vec<_>>().join(" and ");
        Some(match basis {
            Basis::Built(_) => format!(
                "what the files make was built on a throwaway server and compared with the database: {what}, and all of it agrees"
            ),
            Basis::Names(_) => {
                format!("looked for by name and kind: {what} that the files create, and all is there")
            }
        })
    }
}

impl Basis {
    /// Builds what the files make. Why that cannot be done is no error: then names are looked at.
    pub(super) async fn build(
        project: &Project,
        scripts: &[Script],
        options: &ConnectOptions,
        sandbox: &SandboxProvider,
    ) -> Result<Self, BaselineError> {
        // With the search path that migrations begin with.
        let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
        let mut session = Session::connect(options, &startup).await?;
        let likeness = Likeness::of(&mut session).await?;
        session.close().await;
        let made = |role: &str| {
            let is_it = |object: &ObjectRef| object.kind == ObjectKind::Role && object.name == role;
            scripts.iter().any(|script| script.creates.iter().any(is_it))
        };
        let mut replay = match Replay::open_like(&likeness.without_roles(made), sandbox).await {
            Ok(replay) => replay,
            Err(why) => return Ok(Self::Names(why.0)),
        };
        let built = build(project, scripts.len(), &mut replay).await;
        let other_major = replay.other_major;
        replay.finish().await;
        Ok(match built {
            Ok((shape, respelt)) => Self::Built(Box::new(Built { shape, respelt, other_major })),
            Err(why) => Self::Names(hidden(&secrets(project, scripts), &why)),
        })
    }

    /// What is to be known of how it was compared.
    pub(super) fn remark(&self) -> Option<String> {
        match self {
            Self::Built(built) => built.other_major.map(|major| {
                format!(
                    "what the files make was built by PostgreSQL {major}, which may spell a definition otherwise than this \
                     server; --pg-bin names the folder of its own programs"
                )
            }),
            Self::Names(why) => Some(format!(
                "only whether the objects that the files create are there was looked at, by name and kind, not what they are: {why}"
            )),
        }
    }

    /// Compares a database with it. Of what applied migrations made nothing is said.
    pub(super) async fn compare(
        &self,
        project: &Project,
        scripts: &[Script],
        history: &History,
        session: &mut Session,
    ) -> Result<Found, BaselineError> {
        let files = Files { project, scripts, history };
        match self {
            Self::Names(_) => {
                let objects = catalog::objects(session, &[]).await?;
                Ok(files.by_name(&objects))
            }
            Self::Built(built) => Ok(files.departures(built, &catalog::shape(session, &[]).await?)),
        }
    }
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
pub(crate) async fn respell(session: &mut Session) -> bool {
    match session.execute(RESPELL).await {
        Ok(_) => true,
        Err(failure) => {
            tracing::debug!(%failure, "definitions are compared in one spelling alone");
            false
        }
    }
}

/// What the scratch database looks like then; nothing where that cannot be told.
async fn respelt(session: &mut Session) -> Option<Shape> {
    if !respell(session).await {
        return None;
    }
    catalog::shape(session, &[]).await.ok()
}

/// Runs the files in a scratch database and reads what that comes to, in both spellings.
async fn build(
    project: &Project,
    files: usize,
    replay: &mut Replay,
) -> Result<(Shape, Option<Shape>), String> {
    let stands_for_others = |migration: &&Migration| migration.kind == MigrationKind::Baseline;
    for migration in project.migrations.iter().take(files).filter(|one| !stands_for_others(one)) {
        let run = replay.run(migration, &project.vars).await;
        run.map_err(|why| format!("the files cannot be run on a throwaway server: {why}"))?;
    }
    let shape = catalog::shape(&mut replay.session, &[]).await;
    let shape = shape.map_err(|error| format!("what the files make cannot be read: {error}"))?;
    let respelt = respelt(&mut replay.session).await;
    Ok((shape, respelt))
}

fn secrets(project: &Project, scripts: &[Script]) -> Secrets {
    let mut secrets = Secrets::of(&project.vars);
    for script in scripts {
        secrets.learn_from(&script.passwords);
    }
    secrets.spare_objects(scripts);
    secrets
}

/// Definitions of either side may hold passwords.
fn hidden(secrets: &Secrets, text: &str) -> String {
    secrets.star(&without_passwords(text))
}

/// The migrations up to a version, with what is applied of them.
struct Files<'a> {
    project: &'a Project,
    scripts: &'a [Script],
    history: &'a History,
}

impl Files<'_> {
    fn departures(&self, built: &Built, live: &Shape) -> Found {
        const SIDES: Sides<'_> = Sides("the files", "the database");
        let secrets = secrets(self.project, self.scripts);
        let compared =
            built.shape.whole().filter(|object| self.maker(object).is_none_or(|by| self.is_new(by)));
        let mut found = Found {
            besides: besides(&built.shape.besides(live)),
            compared: counted(compared.map(|object| object.kind)),
            ..Found::default()
        };
        let mut departures = built.shape.departures(live, SIDES);
        if let Some(respelt) = built.respelt.as_ref().filter(|_| !departures.is_empty()) {
            let in_both: BTreeSet<Object> =
                respelt.departures(live, SIDES).into_iter().map(|one| one.object).collect();
            departures.retain(|one| in_both.contains(&one.object));
        }
        let mut departures: Vec<_> =
            departures.into_iter().map(|one| (self.maker(&one.object), one)).collect();
        departures.retain(|(by, _)| by.is_none_or(|index| self.is_new(index)));
        departures.sort_by_key(|(by, _)| by.unwrap_or(usize::MAX));
        for (by, Departure { object, otherwise }) in departures {
            let path = by.map(|index| self.project.migrations[index].path.as_str());
            match otherwise {
                None => found.missing.push(absent(path, &object.to_string())),
                Some(words) => {
                    let path = path.map(|path| format!("{path}: ")).unwrap_or_default();
                    found.differing.push(format!("{path}{}", hidden(&secrets, &words)));
                }
            }
        }
        found
    }

    fn is_new(&self, index: usize) -> bool {
        self.history.get(&self.project.migrations[index].id).is_none()
    }

    /// The last migration that says to make or change an object; for a part that none names, the one that made the whole.
    fn maker(&self, object: &Object) -> Option<usize> {
        let names = |one: &ObjectRef| is_it(one, object);
        let last = |which: &dyn Fn(&Script) -> bool| self.scripts.iter().rposition(which);
        let exactly = last(&|script| script.creates.iter().chain(&script.alters).any(names));
        exactly.or_else(|| {
            let table = object.table.as_ref()?;
            let whole = |made: &ObjectRef| {
                made.kind.family() == ObjectKind::Relation
                    && made.name == *table
                    && (made.schema.is_none() || made.schema.as_deref() == object.schema.as_deref())
            };
            last(&|script| script.creates.iter().any(whole))
        })
    }

    /// What the migrations that are not applied yet create, and no later one of them drops, and is not in the database.
    fn by_name(&self, objects: &Objects) -> Found {
        let mut made: Vec<(usize, &ObjectRef)> = Vec::new();
        for (index, script) in self.scripts.iter().enumerate() {
            let drops = &script.drops;
            made.retain(|(_, object)| !drops.iter().any(|dropped| takes_along(dropped, object)));
            let lasting = script.creates.iter().filter(|object| is_lasting(object));
            made.extend(lasting.map(|object| (index, object)));
        }
        made.retain(|(index, object)| self.is_new(*index) && catalog::is_read(object.kind));
        let whole = made.iter().filter(|(_, object)| object.table.is_none());
        let compared = counted(whole.map(|(_, object)| object.kind));
        let absent_ones = made.into_iter().filter(|(_, object)| !is_there(object, objects));
        let missing = absent_ones
            .map(|(index, object)| absent(Some(&self.project.migrations[index].path), &object.to_string()))
            .collect();
        Found { missing, compared, ..Found::default() }
    }
}

/// How many tables there are, and how many other objects.
fn counted(kinds: impl Iterator<Item = ObjectKind>) -> (usize, usize) {
    kinds.fold((0, 0), |(tables, others), kind| match kind {
        ObjectKind::Table | ObjectKind::ForeignTable => (tables + 1, others),
        _ => (tables, others + 1),
    })
}

fn absent(path: Option<&str>, object: &str) -> String {
    match path {
        Some(path) => format!("{path} creates {object}, which is not in the database"),
        None => format!("the files make {object}, which is not in the database"),
    }
}

/// What is in the schemas of the files and made by none of them.
fn besides(objects: &[Object]) -> Option<String> {
    let all: BTreeSet<String> = objects.iter().map(ToString::to_string).collect();
    let first: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    let more = match all.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" … and {more} more"),
    };
    (!all.is_empty()).then(|| {
        format!(
            "in the database and made by none of these files, {}: {}{more}",
            count(all.len(), "object", "objects"),
            first.join(", ")
        )
    })
}

fn is_lasting(object: &ObjectRef) -> bool {
    !object.is_temporary() && !object.name.is_empty()
}

/// Whether dropping one object takes the other one along.
fn takes_along(dropped: &ObjectRef, object: &ObjectRef) -> bool {
    let schema = dropped.schema.is_none() || object.schema.is_none() || dropped.schema == object.schema;
    let same = dropped.name == object.name
        && dropped.kind.family() == object.kind.family()
        && (dropped.table.is_none() || object.table.is_none() || dropped.table == object.table);
    let part = dropped.kind.family() == ObjectKind::Relation && object.table.as_ref() == Some(&dropped.name);
    let of_schema = dropped.kind == ObjectKind::Schema && object.schema.as_ref() == Some(&dropped.name);
    of_schema || schema && (same || part)
}

fn is_there(object: &ObjectRef, objects: &Objects) -> bool {
    objects.0.keys().any(|known| is_it(object, known))
}

/// Whether a name in a file means this object, as far as names without a schema tell.
fn is_it(named: &ObjectRef, object: &Object) -> bool {
    named.name == object.name
        && named.kind.family() == object.kind.family()
        && (named.schema.is_none() || named.schema.as_deref() == object.schema.as_deref())
        && (named.table.is_none()
            || object.table.is_none()
            || named.table.as_deref() == object.table.as_deref())
}
