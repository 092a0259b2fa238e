//! What the tests share.

use std::path::{Path, PathBuf};

use cutover::project::Overrides;
use cutover::run::Outcome;
use cutover::{Project, migrate};
use testkit::Database;

/// `systems/spark`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A database with everything applied, and what these statements put into it.
pub(crate) fn applied_with(statements: &str) -> Database {
    let project = Project::load(&folder(), &Overrides::default()).unwrap_or_else(|error| panic!("{error}"));
    let read =
        |file: &cutover::migration::Migration| std::fs::read_to_string(folder().join(&file.path)).unwrap();
    let texts: Vec<String> = project.migrations.iter().map(read).collect();
    testkit::database_from_template(&format!("simulator {} {statements}", texts.join("\n")), |template| {
        let url = template.url();
        let run = blocking(async { migrate(&project, &url).await.unwrap() });
        assert_eq!(run.outcome, Some(Outcome::Completed));
        template.run(statements);
    })
}

/// Runs a future to its end on a thread of its own.
pub(crate) fn blocking<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}
