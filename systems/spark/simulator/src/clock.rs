//! The time that everybody in a simulation shares.

use std::time::{Duration, Instant};

use cutover::report::format::utc;

use crate::plan::Millis;

/// Simulated time: so many times as fast as real time. At speed 1 it is the server's clock, and nothing is set in any session; at
/// another speed each call says what time it is before it asks anything.
#[derive(Debug, Clone)]
pub struct Clock {
    begun: Instant,
    /// What the server's clock said at the beginning, in microseconds since the Unix epoch.
    base: i64,
    speed: u32,
}

impl Clock {
    /// Begins now, which the server calls `base` (microseconds since the Unix epoch).
    pub fn begin(base: i64, speed: u32) -> Self {
        Self { begun: Instant::now(), base, speed: speed.max(1) }
    }

    /// How many times as fast as real time.
    pub fn speed(&self) -> u32 {
        self.speed
    }

    /// Whether the time is told with each call.
    pub fn is_told(&self) -> bool {
        self.speed != 1
    }

    /// Simulated milliseconds since the beginning.
    pub fn now(&self) -> Millis {
        u64::try_from((self.begun.elapsed() * self.speed).as_millis()).unwrap_or(u64::MAX)
    }

    /// In real time, from now until then.
    pub fn until(&self, then: Millis) -> Duration {
        (Duration::from_millis(then) / self.speed).saturating_sub(self.begun.elapsed())
    }

    /// What the server would call a moment, in microseconds since the Unix epoch.
    pub fn micros(&self, at: Millis) -> i64 {
        self.base.saturating_add(i64::try_from(at).unwrap_or(i64::MAX).saturating_mul(1000))
    }

    /// The simulated moment that the server calls so; 0 for what was before the beginning.
    pub fn at(&self, micros: i64) -> Millis {
        u64::try_from(micros.saturating_sub(self.base) / 1000).unwrap_or(0)
    }

    /// What a call begins with.
    pub fn prefix(&self, at: Millis) -> String {
        if self.is_told() { format!("SET spark.now = '{}'; ", text(self.micros(at))) } else { String::new() }
    }
}

/// As PostgreSQL reads it, to the microsecond.
pub fn text(micros: i64) -> String {
    let whole = utc(micros);
    format!("{}.{:06}Z", whole.trim_end_matches('Z'), micros.rem_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_exact_and_told_only_where_they_must_be() {
        assert_eq!(text(1_795_167_000_000_042), "2026-11-20T09:30:00.000042Z");
        let clock = Clock::begin(1_795_167_000_000_000, 20);
        assert_eq!(clock.prefix(1_500), "SET spark.now = '2026-11-20T09:30:01.500000Z'; ");
        assert_eq!(clock.at(clock.micros(77)), 77);
        assert_eq!(clock.at(0), 0);
        assert!(clock.until(20_000) <= Duration::from_secs(1));
        assert_eq!(Clock::begin(0, 1).prefix(1_500), "");
    }
}
