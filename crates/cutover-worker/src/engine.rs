//! The worker itself: looks what is due, hands it to sessions, keeps leases, and comes back when the database does.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cutover::Project;
use cutover::jitter::Jitter;
use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{CancelToken, Failure, Session, Startup};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::attempt::{Attempted, Held, Surroundings, attempt};
use crate::declare::{Declared, declare};
use crate::error::WorkerError;
use crate::event::{RunOutcome, WorkerEvent};
use crate::kinds::{self, Kind};
use crate::metrics::{self, Metrics};
use crate::schedule::{Missed, Schedule, choose};
use crate::settings::Settings;
use crate::store::{Plan, Task};
use crate::{listen, schema, store};

/// How long a job is left alone that somebody else took.
const REST: Duration = Duration::from_millis(100);
/// The same where no session could be had for it.
const LONG_REST: Duration = Duration::from_secs(5);
/// The longest wait before another try to reach the database.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often old runs are forgotten.
const FORGET: Duration = Duration::from_secs(600);
/// How long a cancelled run may take to end.
const CANCELLED: Duration = Duration::from_secs(10);
/// How long what is asked of the server may still take once the worker is to end, and how long it then has to be cancelled.
const SOON: Duration = Duration::from_secs(1);

/// What a worker came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Runs that did their work.
    pub done: u64,
    /// Runs that failed or took too long.
    pub failed: u64,
    /// Runs that were cancelled as it stopped, or whose end it did not see.
    pub lost: u64,
}

