//! Every kind of check against a real server: what holds, what is false, and what cannot be measured.

mod access;
mod bitstockerz;
mod claims;
mod design;
mod kinds;
mod limits;
mod prepared;
mod preview;

use std::path::Path;

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use testkit::Database;

use super::{SandboxProvider, VerifyError, VerifyRequest, verify};
use crate::history::records::{Applied, History};
use crate::migration::MigrationId;
use crate::project::{Overrides, Project, Vars, When};
use crate::run::{CheckResult, Verdict};
use crate::verify::replay;

/// A project in a folder of its own, and a database.
struct World {
    folder: tempfile::TempDir,
    database: Database,
    history: History,
}

impl World {
    /// A project of files, given as path and text.
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self { folder, database: testkit::database(), history: History::default() };
        for (path, text) in files {
            world.write(path, text);
        }
        world
    }

    /// A project of one migration that does nothing, with these checks.
    fn with_checks(checks: &str) -> Self {
        Self::new(&[
            ("migrations/V1__nothing.sql", "SELECT 1;"),
            ("cutover.toml", &format!("[[migrations]]\npath = \"migrations\"\n{checks}")),
        ])
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn project(&self) -> Project {
        load(self.folder.path())
    }

    /// Runs migrations in the database and records them as applied.
    async fn apply(&mut self, versions: &[&str]) {
        let project = self.project();
        let mut session = Session::connect(&self.database.options(), &Startup::default()).await.unwrap();
        for version in versions {
            let (_, migration) = crate::plan::select::find(&project, version).unwrap();
            replay::run(&mut session, migration, &Vars::new()).await.unwrap();
            self.applied(&migration.id);
        }
    }

    fn applied(&mut self, id: &MigrationId) {
        let row = Applied {
            id: id.clone(),
            path: String::new(),
            checksum: String::new(),
            run: "r".into(),
            at_micros: 0,
        };
        self.history.insert(row);
    }

    async fn verify(&self, request: &VerifyRequest) -> Vec<CheckResult> {
        self.try_verify(&self.database.options(), request).await.unwrap()
    }

    async fn try_verify(
        &self,
        options: &ConnectOptions,
        request: &VerifyRequest,
    ) -> Result<Vec<CheckResult>, VerifyError> {
        let sandbox = scratch_server();
        let mut told = Vec::new();
        let project = self.project();
        let mut request = request.clone();
        if request.kinds.is_empty() && request.names.is_empty() && !project.checks.is_empty() {
            // What is implied beside the checks at hand has a test of its own.
            let measured = project.checks.iter().filter(|check| {
                (check.when == When::After || request.before.is_some())
                    && (check.kind != "empty" || request.fresh)
            });
            request.kinds = measured.map(|check| check.kind.clone()).collect();
            if project.stages.iter().any(|stage| !stage.uses.is_empty()) {
                request.kinds.push("uses".into());
            }
        }
        let results = verify(&project, options, &sandbox, &self.history, &request, |result| {
            told.push(result.clone());
        })
        .await;
        if let Ok(results) = &results {
            assert_eq!(*results, told, "every result is told as it comes");
        }
        results
    }

    /// The one result there is.
    async fn one(&self) -> CheckResult {
        self.one_as(&self.database.options()).await
    }

    async fn one_as(&self, options: &ConnectOptions) -> CheckResult {
        let mut results = self.try_verify(options, &VerifyRequest::default()).await.unwrap();
        assert_eq!(results.len(), 1, "{results:#?}");
        results.remove(0)
    }
}

fn load(folder: &Path) -> Project {
    Project::load(folder, &Overrides::default()).unwrap()
}

/// Scratch databases on the server of the tests: faster than a server for each.
fn scratch_server() -> SandboxProvider {
    SandboxProvider::dev_url(testkit::server().server().options("postgres"))
}

#[track_caller]
fn expect(result: &CheckResult, verdict: Verdict, found: &str) {
    assert_eq!(result.verdict, verdict, "{result:#?}");
    assert!(result.found.contains(found), "expected {found:?} in {result:#?}");
}

/// The result with this name.
#[track_caller]
fn named<'a>(results: &'a [CheckResult], name: &str) -> &'a CheckResult {
    let names: Vec<&str> = results.iter().map(|result| result.name.as_str()).collect();
    results.iter().find(|result| result.name == name).unwrap_or_else(|| panic!("no {name:?} in {names:#?}"))
}
