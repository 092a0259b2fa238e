//! One runner a database: an advisory lock on a session of its own, polled and never waited for in the server (a
//! waiter would hold a snapshot, which is what CREATE INDEX CONCURRENTLY waits for), and a fencing token that every
//! writing transaction checks, for the case that the lock is lost unnoticed.

use std::time::Duration;

use cutover_analysis::sql::quote_literal;
use cutover_postgres::session::{Failure, Session};
use cutover_postgres::sqlstate;

use super::HistoryError;
use crate::jitter::Jitter;
use crate::stop::Stop;

/// Key of the advisory lock: the bytes of "cutover" and a format number.
const LOCK_KEY: i64 = 0x6375_746f_7665_7201;

/// The sessions that hold the lock: at most one.
const HOLDERS: &str = "
SELECT a.* FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.classid = ($1::int8 >> 32)::int8::oid AND l.objid = ($1::int8 & 4294967295)::oid";

/// Tries once.
///
/// # Errors
/// As the server says.
async fn try_lock(session: &mut Session) -> Result<bool, HistoryError> {
    let rows = session.query("SELECT pg_try_advisory_lock($1)", &[&LOCK_KEY]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Who holds the lock, in words; empty where nobody does (any more).
async fn holder(session: &mut Session) -> Result<String, HistoryError> {
    let who = format!(
        "SELECT format('%s (pid %s, %s%s) since %s', h.application_name, h.pid, h.usename,
                       CASE WHEN h.client_addr IS NULL THEN '' ELSE ' from ' || host(h.client_addr) END,
                       to_char(h.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"'))
           FROM ({HOLDERS}) AS h"
    );
    let rows = session.query(&who, &[&LOCK_KEY]).await?;
    Ok(rows.first().and_then(|row| row.get::<_, Option<String>>(0)).unwrap_or_default())
}

/// Polls for the lock until it is had, the wait is over, or a stop is asked for. `on_wait` hears once of each holder.
///
/// # Errors
/// [`HistoryError::LockNotObtained`], [`HistoryError::Interrupted`], or as the server says.
pub async fn acquire(
    session: &mut Session,
    wait: Duration,
    stop: &Stop,
    mut on_wait: impl FnMut(&str),
) -> Result<(), HistoryError> {
    let start = tokio::time::Instant::now();
    let mut jitter = Jitter::seeded(u64::from(session.backend_pid().unsigned_abs()));
    let mut told = String::new();
    loop {
        if try_lock(session).await? {
            return Ok(());
        }
        let current = holder(session).await?;
        if !current.is_empty() && current != told {
            on_wait(&current);
            told = current;
        }
        if start.elapsed() >= wait {
            return Err(HistoryError::LockNotObtained {
                holder: told,
                waited_seconds: start.elapsed().as_secs(),
            });
        }
        tokio::select! {
            () = tokio::time::sleep(jitter.around(Duration::from_millis(60))) => {}
            () = stop.requested() => return Err(HistoryError::Interrupted),
        }
    }
}

/// What became of an attempt to get the lock back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Regained {
    /// It is held, and nobody has taken over in between.
    Held,
    /// Another runner has it, or has had it; says who, in words.
    TakenOver(String),
}

/// Takes the lock on a new session after the one that held it was lost, if nobody has taken over since: the fencing
/// token must still be `token`. A server that has not noticed the loss keeps the lock for the old session; that session,
/// known by its `application` name, is ended.
///
/// # Errors
/// As the server says; the lock is not held then.
pub async fn regain(
    session: &mut Session,
    application: &str,
    token: i64,
    wait: Duration,
) -> Result<Regained, HistoryError> {
    let start = tokio::time::Instant::now();
    let mut jitter = Jitter::seeded(u64::from(session.backend_pid().unsigned_abs()));
    let end_own = format!(
        "SELECT pg_terminate_backend(h.pid) FROM ({HOLDERS}) AS h
          WHERE h.application_name = $2 AND h.pid <> pg_backend_pid()"
    );
    while !try_lock(session).await? {
        session.query(&end_own, &[&LOCK_KEY, &application]).await?;
        if start.elapsed() >= wait {
            return Ok(Regained::TakenOver(holder(session).await?));
        }
        tokio::time::sleep(jitter.around(Duration::from_millis(20))).await;
    }
    let rows = session.query("SELECT token, coalesce(run, '') FROM cutover.fence", &[]).await?;
    let found: Option<(i64, String)> = rows.first().map(|row| (row.get(0), row.get(1)));
    match found {
        Some((found, _)) if found == token => Ok(Regained::Held),
        other => {
            session.query("SELECT pg_advisory_unlock($1)", &[&LOCK_KEY]).await?;
            let run = other.map(|(_, run)| crate::apply::application_name(&run)).unwrap_or_default();
            Ok(Regained::TakenOver(format!("{run}, which has let go of the lock again")))
        }
    }
}

/// Takes the next fencing token. Waits (polling) for a transaction that an earlier runner may have left behind: once
/// this returns, that transaction has committed or is gone for good.
///
/// # Errors
/// [`HistoryError::LockNotObtained`] naming the transaction in the way, or as the server says.
pub async fn take_token(
    session: &mut Session,
    run: &str,
    operator: &str,
    wait: Duration,
    stop: &Stop,
    mut on_wait: impl FnMut(&str),
) -> Result<i64, HistoryError> {
    let start = tokio::time::Instant::now();
    let mut jitter = Jitter::seeded(u64::from(session.backend_pid().unsigned_abs()));
    let update = format!(
        "BEGIN; SET LOCAL lock_timeout = '100ms'; SET LOCAL synchronous_commit = on;
         UPDATE cutover.fence SET token = token + 1, run = {}, holder = {}, since = pg_catalog.now() RETURNING token; COMMIT",
        quote_literal(run),
        quote_literal(operator),
    );
    loop {
        match session.execute(&update).await {
            Ok(done) => {
                let token = done.rows.first().and_then(|row| row.first().cloned().flatten());
                return token.and_then(|text| text.parse().ok()).ok_or_else(|| {
                    HistoryError::Unexpected("cutover.fence has no row: the history was tampered with".into())
                });
            }
            Err(Failure::Server(message)) if message.code == sqlstate::LOCK_NOT_AVAILABLE => {
                session.execute("ROLLBACK").await?;
                let who = previous_transaction(session).await?;
                on_wait(&who);
                if start.elapsed() >= wait {
                    return Err(HistoryError::LockNotObtained {
                        holder: who,
                        waited_seconds: start.elapsed().as_secs(),
                    });
                }
            }
            Err(failure) => {
                let _ = session.execute("ROLLBACK").await;
                return Err(failure.into());
            }
        }
        tokio::select! {
            () = tokio::time::sleep(jitter.around(Duration::from_millis(60))) => {}
            () = stop.requested() => return Err(HistoryError::Interrupted),
        }
    }
}

async fn previous_transaction(session: &mut Session) -> Result<String, HistoryError> {
    let rows = session
        .query(
            "SELECT coalesce(string_agg(format('a transaction of %s (pid %s, %s)', a.application_name, a.pid, a.state), ', '),
                             'a transaction that an earlier run left behind')
               FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
              WHERE l.relation = 'cutover.fence'::regclass AND l.granted AND a.pid <> pg_backend_pid()",
            &[],
        )
        .await?;
    Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
}

/// Waits until no session of an earlier run is left: a statement outside a transaction may still be running there.
///
/// # Errors
/// [`HistoryError::LockNotObtained`] naming it, or as the server says.
pub async fn wait_for_run_to_end(
    session: &mut Session,
    run: &str,
    wait: Duration,
    stop: &Stop,
    mut on_wait: impl FnMut(&str),
) -> Result<(), HistoryError> {
    let start = tokio::time::Instant::now();
    let application = crate::apply::application_name(run);
    loop {
        let rows = session
            .query(
                "SELECT format('%s (pid %s, %s)', application_name, pid, coalesce(state, 'unknown')) FROM pg_stat_activity
                  WHERE application_name = $1 AND datname = current_database() LIMIT 1",
                &[&application],
            )
            .await?;
        let Some(row) = rows.first() else { return Ok(()) };
        let who: String = row.get(0);
        on_wait(&who);
        if start.elapsed() >= wait {
            return Err(HistoryError::LockNotObtained {
                holder: who,
                waited_seconds: start.elapsed().as_secs(),
            });
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            () = stop.requested() => return Err(HistoryError::Interrupted),
        }
    }
}
