//! `docs/compose.md` says of every attribute of a service whether it is kept: each line is imported and held against that.

use std::collections::BTreeSet;
use std::path::Path;

use muster_compose::{LoadRequest, Memory, read};
use muster_config::import::{Imported, import_compose};

/// One line of the table.
struct Line {
    attribute: String,
    sample: String,
    here: String,
}

fn lines() -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compose.md");
    let text = std::fs::read_to_string(path).expect("docs/compose.md");
    let (_, table) = text.split_once("| attribute | as in | here | |\n|---|---|---|---|\n").expect("the table");
    let cells = |line: &str| {
        let cells: Vec<String> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '`']).to_owned()).collect();
        let [attribute, sample, here, ..] = cells.as_slice() else { panic!("no line of the table: {line}") };
        Line { attribute: attribute.clone(), sample: sample.clone(), here: here.clone() }
    };
    table.lines().take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// A project in which service `a` has these lines.
fn imported(lines: &[String]) -> Imported {
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    let text = format!(
        "services:\n  a:\n{lines}  b: {{image: y}}\nnetworks: {{front: }}\nvolumes: {{data: }}\nmodels: {{llm: {{model: m}}}}\n\
         configs: {{conf: {{content: c}}}}\nsecrets: {{token: {{environment: TOKEN}}}}\n"
    );
    let files = Memory::default().with("/p/compose.yaml", text).with("/p/extra.env", "EXTRA=1\n");
    let request = LoadRequest { cwd: "/p".into(), ..LoadRequest::default() };
    let project = read(&request, &files).unwrap_or_else(|problems| panic!("{lines}: {problems:?}"));
    import_compose(&project, Path::new("/p"))
}

#[test]
fn every_attribute_stands_in_the_document() {
    let lines = lines();
    let written: BTreeSet<&str> = lines.iter().map(|line| line.attribute.as_str()).collect();
    let all: BTreeSet<&str> = muster_compose::service_attributes().collect();
    assert_eq!(written, all);
    assert_eq!(lines.len(), all.len(), "an attribute stands there twice");
}

#[test]
fn what_the_document_says_of_an_attribute_is_so() {
    let image = "image: x".to_owned();
    let plain = imported(std::slice::from_ref(&image)).document;
    // the resolved model has them only through what they make of it
    let silent = ["profiles", "extends"];
    let mut wrong = Vec::new();
    for Line { attribute, sample, here } in lines() {
        let line = format!("{attribute}: {sample}");
        let found = imported(&if attribute == "image" { vec![line] } else { vec![image.clone(), line] });
        let name = format!("services.a.{attribute}");
        let told = |field: &str| field == name || field.starts_with(&format!("{name}.")) || field == "networks.front";
        let is_told = found.loss.entries.iter().any(|loss| told(&loss.field));
        let changed = found.document != plain;
        let is_so = match here.as_str() {
            "kept" => !is_told && (changed || silent.contains(&attribute.as_str())),
            "differently" | "left out" => is_told,
            other => panic!("`{other}` says nothing of `{attribute}`"),
        };
        if !is_so {
            wrong.push(format!(
                "`{attribute}: {sample}` is not {here}: changed {changed}, told {is_told}: {}",
                found.loss
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
