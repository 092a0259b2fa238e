//! What `cutover.toml` declares, told to the database.

use cutover::project::{Job, Problem, Problems, Project};
use cutover_postgres::session::{Failure, Session};
use cutover_postgres::types::{ToSql, Type};

use crate::error::WorkerError;
use crate::kinds;
use crate::schedule::{Schedule, ScheduleError};
use crate::schema::PINNED;
use crate::store::millis;

const DECLARE: &str =
    "SELECT cutover_worker._declare($1, $2, $3, $4, $5, $6, $7, $8 * interval '1 millisecond', $9, $10)";

/// What is wrong with the jobs of a project that only a worker can know: schedules, time zones, kinds, commands.
pub fn problems(project: &Project) -> Problems {
    let mut problems = Problems::default();
    // What is missing is said already.
    let whole = |job: &&Job| ![&job.schedule, &job.command].iter().any(|text| text.trim().is_empty());
    for job in project.jobs.iter().filter(whole) {
        let at = |place: &Problem, message: String| Problem {
            message: format!("job {:?}: {message}", job.name),
            ..place.clone()
        };
        match kinds::find(&job.kind) {
            None => problems.push(at(&job.places.kind, kinds::unknown(&job.kind))),
            Some(kind) => {
                if let Err(why) = kind.check(&job.command) {
                    problems.push(at(&job.places.command, why));
                }
            }
        }
        match Schedule::parse(&job.schedule, &job.time_zone) {
            Ok(_) => {}
            Err(error @ ScheduleError::Zone(_)) => {
                problems.push(at(&job.places.time_zone, error.to_string()));
            }
            Err(error) => problems.push(at(&job.places.schedule, error.to_string())),
        }
    }
    problems.sorted()
}

/// How many declarations were new or changed, and how many jobs the file does not declare any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Declared {
    /// New or changed.
    pub changed: u64,
    /// Taken away.
    pub removed: u64,
}

/// Declares the jobs of a project, all or none.
///
/// # Errors
/// The server refuses one, or it is declared elsewhere.
pub async fn declare(session: &mut Session, project: &Project) -> Result<Declared, WorkerError> {
    session.execute(PINNED).await?;
    match all(session, project).await {
        Ok(declared) => {
            session.execute("COMMIT").await?;
            Ok(declared)
        }
        Err(failure) => {
            let _ = session.execute("ROLLBACK").await;
            Err(refused(failure))
        }
    }
}

fn refused(failure: Failure) -> WorkerError {
    match failure {
        Failure::Server(message) if matches!(message.code.as_str(), "22023" | "55006") => {
            let hint = message.hint.as_ref().map_or_else(String::new, |hint| format!("\n  hint: {hint}"));
            WorkerError::Declare(format!("{}{hint}", message.message))
        }
        other => other.into(),
    }
}

async fn all(session: &mut Session, project: &Project) -> Result<Declared, Failure> {
    let mut declared = Declared::default();
    // In one order, so that two that declare at once do not wait for each other.
    let mut jobs: Vec<&Job> = project.jobs.iter().collect();
    jobs.sort_by(|a, b| a.name.cmp(&b.name));
    for job in &jobs {
        if one(session, &project.name, job).await? {
            declared.changed += 1;
        }
    }
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] =
        [(&project.name, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    let rows = session.query_typed("SELECT cutover_worker._prune($1, $2)", &parameters).await?;
    let removed: i64 = rows.first().map_or(0, |row| row.get(0));
    Ok(Declared { removed: removed.unsigned_abs(), ..declared })
}

async fn one(session: &mut Session, project: &str, job: &Job) -> Result<bool, Failure> {
    #[allow(clippy::cast_precision_loss, reason = "at most seven days")]
    let (timeout, retries) = (millis(job.timeout) as f64, i32::try_from(job.retries).unwrap_or(0));
    let parameters: [(&(dyn ToSql + Sync), Type); 10] = [
        (&project, Type::TEXT),
        (&job.name, Type::TEXT),
        (&job.kind, Type::TEXT),
        (&job.schedule, Type::TEXT),
        (&job.command, Type::TEXT),
        (&job.time_zone, Type::TEXT),
        (&job.missed, Type::TEXT),
        (&timeout, Type::FLOAT8),
        (&retries, Type::INT4),
        (&job.enabled, Type::BOOL),
    ];
    let rows = session.query_typed(DECLARE, &parameters).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}
