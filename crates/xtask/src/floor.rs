//! The least that any tool must do, as one process each: what the tool's own work is measured against.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cutover::compare::{Side, read_both};
use cutover::verify::SandboxProvider;
use cutover_postgres::Environment;
use cutover_postgres::connect::{ConnectOptions, Inputs};
use cutover_postgres::session::{Session, Startup};
use sha2::{Digest, Sha256};
use tokio_postgres::{Client, NoTls};

use crate::Failure;

const HISTORY: &str = "CREATE TABLE IF NOT EXISTS floor_history (version text PRIMARY KEY, checksum text NOT NULL, \
                       applied_at timestamptz NOT NULL DEFAULT now())";

/// Runs one floor: `apply FOLDER URL`, `no-op FOLDER URL`, `scan TABLE URL`, `md5 TABLE URL`, or what is measured against
/// the last two, `digest TABLE URL`, or against `pg_dump`, `schema - URL` and `schema-diff DATABASE URL`; `parse FOLDER -`
/// needs no server.
pub(crate) fn run(name: &str, arguments: &[&str]) -> Result<(), Failure> {
    let [subject, url] = arguments else { return Err("usage: xtask floor NAME SUBJECT URL".into()) };
    if *name == *"parse" {
        return parse(Path::new(subject));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match name {
        "digest" => return runtime.block_on(digest(subject, url)),
        "schema" => return runtime.block_on(schema(None, url)),
        "schema-diff" => return runtime.block_on(schema(Some(subject), url)),
        _ => {}
    }
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let driver = tokio::spawn(connection);
        match name {
            "apply" => apply(&client, Path::new(subject)).await?,
            "no-op" => no_op(&client, Path::new(subject)).await?,
            "scan" => {
                one(&client, &format!("SELECT count(*) FROM {subject} AS t WHERE t.ctid IS NOT NULL"))
                    .await?;
            }
            "md5" => {
                one(
                    &client,
                    &format!("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM {subject} AS t"),
                )
                .await?;
            }
            other => return Err(format!("no floor is called {other}").into()),
        }
        drop(client);
        driver.await??;
        Ok(())
    })
}

/// Parses every file of a folder, on two threads.
fn parse(folder: &Path) -> Result<(), Failure> {
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    let failed = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for half in files.chunks(files.len().div_ceil(2).max(1)) {
            let failed = &failed;
            scope.spawn(move || {
                for path in half {
                    let text = std::fs::read_to_string(path).unwrap_or_default();
                    if cutover_analysis::sql::parse(&text).is_err() {
                        failed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    match failed.into_inner() {
        0 => Ok(()),
        failed => Err(format!("{failed} files cannot be parsed").into()),
    }
}

/// Not a floor but what is measured against them: the product's digest, in a process of its own.
async fn digest(table: &str, url: &str) -> Result<(), Failure> {
    let environment = Environment::default();
    let inputs = Inputs { url: Some(url), dotenv: BTreeMap::new(), config: None, env: &environment };
    let options = ConnectOptions::resolve(inputs)?.options;
    cutover::catalog::digest(&options, table).await?;
    Ok(())
}

/// Not a floor either: a schema with its fingerprint, or what lies between it and that of another database of the server.
async fn schema(other: Option<&str>, url: &str) -> Result<(), Failure> {
    let environment = Environment::default();
    let inputs = Inputs { url: Some(url), dotenv: BTreeMap::new(), config: None, env: &environment };
    let mut options = ConnectOptions::resolve(inputs)?.options;
    let Some(other) = other else {
        let mut session = Session::connect(&options, &Startup::default()).await?;
        let schema = cutover::catalog::schema(&mut session, &[]).await?;
        println!("{}", cutover::catalog::fingerprint(&schema));
        return Ok(());
    };
    let from = Side::Database(Box::new(options.clone()));
    other.clone_into(&mut options.database);
    let none = SandboxProvider::none("nothing is to be built");
    let [from, to] = read_both(from, Side::Database(Box::new(options)), &[], None, &none).await?;
    let found = cutover::compare::diff(&from.schema, &to.schema, cutover::compare::Options::default());
    println!("{} changes, {} statements", found.changes.len(), found.statements.len());
    Ok(())
}

/// `BEGIN; file; history row; COMMIT` as one message a file, on one connection.
async fn apply(client: &Client, folder: &Path) -> Result<(), Failure> {
    client.batch_execute(HISTORY).await?;
    for path in files(folder)? {
        let text = std::fs::read_to_string(&path)?;
        let (version, checksum) = (name(&path), checksum(text.as_bytes()));
        client
            .batch_execute(&format!(
                "BEGIN;\n{text};\nINSERT INTO floor_history (version, checksum) VALUES ('{version}', '{checksum}'); COMMIT"
            ))
            .await?;
    }
    Ok(())
}

/// Read and hash every file, one query, compare.
async fn no_op(client: &Client, folder: &Path) -> Result<(), Failure> {
    let mut here = Vec::new();
    for path in files(folder)? {
        here.push((name(&path), checksum(&std::fs::read(&path)?)));
    }
    let rows = client
        .query("SELECT version, checksum FROM floor_history ORDER BY version COLLATE \"C\"", &[])
        .await?;
    let there: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    here.sort();
    if here == there { Ok(()) } else { Err("the history differs from the files".into()) }
}

/// One connection without parallel workers: what one core can do.
async fn one(client: &Client, query: &str) -> Result<(), Failure> {
    client.batch_execute("SET max_parallel_workers_per_gather = 0").await?;
    client.query_one(query, &[]).await?;
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn checksum(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
