//! Stopping on request in two stages: first the step at hand is finished, then it is cancelled.

use std::sync::Arc;

use tokio::sync::watch;

/// A request to stop, shared between whoever hears the signal and the engine. Clones share one state.
#[derive(Debug, Clone)]
pub struct Stop {
    level: Arc<watch::Sender<u8>>,
}

impl Stop {
    /// Nothing is asked for yet.
    pub fn new() -> Self {
        Self { level: Arc::new(watch::Sender::new(0)) }
    }

    /// Asks once more: the first call asks to finish the step, every later one to cancel it.
    pub fn request(&self) {
        self.level.send_modify(|level| *level = level.saturating_add(1).min(2));
    }

    /// Whether stopping after the step is asked for.
    pub fn is_requested(&self) -> bool {
        *self.level.borrow() >= 1
    }

    /// Whether cancelling the step is asked for.
    pub fn is_cancelled(&self) -> bool {
        *self.level.borrow() >= 2
    }

    /// Returns once stopping is asked for.
    pub async fn requested(&self) {
        self.reached(1).await;
    }

    /// Returns once cancelling is asked for.
    pub async fn cancelled(&self) {
        self.reached(2).await;
    }

    async fn reached(&self, wanted: u8) {
        let mut receiver = self.level.subscribe();
        // The sender lives in self, so the channel cannot close while this waits.
        let _ = receiver.wait_for(|level| *level >= wanted).await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
