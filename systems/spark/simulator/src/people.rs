//! Who takes part: profiles, preferences and blocks, all of them from the seed.

use std::fmt::Write as _;

use crate::dice::Dice;

/// Kinds of decisions that are about people; those of a plan come behind them.
const PROFILE: u32 = 0;
const BLOCKS: u32 = 1;

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Their number, from 0.
    pub n: u32,
    /// As in `profiles`: of each account of theirs another one.
    pub id: String,
    /// In years.
    pub age: u64,
    /// As in `profiles`; none where it is not said.
    pub gender: Option<&'static str>,
    /// Latitude and longitude in millionths of a degree; each may be missing.
    pub place: (Option<i64>, Option<i64>),
    /// None: the defaults.
    pub preferences: Option<Preferences>,
}

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preferences {
    /// Youngest.
    pub min_age: u64,
    /// Oldest.
    pub max_age: u64,
    /// In miles.
    pub max_distance: u64,
    /// As in `user_preferences`.
    pub gender: &'static str,
}

impl Person {
    /// The `n`-th person of a seed, where so many in a hundred men and women are men.
    pub fn of(seed: u64, n: u32, men: u32) -> Self {
        let mut dice = Dice::of(seed, n, PROFILE, 0);
        let id = id(&mut dice);
        let is_man = dice.percent(u64::from(men));
        let gender = match dice.below(100) {
            0..92 if is_man => Some("male"),
            0..92 => Some("female"),
            92..96 => Some("non-binary"),
            96..98 => Some("prefer_not_to_say"),
            _ => None,
        };
        // More young people than old ones.
        let age = 18 + dice.below(30).min(dice.below(45));
        let place = place(&mut dice);
        let preferences = dice.percent(90).then(|| Preferences::of(&mut dice, age, gender));
        Self { n, id, age, gender, place, preferences }
    }

    /// The same person with another account: the how manyeth, from 0.
    #[must_use]
    pub fn anew(&self, seed: u64, account: u32) -> Self {
        Self { id: id(&mut Dice::of(seed, self.n, PROFILE, account)), ..self.clone() }
    }

    /// The statement that makes an account.
    pub fn statement(&self) -> String {
        format!("{INTO_PROFILES} {}", row(self))
    }

    /// The preferences as `queue_join` takes them.
    pub fn wishes(&self) -> String {
        let Some(wishes) = &self.preferences else { return "{}".to_owned() };
        format!(
            r#"{{"min_age": {}, "max_age": {}, "max_distance": {}, "gender_preference": "{}"}}"#,
            wishes.min_age, wishes.max_age, wishes.max_distance, wishes.gender
        )
    }
}

