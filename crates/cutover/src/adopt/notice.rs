//! Whether another tool has applied what is pending here: to run it once more would do twice what it does.

use std::fmt;

use cutover_postgres::session::Session;

use super::matching::{Standing, matching};
use super::{AdoptError, tables};
use crate::history::{journal, schema};
use crate::plan::build::Built;
use crate::project::Project;
use crate::report::format::count;
use crate::revert;
use crate::text::visible;

/// More of them are not named one by one.
const NAMED: usize = 5;

/// Pending migrations that the table of another tool says are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unadopted {
    /// The table.
    table: String,
    /// Its tool.
    tool: &'static str,
    /// Paths of the first of them.
    first: Vec<String>,
    /// How many there are.
    count: usize,
}

impl fmt::Display for Unadopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, tool, first, count: all } = self;
        let more = match all.saturating_sub(first.len()) {
            0 => String::new(),
            more => format!(" … and {more} more"),
        };
        write!(
            f,
            "{tool} has applied here what is pending: its table {table} says so of {}: {}{more}\n  hint: `cutover adopt` looks at \
             what is applied and takes it over without running it; `--allow {}` runs it once more",
            count(*all, "migration", "migrations"),
            first.join(", "),
            crate::hazard::NOT_ADOPTED
        )
    }
}

/// Looks for it, where anything is pending. Tables that cannot be read, or say nothing that can be understood, say nothing.
pub(crate) async fn unadopted(project: &Project, built: &Built, session: &mut Session) -> Option<Unadopted> {
    if revert::is_project_name(&project.name) || built.pending().next().is_none() {
        return None;
    }
    let told = async {
        let (place, _) = tables::find(session, project, None).await?;
        let rows = tables::rows(session, project, &place).await?;
        let standings = matching(project, &place, &rows)?.standings;
        Ok::<_, AdoptError>((place, standings))
    };
    let (place, standings) = told.await.ok()?;
    let is_applied = |index: &usize| matches!(standings.get(*index), Some(Standing::Applied { .. }));
    let mut applied: Vec<usize> = built.pending().filter(is_applied).collect();
    // What was taken over and reverted here stays applied in the other tool's eyes.
    if !applied.is_empty() && schema::is_there(session).await.unwrap_or_default() {
        let ours = journal::once_applied(session, &project.name).await.unwrap_or_default();
        applied.retain(|index| !ours.contains(&project.migrations[*index].id));
    }
    let path = |index: &usize| visible(&project.migrations[*index].path);
    (!applied.is_empty()).then(|| Unadopted {
        table: place.name(),
        tool: place.called(),
        first: applied.iter().take(NAMED).map(path).collect(),
        count: applied.len(),
    })
}
