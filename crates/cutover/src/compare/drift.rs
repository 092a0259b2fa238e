//! Whether a database is still what the last run left: what somebody changed since, by hand or with another tool.

use std::collections::BTreeSet;
use std::time::Duration;

use cutover_analysis::diff::changes;
use cutover_analysis::effects::{ObjectKind, SmolStr};
use cutover_analysis::schema::{Id, Object, Schema, Value};
use cutover_analysis::sql::quote_literal;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};
use thiserror::Error;

use super::side::{self, Built, SideError};
use crate::adopt;
use crate::apply::own_startup;
use crate::asking::AskError;
use crate::catalog::{self, CatalogError};
use crate::history::records::{self, History};
use crate::history::{lock, schema, snapshots};
use crate::migration::Migration;
use crate::project::Project;
use crate::report::format::{count, utc};
use crate::script::Script;
use crate::stop::Stop;
use crate::text::visible;
use crate::verify::SandboxProvider;
use crate::verify::replay::{self, Likeness};

/// Longest wait for another runner before drift is accepted.
const RUNNER_WAIT: Duration = Duration::from_secs(5);

/// Why drift is not known.
#[derive(Debug, Error)]
pub enum DriftError {
    /// The database did not do what was asked of it.
    #[error("{}", .0.told("nothing was changed"))]
    Asked(AskError),
    /// No run of this project has ended in this database since schemas are kept.
    #[error(
        "no run has recorded what database {0} is made of\n  hint: --replay compares it with what the applied migrations make; the \
         next `cutover apply` that applies something records it, and so does `cutover repair --accept-drift`"
    )]
    NothingRecorded(String),
    /// The recorded schema was too large to keep.
    #[error(
        "what database {0} is made of was too large to be recorded\n  hint: --replay compares it with what the applied migrations make"
    )]
    TooLarge(String),
    /// Nothing was ever applied.
    #[error("nothing of this project is applied in database {0}")]
    NothingApplied(String),
    /// What the migrations make cannot be built.
    #[error(transparent)]
    Side(#[from] SideError),
    /// A record cannot be written.
    #[error("the schema cannot be written: {0}")]
    Written(#[from] serde_json::Error),
}

impl<E> From<E> for DriftError
where
    AskError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Asked(error.into())
    }
}

/// How a database should be and how it is.
#[derive(Debug)]
pub struct Drift {
    /// What it should be.
    pub expected: Schema,
    /// What that is, e.g. `the database as run … left it`.
    pub expected_name: String,
    /// What it is.
    pub live: Schema,
    /// What that is.
    pub live_name: String,
    /// Remarks for people.
    pub remarks: Vec<String>,
}

/// Compares a database with what the last run recorded, or, with `replay`, with what the applied migrations make on a
/// throwaway server. With no schema named, in the schemas that the project's migrations touch.
///
/// # Errors
/// See [`DriftError`].
pub async fn drift(
    project: &Project,
    options: &ConnectOptions,
    schemas: &[String],
    replay: Option<&SandboxProvider>,
) -> Result<Drift, DriftError> {
    let mut session = Session::connect(options, &own_startup("diff", None)).await?;
    let found = schema::look(&mut session).await?;
    let database = found.database.clone();
    let history = match found.version {
        Some(_) => records::read(&mut session, &project.name).await?,
        None => return Err(DriftError::NothingApplied(database)),
    };
    let mut remarks = Vec::new();
    let scope = match schemas {
        [] => touched(project, &applied_of(project, &history), options).await?,
        named => named.to_vec(),
    };
    let mut live = catalog::schema(&mut session, &[]).await?;
    let (expected, expected_name) = if let Some(sandbox) = replay {
        let Built { schema, remarks: more } = replayed(project, &history, (options, &live), sandbox).await?;
        remarks.extend(more);
        (schema, "what the applied migrations make".to_owned())
    } else {
        let (mut schema, name) =
            recorded(project, &mut session, found.version, &database, &mut remarks).await?;
        by_names(&mut session, &mut schema, &live).await?;
        (schema, name)
    };
    let mut expected = expected;
    // What the tool keeps that the database was adopted from is made by no file, and its own business.
    for place in adopt::tables_of(&mut session).await? {
        place.take_from(&mut live);
        place.take_from(&mut expected);
    }
    session.close().await;
    Ok(Drift {
        expected: within(expected, &scope),
        expected_name,
        live: within(live, &scope),
        live_name: match &scope[..] {
            [] => format!("database {database}"),
            [one] => format!("database {database}, schema {one}"),
            several => format!("database {database}, schemas {}", several.join(", ")),
        },
        remarks,
    })
}

/// What is owned by whoever read it is owned by that role, by its name, and not by whoever reads it later; unless the record
/// comes from a server with other roles, as that of a restored database may.
async fn by_names(session: &mut Session, recorded: &mut Schema, live: &Schema) -> Result<(), Failure> {
    if recorded.owner != live.owner {
        let name = quote_literal(&recorded.owner);
        let known = format!("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {name})");
        if session.query_text(&known).await?.scalar() == Some("t") {
            recorded.owner.clone_from(&live.owner);
        }
    }
    Ok(())
}

