//! Small random differences in waiting times, so that runners and retries do not march in step. Not for secrets.

use std::time::Duration;

/// A xorshift generator; the seed may be anything, two runners just should not share it.
#[derive(Debug, Clone)]
pub struct Jitter(u64);

impl Jitter {
    /// Starts from a seed.
    pub fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Between half of `middle` and one and a half of it.
    pub fn around(&mut self, middle: Duration) -> Duration {
        let permille = 500 + u32::try_from(self.next() % 1000).unwrap_or(0);
        middle * permille / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_half_of_the_middle() {
        let mut jitter = Jitter::seeded(7);
        let middle = Duration::from_millis(100);
        for _ in 0..1000 {
            let wait = jitter.around(middle);
            assert!(wait >= middle / 2 && wait <= middle * 3 / 2, "{wait:?}");
        }
    }
}
