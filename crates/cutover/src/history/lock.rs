//! One runner a database: an advisory lock on a session of its own, polled and never waited for in the server (a
//! waiter would hold a snapshot, which is what CREATE INDEX CONCURRENTLY waits for), and a fencing token that every
//! writing transaction checks, for the case that the lock is lost unnoticed.

use std::collections::BTreeSet;
use std::time::Duration;

use cutover_analysis::sql::quote_literal;
use cutover_postgres::session::{Failure, Session};
use cutover_postgres::sqlstate;

use super::HistoryError;
use crate::jitter::Jitter;
use crate::stop::Stop;

/// Key of the advisory lock: the bytes of "cutover" and a format number.
pub const LOCK_KEY: i64 = 0x6375_746f_7665_7201;

/// While one wait goes on it is told of again after this time: a minute, so that a log shows that the run is alive.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// Whom a run was told to wait for already. Everybody is named once; then whoever is in the way once a minute.
#[derive(Debug, Default)]
struct Told {
    holders: BTreeSet<String>,
    last: Option<tokio::time::Instant>,
}

impl Told {
    /// Whether it is worth telling that `holder`, which does not change while it is the same one, is in the way.
    fn is_news(&mut self, holder: &str, now: tokio::time::Instant) -> bool {
        let again = self.last.is_some_and(|last| now.duration_since(last) >= TOLD_AGAIN);
        let news = self.holders.insert(holder.to_owned()) || again;
        if news {
            self.last = Some(now);
        }
        news
    }
}

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

/// Polls for the lock until it is had, the wait is over, or a stop is asked for. `on_wait` hears once of each holder, and
/// again once a minute.
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
    let (mut last, mut told) = (String::new(), Told::default());
    loop {
        if try_lock(session).await? {
            return Ok(());
        }
        let current = holder(session).await?;
        if !current.is_empty() {
            if told.is_news(&current, tokio::time::Instant::now()) {
                on_wait(&current);
            }
            last = current;
        }
        if start.elapsed() >= wait {
            return Err(HistoryError::LockNotObtained {
                holder: last,
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

/// Ends other sessions of this `application` in this database: the connection to them was lost, and the server may not know.
/// Says whether none is left: then what they had under way is decided.
///
/// # Errors
/// As the server says.
pub(crate) async fn end_own(
    session: &mut Session,
    application: &str,
    wait: Duration,
) -> Result<bool, HistoryError> {
    let start = tokio::time::Instant::now();
    let mut jitter = Jitter::seeded(u64::from(session.backend_pid().unsigned_abs()));
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = $1 AND datname = current_database() AND pid <> pg_backend_pid()";
    loop {
        if session.query(end, &[&application]).await?.is_empty() {
            return Ok(true);
        }
        if start.elapsed() >= wait {
            return Ok(false);
        }
        tokio::time::sleep(jitter.around(Duration::from_millis(20))).await;
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
    let mut told = Told::default();
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
                let (pids, who) = previous_transaction(session).await?;
                if told.is_news(&pids, tokio::time::Instant::now()) {
                    on_wait(&who);
                }
                if start.elapsed() >= wait {
                    return Err(HistoryError::LockNotObtained {
                        holder: who,
                        waited_seconds: start.elapsed().as_secs(),
                    });
                }
            }
            Err(failure @ Failure::Lost(_)) => return Err(failure.into()),
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

/// Whose transaction is in the way: their processes, and in words.
async fn previous_transaction(session: &mut Session) -> Result<(String, String), HistoryError> {
    let rows = session
        .query(
            "SELECT coalesce(string_agg(a.pid::text, ' ' ORDER BY a.pid), ''),
                    coalesce(string_agg(format('a transaction of %s (pid %s, %s)', a.application_name, a.pid, a.state), ', '
                                        ORDER BY a.pid),
                             'a transaction that an earlier run left behind')
               FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
              WHERE l.relation = 'cutover.fence'::regclass AND l.granted AND a.pid <> pg_backend_pid()",
            &[],
        )
        .await?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))).unwrap_or_default())
}

/// The session that works for a run: one of the run itself, known by its name, or psql with a script of a plan, which holds
/// the runner's lock under the token that it took for the run. In words, with its process. Not the session that asks.
///
/// # Errors
/// As the server says.
pub(crate) async fn at_work(session: &mut Session, run: &str) -> Result<Option<(String, i32)>, HistoryError> {
    let who = format!(
        "SELECT format('%s (pid %s, %s)', application_name, pid, coalesce(state, 'unknown')), pid
           FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND (application_name = $2
                 OR pid IN (SELECT h.pid FROM ({HOLDERS}) AS h) AND EXISTS (SELECT FROM cutover.fence WHERE run = $3))
          ORDER BY state = 'active' DESC NULLS LAST, pid LIMIT 1"
    );
    let application = crate::apply::application_name(run);
    let rows = session.query(&who, &[&LOCK_KEY, &application, &run]).await?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
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
    let mut told = Told::default();
    loop {
        let Some((who, pid)) = at_work(session, run).await? else { return Ok(()) };
        if told.is_news(&pid.to_string(), tokio::time::Instant::now()) {
            on_wait(&who);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holder_is_told_of_once_and_then_once_a_minute() {
        let (mut told, start) = (Told::default(), tokio::time::Instant::now());
        let heard: Vec<u64> = (0..150)
            .filter(|second| {
                let holder = if second % 2 == 0 { "a" } else { "b" };
                told.is_news(holder, start + Duration::from_secs(*second))
            })
            .collect();
        assert_eq!(heard, [0, 1, 61, 121]);
    }
}
