//! The database that is simulated against: a throwaway server, or one that is given and holds nobody.

use std::path::Path;

use cutover::apply::{self, BackupSettings, Context, CrashPoints, Request};
use cutover::history::records::History;
use cutover::history::{records, schema};
use cutover::project::Overrides;
use cutover::run::{CheckResult, EventKind, Outcome, Run, RunEvent, Verdict};
use cutover::stop::Stop;
use cutover::verify::{self, SandboxProvider, VerifyRequest};
use cutover::{Project, SystemClock, inspect};
use cutover_postgres::Environment;
use cutover_postgres::connect::{ConnectOptions, Inputs};
use cutover_postgres::sandbox::{Sandbox, SandboxOptions};

use crate::clients::connect;

/// Database made on a throwaway server.
const DATABASE: &str = "spark";

/// A database.
#[derive(Debug)]
pub struct Target {
    /// How to reach it.
    pub options: ConnectOptions,
    /// Kept for its end: dropping it stops the server.
    sandbox: Option<Sandbox>,
}

impl Target {
    /// What it is, for people: nothing secret.
    pub fn described(&self) -> &'static str {
        if self.sandbox.is_some() { "a throwaway server" } else { "the database of --url" }
    }

    /// The one of a URL, or a new one on a throwaway server.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub async fn get(url: Option<&str>, environment: &Environment) -> Result<Self, String> {
        if let Some(url) = url {
            let inputs = Inputs {
                url: Some(url),
                dotenv: std::collections::BTreeMap::new(),
                config: None,
                env: environment,
            };
            let options = ConnectOptions::resolve(inputs).map_err(|error| error.to_string())?.options;
            return Ok(Self { options, sandbox: None });
        }
        let sandbox = Sandbox::start_in_background(SandboxOptions::new(environment)).await;
        let sandbox = sandbox.map_err(|error| error.to_string())?;
        sandbox.create_database(DATABASE, None).await.map_err(|error| error.to_string())?;
        Ok(Self { options: sandbox.options(DATABASE), sandbox: Some(sandbox) })
    }
}

/// What was done to a database before the simulation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Migrations that were applied.
    pub applied: usize,
    /// Checks that hold.
    pub checks: usize,
}

/// Applies what is missing, verifies all of it, and makes sure that nobody is there.
///
/// # Errors
/// Why it is not fit to be simulated against.
pub async fn prepare(folder: &Path, options: &ConnectOptions) -> Result<Prepared, String> {
    let project = Project::load(folder, &Overrides::default()).map_err(|error| error.to_string())?;
    nobody_is_there(options).await?;
    base_is_recorded(options).await?;
    let applied = apply_all(&project, options).await?;
    let checks = verify_all(&project, options, applied > 0).await?;
    Ok(Prepared { applied, checks })
}

/// A simulation writes people by the hundreds, and its eye looks at everybody.
async fn nobody_is_there(options: &ConnectOptions) -> Result<(), String> {
    let mut session = connect(options, "spark simulator").await?;
    for table in ["profiles", "matching_queue", "matches", "spark_event_log"] {
        let there = session.query_text(&format!("SELECT to_regclass('public.{table}') IS NOT NULL")).await;
        if there.map_err(|failure| failure.to_string())?.scalar() != Some("t") {
            continue;
        }
        let rows = session.query_text(&format!("SELECT EXISTS (SELECT FROM public.{table})")).await;
        if rows.map_err(|failure| failure.to_string())?.scalar() == Some("t") {
            return Err(format!(
                "table {table} of that database is not empty\n  hint: a simulation writes people of its own and looks at all there are: \
                 give it an empty database, or leave --url out for a throwaway server"
            ));
        }
    }
    session.close().await;
    Ok(())
}

/// Tables that are there without a history are the live service's: that they are, somebody has to say.
async fn base_is_recorded(options: &ConnectOptions) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut session = inspect::connect(options, None).await.map_err(|error| text(&error))?;
    let history = schema::look(&mut session).await.map_err(|error| text(&error))?;
    let there = session.query_text("SELECT to_regclass('public.profiles') IS NOT NULL").await;
    let there = there.map_err(|failure| text(&failure))?.scalar() == Some("t");
    session.close().await;
    if there && history.version.is_none() {
        return Err("the tables of systems/spark/base are in that database, and no history says that they are\n  \
                    hint: have them compared and recorded, and begin again: cutover -C systems/spark baseline base/010"
            .to_owned());
    }
    Ok(())
}

async fn apply_all(project: &Project, options: &ConnectOptions) -> Result<usize, String> {
    let clock = SystemClock::new();
    let mut applied = 0;
    let mut sink = |event: &RunEvent| {
        if matches!(event.kind, EventKind::StepFinished { .. }) {
            applied += 1;
        }
    };
    let context = Context {
        clock: &clock,
        sink: &mut sink,
        stop: Stop::new(),
        operator: String::new(),
        tool: "spark simulator".to_owned(),
        crash: CrashPoints::default(),
    };
    let request = Request { backup: None::<BackupSettings>, ..Request::default() };
    let run = Box::pin(apply::apply(project, options, &request, context))
        .await
        .map_err(|error| error.to_string())?;
    match run.outcome {
        Some(Outcome::Completed | Outcome::NothingToDo) => Ok(applied),
        _ => Err(format!("the migrations were not applied: {}", failure(&run))),
    }
}

fn failure(run: &Run) -> String {
    let message = run.events.iter().rev().find_map(|event| match &event.kind {
        EventKind::StepFailed { message, .. } => Some(message.clone()),
        _ => None,
    });
    message.unwrap_or_else(|| "`cutover apply` says why".to_owned())
}

async fn verify_all(project: &Project, options: &ConnectOptions, fresh: bool) -> Result<usize, String> {
    let history = history(project, options).await?;
    let request = VerifyRequest { fresh, ..VerifyRequest::default() };
    let none = SandboxProvider::none("the simulator compares with nothing");
    let results = verify::verify(project, options, &none, &history, &request, |_: &CheckResult| {}).await;
    let results = results.map_err(|error| error.to_string())?;
    let of = |verdict: Verdict| results.iter().filter(move |result| result.verdict == verdict);
    if let Some(wrong) = of(Verdict::False).next() {
        return Err(format!(
            "what was applied is not what it should be: {}: found {}",
            wrong.name, wrong.found
        ));
    }
    Ok(of(Verdict::Holds).count())
}

async fn history(project: &Project, options: &ConnectOptions) -> Result<History, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut session = inspect::connect(options, None).await.map_err(|error| text(&error))?;
    let found = schema::look(&mut session).await.map_err(|error| text(&error))?;
    let history = match found.version {
        Some(_) => records::read(&mut session, &project.name).await.map_err(|error| text(&error))?,
        None => History::default(),
    };
    session.close().await;
    Ok(history)
}
