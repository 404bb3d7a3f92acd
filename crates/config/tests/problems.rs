//! Every code has a file that shows it; what people read is held by snapshots.

use muster_config::{CODES, Code, Loaded, Memory, Problems, Request, Severity, load};
use muster_spec::{EnvironmentName, RuntimeKind, Selector};
use std::collections::{BTreeMap, BTreeSet};

const ROOT: &str = "/w/muster.yaml";

fn host(text: &str) -> Memory {
    Memory::default().with(ROOT, text)
}

fn request() -> Request {
    Request { cwd: "/w".into(), env: BTreeMap::from([("HOME".into(), "/h".into())]), ..Request::default() }
}

fn loaded(text: &str) -> Result<Loaded, Problems> {
    load(&request(), &host(text))
}

fn codes(text: &str) -> Vec<Code> {
    match loaded(text) {
        Ok(loaded) => loaded.problems.list.iter().map(|p| p.code).collect(),
        Err(problems) => problems.list.iter().map(|p| p.code).collect(),
    }
}

fn one(body: &str) -> String {
    format!("services:\n  a: {{ process: [x], {body} }}\n")
}

/// Code and a file that has this problem and no other.
fn table() -> Vec<(Code, String)> {
    let mut rows: Vec<(Code, String)> = [
        (Code::UnknownKey, "restrat: always"),
        (Code::WrongType, "replicas: many"),
        (Code::WrongType, "replicas: [1]"),
        (Code::WrongType, "autostart: maybe"),
        (Code::UnknownWord, "restart: allways"),
        (Code::UnknownWord, "watch: [{ paths: [x], do: dance }]"),
        (Code::BadContainer, "watch: [{ paths: [x], do: sync, to: app }]"),
        (Code::BadContainer, "watch: [{ paths: [x], do: sync, to: /app/../x }]"),
        (Code::UnknownWord, "runtime: proces"),
        (Code::MissingKey, "ready: { every: 1s }"),
        (Code::MissingKey, "container: { user: x }"),
        (Code::Conflict, "ready: { tcp: '1', log: x }"),
        (Code::Conflict, "inputs: [x]"),
        (Code::Conflict, "live: { notify: true, within: 1s }"),
        (Code::BadName, "ports: { 'a b': auto }"),
        (Code::BadDuration, "stop: { grace: 5 }"),
        (Code::BadDuration, "restart: { backoff: 3s..1s }"),
        (Code::BadSize, "limits: { memory: lots }"),
        (Code::BadSignal, "stop: NOPE"),
        (Code::BadRegex, "ready: { log: '(' }"),
        (Code::BadRegex, "ready: { http: { url: 'http://x', body: { regex: '[' } } }"),
        (Code::BadPort, "ports: { p: 99999 }"),
        (Code::BadPort, "ports: { p: '+99999' }"),
        (Code::BadAddress, "ports: { p: { at: auto, address: here } }"),
        (Code::BadImage, "container: 'a b'"),
        (Code::BadMount, "container: { image: i, volumes: [x] }"),
        (Code::BadContainer, "container: { image: i, working_dir: x }"),
        (Code::Interpolation, "cwd: '${'"),
        (Code::Interpolation, "cwd: '${A*}'"),
        (Code::Interpolation, "cwd: '${}'"),
        (Code::Unset, "cwd: '${NOWHERE}'"),
        (Code::Unset, "cwd: '${NOWHERE:?say where}'"),
        (Code::BadReference, "cwd: '${services.b.port.x}'"),
        (Code::BadReference, "cwd: '${port.x}'"),
        (Code::BadReference, "cwd: '${dir.lib}'"),
        (Code::BadReference, "group: '${dir.data}'"),
        (Code::BadReference, "cwd: '${databases.d.url}'"),
        (Code::UnknownService, "needs: [b]"),
        (Code::UnknownService, "needs: { b: ready }"),
        (Code::UnknownPort, "ready: { tcp: sql }"),
        (Code::UnknownPort, "ports: { q: auto }, ready: { grpc: { port: sql } }"),
        (Code::JobProbe, "job: true, ready: { tcp: '80' }"),
        (Code::Cycle, "needs: [a]"),
        (Code::ReplicaPort, "replicas: 2, ports: { p: 80 }"),
    ]
    .map(|(code, body)| (code, one(body)))
    .into();
    rows.extend(whole_files());
    rows
}

