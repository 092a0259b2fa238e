//! What must hold, whatever happens: a list of invariants, each with a name, a sentence, and a question that finds what violates
//! it. The questions are their own: they read tables and the event log, and use no function of what is looked at.

mod all;

pub use all::INVARIANTS;

use crate::clock::{Clock, text};
use crate::plan::Millis;
use crate::runs::Runs;
use crate::tally::Tally;

/// Something that must hold.
#[derive(Debug)]
pub struct Invariant {
    /// Its name, in reports and tests.
    pub name: &'static str,
    /// What must hold, in a sentence.
    pub sentence: &'static str,
    /// How often it is looked at.
    pub tempo: Tempo,
    /// How it is found out.
    pub source: Source,
}

/// How often an invariant is looked at during a run; at the end all are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tempo {
    /// In each round.
    Always,
    /// In some rounds: it reads the whole log.
    Sometimes,
}

/// How an invariant is found out.
#[derive(Debug)]
pub enum Source {
    /// By a question to the database.
    Sql {
        /// A query of one number: how many things are looked at.
        looked: &'static str,
        /// A query of two texts, a row for each violation: what it is about, which is counted once, and what is wrong.
        wrong: &'static str,
    },
    /// The same for what a schedule has to end: what is overdue in a snapshot is a violation if it still is when three more runs of that
    /// schedule have begun and done their work. One may pass over an entry that somebody is changing.
    Late {
        /// The schedule.
        job: &'static str,
        /// As above.
        looked: &'static str,
        /// As above. What it is about names the moment from which the time counts.
        wrong: &'static str,
    },
    /// By what the clients heard.
    Calls(fn(&Tally) -> Found),
    /// By what is known of the schedules' runs.
    Runs(fn(&Runs, Millis) -> Found),
}

/// What a look has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many things were looked at.
    pub looked: u64,
    /// Each violation: what it is about, and what is wrong.
    pub wrong: Vec<(String, String)>,
}

/// The log, with whom a deletion nulled: by what was written down then, or where the account was gone before, by what the line says.
const LOG: &str = r#"(SELECT o.id, o.event_type, o.event_data, o."timestamp", o.severity,
    coalesce(o.user_id, n.user_id, (o.event_data ->> 'user_id')::uuid) AS user_id
  FROM public.spark_event_log o LEFT JOIN simulator.named n ON n.log_id = o.id)"#;

/// Everybody who is or was there.
const PEOPLE: &str =
    "(SELECT id, gender FROM public.profiles UNION ALL SELECT user_id, gender FROM simulator.gone)";

/// Whose last match is gone with the other's account.
const LEFT_BEHIND: &str = r#"(SELECT p.user_id, p.match_id FROM simulator.parted p
   WHERE p.is_left_behind AND p.match_id::text = (SELECT l.event_data -> 'event_data' ->> 'match_id' FROM public.spark_event_log l
        WHERE l.user_id = p.user_id AND l.event_type = 'state_transition' AND l.event_data -> 'event_data' ->> 'event' = 'match_found'
        ORDER BY l."timestamp" DESC LIMIT 1))"#;

/// When boost and skips of each user began at zero the last time.
const RESETS: &str = r#"(SELECT user_id, max(at) AS at
   FROM (SELECT user_id, at FROM {transitions} t WHERE to_state = 'vote_active'
         UNION ALL SELECT user_id, "timestamp" FROM {log} l WHERE event_type = 'queue_removed') r
  GROUP BY user_id)"#;

/// Each match that was broken: by whom, and whether by losing them, which the same transaction tells.
const BROKEN: &str = r#"(SELECT l.event_data ->> 'match_id' AS match_id, l.event_data ->> 'event' AS event, l."timestamp" AS at,
    (l.event_data ->> 'related_user_id')::uuid AS partner, lost.user_id IS NOT NULL AS is_lost
  FROM {log} l LEFT JOIN (SELECT DISTINCT user_id, at FROM {transitions} t WHERE event = 'grace_period_expired') lost
    ON lost.user_id = l.user_id AND lost.at = l."timestamp"
 WHERE l.event_type = 'match_broken')"#;

