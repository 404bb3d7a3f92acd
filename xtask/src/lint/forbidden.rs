//! Text that has no place here: unfinished code, switched-off checks, waiting by sleeping, paths of one machine.

use std::path::Path;

use anyhow::Result;

use super::Report;
use super::sizes::rust_files;
use super::source::Source;
use crate::workspace::Workspace;

/// What code never contains, and what to do instead.
const IN_CODE: [(&str, &str); 5] = [
    ("todo!(", "finish it, or leave it out"),
    ("unimplemented!(", "finish it, or leave it out"),
    ("#[ignore", "make it run, or note why it is skipped in the file named by MUSTER_SKIPS"),
    ("#[allow(", "use #[expect(lint, reason = \"...\")]"),
    ("#![allow(", "use #![expect(lint, reason = \"...\")]"),
];

/// Where every state and every event is decided by name.
const DECIDING: &str = "crates/core/src/machine";

/// Calls that wait for time to pass.
const SLEEPS: [&str; 2] = ["thread::sleep", "time::sleep("];

/// Names in examples that are nobody's folder.
const EXAMPLE_USERS: [&str; 4] = ["user", "you", "me", "dev"];

/// Files larger than this are data, not text that somebody wrote.
const LARGEST_TEXT: u64 = 1 << 20;

/// The check.
pub(crate) fn check(workspace: &Workspace) -> Result<Report> {
    let mut report = Report::default();
    for (path, text) in rust_files(workspace)? {
        let source = Source::new(&text);
        report.problems.extend(in_code(&path, &source));
        report.problems.extend(sleeps(&path, &source, &text));
    }
    let here = own_folders(workspace);
    for path in workspace.files()? {
        let file = workspace.root.join(&path);
        let small = file.metadata().is_ok_and(|data| data.len() <= LARGEST_TEXT);
        let Some(text) = small.then(|| std::fs::read_to_string(&file).ok()).flatten() else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(found) = machine_path(line, &here) {
                report.problems.push(format!("{}:{}: `{found}` is a path of one machine", path.display(), number + 1));
            }
        }
    }
    Ok(report)
}

fn in_code(path: &Path, source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in source.code.lines().enumerate() {
        let place = format!("{}:{}", path.display(), number + 1);
        for (text, instead) in IN_CODE {
            if line.contains(text) {
                problems.push(format!("{place}: `{text}`: {instead}"));
            }
        }
        if path.to_string_lossy().starts_with(DECIDING) && catches_all(line) {
            problems.push(format!("{place}: `_ =>`: name every case, so that a new one is decided"));
        }
    }
    problems
}

/// An arm `_ =>`, alone or behind `|`; not `(x, _) =>` and not `name_ =>`.
fn catches_all(line: &str) -> bool {
    line.match_indices("_ =>").any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Sleeping in tests. Between two looks of a poll is fine, and so is a program that exists to take its time, and time that
/// tokio holds still.
fn sleeps(path: &Path, source: &Source, text: &str) -> Vec<String> {
    let program = path.components().any(|part| part.as_os_str() == "bin");
    if program || source.functions().iter().any(|function| function.name == "main") || text.contains("start_paused") {
        return Vec::new();
    }
    let all_tests = path.components().any(|part| part.as_os_str() == "tests")
        || path.file_stem().is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"));
    let mut problems = Vec::new();
    for sleep in SLEEPS {
        for (at, _) in source.code.match_indices(sleep) {
            if (all_tests || source.in_test(at)) && !source.in_loop(at) && !is_import(source, at) {
                problems.push(format!(
                    "{}:{}: `{sleep}` in a test: wait for the fact, with a deadline",
                    path.display(),
                    source.line(at)
                ));
            }
        }
    }
    problems
}

fn is_import(source: &Source, at: usize) -> bool {
    let start = source.code[..at].rfind('\n').map_or(0, |end| end + 1);
    source.code[start..at].trim_start().starts_with("use ")
}

/// This checkout and this home: whoever commits them wrote down their own machine.
fn own_folders(workspace: &Workspace) -> Vec<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let root = workspace.root.to_string_lossy().into_owned();
    // `/src` or `/build` may well be meant as such
    [home, root].into_iter().filter(|path| path.matches('/').count() >= 2).map(|path| path + "/").collect()
}

/// The first path of one machine in a line.
fn machine_path<'a>(line: &'a str, own: &[String]) -> Option<&'a str> {
    const ROOT: &str = concat!("/ro", "ot/");
    const HOME: &str = concat!("/ho", "me/");
    let is_start =
        |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '}' | '_' | '-'));
    let fixed = own.iter().map(String::as_str).chain([ROOT]);
    for path in fixed {
        if let Some((at, found)) = line.match_indices(path).find(|(at, _)| is_start(*at)) {
            return Some(&line[at..at + found.len()]);
        }
    }
    for (at, _) in line.match_indices(HOME).filter(|(at, _)| is_start(*at)) {
        let rest = &line[at + HOME.len()..];
        let user = rest.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.')).next()?;
        if !user.is_empty() && rest[user.len()..].starts_with('/') && !EXAMPLE_USERS.contains(&user) {
            return Some(&line[at..at + HOME.len() + user.len() + 1]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> usize {
        let source = Source::new(text);
        in_code(Path::new(path), &source).len() + sleeps(Path::new(path), &source, text).len()
    }

    #[test]
    fn unfinished_and_switched_off_code_is_found_but_not_in_text() {
        assert_eq!(problems("a.rs", "fn f() { todo!() }\n#[ignore = \"slow\"]\n#[allow(dead_code)]"), 3);
        assert_eq!(problems("a.rs", "// todo!()\nconst A: &str = \"#[allow(\";"), 0);
    }

    #[test]
    fn a_catch_all_is_forbidden_only_where_states_are_decided() {
        let arms = "match x {\n A | _ => 1,\n (B, _) => 2,\n rest_ => 3,\n}";
        assert_eq!(problems("crates/core/src/machine/step.rs", arms), 1);
        assert_eq!(problems("crates/core/src/graph.rs", arms), 0);
    }

    #[test]
    fn a_test_sleeps_only_between_two_looks() {
        let sleep = "std::thread::sleep(x);";
        assert_eq!(problems("crates/a/tests/b.rs", &format!("fn f() {{ {sleep} }}")), 1);
        assert_eq!(problems("crates/a/tests/b.rs", &format!("fn f() {{ while y {{ {sleep} }} }}")), 0);
        assert_eq!(problems("a.rs", &format!("#[test]\nfn f() {{ {sleep} }}")), 1);
        assert_eq!(problems("a.rs", &format!("fn f() {{ {sleep} }}")), 0);
        assert_eq!(problems("tests/dies_late.rs", &format!("fn main() {{ {sleep} }}")), 0);
        assert_eq!(problems("tests/src/bin/worker/modes.rs", &format!("fn f() {{ {sleep} }}")), 0);
        assert_eq!(problems("tests/b.rs", "use std::thread::sleep;"), 0);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let own = ["/srv/checkout/".to_owned()];
        let found = |line: &str| machine_path(line, &own).is_some();
        let home = concat!("/ho", "me/");
        assert!(found(concat!("see /ro", "ot/x")) && found("at /srv/checkout/a") && found(&format!("{home}anna/x")));
        assert!(!found(&format!("{home}user/x")) && !found(&format!("{home}${{USER}}")) && !found("a/root/b"));
    }
}