fn whole_files() -> Vec<(Code, String)> {
    let command = |text: &str| format!("services: {{ a: {{ process: {{ command: {text} }} }} }}\n");
    vec![
        (Code::NeedsShell, command("'a | b'")),
        (Code::NeedsShell, command("'a && b'")),
        (Code::NeedsShell, command("'echo $HOME'")),
        (Code::NeedsShell, command("'A=1 b'")),
        (Code::NeedsShell, command("'a > b'")),
        (Code::NeedsShell, command("\"a 'b\"")),
        (Code::EmptyCommand, command("[]")),
        (Code::EmptyCommand, command("' '")),
        (Code::NoVariant, "services: { a: { group: x } }".into()),
        (Code::NoVariant, "services: { a: { process: } }".into()),
        (Code::NoVariant, "services: { a: }".into()),
        (Code::NotAJob, "services: { a: { process: [x] }, b: { process: [x], needs: { a: done } } }".into()),
        (Code::NotAJob, "services: { a: { job: true, process: [x] }, b: { process: [x], needs: { a: ready } } }".into()),
        (Code::Syntax, "services: [\n".into()),
        (Code::Syntax, "a: *nothing\n".into()),
        (Code::SeveralDocuments, "name: a\n---\nname: b\n".into()),
        (Code::TooDeep, "[".repeat(100)),
        (Code::DuplicateKey, "name: a\nname: b\n".into()),
        (Code::UnknownTag, "name: !magic a\n".into()),
        (Code::Unreadable, "".into()),
        (Code::Unreadable, "# nothing\n".into()),
        (Code::Unreadable, "a\0b".into()),
        (Code::Include, "include: muster.yaml\n".into()),
        (Code::Extends, "environments: { local: { extends: local } }".into()),
        (Code::Extends, "environments: { local: { extends: lokal } }".into()),
        (Code::Extends, "default_environment: x\n".into()),
        (Code::DuplicateName, "services: { a: { process: [x], aliases: [b] }, b: { process: [x] } }".into()),
        (Code::DuplicateName, "services: { a: { process: [x], group: b }, b: { process: [x] } }".into()),
        (Code::DuplicateName, "services: { a: { process: [x] } }\nprofiles: { a: [a] }".into()),
        (Code::PortClash, "services: { a: { process: [x], ports: [p] }, b: { process: [x], ports: { p: 80 } }, c: { process: [x], ports: { q: 80 } } }".into()),
        (Code::PortClash, "services: { b: { process: [x], ports: { p: +1 } }, c: { process: [x], ports: { q: +1 } } }".into()),
        (Code::PortBlock, "ports: { block: 1 }\nservices: { a: { process: [x], ports: [p, q] } }".into()),
        (Code::PortBlock, "ports: { block: 3 }\nservices: { a: { process: [x], ports: { p: +3 } } }".into()),
        (Code::EnvTooBig, one(&format!("env: {{ A: '{}' }}", "x".repeat(200_000)))),
        (Code::UnknownSelection, "services: { a: { process: [x] } }\nprofiles: { p: [b] }".into()),
        (Code::UnknownSelection, "sync: { migrations: [main] }".into()),
        (Code::SecretSource, format!("variables: {{ S: {{ from: {{ command: no }}, default: x }} }}\n{}", one("cwd: '${S}'"))),
        (Code::BadName, "services: { all: { process: [x] } }".into()),
    ]
}

#[test]
fn each_code_has_its_file() {
    let mut seen = BTreeSet::new();
    for (code, text) in table() {
        let mut found = codes(&text);
        found.dedup();
        assert_eq!(found, [code], "{}\n{}", &text[..text.len().min(300)], shown(&text));
        seen.insert(code);
    }
    // Those that need more than one file or a special request have tests of their own below.
    let others = [Code::NoFile, Code::TooLarge, Code::BadMerge, Code::EnvFile, Code::RuntimeNotOffered]
        .into_iter()
        .chain([Code::RuntimeUnavailable, Code::Foreign]);
    seen.extend(others);
    let all: BTreeSet<Code> = CODES.iter().map(|(code, ..)| *code).collect();
    assert_eq!(seen, all);
    let texts: BTreeSet<&str> = CODES.iter().map(|(_, text, _)| *text).collect();
    assert_eq!(texts.len(), CODES.len());
}

fn shown(text: &str) -> String {
    loaded(text).err().map(|problems| problems.render(false)).unwrap_or_default()
}

#[test]
fn no_file_says_what_to_do() {
    let problems = load(&request(), &Memory::default()).unwrap_err();
    assert_eq!(problems.list[0].code, Code::NoFile);
    assert!(problems.render(false).contains("muster init"));
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for n in 1..12 {
        let items = vec![format!("*a{}", n - 1); 10].join(",");
        text.push_str(&format!("a{n}: &a{n} [{items}]\n"));
    }
    assert!(codes(&text).contains(&Code::TooLarge));
}

