//! V0330, the key from runs to jobs: deferred, too early, refused for dangling jobs, and validated on a live database.

use cutover::apply::ApplyError;
use cutover::plan::StepState;
use cutover::run::{EventKind, Outcome, Run, RunEvent, Verdict};
use cutover::stop::Stop;
use cutover::verify::{VerifyRequest, succeeded};
use testkit::Database;

use crate::support::{
    Copy, applied, applying, column, dump, everything_kept, failure, finished, history, measured, not_held,
    run, session, soon, system, text, versions_without, whole,
};

const KEY: &str = "SELECT coalesce(string_agg(convalidated::text, ' '), 'none') FROM pg_constraint \
                   WHERE conname = 'fk_backtest_runs_job'";

/// A database with everything but V0330, which is recorded as deferred.
async fn without_the_key() -> Database {
    let (project, database) = (system(), testkit::database());
    let run = applying(&project, &database.options()).deferring("0330").completes().await;
    assert!(said_deferred(&run), "{:?}", run.events);
    database
}

fn said_deferred(run: &Run) -> bool {
    run.events.iter().any(|event| match &event.kind {
        EventKind::StepSkipped { migration, why } => migration.version.text() == "0330" && why == "deferred",
        _ => false,
    })
}

#[tokio::test]
async fn deferred_0330_goes_in_later() {
    let (project, database) = (system(), without_the_key().await);
    assert_eq!(applied(&database), versions_without(&["0330"]));
    assert_eq!(column(&database, "SELECT version_text FROM cutover.deferral"), ["0330"]);
    assert_eq!(database.value(KEY), "none");
    // It stays out of ordinary runs, and what rests on it is skipped and named, not false.
    let again = applying(&project, &database.options()).run().await.unwrap();
    assert_eq!(again.outcome, Some(Outcome::NothingToDo));
    let results = measured(&project, &database.options(), &VerifyRequest::default()).await;
    assert!(succeeded(&results), "{:#?}", not_held(&results));
    let waiting = not_held(&results);
    assert!(waiting.iter().any(|(name, ..)| *name == "26 foreign keys"), "{waiting:#?}");
    for (name, verdict, found) in waiting {
        assert_eq!(verdict, Verdict::Skipped, "{name}");
        assert!(found.starts_with("V0330__add_fk_backtest_runs_job.sql is deferred"), "{name}: {found}");
    }
    // Two years later it goes in by name, out of order.
    database.run(&text("data/seed.sql"));
    let late = applying(&project, &database.options()).only("V0330").completes().await;
    assert_eq!(finished(&late), ["0330"]);
    let step = late.plan.steps.iter().find(|step| step.migration.version.text() == "0330").unwrap();
    assert_eq!(step.state, StepState::PendingOutOfOrder);
    assert_eq!(applied(&database), versions_without(&[]));
    assert_eq!(column(&database, "SELECT version_text FROM cutover.deferral"), [] as [&str; 0]);
    assert_eq!(dump(&database), dump(&whole()));
    let results = measured(&project, &database.options(), &VerifyRequest::default()).await;
    assert_eq!(not_held(&results), []);
}

