//! A worker at work inside a test. Also the tests of a reference system have this file.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cutover::Project;
use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_worker::{RunEnd, Settings, Summary, WorkerError, WorkerEvent, run};
use tokio::task::JoinHandle;

/// Longest wait for something a test expects to happen. Reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker at work.
pub(crate) struct Working {
    stop: Stop,
    task: JoinHandle<Result<Summary, WorkerError>>,
    events: Arc<Mutex<Vec<WorkerEvent>>>,
}

impl Working {
    pub(crate) fn events(&self) -> Vec<WorkerEvent> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn ends(&self) -> Vec<RunEnd> {
        let of = |event| if let WorkerEvent::RunEnded(end) = event { Some(end) } else { None };
        self.events().into_iter().filter_map(of).collect()
    }

    pub(crate) fn asks_to_stop(&self) {
        self.stop.request();
    }

    pub(crate) async fn ended(self) -> Result<Summary, WorkerError> {
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends").unwrap()
    }

    pub(crate) async fn stops(self) -> Summary {
        self.asks_to_stop();
        self.ended().await.unwrap()
    }

    /// Waits until it has told this.
    pub(crate) async fn tells(&self, what: impl Fn(&WorkerEvent) -> bool) {
        let since = Instant::now();
        while !self.events().iter().any(&what) {
            assert!(since.elapsed() < PATIENCE, "never told: {:?}", self.events());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn settings(name: &str) -> Settings {
    Settings { poll: Duration::from_millis(100), ..Settings::new(name) }
}

pub(crate) fn start(options: &ConnectOptions, settings: Settings) -> Working {
    start_with(options, None, settings)
}

fn start_with(options: &ConnectOptions, project: Option<Project>, settings: Settings) -> Working {
    let (stop, events) = (Stop::new(), Arc::new(Mutex::new(Vec::new())));
    let (options, asked, told) = (options.clone(), stop.clone(), Arc::clone(&events));
    let task = tokio::spawn(async move {
        let mut sink = |event: &WorkerEvent| told.lock().unwrap().push(event.clone());
        run(&options, project.as_ref(), &settings, &asked, &mut sink).await
    });
    Working { stop, task, events }
}
