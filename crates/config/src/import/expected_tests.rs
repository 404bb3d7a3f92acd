//! Every case of `tests/data/process-compose/expected.json`: what process-compose itself makes of a file, against what
//! the imported document says.

use super::{
    ImportOptions, ImportProblem, Imported, SourceFile, import_process_compose, project::clean, select::replica_name,
};
use crate::{Memory, Request, load_document};
use muster_spec::{CommandSpec, RestartOn};
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the real one ran the files.
const RAN_AT: &str = "/src/process-compose";
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/process-compose");

fn read(path: &Path) -> std::io::Result<String> {
    match path.strip_prefix(RAN_AT) {
        Ok(inner) => std::fs::read_to_string(Path::new(DATA).join(inner)),
        Err(_) => Err(std::io::ErrorKind::NotFound.into()),
    }
}

fn cases() -> Map<String, Value> {
    serde_json::from_str(&std::fs::read_to_string(Path::new(DATA).join("expected.json")).unwrap()).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn options(case: &Value, strict: bool) -> ImportOptions {
    let mut options = ImportOptions { strict, ..ImportOptions::default() };
    options.project_dir = clean(&Path::new(RAN_AT).join(case["cwd"].as_str().unwrap()));
    options.env.insert("PATH".to_owned(), "/bin".to_owned());
    options.env.insert("HOME".to_owned(), "/".to_owned());
    for (name, value) in case["env"].as_object().into_iter().flatten() {
        options.env.insert(name.clone(), value.as_str().unwrap().to_owned());
    }
    let mut args = texts(&case["args"]).into_iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-n" => options.namespaces.push(args.next().unwrap()),
            "--no-deps" => options.no_deps = true,
            _ => options.processes.push(arg),
        }
    }
    options
}

fn import(case: &Value, strict: bool) -> Result<Imported, Vec<ImportProblem>> {
    let options = options(case, strict);
    let dropped = case["drop"].as_str().map(|pattern| Regex::new(pattern).unwrap());
    let source = |path: String| {
        let text = read(&clean(&options.project_dir.join(&path))).unwrap();
        let kept = |line: &&str| !dropped.as_ref().is_some_and(|regex| regex.is_match(line));
        SourceFile { path: path.into(), text: text.split_inclusive('\n').filter(kept).collect() }
    };
    let files: Vec<SourceFile> = texts(&case["files"]).into_iter().map(source).collect();
    import_process_compose(&files, &options, &read)
}

/// What the text of the document means for a replica.
fn fill(text: &Value, replica: u16) -> String {
    let text = text.as_str().unwrap();
    text.replace("$$", "\0").replace("${replica0}", &replica.to_string()).replace('\0', "$")
}

fn replicas(service: &Value) -> u16 {
    service["replicas"].as_u64().unwrap_or(1).try_into().unwrap()
}

/// Services and replica numbers by the names that process-compose gives.
fn by_name(document: &Value) -> BTreeMap<String, (&str, u16, &Value)> {
    let services = document["services"].as_object().unwrap();
    let each = |(name, service): (&'_ String, &'_ Value)| -> Vec<(String, u16)> {
        let count = replicas(service);
        (0..count).map(|k| (replica_name(name, k, count), k)).collect()
    };
    let mut out = BTreeMap::new();
    for (name, service) in services {
        for (full, replica) in each((name, service)) {
            out.insert(full, (name.as_str(), replica, service));
        }
    }
    out
}

fn depends_on(document: &Value, service: &Value, wanted: &Value) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (name, need) in service["needs"].as_object().into_iter().flatten() {
        assert_eq!(need["restart"], "ignore");
        let count = replicas(&document["services"][name]);
        for full in (0..count).map(|k| replica_name(name, k, count)) {
            let condition = match (need["until"].as_str().unwrap(), wanted[&full].as_str()) {
                ("done", _) => "process_completed_successfully",
                ("exited", _) => "process_completed",
                ("started", _) => "process_started",
                ("ready", Some("process_log_ready")) => "process_log_ready",
                ("ready", _) => "process_healthy",
                (other, _) => panic!("{other}"),
            };
            out.insert(full, condition.to_owned());
        }
    }
    out
}

