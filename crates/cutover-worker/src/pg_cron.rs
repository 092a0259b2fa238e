//! The same declarations as jobs of the extension `pg_cron`, where one does without a worker. What it cannot do is refused by
//! name: before version 1.5 it knows no seconds, and its cron fields are of one time zone for the whole server.

use cutover::Project;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};
use cutover_postgres::types::Type;

use crate::declare::declare;
use crate::error::WorkerError;
use crate::schedule::Schedule;
use crate::schema::{self, PINNED};

/// The first version that knows seconds.
const SECONDS_SINCE: (u32, u32) = (1, 5);

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Jobs that `pg_cron` runs now: name and schedule there.
    pub jobs: Vec<(String, String)>,
    /// Jobs that it does not run any more.
    pub removed: Vec<String>,
    /// What the jobs lose by it.
    pub remarks: Vec<String>,
}

/// The schedule as `pg_cron` of this version writes it.
///
/// # Errors
/// In words, why it cannot.
pub fn translate(
    schedule: &str,
    time_zone: &str,
    cron_zone: &str,
    version: (u32, u32),
) -> Result<String, String> {
    let seconds = match Schedule::parse(schedule, time_zone).map_err(|error| error.to_string())? {
        Schedule::Every(every) => every / 1_000_000,
        Schedule::Cron(..) => return fields(schedule, time_zone, cron_zone),
    };
    match seconds {
        1..=59 if version < SECONDS_SINCE => Err(format!(
            "{schedule:?} needs pg_cron 1.5 or newer, this is {}.{}: older ones know no seconds",
            version.0, version.1
        )),
        1 => Ok("1 second".to_owned()),
        2..=59 => Ok(format!("{seconds} seconds")),
        60 => Ok("* * * * *".to_owned()),
        _ if seconds % 60 == 0 && seconds < 3_600 && 3_600 % seconds == 0 => {
            Ok(format!("*/{} * * * *", seconds / 60))
        }
        3_600 => Ok("0 * * * *".to_owned()),
        _ if seconds % 3_600 == 0 && seconds < 86_400 && 86_400 % seconds == 0 => {
            Ok(format!("0 */{} * * *", seconds / 3_600))
        }
        86_400 => Ok("0 0 * * *".to_owned()),
        _ => Err(format!(
            "{schedule:?} cannot be written for pg_cron, which knows 1 to 59 seconds, and minutes and hours that divide an hour or a day"
        )),
    }
}

fn fields(schedule: &str, time_zone: &str, cron_zone: &str) -> Result<String, String> {
    const UTC: [&str; 4] = ["UTC", "GMT", "Etc/UTC", "Etc/GMT"];
    if time_zone != cron_zone && !(UTC.contains(&time_zone) && UTC.contains(&cron_zone)) {
        return Err(format!(
            "its time zone is {time_zone}, that of pg_cron {cron_zone} (cron.timezone): it has one for all jobs"
        ));
    }
    let known = |c: char| c.is_ascii_digit() || "*,-/ ".contains(c);
    let words: Vec<&str> = schedule.split_whitespace().collect();
    let fits = words.iter().enumerate().all(|(index, word)| {
        let named = index >= 3 && !word.contains(['#', '?']) && !word.ends_with(['L', 'l']);
        word.chars().all(|c| known(c) || (named && c.is_ascii_alphabetic()))
    });
    if fits {
        Ok(words.join(" "))
    } else {
        Err(format!("pg_cron does not know all of {schedule:?} (L, W, #, ?)"))
    }
}

/// `1.6` as numbers; a text that is no version is older than all.
fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Gives all enabled jobs, of the project and of SQL, to `pg_cron`; workers do not run them any more. All or none.
///
/// # Errors
/// It is not installed, or one of the jobs is beyond it: each is named.
pub async fn give(
    options: &ConnectOptions,
    project: Option<&Project>,
    startup: &Startup,
) -> Result<Given, WorkerError> {
    let mut session = Session::connect(options, startup).await?;
    schema::ensure(&mut session).await?;
    if let Some(project) = project {
        declare(&mut session, project).await?;
    }
    in_one(&mut session, true).await
}

