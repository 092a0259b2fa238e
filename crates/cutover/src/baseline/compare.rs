//! What the migrations make, against what a database has: built on a throwaway server and compared part by part, or, where
//! none can be had, looked for by name and kind. It records nothing.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::diff::{Attribute, Change, What};
use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::schema::{self, Id, Schema};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use super::BaselineError;
use crate::catalog;
use crate::compare::{self, Departures};
use crate::history::records::History;
use crate::migration::{Migration, MigrationKind};
use crate::project::Project;
use crate::report::format::count;
use crate::script::Script;
use crate::secrets::{Secrets, without_passwords};
use crate::verify::SandboxProvider;
use crate::verify::replay::Likeness;

/// More objects that no file makes are not named one by one.
const NAMED: usize = 10;

/// What a database is compared with.
#[derive(Debug)]
pub(super) enum Basis {
    /// What the files make, built on another server.
    Built(Box<compare::Basis>),
    /// The names alone of what the files create, and why.
    Names(String),
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
        let stands_for_others = |migration: &&Migration| migration.kind == MigrationKind::Baseline;
        let migrations = project.migrations.iter().take(scripts.len()).filter(|one| !stands_for_others(one));
        let likeness = likeness.without_roles(made);
        Ok(match compare::Basis::build(project, migrations, &likeness, sandbox).await {
            Ok(built) => Self::Built(Box::new(built)),
            Err(why) => Self::Names(hidden(&secrets(project, scripts), &why)),
        })
    }

    /// What is to be known of how it was compared.
    pub(super) fn remark(&self) -> Option<String> {
        match self {
            Self::Built(built) => built.remark(),
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
        let live = catalog::schema(session, &[]).await?;
        Ok(match self {
            Self::Names(_) => files.by_name(&live.named()),
            Self::Built(built) => files.departures(built, live),
        })
    }
}