#[test]
fn overlays_merge_replace_append_and_unset() {
    let base = "name: s\nservices:\n  a:\n    process: { command: [x], user: me }\n    aliases: [one]\n    \
                env: [A=1, B=2]\n    success: [0, 1]\n    autostart: false\n";
    let over = "services:\n  a:\n    process: { user: !unset }\n    aliases: !append [two]\n    env: { B: 3, C: !unset }\n    \
                success: [5]\n  b: { process: [y] }\n";
    let host = host(base).with("/w/over.yaml", over);
    let files = vec!["muster.yaml".into(), "over.yaml".into()];
    let loaded = load(&Request { files, ..request() }, &host).unwrap_or_else(|p| panic!("{}", p.render(false)));
    let a = loaded.stack.service("a").unwrap();
    assert_eq!(a.aliases, ["one", "two"]);
    assert_eq!((a.success.as_slice(), a.autostart), ([5].as_slice(), false));
    assert_eq!(a.variants.process.as_ref().unwrap().user, None);
    assert_eq!(a.env["A"].as_literal().as_deref(), Some("1"));
    assert_eq!(a.env["B"].as_literal().as_deref(), Some("3"));
    assert_eq!(loaded.stack.services.len(), 2);
    let origin = loaded.origins.iter().find(|o| o.path == "services.a.env.B").unwrap();
    assert_eq!((origin.file.to_str(), origin.line), (Some("/w/over.yaml"), 5));

    let bad = host.with("/w/over.yaml", "services: { a: { group: !append [x] } }");
    let files = vec!["muster.yaml".into(), "over.yaml".into()];
    let problems = load(&Request { files, ..request() }, &bad).unwrap_err();
    assert!(problems.list.iter().any(|p| p.code == Code::WrongType || p.code == Code::BadMerge));
}

#[test]
fn append_without_a_list_is_said() {
    let host = host("services: { a: { process: [x], env: { A: 1 } } }")
        .with("/w/over.yaml", "services: { a: { env: !append [B=1] } }");
    let files = vec!["muster.yaml".into(), "over.yaml".into()];
    let problems = load(&Request { files, ..request() }, &host).unwrap_err();
    assert_eq!(problems.list[0].code, Code::BadMerge);
}

#[test]
fn a_bad_line_of_an_env_file_is_shown_there() {
    let host = host("env_file: .env\nservices: { a: { process: [x] } }").with("/w/.env", "A=1\nwhat\n");
    let problems = load(&request(), &host).unwrap_err();
    let place = problems.list[0].place.as_ref().unwrap();
    assert_eq!((problems.list[0].code, place.line), (Code::EnvFile, 2));
    assert_eq!(place.file.to_str(), Some("/w/.env"));
}

const TWO: &str = "services:\n  a: { process: [x], container: img }\n  b: { container: img }\n  c: { process: [x] }\n";

#[test]
fn a_runtime_must_be_offered_and_available() {
    let host = host(TWO);
    let with = |runtimes: &[(&str, RuntimeKind)], available: &[RuntimeKind], only: Option<&str>| {
        let request = Request {
            runtimes: runtimes.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(),
            available: (!available.is_empty()).then(|| available.iter().copied().collect()),
            only: only.map(|text| text.parse::<Selector>().unwrap()),
            ..request()
        };
        load(&request, &host)
    };
    let chosen = with(&[("a", RuntimeKind::Container)], &[], None).unwrap();
    assert_eq!(chosen.stack.service("a").unwrap().runtime, RuntimeKind::Container);
    let refused = with(&[("c", RuntimeKind::Container)], &[], None).unwrap_err();
    assert_eq!(refused.list[0].code, Code::RuntimeNotOffered);
    assert!(refused.list[0].help.as_ref().unwrap().contains("`process`"));
    // No engine here: an error only when the service is selected.
    let error = with(&[], &[RuntimeKind::Process], None).unwrap_err();
    assert_eq!(error.list[0].code, Code::RuntimeUnavailable);
    let warned = with(&[], &[RuntimeKind::Process], Some("a,c")).unwrap();
    assert_eq!(warned.problems.list[0].severity, Severity::Warning);
}

#[test]
fn a_foreign_file_is_imported_or_refused() {
    let host = Memory::default()
        .with("/w/process-compose.yaml", "processes:\n  web:\n    command: echo $HOME\n")
        .with("/w/Procfile", "web: bin/web\n")
        .with("/w/Procfile.bad", "???\n");
    let of = |file: &str| load(&Request { files: vec![file.into()], ..request() }, &host);
    for file in ["process-compose.yaml", "Procfile"] {
        let loaded = of(file).unwrap_or_else(|p| panic!("{}", p.render(false)));
        assert_eq!(loaded.stack.services.len(), 1);
        assert!(loaded.imported.is_some());
    }
    assert_eq!(of("Procfile.bad").unwrap_err().list[0].code, Code::Foreign);
}