/// Takes them back: workers run them again.
///
/// # Errors
/// The database cannot be reached, or refuses.
pub async fn take_back(options: &ConnectOptions, startup: &Startup) -> Result<Given, WorkerError> {
    let mut session = Session::connect(options, startup).await?;
    schema::ensure(&mut session).await?;
    in_one(&mut session, false).await
}

async fn in_one(session: &mut Session, give: bool) -> Result<Given, WorkerError> {
    session.execute(PINNED).await?;
    session.execute("LOCK TABLE cutover_worker.given IN EXCLUSIVE MODE").await?;
    let done = if give {
        all(session).await
    } else {
        Ok(Given { removed: remove(session, true).await?, ..Given::default() })
    };
    match done {
        Ok(given) => {
            session.execute("SELECT pg_notify('cutover_worker', ''); COMMIT").await?;
            Ok(given)
        }
        Err(error) => {
            let _ = session.execute("ROLLBACK").await;
            Err(error)
        }
    }
}

async fn all(session: &mut Session) -> Result<Given, WorkerError> {
    let ask = "SELECT (SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'),
                      coalesce(current_setting('cron.timezone', true), 'GMT'), current_database()::text";
    let rows = session.query_typed(ask, &[]).await?;
    let Some(row) = rows.first() else { return Ok(Given::default()) };
    let (installed, zone, database): (Option<String>, String, String) = (row.get(0), row.get(1), row.get(2));
    let Some(installed) = installed else {
        return Err(WorkerError::PgCron(format!(
            "extension pg_cron is not installed in database {database}\n  \
             hint: CREATE EXTENSION pg_cron, in the database that cron.database_name names; or let `cutover worker` run the jobs"
        )));
    };
    let version = version(&installed);
    let removed = remove(session, false).await?;
    let jobs = "SELECT j.name, j.schedule, j.command, j.time_zone, j.missed, j.retries,
                       g.name IS NULL AND EXISTS (SELECT FROM cron.job c WHERE c.jobname = j.name)
                  FROM cutover_worker.job j LEFT JOIN cutover_worker.given g USING (name)
                 WHERE j.enabled ORDER BY j.name";
    let mut given = Given { removed, ..Given::default() };
    let (mut refused, mut commands) = (Vec::new(), Vec::new());
    for row in session.query_typed(jobs, &[]).await? {
        let (name, schedule, zone_of): (String, String, String) = (row.get(0), row.get(1), row.get(3));
        if row.get::<_, bool>(6) {
            refused
                .push(format!("job {name:?}: pg_cron has a job of that name that was not made of this one"));
            continue;
        }
        match translate(&schedule, &zone_of, &zone, version) {
            Err(why) => refused.push(format!("job {name:?}: {why}")),
            Ok(schedule) => {
                if row.get::<_, String>(4) != "skip" || row.get::<_, i32>(5) > 0 {
                    given.remarks.push(format!(
                        "job {name:?}: pg_cron neither tries again nor makes up for what was missed"
                    ));
                }
                commands.push(row.get::<_, String>(2));
                given.jobs.push((name, schedule));
            }
        }
    }
    if !refused.is_empty() {
        return Err(WorkerError::PgCron(refused.join("\n")));
    }
    for ((name, schedule), command) in given.jobs.iter().zip(&commands) {
        hand(session, name, schedule, command).await?;
    }
    if !given.jobs.is_empty() {
        given.remarks.push("timeouts of jobs are not kept: pg_cron has none of its own".to_owned());
    }
    Ok(given)
}

