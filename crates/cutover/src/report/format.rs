//! Numbers as people read them: times in UTC, durations, sizes, counts.

use std::time::Duration;

/// Microseconds since the Unix epoch as ISO 8601 in UTC, to the second: `2026-11-20T09:30:00Z`.
pub fn utc(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Days since the epoch as a proleptic Gregorian date. Eras of 400 years begin on 1 March, so that the leap day is
/// the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// A duration with three digits or so: `0.42 ms`, `12 ms`, `1.25 s`, `2 min 05 s`, `1 h 02 min`.
pub fn duration(value: Duration) -> String {
    let micros = value.as_micros();
    let seconds = value.as_secs_f64();
    match micros {
        0 => "0 ms".to_owned(),
        1..10_000 => format!("{:.*} ms", if micros < 1_000 { 2 } else { 1 }, seconds * 1e3),
        10_000..999_500 => format!("{:.0} ms", seconds * 1e3),
        999_500..9_995_000 => format!("{seconds:.2} s"),
        9_995_000..59_950_000 => format!("{seconds:.1} s"),
        _ => {
            let whole = (micros + 500_000) / 1_000_000;
            if whole < 3_600 {
                format!("{} min {:02} s", whole / 60, whole % 60)
            } else {
                format!("{} h {:02} min", whole / 3_600, whole / 60 % 60)
            }
        }
    }
}

/// Seconds as they come from the server, as [`duration`]; nonsense is 0.
pub(super) fn seconds(value: f64) -> String {
    duration(Duration::try_from_secs_f64(value).unwrap_or_default())
}

/// A size in units of 1,024: `512 B`, `12.3 KiB`.
pub fn bytes(value: u64) -> String {
    let mut unit = "B";
    let mut scale = 1_u64;
    for (next, name) in [(1_u64 << 10, "KiB"), (1 << 20, "MiB"), (1 << 30, "GiB"), (1 << 40, "TiB")] {
        if value >= next {
            (scale, unit) = (next, name);
        }
    }
    let (whole, tenth) = (value / scale, value % scale * 10 / scale);
    if scale == 1 { format!("{whole} B") } else { format!("{whole}.{tenth} {unit}") }
}

/// `1 migration`, `2 migrations`, `1,000 migrations`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A number with thousands separated: `12,345`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A server version number as people write it: 150018 is `15.18`, 90624 is `9.6.24`.
pub fn server_version(number: u32) -> String {
    if number >= 100_000 {
        format!("{}.{}", number / 10_000, number % 10_000)
    } else {
        format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_gregorian_utc() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
        assert_eq!(utc(951_782_400_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_795_167_000_999_999), "2026-11-20T09:30:00Z");
        assert_eq!(utc(4_107_542_400_000_000), "2100-03-01T00:00:00Z");
        assert_eq!(utc(i64::MAX), "294247-01-10T04:00:54Z");
    }

    #[test]
    fn durations_round_without_jumping_units() {
        let shown = |micros| duration(Duration::from_micros(micros));
        assert_eq!(shown(0), "0 ms");
        assert_eq!(shown(420), "0.42 ms");
        assert_eq!(shown(4_250), "4.2 ms");
        assert_eq!(shown(12_400), "12 ms");
        assert_eq!(shown(999_499), "999 ms");
        assert_eq!(shown(999_500), "1.00 s");
        assert_eq!(shown(59_940_000), "59.9 s");
        assert_eq!(shown(59_960_000), "1 min 00 s");
        assert_eq!(shown(125_000_000), "2 min 05 s");
        assert_eq!(shown(3_599_600_000), "1 h 00 min");
        assert_eq!(seconds(f64::NAN), "0 ms");
    }

    #[test]
    fn sizes_counts_versions() {
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(12_595), "12.2 KiB");
        assert_eq!(bytes(u64::MAX), "16777215.9 TiB");
        assert_eq!(count(1, "migration", "migrations"), "1 migration");
        assert_eq!(count(1_234_567, "row", "rows"), "1,234,567 rows");
        assert_eq!(server_version(150_018), "15.18");
        assert_eq!(server_version(90_624), "9.6.24");
    }
}
