//! Every crate has its one line in `crates/README.md`.

use anyhow::{Context as _, Result};

use super::Report;
use super::edges::short;
use crate::workspace::Workspace;

/// Where the crates are listed.
const DOCUMENT: &str = "crates/README.md";

/// The check.
pub(crate) fn check(workspace: &Workspace) -> Result<Report> {
    let text = std::fs::read_to_string(workspace.root.join(DOCUMENT))
        .with_context(|| format!("`{DOCUMENT}` lists every crate in one line"))?;
    let crates = workspace.root.join("crates");
    let names = workspace.packages.iter().filter(|package| package.manifest_path.starts_with(&crates));
    let names: Vec<&str> = names.map(|package| short(&package.name)).collect();
    Ok(Report { problems: compare(&text, &names), warnings: Vec::new() })
}

fn compare(text: &str, names: &[&str]) -> Vec<String> {
    let listed: Vec<&str> = text.lines().filter_map(first_word).collect();
    let mut problems = Vec::new();
    for name in names {
        match listed.iter().filter(|word| short(word) == *name).count() {
            1 => {}
            0 => problems.push(format!("{DOCUMENT} does not list `{name}`")),
            count => problems.push(format!("{DOCUMENT} lists `{name}` {count} times")),
        }
    }
    problems
}

/// The first word of a table row or list item: `| spec | ...`, `- [core](core)`, `* **cli**`.
fn first_word(line: &str) -> Option<&str> {
    let line = line.trim_start().strip_prefix(['|', '-', '*'])?;
    let word = line.trim_start_matches([' ', '`', '[', '*']);
    word.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').next().filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn each_crate_stands_in_exactly_one_line() {
        let text = "| crate | one line |\n|---|---|\n| `spec` | the model |\n- [core](core): pure\n* **muster-cli** commands\ncore is pure\n";
        assert_eq!(compare(text, &["spec", "core", "cli"]), Vec::<String>::new());
        assert_eq!(compare(text, &["store"]), ["crates/README.md does not list `store`"]);
        assert_eq!(compare("- a\n- a b\n", &["a"]), ["crates/README.md lists `a` 2 times"]);
    }
}
