//! Durations: `1m30s`, `1.5h`, `2d` (compose-spec, Specifying durations), and their one printed form.

use std::fmt;

/// A duration in nanoseconds, which may be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

const SECOND: i64 = 1_000_000_000;

/// The units, the longer spelling first where one begins with another.
const UNITS: [(&str, i64); 10] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
    ("d", 86_400 * SECOND),
    ("w", 604_800 * SECOND),
];

/// Nanoseconds of a duration: numbers with a unit each, summed up, perhaps a sign; `0` alone needs no unit.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn parse_duration(text: &str) -> Result<i64, &'static str> {
    const WRONG: &str = "no number where one belongs, or one too large";
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(WRONG);
    }
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = number(rest).ok_or(WRONG)?;
        if end == rest.len() || after.starts_with('.') {
            return Err("a number without a unit: write `30s`");
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, size) =
            UNITS.iter().find(|(name, _)| *name == unit).ok_or("a unit that is none of ns, us, ms, s, m, h, d, w")?;
        sum = number.times(*size).and_then(|part| sum.checked_add(part)).ok_or(WRONG)?;
        rest = after;
    }
    Ok(if negative { -sum } else { sum })
}

/// A decimal number as it stands before a unit.
struct Number {
    whole: i64,
    fraction: i64,
    /// Power of ten below the fraction.
    scale: f64,
}

impl Number {
    fn times(&self, unit: i64) -> Option<i64> {
        // as Compose computes it, so that the last digit is the same
        let part = (self.fraction as f64 * (unit as f64 / self.scale)) as i64;
        self.whole.checked_mul(unit)?.checked_add(part)
    }
}

/// The number at the beginning of a text, and what follows it: at least one digit before or after a point.
fn number(text: &str) -> Option<(Number, &str)> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = text.split_at(digits(text));
    let Some(rest) = rest.strip_prefix('.') else {
        let number = Number { whole: whole.parse().ok()?, fraction: 0, scale: 1.0 };
        return Some((number, rest));
    };
    let (fraction, rest) = rest.split_at(digits(rest));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // more than 18 digits are finer than a nanosecond of a week
    let kept = &fraction[..fraction.len().min(18)];
    let number = Number {
        whole: if whole.is_empty() { 0 } else { whole.parse().ok()? },
        fraction: if kept.is_empty() { 0 } else { kept.parse().ok()? },
        scale: 10f64.powi(i32::try_from(kept.len()).ok()?),
    };
    Some((number, rest))
}

/// `1h5m30.02s`, `1.5s`, `10µs`, `0s`: hours at most, and below a second the largest unit that gives a whole part.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.unsigned_abs();
        let second = SECOND.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        match total {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{sign}{total}ns"),
            1_000..1_000_000 => write!(f, "{sign}{}µs", fraction(total, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{sign}{}ms", fraction(total, 1_000_000)),
            _ => {
                let (hours, minutes) = (total / second / 3_600, total / second / 60 % 60);
                let seconds = fraction(total % (60 * second), second);
                match (hours, minutes) {
                    (0, 0) => write!(f, "{sign}{seconds}s"),
                    (0, minutes) => write!(f, "{sign}{minutes}m{seconds}s"),
                    (hours, minutes) => write!(f, "{sign}{hours}h{minutes}m{seconds}s"),
                }
            }
        }
    }
}

/// A count in a larger unit, with no more digits than it needs.
fn fraction(count: u64, unit: u64) -> String {
    let (whole, rest) = (count / unit, count % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = usize::try_from(unit.ilog10()).unwrap_or(9);
    let digits = format!("{rest:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::{Duration, parse_duration};

    #[test]
    fn every_form_has_one_printed_form() {
        for (text, wanted) in [
            ("0", "0s"),
            ("0s", "0s"),
            ("10us", "10µs"),
            ("2.5s", "2.5s"),
            ("90s", "1m30s"),
            ("1500ms", "1.5s"),
            ("1h5m30s20ms", "1h5m30.02s"),
            ("1.5h", "1h30m0s"),
            ("1ns", "1ns"),
            ("1d", "24h0m0s"),
            ("1w1d", "192h0m0s"),
            ("-1m", "-1m0s"),
            (".5s", "500ms"),
            ("1.s", "1s"),
            ("1s1m", "1m1s"),
            ("999us", "999µs"),
            ("+3s", "3s"),
        ] {
            assert_eq!(parse_duration(text).map(|n| Duration(n).to_string()).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "30", "s", ".s", "1x", "1.2.3s", "1 s", "--1s", "9223372036854775808ns", "1y", "10sx", "-"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
