//! What `up` would do, as text: an instance per line, and under it the fields that are the reason.
//!
//! ```text
//! restart  api
//!          base_env.PATH: ...r/bin:/sbin:/bin -> ...r/bin:/sbin:/bin:/opt/bin
//!          probes.live: now there (6 fields)
//! ```
//! On a terminal a value is shown where it differs, so that a line fits; of a probe that changed as a whole only that is
//! said. The JSON document has every field and all of its value.

use crate::human;
use crate::term::Terminal;
use anstyle::AnsiColor;
use muster_engine::documents::{PlanDocument, PlannedReason};

/// Where the reasons begin.
const INDENT: usize = 9;
/// From so many fields on, those of one probe are told together.
const MANY: usize = 3;
/// So much of what both values have is shown before and after what differs.
const AROUND: usize = 12;
/// Less than this tells nothing.
const LEAST: usize = 16;

/// What `up` would do, and why.
pub(crate) fn plan(document: &PlanDocument, terminal: &Terminal) -> String {
    let due: Vec<_> = document.changes.iter().filter(|change| change.action != "none").collect();
    let same = document.changes.len() - due.len();
    if due.is_empty() {
        return format!("nothing to do: {} as wanted\n", human::count(same, "service"));
    }
    let mut text = String::new();
    for change in due {
        let colour = match change.action.as_str() {
            "start" => AnsiColor::Green,
            "stop" => AnsiColor::Red,
            _other => AnsiColor::Yellow,
        };
        text.push_str(&format!("{} {}\n", terminal.style(&format!("{:8}", change.action), colour), change.service));
        let reasons = change.reasons.chunk_by(|a, b| probe(&a.field).is_some() && probe(&a.field) == probe(&b.field));
        let told = reasons.flat_map(|reasons| told(reasons, terminal)).chain(change.because.clone());
        told.for_each(|line| text.push_str(&format!("{:INDENT$}{line}\n", "")));
    }
    if same > 0 {
        text.push_str(&format!("{} as wanted\n", human::count(same, "service")));
    }
    text
}

/// `probes.live` of `probes.live.every`.
fn probe(field: &str) -> Option<&str> {
    let (role, _) = field.strip_prefix("probes.")?.split_once('.')?;
    field.get(.."probes.".len() + role.len())
}

/// Fields of one probe, or one field.
fn told(reasons: &[PlannedReason], terminal: &Terminal) -> Vec<String> {
    let whole = reasons.first().and_then(|first| probe(&first.field)).filter(|_| reasons.len() >= MANY);
    let Some(probe) = whole else { return reasons.iter().map(|reason| one(reason, terminal)).collect() };
    let names: Vec<&str> = reasons.iter().filter_map(|reason| reason.field.get(probe.len() + 1..)).collect();
    // a probe that stays keeps a check
    let checks = names.iter().any(|name| *name == "check" || name.starts_with("check."));
    let fields = human::count(reasons.len(), "field");
    let said = if checks && reasons.iter().all(|reason| reason.from.is_none()) {
        format!("now there ({fields})")
    } else if checks && reasons.iter().all(|reason| reason.to.is_none()) {
        format!("no longer there ({fields})")
    } else {
        let names = names.join(", ");
        let room = terminal.width.map(|width| room(width, probe.len() + 2 + " differ".len()));
        format!("{} differ", room.map_or(names.clone(), |room| window(&names, 0..names.chars().count(), room)))
    };
    vec![format!("{probe}: {said}")]
}

/// `env.X: a -> b`
fn one(reason: &PlannedReason, terminal: &Terminal) -> String {
    let field = &reason.field;
    let before = field.chars().count() + 2;
    let flat = |value: &String| if value.is_empty() { "''".to_owned() } else { value.replace('\n', "\\n") };
    let fit = |value: &String, word: usize| match terminal.width {
        Some(width) => window(&flat(value), 0..0, room(width, before + word)),
        None => flat(value),
    };
    let said = match (&reason.from, &reason.to, terminal.width) {
        (Some(from), Some(to), Some(width)) => {
            let (from, to) = differing(&flat(from), &flat(to), room(width, before + " -> ".len()));
            format!("{from} -> {to}")
        }
        (Some(from), Some(to), None) => format!("{} -> {}", flat(from), flat(to)),
        (None, Some(to), _) => format!("now {}", fit(to, "now ".len())),
        (Some(from), None, _) => format!("no longer {}", fit(from, "no longer ".len())),
        (None, None, _) => "changed".into(),
    };
    format!("{field}: {said}")
}

/// What is left of a line.
fn room(width: u16, taken: usize) -> usize {
    usize::from(width).saturating_sub(INDENT + taken).max(LEAST)
}