/// Records what a database is made of now as what it should be, in the name of `operator`.
///
/// # Errors
/// See [`DriftError`].
pub async fn accept(project: &Project, options: &ConnectOptions, operator: &str) -> Result<(), DriftError> {
    let mut session = Session::connect(options, &own_startup("accept-drift", None)).await?;
    // What a run at work is about to leave is not drift.
    lock::acquire(&mut session, RUNNER_WAIT, &Stop::new(), |_| {}).await?;
    let found = schema::look(&mut session).await?;
    if found.version.is_none_or(|version| version < snapshots::SINCE) {
        return Err(DriftError::NothingApplied(found.database));
    }
    let live = catalog::schema(&mut session, &[]).await?;
    let record = snapshots::insert(&project.name, None, Some(operator), &live)?;
    snapshots::store(&mut session, &record).await?;
    session.close().await;
    Ok(())
}

async fn recorded(
    project: &Project,
    session: &mut Session,
    version: Option<i32>,
    database: &str,
    remarks: &mut Vec<String>,
) -> Result<(Schema, String), DriftError> {
    let nothing = || DriftError::NothingRecorded(database.to_owned());
    if version.is_none_or(|version| version < snapshots::SINCE) {
        return Err(nothing());
    }
    let last = snapshots::last(session, &project.name).await?.ok_or_else(nothing)?;
    let since = last.applied_now - i64::from(last.applied);
    if since != 0 {
        let (one, several) = if since < 0 {
            ("migration was reverted", "migrations were reverted")
        } else {
            ("migration was applied", "migrations were applied")
        };
        remarks.push(format!(
            "{} since it was recorded, by a run that did not come to its end; --replay compares with what the files make",
            count(usize::try_from(since.unsigned_abs()).unwrap_or(usize::MAX), one, several),
        ));
    }
    let at = utc(last.at_micros);
    let name = match (&last.run, &last.accepted_by) {
        (Some(run), _) if last.project != project.name => {
            format!("database {database} as run {run} of project {} left it ({at})", visible(&last.project))
        }
        (Some(run), _) => format!("database {database} as run {run} left it ({at})"),
        (None, Some(whom)) => format!("database {database} as {whom} accepted it ({at})"),
        (None, None) => format!("database {database} as it was recorded ({at})"),
    };
    let schema = last.schema.ok_or_else(|| DriftError::TooLarge(database.to_owned()))?;
    Ok((schema, name))
}

async fn replayed(
    project: &Project,
    history: &History,
    (options, live): (&ConnectOptions, &Schema),
    sandbox: &SandboxProvider,
) -> Result<Built, DriftError> {
    let applied = applied_of(project, history);
    let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let made = replay::made_by(applied.iter().copied(), &project.vars);
    let likeness = Likeness::of(&mut session).await?.with_surroundings(&mut session, &made).await?;
    let likeness = likeness.without_roles(|role| made.contains(&(ObjectKind::Role, role.to_owned())));
    session.close().await;
    let name = "what the applied migrations make";
    let mut built = side::build_like(name, project, &applied, &[], (&likeness, true), sandbox).await?;
    // What others have made is as it is there.
    for (id, object) in &mut built.schema.objects {
        if likeness.is_around(id.kind, &id.name)
            && let Some(there) = live.objects.get(id)
        {
            object.clone_from(there);
        }
    }
    Ok(built)
}

/// The migrations that are applied.
fn applied_of<'a>(project: &'a Project, history: &History) -> Vec<&'a Migration> {
    project.migrations.iter().filter(|migration| history.get(&migration.id).is_some()).collect()
}

/// The schemas in which these migrations make, change or drop anything; all, where what they do is not fully known.
///
/// # Errors
/// As the server says.
pub(crate) async fn touched(
    project: &Project,
    migrations: &[&Migration],
    options: &ConnectOptions,
) -> Result<Vec<String>, AskError> {
    let mut schemas: BTreeSet<String> = BTreeSet::new();
    let mut unqualified = false;
    for migration in migrations {
        let script = Script::analyse(migration, &project.vars);
        if script.opaque.is_some() {
            return Ok(Vec::new());
        }
        for object in script.creates.iter().chain(&script.alters).chain(&script.drops) {
            match (&object.schema, object.kind) {
                (Some(schema), _) => _ = schemas.insert(schema.to_string()),
                (None, ObjectKind::Schema) => _ = schemas.insert(object.name.to_string()),
                (None, _) => unqualified = true,
            }
        }
    }
    if unqualified || schemas.is_empty() {
        schemas.extend(first_schema(options).await?);
    }
    Ok(schemas.into_iter().collect())
}

/// Where names without a schema lead in migrations: the first schema of the search path that they begin with, if there is one.
///
/// # Errors
/// As the server says.
pub(crate) async fn first_schema(options: &ConnectOptions) -> Result<Option<String>, AskError> {
    let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let first = session.query_text("SELECT pg_catalog.current_schema()").await?;
    session.close().await;
    Ok(first.scalar().map(str::to_owned))
}

