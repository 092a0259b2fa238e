//! Migrations at application start, in one call.

use std::collections::BTreeMap;
use std::time::Duration;

use cutover_postgres::Environment;
use cutover_postgres::connect::{ConnectError, ConnectOptions, Inputs};
use thiserror::Error;

use crate::apply::{ApplyError, Context, CrashPoints, Request, apply};
use crate::clock::SystemClock;
use crate::project::Project;
use crate::run::{EventKind, Outcome, Run, RunEvent};
use crate::stop::Stop;

/// Why migrations at application start did not come to their end.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The URL is not one.
    #[error(transparent)]
    Url(#[from] ConnectError),
    /// The run did not start.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A migration failed. What it says includes what is now true of the database.
    #[error("{message}")]
    Failed {
        /// What happened.
        message: String,
        /// The run up to there.
        run: Box<Run>,
    },
}

/// Applies a project's pending migrations, for applications that migrate when they start.
///
/// Any number of instances may start at once: one works, the others wait for it (ten minutes at most) and find nothing
/// to do. A server that is still starting is waited for, 30 seconds at most. Deferred and optional migrations are left
/// out. Call it on a tokio runtime; nothing but `url` says where to connect (no environment variable is read).
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use cutover::{Project, migrate};
///
/// let project = Project::embedded(
///     "shop",
///     &[("V1__create_orders.sql", b"CREATE TABLE orders (id bigint PRIMARY KEY);".as_slice())],
/// )?;
/// migrate(&project, "postgresql://shop@localhost/shop").await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// See [`MigrateError`]. After an error the database is as the last finished migration left it, or, of a file that is
/// applied in parts, its last finished part; calling again goes on from there.
pub async fn migrate(project: &Project, url: &str) -> Result<Run, MigrateError> {
    let environment = Environment::default();
    let inputs = Inputs { url: Some(url), dotenv: BTreeMap::new(), config: None, env: &environment };
    let options = ConnectOptions::resolve(inputs)?.options;
    let request = Request { wait: Some(Duration::from_secs(30)), ..Request::default() };
    let clock = SystemClock::new();
    let mut ignore = |_: &RunEvent| {};
    let context = Context {
        clock: &clock,
        sink: &mut ignore,
        stop: Stop::new(),
        operator: String::new(),
        tool: concat!("cutover ", env!("CARGO_PKG_VERSION"), " (library)").to_owned(),
        crash: CrashPoints::default(),
    };
    let run = apply(project, &options, &request, context).await?;
    match run.outcome {
        Some(Outcome::Completed | Outcome::NothingToDo) => Ok(run),
        _ => Err(MigrateError::Failed { message: failure_text(&run), run: Box::new(run) }),
    }
}

fn failure_text(run: &Run) -> String {
    let failure = run.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::StepFailed { message, state, .. } => Some(format!("{message}\n{state}")),
        _ => None,
    });
    failure.unwrap_or_else(|| "the run ended before everything was applied".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applications spawn it on a runtime with several threads.
    #[test]
    fn the_future_may_move_between_threads() {
        fn movable<T: Send>(_: T) {}
        let project = Project::embedded("p", &[("V1__a.sql", b"SELECT 1".as_slice())]).unwrap();
        movable(migrate(&project, "postgresql://nowhere/none"));
    }
}
