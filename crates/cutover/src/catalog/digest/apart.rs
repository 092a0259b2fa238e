//! Work on a thread and a runtime of its own, where the reading of long streams may sleep (`CopySink::may_rest`) and hashing
//! keeps nobody waiting. It ends early when its caller does not wait any more.

use std::io;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::super::CatalogError;

/// Runs `work` apart, and gives what it comes to. When the returned future is dropped, the work is dropped at its next
/// point of waiting, and its connections with it.
///
/// # Errors
/// As `work`; [`CatalogError::Thread`] when there is no thread or no runtime to be had.
pub(super) async fn run<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<T, CatalogError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CatalogError>>,
{
    // Dropped with this future: the other end hears of it.
    let (_waiting, gone) = oneshot::channel::<()>();
    let thread = tokio::task::spawn_blocking(move || {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(CatalogError::Thread)?;
        runtime.block_on(async {
            tokio::select! {
                done = work() => done,
                _ = gone => Err(CatalogError::Thread(io::ErrorKind::Interrupted.into())),
            }
        })
    });
    thread.await.unwrap_or_else(|error| Err(CatalogError::Thread(io::Error::other(error))))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn work_ends_when_nobody_waits_for_it() {
        struct Tell(mpsc::Sender<()>);
        impl Drop for Tell {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (begun, begins) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let tell = Tell(tell);
            let endless = run(move || async move {
                let _tell = tell;
                let _ = begun.send(());
                std::future::pending::<Result<(), CatalogError>>().await
            });
            tokio::select! {
                biased;
                _ = endless => panic!("it ended"),
                _ = begins => {}
            }
        });
        told.recv().unwrap();
    }
}