/// What of a schema is in the scope; extensions, publications and whatever else is in no schema is everybody's.
pub(crate) fn within(mut schema: Schema, scope: &[String]) -> Schema {
    if scope.is_empty() {
        return schema;
    }
    let in_scope = |name: &str| scope.iter().any(|one| one == name);
    schema.objects.retain(|id, _| match &id.schema {
        Some(schema) => in_scope(schema),
        None => id.kind != ObjectKind::Schema || in_scope(&id.name),
    });
    schema
}

/// What a database is made of before a run, against what was recorded last, by whichever project: what somebody changed in
/// between is not the run's doing, and stays drift when the run records what it leaves.
#[derive(Debug)]
pub(crate) struct Before {
    recorded: Schema,
    live: Schema,
    changed: Vec<Id>,
}

impl Before {
    /// Reads both; `None` where nothing is recorded, it cannot be read, or nothing was changed.
    pub(crate) async fn of(session: &mut Session) -> Option<Self> {
        let mut recorded = snapshots::last_of_any(session).await.ok().flatten()?;
        let live = catalog::schema(session, &[]).await.ok()?;
        by_names(session, &mut recorded, &live).await.ok()?;
        let changed: Vec<Id> = changes(&recorded, &live).into_iter().map(|change| change.object).collect();
        (!changed.is_empty()).then_some(Self { recorded, live, changed })
    }

    /// What is to be said of it.
    pub(crate) fn note(&self) -> String {
        const NAMED: usize = 3;
        let mut names: Vec<String> = self.changed.iter().take(NAMED).map(ToString::to_string).collect();
        if self.changed.len() > NAMED {
            names.push(format!("{} more", self.changed.len() - NAMED));
        }
        format!(
            "before the run the database was not as the last run of cutover had left it: {}; `cutover diff` says how",
            names.join(", ")
        )
    }

    /// Takes what was changed before the run, and the run has left alone, back out of what the run leaves: whole objects, and of
    /// those that the run has changed too, what it has not touched of them.
    fn keep(&self, after: &mut Schema) {
        self.keep_but(after, &|_| false);
    }

    /// As [`Self::keep`], but for what is settled.
    pub(crate) fn keep_but(&self, after: &mut Schema, is_settled: &dyn Fn(&Id) -> bool) {
        for id in self.changed.iter().filter(|id| !is_settled(id)) {
            let (recorded, live) = (self.recorded.objects.get(id), self.live.objects.get(id));
            match (recorded, live, after.objects.get_mut(id)) {
                (Some(recorded), Some(live), Some(left)) if left != live => {
                    keep_attributes(recorded, live, left);
                }
                // What is made anew under a name is the run's.
                (None, Some(live), Some(left)) if !is_still(live, left) => {}
                (Some(recorded), live, left) if live == left.as_deref() => {
                    after.objects.insert(id.clone(), recorded.clone());
                }
                (None, Some(_), Some(_)) => _ = after.objects.remove(id),
                _ => {}
            }
        }
    }
}

/// The order of a table's columns, which follows from the columns.
const ORDER: &str = "columns";

/// What others may change of an object that stays what it is.
const BESIDES: [&str; 5] = ["grants", "revoked", "owner", "comment", ORDER];

/// Of what a run leaves, each attribute that somebody had changed before and the run has not is as it was recorded.
fn keep_attributes(recorded: &Object, live: &Object, left: &mut Object) {
    let names: BTreeSet<&SmolStr> = recorded.attributes.keys().chain(live.attributes.keys()).collect();
    for name in names.into_iter().filter(|name| *name != ORDER) {
        let (before, now) = (recorded.attributes.get(name), live.attributes.get(name));
        if before != now && left.attributes.get(name) == now {
            match before {
                Some(value) => _ = left.attributes.insert(name.clone(), value.clone()),
                None => _ = left.attributes.remove(name),
            }
        }
    }
}

/// Whether it is the same object, of which a run may have changed something.
fn is_still(live: &Object, left: &Object) -> bool {
    let own = |object: &Object| -> Vec<(SmolStr, Value)> {
        let own = object.attributes.iter().filter(|(name, _)| !BESIDES.contains(&name.as_str()));
        own.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    own(live) == own(left)
}

/// What a run leaves behind, and the statement that records it; none where it cannot be read.
pub(crate) async fn record_of(
    session: &mut Session,
    project: &str,
    run: &str,
    before: Option<&Before>,
) -> Result<Option<(Schema, String)>, CatalogError> {
    if !snapshots::may_store(session).await? {
        return Ok(None);
    }
    let schema = catalog::schema(session, &[]).await?;
    let kept = before.map(|before| {
        let mut kept = schema.clone();
        before.keep(&mut kept);
        kept
    });
    let insert = snapshots::insert(project, Some(run), None, kept.as_ref().unwrap_or(&schema));
    Ok(insert.ok().map(|insert| (schema, insert)))
}
