//! Files of at most 800 lines, functions that fit a screen.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Report;
use super::source::{Function, Source};
use crate::workspace::Workspace;

/// Lines from which a file should be looked at again.
const LONG_FILE: usize = 500;
/// Lines that no file exceeds.
const LONGEST_FILE: usize = 800;
/// Lines under which most functions stay.
const LONG_FUNCTION: usize = 50;
/// Lines that no function exceeds.
const LONGEST_FUNCTION: usize = 80;
/// Per cent of the functions that have to stay under `LONG_FUNCTION`.
const SHORT_SHARE: usize = 95;
/// How many of the longest functions a warning names.
const NAMED: usize = 10;

/// The sizes of files.
pub(crate) fn check_files(workspace: &Workspace) -> Result<Report> {
    let mut report = Report::default();
    for (path, text) in rust_files(workspace)? {
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            report.problems.push(format!("{}: {lines} lines, more than {LONGEST_FILE}", path.display()));
        } else if lines >= LONG_FILE {
            report.warnings.push(format!("{}: {lines} lines", path.display()));
        }
    }
    Ok(report)
}

/// The sizes of functions.
pub(crate) fn check_functions(workspace: &Workspace) -> Result<Report> {
    let mut functions = Vec::new();
    for (path, text) in rust_files(workspace)? {
        functions.extend(Source::new(&text).functions().into_iter().map(|function| (path.clone(), function)));
    }
    Ok(judge(functions))
}

fn judge(mut functions: Vec<(PathBuf, Function)>) -> Report {
    let mut report = Report::default();
    functions.sort_by_key(|(_, function)| std::cmp::Reverse(function.lines));
    let place =
        |path: &Path, f: &Function| format!("{}:{}: `{}` has {} lines", path.display(), f.line, f.name, f.lines);
    for (path, function) in functions.iter().filter(|(_, function)| function.lines > LONGEST_FUNCTION) {
        report.problems.push(format!("{}, more than {LONGEST_FUNCTION}", place(path, function)));
    }
    let long = functions.iter().filter(|(_, function)| function.lines >= LONG_FUNCTION).count();
    if long * 100 > functions.len() * (100 - SHORT_SHARE) {
        let mut problem = format!(
            "{long} of {} functions have {LONG_FUNCTION} lines or more; {SHORT_SHARE} % should have fewer. The longest:",
            functions.len()
        );
        for (path, function) in functions.iter().take(NAMED) {
            // writing to a string cannot fail
            let _ = write!(problem, "\n  {}", place(path, function));
        }
        report.problems.push(problem);
    }
    report
}

/// Every Rust file of the project with its text.
pub(crate) fn rust_files(workspace: &Workspace) -> Result<Vec<(PathBuf, String)>> {
    let files = workspace.files()?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    files
        .map(|path| {
            let text = std::fs::read_to_string(workspace.root.join(&path))
                .with_context(|| format!("reading `{}`", path.display()))?;
            Ok((path, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> (PathBuf, Function) {
        (PathBuf::from("a.rs"), Function { name: "f".into(), line: 7, lines })
    }

    #[test]
    fn no_function_may_be_longer_than_the_limit() {
        let mut functions: Vec<_> = (0..40).map(|_| function(10)).collect();
        functions.push(function(80));
        assert!(judge(functions).problems.is_empty());
        let mut functions: Vec<_> = (0..40).map(|_| function(10)).collect();
        functions.push(function(81));
        assert_eq!(judge(functions).problems, ["a.rs:7: `f` has 81 lines, more than 80"]);
    }

    #[test]
    fn most_functions_have_to_be_short() {
        let mut functions: Vec<_> = (0..19).map(|_| function(49)).collect();
        functions.push(function(50));
        assert!(judge(functions).problems.is_empty(), "one in twenty may be long");
        let functions = vec![function(49), function(50)];
        assert!(judge(functions).problems[0].starts_with("1 of 2 functions have 50 lines or more"));
        assert!(judge(Vec::new()).problems.is_empty());
    }
}
