//! Where everything random comes from that the simulator decides: one generator, which a seed, whom it is about, and which of
//! that person's decisions it is, put at a place of its own. What somebody decides does not depend on what came before it
//! elsewhere, so two runs of one seed decide the same however their connections take turns.

/// `SplitMix64`. Not for secrets.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// For the `n`-th decision of a kind that a user takes.
    pub fn of(seed: u64, user: u32, kind: u32, n: u32) -> Self {
        let mut dice = Self(seed);
        for part in [u64::from(user), u64::from(kind), u64::from(n)] {
            dice.0 = dice.bits() ^ part.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        }
        dice
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number of `0..limit`; 0 where the limit is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        // The high half of a product: as good as even for limits as small as ours.
        u64::try_from((u128::from(self.bits()) * u128::from(limit)) >> 64).unwrap_or(0)
    }

    /// A number from `from` to `to`, both possible.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// Whether something of so many in a hundred happens.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_of_its_own_for_each_decision() {
        let first = |seed, user, kind, n| Dice::of(seed, user, kind, n).bits();
        let mut all: Vec<u64> = Vec::new();
        for (seed, user, kind, n) in [(1, 0, 0, 0), (2, 0, 0, 0), (1, 1, 0, 0), (1, 0, 1, 0), (1, 0, 0, 1)] {
            assert_eq!(first(seed, user, kind, n), first(seed, user, kind, n));
            all.push(first(seed, user, kind, n));
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn numbers_are_within_their_limits_and_reach_them() {
        let mut dice = Dice::of(7, 0, 0, 0);
        let mut seen = [0_u32; 3];
        for _ in 0..300 {
            let number = dice.between(5, 7);
            seen[usize::try_from(number - 5).unwrap()] += 1;
        }
        assert!(seen.iter().all(|times| *times > 50), "{seen:?}");
        assert_eq!(dice.below(0), 0);
        assert!(!dice.percent(0) && dice.percent(100));
    }
}