#[tokio::test]
async fn v0330_before_0130_stops_first() {
    let (project, database) = (system(), testkit::database());
    // Nothing at all is there yet: nothing of ours either, afterwards.
    let empty = testkit::catalogue_dump(&database.options(), &[]);
    let error = applying(&project, &database.options()).only("0330").refused().await.to_string();
    assert!(
        error.contains("V0330__add_fk_backtest_runs_job.sql requires migrations/V0130__create_jobs.sql"),
        "{error}"
    );
    assert!(error.contains("nothing was done"), "{error}");
    assert_eq!(testkit::catalogue_dump(&database.options(), &[]), empty);
    // Everything but jobs is there.
    let defer = vec!["0130".to_owned(), "0330".to_owned()];
    let selection = cutover::plan::select::Selection { defer, ..Default::default() };
    applying(&project, &database.options()).selecting(selection).completes().await;
    let (kept, before) = (everything_kept(&database), dump(&database));
    let error = applying(&project, &database.options()).only("0330").refused().await.to_string();
    assert!(error.contains("requires migrations/V0130__create_jobs.sql"), "{error}");
    assert_eq!(everything_kept(&database), kept);
    // Without that claim the text of the file says the same.
    let copy = Copy::new();
    copy.replace("cutover.toml", "requires = [\"0130\"]", "");
    let error = applying(&copy.load(), &database.options()).only("0330").refused().await;
    assert!(matches!(error, ApplyError::Missing(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("needs table jobs") || said.contains("needs relation jobs"), "{said}");
    assert!(said.contains("V0130__create_jobs.sql creates it: apply that first"), "{said}");
    assert!(said.ends_with("nothing was done"), "{said}");
    assert_eq!(dump(&database), before);
    assert_eq!(history(&database), kept.into_iter().filter(|row| is_history(row)).collect::<Vec<_>>());
    // Both in their order are fine.
    let only = vec!["0130".to_owned(), "0330".to_owned()];
    let selection = cutover::plan::select::Selection { only, ..Default::default() };
    let run = applying(&project, &database.options()).selecting(selection).completes().await;
    assert_eq!(finished(&run), ["0130", "0330"]);
}

fn is_history(row: &[Option<String>]) -> bool {
    matches!(row[0].as_deref(), Some("migration" | "unit" | "deferral"))
}

const DANGLING: [&str; 2] = ["0330dddd-0000-4000-8000-000000000003", "0330dddd-0000-4000-8000-000000000004"];

#[tokio::test]
async fn dangling_jobs_are_reported() {
    let (project, database) = (system(), without_the_key().await);
    database.run(&text("data/seed_before_0330.sql"));
    let (before, catalogue) = (history(&database), dump(&database));
    let run = applying(&project, &database.options()).only("0330").run().await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    assert_eq!(finished(&run), [] as [&str; 0]);
    let said = failure(&run);
    assert!(said.contains("no run points to a missing job"), "{said}");
    for id in DANGLING {
        assert!(said.contains(id), "{id} in {said}");
    }
    for good in ["0330dddd-0000-4000-8000-000000000001", "0330dddd-0000-4000-8000-000000000002"] {
        assert!(!said.contains(good), "{good} in {said}");
    }
    let checks: Vec<Verdict> = run.events.iter().filter_map(verdict).collect();
    assert_eq!(checks, [Verdict::False]);
    assert_eq!(database.value(KEY), "none");
    assert_eq!(history(&database), before);
    assert_eq!(dump(&database), catalogue);
    database.run("UPDATE backtest_runs r SET job_id = NULL WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = r.job_id)");
    let run = applying(&project, &database.options()).only("0330").completes().await;
    assert_eq!(run.events.iter().filter_map(verdict).collect::<Vec<_>>(), [Verdict::Holds]);
    assert_eq!(database.value(KEY), "true");
    assert_eq!(database.value("SELECT count(job_id) || ' of ' || count(*) FROM backtest_runs"), "1 of 4");
}

fn verdict(event: &RunEvent) -> Option<Verdict> {
    match &event.kind {
        EventKind::CheckDone(result) => Some(result.verdict),
        _ => None,
    }
}

/// The first of V0330's two transactions is committed.
fn is_between(event: &RunEvent) -> bool {
    match &event.kind {
        EventKind::UnitFinished { migration, unit, units, .. } => {
            assert_eq!((migration.version.text(), *unit, *units), ("0330", 1, 2));
            true
        }
        _ => false,
    }
}

/// A client that holds a transaction open with which it has read and written runs and jobs.
struct Client {
    done: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Client {
    /// Returns once it has read and written. It takes locks at once or fails: nobody stands in its way.
    fn writing(database: &Database) -> Self {
        let options = database.options();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut session = session(&options).await;
                run(&mut session, "SET lock_timeout = '5s'; BEGIN").await;
                run(&mut session, "SELECT count(*) FROM backtest_runs JOIN jobs ON jobs.id = job_id").await;
                run(&mut session, "UPDATE backtest_runs SET updated_at = now(), job_id = job_id").await;
                run(&mut session, "UPDATE jobs SET finished_at = now()").await;
                ready.send(()).unwrap();
                let _ = is_done.recv();
                run(&mut session, "UPDATE backtest_runs SET updated_at = now(); COMMIT").await;
                session.close().await;
            });
        });
        is_ready.recv().expect("the client works");
        Self { done: Some(done), thread: Some(thread) }
    }

    fn finish(mut self) {
        drop(self.done.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A database with rows, without the key.
async fn with_runs() -> Database {
    let database = without_the_key().await;
    database.run(&text("data/seed.sql"));
    database
}

#[tokio::test]
async fn v0330_validates_in_second_transaction() {
    let (project, database) = (system(), with_runs().await);
    let options = database.options();
    let mut client = None;
    let mut between = Vec::new();
    // The engine waits for its sink: what is done here is done between the two transactions.
    let mut sink = |event: &RunEvent| {
        if is_between(event) {
            between.push(database.value(KEY));
            let refused =
                database.try_rows("UPDATE backtest_runs SET job_id = md5(random()::text)::uuid").unwrap_err();
            between.push(refused.code().unwrap().code().to_owned());
            client = Some(Client::writing(&database));
        }
    };
    let run = soon(applying(&project, &options).only("0330").watched(&mut sink)).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    // New rows were checked from the first transaction on; the old ones by the second, with the client still at work.
    assert_eq!(between, ["false", "23503"]);
    assert_eq!(database.value(KEY), "true");
    client.expect("the client came between").finish();
    assert_eq!(applied(&database), versions_without(&[]));
}

#[tokio::test]
async fn v0330_interrupted_between_its_transactions_is_finished_by_the_next_run() {
    let (project, database) = (system(), with_runs().await);
    let options = database.options();
    let stop = Stop::new();
    let mut sink = |event: &RunEvent| {
        if is_between(event) {
            stop.request();
            stop.request();
        }
    };
    let run =
        soon(applying(&project, &options).only("0330").stopped_by(&stop).watched(&mut sink)).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Interrupted), "{}", failure(&run));
    assert_eq!(database.value(KEY), "false");
    assert_eq!(applied(&database), versions_without(&["0330"]));
    assert_eq!(
        column(&database, "SELECT version || ' ' || unit || ' ' || state FROM cutover.unit"),
        ["330 0 done"]
    );
    // The next run does the second half alone, and reads and writes may go on during all of it.
    let client = Client::writing(&database);
    let run = soon(applying(&project, &options).only("0330").completes()).await;
    let resumed = run.plan.steps.iter().find(|step| step.migration.version.text() == "0330").unwrap();
    assert_eq!(resumed.state, StepState::Resume { done: 1 });
    client.finish();
    assert_eq!(database.value(KEY), "true");
    assert_eq!(column(&database, "SELECT version FROM cutover.unit"), [] as [&str; 0]);
    assert_eq!(dump(&database), dump(&whole()));
}
