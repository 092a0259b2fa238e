//! What a simulation came to in numbers, from the log and the queue as they are at its end.

use cutover_postgres::session::{Failure, Session};

use crate::clock::Clock;
use crate::invariants::filled;
use crate::plan::Millis;

/// Men, women and everybody else, for whom there is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gender {
    /// Male.
    Men,
    /// Female.
    Women,
    /// All others.
    Others,
}

impl Gender {
    fn of(text: &str) -> Self {
        match text {
            "male" => Self::Men,
            "female" => Self::Women,
            _ => Self::Others,
        }
    }

    /// As reports call them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Men => "men",
            Self::Women => "women",
            Self::Others => "others",
        }
    }
}

/// A wait of somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// Whose.
    pub user: String,
    /// Theirs.
    pub gender: Gender,
    /// In simulated seconds.
    pub seconds: f64,
    /// When it was over; none where it was not at the end of the simulation.
    pub at: Option<Millis>,
}

/// Somebody who waits at the end.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Theirs.
    pub gender: Gender,
    /// Fairness as the entry has it.
    pub score: f64,
}

/// Numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Waits, from the beginning of the spin (or the return of somebody who did not wait before) to `match_found`, and those that
    /// were not over.
    pub waits: Vec<Wait>,
    /// When each pair was made.
    pub pairs: Vec<Millis>,
    /// Pairs by how they ended.
    pub outcomes: Vec<(&'static str, u64)>,
    /// Who waits at the end.
    pub waiting: Vec<Waiting>,
    /// Users who joined.
    pub joined: u64,
    /// Entries of the log.
    pub logged: u64,
    /// Boosts by reason.
    pub boosts: Vec<(String, u64)>,
}

/// Each wait: user, gender, seconds, when it was over (none where it was not). A step to `spin_active` begins one, and so does the
/// return of somebody who waited for nobody when they went; it is over with the next `match_found`. A tick takes whoever joined
/// while it was at work, with the time of its own beginning: that wait is 0.
const WAITS: &str = r"
WITH step AS (
    SELECT user_id, at, to_state, event FROM {transitions} t
), begun AS (
    SELECT user_id, at, event,
           max(at) FILTER (WHERE to_state = 'spin_active' OR event = 'user_reconnected' AND to_state = 'queue_waiting')
               OVER (PARTITION BY user_id ORDER BY at) AS since
      FROM step
), found AS (
    SELECT user_id, at, since, lag(at) OVER (PARTITION BY user_id ORDER BY at) AS before FROM begun WHERE event = 'match_found'
)
SELECT f.user_id::text, coalesce(p.gender, ''), CASE WHEN f.since > coalesce(f.before, '-infinity') THEN extract(epoch FROM f.at - f.since) ELSE 0 END,
       (extract(epoch FROM f.at) * 1000000)::bigint
  FROM found f JOIN {people} p ON p.id = f.user_id
UNION ALL
SELECT q.user_id::text, coalesce(p.gender, ''), greatest(0, extract(epoch FROM {now} - q.joined_at)), NULL
  FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id WHERE q.status IN ('spin_active', 'queue_waiting')";

const PAIRS: &str = r#"
SELECT (extract(epoch FROM min("timestamp")) * 1000000)::bigint FROM public.spark_event_log
 WHERE event_type = 'state_transition' AND event_data -> 'event_data' ->> 'event' = 'match_found'
 GROUP BY event_data -> 'event_data' ->> 'match_id' ORDER BY 1"#;

const WAITING: &str = "
SELECT coalesce(p.gender, ''), q.fairness_score FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id
 WHERE q.status IN ('spin_active', 'queue_waiting')";

/// In the order of [`OUTCOMES`].
const ENDS: &str = "
WITH e AS (SELECT event_type, event_data, event_data -> 'event_data' ->> 'event' AS event, event_data -> 'event_data' ->> 'match_id' AS match_id
             FROM public.spark_event_log WHERE event_type IN ('state_transition', 'match_broken', 'reveal_timeout', 'vote_timeout')),
     late AS (SELECT DISTINCT event_data ->> 'match_id' AS match_id, event_type FROM e WHERE event_type IN ('reveal_timeout', 'vote_timeout'))
SELECT count(DISTINCT match_id) FILTER (WHERE event = 'both_voted_yes'),
       count(DISTINCT match_id) FILTER (WHERE event = 'one_voted_pass'),
       (SELECT count(*) FROM late WHERE event_type = 'reveal_timeout'),
       (SELECT count(*) FROM late WHERE event_type = 'vote_timeout'),
       count(*) FILTER (WHERE event_type = 'match_broken' AND event_data ->> 'event' <> 'one_voted_pass'
                          AND NOT EXISTS (SELECT FROM late WHERE late.match_id = e.event_data ->> 'match_id')),
       (SELECT count(*) FROM public.matches WHERE status = 'pending')
  FROM e";

/// How a pair can end.
pub const OUTCOMES: [&str; 6] =
    ["both said yes", "one passed", "reveal timed out", "vote timed out", "one left", "still together"];

const COUNTS: &str = "
SELECT (SELECT count(DISTINCT user_id) FROM {transitions} t),
       (SELECT count(*) FROM public.spark_event_log)";

const BOOSTS: &str = "
SELECT coalesce(event_data ->> 'reason', ''), count(*) FROM public.spark_event_log
 WHERE event_type = 'fairness_boost_applied' GROUP BY 1 ORDER BY 2 DESC, 1";

