//! Numbers as people read them.

/// `2h 34m`, `12s`, `350ms`: the two largest parts.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "-".into();
    }
    if seconds < 1.0 {
        return format!("{:.0}ms", seconds * 1000.0);
    }
    if seconds < 10.0 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds as u64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, m) => format!("{m}m {rest}s"),
        (0, h, m) => format!("{h}h {m}m"),
        (d, h, _) => format!("{d}d {h}h"),
    }
}

/// `1.2 MiB`, `512 B`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match UNITS.get(unit) {
        Some(name) if unit == 0 || value >= 100.0 => format!("{value:.0} {name}"),
        Some(name) => format!("{value:.1} {name}"),
        None => format!("{count} B"),
    }
}

/// The time of day here of an RFC 3339 time; the text itself when it is none.
pub(crate) fn clock(rfc3339: &str) -> String {
    match rfc3339.parse::<jiff::Timestamp>() {
        Ok(at) => at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S%.3f").to_string(),
        Err(_) => rfc3339.to_owned(),
    }
}

/// `1 path`, `3 paths`.
pub(crate) fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let texts: Vec<String> = [0.05, 1.25, 12.0, 75.0, 9240.0, 200_000.0].into_iter().map(duration).collect();
        assert_eq!(texts, ["50ms", "1.2s", "12s", "1m 15s", "2h 34m", "2d 7h"]);
    }

    #[test]
    fn sizes() {
        assert_eq!([512, 1536, 200 << 20].map(bytes), ["512 B", "1.5 KiB", "200 MiB"]);
    }
}
