//! Ctrl-C and its kin. Verbs that change a database stop in two stages: the step at hand is finished, then it is
//! cancelled. All others just end, and what they started (a throwaway server) ends with them.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use cutover::stop::Stop;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{CliError, Exit};
use crate::output::Output;

/// A signal that nobody took note of for so long came while the process was computing, e.g. reading a large file.
const PATIENCE: Duration = Duration::from_millis(300);

/// SIGINT, SIGTERM and SIGHUP, counted by a thread of their own.
pub(crate) struct Signals {
    /// How many there were. None: they end the process by themselves.
    heard: Option<watch::Receiver<u32>>,
    /// How many were taken note of.
    taken: Arc<AtomicU32>,
    /// Something is under way that must not be left without a word.
    guarded: Arc<AtomicBool>,
}

impl Signals {
    /// Takes the signals over: from now on they end the process only while it computes and leaves nothing behind.
    pub(crate) fn hear() -> Result<Self, CliError> {
        let (sender, heard) = watch::channel(0);
        let taken = Arc::new(AtomicU32::new(0));
        let guarded = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = mpsc::channel();
        let thread = listen(sender, Arc::clone(&taken), Arc::clone(&guarded), ready);
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(thread);
        let failed =
            |why: &dyn std::fmt::Display| CliError::usage(format!("cannot listen for signals: {why}"));
        thread.map_err(|error| failed(&error))?;
        is_ready.recv().map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        Ok(Self { heard: Some(heard), taken, guarded })
    }

    /// Leaves the signals alone, for verbs that leave nothing behind.
    pub(crate) fn leave() -> Self {
        Self { heard: None, taken: Arc::default(), guarded: Arc::default() }
    }

    /// A switch that is on while something must not be left without a word.
    pub(crate) fn guard(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.guarded)
    }

    /// Returns at the next one.
    pub(crate) async fn next(&mut self) {
        let Some(heard) = &mut self.heard else {
            return std::future::pending().await;
        };
        let taken = self.taken.load(Ordering::Relaxed);
        if heard.wait_for(|count| *count > taken).await.is_ok() {
            self.taken.store(taken.saturating_add(1), Ordering::Relaxed);
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Runs `work` and drops it at the first signal.
    pub(crate) async fn or_end<T>(
        &mut self,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        tokio::select! {
            result = work => result,
            () = self.next() => Err(interrupted("interrupted")),
        }
    }

    /// Runs `work`, which watches `stop`. While `may_drop` says that nothing is under way yet, the first signal ends it;
    /// after that the first asks to finish the step, the second to cancel it, and the third lets go of the connection.
    pub(crate) async fn in_stages<T>(
        &mut self,
        stop: &Stop,
        may_drop: impl Fn() -> bool,
        output: &Output,
        work: impl Future<Output = T>,
    ) -> Result<T, CliError> {
        let mut work = pin!(work);
        let mut heard = 0_u8;
        loop {
            tokio::select! {
                result = &mut work => return Ok(result),
                () = self.next() => {}
            }
            heard = heard.saturating_add(1);
            match heard {
                1 if may_drop() => {
                    return Err(interrupted("interrupted before the first step; nothing was applied"));
                }
                1 => output.remark("stopping after this step; once more cancels it"),
                2 => output.remark("cancelling this step"),
                _ => {
                    return Err(interrupted(
                        "left without waiting for the server, which rolls back what was not committed\n\
                         see `cutover status` for what is applied",
                    ));
                }
            }
            stop.request();
        }
    }
}

/// The thread's work: count, and end a process that computes.
fn listen(
    sender: watch::Sender<u32>,
    taken: Arc<AtomicU32>,
    guarded: Arc<AtomicBool>,
    ready: mpsc::Sender<std::io::Result<()>>,
) -> impl FnOnce() + Send {
    let work = async move || -> std::io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let _ = ready.send(Ok(()));
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            sender.send_modify(|count| *count = count.saturating_add(1));
            let count = *sender.borrow();
            let (taken, guarded) = (Arc::clone(&taken), Arc::clone(&guarded));
            tokio::spawn(async move {
                tokio::time::sleep(PATIENCE).await;
                if taken.load(Ordering::Relaxed) < count && !guarded.load(Ordering::Relaxed) {
                    eprintln!("interrupted");
                    // A throwaway server has a guard of its own that sees this end.
                    std::process::exit(i32::from(Exit::Interrupted as u8));
                }
            });
        }
    };
    move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let _ = runtime.block_on(work());
    }
}

fn interrupted(message: &str) -> CliError {
    CliError::new(Exit::Interrupted, message)
}
