//! The database that a rehearsal begins with: as the real one is, with its schema, its roles and, where that is asked for, some of
//! its rows. The real one is only read.

mod dump;
mod roles;
mod sample;

use cutover_analysis::effects::{NewForeignKey, ObjectKind, new_foreign_keys};
use cutover_analysis::ours::IN_SQL;
use cutover_analysis::sql::{quote_ident, quote_literal, quote_qualified};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::SandboxOptions;
use cutover_postgres::session::{Failure, Session, Startup};

use super::error::RehearseError;
use super::model::{Ground, MadeOf};
use crate::migration::Migration;
use crate::project::Project;
use crate::script::{Script, ScriptItem};
use crate::verify::SandboxProvider;
use crate::verify::replay::{self, Likeness, Replay};
use crate::verify::sandbox::Scratch;

/// What the ground is to be like.
#[derive(Debug, Clone, Default)]
pub struct GroundRequest {
    /// Made by running what is applied again, not by `pg_dump`.
    pub replay: bool,
    /// Go on without what this server cannot have, e.g. an extension that is not installed here.
    pub without_missing: bool,
    /// So many rows of each table at most.
    pub sample: Option<u64>,
}

/// A database to rehearse in, which is copied for each pass.
pub(super) struct Base {
    pub(super) scratch: Scratch,
    pub(super) ground: Ground,
    /// What a session that migrates connects with.
    runner: Option<(String, String)>,
    /// Settings that such a session begins with.
    settings: Vec<(String, String)>,
    /// Options of the server that it connects with, as it would to the real one.
    options: Option<String>,
    /// What the real database is called.
    pub(super) called: Option<String>,
    /// What a copy is granted: what stands before `ON DATABASE`, and behind it.
    grants: Vec<(String, String)>,
}

impl Base {
    /// A database that is there.
    #[cfg(test)]
    pub(super) fn of(scratch: Scratch) -> Self {
        Self {
            scratch,
            ground: Ground::default(),
            runner: None,
            settings: Vec::new(),
            options: None,
            called: None,
            grants: Vec::new(),
        }
    }

    /// How a session that migrates connects to a copy.
    pub(super) fn runner(&self, copy: &Scratch) -> ConnectOptions {
        let options = ConnectOptions { options: self.options.clone(), ..copy.options.clone() };
        match &self.runner {
            Some((role, password)) => options.with_user(role, Some(password)),
            None => options,
        }
    }

    /// A copy of it, with the privileges of the real database.
    pub(super) async fn copy(&self, sandbox: &SandboxProvider) -> Result<Scratch, RehearseError> {
        let copy =
            sandbox.copy(&self.scratch).await.map_err(|trouble| RehearseError::NoSandbox(trouble.0))?;
        if self.grants.is_empty() {
            return Ok(copy);
        }
        let mut session = Session::connect(&copy.options, &Startup::default()).await?;
        let name = quote_ident(&copy.options.database);
        for (before, behind) in &self.grants {
            session.execute(&format!("{before} ON DATABASE {name} {behind}")).await?;
        }
        session.close().await;
        Ok(copy)
    }

    /// What statements call the database, and what a copy is called.
    pub(super) fn databases(&self, copy: &Scratch) -> Option<(String, String)> {
        Some((self.called.clone()?, copy.options.database.clone()))
    }

    /// How it begins.
    pub(super) fn startup(&self) -> Startup {
        Startup { settings: self.settings.clone(), ..Startup::default() }
    }
}

/// Builds it. `target`: the real database, `applied`: what it has, `pending`: what is to come.
pub(super) async fn build(
    project: &Project,
    target: Option<&ConnectOptions>,
    (applied, pending): (&[&Migration], &[&Migration]),
    request: &GroundRequest,
    sandbox: &SandboxProvider,
    programs: &SandboxOptions,
) -> Result<Base, RehearseError> {
    let Some(options) = target else { return of_nothing(project, sandbox).await };
    if request.replay {
        return of_replay(project, options, applied, sandbox).await;
    }
    let mut session = connect(options).await?;
    let major = session.server_version_num() / 10_000;
    let scratch = sandbox.database(major).await.map_err(|trouble| RehearseError::NoSandbox(trouble.0))?;
    let keys = if request.sample.is_some() { keys_to_come(project, pending) } else { Vec::new() };
    let built = of_dump(&mut session, &scratch, options, (request, &keys), programs).await;
    session.close().await;
    match built {
        Ok(Dumped { ground, runner, owner, grants }) => Ok(Base {
            scratch: Scratch { owner, ..scratch },
            ground,
            runner,
            settings: Vec::new(),
            options: options.options.clone(),
            called: Some(options.database.clone()),
            grants,
        }),
        Err(error) => {
            scratch.finish().await;
            Err(error)
        }
    }
}

