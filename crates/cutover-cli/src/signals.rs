//! Ctrl-C and its kin. Verbs that change a database stop in two stages: the step at hand is finished, then it is
//! cancelled. All others just end, and what they started (a throwaway server) ends with them.

use std::future::Future;
use std::pin::pin;

use cutover::stop::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CliError, Exit};
use crate::output::Output;

/// SIGINT, SIGTERM and SIGHUP.
pub(crate) struct Signals {
    /// None: they end the process by themselves, also while it computes.
    heard: Option<[Signal; 3]>,
}

impl Signals {
    /// Takes the signals over: from now on they no longer end the process by themselves.
    pub(crate) fn hear() -> Result<Self, CliError> {
        let hear = |kind| {
            signal(kind).map_err(|error| CliError::usage(format!("cannot listen for signals: {error}")))
        };
        let heard =
            [hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?, hear(SignalKind::hangup())?];
        Ok(Self { heard: Some(heard) })
    }

    /// Leaves the signals alone, for verbs that leave nothing behind.
    pub(crate) fn leave() -> Self {
        Self { heard: None }
    }

    /// Returns at the next one.
    pub(crate) async fn next(&mut self) {
        let Some([interrupt, terminate, hangup]) = &mut self.heard else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
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

fn interrupted(message: &str) -> CliError {
    CliError::new(Exit::Interrupted, message)
}
