//! Measuring one command. Inside a transaction the session's own locks and counters are read before it is rolled back.
//! What refuses transactions is run on a copy of the database against a session that holds one relation in one mode
//! after the other: the weakest that makes it wait tells the strongest mode it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover_analysis::effects::LockMode;
use cutover_analysis::sql::{Item, Splitter, quote_ident};
use cutover_postgres::sandbox::Sandbox;
use cutover_postgres::session::{Session, Startup};

use super::table::{Command, Measured};
use crate::Failure;

const TEMPLATE: &str = "locks";
/// "… cannot run inside a transaction block"
const REFUSES_TRANSACTIONS: &str = "25001";

pub(super) async fn all(
    server: &Sandbox,
    setup: &str,
    commands: &[Command],
) -> Result<Vec<Measured>, Failure> {
    server.create_database(TEMPLATE, None).await?;
    let mut session = connect(server, TEMPLATE).await?;
    for statement in statements(setup)? {
        session.execute(&statement).await.map_err(|failure| format!("{statement}: {failure}"))?;
    }
    let mut found = Vec::with_capacity(commands.len());
    let mut outside = Vec::new();
    for (n, command) in commands.iter().enumerate() {
        let measured = inside(&mut session, &statements(&command.sql)?).await?;
        if measured.is_none() {
            outside.push(n);
        }
        found.push(measured.unwrap_or_default());
    }
    // A database can be copied only while nobody is in it.
    session.close().await;
    for n in outside {
        found[n] = self::outside(server, &commands[n].sql).await?;
    }
    Ok(found)
}

async fn connect(server: &Sandbox, database: &str) -> Result<Session, Failure> {
    Ok(Session::connect(&server.options(database), &Startup::default()).await?)
}

fn statements(text: &str) -> Result<Vec<String>, Failure> {
    let mut statements = Vec::new();
    for item in Splitter::new(text.as_bytes()) {
        if let Item::Statement(statement) = item? {
            statements.push(statement.text);
        }
    }
    Ok(statements)
}

/// Files, scans and names of all relations, as the session sees them.
struct State {
    /// By object id: name and kind.
    relations: BTreeMap<u32, (String, String)>,
    /// By name: the file it is in.
    files: BTreeMap<String, u32>,
    /// By object id.
    scans: BTreeMap<u32, i64>,
}

async fn state(session: &mut Session, in_transaction: bool) -> Result<State, Failure> {
    let scans = if in_transaction { "pg_stat_get_xact_numscans" } else { "pg_stat_get_numscans" };
    let rows = session
        .query(
            &format!(
                "SELECT c.oid, c.relname::text, c.relkind::text, c.relfilenode, coalesce({scans}(c.oid), 0)
                   FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace"
            ),
            &[],
        )
        .await?;
    let mut state = State { relations: BTreeMap::new(), files: BTreeMap::new(), scans: BTreeMap::new() };
    for row in &rows {
        let (oid, name): (u32, String) = (row.get(0), row.get(1));
        state.files.insert(name.clone(), row.get(3));
        state.relations.insert(oid, (name, row.get(2)));
        state.scans.insert(oid, row.get(4));
    }
    Ok(state)
}

fn is_table(kind: &str) -> bool {
    matches!(kind, "r" | "p" | "v" | "m" | "f")
}

/// What changed on the way from one state to another.
fn differences(before: &State, after: &State) -> Measured {
    let mut measured = Measured::default();
    for (oid, (name, kind)) in &before.relations {
        let scanned = after.scans.get(oid).copied().unwrap_or(0) > before.scans[oid];
        if is_table(kind) && scanned {
            measured.scanned.push(name.clone());
        }
        let moved = after.files.get(name).is_some_and(|file| *file != before.files[name]);
        match kind.as_str() {
            _ if !moved => {}
            "i" | "I" => measured.rebuilt.push(name.clone()),
            _ if is_table(kind) => measured.rewritten.push(name.clone()),
            _ => {}
        }
    }
    for list in [&mut measured.rewritten, &mut measured.rebuilt, &mut measured.scanned] {
        list.sort_unstable();
    }
    measured
}

/// None where the command refuses to run in a transaction.
async fn inside(session: &mut Session, statements: &[String]) -> Result<Option<Measured>, Failure> {
    session.execute("BEGIN").await?;
    let before = state(session, true).await?;
    for statement in statements {
        if let Err(failure) = session.execute(statement).await {
            session.execute("ROLLBACK").await?;
            if failure.code() == Some(REFUSES_TRANSACTIONS) {
                return Ok(None);
            }
            let error = failure.to_string().lines().next().map(str::to_owned);
            return Ok(Some(Measured { error, ..Measured::default() }));
        }
    }
    let after = state(session, true).await?;
    let rows = session
        .query(
            "SELECT relation, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted",
            &[],
        )
        .await?;
    session.execute("ROLLBACK").await?;
    let mut strongest: BTreeMap<&str, LockMode> = BTreeMap::new();
    for row in &rows {
        let Some((name, kind)) = before.relations.get(&row.get(0)) else { continue };
        if let Some(mode) = mode(row.get(1)).filter(|_| is_table(kind)) {
            let known = strongest.entry(name).or_insert(mode);
            *known = mode.max(*known);
        }
    }
    let mut measured = differences(&before, &after);
    measured.locks = strongest.iter().map(|(name, mode)| lock(name, *mode)).collect();
    Ok(Some(measured))
}