/// Reads them. `now` is the simulated moment as SQL.
///
/// # Errors
/// As the server says.
pub async fn read(session: &mut Session, clock: &Clock, now: &str) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    for row in session.query_text(&filled(WAITS).replace("{now}", now)).await?.rows {
        let at = row.get(3).and_then(Option::as_deref).and_then(|text| text.parse().ok());
        figures.waits.push(Wait {
            user: text(&row, 0),
            gender: Gender::of(&text(&row, 1)),
            seconds: text(&row, 2).parse().unwrap_or(0.0),
            at: at.map(|micros| clock.at(micros)),
        });
    }
    for row in session.query_text(PAIRS).await?.rows {
        figures.pairs.push(clock.at(text(&row, 0).parse().unwrap_or(0)));
    }
    for row in session.query_text(WAITING).await?.rows {
        let score = text(&row, 1).parse().unwrap_or(0.0);
        figures.waiting.push(Waiting { gender: Gender::of(&text(&row, 0)), score });
    }
    let ends = session.query_text(ENDS).await?.rows.into_iter().next().unwrap_or_default();
    figures.outcomes = OUTCOMES.iter().enumerate().map(|(n, name)| (*name, number(&ends, n))).collect();
    let counts = session.query_text(&filled(COUNTS)).await?.rows.into_iter().next().unwrap_or_default();
    (figures.joined, figures.logged) = (number(&counts, 0), number(&counts, 1));
    for row in session.query_text(BOOSTS).await?.rows {
        figures.boosts.push((text(&row, 0), number(&row, 1)));
    }
    Ok(figures)
}

fn text(row: &[Option<String>], n: usize) -> String {
    row.get(n).and_then(Clone::clone).unwrap_or_default()
}

fn number(row: &[Option<String>], n: usize) -> u64 {
    text(row, n).parse().unwrap_or(0)
}

/// Numbers in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sorted(Vec<f64>);

impl Sorted {
    /// Of these.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        Self(numbers)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn all(&self) -> &[f64] {
        &self.0
    }

    /// The smallest number that so many in a hundred do not exceed; 0 of none.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(0.0)
    }

    /// The largest; 0 of none.
    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(0.0)
    }

    /// 0 where all are the same, towards 1 the more is with few.
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn gini(&self) -> f64 {
        let (n, sum) = (self.0.len() as f64, self.0.iter().sum::<f64>());
        if sum <= 0.0 {
            return 0.0;
        }
        let ranked: f64 = self.0.iter().enumerate().map(|(i, number)| (i as f64 + 1.0) * number).sum();
        2.0 * ranked / (n * sum) - (n + 1.0) / n
    }
}

impl Figures {
    /// Waits that were over, in seconds.
    pub fn ended(&self, gender: Option<Gender>) -> Sorted {
        let meant = |wait: &&Wait| wait.at.is_some() && gender.is_none_or(|gender| wait.gender == gender);
        Sorted::of(self.waits.iter().filter(meant).map(|wait| wait.seconds))
    }

    /// All waits, in seconds: those that were not over as long as they were.
    pub fn all(&self, gender: Option<Gender>) -> Sorted {
        let meant = |wait: &&Wait| gender.is_none_or(|gender| wait.gender == gender);
        Sorted::of(self.waits.iter().filter(meant).map(|wait| wait.seconds))
    }

    /// Of each man and woman who waited, the mean of their waits, those included that were not over.
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn means(&self) -> Sorted {
        let mut by_user: std::collections::BTreeMap<&str, (f64, u32)> = std::collections::BTreeMap::new();
        for wait in self.waits.iter().filter(|wait| wait.gender != Gender::Others) {
            let sum = by_user.entry(&wait.user).or_default();
            (sum.0, sum.1) = (sum.0 + wait.seconds, sum.1 + 1);
        }
        Sorted::of(by_user.values().map(|(sum, times)| sum / f64::from(*times)))
    }

    /// Fairness of those of a gender who wait at the end.
    pub fn scores(&self, gender: Gender) -> Sorted {
        Sorted::of(self.waiting.iter().filter(|one| one.gender == gender).map(|one| one.score))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_gini_are_what_they_are_defined_as() {
        let sorted = Sorted::of((1..=100).rev().map(f64::from));
        let found = [50, 90, 99, 100].map(|percent| sorted.percentile(percent).to_string());
        assert_eq!(found, ["50", "90", "99", "100"]);
        assert_eq!(Sorted::of([3.0]).percentile(50).to_string(), "3");
        assert_eq!(Sorted::default().percentile(50).to_string(), "0");
        assert!(Sorted::of([4.0; 9]).gini().abs() < 1e-9);
        assert!((Sorted::of([0.0, 0.0, 0.0, 8.0]).gini() - 0.75).abs() < 1e-9);
        assert!((Sorted::of([1.0, 3.0]).gini() - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_user_counts_once() {
        let wait = |user: &str, gender, seconds| Wait { user: user.into(), gender, seconds, at: None };
        let waits = vec![
            wait("a", Gender::Men, 1.0),
            wait("a", Gender::Men, 3.0),
            wait("b", Gender::Women, 6.0),
            wait("c", Gender::Others, 99.0),
        ];
        let figures = Figures { waits, ..Figures::default() };
        assert_eq!(figures.means().all(), [2.0, 6.0]);
    }

    #[test]
    fn who_still_waits_counts_and_the_longest_is_the_longest_of_all() {
        let wait = |gender, seconds, at| Wait { user: "a".into(), gender, seconds, at };
        let waits = vec![
            wait(Gender::Men, 3.0, Some(1)),
            wait(Gender::Men, 90.0, None),
            wait(Gender::Women, 5.0, Some(2)),
        ];
        let figures = Figures { waits, ..Figures::default() };
        assert_eq!(
            (figures.ended(None).all(), figures.all(None).all()),
            (&[3.0, 5.0][..], &[3.0, 5.0, 90.0][..])
        );
        assert_eq!(figures.all(Some(Gender::Men)).max().to_string(), "90");
    }
}