/// Each match that ended with a decision, as the log has it: those have a row of history.
const MET_AND_ENDED: &str =
    "(SELECT DISTINCT match_id, CASE event WHEN 'both_voted_yes' THEN 'both said yes' ELSE 'one passed' END AS how
    FROM {transitions} t WHERE event IN ('both_voted_yes', 'one_voted_pass') AND match_id IS NOT NULL
  UNION SELECT match_id, CASE event WHEN 'one_voted_pass' THEN 'one passed' ELSE 'one left' END
    FROM {broken} b WHERE event = 'one_voted_pass' OR event = 'partner_disconnected' AND NOT is_lost)";

/// Whom the log gives a cause for a boost: where they were then is the eye's own record. Who said yes has it wherever they are; whose
/// partner is gone, where they are there or away within their grace.
const DUE: &str = r"(SELECT p.user_id, v.match_id, o.at, 'they said yes and the other passed' AS why
    FROM (SELECT event_data ->> 'match_id' AS match_id, user_id FROM {log} l WHERE event_type = 'vote_submitted'
           GROUP BY 1, 2 HAVING bool_and(event_data ->> 'vote' = 'yes')) v
    JOIN (SELECT match_id, min(at) AS at FROM (SELECT match_id, at FROM {transitions} t WHERE event = 'one_voted_pass'
                                               UNION ALL SELECT match_id, at FROM {broken} b WHERE event = 'one_voted_pass') e
           GROUP BY match_id) o ON o.match_id = v.match_id
    JOIN simulator.parted p ON p.match_id::text = v.match_id AND p.user_id = v.user_id AND p.status IS NOT NULL
  UNION SELECT p.user_id, b.match_id, b.at, 'the other is gone (' || b.event || ')'
    FROM {broken} b JOIN simulator.parted p ON p.match_id::text = b.match_id AND p.user_id = b.partner
   WHERE b.event <> 'one_voted_pass'
     AND (p.status IN ('paired', 'vote_active') OR p.status = 'soft_offline' AND p.disconnected_at > b.at - interval '10 seconds')
     AND (b.event <> 'partner_idle' OR EXISTS (SELECT FROM {log} l WHERE l.event_type = 'vote_timeout'
            AND l.event_data ->> 'match_id' = b.match_id AND l.event_data ->> 'partner_vote' = 'yes')))";

/// Each match of the first two tiers, with what both were and wanted when it was made; miles on a sphere, unknown where a place is.
const TIERS: &str = "(SELECT f.match_id, f.tier, a.age AS age_a, b.age AS age_b, a.had_met,
    CASE f.tier WHEN '1' THEN a.own_min_age ELSE a.min_age END AS min_a, CASE f.tier WHEN '1' THEN a.own_max_age ELSE a.max_age END AS max_a,
    CASE f.tier WHEN '1' THEN b.own_min_age ELSE b.min_age END AS min_b, CASE f.tier WHEN '1' THEN b.own_max_age ELSE b.max_age END AS max_b,
    CASE f.tier WHEN '1' THEN least(a.own_max_distance, b.own_max_distance) ELSE least(a.max_distance, b.max_distance) END AS most,
    CASE WHEN a.latitude + a.longitude + b.latitude + b.longitude IS NOT NULL THEN
        2 * 3958.8 * asin(least(1, sqrt(sind((b.latitude - a.latitude) / 2) ^ 2
            + cosd(a.latitude) * cosd(b.latitude) * sind((b.longitude - a.longitude) / 2) ^ 2))) END AS miles
  FROM (SELECT DISTINCT match_id, tier FROM {transitions} t WHERE event = 'match_found' AND tier IN ('1', '2')) f
  JOIN simulator.met a ON a.match_id::text = f.match_id JOIN simulator.met b ON b.match_id = a.match_id AND b.user_id > a.user_id)";

