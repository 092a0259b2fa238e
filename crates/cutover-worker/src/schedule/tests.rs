use proptest::prelude::*;

use super::*;

fn cron(text: &str, zone: &str) -> Schedule {
    Schedule::parse(text, zone).unwrap()
}

fn micros(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
}

/// Due times after `from` and not after `to`, as they are in UTC.
fn between(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
    let (mut at, end, mut found) = (micros(from), micros(to), Vec::new());
    while let Some(next) = schedule.next_after(at).filter(|next| *next <= end) {
        found.push(DateTime::<Utc>::from_timestamp_micros(next).unwrap().format("%dT%H:%M").to_string());
        at = next;
    }
    found
}

#[test]
fn intervals_are_multiples_since_the_epoch() {
    let five = cron("5 seconds", "UTC");
    assert_eq!(five, Schedule::Every(5_000_000));
    assert_eq!(five.next_after(0), Some(5_000_000));
    assert_eq!(five.next_after(4_999_999), Some(5_000_000));
    assert_eq!(five.next_after(5_000_000), Some(10_000_000));
    assert_eq!(five.next_after(-1), Some(0));
    assert_eq!(cron(" 2 hours ", "UTC"), Schedule::Every(7_200_000_000));
    assert_eq!(cron("1 minute", "UTC"), Schedule::Every(60_000_000));
}

#[test]
fn what_is_no_schedule_is_said() {
    let wrong = |text: &str| Schedule::parse(text, "UTC").unwrap_err();
    for text in
        ["", "5", "0 seconds", "5 days", "-5 seconds", "@daily", "* * * *", "* * * * * *", "1 2 3 4 5 6 7"]
    {
        assert!(matches!(wrong(text), ScheduleError::Form(_)), "{text}: {:?}", wrong(text));
    }
    for text in ["61 * * * *", "a b c d e", "* * 0 * *", "*/0 * * * *", "* * * 13 *"] {
        assert!(matches!(wrong(text), ScheduleError::Cron { .. }), "{text}: {:?}", wrong(text));
    }
    assert!(matches!(wrong("0 0 31 2 *"), ScheduleError::Never(_) | ScheduleError::Cron { .. }));
    assert!(matches!(wrong("99999999999999999999 seconds"), ScheduleError::Form(_)));
    assert_eq!(Schedule::parse("5 seconds", "Mars/Olympus"), Err(ScheduleError::Zone("Mars/Olympus".into())));
    assert!(Schedule::parse("0 0 29 2 *", "UTC").is_ok());
}

