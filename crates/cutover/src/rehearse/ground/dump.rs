//! The schema of a database by `pg_dump`, run statement by statement on a throwaway server: what cannot be run there is named.

use cutover_analysis::sql::{Item, Splitter};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::{Binaries, SandboxError, SandboxOptions, run_client};
use cutover_postgres::session::{Failure, Session};

use super::super::error::{MissingExtension, RehearseError};
use super::super::model::{Ground, LeftOut};
use super::super::words::excerpt;
use super::GroundRequest;
use crate::secrets::without_passwords;

/// Statements in one flush.
const FLUSH: usize = 100;
/// Failures that are named; there is no end to what a missing extension takes along.
const NAMED: usize = 20;

/// The statements of a schema, those before rows and those behind them.
pub(super) struct Texts {
    pub(super) before: Vec<String>,
    pub(super) after: Vec<String>,
    /// User mappings of foreign servers, which are left out.
    pub(super) mappings: usize,
}

/// Opens a snapshot that everything that is read belongs to.
pub(super) async fn snapshot(source: &mut Session) -> Result<String, Failure> {
    source
        .execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL row_security = off; \
             SET LOCAL datestyle = ISO; SET LOCAL intervalstyle = postgres; SET LOCAL extra_float_digits = 3; \
             SET LOCAL timezone = 'UTC'",
        )
        .await?;
    let done = source.execute("SELECT pg_catalog.pg_export_snapshot()").await?;
    done.scalar().map(str::to_owned).ok_or_else(|| Failure::Invalid("no snapshot was exported".to_owned()))
}

/// Runs `pg_dump`.
pub(super) async fn take(
    target: &ConnectOptions,
    snapshot: &str,
    major: u32,
    programs: &SandboxOptions,
) -> Result<Texts, RehearseError> {
    let (target, snapshot, programs) = (target.clone(), snapshot.to_owned(), programs.clone());
    let both = tokio::task::spawn_blocking(move || {
        let binaries = Binaries::find_for_dump(programs.bin_dir.as_deref(), &programs.search_path, major)?;
        let section = |name: &str| {
            let mut command = binaries.pg_dump(&target)?;
            command
                .arg("--schema-only")
                .arg(format!("--section={name}"))
                .arg(format!("--snapshot={snapshot}"));
            command.args(["--exclude-schema=cutover", "--no-tablespaces", "--no-subscriptions"]);
            // Whoever waits for a lock of ours waits behind it.
            command.arg("--lock-wait-timeout=10s");
            run_client("pg_dump", &mut command)
        };
        // Most of either is spent reading the catalogue: side by side both take as long as one.
        std::thread::scope(|scope| {
            let after = scope.spawn(|| section("post-data"));
            let before = section("pre-data")?;
            let after = after.join().unwrap_or(Err(SandboxError::Interrupted))?;
            Ok::<_, SandboxError>((before, after))
        })
    });
    let (before, after) = both.await.map_err(|error| RehearseError::Dump(error.to_string()))??;
    let mut before = statements(&before)?;
    let all = before.len();
    // Without them a migration reaches no other server through the foreign tables that are there.
    before.retain(|text| !text.starts_with("CREATE USER MAPPING "));
    let mappings = all - before.len();
    Ok(Texts { before, after: statements(&after)?, mappings })
}

fn statements(text: &[u8]) -> Result<Vec<String>, RehearseError> {
    let mut statements = Vec::new();
    for item in Splitter::new(text) {
        if let Item::Statement(statement) = item.map_err(|error| RehearseError::Dump(error.to_string()))? {
            statements.push(statement.text);
        }
    }
    Ok(statements)
}

/// A database that gets a schema.
pub(super) struct Restoring<'a> {
    pub(super) session: &'a mut Session,
    pub(super) ground: &'a mut Ground,
    pub(super) own_server: bool,
    pub(super) request: &'a GroundRequest,
}

impl Restoring<'_> {
    /// Runs statements, each by itself.
    pub(super) async fn all(&mut self, statements: &[String]) -> Result<(), RehearseError> {
        let mut failed: Vec<(&String, Failure)> = Vec::new();
        for chunk in statements.chunks(FLUSH) {
            let texts: Vec<&str> = chunk.iter().map(String::as_str).collect();
            for (text, outcome) in chunk.iter().zip(self.session.pipeline(&texts).await) {
                match outcome.result {
                    Err(failure @ Failure::Lost(_)) => return Err(failure.into()),
                    Err(failure) if !is_there_already(text, &failure) => failed.push((text, failure)),
                    _ => {}
                }
            }
        }
        self.judge(failed)
    }

    /// What failed is left out where that was allowed, and an error otherwise.
    fn judge(&mut self, failed: Vec<(&String, Failure)>) -> Result<(), RehearseError> {
        // Roles of a server that is not ours are not made there.
        let of_roles =
            |failure: &Failure| failure.code() == Some("42704") && failure.to_string().contains("role \"");
        let (allowed, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(|(_, failure)| {
            self.request.without_missing || (!self.own_server && of_roles(failure))
        });
        let left_out = |(text, failure): &(&String, Failure)| LeftOut {
            what: excerpt(text),
            why: without_passwords(&failure.to_string()),
        };
        self.ground.left_out.extend(allowed.iter().map(left_out));
        let missing: Vec<MissingExtension> =
            failed.iter().filter_map(|(text, failure)| extension(text, failure)).collect();
        if !missing.is_empty() {
            return Err(RehearseError::MissingExtensions(missing));
        }
        if failed.is_empty() {
            return Ok(());
        }
        let more = failed.len().saturating_sub(NAMED);
        let named = failed.iter().take(NAMED).map(left_out).collect();
        Err(RehearseError::NotBuilt { failed: named, more })
    }
}

/// `CREATE SCHEMA public` of older dumps.
fn is_there_already(text: &str, failure: &Failure) -> bool {
    failure.code() == Some("42P06") && text.starts_with("CREATE SCHEMA public")
}

/// The extension that a statement makes and this server does not have: an error of its own (0A000), or of its missing control
/// file (58P01) on majors that say it so.
fn extension(text: &str, failure: &Failure) -> Option<MissingExtension> {
    let rest = text.strip_prefix("CREATE EXTENSION IF NOT EXISTS ")?;
    matches!(failure.code(), Some("0A000" | "58P01" | "22023")).then(|| {
        let name = rest.split(" WITH SCHEMA").next().unwrap_or(rest);
        MissingExtension { name: name.trim_matches('"').to_owned(), why: failure.to_string() }
    })
}