#[test]
fn an_include_may_have_a_prefix() {
    let host = host("include: [{ path: ops/obs.yaml, as: obs }]\nservices: { a: { process: [x], needs: [obs-web] } }")
        .with("/w/ops/obs.yaml", concat!(
            "services:\n",
            "  db: { process: ./db, ports: { sql: auto } }\n",
            "  web: { process: [w, '${services.db.port.sql}'], needs: { db: ready }, watch: [{ paths: ['*.py'] }] }\n",
        ));
    let loaded = load(&request(), &host).unwrap_or_else(|p| panic!("{}", p.render(false)));
    let web = loaded.stack.service("obs-web").unwrap();
    assert_eq!(web.needs[0].service.as_str(), "obs-db");
    assert_eq!(web.watch[0].paths, ["ops/*.py"]);
    assert_eq!(web.cwd.as_literal().as_deref(), Some("/w/ops"));
    let db = loaded.stack.service("obs-db").unwrap();
    let command = &db.variants.process.as_ref().unwrap().command;
    assert_eq!(command.templates().next().unwrap().as_literal().as_deref(), Some("/w/ops/db"));
}

#[test]
fn variables_come_from_the_caller_first() {
    let text = "env_file: [.env, .more?]\nvariables:\n  D: { default: d }\n  E: e\nservices:\n  a:\n    process: [x]\n    \
                env: { H: '${HOME}', F: '${F}', D: '${D}', N: '${N:-${F}}', P: '${HOME:+yes}', Q: '${N:+no}', S: '$$x $y' }\n";
    let host = host(text).with("/w/.env", "F=f\nHOME=wrong\n");
    let loaded = load(&request(), &host).unwrap_or_else(|p| panic!("{}", p.render(false)));
    let env = &loaded.stack.service("a").unwrap().env;
    let got: Vec<_> = env.values().map(|value| value.as_literal().unwrap()).collect();
    assert_eq!(got, ["/h", "f", "d", "f", "yes", "", "$x $y"]);
    assert_eq!(loaded.stack.variables["D"].origin, "default");
}

#[test]
fn what_people_read() {
    let text = concat!(
        "name: demo\n",
        "services:\n",
        "  db:\n",
        "    process: postgres -p ${port.sqll}\n",
        "    ports: { sql: +1, other: +2 }\n",
        "    reddy: { tcp: sql }\n",
        "  api:\n",
        "    process: { command: \"cd api && ./run\" }\n",
        "    needs: { bd: ready, web: ready }\n",
        "    env: { KEY: \"${API_KEY}\" }\n",
        "  web:\n",
        "    process: [web]\n",
        "    needs: [api]\n",
    );
    insta::assert_snapshot!(loaded(text).unwrap_err().render(false));
    let name = EnvironmentName::new("x").unwrap();
    assert!(load(&Request { environment: Some(name), ..request() }, &host(text)).is_err());
    assert!(loaded(text).unwrap_err().render(true).contains("\u{1b}["));
}

#[test]
fn one_mistake_is_one_problem() {
    // a port with a wrong place is the port that the others mean
    let ports = concat!(
        "services:\n",
        "  a: { process: [x, '${port.p}'], ports: { p: 99999 }, ready: { tcp: p } }\n",
        "  b: { process: [x, '${services.a.addr.p}', '${services.a.port.p}'] }\n",
        "  c:\n",
        "    process: [x]\n",
        "    runtime: process\n",
        "    container: { image: i, ports: { q: no }, env: { Q: '${port.q}' } }\n",
    );
    assert_eq!(codes(ports), [Code::BadPort, Code::BadPort]);
    // what is no map lacks no key
    for text in ["remote: lab", "remote: [lab]", "process: [x], details: x", "process: [x], cache: x"] {
        assert_eq!(codes(&format!("services: {{ a: {{ {text} }} }}\n")), [Code::WrongType], "{text}");
    }
    for text in ["services: { a: text }", "services: { a: [x] }", "databases: { d: text }"] {
        assert_eq!(codes(text), [Code::WrongType], "{text}");
    }
    // and what is one does
    assert_eq!(codes("services: { a: { remote: { user: x } } }"), [Code::MissingKey]);
}

#[test]
fn a_whole_environment_may_be_too_large() {
    let pairs: Vec<String> = (0..20).map(|n| format!("V{n}: '{}'", "x".repeat(120_000))).collect();
    assert_eq!(codes(&one(&format!("env: {{ {} }}", pairs.join(", ")))), [Code::EnvTooBig]);
}

#[test]
fn the_schema_is_whole() {
    let schema = muster_config::schema();
    let service = &schema["properties"]["services"]["additionalProperties"]["$ref"];
    let name = service.as_str().and_then(|text| text.rsplit('/').next()).unwrap();
    assert_eq!(schema["$defs"][name]["properties"]["autostart"]["type"][0], "boolean");
    let text = schema.to_string();
    for reference in text.split("\"#/$defs/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schema["$defs"].get(name).is_some(), "{name}");
    }
}
