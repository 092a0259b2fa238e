//! `apply-folder FOLDER URL`: applies a project in a process of its own, for tests that kill it or measure it.
//! With `CUTOVER_CRASH_AT=n` it ends itself at the n-th point, with `CUTOVER_CRASH_TOGETHER` without sending one by one,
//! with `CUTOVER_JOBS=n` side by side. At the end it says its outcome and its peak memory.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;

use cutover::apply::{Context, CrashPoints, Request, apply};
use cutover::project::Overrides;
use cutover::run::RunEvent;
use cutover::stop::Stop;
use cutover::{Project, SystemClock};
use cutover_postgres::Environment;
use cutover_postgres::connect::{ConnectOptions, Inputs};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let project = Project::load(Path::new(&arguments[1]), &Overrides::default()).unwrap();
    let env = Environment::default();
    let inputs = Inputs { url: Some(&arguments[2]), dotenv: BTreeMap::new(), config: None, env: &env };
    let options = ConnectOptions::resolve(inputs).unwrap().options;
    let crash = std::env::var("CUTOVER_CRASH_AT").ok().map(|point| point.parse().unwrap());
    let at = if std::env::var_os("CUTOVER_CRASH_TOGETHER").is_some() {
        CrashPoints::together_at
    } else {
        CrashPoints::at
    };
    let clock = SystemClock::new();
    let mut sink = |_: &RunEvent| {};
    let context = Context {
        clock: &clock,
        sink: &mut sink,
        stop: Stop::new(),
        operator: "apply-folder".into(),
        tool: "apply-folder".into(),
        crash: crash.map_or_else(CrashPoints::default, at),
    };
    let jobs = std::env::var("CUTOVER_JOBS").ok().map_or(1, |jobs| jobs.parse().unwrap());
    match apply(&project, &options, &Request { jobs, ..Request::default() }, context).await {
        Ok(run) => println!("outcome {:?}", run.outcome.unwrap()),
        Err(error) => println!("error {error}"),
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
}
