//! The tables in schema `cutover`: their text, version, upgrade and who may own them.
//!
//! Everything here is qualified and runs with `search_path = pg_catalog, pg_temp`. Nothing of a user's is touched.

use cutover_postgres::session::{Failure, Session};

use super::HistoryError;
use crate::plan::Target;

/// The schema that holds our tables and nothing else.
pub const SCHEMA: &str = cutover_analysis::ours::HISTORY;

/// Version of the tables this build writes. A database with a higher one is refused, a lower one is upgraded.
pub const SCHEMA_VERSION: i32 = 2;

/// Upgrades in order: entry `n` takes version `n` to `n + 1`. All pending ones run in one transaction.
const UPGRADES: &[&str] = &[include_str!("schema_v1.sql"), include_str!("schema_v2.sql")];

/// The tables that are ours, as a list of SQL. Other relations there are nobody's harm: everything of ours is qualified.
const OURS: &str =
    "'meta', 'fence', 'run', 'event', 'migration', 'unit', 'begun', 'deferral', 'adoption', 'snapshot'";

/// What is found in a database before anything is written.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts about a database, not a state")]
pub struct Found {
    /// Version of our tables, `None` where schema `cutover` does not exist.
    pub version: Option<i32>,
    /// Owner of schema `cutover`, where it exists.
    pub owner: Option<String>,
    /// Current role.
    pub role: String,
    /// Name of the database.
    pub database: String,
    /// Server version number, e.g. 150018.
    pub server_version_num: u32,
    /// Server version as text.
    pub server_version: String,
    /// Whether the server is a replica.
    pub in_recovery: bool,
    /// Whether transactions are read-only by default here.
    pub read_only: bool,
    /// Whether the role may create schemas in this database.
    pub may_create_schema: bool,
    /// Identifier of the cluster, empty where the role may not read it.
    pub system_identifier: String,
    /// The process that answered is not the one that let the session in: a connection pooler is in between.
    pub pooled: bool,
}

impl Found {
    /// What a plan made here is for.
    pub fn target(&self) -> Target {
        Target {
            system_identifier: self.system_identifier.clone(),
            database: self.database.clone(),
            server_version_num: self.server_version_num,
        }
    }
}

/// The search path that every session for our own statements begins with.
pub const SEARCH_PATH: &str = "pg_catalog, pg_temp";

fn look_query() -> String {
    format!(
        "
SELECT current_user::text, current_database()::text, current_setting('server_version_num')::int4,
       current_setting('server_version'), pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
       has_database_privilege(current_database(), 'CREATE'),
       CASE WHEN has_function_privilege('pg_control_system()', 'EXECUTE')
            THEN (SELECT system_identifier::text FROM pg_control_system()) ELSE '' END,
       me.rolsuper, n.oid IS NOT NULL, coalesce(o.rolname::text, ''), coalesce(o.rolsuper, false),
       coalesce(n.nspowner = d.datdba, false),
       CASE WHEN n.oid IS NULL THEN false ELSE pg_has_role(current_user, n.nspowner, 'MEMBER') END,
       coalesce((SELECT string_agg(c.relname::text, ', ') FROM pg_class c WHERE c.relnamespace = n.oid
                 AND c.relname IN ({OURS}) AND (c.relowner <> n.nspowner OR c.relhasrules OR c.relrowsecurity
                      OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal))), ''),
       EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'meta' AND c.relkind = 'r'),
       pg_backend_pid(), current_setting('search_path'),
       CASE WHEN n.oid IS NULL THEN true ELSE has_schema_privilege(n.oid, 'USAGE') AND NOT EXISTS (
            SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r' AND c.relname IN ({OURS})
               AND NOT has_table_privilege(c.oid, 'SELECT')) END
  FROM pg_database d
  JOIN pg_roles me ON me.rolname = current_user
  LEFT JOIN pg_namespace n ON n.nspname = 'cutover'
  LEFT JOIN pg_roles o ON o.oid = n.nspowner
 WHERE d.datname = current_database()"
    )
}