/// Each step of a user's state that was logged. `at` is the time of its transaction: transactions that wait for each other may have
/// times in another order than their ends, so nothing here relies on more than that order allows.
const TRANSITIONS: &str = r#"(SELECT l.user_id, l.event_data ->> 'from_state' AS from_state, l.event_data ->> 'to_state' AS to_state,
    l.event_data -> 'event_data' ->> 'event' AS event, l.event_data -> 'event_data' ->> 'match_id' AS match_id,
    l.event_data -> 'event_data' ->> 'tier' AS tier, l."timestamp" AS at
  FROM {log} l WHERE l.event_type = 'state_transition' AND l.user_id IS NOT NULL)"#;

/// Each pair that was ever matched, also where the match is gone: `(match_id, a, b, at)`, the lower id first.
const FOUND: &str = "(SELECT t.match_id, min(t.user_id::text)::uuid AS a, max(t.user_id::text)::uuid AS b, min(t.at) AS at
    FROM {transitions} t WHERE t.event = 'match_found' GROUP BY t.match_id HAVING count(DISTINCT t.user_id) = 2
  UNION SELECT m.id::text, least(m.user1_id, m.user2_id), greatest(m.user1_id, m.user2_id), m.matched_at FROM public.matches m)";

/// Each step from state to state of a user's log, with leaving the queue as one back to idle.
const EDGES: &str = "(SELECT user_id, from_state, to_state FROM {transitions} t
  UNION ALL SELECT user_id, event_data ->> 'from_state', 'idle' FROM {log} l
             WHERE event_type = 'queue_removed' AND user_id IS NOT NULL)";

/// For each user who ever joined: how many states their steps enter another number of times than they leave them (`ends`, the
/// beginning in idle counted as entering it), by how many at most (`most`), and which they enter once more (`last`). Steps are a chain
/// in some order if and only if that is one state, by one, and all are reached from idle: then it is the state they are in.
const TRAILS: &str =
    "(SELECT user_id, count(*) FILTER (WHERE n <> 0) AS ends, max(n) AS most, max(state) FILTER (WHERE n > 0) AS last
    FROM (SELECT user_id, state, sum(n) AS n
            FROM (SELECT user_id, to_state AS state, 1 AS n FROM {edges} e
                  UNION ALL SELECT user_id, from_state, -1 FROM {edges} e
                  UNION ALL SELECT DISTINCT user_id, 'idle', 1 FROM {edges} e) s
           GROUP BY user_id, state) f
   GROUP BY user_id)";

/// What questions are asked with.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When it is.
    pub now: String,
    /// By how much the times of two transactions that waited for each other may be in another order than their ends.
    pub blur: String,
}

impl Moment {
    /// Of a run.
    pub fn of(clock: &Clock) -> Self {
        let blur = format!("interval '{} seconds'", 5 * clock.speed());
        Self { now: literal(clock.micros(clock.now())), blur }
    }

    /// A question at this moment.
    fn fill(&self, sql: &str) -> String {
        filled(sql).replace("{now}", &self.now).replace("{blur}", &self.blur)
    }
}

/// What stands in braces in a question, whoever names another before it.
const NAMED: [(&str, &str); 12] = [
    ("{met_and_ended}", MET_AND_ENDED),
    ("{due}", DUE),
    ("{broken}", BROKEN),
    ("{tiers}", TIERS),
    ("{trails}", TRAILS),
    ("{found}", FOUND),
    ("{edges}", EDGES),
    ("{resets}", RESETS),
    ("{left_behind}", LEFT_BEHIND),
    ("{transitions}", TRANSITIONS),
    ("{people}", PEOPLE),
    ("{log}", LOG),
];

/// A question with what it names by a name in braces.
pub(crate) fn filled(sql: &str) -> String {
    NAMED.iter().fold(sql.to_owned(), |sql, (name, text)| sql.replace(name, text))
}

