//! Connection poolers that lend a server's session for one transaction at a time. Advisory locks, prepared statements and
//! settings then belong to whoever comes next: such a pooler is refused before anything is written. One that keeps a
//! session for as long as its client stays is as good as none.

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;

use super::{ApplyError, own_startup};
use crate::history::HistoryError;
use crate::history::schema::Found;

/// How often one session is asked who serves it. A pooler that takes its sessions in turn shows at the second.
const ASKED: usize = 3;

/// Refuses a pooler whose clients share sessions of the server.
///
/// # Errors
/// [`HistoryError::Pooler`], or that the second session needed to find out is not to be had.
pub(crate) async fn refuse(
    found: &Found,
    session: &mut Session,
    options: &ConnectOptions,
    run: &str,
) -> Result<(), ApplyError> {
    // Boxed: it is rare, and connecting makes for a large future.
    if found.pooled && Box::pin(shares(session, options, run)).await? {
        let what = "gives every transaction another session of the server (transaction mode)";
        return Err(HistoryError::Pooler(what.into()).into());
    }
    Ok(())
}

/// Two sessions that are open at the same time have processes of their own, and keep them.
async fn shares(session: &mut Session, options: &ConnectOptions, run: &str) -> Result<bool, ApplyError> {
    let first = process(session).await?;
    for _ in 1..ASKED {
        if process(session).await? != first {
            return Ok(true);
        }
    }
    let mut other = Session::connect(options, &own_startup(run, None)).await?;
    // Most poolers give out first what came back last: to the other session what was ours, or to ours what was its.
    let shared = process(&mut other).await? == first || process(session).await? != first;
    other.close().await;
    Ok(shared)
}

/// The server's process that serves the session just now. A plain query: a prepared one may be another client's.
async fn process(session: &mut Session) -> Result<Option<String>, ApplyError> {
    let answer = session.query_text("SELECT pg_catalog.pg_backend_pid()").await?;
    Ok(answer.scalar().map(str::to_owned))
}
