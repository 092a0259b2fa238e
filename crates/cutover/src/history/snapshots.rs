//! Schemas as runs left them: what drift is measured against.

use cutover_analysis::schema::Schema;
use cutover_analysis::sql::quote_literal;
use cutover_postgres::session::{Failure, Session};

use super::{HistoryError, compress};
use crate::catalog;

/// The version of our tables from which on there are snapshots.
pub const SINCE: i32 = 2;

/// The schema that the database had when a run ended, or when somebody accepted it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The project whose run it was, or in whose name it was accepted: all of them record all of the database.
    pub project: String,
    /// The run; none where somebody accepted what was there.
    pub run: Option<String>,
    /// Who accepted it.
    pub accepted_by: Option<String>,
    /// When, microseconds since the Unix epoch.
    pub at_micros: i64,
    /// How many migrations of the project were applied then.
    pub applied: i32,
    /// How many are applied now.
    pub applied_now: i64,
    /// The schema; none where it was too large to keep.
    pub schema: Option<Schema>,
}

/// The statement that stores a schema: of a run where `run` says which, else accepted by `accepted_by`.
///
/// # Errors
/// When the schema cannot be written as JSON.
pub(crate) fn insert(
    project: &str,
    run: Option<&str>,
    accepted_by: Option<&str>,
    schema: &Schema,
) -> Result<String, serde_json::Error> {
    let mut keeper = compress::Keeper::new();
    keeper.push(&serde_json::to_vec(schema)?);
    let kept = keeper.finish().map_or_else(|| "NULL".to_owned(), |bytes| super::journal::bytea(&bytes));
    let literal = |text: Option<&str>| text.map_or_else(|| "NULL".to_owned(), quote_literal);
    let project = quote_literal(project);
    Ok(format!(
        "INSERT INTO cutover.snapshot (project, run, applied, fingerprint, accepted_by, schema) \
         SELECT {project}, {}, (SELECT count(*) FROM cutover.migration WHERE project = {project}), {}, {}, {kept}",
        literal(run),
        quote_literal(&catalog::fingerprint(schema)),
        literal(accepted_by),
    ))
}

/// The last schema of a database that a project has a part in: the newest of any project; none where no run of this one has
/// stored one. Numbers of migrations are of this project.
///
/// # Errors
/// As the server says, or [`HistoryError::Unexpected`] for a row that cannot be read.
pub async fn last(session: &mut Session, project: &str) -> Result<Option<Snapshot>, HistoryError> {
    let sql = "SELECT n.run, n.accepted_by, (extract(epoch FROM n.at) * 1000000)::int8, s.applied, n.schema,
                      (SELECT count(*) FROM cutover.migration m WHERE m.project = s.project), n.project
                 FROM (SELECT project, applied FROM cutover.snapshot WHERE project = $1 ORDER BY at DESC LIMIT 1) s,
                      (SELECT * FROM cutover.snapshot ORDER BY at DESC LIMIT 1) n";
    let rows = session.query(sql, &[&project]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let schema = row.get::<_, Option<Vec<u8>>>(4);
    let schema = schema.map(|bytes| read(&bytes)).transpose().map_err(HistoryError::Unexpected)?;
    Ok(Some(Snapshot {
        run: row.get(0),
        accepted_by: row.get(1),
        at_micros: row.get(2),
        applied: row.get(3),
        applied_now: row.get(5),
        schema,
        project: row.get(6),
    }))
}

/// The schema that was recorded last, by whichever project: all of them record all of the database.
///
/// # Errors
/// As [`last`].
pub async fn last_of_any(session: &mut Session) -> Result<Option<Schema>, HistoryError> {
    let sql = "SELECT schema FROM cutover.snapshot ORDER BY at DESC LIMIT 1";
    let rows = session.query(sql, &[]).await?;
    let bytes = rows.first().and_then(|row| row.get::<_, Option<Vec<u8>>>(0));
    bytes.map(|bytes| read(&bytes)).transpose().map_err(HistoryError::Unexpected)
}

fn read(bytes: &[u8]) -> Result<Schema, String> {
    let text =
        compress::unpack(bytes).map_err(|error| format!("a stored schema cannot be unpacked: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("a stored schema cannot be read: {error}"))
}

/// Whether this role may store a schema. Whoever was granted what an earlier version needed may write the history and not this: a
/// run must not fail by it.
///
/// # Errors
/// As the server says.
pub(crate) async fn may_store(session: &mut Session) -> Result<bool, Failure> {
    let may =
        session.query_text("SELECT pg_catalog.has_table_privilege('cutover.snapshot', 'INSERT')").await?;
    Ok(may.scalar() == Some("t"))
}

/// Stores what is there now as what should be there.
///
/// # Errors
/// As the server says.
pub(crate) async fn store(session: &mut Session, record: &str) -> Result<(), Failure> {
    let text = format!(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp; {record}; COMMIT"
    );
    match session.execute(&text).await {
        Ok(_) => Ok(()),
        Err(failure) => {
            if !session.is_closed() {
                let _ = session.execute("ROLLBACK").await;
            }
            Err(failure)
        }
    }
}
