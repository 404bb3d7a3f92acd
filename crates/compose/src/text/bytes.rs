//! Sizes: `512m`, `1.5gb`, `64 KiB` (compose-spec, Specifying byte values).

/// Bytes of a size: a number that may have a fraction, perhaps a space, and `b`, `k`, `m`, `g`, `t` or `p` with `b` or
/// `ib`, all of them powers of 1024. A fraction of a byte is cut off.
pub(crate) fn parse_bytes(text: &str) -> Option<i64> {
    let last = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '))?;
    let (number, unit) =
        if text.as_bytes()[last] == b' ' { (&text[..last], &text[last + 1..]) } else { text.split_at(last + 1) };
    let number = decimal(number).filter(|number| *number >= 0.0)?;
    // beyond i64 the result saturates; no such size is asked for
    Some((number * factor(unit)?) as i64)
}

fn factor(unit: &str) -> Option<f64> {
    let unit = unit.to_ascii_lowercase();
    let mut letters = unit.chars();
    let Some(first) = letters.next() else { return Some(1.0) };
    let rest = letters.as_str();
    let power = match first {
        'b' => return rest.is_empty().then_some(1.0),
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        'p' => 5,
        _ => return None,
    };
    matches!(rest, "" | "b" | "ib").then(|| 1024f64.powi(power))
}

/// A decimal number; unlike Rust's own parsing also with underscores nowhere and words nowhere.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-' | b'e' | b'E'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, wanted) in [
            ("0", 0),
            ("64m", 64 << 20),
            ("1gb", 1 << 30),
            ("1 KiB", 1024),
            ("1.5k", 1536),
            ("12b", 12),
            ("1.9", 1),
            ("2T", 2 << 40),
            ("1p", 1 << 50),
        ] {
            assert_eq!(parse_bytes(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "m", "5q", "-1", "1bb", "1kbb", "1 k b", "a1", "1kib2k", "k1"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
