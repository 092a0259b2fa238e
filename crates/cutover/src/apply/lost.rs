//! After a lost connection: what became of the step at hand is learned from the history, never guessed.

use std::time::Duration;

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};
use cutover_postgres::sqlstate;
use tokio::time::Instant;

use super::failure::StepFailure;
use super::{application_name, own_startup};
use crate::history::records::{self, History};
use crate::history::units;
use crate::migration::{Migration, MigrationId};
use crate::project::Project;

/// How long to try to learn: the server notices a vanished client within two seconds where it can.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connects again, waits until the old transaction is decided, and reads what it came to.
pub(super) async fn learn(
    project: &Project,
    migration: &Migration,
    failure: &mut StepFailure,
    options: &ConnectOptions,
    (run, token): (&str, i64),
    wait: Option<Duration>,
    finished: &[MigrationId],
) {
    failure.state = format!(
        "whether {} is applied could not be learned: the server did not answer in time; the next run (or `cutover status`) \
         reads it from the history",
        migration.path
    );
    let wait = Some(wait.unwrap_or(PATIENCE).min(PATIENCE));
    let startup = own_startup(run, wait);
    let connecting = tokio::time::timeout(PATIENCE * 2, Session::connect(options, &startup)).await;
    let Ok(Ok(mut session)) = connecting else { return };
    end_silent(&mut session, failure.silent, run).await;
    if let Some((unit, ending)) = &failure.ending {
        let record = units::lost_with(&project.name, run, &migration.id, *unit, ending);
        // Without it the next run says less; what it does is the same.
        if let Err(error) = session.execute(&record).await {
            tracing::debug!(%error, "what the statement ended with is not in the journal");
        }
    }
    if fate(&mut session, token).await != Fate::Unknown
        && let Ok(history) = records::read(&mut session, &project.name).await
    {
        failure.state = state(&history, migration);
        let behind = failure.behind.and_then(|index| project.migrations.get(index));
        if let Some(behind) = behind.filter(|behind| history.get(&behind.id).is_some()) {
            let also = format!("; {} was on its way behind it and is applied too", behind.path);
            failure.state.push_str(&also);
        }
        // A server that went down may have taken with it what was not on disk yet.
        let undone = finished.iter().filter(|id| history.get(id).is_none()).count();
        if undone > 0 {
            let (migrations, are) = if undone == 1 { ("migration", "is") } else { ("migrations", "are") };
            let gone = format!(
                "; the server went down before all was on disk: the last {undone} {migrations} told as applied {are} not in \
                 the database any more, and the next run applies them again (--durable-each waits for each)"
            );
            failure.state.push_str(&gone);
        }
        failure.parts.done = match history.begun(&migration.id) {
            _ if history.get(&migration.id).is_some() => failure.parts.of,
            begun => begun.map_or(0, |begun| u32::try_from(begun.done()).unwrap_or(u32::MAX)),
        };
    }
    session.close().await;
}

/// Ends the lost session where the server knows nothing of its loss: it would keep its transaction open, and what was on
/// its way could still arrive. One that is at work is left to it.
async fn end_silent(session: &mut Session, process: Option<i32>, run: &str) {
    let Some(process) = process else { return };
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE pid = $1 AND application_name = $2 AND state LIKE 'idle%'";
    let ended = session.query(end, &[&process, &application_name(run)]).await;
    tracing::debug!(?ended, process, "the session that fell silent");
}

/// What the history says of the migration at hand.
fn state(history: &History, migration: &Migration) -> String {
    let path = &migration.path;
    if history.get(&migration.id).is_some() {
        return format!("{path} is applied: its commit had reached the server");
    }
    let Some(begun) = history.begun(&migration.id) else {
        return format!("nothing of {path} is in the database");
    };
    if let Some(open) = begun.open() {
        return format!(
            "part {} of {path} runs outside a transaction and may still be running or be done; the next run looks and \
             goes on from there, or asks",
            open.unit + 1
        );
    }
    let done = begun.done();
    let (parts, are) = if done == 1 { ("part", "is") } else { ("parts", "are") };
    format!("of {path}, {done} {parts} {are} applied and recorded; the next run goes on from there")
}

/// What is known of the transaction at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has committed or is gone.
    Decided,
    /// It may still be open, or nobody could be asked.
    Unknown,
}

/// Waits for the transaction that may still hold the fencing row. An exclusive lock on the row is had only when it
/// has committed or is gone, and so is another token.
async fn fate(session: &mut Session, token: i64) -> Fate {
    let start = Instant::now();
    let ask = format!(
        "BEGIN; SET LOCAL lock_timeout = '200ms'; SELECT FROM cutover.fence WHERE token = {token} FOR UPDATE; ROLLBACK"
    );
    while start.elapsed() < PATIENCE {
        match session.execute("SELECT token FROM cutover.fence").await {
            Ok(done) if done.scalar() != Some(token.to_string().as_str()) => return Fate::Decided,
            Ok(_) => {}
            Err(_) => return Fate::Unknown,
        }
        match session.execute(&ask).await {
            Ok(_) => return Fate::Decided,
            Err(Failure::Server(message)) if message.code == sqlstate::LOCK_NOT_AVAILABLE => {
                if session.execute("ROLLBACK").await.is_err() {
                    return Fate::Unknown;
                }
            }
            Err(_) => return Fate::Unknown,
        }
    }
    Fate::Unknown
}