/// Looks at the database without writing, and refuses a schema that somebody else prepared. The session has begun with
/// [`SEARCH_PATH`].
///
/// # Errors
/// [`HistoryError::Pooler`] when what the session was to begin with did not reach the server, [`HistoryError::ForeignSchema`] when schema `cutover` is not ours to trust, [`HistoryError::Unreadable`] when the role may
/// not read it, [`HistoryError::NewerSchema`] when a newer build wrote it, [`HistoryError::Failed`] for whatever the server says.
pub async fn look(session: &mut Session) -> Result<Found, HistoryError> {
    let rows = session.query(&look_query(), &[]).await?;
    let row = rows
        .first()
        .ok_or_else(|| HistoryError::Unexpected("the database did not describe itself".into()))?;
    let mut found = Found {
        version: None,
        owner: None,
        role: row.get(0),
        database: row.get(1),
        server_version_num: u32::try_from(row.get::<_, i32>(2)).unwrap_or(0),
        server_version: row.get(3),
        in_recovery: row.get(4),
        read_only: row.get(5),
        may_create_schema: row.get(6),
        system_identifier: row.get(7),
        pooled: row.get::<_, i32>(16) != session.backend_pid(),
    };
    if row.get::<_, &str>(17) != SEARCH_PATH {
        return Err(HistoryError::Pooler(
            "drops the settings (startup options) that a session begins with".into(),
        ));
    }
    if !row.get::<_, bool>(9) {
        return Ok(found);
    }
    let owner: String = row.get(10);
    found.owner = Some(owner.clone());
    let (superuser, owner_superuser, owned_by_database_owner, member): (bool, bool, bool, bool) =
        (row.get(8), row.get(11), row.get(12), row.get(13));
    // For a superuser pg_has_role is always true, so it proves nothing: any role that may create schemas could have
    // put triggers there that would run with a superuser's rights.
    let trusted = owner_superuser || owned_by_database_owner || (member && !superuser) || owner == found.role;
    let altered: String = row.get(14);
    if !trusted {
        return Err(HistoryError::ForeignSchema { owner, why: "its owner is neither the current role, nor a role it belongs to, nor the owner of the database, nor a superuser".into() });
    }
    if !altered.is_empty() {
        return Err(HistoryError::ForeignSchema {
            owner,
            why: format!("these tables have another owner, triggers, rules or row-level security: {altered}"),
        });
    }
    if row.get::<_, bool>(15) {
        if !row.get::<_, bool>(18) {
            return Err(HistoryError::Unreadable { owner, role: found.role });
        }
        let rows = session.query("SELECT version FROM cutover.meta", &[]).await?;
        found.version = rows.first().map(|row| row.get(0));
    }
    if found.version.is_none() {
        return Err(HistoryError::ForeignSchema { owner, why: "it does not hold this tool's tables".into() });
    }
    if let Some(version) = found.version.filter(|version| *version > SCHEMA_VERSION) {
        return Err(HistoryError::NewerSchema { found: version, known: SCHEMA_VERSION });
    }
    Ok(found)
}

/// The statements that make our tables, or bring those of an older version to this one; none where they are as they
/// should be.
pub(crate) fn upgrade_from(from: Option<i32>) -> Option<String> {
    let from = usize::try_from(from.unwrap_or(0)).unwrap_or(0);
    let script: String = UPGRADES.iter().skip(from).copied().collect();
    (!script.is_empty()).then_some(script)
}

/// Whether our tables are in the database, asked on any session.
///
/// # Errors
/// As the server says.
pub(crate) async fn is_there(session: &mut Session) -> Result<bool, Failure> {
    let rows = session.query("SELECT pg_catalog.to_regclass('cutover.meta') IS NOT NULL", &[]).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Creates or upgrades our tables, in one transaction. The caller holds the runner's lock.
///
/// # Errors
/// As the server says; nothing is left half done.
pub async fn create_or_upgrade(session: &mut Session, from: Option<i32>) -> Result<(), HistoryError> {
    let from = from.unwrap_or(0);
    if from >= SCHEMA_VERSION {
        return Ok(());
    }
    let mut script = String::from(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp;\n",
    );
    script.extend(upgrade_from(Some(from)));
    script.push_str("\nCOMMIT");
    match session.execute(&script).await {
        Ok(_) => Ok(()),
        Err(failure @ Failure::Lost(_)) => Err(failure.into()),
        Err(failure) => {
            // The batch stops at the first error and leaves the transaction open in its failed state.
            let _ = session.execute("ROLLBACK").await;
            Err(failure.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tables_that_are_made_are_ours() {
        let made: Vec<String> = UPGRADES
            .iter()
            .flat_map(|script| script.lines())
            .filter_map(|line| line.strip_prefix("CREATE TABLE cutover."))
            .map(|rest| format!("'{}'", rest.trim_end_matches(" (")))
            .collect();
        assert_eq!(made.join(", "), OURS);
    }
}
