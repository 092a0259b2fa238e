//! Somebody else, whose locks are in the way.

use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use tokio_postgres::NoTls;

/// An open transaction of a connection of its own, which holds what its statements have locked until it lets go. Dropped
/// before that, it is rolled back.
pub struct Holder {
    /// Says that it is to commit; gone, that it is to end.
    letting_go: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Holder {
    /// Begins a transaction and runs statements in it. Panics if one fails.
    pub(crate) fn of(url: &str, statements: &str) -> Self {
        let (letting_go, let_go) = mpsc::channel();
        let (holding, held) = mpsc::channel();
        let (url, begin) = (url.to_owned(), format!("BEGIN; {statements}"));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
                let driver = tokio::spawn(connection);
                client.batch_execute(&begin).await.unwrap_or_else(|error| panic!("{begin}: {error:?}"));
                holding.send(()).unwrap();
                // Nothing else is for this thread to do meanwhile.
                if let_go.recv().is_ok() {
                    client.batch_execute("COMMIT").await.unwrap();
                }
                drop(client);
                let _ = driver.await;
            });
        });
        let mut holder = Self { letting_go: Some(letting_go), thread: Some(thread) };
        if held.recv().is_err() {
            holder.end();
        }
        holder
    }

    /// Commits, and returns once that is done.
    pub fn lets_go(mut self) {
        if let Some(letting_go) = &self.letting_go {
            letting_go.send(()).expect("it holds until then");
        }
        self.end();
    }

    fn end(&mut self) {
        self.letting_go = None;
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.letting_go = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
