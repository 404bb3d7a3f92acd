//! Who may depend on whom: what the manifests say against what ARCHITECTURE.md shows.
//!
//! ARCHITECTURE.md holds one fenced block with the language `edges`, a line per crate in the order of the layers:
//! ````text
//! ```edges
//! spec:
//! core: spec
//! config: spec core
//! ```
//! ````
//! Names are package names without `muster-`. Normal and build dependencies have to be exactly those; whatever is shown
//! stands on an earlier line. A dev-dependency is not shown; it may go to any crate on an earlier line.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};

use super::Report;
use crate::workspace::{Package, Workspace};

/// Where the allowed edges are shown.
const DOCUMENT: &str = "ARCHITECTURE.md";

/// The lines of the block: a crate and what it may use.
type Layers = Vec<(String, BTreeSet<String>)>;

/// The check.
pub(crate) fn check(workspace: &Workspace) -> Result<Report> {
    let text = std::fs::read_to_string(workspace.root.join(DOCUMENT))
        .with_context(|| format!("`{DOCUMENT}` shows the allowed edges in a block with the language `edges`"))?;
    let problems = compare(&parse(&text)?, &actual(&workspace.packages));
    Ok(Report { problems, warnings: Vec::new() })
}

/// What a crate really uses of ours.
#[derive(Default)]
struct Uses {
    normal: BTreeSet<String>,
    dev: BTreeSet<String>,
}

/// A package's name in this document.
pub(crate) fn short(name: &str) -> &str {
    name.strip_prefix("muster-").unwrap_or(name)
}

fn parse(text: &str) -> Result<Layers> {
    let mut lines = text.lines().skip_while(|line| line.trim_end() != "```edges").skip(1).peekable();
    if lines.peek().is_none() {
        bail!("`{DOCUMENT}` has no block that begins with ```edges");
    }
    let mut layers = Layers::new();
    for line in lines.take_while(|line| !line.starts_with("```")) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (name, uses) = line.split_once(':').with_context(|| format!("`{line}` is not `crate: dep dep`"))?;
        if layers.iter().any(|(known, _)| known == name.trim()) {
            bail!("crate `{}` has two lines", name.trim());
        }
        layers.push((name.trim().to_owned(), uses.split_whitespace().map(str::to_owned).collect()));
    }
    Ok(layers)
}

fn actual(packages: &[Package]) -> BTreeMap<String, Uses> {
    let names: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let uses = |package: &Package| {
        let mut uses = Uses::default();
        for dependency in package.dependencies.iter().filter(|dependency| names.contains(dependency.name.as_str())) {
            let dev = dependency.kind.as_deref() == Some("dev");
            let set = if dev { &mut uses.dev } else { &mut uses.normal };
            set.insert(short(&dependency.name).to_owned());
        }
        uses
    };
    packages.iter().map(|package| (short(&package.name).to_owned(), uses(package))).collect()
}

fn compare(shown: &Layers, actual: &BTreeMap<String, Uses>) -> Vec<String> {
    let mut problems = Vec::new();
    let layer = |name: &str| shown.iter().position(|(known, _)| known == name);
    for (at, (name, allowed)) in shown.iter().enumerate() {
        let Some(uses) = actual.get(name) else {
            problems.push(format!("{DOCUMENT} shows `{name}`, which is no crate"));
            continue;
        };
        for target in uses.normal.difference(allowed) {
            problems.push(format!("`{name}` depends on `{target}`, which {DOCUMENT} does not show"));
        }
        for target in allowed.difference(&uses.normal) {
            problems.push(format!("{DOCUMENT} shows `{name}` using `{target}`, which it does not"));
        }
        // a crate may name itself as a dev-dependency, to switch a feature on for its tests
        let below = |target: &&String| *target != name && layer(target).is_none_or(|layer| layer >= at);
        for target in allowed.union(&uses.dev).filter(below) {
            problems.push(format!("`{name}` uses `{target}`, which does not stand above it in {DOCUMENT}"));
        }
    }
    // tools and examples use none of ours and need no line
    for (name, uses) in actual.iter().filter(|(name, _)| layer(name).is_none()) {
        let is_used = actual.values().any(|other| other.normal.contains(name));
        if is_used || !uses.normal.is_empty() {
            problems.push(format!("{DOCUMENT} has no line for `{name}`"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A\n```edges\nspec:\n\ncore: spec  # pure\ncli: spec core\n```\nmore: text\n";

    fn used(crates: &[(&str, &[&str], &[&str])]) -> BTreeMap<String, Uses> {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        crates
            .iter()
            .map(|(name, normal, dev)| ((*name).to_owned(), Uses { normal: set(normal), dev: set(dev) }))
            .collect()
    }

    #[test]
    fn the_block_is_read_in_order_and_ends_at_its_fence() {
        let layers = parse(TEXT).unwrap();
        assert_eq!(layers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["spec", "core", "cli"]);
        assert_eq!(layers[2].1, BTreeSet::from(["core".to_owned(), "spec".to_owned()]));
        assert!(parse("no block").is_err());
        assert!(parse("```edges\na: b\na: c\n```").is_err());
        assert!(parse("```edges\na b\n```").is_err());
    }

    #[test]
    fn equal_edges_have_no_problem() {
        let actual = used(&[
            ("spec", &[], &[]),
            ("core", &["spec"], &[]),
            ("cli", &["spec", "core"], &["spec"]),
            ("xtask", &[], &[]),
        ]);
        assert_eq!(compare(&parse(TEXT).unwrap(), &actual), Vec::<String>::new());
    }

    #[test]
    fn each_way_to_differ_is_named() {
        let actual = used(&[("spec", &[], &["core"]), ("core", &["spec", "new"], &[]), ("new", &[], &[])]);
        let problems = compare(&parse(TEXT).unwrap(), &actual).join("\n");
        for part in [
            "`spec` uses `core`, which does not stand above it",
            "`core` depends on `new`, which ARCHITECTURE.md does not show",
            "shows `cli`, which is no crate",
            "has no line for `new`",
        ] {
            assert!(problems.contains(part), "{part} in\n{problems}");
        }
    }

    #[test]
    fn an_edge_that_is_only_shown_is_a_lie() {
        let actual = used(&[("spec", &[], &[]), ("core", &[], &[]), ("cli", &["spec", "core"], &[])]);
        assert_eq!(
            compare(&parse(TEXT).unwrap(), &actual),
            ["ARCHITECTURE.md shows `core` using `spec`, which it does not"]
        );
    }
}
