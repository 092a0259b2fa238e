//! What somebody decides where they have a choice. Each decision follows from the seed, the person, the occasion, and the how
//! manyeth of its kind it is for them; what happens between two decisions is the database's.

use crate::dice::Dice;

/// Milliseconds of simulated time.
pub type Millis = u64;

/// Where somebody has a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// When they come for the first time.
    Arrive,
    /// They wait for somebody.
    Wait,
    /// They are paired.
    Meet,
    /// They may vote.
    Vote,
    /// They are on a date.
    Date,
    /// Their date is over.
    After,
    /// They are not in the queue any more.
    Out,
    /// They have come back from being away.
    Return,
    /// They have deleted their account.
    Deleted,
}

/// Of how many in a hundred occasions users make use to delete their account, where `--deleting` does not say it.
pub const DELETING: u32 = 2;

/// What they do about it. Times are from the moment at which they see that they have the choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: somebody else, or a limit of time, goes on.
    Nothing,
    /// They join the queue, or say so once more.
    Join(Millis),
    /// They spin again; in a match they leave it by that.
    Spin(Millis),
    /// They reveal.
    Reveal(Millis),
    /// They vote.
    Vote(Millis, Vote),
    /// One, and when that is done the other.
    Then(Box<Decision>, Box<Decision>),
    /// They end their date.
    End(Millis),
    /// They leave the queue.
    Leave(Millis),
    /// Their connection is gone.
    Drop {
        /// When.
        after: Millis,
        /// Whether somebody notices and tells the database; else heartbeats just stop.
        told: bool,
        /// For how long; none: they do not come back.
        away: Option<Millis>,
    },
    /// They delete their account.
    Delete(Millis),
    /// They make another one, and join.
    Anew(Millis),
    /// They are not seen again.
    Gone,
}

/// A vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vote {
    /// Yes.
    Yes,
    /// Pass.
    Pass,
}

impl Vote {
    /// As the database calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Pass => "pass",
        }
    }
}

/// What one person decides at the `n`-th occasion of a kind, so many in a hundred of which lead to the end of the account. Whatever that
/// share is, the other decisions of a seed are the same.
pub fn decide(seed: u64, user: u32, occasion: Occasion, n: u32, deleting: u32) -> Decision {
    // Who has no account, or has not said yet that they are there, deletes none.
    if !matches!(occasion, Occasion::Arrive | Occasion::Return | Occasion::Deleted) {
        let mut dice = Dice::of(seed, user, 32 + occasion as u32, n);
        if dice.percent(u64::from(deleting)) {
            return Decision::Delete(dice.between(500, 15_000));
        }
    }
    // Kinds below 16 are those of people.
    let mut dice = Dice::of(seed, user, 16 + occasion as u32, n);
    let dice = &mut dice;
    match occasion {
        // Half at once, the others bit by bit.
        Occasion::Arrive if dice.percent(50) => Decision::Join(dice.between(0, 3_000)),
        Occasion::Arrive => Decision::Join(dice.between(3_000, 30_000)),
        Occasion::Wait => match dice.below(100) {
            0..10 => lose(dice, 2_000, 40_000),
            10..13 => Decision::Leave(dice.between(5_000, 60_000)),
            13..16 => Decision::Join(dice.between(1_000, 20_000)),
            _ => Decision::Nothing,
        },
        Occasion::Meet => match dice.below(100) {
            0..8 => Decision::Nothing,
            8..14 => lose(dice, 500, 12_000),
            14 => Decision::Join(dice.between(500, 10_000)),
            15 => Decision::Spin(dice.between(500, 10_000)),
            16..18 => Decision::Leave(dice.between(500, 10_000)),
            18..26 => then(Decision::Reveal(dice.between(500, 6_000)), lose(dice, 100, 4_000)),
            _ => Decision::Reveal(dice.between(500, 12_000)),
        },
        Occasion::Vote => match dice.below(100) {
            0..8 => Decision::Nothing,
            8..14 => lose(dice, 500, 20_000),
            14 => Decision::Join(dice.between(500, 15_000)),
            15 => Decision::Spin(dice.between(500, 15_000)),
            16..19 => {
                let first = Decision::Vote(dice.between(500, 8_000), Vote::Yes);
                then(first, Decision::Vote(dice.between(500, 8_000), Vote::Pass))
            }
            19..25 => then(Decision::Vote(dice.between(500, 8_000), Vote::Yes), lose(dice, 100, 4_000)),
            25..66 => Decision::Vote(dice.between(500, 20_000), Vote::Yes),
            _ => Decision::Vote(dice.between(500, 20_000), Vote::Pass),
        },
        Occasion::Date if dice.percent(8) => lose(dice, 1_000, 20_000),
        Occasion::Date => Decision::End(dice.between(5_000, 25_000)),
        Occasion::After if dice.percent(10) => Decision::Leave(dice.between(500, 5_000)),
        Occasion::After => Decision::Join(dice.between(500, 10_000)),
        Occasion::Out if dice.percent(12) => Decision::Gone,
        Occasion::Out => Decision::Join(dice.between(500, 15_000)),
        Occasion::Return if dice.percent(10) => Decision::Join(dice.between(100, 2_000)),
        Occasion::Return => Decision::Nothing,
        Occasion::Deleted if dice.percent(15) => Decision::Gone,
        Occasion::Deleted => Decision::Anew(dice.between(500, 15_000)),
    }
}

