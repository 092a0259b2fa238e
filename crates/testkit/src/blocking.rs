//! Async work from code that may or may not be inside a runtime already.

use cutover_postgres::sandbox::Server;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Runs a future to its end on a thread with a runtime of its own, from code that may be inside a runtime already.
pub fn block_on<F>(future: F) -> F::Output
where
    F: Future + Send,
    F::Output: Send,
{
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(future)
    };
    match std::thread::scope(|scope| scope.spawn(run).join()) {
        Ok(output) => output,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// One row: each column as text, `None` for NULL.
pub(crate) type TextRow = Vec<Option<String>>;

/// Runs `sql` on a connection of its own and returns the rows of all its statements.
pub(crate) fn query(url: &str, sql: &str) -> Result<Vec<TextRow>, tokio_postgres::Error> {
    block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let driver = tokio::spawn(connection);
        let messages = client.simple_query(sql).await;
        drop(client);
        let _ = driver.await;
        let rows = messages?.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    })
}

/// [`query`] as superuser in the maintenance database.
pub(crate) fn administer(server: &Server, sql: &str) -> Result<Vec<TextRow>, tokio_postgres::Error> {
    query(&server.url("postgres"), sql)
}

/// A name no other test of the run uses.
pub(crate) fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{SystemTime, UNIX_EPOCH};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    // Process ids are used again during a long run.
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    format!("{prefix}_{}_{nanos:x}_{next}", std::process::id())
}
