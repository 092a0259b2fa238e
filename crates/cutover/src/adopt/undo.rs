//! Taking an adoption back: its records go, and nothing else does. The other tool goes on where it was.

use cutover_analysis::sql::quote_literal;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};

use super::AdoptError;
use crate::apply::{may_write, pooler, run_id};
use crate::clock::Clock;
use crate::history::schema;
use crate::inspect;
use crate::project::Project;
use crate::recording::{self, RecordError};
use crate::text::visible;
use crate::unheard;

/// What would be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoOutlook {
    /// Name of the database.
    pub database: String,
    /// Number of migrations whose record goes.
    pub migrations: usize,
    /// The tables that they were adopted from, in words.
    pub tables: Vec<String>,
}

/// What was taken back: the number of migrations that are not recorded any more.
pub type TakenBack = usize;

/// The version of our tables from which on there are adopted rows.
const SINCE: i32 = 2;

/// Looks at what would be taken back. Writes nothing and takes no lock.
///
/// # Errors
/// [`AdoptError::NotTakenBack`] where nothing was adopted, or something was applied or taken back since, or as the server says.
pub async fn look_at_undo(project: &Project, options: &ConnectOptions) -> Result<UndoOutlook, AdoptError> {
    let mut session = inspect::connect(options, None).await?;
    let found = schema::look(&mut session).await?;
    pooler::refuse(&found, &mut session, options, "adopt").await?;
    may_write(&found)?;
    let outlook = look(project, &found, &mut session).await?;
    session.close().await;
    Ok(outlook)
}

/// What stands in the way: applied or begun by cutover itself, or adopted and reverted. What was applied here and reverted does not: all is
/// as the other tool left it. (Events of an adoption are written when what it recorded is reverted: before, the rows stand for them.)
const SINCE_THEN: &str = "
SELECT path || ' was ' || CASE WHEN attempts = 0 THEN 'recorded' ELSE 'applied' END || ' by run ' || run
  FROM cutover.migration WHERE project = $1 AND run NOT IN (SELECT run FROM cutover.adoption)
UNION ALL
SELECT b.path || ' was begun by run ' || b.run FROM cutover.begun b
 WHERE b.project = $1 AND EXISTS (SELECT FROM cutover.unit u WHERE u.project = $1 AND u.root = b.root
                                     AND u.version = b.version AND u.state <> 'failed')
UNION ALL
SELECT (e.event ->> 'path') || ' was taken over, and reverted since'
  FROM cutover.event e
 WHERE e.event ->> 'event' = 'step_started' AND e.run IN (SELECT run FROM cutover.adoption WHERE project = $1)
 ORDER BY 1";

/// How many migrations are adopted, and from where.
const ADOPTED: &str = "
SELECT (SELECT count(*) FROM cutover.migration WHERE project = $1 AND run IN (SELECT run FROM cutover.adoption)),
       coalesce(string_agg(DISTINCT table_schema || '.' || table_name, chr(30)), '')
  FROM cutover.adoption WHERE project = $1";

async fn look(
    project: &Project,
    found: &schema::Found,
    session: &mut Session,
) -> Result<UndoOutlook, AdoptError> {
    let nothing = || {
        let why = format!(
            "nothing of project {} was adopted in database {}",
            visible(&project.name),
            visible(&found.database)
        );
        AdoptError::NotTakenBack(vec![why], "`cutover status` says what is applied")
    };
    if found.version.is_none_or(|version| version < SINCE) {
        return Err(nothing());
    }
    let rows = session.query(ADOPTED, &[&project.name]).await?;
    let (migrations, tables): (i64, String) =
        rows.first().map(|row| (row.get(0), row.get(1))).unwrap_or_default();
    if migrations == 0 {
        return Err(nothing());
    }
    let rows = session.query(SINCE_THEN, &[&project.name]).await?;
    let since: Vec<String> = rows.iter().map(|row| visible(row.get(0))).collect();
    if !since.is_empty() {
        return Err(AdoptError::NotTakenBack(
            since,
            "the other tool knows nothing of that: its table would say less than is there; see docs/adopt.md",
        ));
    }
    Ok(UndoOutlook {
        database: found.database.clone(),
        migrations: usize::try_from(migrations).unwrap_or(0),
        tables: tables.split('\u{1e}').map(visible).collect(),
    })
}

/// Takes the adoption back that was looked at: the records of its migrations and the stored schemas go, in one transaction,
/// under the runner's lock. The journal keeps the runs.
///
/// # Errors
/// See [`AdoptError`]; nothing was taken back then, unless it says otherwise.
pub async fn undo(
    project: &Project,
    options: &ConnectOptions,
    operator: &str,
    clock: &dyn Clock,
    outlook: &UndoOutlook,
) -> Result<TakenBack, AdoptError> {
    let id = run_id(clock);
    let mut session = recording::locked(options, &id).await?;
    let found = schema::look(&mut session).await?;
    if look(project, &found, &mut session).await? != *outlook {
        return Err(RecordError::Moved.into());
    }
    recording::take_token(&mut session, &id, operator).await?;
    let named = quote_literal(&project.name);
    let text = format!(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp; \
         DELETE FROM cutover.snapshot WHERE project = {named}; \
         DELETE FROM cutover.migration WHERE project = {named} AND run IN (SELECT run FROM cutover.adoption); \
         DELETE FROM cutover.adoption WHERE project = {named}; COMMIT"
    );
    match session.execute(&text).await {
        Ok(_) => {}
        Err(lost @ Failure::Lost(_)) => was_taken_back(project, options, &id, lost).await?,
        Err(failure) => {
            let _ = session.execute("ROLLBACK").await;
            return Err(failure.into());
        }
    }
    session.close().await;
    Ok(outlook.migrations)
}

/// The connection was lost before it was said that all is gone: the history is asked.
async fn was_taken_back(
    project: &Project,
    options: &ConnectOptions,
    id: &str,
    lost: Failure,
) -> Result<(), AdoptError> {
    let Some(mut session) = unheard::look_again(options, id).await else {
        return Err(RecordError::Unheard(lost).into());
    };
    let sql = "SELECT FROM cutover.adoption WHERE project = $1 LIMIT 1";
    let rows = session.query(sql, &[&project.name]).await;
    session.close().await;
    match rows {
        Ok(rows) if rows.is_empty() => Ok(()),
        Ok(_) => Err(lost.into()),
        Err(_) => Err(RecordError::Unheard(lost).into()),
    }
}

impl UndoOutlook {
    /// The tables, for a sentence.
    pub fn from(&self) -> String {
        self.tables.join(" and ")
    }
}