fn then(one: Decision, other: Decision) -> Decision {
    Decision::Then(Box::new(one), Box::new(other))
}

/// Four in ten are back within the grace, as many behind it, a few long behind it or never.
fn lose(dice: &mut Dice, from: Millis, to: Millis) -> Decision {
    let after = dice.between(from, to);
    let told = dice.percent(75);
    let away = match dice.below(100) {
        0..42 => Some(dice.between(500, 9_500)),
        42..84 => Some(dice.between(10_500, 45_000)),
        84..90 => Some(dice.between(301_000, 400_000)),
        _ => None,
    };
    Decision::Drop { after, told, away }
}

/// Every occasion.
pub const OCCASIONS: [Occasion; 9] = [
    Occasion::Arrive,
    Occasion::Wait,
    Occasion::Meet,
    Occasion::Vote,
    Occasion::Date,
    Occasion::After,
    Occasion::Out,
    Occasion::Return,
    Occasion::Deleted,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64, deleting: u32) -> Vec<Decision> {
        let each = |user| {
            OCCASIONS
                .into_iter()
                .flat_map(move |occasion| (0..20).map(move |n| decide(seed, user, occasion, n, deleting)))
        };
        (0..50).flat_map(each).collect()
    }

    #[test]
    fn a_seed_says_what_everybody_decides() {
        assert_eq!(plan(5, 3), plan(5, 3));
        let same = |one: Vec<Decision>, other: Vec<Decision>| {
            let all = one.len();
            (one.into_iter().zip(other).filter(|(one, other)| one == other).count(), all)
        };
        let (others, all) = same(plan(5, 0), plan(6, 0));
        assert!(others < all / 2, "{others}");
        // Who deletes nothing decides as before.
        let (kept, all) = same(plan(5, 0), plan(5, 3));
        assert!((all * 95 / 100..all).contains(&kept), "{kept} of {all}");
        assert!(plan(5, 0).iter().all(|one| !matches!(one, Decision::Delete(_))));
    }

    #[test]
    fn everything_happens_that_can() {
        let all = plan(5, 3);
        let has = |what: &dyn Fn(&Decision) -> bool| assert!(all.iter().any(what));
        has(&|d| *d == Decision::Nothing);
        has(&|d| *d == Decision::Gone);
        has(&|d| matches!(d, Decision::Reveal(_)));
        has(&|d| matches!(d, Decision::Vote(_, Vote::Yes)));
        has(&|d| matches!(d, Decision::Vote(_, Vote::Pass)));
        let then = |d: &Decision, is_meant: &dyn Fn(&Decision, &Decision) -> bool| matches!(d, Decision::Then(one, other) if is_meant(one, other));
        has(&|d| then(d, &|one, other| matches!((one, other), (Decision::Vote(..), Decision::Vote(..)))));
        has(&|d| then(d, &|one, other| matches!((one, other), (Decision::Vote(..), Decision::Drop { .. }))));
        has(&|d| then(d, &|one, other| matches!((one, other), (Decision::Reveal(_), Decision::Drop { .. }))));
        has(&|d| matches!(d, Decision::Drop { told: true, away: Some(0..10_000), .. }));
        has(&|d| matches!(d, Decision::Drop { told: false, away: Some(10_000..100_000), .. }));
        has(&|d| matches!(d, Decision::Drop { away: None, .. }));
        has(&|d| matches!(d, Decision::Leave(_)));
        has(&|d| matches!(d, Decision::End(_)));
        has(&|d| matches!(d, Decision::Spin(_)));
        has(&|d| matches!(d, Decision::Delete(_)));
        has(&|d| matches!(d, Decision::Anew(_)));
    }
}
