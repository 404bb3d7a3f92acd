//! Whatever the importer of compose projects writes is understood by the loader: every accepted project of the corpus of
//! `muster-compose`, and as YAML it says the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster_compose::{LoadRequest, Memory, Project};
use muster_config::import::{import_compose, to_yaml};
use muster_config::{Disk, Problems, Request, load, load_document};
use muster_spec::Stack;

/// Cases whose document the loader refuses, each with its reason.
const REFUSED: &[(&str, &str)] = &[];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose/tests/data")
}

fn memory(folder: &Path, at: &Path, mut files: Memory) -> Memory {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let target = at.join(entry.file_name().expect("a name"));
        files = match entry.is_dir() {
            true => memory(&entry, &target, files),
            false => files.with(target, std::fs::read(&entry).expect("a file")),
        };
    }
    files
}

fn project(
    cwd: &Path,
    args: &serde_json::Value,
    environment: BTreeMap<String, String>,
    files: &Memory,
) -> Option<Project> {
    let mut request = LoadRequest { cwd: cwd.to_owned(), environment, ..LoadRequest::default() };
    request.environment.insert("HOME".to_owned(), "/home/dev".to_owned());
    let mut args = args.as_array().expect("args").iter().map(|arg| arg.as_str().expect("a text").to_owned());
    while let (Some(option), Some(value)) = (args.next(), args.next()) {
        match option.as_str() {
            "-f" => request.files.push(value.into()),
            "--profile" => request.profiles.push(value),
            "--env-file" => request.env_files.push(value.into()),
            "-p" => request.project_name = Some(value),
            "--project-directory" => request.project_directory = Some(value.into()),
            other => panic!("the option {other} is not known here"),
        }
    }
    muster_compose::read(&request, files).ok()
}

/// Every accepted project by its name.
fn projects() -> Vec<(String, Project)> {
    let json = |path: PathBuf| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
    };
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = std::fs::read_dir(corpus().join("corners"))
        .expect("corners")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    for folder in folders {
        let case = json(folder.join("case.json"));
        let environment = case["env"].as_object().into_iter().flatten();
        let environment = environment.map(|(key, value)| (key.clone(), value.as_str().expect("a text").to_owned()));
        let files = memory(&folder, Path::new("/src/case"), Memory::default());
        let cwd = case["cwd"].as_str().unwrap_or("/src/case");
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        found.extend(
            project(Path::new(cwd), &case["args"], environment.collect(), &files).map(|project| (name, project)),
        );
    }
    for (folder, root) in [
        ("awesome-compose", "/src/awesome-compose"),
        ("compose-go", "/src/compose-go"),
        ("edgex-compose", "/src/edgex"),
    ] {
        let files = memory(&corpus().join(folder).join("files"), Path::new(root), Memory::default());
        for (file, answer) in json(corpus().join(folder).join("expected.json")).as_object().expect("answers") {
            let own = Path::new(file).parent().filter(|_| folder == "awesome-compose").unwrap_or(Path::new(""));
            let found_one = project(&Path::new(root).join(own), &answer["args"], BTreeMap::new(), &files);
            found.extend(found_one.map(|project| (format!("{folder}/{file}"), project)));
        }
    }
    found
}

fn request(project: &Project) -> Request {
    Request { cwd: project.working_dir.clone(), env: project.environment.clone(), ..Request::default() }
}

/// The stack of a document.
fn stack(project: &Project, document: &serde_json::Value) -> Result<Stack, Problems> {
    let files = vec![project.working_dir.join("compose.yaml")];
    load_document(&request(project), document, files, &Disk).map(|loaded| loaded.stack)
}

/// The stack of a document that was written to a file and read again.
fn written(project: &Project, document: &serde_json::Value) -> Stack {
    let file = project.working_dir.join("muster.yaml");
    let host = muster_config::Memory::default().with(&file, to_yaml(document));
    let loaded = load(&Request { files: vec![file], ..request(project) }, &host);
    loaded.unwrap_or_else(|problems| panic!("{}", problems.render(false))).stack
}

#[test]
fn every_project_becomes_a_stack() {
    let projects = projects();
    let mut refused = Vec::new();
    for (name, project) in &projects {
        let imported = import_compose(project, &project.working_dir);
        match stack(project, &imported.document) {
            Ok(stack) => assert_eq!(stack.services, written(project, &imported.document).services, "{name}"),
            Err(problems) => {
                println!("{name}: {}", problems.render(false));
                refused.push(name.as_str());
            }
        }
    }
    println!("{} projects, {} refused", projects.len(), refused.len());
    let listed: Vec<&str> = REFUSED.iter().map(|(name, _)| *name).collect();
    assert_eq!(refused, listed);
}
