//! Statements outside a transaction are watched by another session. A third one uses their tables meanwhile as a client that
//! writes does, and goes as soon as the statement waits for it: so the statement is seen with the locks that it holds while it
//! waits, however quickly it would be done with an empty table.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover_analysis::effects::LockMode;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup, StatementOutcome};
use tokio::time::Instant;

use super::error::RehearseError;
use super::model::{Held, Waiting};
use super::trace::Relations;

/// Between two looks.
const LOOKS: Duration = Duration::from_millis(1);

/// What came of a statement.
pub(super) struct Outside {
    pub(super) outcome: StatementOutcome,
    /// The locks it was seen with; the lines are not theirs yet.
    pub(super) locks: Vec<Held>,
}

/// Runs a statement in one session while another watches. `tables`: what it is thought to lock, by their shown names.
pub(super) async fn run(
    (session, watcher): (&mut Session, &mut Session),
    options: &ConnectOptions,
    (text, tables): (&str, &[String]),
    (relations, began): (&Relations, Instant),
    ground: u32,
) -> Result<Outside, RehearseError> {
    let mut client = Session::connect(options, &Startup::default()).await?;
    let mut is_using = begin_to_use(&mut client, tables).await?;
    let pid = session.backend_pid();
    let flight = session.launch(text).await;
    let mut seen = Seen { ground, ..Seen::default() };
    let outcome = {
        let landing = session.land(flight);
        tokio::pin!(landing);
        loop {
            tokio::select! {
                biased;
                outcome = &mut landing => break outcome,
                () = tokio::time::sleep(LOOKS) => {}
            }
            let is_waiting = seen.look(watcher, pid, (relations, began)).await?;
            if is_waiting && is_using {
                client.execute("ROLLBACK").await?;
                is_using = false;
            }
        }
    };
    client.close().await;
    seen.ends(began.elapsed());
    Ok(Outside { outcome, locks: seen.locks.into_values().collect() })
}

/// Uses the tables in an open transaction; says whether any could be.
async fn begin_to_use(client: &mut Session, tables: &[String]) -> Result<bool, Failure> {
    client.execute("BEGIN").await?;
    let mut is_using = false;
    for table in tables {
        client.execute("SAVEPOINT cutover_client").await?;
        // Names come quoted from the server.
        match client.execute(&format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE")).await {
            Ok(_) => is_using = true,
            Err(failure @ Failure::Lost(_)) => return Err(failure),
            Err(_) => {
                client.execute("ROLLBACK TO SAVEPOINT cutover_client").await?;
            }
        }
    }
    Ok(is_using)
}

/// What was seen of a statement.
#[derive(Default)]
struct Seen {
    /// Relations up to this number were there before the first migration.
    ground: u32,
    locks: BTreeMap<String, Held>,
    /// Since when it waits for somebody.
    waits: Option<Duration>,
}

impl Seen {
    /// Looks once; says whether the statement waits.
    async fn look(
        &mut self,
        watcher: &mut Session,
        pid: i32,
        (relations, began): (&Relations, Instant),
    ) -> Result<bool, RehearseError> {
        let sql = format!(
            "SELECT relation, mode, granted FROM pg_catalog.pg_locks WHERE pid = {pid} AND (NOT granted OR relation >= 16384)"
        );
        let rows = watcher.query_text(&sql).await?.rows;
        let now = began.elapsed();
        let mut is_waiting = false;
        for row in &rows {
            let [relation, Some(mode), Some(granted)] = row.as_slice() else { continue };
            let is_granted = granted == "t";
            is_waiting |= !is_granted;
            let mode = LockMode::ALL.into_iter().find(|known| known.in_catalogue() == mode);
            let oid = relation.as_deref().and_then(|oid| oid.parse::<u32>().ok());
            let relation = oid.and_then(|oid| Some((oid, relations.get(oid)?)));
            let (Some(mode), Some((oid, relation))) = (mode, relation) else { continue };
            self.locked(relation, oid > self.ground, mode, now);
        }
        if is_waiting {
            self.waits.get_or_insert(now);
        } else {
            self.ends_waiting(now);
        }
        Ok(is_waiting)
    }

    fn locked(&mut self, relation: &super::trace::Relation, is_new: bool, mode: LockMode, now: Duration) {
        let held = self.locks.entry(relation.name.clone()).or_insert_with(|| Held {
            relation: relation.name.clone(),
            is_table: relation.is_table(),
            is_new,
            mode,
            from: now,
            to: now,
            waiting: None,
            line: 0,
        });
        held.mode = held.mode.max(mode);
        held.to = now;
    }

    fn ends_waiting(&mut self, now: Duration) {
        let Some(from) = self.waits.take() else { return };
        for held in self.locks.values_mut().filter(|held| held.waiting.is_none() && held.is_table) {
            held.waiting = Some(Waiting { from, to: now });
        }
    }

    fn ends(&mut self, now: Duration) {
        self.ends_waiting(now);
        for held in self.locks.values_mut() {
            held.to = now;
        }
    }
}