/// What is done about a task.
enum Step {
    /// It can never be run as it is declared.
    Problem(String),
    /// Its due time is settled without a run.
    Settle(Plan),
    /// It is run.
    Run(Plan, &'static dyn Kind),
}

fn decide(task: &Task) -> Step {
    let schedule = match Schedule::parse(&task.schedule, &task.time_zone) {
        Ok(schedule) => schedule,
        Err(error) => return Step::Problem(error.to_string()),
    };
    let Some(kind) = kinds::find(&task.kind) else { return Step::Problem(kinds::unknown(&task.kind)) };
    if let Err(why) = kind.check(&task.command) {
        return Step::Problem(why);
    }
    let Some(missed) = Missed::parse(&task.missed) else {
        return Step::Problem(format!("missed cannot be {:?}", task.missed));
    };
    if task.taken || task.scheduled.is_some() {
        return Step::Run(Plan::default(), kind);
    }
    let Some(due) = task.next else {
        let following = schedule.next_after(task.now);
        return match following {
            Some(_) => Step::Settle(Plan { following, ..Plan::default() }),
            None => Step::Problem("its schedule has no due time any more".to_owned()),
        };
    };
    let choice = choose(&schedule, missed, due, task.seen.unwrap_or(task.now), task.now);
    let plan = Plan { scheduled: choice.run, following: choice.following, skipped: choice.skipped };
    if choice.run.is_some() { Step::Run(plan, kind) } else { Step::Settle(plan) }
}

/// Runs jobs until it is asked to stop.
///
/// # Errors
/// It cannot begin; or, later, what it needs is gone in a way that waiting does not mend.
pub async fn run(
    options: &ConnectOptions,
    project: Option<&Project>,
    settings: &Settings,
    stop: &Stop,
    sink: &mut (dyn FnMut(&WorkerEvent) + Send),
) -> Result<Summary, WorkerError> {
    let listener = match settings.metrics {
        Some(address) => Some(metrics::bind(address).await?),
        None => None,
    };
    // Nothing a pooler could drop: what a session must be like is said in each transaction.
    let startup =
        Startup { application_name: format!("cutover worker {}", settings.worker), ..Startup::default() };
    let first = Startup { wait: settings.wait, ..startup.clone() };
    let begun = tokio::select! {
        begun = begin(options, project, &first) => Some(begun?),
        () = stop.requested() => None,
    };
    let Some((session, made_schema, declared)) = begun else { return Ok(Summary::default()) };
    let (changed, removed) = (declared.changed, declared.removed);
    sink(&WorkerEvent::Started { worker: settings.worker.clone(), made_schema, declared: changed, removed });
    let metrics = Arc::new(Metrics::new());
    let wake = Arc::new(Notify::new());
    let seed = seed(&settings.worker);
    let mut beside = JoinSet::new();
    if let Some(listener) = listener {
        beside.spawn(metrics::serve(listener, Arc::clone(&metrics)));
    }
    if settings.listen {
        beside.spawn(listen::listen(options.clone(), startup.clone(), Arc::clone(&wake), seed ^ 1));
    }
    let around = Surroundings {
        options: options.clone(),
        startup,
        worker: settings.worker.clone(),
        lease: settings.lease,
        held: Held::default(),
        cancel: Stop::new(),
    };
    let mut engine = Engine {
        around,
        settings,
        keeper: Some(session),
        connected: true,
        pause: Duration::ZERO,
        idle: Vec::new(),
        tasks: JoinSet::new(),
        busy: HashSet::new(),
        resting: HashMap::new(),
        kept: Instant::now(),
        forgot: None,
        metrics,
        sink,
        jitter: Jitter::seeded(seed),
        summary: Summary::default(),
    };
    engine.metrics.connected(true);
    let result = engine.work(stop, &wake).await;
    engine.wind_down(stop, result.is_err()).await;
    let summary = engine.summary;
    engine.close().await;
    result.map(|()| summary)
}

/// Connects, sees to the schema, and declares: whether the schema was made, and what was declared.
async fn begin(
    options: &ConnectOptions,
    project: Option<&Project>,
    startup: &Startup,
) -> Result<(Session, bool, Declared), WorkerError> {
    let mut session = Session::connect(options, startup).await?;
    let made_schema = schema::ensure(&mut session).await?;
    let declared = match project {
        Some(project) => declare(&mut session, project).await?,
        None => Declared::default(),
    };
    Ok((session, made_schema, declared))
}

fn seed(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

struct Engine<'a> {
    around: Surroundings,
    settings: &'a Settings,
    /// The session that looks, and keeps leases.
    keeper: Option<Session>,
    connected: bool,
    /// How long the last wait for the database was.
    pause: Duration,
    idle: Vec<Session>,
    tasks: JoinSet<Attempted>,
    /// Jobs that are with a session.
    busy: HashSet<String>,
    /// Jobs that are left alone until then.
    resting: HashMap<String, Instant>,
    kept: Instant,
    forgot: Option<Instant>,
    metrics: Arc<Metrics>,
    sink: &'a mut (dyn FnMut(&WorkerEvent) + Send),
    jitter: Jitter,
    summary: Summary,
}

impl Engine<'_> {
    async fn work(&mut self, stop: &Stop, wake: &Notify) -> Result<(), WorkerError> {
        while !stop.is_requested() {
            let pause = match self.round(stop).await {
                Ok(pause) => {
                    self.is_connected();
                    pause
                }
                Err(error) if error.is_passing() => self.is_disconnected(&error),
                Err(error) => return Err(error),
            };
            tokio::select! {
                () = stop.requested() => {}
                Some(ended) = self.tasks.join_next() => self.ended(ended)?,
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
            while let Some(ended) = self.tasks.try_join_next() {
                self.ended(ended)?;
            }
        }
        Ok(())
    }

    fn is_connected(&mut self) {
        self.pause = Duration::ZERO;
        if !std::mem::replace(&mut self.connected, true) {
            self.metrics.connected(true);
            (self.sink)(&WorkerEvent::Connected);
        }
    }

    /// How long to wait before another try.
    fn is_disconnected(&mut self, error: &WorkerError) -> Duration {
        self.keeper = None;
        self.tell_disconnected(&error.to_string());
        self.pause = (self.pause * 2).clamp(Duration::from_millis(100), LONGEST_PAUSE);
        self.jitter.around(self.pause)
    }

    fn tell_disconnected(&mut self, why: &str) {
        if std::mem::replace(&mut self.connected, false) {
            self.metrics.connected(false);
            (self.sink)(&WorkerEvent::Disconnected { why: why.to_owned() });
        }
    }

    async fn session(&mut self, stop: &Stop) -> Result<Session, WorkerError> {
        match self.keeper.take() {
            Some(session) if !session.is_closed() => return Ok(session),
            // A server that was away for less than one look has been away too.
            Some(_) => {
                self.tell_disconnected("the server closed the connection while nothing was asked of it");
            }
            None => {}
        }
        tokio::select! {
            session = Session::connect(&self.around.options, &self.around.startup) => Ok(session?),
            () = stop.requested() => Err(Failure::Lost("it was not connected yet".to_owned()).into()),
        }
    }

    /// Looks once, and hands out what is due: how long to wait.
    async fn round(&mut self, stop: &Stop) -> Result<Duration, WorkerError> {
        let mut session = self.session(stop).await?;
        let token = session.cancel_token();
        let result = unless(self.look(&mut session), stop.requested(), token).await;
        let looked = result.unwrap_or_else(|| Err(Failure::Lost("the server did not answer".to_owned())));
        // Whoever holds a lock on the tables keeps a look waiting; not the worker's end.
        let is_cancelled = |failure: &Failure| stop.is_requested() && failure.code() == Some("57014");
        let lasts = !matches!(looked, Err(Failure::Lost(_)));
        self.keeper = lasts.then_some(session);
        match looked {
            Err(failure) if is_cancelled(&failure) => Ok(Duration::ZERO),
            looked => Ok(looked?),
        }
    }

    async fn look(&mut self, session: &mut Session) -> Result<Duration, Failure> {
        self.keep(session).await?;
        if self.forgot.is_none_or(|last| last.elapsed() >= FORGET) {
            store::forget(session, self.settings.keep).await?;
            self.forgot = Some(Instant::now());
        }
        let before = store::now(session).await?;
        let mut is_full = false;
        let mut rest = self.settings.poll;
        self.resting.retain(|_, until| *until > Instant::now());
        for task in store::look(session).await? {
            if let Some(until) = self.resting.get(&task.job) {
                rest = rest.min(until.saturating_duration_since(Instant::now()));
                continue;
            }
            if self.busy.contains(&task.job) {
                continue;
            }
            match decide(&task) {
                Step::Problem(why) => {
                    if store::problem(session, &task, &why).await? {
                        (self.sink)(&WorkerEvent::Problem { job: task.job, why });
                    }
                }
                Step::Settle(plan) => {
                    if store::advance(session, &task, plan).await? && plan.skipped.is_some() {
                        self.skipped(&task.job);
                    }
                }
                Step::Run(..) if self.tasks.len() >= self.settings.jobs => is_full = true,
                Step::Run(plan, kind) => self.hand_out(task, plan, kind),
            }
        }
        let wait = if is_full { None } else { store::wait(session, before).await? };
        let keep = (self.settings.lease / 3).saturating_sub(self.kept.elapsed());
        let longest = if self.tasks.is_empty() { rest } else { rest.min(keep) };
        Ok(wait.map_or(longest, |wait| wait.min(longest)))
    }

    fn hand_out(&mut self, task: Task, plan: Plan, kind: &'static dyn Kind) {
        self.busy.insert(task.job.clone());
        if plan.skipped.is_some() {
            self.metrics.skipped(&task.job);
        }
        let session = self.idle.pop();
        self.tasks.spawn(attempt(self.around.clone(), session, task, plan, kind));
        self.metrics.held(self.tasks.len());
    }

    fn skipped(&mut self, job: &str) {
        self.metrics.skipped(job);
        (self.sink)(&WorkerEvent::Skipped { job: job.to_owned() });
    }

    /// Keeps the leases of what runs, when it is time.
    async fn keep(&mut self, session: &mut Session) -> Result<(), Failure> {
        if self.kept.elapsed() < self.settings.lease / 3 {
            return Ok(());
        }
        let runs = self.around.held.runs();
        if !runs.is_empty() {
            store::keep(session, &self.around.worker, &runs, self.settings.lease).await?;
        }
        self.kept = Instant::now();
        Ok(())
    }

    fn ended(&mut self, ended: Result<Attempted, tokio::task::JoinError>) -> Result<(), WorkerError> {
        let Attempted { job, session, result } = ended
            .map_err(|error| WorkerError::Failed(Failure::Invalid(format!("a run broke off: {error}"))))?;
        self.metrics.held(self.tasks.len());
        self.busy.remove(&job);
        self.idle.extend(session);
        match result {
            Ok(Some(end)) => {
                match end.outcome {
                    RunOutcome::Done => self.summary.done += 1,
                    RunOutcome::Failed | RunOutcome::TimedOut => self.summary.failed += 1,
                    RunOutcome::Lost | RunOutcome::Unknown => self.summary.lost += 1,
                }
                self.metrics.ended(&end);
                (self.sink)(&WorkerEvent::RunEnded(end));
            }
            Ok(None) => self.rest(job, REST),
            Err(why) => {
                if self.connected {
                    (self.sink)(&WorkerEvent::Problem { job: job.clone(), why });
                }
                self.rest(job, LONG_REST);
            }
        }
        Ok(())
    }

    fn rest(&mut self, job: String, about: Duration) {
        self.resting.insert(job, Instant::now() + self.jitter.around(about));
    }

    /// Waits for what runs, keeps its leases meanwhile, and cancels it when that takes too long or is asked for.
    async fn wind_down(&mut self, stop: &Stop, at_once: bool) {
        if self.tasks.is_empty() {
            return;
        }
        (self.sink)(&WorkerEvent::Stopping { running: self.tasks.len() });
        let limit = if at_once { Duration::ZERO } else { self.settings.finish };
        let mut deadline = Instant::now() + limit;
        let mut is_cancelled = false;
        while !self.tasks.is_empty() {
            let keep = self.settings.lease / 3;
            let until = deadline.saturating_duration_since(Instant::now());
            tokio::select! {
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = self.ended(ended) {
                        tracing::error!(%error, "a run broke off");
                    }
                }
                () = stop.cancelled(), if !is_cancelled => deadline = Instant::now(),
                () = tokio::time::sleep(until.min(keep)) => {}
            }
            if Instant::now() >= deadline {
                if is_cancelled {
                    // The server rolls back what was not committed; whoever takes it over records it.
                    return self.tasks.abort_all();
                }
                is_cancelled = true;
                self.around.cancel.request();
                self.around.cancel.request();
                deadline = Instant::now() + CANCELLED;
            } else if let Some(mut session) = self.keeper.take() {
                let token = session.cancel_token();
                let end = async {
                    tokio::select! {
                        () = stop.cancelled(), if !is_cancelled => {}
                        () = tokio::time::sleep(keep.min(deadline.saturating_duration_since(Instant::now()))) => {}
                    }
                };
                // Whoever holds a lock on the tables lets go of it some time: what was cancelled is tried again.
                let kept = unless(self.keep(&mut session), end, token).await;
                if !matches!(kept, None | Some(Err(Failure::Lost(_)))) {
                    self.keeper = Some(session);
                }
            }
        }
    }

