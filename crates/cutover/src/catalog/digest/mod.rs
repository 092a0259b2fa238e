//! How many rows a table has and a digest of what is in them, in constant memory and whatever their order.
//!
//! Rows come as binary COPY, each is hashed with XXH3 (128 bits) and the hashes are added up modulo 2^128. Two tables
//! with equal count and digest hold the same rows, short of someone forging them: it is no cryptographic hash.
//! Values count as they are stored: `1.0` and `1.00` differ, `json` is compared as text. Column names do not count.
//!
//! Memory is bounded by the longest row, not by the table. Time is a small multiple of a sequential scan.

mod apart;
mod pieces;
mod rows;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use cutover_analysis::sql::quote_literal;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use self::pieces::Source;
use self::rows::{RowSum, Rows};
use super::CatalogError;

/// Row count and digest of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDigest {
    /// Number of rows.
    pub rows: u64,
    /// 32 hex digits.
    pub digest: String,
}

impl From<RowSum> for TableDigest {
    fn from(total: RowSum) -> Self {
        Self { rows: total.rows, digest: format!("{:032x}", total.sum) }
    }
}

/// How long a table's lock is waited for.
const LOCK_TIMEOUT: &str = "10s";

/// The digest of one table, view, materialized view or foreign table, named as SQL spells it and found by the search
/// path of the connection.
///
/// # Errors
/// [`CatalogError::NoSuchTable`]; and as the server says, also when row-level security would hide rows (42501).
pub async fn digest(options: &ConnectOptions, table: &str) -> Result<TableDigest, CatalogError> {
    let mut found = digests(options, &[table.to_owned()]).await?;
    found.pop().ok_or_else(|| CatalogError::NoSuchTable(table.to_owned()))
}

/// The digests of several tables in one snapshot, in the order asked for.
///
/// # Errors
/// As [`digest`], for the first table that fails.
pub async fn digests(options: &ConnectOptions, tables: &[String]) -> Result<Vec<TableDigest>, CatalogError> {
    let (options, tables) = (options.clone(), tables.to_vec());
    apart::run(move || async move { read_all(&options, &tables).await }).await
}

async fn read_all(options: &ConnectOptions, tables: &[String]) -> Result<Vec<TableDigest>, CatalogError> {
    let mut leader = connect(options).await?;
    let mut sources = Vec::with_capacity(tables.len());
    for table in tables {
        sources.push(pieces::find(&mut leader, table).await?);
    }
    begin(&mut leader, &sources).await?;
    let mut helper = Helper::NotYet;
    let mut found = Vec::with_capacity(sources.len());
    for source in &sources {
        found.push(read(options, &mut leader, &mut helper, source).await?.into());
    }
    if let Helper::Ready(session) = helper {
        session.close().await;
    }
    leader.close().await;
    Ok(found)
}

/// The second connection, made when there is work for it.
enum Helper {
    NotYet,
    Ready(Box<Session>),
    /// None to be had: the leader does all the work.
    Refused,
}

/// Settings that what is read, or how it is printed, depends on.
async fn connect(options: &ConnectOptions) -> Result<Session, CatalogError> {
    let settings = [
        ("row_security", "off"),
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO, YMD"),
        ("IntervalStyle", "postgres"),
        ("extra_float_digits", "3"),
        ("bytea_output", "hex"),
        ("lc_monetary", "C"),
        ("statement_timeout", "0"),
        ("lock_timeout", LOCK_TIMEOUT),
        ("jit", "off"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let startup = Startup { settings, ..Startup::default() };
    Ok(Session::connect(options, &startup).await?)
}

/// First server version on which whoever may lock a table may lock its partitions with it.
const LOCKS_AS_IT_READS: u32 = 130_000;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Opens the snapshot. Tables are locked before it is taken: TRUNCATE or a rewrite in between would show them empty.
async fn begin(leader: &mut Session, sources: &[Source]) -> Result<(), CatalogError> {
    leader.execute(BEGIN).await?;
    for source in sources.iter().filter(|source| source.lockable) {
        // Before 13 the right to lock a table is not enough for its partitions, which a query may read all the same.
        let alone =
            leader.server_version_num() < LOCKS_AS_IT_READS && !pieces::all_readable(leader, source).await?;
        let only = if alone { "ONLY " } else { "" };
        leader.execute(&format!("LOCK TABLE {only}{} IN ACCESS SHARE MODE", source.name)).await?;
    }
    Ok(())
}

async fn read(
    options: &ConnectOptions,
    leader: &mut Session,
    helper: &mut Helper,
    source: &Source,
) -> Result<RowSum, CatalogError> {
    leader.execute("SET LOCAL search_path = pg_catalog").await?;
    let pieces: VecDeque<String> = pieces::pieces(leader, source).await?.into();
    if !source.is_table {
        // A view may call functions that rely on the path.
        leader.execute("SET LOCAL search_path TO DEFAULT").await?;
    }
    if pieces.len() > 1 && matches!(helper, Helper::NotYet) {
        *helper = join(options, leader).await;
    }
    let queue = Mutex::new(pieces);
    let Helper::Ready(helper) = helper else { return drain(leader, &queue).await };
    let (mut total, other) = tokio::try_join!(drain(leader, &queue), drain(helper, &queue))?;
    total.merge(other);
    Ok(total)
}

/// A second connection in the leader's snapshot. Where there is none to be had, one is enough.
async fn join(options: &ConnectOptions, leader: &mut Session) -> Helper {
    match try_join(options, leader).await {
        Ok(session) => Helper::Ready(Box::new(session)),
        Err(error) => {
            tracing::debug!(%error, "digest goes on with one connection");
            Helper::Refused
        }
    }
}

async fn try_join(options: &ConnectOptions, leader: &mut Session) -> Result<Session, CatalogError> {
    let mut session = connect(options).await?;
    let snapshot = leader.query_text("SELECT pg_catalog.pg_export_snapshot()").await?;
    let snapshot = quote_literal(snapshot.scalar().unwrap_or_default());
    session.execute(BEGIN).await?;
    session
        .execute(&format!("SET TRANSACTION SNAPSHOT {snapshot}; SET LOCAL search_path = pg_catalog"))
        .await?;
    Ok(session)
}

/// Reads pieces until none is left.
async fn drain(session: &mut Session, queue: &Mutex<VecDeque<String>>) -> Result<RowSum, CatalogError> {
    let mut total = RowSum::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(copy) = next else { return Ok(total) };
        let rows = session.copy_into(&copy, Rows::new()).await?;
        total.merge(rows.finish().map_err(CatalogError::Stream)?);
    }
}
