//! Lengths of time as `cutover.toml` writes them: a whole number and one of PostgreSQL's units.

use std::time::Duration;

/// Advice shown with every error about a length of time.
pub(crate) const HINT: &str =
    "a whole number and a unit: \"250ms\", \"60s\", \"5min\", \"2h\", \"1d\"; \"0\" needs none";

/// Why a text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It does not begin with a whole number.
    #[error("{0:?} is not a length of time")]
    NotANumber(String),
    /// The number has no unit.
    #[error("{0:?} needs a unit")]
    NoUnit(String),
    /// The unit is none of ours.
    #[error("{unit:?} is not a unit of time")]
    Unit {
        /// What stands in its place.
        unit: String,
    },
    /// More than can be counted.
    #[error("{0:?} is too long")]
    TooLong(String),
}

/// Reads a length of time: `250ms`, `60s`, `5min`, `2h`, `1d` or `0`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = trimmed.split_at(digits);
    if number.is_empty() {
        return Err(DurationError::NotANumber(text.to_owned()));
    }
    let number: u64 = number.parse().map_err(|_| DurationError::TooLong(text.to_owned()))?;
    let milliseconds = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if number == 0 => 1,
        "" => return Err(DurationError::NoUnit(text.to_owned())),
        unit => return Err(DurationError::Unit { unit: unit.to_owned() }),
    };
    let milliseconds =
        number.checked_mul(milliseconds).ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
    Ok(Duration::from_millis(milliseconds))
}

/// The shortest spelling that [`parse`] reads back, for lengths of whole milliseconds.
pub fn format(duration: Duration) -> String {
    const UNITS: [(u128, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let milliseconds = duration.as_millis();
    if milliseconds == 0 {
        return "0".to_owned();
    }
    let (size, unit) =
        UNITS.into_iter().find(|(size, _)| milliseconds.is_multiple_of(*size)).unwrap_or((1, "ms"));
    format!("{}{unit}", milliseconds / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_postgresql() {
        let ms = |text| parse(text).map(|duration| duration.as_millis());
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("60s"), Ok(60_000));
        assert_eq!(ms("5 min"), Ok(300_000));
        assert_eq!(ms("2h"), Ok(7_200_000));
        assert_eq!(ms("1d"), Ok(86_400_000));
        assert_eq!(ms("0"), Ok(0));
    }

    #[test]
    fn a_number_alone_is_refused_because_its_unit_would_be_a_guess() {
        assert_eq!(parse("250"), Err(DurationError::NoUnit("250".into())));
        assert_eq!(parse("5m"), Err(DurationError::Unit { unit: "m".into() }));
        assert_eq!(parse("-1s"), Err(DurationError::NotANumber("-1s".into())));
        assert_eq!(
            parse("99999999999999999999s"),
            Err(DurationError::TooLong("99999999999999999999s".into()))
        );
        assert_eq!(
            parse("18446744073709551615d"),
            Err(DurationError::TooLong("18446744073709551615d".into()))
        );
    }

    #[test]
    fn what_is_formatted_is_read_back() {
        for milliseconds in [0, 1, 250, 999, 1_000, 60_000, 90_000, 3_600_000, 86_400_000] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
