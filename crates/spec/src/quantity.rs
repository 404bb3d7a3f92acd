//! Durations and sizes that print back as they were written.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Why a text is not a duration or size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not `200ms`, `30s`, `5m`, `2h`, `1d` or a sum of these such as `1m30s`.
    #[error("`{0}` is not a duration: write `200ms`, `30s`, `5m`, `1h30m`")]
    Duration(String),
    /// Not `512MiB`, `64KiB`, `2GiB`, `10MB` or a number of bytes.
    #[error("`{0}` is not a size: write `512MiB`, `2GiB`, `10MB` or a number of bytes")]
    Size(String),
}

/// A length of time, kept as written. Range: 0 to about 10,000 years.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanDuration {
    value: Duration,
    text: String,
}

impl HumanDuration {
    /// The length of time.
    #[must_use]
    pub fn get(&self) -> Duration {
        self.value
    }

    /// A duration of whole milliseconds.
    #[must_use]
    pub fn from_millis(ms: u64) -> Self {
        let text = if ms > 0 && ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") };
        Self { value: Duration::from_millis(ms), text }
    }

    /// A duration of whole seconds.
    #[must_use]
    pub fn from_secs(s: u64) -> Self {
        Self { value: Duration::from_secs(s), text: format!("{s}s") }
    }
}

const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

impl FromStr for HumanDuration {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError::Duration(text.to_owned());
        let mut rest = text.trim();
        let mut total: u128 = 0;
        if rest == "0" {
            return Ok(Self { value: Duration::ZERO, text: text.to_owned() });
        }
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
            let tail = &rest[digits..];
            let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (_, scale) = UNITS.iter().find(|(unit, _)| *unit == &tail[..end]).ok_or_else(wrong)?;
            total += exact(&rest[..digits], number, *scale);
            rest = &tail[end..];
        }
        let nanos = u64::try_from(total).map_err(|_| wrong())?;
        Ok(Self { value: Duration::from_nanos(nanos), text: text.trim().to_owned() })
    }
}

/// Whole numbers are multiplied exactly; only a fraction goes through floating point.
fn exact(digits: &str, number: f64, scale: u64) -> u128 {
    match digits.parse::<u64>() {
        Ok(whole) => u128::from(whole) * u128::from(scale),
        Err(_) => (number * scale as f64).round() as u128,
    }
}

/// A number of bytes, kept as written. `KiB MiB GiB TiB` are powers of 1,024, `kB MB GB TB` powers of 1,000 (IEC 80000-13);
/// the one-letter suffixes `b k m g` of compose mean powers of 1,024, as they do there.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize {
    value: u64,
    text: String,
}

impl ByteSize {
    /// The number of bytes.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.value
    }

    /// A whole number of MiB.
    #[must_use]
    pub fn from_mib(n: u64) -> Self {
        Self { value: n << 20, text: format!("{n}MiB") }
    }
}

fn scale_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "" | "B" | "b" => 1,
        "k" | "K" | "KiB" | "Ki" => 1 << 10,
        "m" | "M" | "MiB" | "Mi" => 1 << 20,
        "g" | "G" | "GiB" | "Gi" => 1 << 30,
        "t" | "T" | "TiB" | "Ti" => 1 << 40,
        "kB" | "KB" | "kb" => 1_000,
        "MB" | "mb" => 1_000_000,
        "GB" | "gb" => 1_000_000_000,
        "TB" | "tb" => 1_000_000_000_000,
        _ => return None,
    })
}

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError::Size(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let number: f64 = trimmed[..digits].parse().map_err(|_| wrong())?;
        let scale = scale_of(trimmed[digits..].trim()).ok_or_else(wrong)?;
        let value = u64::try_from(exact(&trimmed[..digits], number, scale)).map_err(|_| wrong())?;
        Ok(Self { value, text: trimmed.to_owned() })
    }
}

macro_rules! as_written {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.text)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }
        /// Equal when the quantity is, however it was written.
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.value == other.value
            }
        }
        impl Eq for $type {}
        impl TryFrom<String> for $type {
            type Error = QuantityError;
            fn try_from(text: String) -> Result<Self, QuantityError> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(quantity: $type) -> String {
                quantity.text
            }
        }
    };
}
as_written!(HumanDuration);
as_written!(ByteSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ms = |t: &str| t.parse::<HumanDuration>().map(|d| d.get().as_millis());
        assert_eq!(ms("200ms"), Ok(200));
        assert_eq!(ms("1m30s"), Ok(90_000));
        assert_eq!(ms("1.5s"), Ok(1_500));
        assert_eq!(ms("0"), Ok(0));
        for wrong in ["", "5", "5x", "s", "-3s", "1.2.3s"] {
            assert_eq!(ms(wrong), Err(QuantityError::Duration(wrong.into())));
        }
        assert_eq!("90s".parse::<HumanDuration>().unwrap(), "1m30s".parse().unwrap());
        assert_eq!("1m30s".parse::<HumanDuration>().unwrap().to_string(), "1m30s");
    }

    #[test]
    fn sizes() {
        let bytes = |t: &str| t.parse::<ByteSize>().map(|s| s.get());
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("10MB"), Ok(10_000_000));
        assert_eq!(bytes("64k"), Ok(65_536));
        assert_eq!(bytes("1.5GiB"), Ok(3 << 29));
        assert_eq!(bytes("100"), Ok(100));
        assert!(bytes("12 parsecs").is_err());
        assert_eq!("64 MiB".parse::<ByteSize>().unwrap().to_string(), "64 MiB");
    }
}
