//! Projects in memory, and their rehearsal on the server of the test run.

use cutover_postgres::sandbox::{Binaries, SandboxOptions};
use testkit::Database;

use super::super::{GroundRequest, Rehearsal, Request, all};
use crate::Project;
use crate::plan::select::Selection;
use crate::verify::SandboxProvider;

/// A project of these files.
pub(super) fn project(files: &[(&str, &str)]) -> Project {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    Project::embedded("rehearsed", &files).unwrap()
}

/// Everything that can be asked for but rows.
pub(super) fn request() -> Request {
    Request { selection: Selection::default(), ground: GroundRequest::default(), full: false, workload: None }
}

/// `pg_dump` of the servers of this run.
pub(super) fn programs() -> SandboxOptions {
    let Binaries { folder, .. } = testkit::clients();
    SandboxOptions { bin_dir: Some(folder), ..testkit::sandbox_options() }
}

/// Rehearses in a scratch database beside the real one, which must go well. The server is that of the tests, with nothing real on it.
pub(super) async fn rehearsed(project: &Project, database: &Database, request: &Request) -> Rehearsal {
    let sandbox = SandboxProvider::dev_url(database.server().options("postgres"));
    let done =
        Box::pin(all(project, Some(&database.options()), request, (&sandbox, false), &programs())).await;
    done.unwrap_or_else(|error| panic!("{error}"))
}
