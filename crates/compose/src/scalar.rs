//! What a scalar without quotes is.
//!
//! The rules are those of the YAML library that Compose reads with: the YAML 1.2 core schema, and of YAML 1.1 the octal
//! `017`, the binary `0b1`, underscores within numbers, and dates. `yes` and `on` are texts.

use crate::tree::Value;

/// The value of a scalar that stands without quotes and without a tag.
pub(crate) fn resolve(text: &str) -> Value {
    if let Some(word) = word(text) {
        return word;
    }
    match text.as_bytes().first() {
        Some(b'.') => float(text).map_or_else(|| Value::String(text.to_owned()), Value::Float),
        Some(b'+' | b'-' | b'0'..=b'9') if is_time(text) => Value::Time(text.to_owned()),
        Some(b'+' | b'-' | b'0'..=b'9') => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
        Some(_) | None => Value::String(text.to_owned()),
    }
}

/// The value of a scalar with one of YAML's own tags, `!!int` and the like, in quotes or not; none when the two do not go
/// together.
pub(crate) fn resolve_as(tag: &str, text: &str) -> Option<Value> {
    match (tag, resolve(text)) {
        ("str", _) => Some(Value::String(text.to_owned())),
        ("binary", _) => base64(text).map(Value::String),
        ("float", Value::Int(number)) => Some(Value::Float(number as f64)),
        ("null", value @ Value::Null)
        | ("bool", value @ Value::Bool(_))
        | ("int", value @ Value::Int(_))
        | ("float", value @ Value::Float(_))
        | ("timestamp", value @ Value::Time(_)) => Some(value),
        ("null" | "bool" | "int" | "float" | "timestamp", _) => None,
        (_, _) => Some(Value::String(text.to_owned())),
    }
}

/// The text that base64 stands for, line breaks passed over; bytes that are no text are replaced.
fn base64(text: &str) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let symbols: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let padding = symbols.iter().rev().take_while(|byte| **byte == b'=').count();
    if !symbols.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0u32);
    for symbol in &symbols[..symbols.len() - padding] {
        let six = ALPHABET.iter().position(|known| known == symbol)?;
        bits = (bits << 6) | u32::try_from(six).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(((bits >> held) & 0xff) as u8);
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn word(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    integer(&plain).map(Value::Int).or_else(|| float(&plain).map(Value::Float))
}

/// A whole number within `i64` and `u64`, in the bases 2, 8, 10 and 16 by its prefix; a leading zero is base 8.
pub(crate) fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let (base, digits) = match lower.as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some(two) if two.starts_with('0') => (8, &digits[1..]),
        Some(_) | None => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let size = i128::from_str_radix(digits, base).ok()?;
    let signed = text.starts_with(['-', '+']);
    let most = if signed { i128::from(i64::MAX) + i128::from(negative) } else { i128::from(u64::MAX) };
    (size <= most).then_some(if negative { -size } else { size })
}

/// A decimal number with at least one digit, a point or an exponent; finite.
pub(crate) fn float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let number = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !number.is_empty() && digits(number)
    });
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) || !exponent_fits {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// `2001-12-14`, or with a time after `T`, `t` or a space.
fn is_time(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    is_date(date) && time.is_none_or(|(separator, time)| is_clock(time, separator != b' '))
}

/// A time in the form of RFC 3339: two digits each, no zeros at the end of a fraction, `Z` where no zone is said.
pub(crate) fn rfc3339(text: &str) -> String {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "0:0:0"));
    let end = time.find(|c: char| !matches!(c, '0'..='9' | ':' | '.')).unwrap_or(time.len());
    let (clock, zone) = time.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let padded = |text: &str, by: char| {
        let parts: Vec<String> = text.split(by).map(|part| format!("{part:0>2}")).collect();
        parts.join(&by.to_string())
    };
    let fraction = match fraction.trim_end_matches('0') {
        "" => String::new(),
        digits => format!(".{digits}"),
    };
    let zone = if matches!(zone, "" | "+00:00" | "-00:00") { "Z" } else { zone };
    format!("{}T{}{fraction}{zone}", padded(date, '-'), padded(clock, ':'))
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (Ok(number), Some(month), Some(day)) = (year.parse::<u32>(), within(month, 1, 12), within(day, 1, 31)) else {
        return false;
    };
    let leap = number % 4 == 0 && (number % 100 != 0 || number % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 31,
    };
    year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()) && day <= days
}