    async fn close(self) {
        for session in self.idle.into_iter().chain(self.keeper) {
            session.close().await;
        }
    }
}

/// What is asked of the server, or nothing: `end` came, and what was asked did not end soon after that, nor by being cancelled.
async fn unless<T>(
    asked: impl Future<Output = T>,
    end: impl Future<Output = ()>,
    token: CancelToken,
) -> Option<T> {
    let mut asked = pin!(asked);
    tokio::select! {
        answer = &mut asked => return Some(answer),
        () = end => {}
    }
    if let Ok(answer) = tokio::time::timeout(SOON, &mut asked).await {
        return Some(answer);
    }
    if !matches!(tokio::time::timeout(SOON, token.cancel()).await, Ok(Ok(()))) {
        tracing::debug!("what was asked of the server could not be cancelled");
    }
    tokio::time::timeout(SOON, asked).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            job: "a".into(),
            kind: "sql".into(),
            schedule: "5 seconds".into(),
            command: "SELECT 1".into(),
            time_zone: "UTC".into(),
            missed: "skip".into(),
            timeout: Duration::from_secs(1),
            revision: 1,
            token: 0,
            next: None,
            seen: None,
            scheduled: None,
            taken: false,
            now: 12_000_000,
        }
    }

    #[test]
    fn what_is_wrong_is_a_problem_of_the_job_and_not_of_the_worker() {
        for wrong in [
            Task { schedule: "x".into(), ..task() },
            Task { time_zone: "x".into(), ..task() },
            Task { kind: "x".into(), ..task() },
            Task { command: "COMMIT".into(), ..task() },
            Task { missed: "x".into(), ..task() },
            Task { now: i64::MAX - 1, ..task() },
        ] {
            assert!(matches!(decide(&wrong), Step::Problem(_)), "{wrong:?}");
        }
    }

    #[test]
    fn a_new_job_waits_for_its_first_due_time_and_a_chosen_one_is_tried_again() {
        let Step::Settle(plan) = decide(&task()) else { panic!("settled") };
        assert_eq!((plan.scheduled, plan.following, plan.skipped), (None, Some(15_000_000), None));
        let due = Task { next: Some(10_000_000), seen: Some(10_000_001), ..task() };
        let Step::Run(plan, _) = decide(&due) else { panic!("run") };
        assert_eq!((plan.scheduled, plan.following), (Some(10_000_000), Some(15_000_000)));
        let again = Task { scheduled: Some(5_000_000), next: Some(5_000_000), ..task() };
        let Step::Run(plan, _) = decide(&again) else { panic!("run") };
        assert_eq!(plan.scheduled, None);
    }
}
