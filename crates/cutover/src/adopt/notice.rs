//! Whether another tool has applied what is pending here: to run it once more would do twice what it does.

use std::fmt;

use cutover_postgres::session::Session;

use super::matching::{Standing, matching};
use super::{AdoptError, tables};
use crate::history::{journal, schema};
use crate::migration::MigrationId;
use crate::plan::build::Built;
use crate::project::Project;
use crate::report::format::count;
use crate::revert;
use crate::text::visible;

/// More of them are not named one by one.
const NAMED: usize = 5;

/// Why what is pending here is not run without being told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unadopted {
    /// The table of another tool says that it is applied.
    Applied {
        /// The table.
        table: String,
        /// Its tool.
        tool: &'static str,
        /// Paths of the first of them.
        first: Vec<String>,
        /// How many there are.
        count: usize,
        /// Some of them failed there.
        failed: bool,
    },
    /// Nothing was ever run here, and the table of a tool with such files cannot be asked: why, in words.
    Unknown(String),
}

impl fmt::Display for Unadopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = crate::hazard::NOT_ADOPTED;
        match self {
            Self::Applied { table, tool, first, count: all, failed } => {
                let more = match all.saturating_sub(first.len()) {
                    0 => String::new(),
                    more => format!(" … and {more} more"),
                };
                let tried = if *failed { ", or has failed at it" } else { "" };
                write!(
                    f,
                    "{tool} has applied here what is pending{tried}: its table {table} says so of {}: {}{more}\n  hint: `cutover adopt` \
                     looks at what is applied and takes it over without running it; `--allow {code}` runs it once more",
                    count(*all, "migration", "migrations"),
                    first.join(", "),
                )
            }
            Self::Unknown(why) => write!(
                f,
                "another tool may have applied here what is pending, which cannot be found out: {why}\n  hint: `cutover adopt` \
                 takes over what is applied; `--allow {code}` says that nothing of it is"
            ),
        }
    }
}

/// Looks for it, where anything is pending.
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
    let (place, standings) = match told.await {
        Ok(told) => told,
        Err(AdoptError::NoTable { .. }) => return None,
        Err(error) => {
            let concerns = is_untouched(project, built, session).await
                && tables::is_any_for(session, project).await.unwrap_or(true);
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default().to_owned();
            return concerns.then_some(Unadopted::Unknown(why));
        }
    };
    // What failed there may be there in part.
    let is_applied =
        |index: &usize| matches!(standings.get(*index), Some(Standing::Applied { .. } | Standing::Failed(_)));
    let mut applied: Vec<usize> = built.pending().filter(is_applied).collect();
    // What was taken over and reverted here stays applied in the other tool's eyes.
    if !applied.is_empty() {
        let ours = once_applied(project, session).await;
        applied.retain(|index| !ours.contains(&project.migrations[*index].id));
    }
    let is_failed = |index: &usize| matches!(standings.get(*index), Some(Standing::Failed(_)));
    let path = |index: &usize| visible(&project.migrations[*index].path);
    (!applied.is_empty()).then(|| Unadopted::Applied {
        table: place.name(),
        tool: place.called(),
        first: applied.iter().take(NAMED).map(path).collect(),
        count: applied.len(),
        failed: applied.iter().any(is_failed),
    })
}

async fn once_applied(project: &Project, session: &mut Session) -> Vec<MigrationId> {
    if !schema::is_there(session).await.unwrap_or_default() {
        return Vec::new();
    }
    journal::once_applied(session, &project.name).await.unwrap_or_default()
}

/// Whether this project has never applied anything here, nor taken it over: afterwards another tool is no longer asked for leave.
async fn is_untouched(project: &Project, built: &Built, session: &mut Session) -> bool {
    built.pending().count() == project.migrations.len() && once_applied(project, session).await.is_empty()
}
