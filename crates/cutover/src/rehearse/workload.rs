//! Clients at work while the migrations run: one that reads and one that writes for each table that is locked. A second pass, in
//! a copy of its own, so that the first one measures nothing but the migrations.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::error::RehearseError;
use super::ground::Base;
use super::model::{Blocked, Felt, Hurt, Rehearsal, Workload};
use crate::migration::Migration;
use crate::project::Project;
use crate::verify::replay;
use crate::verify::sandbox::Scratch;
use crate::verify::{SandboxProvider, failure_text};

/// Tables with clients at most: each takes two connections.
const TABLES: usize = 8;
/// Waits that are kept of one client.
const KEPT: usize = 100;
/// Between two statements of a client.
const PAUSE: Duration = Duration::from_millis(1);

/// The tables that clients are to use: those there before that somebody would have to wait for, the longest held first.
pub(super) fn tables(rehearsal: &Rehearsal) -> Vec<String> {
    let mut tables: Vec<(Duration, &str)> = Vec::new();
    let held = rehearsal.migrations.iter().flat_map(|traced| &traced.locks);
    for held in held.filter(|held| held.holds_up()) {
        match tables.iter_mut().find(|(_, table)| *table == held.relation) {
            Some((took, _)) => *took += held.took(),
            None => tables.push((held.took(), &held.relation)),
        }
    }
    tables.sort_by(|one, other| other.cmp(one));
    tables.into_iter().map(|(_, table)| table.to_owned()).collect()
}

/// What clients share with the run.
struct Shared {
    began: Instant,
    is_over: AtomicBool,
    /// The migration that runs, and since when.
    during: Mutex<(String, Duration)>,
    limit: Duration,
}

impl Shared {
    fn during(&self) -> (String, Duration) {
        self.during.lock().map(|during| during.clone()).unwrap_or_default()
    }
}

/// Applies the migrations once more, with clients at work.
pub(super) async fn run(
    project: &Project,
    base: &Base,
    sandbox: &SandboxProvider,
    migrations: &[&Migration],
    tables: &[String],
    limit: Duration,
) -> Result<Workload, RehearseError> {
    if tables.is_empty() {
        return Ok(Workload { limit, felt: Vec::new(), failed: Vec::new() });
    }
    let copy = base.copy(sandbox).await?;
    let felt = pass(project, base, &copy, migrations, tables, limit).await;
    copy.finish().await;
    let (felt, failed) = felt?;
    Ok(Workload { limit, felt, failed })
}

async fn pass(
    project: &Project,
    base: &Base,
    copy: &Scratch,
    migrations: &[&Migration],
    tables: &[String],
    limit: Duration,
) -> Result<(Vec<Felt>, Vec<String>), RehearseError> {
    let mut clients = Vec::new();
    for table in tables {
        if clients.len() >= 2 * TABLES {
            break;
        }
        for writes in [false, true] {
            clients.extend(Client::begin(&copy.options, table, writes).await?);
        }
    }
    if clients.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut session = Session::connect(&base.runner(copy), &base.startup()).await?;
    let databases = base.databases(copy);
    let shared = Shared {
        began: Instant::now(),
        is_over: AtomicBool::new(false),
        // What begins to wait before anything runs waits for the first one.
        during: Mutex::new((
            migrations.first().map(|first| first.path.clone()).unwrap_or_default(),
            Duration::ZERO,
        )),
        limit,
    };
    let work = async {
        let mut failed = Vec::new();
        for migration in migrations {
            if let Ok(mut during) = shared.during.lock() {
                *during = (migration.path.clone(), shared.began.elapsed());
            }
            if let Err(why) = replay::run_in(&mut session, databases.as_ref(), migration, &project.vars).await
            {
                failed.push(why);
            }
        }
        shared.is_over.store(true, Ordering::Relaxed);
        session.close().await;
        failed
    };
    let (felt, failed) = tokio::join!(join_all(clients.into_iter().map(|client| client.work(&shared))), work);
    Ok((felt, failed))
}

/// A client of one table.
struct Client {
    session: Session,
    felt: Felt,
    text: String,
}

impl Client {
    /// Nothing where the table cannot be used so, or is not there before the first migration.
    async fn begin(
        options: &ConnectOptions,
        table: &str,
        writes: bool,
    ) -> Result<Option<Self>, RehearseError> {
        let mut session = Session::connect(options, &Startup::default()).await?;
        let felt = Felt { table: table.to_owned(), writes, ..Felt::default() };
        let mut client = Self { session, felt, text: String::new() };
        // Names come quoted from the server. Whoever writes takes this lock first; no trigger and no row is needed for that.
        client.text = if writes {
            format!("BEGIN; LOCK TABLE {table} IN ROW EXCLUSIVE MODE; COMMIT")
        } else {
            EXECUTE.to_owned()
        };
        if client.once().await.is_ok() {
            return Ok(Some(client));
        }
        session = client.session;
        session.close().await;
        Ok(None)
    }

    /// As an application does: a reader with a statement that it prepared once.
    async fn once(&mut self) -> Result<(), Failure> {
        if !self.felt.writes && self.felt.statements == 0 {
            let table = &self.felt.table;
            self.session.execute(&format!("PREPARE cutover_reads AS SELECT * FROM {table} LIMIT 1")).await?;
            self.felt.statements = 1;
        }
        self.session.execute(&self.text).await?;
        Ok(())
    }

    async fn work(mut self, shared: &Shared) -> Felt {
        self.felt.statements = 0;
        let mut last_good = shared.during().0;
        loop {
            // Once more behind the last migration: that one may have broken its statement.
            let is_last = shared.is_over.load(Ordering::Relaxed);
            let ((during, ran), from, began) = (shared.during(), shared.began.elapsed(), Instant::now());
            let done = self.session.execute(&self.text).await;
            let took = began.elapsed();
            self.felt.statements += 1;
            self.felt.longest = self.felt.longest.max(took);
            if took > shared.limit && self.felt.blocked.len() < KEPT {
                self.felt.blocked.push(Blocked { from, took, during, since: from.saturating_sub(ran) });
            }
            match done {
                Ok(_) => last_good = shared.during().0,
                // Whatever broke it came behind its last good statement.
                Err(failure) => self.hurt(&failure, &last_good).await,
            }
            if is_last {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.session.close().await;
        self.felt
    }

    async fn hurt(&mut self, failure: &Failure, during: &str) {
        let (message, during) = (failure_text(failure), during.to_owned());
        match self.felt.errors.iter_mut().find(|hurt| hurt.message == message) {
            Some(hurt) => hurt.times += 1,
            None => self.felt.errors.push(Hurt { message, during, times: 1 }),
        }
        if self.felt.writes {
            let _ = self.session.execute("ROLLBACK").await;
        } else {
            // As a driver does that has lost its statement.
            let table = &self.felt.table;
            let again =
                format!("DEALLOCATE cutover_reads; PREPARE cutover_reads AS SELECT * FROM {table} LIMIT 1");
            let _ = self.session.execute(&again).await;
        }
    }
}

const EXECUTE: &str = "EXECUTE cutover_reads";