/// The namespaces of a service, from the words that select it.
fn namespaces(imported: &Imported, name: &str, service: &Value) -> Vec<String> {
    let words = &imported.attached.namespaces;
    let namespace = |word: &str| words.iter().find(|(_, other)| *other == word).map(|(name, _)| name.clone());
    let mut out = vec![service["group"].as_str().map_or("default".to_owned(), |group| namespace(group).unwrap())];
    for (profile, members) in imported.document["profiles"].as_object().into_iter().flatten() {
        if texts(members).contains(&name.to_owned()) {
            out.push(namespace(profile).unwrap());
        }
    }
    out
}

fn check_process(what: &str, imported: &Imported, found: (&str, u16, &Value), wanted: &Value) {
    let (name, replica, service) = found;
    let document = &imported.document;
    let env: BTreeMap<String, String> =
        service["env"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), fill(v, replica))).collect();
    if let Some(wanted) = wanted["environment"].as_object() {
        let wanted: BTreeMap<_, _> = wanted.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect();
        assert_eq!(env, wanted, "{what}: environment");
    }
    if wanted["argv"].is_array() {
        let shell = texts(&service["process"]["interpreter"]);
        let argv: Vec<_> = shell.into_iter().chain([fill(&service["process"]["shell"], replica)]).collect();
        assert_eq!(argv, texts(&wanted["argv"]), "{what}: argv");
    }
    let cwd = service["cwd"].as_str().map(|_| fill(&service["cwd"], replica)).unwrap_or_default();
    match wanted["working_dir"].as_str() {
        Some("as the file says") => assert_eq!(cwd, "/tmp", "{what}: working_dir"),
        Some(wanted) => assert_eq!(clean(&imported.root.join(cwd)), PathBuf::from(wanted), "{what}: working_dir"),
        None => {}
    }
    let needs: BTreeMap<String, String> = wanted["depends_on"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, condition)| (name.clone(), condition.as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(depends_on(document, service, &wanted["depends_on"]), needs, "{what}: depends_on");
    let wanted_namespaces = match &wanted["namespace"] {
        Value::String(one) => vec![one.clone()],
        list => texts(list),
    };
    assert_eq!(namespaces(imported, name, service), wanted_namespaces, "{what}: namespace");
    let disabled = wanted["status"] == "Disabled";
    assert_eq!(service["autostart"] == false, disabled, "{what}: disabled");
    assert_eq!(service["inherit"], true);
}

/// The case without steps and signals that starts in the same way.
fn start_of<'a>(cases: &'a Map<String, Value>, case: &Value) -> &'a Value {
    let same = |other: &&Value| {
        ["files", "cwd", "args", "drop"].iter().all(|key| other[*key] == case[*key]) && other["steps"].is_null()
    };
    cases.values().find(same).unwrap()
}

#[test]
fn the_document_says_what_process_compose_does() {
    let cases = cases();
    assert_eq!(cases.len(), 51);
    for (what, case) in &cases {
        let imported = import(case, false);
        if case["verdict"] == "rejected" {
            assert!(imported.is_err(), "{what}");
            continue;
        }
        let imported = imported.unwrap_or_else(|problems| panic!("{what}: {problems:?}"));
        let case = if case["steps"].is_null() { case } else { start_of(&cases, case) };
        let found = by_name(&imported.document);
        let wanted = case["processes"].as_object().unwrap();
        let names: Vec<&String> = found.keys().collect();
        let mut wanted_names: Vec<&String> = wanted.keys().collect();
        wanted_names.sort();
        assert_eq!(names, wanted_names, "{what}");
        assert_eq!(imported.attached.empty, wanted.is_empty(), "{what}");
        for (name, wanted) in wanted {
            check_process(&format!("{what}: {name}"), &imported, found[name], wanted);
        }
        for name in texts(&case["ended_by"]) {
            let service = found[&name].2;
            assert!(service["on_exit"] == "end" || service["on_failure"] == "end", "{what}: {name}");
        }
    }
}

#[test]
fn strict_refuses_what_the_strict_check_refuses() {
    for (what, case) in &cases() {
        let accepted = case["dry_run"]["exit_code"] == 0;
        assert_eq!(import(case, true).is_ok(), accepted, "{what}");
    }
}

