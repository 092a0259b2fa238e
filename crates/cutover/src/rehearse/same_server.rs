//! A server of `--dev-url` that is the database's own: what a rehearsal does to the whole server there is done for real, so that only
//! what stays in its database may be run.

use cutover_analysis::effects::reaches_beyond;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};

use super::Request;
use super::error::RehearseError;
use crate::migration::Migration;
use crate::project::{Project, Vars};
use crate::revert::way_back;
use crate::script::{Script, ScriptItem};
use crate::verify::SandboxProvider;

/// Statements that are named.
const NAMED: usize = 5;

/// What a server says of which one it is.
struct Identity {
    /// Given when its data folder was made; a standby and a copy of the folder have it too.
    system: Option<String>,
    /// No two servers are started in one microsecond.
    started: Option<String>,
    /// It follows another one.
    is_standby: bool,
}

/// Each by itself: some providers allow one and not the other.
const ASKED: [&str; 3] = [
    "SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()",
    "SELECT pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::pg_catalog.numeric::pg_catalog.text",
    "SELECT pg_catalog.pg_is_in_recovery()::pg_catalog.text",
];

impl Identity {
    async fn of(options: &ConnectOptions) -> Result<Self, RehearseError> {
        let mut session = Session::connect(options, &Startup::default()).await?;
        let mut answers = Vec::new();
        for text in ASKED {
            answers.push(match session.query_text(text).await {
                Ok(done) => done.scalar().map(str::to_owned),
                Err(failure @ Failure::Lost(_)) => return Err(failure.into()),
                Err(_) => None,
            });
        }
        session.close().await;
        let mut answers = answers.into_iter();
        let (system, started) = (answers.next().flatten(), answers.next().flatten());
        Ok(Self { system, started, is_standby: answers.next().flatten().is_some_and(|is| is != "false") })
    }

    /// Whether both are one server, or one follows the other. Where nothing is known they are.
    fn is(&self, other: &Self) -> bool {
        match (&self.system, &other.system) {
            (Some(one), Some(other)) if one != other => return false,
            (Some(_), Some(_)) if self.is_standby || other.is_standby => return true,
            _ => {}
        }
        match (&self.started, &other.started) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// Refuses what would go beyond the copy where the server of `--dev-url` is the database's own. `migrations`: everything that would
/// be run there.
pub(super) async fn refuse(
    project: &Project,
    target: &ConnectOptions,
    migrations: &[&Migration],
    request: &Request,
    sandbox: &SandboxProvider,
) -> Result<(), RehearseError> {
    let Some(given) = sandbox.given() else { return Ok(()) };
    if !Identity::of(target).await?.is(&Identity::of(given).await?) {
        return Ok(());
    }
    let mut found = Vec::new();
    for migration in migrations {
        found.extend(beyond(migration, &project.vars));
        if request.full && migration.down.is_some() {
            let down =
                way_back((*migration).clone(), migration, migration.down.as_deref(), "", &project.vars);
            found.extend(beyond(&down, &project.vars));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let more = found.len().saturating_sub(NAMED);
    found.truncate(NAMED);
    Err(RehearseError::SameServer { found, more })
}

/// The statements of a migration that may do something beyond their database.
fn beyond(migration: &Migration, vars: &Vars) -> Vec<String> {
    let script = Script::analyse(migration, vars);
    if script.errors.iter().any(|error| error.code.is_none()) {
        // It is not run.
        return Vec::new();
    }
    let mut found = Vec::new();
    for item in script.items(migration, vars) {
        match item {
            Ok(ScriptItem::Statement { text, line, .. }) => {
                let why = reaches_beyond(&text).map(|why| format!("{}:{line}: {why}", migration.path));
                found.extend(why);
            }
            // It is not run either.
            Err(_) => return found,
            Ok(_) => {}
        }
    }
    found
}
