//! Named points at which a test build can end itself, to prove that a run may die anywhere. In ordinary builds a point
//! does nothing and the number cannot be set.

#[cfg(feature = "crash-points")]
use std::sync::atomic::{AtomicU32, Ordering};

/// Counts the points passed.
#[derive(Debug, Default)]
pub struct CrashPoints {
    #[cfg(feature = "crash-points")]
    left: Option<AtomicU32>,
    #[cfg(feature = "crash-points")]
    together: bool,
}

impl CrashPoints {
    /// The process aborts at the `n`-th point, counted from 1. Statements are sent one by one.
    #[cfg(feature = "crash-points")]
    pub fn at(n: u32) -> Self {
        Self { left: Some(AtomicU32::new(n)), together: false }
    }

    /// As [`at`](Self::at), with statements and small migrations sent as in an ordinary run.
    #[cfg(feature = "crash-points")]
    pub fn together_at(n: u32) -> Self {
        Self { left: Some(AtomicU32::new(n)), together: true }
    }

    /// Statements are to be sent one by one, so that there is a point between any two.
    #[cfg(feature = "crash-points")]
    pub(super) fn one_by_one(&self) -> bool {
        self.left.is_some() && !self.together
    }

    /// There are no points in this build.
    #[cfg(not(feature = "crash-points"))]
    #[allow(clippy::unused_self, reason = "the same call as in a build with points")]
    pub(super) fn one_by_one(&self) -> bool {
        false
    }

    /// A point is passed.
    #[cfg(feature = "crash-points")]
    pub(super) fn point(&self) {
        if let Some(left) = &self.left
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            // Like a SIGKILL: no destructor runs, nothing is said to the server.
            std::process::abort();
        }
    }

    /// There are no points in this build.
    #[cfg(not(feature = "crash-points"))]
    #[allow(clippy::unused_self, reason = "the same call as in a build with points")]
    pub(super) fn point(&self) {}
}
