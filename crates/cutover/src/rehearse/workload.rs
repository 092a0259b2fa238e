//! Clients at work while the migrations run: one that reads and one that writes for each table that is locked. A second pass, in
//! a copy of its own, so that the first one measures nothing but the migrations.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
/// Between two looks at how far clients are, and how long they are waited for.
const LOOKS: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(10);

/// The tables that clients are to use: those there before that somebody would have to wait for, the longest held first.
fn tables(rehearsal: &Rehearsal) -> Vec<String> {
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
    /// Counts the migrations that clients are waited for behind.
    round: AtomicU64,
    /// The round in which each client has begun its last statement that is over.
    reached: Vec<AtomicU64>,
}

impl Shared {
    fn during(&self) -> (String, Duration) {
        self.during.lock().map(|during| during.clone()).unwrap_or_default()
    }

    /// Waits until each client has run a statement from here on: what breaks then was broken by what ran last, and by nothing that is
    /// still to come.
    async fn all_have_looked(&self) {
        let round = self.round.fetch_add(1, Ordering::SeqCst) + 1;
        let began = Instant::now();
        while began.elapsed() < PATIENCE
            && self.reached.iter().any(|reached| reached.load(Ordering::SeqCst) < round)
        {
            tokio::time::sleep(LOOKS).await;
        }
    }
}

/// Applies the migrations once more, with clients at work.
pub(super) async fn run(
    project: &Project,
    base: &Base,
    sandbox: &SandboxProvider,
    migrations: &[&Migration],
    rehearsal: &Rehearsal,
    limit: Duration,
) -> Result<Workload, RehearseError> {
    let tables = tables(rehearsal);
    if tables.is_empty() {
        return Ok(Workload { limit, felt: Vec::new(), failed: Vec::new() });
    }
    let copy = base.copy(sandbox).await?;
    let traced = rehearsal.migrations.iter();
    let holds_up: Vec<&str> = traced
        .filter(|traced| traced.locks.iter().any(super::model::Held::holds_up))
        .map(|traced| traced.path.as_str())
        .collect();
    let felt = pass(project, base, &copy, migrations, (&tables, &holds_up), limit).await;
    copy.finish().await;
    let (felt, failed) = felt?;
    Ok(Workload { limit, felt, failed })
}

async fn pass(
    project: &Project,
    base: &Base,
    copy: &Scratch,
    migrations: &[&Migration],
    (tables, holds_up): (&[String], &[&str]),
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
        round: AtomicU64::new(0),
        reached: clients.iter().map(|_| AtomicU64::new(0)).collect(),
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
            if holds_up.contains(&migration.path.as_str()) {
                shared.all_have_looked().await;
            }
        }
        shared.is_over.store(true, Ordering::Relaxed);
        session.close().await;
        failed
    };
    let (felt, failed) = tokio::join!(
        join_all(clients.into_iter().enumerate().map(|(place, client)| client.work(&shared, place))),
        work
    );
    Ok((felt, failed))
}

/// A client of one table.
struct Client {
    session: Session,
    felt: Felt,
    text: String,
    /// What it has prepared is there.
    is_prepared: bool,
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
        let mut client = Self { session, felt, text: String::new(), is_prepared: writes };
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

    /// As an application does: a reader with a statement that it prepared once, and again where it is lost.
    async fn once(&mut self) -> Result<(), Failure> {
        if !self.is_prepared {
            let table = &self.felt.table;
            self.session.execute(&format!("PREPARE cutover_reads AS SELECT * FROM {table} LIMIT 1")).await?;
            self.is_prepared = true;
        }
        self.session.execute(&self.text).await?;
        Ok(())
    }

    async fn work(mut self, shared: &Shared, place: usize) -> Felt {
        loop {
            // Once more behind the last migration: that one may have broken its statement.
            let is_last = shared.is_over.load(Ordering::Relaxed);
            let round = shared.round.load(Ordering::SeqCst);
            let (from, began) = (shared.began.elapsed(), Instant::now());
            let done = self.once().await;
            let took = began.elapsed();
            // Nothing else begins until clients have looked: what is named now is to blame.
            let (during, ran) = shared.during();
            self.felt.statements += 1;
            self.felt.longest = self.felt.longest.max(took);
            if took > shared.limit && self.felt.blocked.len() < KEPT {
                let (during, since) = (during.clone(), from.saturating_sub(ran));
                self.felt.blocked.push(Blocked { from, took, during, since });
            }
            if let Err(failure) = done {
                self.hurt(&failure, during).await;
            }
            if let Some(reached) = shared.reached.get(place) {
                reached.store(round, Ordering::SeqCst);
            }
            if is_last {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.session.close().await;
        self.felt
    }

    async fn hurt(&mut self, failure: &Failure, during: String) {
        let message = failure_text(failure);
        match self.felt.errors.iter_mut().find(|hurt| hurt.message == message) {
            Some(hurt) => hurt.times += 1,
            None => self.felt.errors.push(Hurt { message, during, times: 1 }),
        }
        if self.felt.writes {
            let _ = self.session.execute("ROLLBACK").await;
        } else if std::mem::take(&mut self.is_prepared) {
            // As a driver does that has lost its statement: it prepares it again the next time.
            let _ = self.session.execute("DEALLOCATE cutover_reads").await;
        }
    }
}

const EXECUTE: &str = "EXECUTE cutover_reads";