/// Two values in `room` characters, with what differs in sight.
fn differing(from: &str, to: &str, room: usize) -> (String, String) {
    let (a, b): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    if a.len() + b.len() <= room {
        return (from.to_owned(), to.to_owned());
    }
    let start = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let both = a.len().min(b.len()) - start;
    let end = a.iter().rev().zip(b.iter().rev()).take(both).take_while(|(a, b)| a == b).count();
    let from = |room: usize| window(from, start..a.len() - end, room);
    let to = |room: usize| window(to, start..b.len() - end, room);
    // what one does not take is the other's
    let rest = |text: &str| room.saturating_sub(text.chars().count());
    let second = to(rest(&from(room / 2)));
    (from(rest(&second)), second)
}

/// At most `room` characters of a text, those of a range first, with some of what is around it. Without a range: its
/// beginning.
fn window(text: &str, shown: std::ops::Range<usize>, room: usize) -> String {
    const CUT: &str = "...";
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= room {
        return text.to_owned();
    }
    let around = AROUND.min(room / 4);
    let first = if shown.start <= around + CUT.len() { 0 } else { shown.start - around };
    let head = if first == 0 { "" } else { CUT };
    let mut last = chars.len().min(first + room - head.len());
    let tail = if last < chars.len() { CUT } else { "" };
    last -= tail.len();
    let middle: String = chars.get(first..last).unwrap_or_default().iter().collect();
    format!("{head}{middle}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_engine::documents::PlannedChange;

    fn field(field: &str, from: Option<&str>, to: Option<&str>) -> PlannedReason {
        PlannedReason { field: field.into(), from: from.map(Into::into), to: to.map(Into::into) }
    }

    fn change(service: &str, action: &str, reasons: Vec<PlannedReason>) -> PlannedChange {
        PlannedChange { service: service.into(), action: action.into(), reasons, because: None }
    }

    fn shown(changes: Vec<PlannedChange>, width: Option<u16>) -> String {
        plan(&PlanDocument { schema: String::new(), changes }, &Terminal { width, ..Terminal::default() })
    }

    #[test]
    fn a_plan_names_fields() {
        let again = PlannedChange { because: Some("why".into()), ..change("job", "start", vec![]) };
        let reason = field("env.X", Some("a"), Some("b"));
        insta::assert_snapshot!(shown(vec![change("api", "restart", vec![reason]), again, change("db", "none", vec![])], None), @r"
        restart  api
                 env.X: a -> b
        start    job
                 why
        1 service as wanted
        ");
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let path = "/usr/local/go/bin:/home/me/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let added = format!("{path}:/opt/tools/bin");
        let within = path.replace(".cargo", ".rustup");
        let script = "set -e\necho one two three four five six seven eight nine ten eleven twelve thirteen";
        let reasons = || {
            vec![
                field("base_env.PATH", Some(path), Some(&added)),
                field("env.P", Some(path), Some(&within)),
                field("env.Q", None, Some(path)),
                field("env.R", Some(path), None),
                field("env.S", Some(path), Some("")),
                field("env.T", Some("short"), Some(path)),
                field("process.command", Some(script), Some("x")),
            ]
        };
        let narrow = shown(vec![change("api", "restart", reasons())], Some(80));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        insta::assert_snapshot!(narrow, @r"
        restart  api
                 base_env.PATH: ...n:/bin -> .../sbin:/bin:/opt/tools/bin
                 env.P: ...me/me/.cargo/bin:/usr/lo... -> ...me/me/.rustup/bin:/usr/l...
                 env.Q: now /usr/local/go/bin:/home/me/.cargo/bin:/usr/local/sbin:/us...
                 env.R: no longer /usr/local/go/bin:/home/me/.cargo/bin:/usr/local/sb...
                 env.S: /usr/local/go/bin:/home/me/.cargo/bin:/usr/local/sbin:/... -> ''
                 env.T: short -> /usr/local/go/bin:/home/me/.cargo/bin:/usr/local/sbi...
                 process.command: set -e\necho one two three four five six seven... -> x
        ");
        // a pipe has no width
        assert!(shown(vec![change("api", "restart", reasons())], None).contains(&format!(" {path} -> {added}\n")));
    }

    #[test]
    fn a_probe_is_told_as_a_whole() {
        let of = |role: &str, from: Option<&str>, to: Option<&str>| {
            ["check", "every", "fails", "timeout"].map(|name| field(&format!("probes.{role}.{name}"), from, to))
        };
        let mut reasons = Vec::from(of("live", None, Some("x")));
        reasons.extend(of("ready", Some("a"), Some("b")));
        reasons.extend(of("startup", Some("a"), None));
        reasons.push(field("runtime", Some("process"), Some("container")));
        let few = change("web", "restart", vec![field("probes.ready.every", Some("1s"), Some("2s"))]);
        insta::assert_snapshot!(shown(vec![change("api", "recreate", reasons), few], Some(80)), @r"
        recreate api
                 probes.live: now there (4 fields)
                 probes.ready: check, every, fails, timeout differ
                 probes.startup: no longer there (4 fields)
                 runtime: process -> container
        restart  web
                 probes.ready.every: 1s -> 2s
        ");
    }
}
