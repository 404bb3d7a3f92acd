//! `gen [--check]`: files that the built `muster` prints about itself.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::args::Args;
use crate::build;
use crate::workspace::{Workspace, output};

/// What a generated file is printed by, and where it lies.
const GENERATED: [(&str, &str); 4] = [
    ("schema", "docs/schema/muster.schema.json"),
    ("help-reference", "docs/cli.md"),
    ("error-list", "docs/errors.md"),
    ("openapi", "docs/openapi.json"),
];

/// How many lines of each side a difference shows.
const SHOWN_LINES: usize = 6;

/// The task.
pub(crate) fn run(workspace: &Workspace, mut args: Args) -> Result<()> {
    let check = args.flag("--check");
    args.finish()?;
    let differences = if check { stale(workspace)? } else { write(workspace)? };
    for difference in &differences {
        println!("{difference}");
    }
    if check && !differences.is_empty() {
        bail!("{} generated files are not current: run `cargo xtask gen`", differences.len());
    }
    Ok(())
}

/// What differs between the files and what the program prints now; nothing is written.
pub(crate) fn stale(workspace: &Workspace) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    for (path, wanted) in print_all(workspace)? {
        let found = std::fs::read_to_string(workspace.root.join(path)).unwrap_or_default();
        if let Some(difference) = difference(&found, &wanted) {
            differences.push(format!("{path}\n{difference}"));
        }
    }
    Ok(differences)
}

fn write(workspace: &Workspace) -> Result<Vec<String>> {
    let mut written = Vec::new();
    for (path, wanted) in print_all(workspace)? {
        let file = workspace.root.join(path);
        if std::fs::read_to_string(&file).is_ok_and(|found| found == wanted) {
            continue;
        }
        std::fs::create_dir_all(file.parent().context("a file has a folder")?)
            .and_then(|()| std::fs::write(&file, wanted))
            .with_context(|| format!("writing `{path}`"))?;
        written.push(format!("wrote {path}"));
    }
    Ok(written)
}

fn print_all(workspace: &Workspace) -> Result<Vec<(&'static str, String)>> {
    let binary = build::muster_alone(workspace)?;
    GENERATED.iter().map(|(command, path)| Ok((*path, print(&binary, &workspace.root, command)?))).collect()
}

fn print(binary: &Path, root: &Path, command: &str) -> Result<String> {
    // the text must be the same on every terminal
    let mut muster = Command::new(binary);
    muster.current_dir(root).arg(command).env("NO_COLOR", "1").env("COLUMNS", "100").env("LC_ALL", "C.UTF-8");
    let mut text = output(&mut muster)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// The first lines in which two texts differ, `-` found and `+` wanted; none where they are equal.
fn difference(found: &str, wanted: &str) -> Option<String> {
    if found == wanted {
        return None;
    }
    let same = found.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
    let side = |text: &str, sign: char| -> Vec<String> {
        text.lines().skip(same).take(SHOWN_LINES).map(|line| format!("  {sign} {line}")).collect()
    };
    let mut lines = vec![format!("  line {}:", same + 1)];
    lines.extend(side(found, '-'));
    lines.extend(side(wanted, '+'));
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
    }

    #[test]
    fn the_first_differing_lines_are_shown_with_their_number() {
        assert_eq!(difference("a\nb\nc\n", "a\nx\nc\n").unwrap(), "  line 2:\n  - b\n  - c\n  + x\n  + c");
    }

    #[test]
    fn a_missing_file_shows_the_start_of_what_is_wanted() {
        assert_eq!(difference("", "one\n").unwrap(), "  line 1:\n  + one");
        assert_eq!(difference("one", "one\n").unwrap(), "  line 2:", "a missing line end is a difference too");
    }
}