/// The foreign keys that migrations put on tables.
fn keys_to_come(project: &Project, pending: &[&Migration]) -> Vec<NewForeignKey> {
    let mut keys = Vec::new();
    for migration in pending {
        let script = Script::analyse(migration, &project.vars);
        for item in script.items(migration, &project.vars) {
            match item {
                Ok(ScriptItem::Statement { text, .. }) => keys.extend(new_foreign_keys(&text)),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
    keys
}

async fn connect(options: &ConnectOptions) -> Result<Session, RehearseError> {
    let startup = Startup { application_name: "cutover".to_owned(), ..Startup::default() };
    Ok(Session::connect(options, &startup).await?)
}

async fn of_nothing(project: &Project, sandbox: &SandboxProvider) -> Result<Base, RehearseError> {
    let replay = Replay::open_like(&Likeness::of_nothing(), sandbox).await;
    let mut replay = replay.map_err(|trouble| RehearseError::NoSandbox(trouble.0))?;
    let mut settings = Vec::new();
    if let Some(schema) = &project.default_schema {
        // Which its tool would make before anything else.
        replay.session.execute(&schema.create_sql()).await?;
        settings.push(("search_path".to_owned(), schema.search_path()));
    }
    let scratch = replay.into_scratch().await;
    Ok(Base {
        scratch,
        ground: Ground::default(),
        runner: None,
        settings,
        options: None,
        called: None,
        grants: Vec::new(),
    })
}

/// What is applied, run again: for where no `pg_dump` is.
async fn of_replay(
    project: &Project,
    options: &ConnectOptions,
    applied: &[&Migration],
    sandbox: &SandboxProvider,
) -> Result<Base, RehearseError> {
    let mut session = connect(options).await?;
    let made = replay::made_by(applied.iter().copied(), &project.vars);
    let likeness = Likeness::of(&mut session).await?.with_surroundings(&mut session, &made).await?;
    let likeness = likeness.without_roles(|role| made.contains(&(ObjectKind::Role, role.to_owned())));
    let path = session.query_text("SHOW search_path").await?.scalar().unwrap_or_default().to_owned();
    session.close().await;
    let replay = Replay::open_like(&likeness, sandbox).await;
    let mut replay = replay.map_err(|trouble| RehearseError::NoSandbox(trouble.0))?;
    for migration in applied {
        if let Err(why) = replay.run(migration, &project.vars).await {
            replay.finish().await;
            return Err(RehearseError::NotReplayed(why));
        }
    }
    let tables = tables(&mut replay.session).await;
    let scratch = replay.into_scratch().await;
    let ground = Ground { made_of: MadeOf::Replay, tables: tables?, ..Ground::default() };
    let settings = vec![("search_path".to_owned(), path)];
    Ok(Base {
        scratch,
        ground,
        runner: None,
        settings,
        options: None,
        called: Some(options.database.clone()),
        grants: Vec::new(),
    })
}

/// How many tables there are.
async fn tables(session: &mut Session) -> Result<u64, RehearseError> {
    let sql = format!("SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', {IN_SQL})");
    let done = session.query_text(&sql).await?;
    Ok(done.scalar().and_then(|count| count.parse().ok()).unwrap_or_default())
}

/// What a session that migrates connects with, where it is not who the throwaway server belongs to.
type Runner = Option<(String, String)>;

/// What a dump has come to.
struct Dumped {
    ground: Ground,
    runner: Runner,
    owner: Option<String>,
    grants: Vec<(String, String)>,
}

async fn of_dump(
    source: &mut Session,
    scratch: &Scratch,
    target: &ConnectOptions,
    (request, keys): (&GroundRequest, &[NewForeignKey]),
    programs: &SandboxOptions,
) -> Result<Dumped, RehearseError> {
    let mut copy = Session::connect(&scratch.options, &Startup::default()).await?;
    let mut ground = Ground { made_of: MadeOf::Dump, ..Ground::default() };
    let (major, here) = (source.server_version_num() / 10_000, copy.server_version_num() / 10_000);
    if major != here {
        ground.remarks.push(format!(
            "PostgreSQL {here} was found to rehearse with, the database is {major}: locks, rewrites and messages may differ; \
             --pg-bin names the folder of its own programs"
        ));
    }
    let mut runner = None;
    let mut owner = None;
    let mut grants = Vec::new();
    // Roles come and go on a server that is at work: they are read as the dump finds them.
    let snapshot = dump::snapshot(source).await?;
    if scratch.own_server {
        let found = roles::read(source).await?;
        roles::make(&mut copy, &found, &mut ground).await?;
        owner = found.owner.clone();
        grants = found.on_database();
        runner = roles::runner(&mut copy, &found, &scratch.options.database).await?;
    } else {
        ground.remarks.push(
            "roles and their privileges are those of the server of --dev-url; migrations ran as its own role"
                .to_owned(),
        );
    }
    let texts = dump::take(target, &snapshot, major, programs).await?;
    if texts.mappings > 0 {
        ground.remarks.push(
            "user mappings are left out, so that nothing reaches other servers through foreign tables: what uses them fails here".to_owned(),
        );
    }
    let mut restoring =
        dump::Restoring { session: &mut copy, ground: &mut ground, own_server: scratch.own_server, request };
    restoring.all(&texts.before).await?;
    if let Some(rows) = request.sample {
        sample::take(source, &mut restoring, rows, keys).await?;
    }
    restoring.all(&texts.after).await?;
    // Event triggers of the database are for whoever works there.
    copy.execute("SET session_replication_role = replica").await?;
    refresh(source, &mut copy).await?;
    source.execute("ROLLBACK").await?;
    ground.tables = tables(&mut copy).await?;
    copy.execute("RESET session_replication_role; ANALYZE").await?;
    copy.close().await;
    Ok(Dumped { ground, runner, owner, grants })
}

/// Materialized views that have rows there have rows here: a dump of the schema alone leaves them without.
async fn refresh(source: &mut Session, copy: &mut Session) -> Result<(), RehearseError> {
    let sql = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid";
    for row in source.query_text(sql).await?.rows {
        let [Some(schema), Some(name)] = row.as_slice() else { continue };
        let text = format!("REFRESH MATERIALIZED VIEW {}", quote_qualified(schema, name));
        // One that was left out, or needs rows that are not here, stays without.
        if let Err(failure @ Failure::Lost(_)) = copy.execute(&text).await {
            return Err(failure.into());
        }
    }
    Ok(())
}

/// `ALTER ROLE … PASSWORD` for a role of the throwaway server.
fn with_password(role: &str, password: &str) -> String {
    format!("ALTER ROLE {} LOGIN PASSWORD {}", quote_ident(role), quote_literal(password))
}