/// A moment as SQL.
pub fn literal(micros: i64) -> String {
    format!("'{}'::timestamptz", text(micros))
}

/// How many violations of a round are read.
const MOST: usize = 200;

impl Invariant {
    /// The question: rows of (how many were looked at, what it is about or NULL, what is wrong). None where the database is not asked.
    pub fn question(&self, moment: &Moment) -> Option<String> {
        let (Source::Sql { looked, wrong } | Source::Late { looked, wrong, .. }) = &self.source else {
            return None;
        };
        let question = format!(
            "SELECT l.n, w.key, w.wrong FROM (SELECT ({looked}) AS n) l LEFT JOIN LATERAL ({wrong} LIMIT {MOST}) w (key, wrong) ON true"
        );
        Some(moment.fill(&question))
    }
}

/// Errors that must not be: those that are not in order for the kind of call. Deadlocks have an invariant of their own.
fn client_errors(tally: &Tally) -> Found {
    let wrong = tally.errors(|code, lawful| !lawful.contains(&code) && code != "40P01");
    told(tally, wrong, |line| !line.contains(": 40P01: "))
}

fn deadlocks(tally: &Tally) -> Found {
    told(tally, tally.errors(|code, _| code == "40P01"), |line| line.contains(": 40P01: "))
}

fn told(tally: &Tally, wrong: u64, is_meant: impl Fn(&str) -> bool) -> Found {
    let lines: Vec<&String> = tally.unexpected.iter().filter(|line| is_meant(line)).collect();
    let one = |n: u64| {
        let line = usize::try_from(n).ok().and_then(|n| lines.get(n));
        (format!("call {n}"), line.map_or("not kept word for word", |line| line.as_str()).to_owned())
    };
    Found { looked: tally.calls(), wrong: (0..wrong).map(one).collect() }
}

fn failed_runs(runs: &Runs, _: Millis) -> Found {
    let failed = runs.runs.iter().enumerate().filter_map(|(n, run)| {
        let error = run.error.as_ref()?;
        Some((format!("run {n} of {}", run.job), error.clone()))
    });
    let problems = runs.problems.iter().enumerate().map(|(n, why)| (format!("problem {n}"), why.clone()));
    Found { looked: runs.runs.len() as u64, wrong: failed.chain(problems).collect() }
}