fn is_clock(text: &str, zoned: bool) -> bool {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | ':' | '.')).unwrap_or(text.len());
    let (clock, zone) = text.split_at(end);
    let mut parts = clock.splitn(3, ':');
    let (Some(hour), Some(minute), Some(second)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    let fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let clock = within(hour, 0, 23).is_some() && within(minute, 0, 59).is_some() && within(second, 0, 59).is_some();
    clock && fraction && if zoned { is_zone(zone) } else { zone.is_empty() }
}

fn is_zone(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(['+', '-']) else { return text == "Z" };
    let Some((hours, minutes)) = rest.split_once(':') else { return false };
    hours.len() == 2 && minutes.len() == 2 && within(hours, 0, 24).is_some() && within(minutes, 0, 60).is_some()
}

/// A number of one or two digits within bounds.
fn within(text: &str, least: u32, most: u32) -> Option<u32> {
    let fits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| fits && (least..=most).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_yaml_1_1_and_1_2_allow() {
        for (text, wanted) in [
            ("010", 8),
            ("0o17", 15),
            ("0x1F", 31),
            ("-0b11", -3),
            ("1_000", 1000),
            ("+5", 5),
            ("18446744073709551615", i128::from(u64::MAX)),
            ("-9223372036854775808", i128::from(i64::MIN)),
        ] {
            assert_eq!(resolve(text), Value::Int(wanted), "{text}");
        }
        for (text, wanted) in
            [("08", 8.0), ("1e6", 1e6), ("1.", 1.0), (".5", 0.5), ("18446744073709551616", 2f64.powi(64))]
        {
            assert_eq!(resolve(text), Value::Float(wanted), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_number_is_a_text() {
        for text in ["1.2.3", "22:80", "0x", "1e", "-", "+", ".", "yes", "on", "0xZZ", "1 2", "-_", "0b2", "1e999", "٣"]
        {
            assert_eq!(resolve(text), Value::String(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn dates_are_told_from_texts() {
        for text in ["2001-12-14", "2001-1-2", "2024-02-29", "2001-12-14T21:59:43.10-05:00", "2001-12-14 21:59:43.1"] {
            assert_eq!(resolve(text), Value::Time(text.to_owned()), "{text}");
        }
        for text in ["2001-13-14", "2001-02-29", "01-12-14", "2001-12", "2001-12-14 21:59:43 Z", "2001-12-14T21:59Z"] {
            assert_eq!(resolve(text), Value::String(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn times_have_one_form() {
        for (text, wanted) in [
            ("2001-1-2", "2001-01-02T00:00:00Z"),
            ("2001-12-14 21:5:43.10", "2001-12-14T21:05:43.1Z"),
            ("2001-12-14t21:59:43.000-05:00", "2001-12-14T21:59:43-05:00"),
            ("2001-12-14T21:59:43+00:00", "2001-12-14T21:59:43Z"),
        ] {
            assert_eq!(rfc3339(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_tag_says_what_it_must_be() {
        assert_eq!(resolve_as("str", "1"), Some(Value::String("1".into())));
        assert_eq!(resolve_as("float", "1"), Some(Value::Float(1.0)));
        assert_eq!(resolve_as("int", "x"), None);
        assert_eq!(resolve_as("null", ""), Some(Value::Null));
        assert_eq!(resolve_as("binary", "aGk="), Some(Value::String("hi".into())));
        assert_eq!(resolve_as("binary", "aGk"), None);
    }
}