fn mode(in_catalogue: &str) -> Option<LockMode> {
    LockMode::ALL.into_iter().find(|mode| mode.in_catalogue() == in_catalogue)
}

fn lock(name: &str, mode: LockMode) -> String {
    format!("{name}:{}", mode.short())
}

async fn outside(server: &Sandbox, sql: &str) -> Result<Measured, Failure> {
    let (mut measured, names) = alone(server, sql).await?;
    if measured.error.is_some() {
        return Ok(measured);
    }
    for name in names {
        let mut strongest = asked_for(server, sql, &name, LockMode::AccessExclusive).await?;
        if strongest.is_none() {
            continue;
        }
        // The weaker the mode that is in its way, the stronger the one it asks for.
        for held in LockMode::ALL {
            strongest = strongest.max(asked_for(server, sql, &name, held).await?);
        }
        measured.locks.extend(strongest.map(|mode| lock(&name, mode)));
    }
    // By name: a colon sorts behind a digit.
    measured.locks.sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
    Ok(measured)
}

/// What it does where nobody is in its way, and the names of all tables.
async fn alone(server: &Sandbox, sql: &str) -> Result<(Measured, Vec<String>), Failure> {
    const COPY: &str = "alone";
    server.create_database(COPY, Some(TEMPLATE)).await?;
    let mut watcher = connect(server, COPY).await?;
    let before = state(&mut watcher, false).await?;
    let mut session = connect(server, COPY).await?;
    let result = session.execute(sql).await;
    // A session's counters are there for others once it has ended.
    session.close().await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let after = state(&mut watcher, false).await?;
    watcher.close().await;
    let mut measured = differences(&before, &after);
    measured.error = result.err().and_then(|failure| failure.to_string().lines().next().map(str::to_owned));
    let tables = before.relations.values().filter(|(_, kind)| is_table(kind));
    let names = tables.map(|(name, _)| name.clone()).collect();
    server.drop_database(COPY).await?;
    Ok((measured, names))
}

/// The mode in which it waits for the relation while another session holds it in this one.
async fn asked_for(
    server: &Sandbox,
    sql: &str,
    relation: &str,
    held: LockMode,
) -> Result<Option<LockMode>, Failure> {
    const COPY: &str = "held";
    server.create_database(COPY, Some(TEMPLATE)).await?;
    let mut holder = connect(server, COPY).await?;
    holder.execute("BEGIN").await?;
    let locked = holder.execute(&format!("LOCK TABLE {} IN {held} MODE", quote_ident(relation))).await;
    let mut session = connect(server, COPY).await?;
    let pid: i32 = session.query("SELECT pg_backend_pid()", &[]).await?[0].get(0);
    let mut watcher = connect(server, COPY).await?;
    let mut asked = None;
    let mut ended = locked.is_err();
    {
        let command = session.execute(sql);
        tokio::pin!(command);
        // A relation that cannot be locked by hand (a materialized view before 14) is taken as not locked.
        while !ended {
            tokio::select! {
                _ = &mut command => {
                    ended = true;
                    continue;
                }
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
            if let Some((name, waited)) = waiting_for(&mut watcher, pid).await? {
                // Without a name it waits for the transaction to end, as CONCURRENTLY does.
                asked = name.filter(|name| name == relation).and_then(|_| mode(&waited));
                break;
            }
        }
        watcher.query("SELECT pg_terminate_backend($1)", &[&pid]).await?;
        if !ended {
            let _ = command.await;
        }
    }
    holder.close().await;
    watcher.close().await;
    drop_when_left(server, COPY).await?;
    Ok(asked)
}

/// What a session waits for, if it is a relation, and in which mode.
async fn waiting_for(watcher: &mut Session, pid: i32) -> Result<Option<(Option<String>, String)>, Failure> {
    let rows = watcher
        .query(
            "SELECT c.relname::text, l.mode FROM pg_locks l
               LEFT JOIN pg_class c ON l.locktype = 'relation' AND c.oid = l.relation
              WHERE l.pid = $1 AND NOT l.granted",
            &[&pid],
        )
        .await?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
}

/// Sessions need a moment to be gone.
async fn drop_when_left(server: &Sandbox, name: &str) -> Result<(), Failure> {
    for _ in 0..200 {
        if server.drop_database(name).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(server.drop_database(name).await?)
}
