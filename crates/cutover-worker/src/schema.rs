//! Schema `cutover_worker`: made by the first worker in one transaction, looked at by every other one.

use cutover_postgres::Row;
use cutover_postgres::session::Session;

use crate::error::WorkerError;

/// Version of the schema that this build makes.
pub const SCHEMA_VERSION: i32 = 1;

const SCHEMA: &str = include_str!("schema_v1.sql");

/// Begins a transaction in which names mean PostgreSQL's own.
pub(crate) const PINNED: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL search_path = pg_catalog, pg_temp";
/// The same for whoever only reads.
const PINNED_READ: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; SET LOCAL search_path = pg_catalog, pg_temp";

/// Several that begin at once: one makes the schema. For a transaction only, which poolers keep together.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(7235419804516208455)";

const LOOK: &str = "
SELECT n.oid IS NOT NULL, coalesce(quote_ident(o.rolname), ''), quote_ident(current_user), quote_ident(current_database()),
       pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on',
       has_database_privilege(current_database(), 'CREATE'),
       n.oid IS NULL OR o.rolsuper OR n.nspowner = d.datdba OR o.rolname = current_user
           OR (NOT me.rolsuper AND pg_has_role(current_user, n.nspowner, 'MEMBER')),
       coalesce((SELECT string_agg(c.relname::text, ', ' ORDER BY c.relname) FROM pg_class c
                  WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v')
                    AND (c.relowner <> n.nspowner OR c.relrowsecurity OR c.relhasrules AND c.relkind <> 'v'
                         OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal))), ''),
       coalesce((SELECT string_agg(p.proname::text, ', ' ORDER BY p.proname) FROM pg_proc p
                  WHERE p.pronamespace = n.oid AND p.proowner <> n.nspowner), ''),
       EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'meta' AND c.relkind = 'r'),
       n.oid IS NOT NULL AND has_schema_privilege(n.oid, 'USAGE'),
       coalesce((SELECT string_agg(c.relname::text, ', ' ORDER BY c.relname) FROM pg_class c
                  WHERE c.relnamespace = n.oid AND c.relkind = 'r' AND c.relname <> 'meta'
                    AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                             AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))), ''),
       coalesce((SELECT string_agg(c.relname::text, ', ' ORDER BY c.relname) FROM pg_class c
                  WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'v') AND NOT has_table_privilege(c.oid, 'SELECT')), '')
  FROM pg_database d
  JOIN pg_roles me ON me.rolname = current_user
  LEFT JOIN pg_namespace n ON n.nspname = 'cutover_worker'
  LEFT JOIN pg_roles o ON o.oid = n.nspowner
 WHERE d.datname = current_database()";

/// Makes the schema unless it is there: whether it was made.
///
/// # Errors
/// It cannot be made, may not be used, or is not to be trusted.
pub async fn ensure(session: &mut Session) -> Result<bool, WorkerError> {
    session.execute(PINNED).await?;
    match make(session).await {
        Ok(made) => {
            session.execute("COMMIT").await?;
            Ok(made)
        }
        Err(error) => {
            let _ = session.execute("ROLLBACK").await;
            Err(error)
        }
    }
}

async fn make(session: &mut Session) -> Result<bool, WorkerError> {
    if is_there(session, true).await? {
        return Ok(false);
    }
    session.execute(ONE_AT_A_TIME).await?;
    if is_there(session, true).await? {
        return Ok(false);
    }
    session.execute(SCHEMA).await?;
    Ok(true)
}

/// Begins a transaction that only reads, where the schema is there and may be read.
pub(crate) async fn begin_reading(session: &mut Session) -> Result<(), WorkerError> {
    session.execute(PINNED_READ).await?;
    if is_there(session, false).await? { Ok(()) } else { Err(WorkerError::Missing) }
}

/// Whether the schema is there, in a transaction under a pinned path.
async fn is_there(session: &mut Session, to_write: bool) -> Result<bool, WorkerError> {
    let rows = session.query_typed(LOOK, &[]).await?;
    let Some(row) = rows.first() else { return Err(WorkerError::Missing) };
    let (there, owner): (bool, String) = (row.get(0), row.get(1));
    let (role, database): (String, String) = (row.get(2), row.get(3));
    if to_write && row.get(4) {
        return Err(WorkerError::ReadOnly);
    }
    if !there {
        return match (to_write, row.get(5)) {
            (true, false) => Err(WorkerError::MayNotCreate { role, database }),
            _ => Ok(false),
        };
    }
    trusted(row, &owner)?;
    allowed(row, role, owner, to_write)?;
    let rows = session.query_typed("SELECT version FROM cutover_worker.meta", &[]).await?;
    match rows.first().map(|row| row.get::<_, i32>(0)) {
        Some(found) if found > SCHEMA_VERSION => Err(WorkerError::Newer { found, known: SCHEMA_VERSION }),
        Some(_) => Ok(true),
        None => Err(WorkerError::Foreign { owner: String::new(), why: "it has no version".into() }),
    }
}

fn trusted(row: &Row, owner: &str) -> Result<(), WorkerError> {
    let foreign = |why: String| Err(WorkerError::Foreign { owner: owner.to_owned(), why });
    if !row.get::<_, bool>(6) {
        return foreign("its owner is neither the current role, nor a role it belongs to, nor the owner of the database, nor a superuser".into());
    }
    for (column, what) in
        [(7, "have another owner, triggers, rules or row-level security"), (8, "have another owner")]
    {
        let altered: String = row.get(column);
        if !altered.is_empty() {
            return foreign(format!("these {what}: {altered}"));
        }
    }
    if !row.get::<_, bool>(9) {
        return foreign("it does not hold the worker's tables".into());
    }
    Ok(())
}

fn allowed(row: &Row, role: String, owner: String, to_write: bool) -> Result<(), WorkerError> {
    let mut grants = Vec::new();
    let mut missing = Vec::new();
    if !row.get::<_, bool>(10) {
        missing.push("the schema itself".to_owned());
        grants.push(format!("GRANT USAGE ON SCHEMA cutover_worker TO {role};"));
    }
    let (to_change, to_read): (String, String) = (row.get(11), row.get(12));
    if to_write && !to_change.is_empty() {
        missing.push(to_change);
        grants.push(format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA cutover_worker TO {role};"
        ));
    } else if !to_read.is_empty() {
        missing.push(to_read);
        grants.push(format!("GRANT SELECT ON ALL TABLES IN SCHEMA cutover_worker TO {role};"));
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(WorkerError::Rights { role, owner, missing: missing.join(", "), grants })
}