/// A schema without what a baseline does not compare: who owns what, who may do what, and what is said of it.
fn structure(mut schema: Schema) -> Schema {
    schema.objects.retain(|id, object| {
        object.attributes.retain(|name, _| name != "comment" && !Attribute::is_privilege(name));
        // Of columns of views there is often nothing else.
        let is_empty = id.kind == ObjectKind::Column && object.attributes.is_empty();
        id.kind != ObjectKind::DefaultPrivileges && !is_empty
    });
    schema
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
    fn departures(&self, basis: &compare::Basis, live: Schema) -> Found {
        let secrets = secrets(self.project, self.scripts);
        let built = structure(basis.built().clone());
        let there = live.named();
        let Departures { changes, besides: others } = basis.departures(live, structure);
        let whole = built.objects.keys().filter(|id| id.table.is_none() && id.kind != ObjectKind::Schema);
        let compared = whole.filter(|id| self.maker(&built, id).is_none_or(|by| self.is_new(by)));
        let mut found = Found {
            besides: besides(&built, &others, &there),
            compared: counted(compared.map(|id| id.kind)),
            ..Found::default()
        };
        let missed_with_others = missed_with_others(&built, &changes);
        let mut told: Vec<(Option<usize>, &Change, String)> = compare::told_each(&changes)
            .into_iter()
            .filter(|(change, _)| !missed_with_others.contains(&change.object))
            .map(|(change, words)| (self.maker(&built, &change.object), change, words))
            .collect();
        told.retain(|(by, ..)| by.is_none_or(|index| self.is_new(index)));
        told.sort_by_key(|(by, ..)| by.unwrap_or(usize::MAX));
        for (by, change, words) in told {
            let path = by.map(|index| self.project.migrations[index].path.as_str());
            if change.what == What::Dropped {
                found.missing.push(absent(path, &change.object.to_string()));
            } else {
                let path = path.map(|path| format!("{path}: ")).unwrap_or_default();
                let words = compare::not_as("the files make it", &words);
                found.differing.push(format!("{path}{}", hidden(&secrets, &words)));
            }
        }
        found
    }

    fn is_new(&self, index: usize) -> bool {
        self.history.get(&self.project.migrations[index].id).is_none()
    }

    /// The last migration that says to make or change an object; for a part that none names, the one that made the whole.
    fn maker(&self, built: &Schema, object: &Id) -> Option<usize> {
        let object = built.named_by(object).unwrap_or_else(|| object.clone());
        let names = |one: &ObjectRef| is_it(one, &object);
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
    fn by_name(&self, objects: &BTreeMap<Id, bool>) -> Found {
        let mut made: Vec<(usize, &ObjectRef)> = Vec::new();
        for (index, script) in self.scripts.iter().enumerate() {
            let drops = &script.drops;
            made.retain(|(_, object)| !drops.iter().any(|dropped| takes_along(dropped, object)));
            let lasting = script.creates.iter().filter(|object| is_lasting(object));
            made.extend(lasting.map(|object| (index, object)));
        }
        made.retain(|(index, object)| self.is_new(*index) && is_read(object.kind));
        let whole = made.iter().filter(|(_, object)| object.table.is_none());
        let compared = counted(whole.map(|(_, object)| object.kind));
        let absent_ones = made.into_iter().filter(|(_, object)| !is_there(object, objects));
        let missing = absent_ones
            .map(|(index, object)| absent(Some(&self.project.migrations[index].path), &object.to_string()))
            .collect();
        Found { missing, compared, ..Found::default() }
    }
}

/// What is not there and goes without saying where that is said of something else: what comes along with that, and the sequence
/// of a column with its table.
fn missed_with_others(built: &Schema, changes: &[Change]) -> BTreeSet<Id> {
    let named = built.named();
    let gone: BTreeSet<&Id> =
        changes.iter().filter(|change| change.what == What::Dropped).map(|change| &change.object).collect();
    let goes_along = |id: &Id| {
        let Some(name) = built.named_by(id) else { return false };
        let along = id.kind != ObjectKind::Sequence && named.get(&name).is_some_and(|implied| *implied);
        along || built.whole_of(&name).is_some_and(|whole| gone.contains(&whole))
    };
    gone.iter().filter(|id| goes_along(id)).map(|id| (*id).clone()).collect()
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

/// What is in the schemas that the files make things in, and made by none of them.
fn besides(built: &Schema, others: &[Change], there: &BTreeMap<Id, bool>) -> Option<String> {
    let is_ours = |id: &Id| {
        let namespace = id.schema.as_ref().map(|name| Id::global(ObjectKind::Schema, name.clone()));
        namespace.is_some_and(|namespace| built.get(&namespace).is_some())
    };
    // A sequence of a column is known with its table.
    let whole = others
        .iter()
        .map(|change| &change.object)
        .filter(|id| id.table.is_none() && is_ours(id) && there.get(*id).is_some_and(|implied| !implied));
    let all: BTreeSet<String> = whole.map(ToString::to_string).collect();
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

fn is_there(object: &ObjectRef, objects: &BTreeMap<Id, bool>) -> bool {
    objects.keys().any(|known| is_it(object, known))
}

/// Whether what a file calls an object of that kind can be found in a schema: casts and the like are called by names of types
/// and roles, for which there are several spellings.
fn is_read(kind: ObjectKind) -> bool {
    let several = [ObjectKind::Cast, ObjectKind::Transform, ObjectKind::UserMapping];
    let mut kinds = schema::words().filter_map(schema::by_word);
    !several.contains(&kind) && kinds.any(|known| known.family() == kind.family())
}

/// Whether a script makes, changes or drops an object, or what it belongs to.
pub(super) fn touches(script: &Script, schema: &Schema, id: &Id) -> bool {
    let named = schema.named_by(id).unwrap_or_else(|| id.clone());
    let whole = schema.whole_of(id);
    let all = script.creates.iter().chain(&script.alters).chain(&script.drops);
    all.into_iter().any(|one| is_it(one, &named))
        || whole.is_some_and(|whole| script.creates.iter().any(|one| is_it(one, &whole)))
}

/// Whether a name in a file means this object, as far as names without a schema tell.
fn is_it(named: &ObjectRef, object: &Id) -> bool {
    named.name == object.name
        && named.kind.family() == object.kind.family()
        && (named.schema.is_none() || named.schema.as_deref() == object.schema.as_deref())
        && (named.table.is_none()
            || object.table.is_none()
            || named.table.as_deref() == object.table.as_deref())
}