#[test]
fn what_is_refused_has_its_code() {
    let cases = cases();
    let code = |what: &str| import(&cases[what], false).unwrap_err()[0].code();
    let circular = "fixtures-code/process-compose-circular.yaml";
    assert_eq!(code(circular), "import::circular");
    assert_eq!(code(&format!("{circular} + fixtures-code/process-compose-non-circular.yaml")), "import::circular");
    assert_eq!(code("fixtures-code/process-compose-namespace-deps.yaml -n foo bar"), "import::no_such_process");
    let twice = "fixtures-code/process-compose-chain.yaml + fixtures-code/process-compose-with-extends.yaml";
    assert_eq!(code(twice), "import::extends_given_twice");
}

#[test]
fn policies_of_the_fixtures() {
    let cases = cases();
    let services = |what: &str| import(&cases[&format!("fixtures{what}")], false).unwrap().document["services"].clone();
    let errors = services("/process-compose-chain-with-errors.yaml");
    let restart = |service: &Value| service["restart"].clone();
    let always = serde_json::json!({ "on": "always", "backoff": "2s", "limit": "none", "max": 1 });
    assert_eq!(restart(&errors["process6"]), always);
    let failure = serde_json::json!({ "on": "failure", "backoff": "1s", "limit": "none", "max": 1 });
    assert_eq!(restart(&errors["process5"]), failure);
    assert_eq!(restart(&errors["process3"]), "never");
    assert_eq!([&errors["process2"]["job"], &errors["process1"]["job"]], [&Value::Bool(true), &Value::Null]);
    let codes = services("-code/process-compose-success-exit-codes.yaml");
    assert_eq!(codes["allowed"]["success"], serde_json::json!([0, 130]));
    let stops = services("-code/process-compose-shutdown-inorder.yaml");
    let script = r#"printf "A: exit\n" >> "$$PC_TEST_SHUTDOWN_LOG"; exit 1"#;
    let stop = serde_json::json!({ "command": ["bash", "-c", script], "grace": "10s" });
    assert_eq!(stops["procA"]["stop"], stop);
    let log = services("-code/process-compose-with-log.yaml");
    assert_eq!(log["process6"]["logs"]["file"], "./pc.proc6.log-test.log");
    assert_eq!(log["process5"]["logs"]["file"], "./pc.log-test.log");
    let line = services("/process-compose-dependent-on-failing-log-line.yml");
    assert_eq!(line["failer"]["ready"]["log"], "ready to accept connections");
    assert_eq!(line["failer"]["on_failure"], "end");
    assert_eq!(line["oblivious"]["needs"]["failer"]["until"], "ready");
}

#[test]
fn every_document_loads() {
    for (what, case) in &cases() {
        let Ok(imported) = import(case, false) else { continue };
        // what the number is has been compared above; here every reference must be known
        let document = imported.document.to_string().replace("${replica0}", "${replica}");
        let document: Value = serde_json::from_str(&document).unwrap();
        let request = Request { cwd: imported.root.clone(), env: options(case, false).env, ..Request::default() };
        let file = imported.root.join("process-compose.yaml");
        let host = Memory::default().with(file.to_str().unwrap(), "");
        let loaded = load_document(&request, &document, vec![file], &host);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{what}: {}", problems.render(false)));
        let warnings = loaded.problems.render(false);
        assert_eq!(warnings, "", "{what}");
        for (name, service) in &loaded.stack.services {
            let wanted = &document["services"][name.as_str()];
            let process = service.variants.process.as_ref().unwrap();
            let CommandSpec::Shell { shell, script } = &process.command else { panic!("{what}: {name}") };
            assert_eq!(*shell, texts(&wanted["process"]["interpreter"]));
            assert_eq!(script.to_string(), wanted["process"]["shell"].as_str().unwrap());
            let cwd = wanted["cwd"].as_str().unwrap_or_default();
            assert_eq!(service.cwd.as_literal().map(PathBuf::from), Some(clean(&imported.root.join(cwd))), "{what}");
            assert_eq!(service.env.len(), wanted["env"].as_object().unwrap().len(), "{what}: {name}");
            assert_eq!(service.autostart, wanted["autostart"] != false);
            assert_eq!(service.restart.on == RestartOn::Never, wanted["restart"] == "never", "{what}: {name}");
        }
    }
}
