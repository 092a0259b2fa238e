//! What is made sure of before anything is written: privileges, a primary server, files that are still what they were.

use cutover_postgres::connect::{ConnectError, ConnectOptions};
use cutover_postgres::session::{Session, Startup};

use super::error::{ApplyError, Phase};
use super::monitor::Monitor;
use super::refusals::Refusals;
use super::worker::{Terms, Worker};
use super::{Request, application_name, search_path};
use crate::adopt;
use crate::catalog;
use crate::hazard;
use crate::history::differences::{self, Renumbering};
use crate::history::records::History;
use crate::history::schema::{self, Found};
use crate::plan::build::Built;
use crate::plan::foresight::{self, Foresight};
use crate::project::Project;

/// The oldest server this works with: 12 (older ones lack what the safety of a run rests on).
const OLDEST: u32 = 120_000;

/// Names what keeps a run from writing.
///
/// # Errors
/// [`ApplyError::NotAllowed`] with what is in the way and what to do.
pub fn may_write(found: &Found) -> Result<(), ApplyError> {
    let database = &found.database;
    let complaint = if found.server_version_num < OLDEST {
        format!("the server is PostgreSQL {}; cutover needs 12 or later", found.server_version)
    } else if found.in_recovery {
        "the server is a replica: connect to the primary (target_session_attrs=read-write finds it among several hosts)".into()
    } else if found.read_only {
        "transactions are read-only here (default_transaction_read_only): nothing could be applied".into()
    } else if found.version.is_none() && !found.may_create_schema {
        format!(
            "role {role} may not create schema \"cutover\" for the history in database {database}\n  \
             hint: GRANT CREATE ON DATABASE {quoted} TO {quoted_role}, or connect as its owner",
            role = found.role,
            quoted = cutover_analysis::sql::quote_ident(database),
            quoted_role = cutover_analysis::sql::quote_ident(&found.role),
        )
    } else {
        return Ok(());
    };
    Err(ApplyError::NotAllowed(complaint))
}

/// The history as the run will make it, what that takes (rows that follow their files to other numbers), and whether
/// there are files that are not what the history knows and that is not allowed by name.
pub(super) async fn agreed_history(
    project: &Project,
    history: History,
    has_tables: bool,
    allow: &[String],
    session: &mut Session,
) -> Result<(History, Vec<Renumbering>, Result<(), ApplyError>), ApplyError> {
    let mut differences = differences::compare(project, &history);
    if has_tables {
        differences::look_elsewhere(project, &history, session, &mut differences).await?;
    }
    let mut complaints = Vec::new();
    for difference in differences.iter().filter(|difference| difference.is_refused(allow)) {
        complaints.push(differences::describe(project, difference, session).await?);
    }
    let changed = if complaints.is_empty() { Ok(()) } else { Err(ApplyError::ChangedFiles(complaints)) };
    let moves = differences::renumberings(&differences);
    Ok((history.renumbered(&moves), moves, changed))
}

/// What pending migrations would find: a search path that leads to our own tables, other terms than the plan that is applied was
/// made under, what they need and nobody provides, and what they create although it is there, or twice. `session` must have begun as the one that runs them.
pub(super) async fn ready(
    project: &Project,
    built: &Built,
    request: &Request,
    session: &mut Session,
) -> Result<Refusals, ApplyError> {
    let mut refusals = Refusals::default();
    if let Some(complaint) = search_path::complaint(session, project).await? {
        refusals.note(Err(ApplyError::NotAllowed(complaint)));
    }
    if let Some(file) = &request.plan {
        let moved = file.terms_moved(&catalog::terms(session).await?);
        refusals.note(if moved.is_empty() { Ok(()) } else { Err(ApplyError::Moved(moved)) });
    }
    let Foresight { missing, existing, twice, held, .. } =
        foresight::foresee(project, built, session).await?;
    if !missing.is_empty() {
        refusals.note(Err(ApplyError::Missing(missing)));
    }
    if let Some(existing) = existing {
        refusals.note(Err(ApplyError::AlreadyThere(Box::new(existing))));
    }
    if !request.allow.iter().any(|code| code == hazard::NOT_ADOPTED)
        && let Some(unadopted) = adopt::unadopted(project, built, session).await
    {
        refusals.note(Err(ApplyError::NotAdopted(unadopted)));
    }
    if let Some(twice) = twice {
        refusals.note(Err(ApplyError::CreatedTwice(Box::new(twice))));
    }
    if !held.is_empty() {
        refusals.note(Err(ApplyError::Held(held)));
    }
    Ok(refusals)
}

/// The same on a session of its own, before this run has the lock. Nothing is said where another run has begun meanwhile:
/// what is found then may be its doing, and is looked up again under the lock.
pub(super) async fn ready_yet(
    project: &Project,
    built: &Built,
    request: &Request,
    found: &Found,
    (options, run): (&ConnectOptions, &str),
) -> Result<Refusals, ApplyError> {
    let startup = Startup { application_name: application_name(run), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let looked = async {
        let refusals = ready(project, built, request, &mut session).await?;
        let begun_since =
            !refusals.is_empty() && found.version.is_none() && schema::is_there(&mut session).await?;
        Ok(if begun_since { Refusals::default() } else { refusals })
    };
    let result = looked.await;
    session.close().await;
    result
}

/// Opens the sessions that change the database, at least one. What they are told to do is their default from the start,
/// so that nothing a file does to a session can lose it.
#[allow(clippy::too_many_arguments, reason = "each is a fact of its own")]
pub(super) async fn workers(
    project: &Project,
    options: &ConnectOptions,
    request: &Request,
    run: &str,
    token: i64,
    monitor: &mut Monitor,
    lanes: usize,
    phase: Phase,
) -> Result<Vec<Worker>, ApplyError> {
    let monitor = monitor.ready().await.map_err(|lost| ApplyError::lock_lost(&lost, phase))?;
    let terms = Terms {
        statement_timeout: Some(project.apply.statement_timeout).filter(|timeout| !timeout.is_zero()),
        durable_each: request.durable_each || project.apply.durable_each,
        // Since 14, and not on every platform: tried on the monitor, where it does no harm.
        checks_connection: monitor.execute("SET client_connection_check_interval = 2000").await.is_ok(),
    };
    let startup =
        Startup { application_name: application_name(run), settings: terms.settings(), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await?;
    let triggers =
        session.query("SELECT FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D' LIMIT 1", &[]).await?;
    let mut workers = vec![Worker::new(session, token, !triggers.is_empty())];
    while workers.len() < lanes {
        let session = Session::connect(options, &startup).await.map_err(|error| {
            // Nothing is wrong with the request where the server went away meanwhile.
            if matches!(error, ConnectError::Unreachable(_) | ConnectError::Starting(_)) {
                return ApplyError::Connect(error);
            }
            ApplyError::NotAllowed(format!(
                "of the {lanes} connections that --jobs {} asks for, the server gave {}: {error}\n  hint: ask for fewer",
                request.jobs,
                workers.len()
            ))
        })?;
        workers.push(Worker::new(session, token, !triggers.is_empty()));
    }
    Ok(workers)
}