/// Berlin, 2026-03-29: 02:00 becomes 03:00. New York, 2026-03-08.
#[test]
fn a_fixed_time_that_the_clock_leaves_out_is_due_once_when_it_goes_on() {
    let job = cron("30 2 * * *", "Europe/Berlin");
    let found = between(&job, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
    assert_eq!(found, ["29T01:00", "30T00:30"]);
    let job = cron("30 2 * * *", "America/New_York");
    assert_eq!(between(&job, "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z"), ["08T07:00", "09T06:30"]);
}

/// Berlin, 2026-10-25: 03:00 becomes 02:00.
#[test]
fn a_fixed_time_that_comes_twice_is_due_once() {
    let job = cron("30 2 * * *", "Europe/Berlin");
    assert_eq!(between(&job, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"), ["25T00:30", "26T01:30"]);
}

#[test]
fn steps_go_through_both() {
    let job = cron("*/30 * * * *", "Europe/Berlin");
    let spring = between(&job, "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z");
    assert_eq!(spring, ["29T00:30", "29T01:00", "29T01:30", "29T02:00"]);
    let autumn = between(&job, "2026-10-24T23:30:00Z", "2026-10-25T02:00:00Z");
    assert_eq!(autumn, ["25T00:00", "25T00:30", "25T01:00", "25T01:30", "25T02:00"]);
    // Lord Howe moves by half an hour.
    let job = cron("*/15 * * * *", "Australia/Lord_Howe");
    assert_eq!(between(&job, "2026-04-04T13:00:00Z", "2026-04-04T17:00:00Z").len(), 16);
    assert_eq!(between(&job, "2026-10-03T13:00:00Z", "2026-10-03T17:00:00Z").len(), 16);
}

#[test]
fn missed_times_go_by_the_policy() {
    let job = cron("5 seconds", "UTC");
    let s = 1_000_000;
    let choose = |missed, due, seen, now| choose(&job, missed, due * s, seen * s, now * s);
    let choice = |run: Option<i64>, following: i64, skipped: Option<i64>| Choice {
        run: run.map(|run| run * s),
        following: Some(following * s),
        skipped,
    };
    for missed in [Missed::Skip, Missed::One, Missed::All] {
        assert_eq!(choose(missed, 100, 100, 101), choice(Some(100), 105, None), "{missed:?}");
    }
    // Nobody was there for an hour: what is due just now is run by all, the others by one policy only.
    assert_eq!(choose(Missed::All, 100, 3702, 3702), choice(Some(100), 105, None));
    assert_eq!(choose(Missed::One, 100, 3702, 3702), choice(Some(3700), 3705, Some(3700 * s - 1)));
    assert_eq!(choose(Missed::Skip, 100, 3702, 3702), choice(Some(3700), 3705, Some(3700 * s - 1)));
    // Once a day, and nobody there for ten hours.
    let daily = cron("0 0 * * *", "UTC");
    let (day, hour) = (86_400 * s, 3_600 * s);
    let choose = |missed, seen| super::choose(&daily, missed, day, seen, day + 10 * hour);
    let none = Choice { run: None, following: Some(2 * day), skipped: Some(day) };
    assert_eq!(choose(Missed::Skip, day + 10 * hour), none);
    let once = Choice { run: Some(day), following: Some(2 * day), skipped: None };
    assert_eq!(choose(Missed::One, day + 10 * hour), once);
    // A worker was there, and busy: it is late, not missed.
    assert_eq!(choose(Missed::Skip, day + s), once);
}

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Apia",
];
const CRONS: [&str; 10] = [
    "* * * * *",
    "*/5 * * * *",
    "7-59/13 * * * *",
    "0 * * * *",
    "30 2 * * *",
    "0 0 * * *",
    "15 1,2,3 * * *",
    "0 3 1 * *",
    "30 2 * * 0",
    "59 23 L * *",
];

fn any_schedule() -> impl Strategy<Value = Schedule> {
    prop_oneof![
        (1_i64..100_000).prop_map(|seconds| Schedule::Every(seconds * SECOND)),
        (prop::sample::select(&CRONS[..]), prop::sample::select(&ZONES[..]))
            .prop_map(|(text, zone)| cron(text, zone)),
    ]
}

/// 2010 to 2040.
fn any_time() -> impl Strategy<Value = i64> {
    1_262_304_000_000_000_i64..2_208_988_800_000_000
}

proptest! {
    /// Time goes forward, and nothing lies between: from wherever one looks, the next due time is the same one.
    #[test]
    fn due_times_are_one_line(schedule in any_schedule(), at in any_time(), part in 0.0_f64..1.0) {
        let next = schedule.next_after(at).unwrap();
        prop_assert!(next > at);
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let between = at + (((next - at) as f64) * part) as i64;
        let again = schedule.next_after(between.min(next - 1)).unwrap();
        prop_assert_eq!(again, next);
    }

    /// However often the clock goes back between two looks, each due time is run once and none is left out: what is next
    /// follows from what was run, never from the clock alone.
    #[test]
    fn a_clock_that_goes_back_repeats_and_loses_nothing(
        schedule in any_schedule(), start in any_time(), jumps in prop::collection::vec(-7_200_i64..600, 1..30),
    ) {
        let mut due = schedule.next_after(start).unwrap();
        let (mut now, mut ran) = (start, Vec::new());
        for jump in jumps {
            now += jump * SECOND;
            if due > now {
                now = now.max(due - 1);
                continue;
            }
            let choice = choose(&schedule, Missed::All, due, due, now);
            ran.push(choice.run.unwrap());
            due = choice.following.unwrap();
        }
        let mut expected = Vec::new();
        let mut at = schedule.next_after(start).unwrap();
        for _ in &ran {
            expected.push(at);
            at = schedule.next_after(at).unwrap();
        }
        prop_assert_eq!(ran, expected);
    }

    /// Whatever the policy and wherever the clock goes: no due time is settled twice, and what is left out is said to be.
    #[test]
    fn no_policy_settles_twice_or_loses_in_silence(
        schedule in any_schedule(), start in any_time(), jumps in prop::collection::vec(-90_000_i64..180_000, 1..30),
        missed in prop::sample::select(&[Missed::Skip, Missed::One, Missed::All][..]), busy in 0_i64..90,
    ) {
        let mut due = schedule.next_after(start).unwrap();
        let mut now = start;
        for jump in jumps {
            now += jump * SECOND;
            if due > now {
                continue;
            }
            let choice = choose(&schedule, missed, due, now - busy * SECOND, now);
            let following = choice.following.unwrap();
            match (choice.run, choice.skipped) {
                (Some(run), None) => prop_assert_eq!(run, due),
                (Some(run), Some(skipped)) => prop_assert!(missed != Missed::All && due <= skipped && skipped == run - 1),
                (None, skipped) => prop_assert!(missed == Missed::Skip && skipped.unwrap() >= due),
            }
            let settled = choice.run.or(choice.skipped).unwrap();
            prop_assert!(settled <= now);
            prop_assert_eq!(schedule.next_after(settled), Some(following));
            due = following;
        }
    }

    /// The last due time found in one go is the one found step by step.
    #[test]
    fn the_last_due_time_is_the_last(schedule in any_schedule(), start in any_time(), later in 0_i64..400_000) {
        let due = schedule.next_after(start).unwrap();
        let now = due + later * SECOND;
        let last = schedule.last(due, now);
        prop_assert!(last >= due && last <= now);
        prop_assert!(schedule.next_after(last).unwrap() > now);
        for missed in [Missed::Skip, Missed::One, Missed::All] {
            let choice = choose(&schedule, missed, due, now, now);
            let following = choice.following.unwrap();
            prop_assert!(choice.run.is_none_or(|run| run >= due && run <= now && run < following));
            prop_assert!(missed == Missed::All || following > now);
        }
    }

    /// A day with a change of clocks has each fixed time once, and every five minutes as often as an hour has them.
    #[test]
    fn days_with_a_change_have_each_time_once(
        zone in prop::sample::select(&ZONES[..]), day in 14_610_i64..25_567, hour in 0_u32..24, minute in 0_u32..60,
    ) {
        let start = day * 86_400 * SECOND;
        let count = |schedule: &Schedule, to: i64| {
            let (mut at, mut count) = (start, 0);
            while let Some(next) = schedule.next_after(at).filter(|next| *next <= to) {
                at = next;
                count += 1;
            }
            count
        };
        prop_assert_eq!(count(&cron("*/5 * * * *", zone), start + 86_400 * SECOND), 288);
        let fixed = cron(&format!("{minute} {hour} * * *"), zone);
        let local = |at: i64| {
            let at = DateTime::<Utc>::from_timestamp_micros(at).unwrap();
            at.with_timezone(&zone.parse::<Tz>().unwrap()).date_naive()
        };
        // Each local day in a fortnight has it once.
        let (mut at, mut days) = (start, Vec::new());
        while let Some(next) = fixed.next_after(at).filter(|next| *next <= start + 14 * 86_400 * SECOND) {
            days.push(local(next));
            at = next;
        }
        // Apia had no 30th of December 2011 at all.
        let gap = |a: &chrono::NaiveDate, b: &chrono::NaiveDate| (*b - *a).num_days();
        let apia = zone == "Pacific/Apia" && (15_320..15_350).contains(&day);
        for pair in days.windows(2) {
            prop_assert!(gap(&pair[0], &pair[1]) == 1 || apia, "{:?}", days);
        }
    }
}