/// As `check_scheduler_health` has it: three intervals, at least 30 seconds.
fn late_schedules(runs: &Runs, now: Millis) -> Found {
    if runs.ended {
        return Found { looked: runs.schedules.len() as u64, wrong: Vec::new() };
    }
    let late = runs.schedules.iter().filter_map(|schedule| {
        let last = runs.done(&schedule.name).next_back().map_or(0, |run| run.began);
        let limit = (3 * schedule.seconds).max(30) * 1000 + runs.slack;
        (last + limit < now).then(|| {
            let seconds = (now - last) / 1000;
            (format!("{} after {last}", schedule.name), format!("its last run began {seconds} s ago"))
        })
    });
    Found { looked: runs.schedules.len() as u64, wrong: late.collect() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cutover_postgres::ServerMessage;
    use cutover_postgres::session::Failure;

    use super::*;
    use crate::agent::KINDS;
    use crate::runs::{JobRun, Schedule};

    #[test]
    fn names_are_one_each_and_sentences_are_sentences() {
        let mut names: Vec<&str> = INVARIANTS.iter().map(|invariant| invariant.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), INVARIANTS.len());
        for invariant in INVARIANTS {
            assert!(invariant.sentence.ends_with('.'), "{}", invariant.name);
            assert!(invariant.name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()));
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        let moment = Moment { now: literal(0), blur: "interval '2 seconds'".to_owned() };
        for question in INVARIANTS.iter().filter_map(|invariant| invariant.question(&moment)) {
            let names = NAMED.iter().map(|(name, _)| *name).chain(["{now}", "{blur}"]);
            for name in names {
                assert!(!question.contains(name), "{question}");
            }
        }
    }

    fn refusal(code: &str) -> Failure {
        Failure::from(ServerMessage { code: code.to_owned(), ..ServerMessage::default() })
    }

    #[test]
    fn errors_that_are_in_order_are_no_violations_and_all_others_are() {
        let mut tally = Tally::default();
        let mut count = |kind: &str, failure: Option<&Failure>| {
            let kind = KINDS.iter().position(|(name, _)| *name == kind).unwrap();
            tally.count(kind, Duration::from_millis(1), failure);
        };
        count("vote", None);
        count("vote", Some(&refusal("SP004")));
        count("reveal", Some(&refusal("SP005")));
        count("end date", Some(&refusal("SP001")));
        count("join", Some(&refusal("SP004")));
        count("look", Some(&Failure::Lost("gone".to_owned())));
        count("vote", Some(&refusal("40P01")));
        let (errors, deadlocks) = (client_errors(&tally), deadlocks(&tally));
        assert_eq!((errors.looked, errors.wrong.len(), deadlocks.wrong.len()), (7, 2, 1));
        assert!(errors.wrong[0].1.starts_with("join: SP004: "), "{errors:?}");
        assert!(deadlocks.wrong[0].1.starts_with("vote: 40P01: "), "{deadlocks:?}");
    }

    /// Only what names an account that is going is in order.
    #[test]
    fn what_meets_the_end_of_an_account_is_no_error_and_all_else_is() {
        let mut tally = Tally::default();
        let told = |code: &str, message: &str, detail: Option<&str>| {
            Failure::from(ServerMessage {
                code: code.to_owned(),
                message: message.to_owned(),
                detail: detail.map(str::to_owned),
                ..ServerMessage::default()
            })
        };
        let unknown = told("SP003", "user 00aa-1 is unknown", None);
        let key =
            told("23503", "violates", Some("Key (user_id)=(00aa-1) is not present in table \"profiles\"."));
        let other = told("23503", "violates", Some("Key (user_id)=(00aa-12) is not present"));
        let deadlock = told("40P01", "deadlock over 00aa-1", None);
        let wrong = |tally: &mut Tally, failure: &Failure| {
            tally.count(5, Duration::from_millis(1), Some(failure));
            client_errors(tally).wrong.len() + deadlocks(tally).wrong.len()
        };
        assert_eq!(wrong(&mut tally, &unknown), 1);
        tally.goes("00aa-1");
        assert_eq!((wrong(&mut tally, &unknown), wrong(&mut tally, &key)), (1, 1));
        assert_eq!((wrong(&mut tally, &other), wrong(&mut tally, &deadlock)), (2, 3));
        assert_eq!(tally.kinds[5].met_a_deletion, 2);
        tally.stays("00aa-1");
        assert_eq!(wrong(&mut tally, &key), 4);
    }

    #[test]
    fn schedules_that_fail_or_are_late_are_found() {
        let run = |began, error: Option<&str>| JobRun {
            job: "tick".into(),
            began,
            seconds: 0.1,
            lag: 0,
            error: error.map(str::to_owned),
        };
        let schedule = Schedule { name: "tick".into(), seconds: 5, command: String::new() };
        let mut runs = Runs { schedules: vec![schedule], ..Runs::default() };
        assert_eq!(late_schedules(&runs, 30_000).wrong.len(), 0);
        assert_eq!(late_schedules(&runs, 30_001).wrong.len(), 1);
        runs.runs = vec![run(20_000, None), run(60_000, Some("no"))];
        assert_eq!(late_schedules(&runs, 50_000).wrong.len(), 0);
        assert_eq!(late_schedules(&runs, 50_001).wrong.len(), 1);
        assert_eq!(failed_runs(&runs, 0).wrong, [("run 1 of tick".to_owned(), "no".to_owned())]);
        runs.ended = true;
        assert_eq!(late_schedules(&runs, 900_000).wrong.len(), 0);
    }
}