async fn hand(session: &mut Session, name: &str, schedule: &str, command: &str) -> Result<(), Failure> {
    let text = Type::TEXT;
    let sql = "SELECT cron.schedule($1, $2, $3)";
    session
        .query_typed(sql, &[(&name, text.clone()), (&schedule, text.clone()), (&command, text.clone())])
        .await?;
    let sql = "INSERT INTO cutover_worker.given VALUES ($1) ON CONFLICT DO NOTHING";
    session.query_typed(sql, &[(&name, text.clone())]).await?;
    let sql = "UPDATE cutover_worker.job SET runner = 'pg_cron', revision = revision + 1 WHERE name = $1 AND runner <> 'pg_cron'";
    session.query_typed(sql, &[(&name, text)]).await?;
    Ok(())
}

/// Takes away what `pg_cron` was given: all of it, or what is not declared any more.
async fn remove(session: &mut Session, all: bool) -> Result<Vec<String>, Failure> {
    let sql = "SELECT g.name, to_regclass('cron.job') IS NOT NULL FROM cutover_worker.given g
                WHERE $1 OR NOT EXISTS (SELECT FROM cutover_worker.job j WHERE j.name = g.name AND j.enabled) ORDER BY g.name";
    let rows = session.query_typed(sql, &[(&all, Type::BOOL)]).await?;
    let mut removed = Vec::new();
    for row in rows {
        let name: String = row.get(0);
        if row.get(1) {
            let sql = "SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = $1";
            session.query_typed(sql, &[(&name, Type::TEXT)]).await?;
        }
        session
            .query_typed("DELETE FROM cutover_worker.given WHERE name = $1", &[(&name, Type::TEXT)])
            .await?;
        // Its next due time is found out anew: what pg_cron ran meanwhile is not run once more.
        let sql = "WITH back AS (UPDATE cutover_worker.job SET runner = 'worker', revision = revision + 1 WHERE name = $1 RETURNING name)
                   UPDATE cutover_worker.lease SET next_at = NULL, scheduled = NULL, following = NULL, seen_at = NULL, not_before = NULL
                    WHERE job IN (SELECT name FROM back) AND run IS NULL";
        session.query_typed(sql, &[(&name, Type::TEXT)]).await?;
        removed.push(name);
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_translated_or_refused_by_name() {
        let now = (1, 6);
        let to = |schedule: &str| translate(schedule, "UTC", "GMT", now);
        for (schedule, there) in [
            ("5 seconds", "5 seconds"),
            ("1 second", "1 second"),
            ("60 seconds", "* * * * *"),
            ("10 minutes", "*/10 * * * *"),
            ("1 hour", "0 * * * *"),
            ("6 hours", "0 */6 * * *"),
            ("24 hours", "0 0 * * *"),
            ("30 4 * * MON-FRI", "30 4 * * MON-FRI"),
            ("  */5  1,2 * jan *", "*/5 1,2 * jan *"),
        ] {
            assert_eq!(to(schedule).as_deref(), Ok(there), "{schedule}");
        }
        for schedule in
            ["90 seconds", "7 minutes", "5 hours", "48 hours", "0 0 L * *", "0 0 * * 1#2", "0 0 15W * *", "x"]
        {
            assert!(to(schedule).is_err(), "{schedule}");
        }
        assert!(
            translate("5 seconds", "UTC", "GMT", (1, 4))
                .unwrap_err()
                .contains("needs pg_cron 1.5 or newer, this is 1.4")
        );
        assert!(translate("1 minute", "UTC", "GMT", (1, 4)).is_ok());
        assert!(translate("0 4 * * *", "Europe/Berlin", "GMT", now).unwrap_err().contains("Europe/Berlin"));
        assert!(translate("0 4 * * *", "Europe/Berlin", "Europe/Berlin", now).is_ok());
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("1.5"), (1, 5));
        assert_eq!(version("1.10-1"), (1, 10));
        assert!(
            version("1.4-1") < SECONDS_SINCE && version("") < SECONDS_SINCE && version("2") > SECONDS_SINCE
        );
    }
}