fn id(dice: &mut Dice) -> String {
    let (high, low) = (dice.bits(), dice.bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// Somewhere in a region of some two hundred miles. One of eight says nothing of it, and a few only half.
fn place(dice: &mut Dice) -> (Option<i64>, Option<i64>) {
    let near = |dice: &mut Dice| i64::try_from(dice.below(2_000_000)).unwrap_or(0);
    let (latitude, longitude) = (40_000_000 + near(dice), -75_000_000 + near(dice));
    match dice.below(100) {
        0..84 => (Some(latitude), Some(longitude)),
        84..86 => (Some(latitude), None),
        86..88 => (None, Some(longitude)),
        _ => (None, None),
    }
}

impl Preferences {
    fn of(dice: &mut Dice, age: u64, gender: Option<&'static str>) -> Self {
        let wanted = match gender {
            Some("male") if dice.percent(80) => "female",
            Some("female") if dice.percent(80) => "male",
            _ => "all",
        };
        Self {
            min_age: age.saturating_sub(dice.between(2, 12)).max(18),
            max_age: age + dice.between(2, 12),
            max_distance: dice.between(10, 150),
            gender: wanted,
        }
    }
}

/// All of them.
pub fn population(seed: u64, users: u32, men: u32) -> Vec<Person> {
    (0..users).map(|n| Person::of(seed, n, men)).collect()
}

/// Who has blocked whom, by their numbers: about one in five has blocked somebody. Nobody is told twice.
pub fn blocks(seed: u64, users: u32) -> Vec<(u32, u32)> {
    let mut blocks: Vec<(u32, u32)> = (0..users)
        .flat_map(|n| {
            let mut dice = Dice::of(seed, n, BLOCKS, 0);
            let many = if dice.percent(20) { dice.between(1, 4) } else { 0 };
            let whom: Vec<u32> =
                (0..many).map(|_| u32::try_from(dice.below(u64::from(users))).unwrap_or(0)).collect();
            whom.into_iter().filter(move |other| *other != n).map(move |other| (n, other))
        })
        .collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

const INTO_PROFILES: &str =
    "INSERT INTO public.profiles (id, name, age, gender, latitude, longitude, onboarding_completed) VALUES";

/// The statements that write them down, `moment` being a literal: blocks are older than any match. Nothing in it comes from outside.
pub fn statements(people: &[Person], blocks: &[(u32, u32)], moment: &str) -> Vec<String> {
    let mut statements: Vec<String> = people
        .chunks(500)
        .map(|chunk| {
            let rows: Vec<String> = chunk.iter().map(row).collect();
            format!("{INTO_PROFILES} {}", rows.join(", "))
        })
        .collect();
    let id = |n: &u32| usize::try_from(*n).ok().and_then(|n| people.get(n)).map(|person| person.id.as_str());
    for chunk in blocks.chunks(500) {
        let rows: Vec<String> = chunk
            .iter()
            .filter_map(|(from, to)| Some(format!("('{}', '{}', {moment})", id(from)?, id(to)?)))
            .collect();
        statements.push(format!(
            "INSERT INTO public.blocked_users (blocker_id, blocked_user_id, created_at) VALUES {}",
            rows.join(", ")
        ));
    }
    statements
}

fn row(person: &Person) -> String {
    let degrees = |part: Option<i64>| part.map_or("NULL".to_owned(), |part| format!("{part} / 1000000.0"));
    let mut row = format!("('{}', 'person {}', {}, ", person.id, person.n, person.age);
    let gender = person.gender.map_or("NULL".to_owned(), |gender| format!("'{gender}'"));
    // Writing to a string cannot fail.
    let _ = write!(row, "{gender}, {}, {}, true)", degrees(person.place.0), degrees(person.place.1));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_who_there_is() {
        assert_eq!(population(3, 50, 50), population(3, 50, 50));
        assert_eq!(population(3, 50, 50)[..20], population(3, 20, 50));
        assert_ne!(population(3, 50, 50), population(4, 50, 50));
        let somebody = Person::of(3, 7, 50);
        assert_eq!(somebody.anew(3, 0), somebody);
        let anew = somebody.anew(3, 1);
        assert_ne!(anew.id, somebody.id);
        assert_eq!(Person { id: somebody.id.clone(), ..anew }, somebody);
        assert_eq!(blocks(3, 50), blocks(3, 50));
    }

    #[test]
    fn people_differ() {
        let people = population(1, 1000, 50);
        let mut ids: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
        let of = |gender: Option<&str>| people.iter().filter(|person| person.gender == gender).count();
        assert!(of(Some("male")) > 400 && of(Some("female")) > 400 && of(Some("non-binary")) > 10);
        assert!(of(None) > 3);
        let few = population(1, 1000, 10).into_iter().filter(|person| person.gender == Some("male")).count();
        assert!((50..150).contains(&few), "{few}");
        assert!(people.iter().any(|person| person.place == (None, None)));
        assert!(people.iter().all(|person| (18..=70).contains(&person.age)));
        assert!(blocks(1, 1000).len() > 100);
        assert!(blocks(1, 1000).iter().all(|(from, to)| from != to));
    }
}
