//! Runs the command in a folder and a database of the test's own, with nothing of the machine's environment.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::expect_used, reason = "a test without its surroundings has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use cutover_postgres::session::{Session, Startup};
use testkit::Database;

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Fails the test unless it ended with this code.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Fails the test unless all of these are said, in this order.
#[track_caller]
pub(crate) fn says(outcome: &Outcome, parts: &[&str]) {
    let mut rest = outcome.stderr.as_str();
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is not in\n{}", outcome.stderr));
        rest = &rest[at + part.len()..];
    }
}

/// Fails the test unless `docs/json.md` lists exactly the fields of a document, and those of the elements of one list.
#[track_caller]
pub(crate) fn is_documented(heading: &str, document: &serde_json::Value, nested: Option<&str>) {
    let page = include_str!("../../../../docs/json.md");
    let (_, section) = page.split_once(&format!("\n### {heading}\n")).expect(heading);
    let section = section.split("\n### ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows: std::collections::BTreeMap<&str, &str> = rows.collect();
    let fields: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), fields, "{heading}");
    let Some(list) = nested else { return };
    for field in document[list][0].as_object().unwrap().keys() {
        let of_state =
            ["state", "at_micros", "run"].contains(&field.as_str()) && rows[list].contains("[state]");
        assert!(of_state || rows[list].contains(&format!("`{field}`")), "{heading} {list} {field}");
    }
}

/// A project folder with a database, or without one.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) database: Option<Database>,
}

impl Place {
    /// An empty folder and an empty database, which the environment names.
    pub(crate) fn new() -> Self {
        Self { folder: empty_folder(), database: Some(testkit::database()) }
    }

    /// An empty folder and no database.
    pub(crate) fn without_database() -> Self {
        Self { folder: empty_folder(), database: None }
    }

    pub(crate) fn database(&self) -> &Database {
        self.database.as_ref().expect("a database")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        fs::write(path, text).expect("a file");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_with(testkit::sandbox_options().bin_dir, arguments)
    }

    /// A command that uses the programs of this folder, or looks for some.
    pub(crate) fn command_with(&self, programs: Option<PathBuf>, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(arguments).current_dir(&self.folder).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &self.folder);
        if let Some(programs) = programs {
            command.arg("--pg-bin").arg(programs);
        }
        // Backtraces are for us, never for users: the variable must make no difference.
        command.env("RUST_BACKTRACE", "1");
        if let Some(database) = &self.database {
            command.env("CUTOVER_URL", database.url());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        outcome(&self.command(arguments).output().expect("the command runs"))
    }
}

/// Runs a command that builds what it compares with on the server of the place's own database, which is there already.
pub(crate) fn on_one_server(place: &Place, arguments: &[&str]) -> Outcome {
    let url = place.database().url();
    place.run(&[arguments, &["--dev-url", &url, "--allow-url-password"]].concat())
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn outcome(output: &std::process::Output) -> Outcome {
    Outcome {
        code: output.status.code().expect("an exit code, not a signal"),
        stdout: String::from_utf8(output.stdout.clone()).expect("text"),
        stderr: String::from_utf8(output.stderr.clone()).expect("text"),
    }
}

/// Runs `work` while a session of the test's own, which has run `sql`, is open.
pub(crate) fn with_session<T>(
    place: &Place,
    name: &str,
    sql: &str,
    work: impl AsyncFnOnce(&mut Session) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let startup = Startup { application_name: name.to_owned(), ..Startup::default() };
        let mut session = Session::connect(&place.database().options(), &startup).await.unwrap();
        session.execute(sql).await.unwrap();
        let result = work(&mut session).await;
        session.close().await;
        result
    })
}

fn empty_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("place-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}
