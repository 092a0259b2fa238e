//! Writing an adoption down: under the runner's lock, after another look, in one transaction.

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};

use super::tables::{Kind, TablePlace};
use super::{AdoptError, Outlook, Request, Sight, places, sight, tables, tools};
use crate::apply::{may_write, run_id};
use crate::catalog;
use crate::history::{journal, schema, snapshots};
use crate::project::Project;
use crate::recording::{self, RecordError};

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The run that stands for it in the journal.
    pub run: String,
    /// Number of migrations.
    pub migrations: usize,
}

/// Records what was [looked at](super::look) as applied.
///
/// # Errors
/// See [`AdoptError`]; nothing was recorded then, unless it says otherwise.
pub async fn record(
    project: &Project,
    options: &ConnectOptions,
    request: &Request<'_>,
    outlook: &Outlook,
) -> Result<Recorded, AdoptError> {
    outlook.may_be_recorded()?;
    let id = run_id(request.clock);
    if outlook.chosen.is_empty() {
        return Ok(Recorded { run: id, migrations: 0 });
    }
    let mut session = recording::locked(options, &id).await?;
    // Between the question and the answer somebody else may have been at work.
    let found = schema::look(&mut session).await?;
    may_write(&found)?;
    let Sight { history, rows, matching, .. } = sight(project, &outlook.place, &found, &mut session).await?;
    let now: Vec<usize> = places(project, &matching, &history).map(|(index, _)| index).collect();
    let same = now.iter().eq(outlook.chosen.iter().map(|one| &one.index));
    let live = catalog::schema(&mut session, &[]).await?;
    let compared = outlook.basis.as_ref().map(|basis| basis.compare(live.clone(), &outlook.place));
    let unlike = compared.is_some_and(|found| found != outlook.found);
    if !same || rows != outlook.rows || matching != outlook.matching || unlike {
        return Err(RecordError::Moved.into());
    }
    schema::create_or_upgrade(&mut session, found.version).await?;
    let by = recording::By { operator: &request.operator, tool: &request.tool, clock: request.clock };
    let run = recording::run(project, &found, &history, &by, (id, &outlook.chosen));
    let snapshot = snapshots::insert(&project.name, Some(&run.id), None, &live)?;
    recording::take_token(&mut session, &run.id, &request.operator).await?;
    session.execute(BEGIN).await?;
    // The record and this look at the other tool's rows are of one moment.
    let told = tables::rows(&mut session, project, &outlook.place).await;
    if !matches!(&told, Ok(rows) if *rows == outlook.rows) {
        let _ = session.execute("ROLLBACK").await;
        return Err(told.err().unwrap_or_else(|| RecordError::Moved.into()));
    }
    let note = format!(
        "recorded as applied without being run: {} had applied it ({})",
        outlook.place.called(),
        outlook.place.name()
    );
    let rows = recording::text(project, &run, &outlook.chosen, &note);
    let TablePlace { tool, schema, table, .. } = &outlook.place;
    let adoption = journal::insert_adoption(&journal::Adoption {
        run: &run.id,
        project: &project.name,
        tool: tool.0.name(),
        schema,
        table,
        rows: outlook.rows.len(),
    });
    let text = format!("{rows}; {adoption}; {snapshot}; COMMIT");
    recording::send(session, options, &run.id, &text).await?;
    Ok(Recorded { run: run.id, migrations: outlook.chosen.len() })
}

/// One snapshot for all that is read and written in it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL synchronous_commit = on; \
SET LOCAL search_path = pg_catalog, pg_temp";

/// Whether the history can say that something was adopted, and may be read.
const KNOWS: &str = "SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c
     WHERE c.oid = pg_catalog.to_regclass('cutover.adoption')
       AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE'))";

/// The tables of other tools that a database was adopted from.
///
/// # Errors
/// As the server says.
pub(crate) async fn tables_of(session: &mut Session) -> Result<Vec<TablePlace>, Failure> {
    let knows = session.query_text(KNOWS).await?;
    if knows.scalar() != Some("t") {
        return Ok(Vec::new());
    }
    let sql = "SELECT DISTINCT tool, table_schema, table_name FROM cutover.adoption ORDER BY 1, 2, 3";
    let rows = session.query_text(sql).await?.rows;
    let place = |row: Vec<Option<String>>| {
        let mut fields = row.into_iter().flatten();
        let tool = tools::by_name(&fields.next()?)?;
        Some(TablePlace {
            tool: Kind(tool),
            schema: fields.next()?,
            table: fields.next()?,
            types: Vec::new(),
        })
    };
    let mut places: Vec<TablePlace> = rows.into_iter().filter_map(place).collect();
    for place in &mut places {
        place.learn_types(session).await?;
    }
    Ok(places)
}
