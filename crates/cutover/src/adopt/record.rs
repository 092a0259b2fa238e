//! Writing an adoption down: under the runner's lock, after another look, in one transaction.

use std::time::Duration;

use cutover_analysis::effects::Context;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};

use super::tables::{Kind, TablePlace};
use super::{AdoptError, Outlook, Request, Sight, places, sight, tables, tools};
use crate::apply::{may_write, own_startup, run_id};
use crate::catalog;
use crate::history::journal::{self, Numbered};
use crate::history::records::History;
use crate::history::{lock, schema, snapshots};
use crate::plan::StepState;
use crate::plan::build::{self, Read};
use crate::plan::select::Selection;
use crate::project::Project;
use crate::run::{EventKind, Outcome, Run, RunEvent, Runner};
use crate::stop::Stop;
use crate::unheard;

/// Longest wait for another runner: adoption is for a database where nobody migrates just then.
pub(super) const RUNNER_WAIT: Duration = Duration::from_secs(5);

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
    let mut session = Session::connect(options, &own_startup(&id, None)).await?;
    lock::acquire(&mut session, RUNNER_WAIT, &Stop::new(), |_| {}).await?;
    // Between the question and the answer somebody else may have been at work.
    let found = schema::look(&mut session).await?;
    may_write(&found)?;
    let Sight { history, rows, matching, .. } = sight(project, &outlook.place, &found, &mut session).await?;
    let now: Vec<usize> = places(project, &matching, &history).map(|(index, _)| index).collect();
    let same = now.iter().eq(outlook.chosen.iter().map(|one| &one.index));
    let live = catalog::schema(&mut session, &[]).await?;
    let unlike =
        outlook.basis.as_ref().is_some_and(|basis| basis.compare(&live, &outlook.place) != outlook.found);
    if !same || rows != outlook.rows || matching != outlook.matching || unlike {
        return Err(AdoptError::Moved);
    }
    schema::create_or_upgrade(&mut session, found.version).await?;
    let run = run(project, &found, &history, request, outlook, id);
    let snapshot = snapshots::insert(&project.name, Some(&run.id), None, &live)?;
    lock::take_token(&mut session, &run.id, &request.operator, RUNNER_WAIT, &Stop::new(), |_| {}).await?;
    session.execute(BEGIN).await?;
    // The record and this look at the other tool's rows are of one moment.
    let told = tables::rows(&mut session, project, &outlook.place).await;
    if !matches!(&told, Ok(rows) if *rows == outlook.rows) {
        let _ = session.execute("ROLLBACK").await;
        return Err(told.err().unwrap_or(AdoptError::Moved));
    }
    let text = format!("{}; {snapshot}; COMMIT", record_text(project, &run, outlook));
    match session.execute(&text).await {
        Ok(_) => {}
        Err(lost @ Failure::Lost(_)) => was_recorded(options, &run.id, lost).await?,
        Err(failure) => {
            let _ = session.execute("ROLLBACK").await;
            return Err(failure.into());
        }
    }
    session.close().await;
    Ok(Recorded { run: run.id, migrations: outlook.chosen.len() })
}

/// One snapshot for all that is read and written in it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL synchronous_commit = on; \
SET LOCAL search_path = pg_catalog, pg_temp";

/// The connection was lost before it was said that all is recorded: the history is asked.
async fn was_recorded(options: &ConnectOptions, run: &str, lost: Failure) -> Result<(), AdoptError> {
    let Some(mut session) = unheard::look_again(options, run).await else {
        return Err(AdoptError::Unheard(lost));
    };
    let rows = session.query("SELECT FROM cutover.run WHERE id = $1", &[&run]).await;
    session.close().await;
    match rows {
        Ok(rows) if rows.is_empty() => Err(lost.into()),
        Ok(_) => Ok(()),
        Err(_) => Err(AdoptError::Unheard(lost)),
    }
}

/// What stands for it in the journal: a run with the steps that are recorded.
fn run(
    project: &Project,
    found: &schema::Found,
    history: &History,
    request: &Request<'_>,
    outlook: &Outlook,
    id: String,
) -> Run {
    let built = build::build_leniently(
        project,
        history.clone(),
        &Selection::default(),
        Some(found.target()),
        Read::Pending,
        Context::EMPTY,
    );
    let mut plan = built.map_or_else(|_| build::idle(project, found).plan, |(built, _)| built.plan);
    for (index, step) in plan.steps.iter_mut().enumerate() {
        if outlook.chosen.binary_search_by_key(&index, |one| one.index).is_ok() {
            step.state = StepState::Pending;
        } else if step.state.will_run() {
            step.state = StepState::AboveTarget;
        }
        if !matches!(step.state, StepState::Applied { .. }) {
            step.notes.clear();
        }
    }
    let runner = Runner {
        id,
        operator: request.operator.clone(),
        tool: request.tool.clone(),
        started_micros: request.clock.now_micros(),
    };
    Run::begun_by(runner, &project.name, found, plan)
}

/// All that is written, without what opens and ends the transaction.
fn record_text(project: &Project, run: &Run, outlook: &Outlook) -> String {
    let TablePlace { tool, schema, table, .. } = &outlook.place;
    let chosen = &outlook.chosen;
    let event = |seq: u64, kind: EventKind| Numbered {
        seq,
        event: RunEvent { at_micros: run.started_micros, elapsed: Duration::ZERO, kind },
    };
    let note = format!(
        "recorded as applied without being run: {} had applied it ({})",
        outlook.place.called(),
        outlook.place.name()
    );
    let mut events = vec![event(0, EventKind::RunStarted { run: run.id.clone(), steps: chosen.len() })];
    let mut rows = Vec::with_capacity(chosen.len());
    for (number, one) in (0_u64..).zip(chosen) {
        let migration = &project.migrations[one.index];
        let id = migration.id.clone();
        let path = migration.path.clone();
        let started = event(number * 3 + 1, EventKind::StepStarted { migration: id.clone(), path });
        events.push(event(number * 3 + 2, EventKind::StepNote { migration: id, note: note.clone() }));
        rows.push(journal::adopted_row(
            &journal::Record {
                project: &project.name,
                run: &run.id,
                migration,
                stage: migration.stage.map(|stage| project.stages[stage].id.as_str()),
                statements: one.statements,
                source: one.text.as_deref(),
                // That it was not run.
                attempts: 0,
                started: &started,
                ended: number * 3 + 3,
            },
            one.row.and_then(|row| outlook.rows[row].at_micros),
        ));
    }
    let end = u64::try_from(chosen.len()).unwrap_or(u64::MAX).saturating_mul(3).saturating_add(1);
    events.push(event(end, EventKind::RunFinished { outcome: Outcome::Completed }));
    let adoption = journal::Adoption {
        run: &run.id,
        project: &project.name,
        tool: tool.0.name(),
        schema,
        table,
        rows: outlook.rows.len(),
    };
    format!(
        "{}; {}; {}; {}; {}; {}",
        journal::close_open_runs(&project.name),
        journal::insert_run(run),
        journal::insert_adoption(&adoption),
        journal::insert_adopted(&rows),
        journal::insert_events(&run.id, &events),
        journal::finish_run(&run.id, Outcome::Completed),
    )
}

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
