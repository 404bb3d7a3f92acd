//! Any bytes give a project or problems, never a panic; a large project loads quickly.

use std::time::{Duration, Instant};

use muster_compose::{LoadRequest, Memory, load, read};
use proptest::prelude::*;

fn try_load(compose: &[u8], second: &[u8], env: &[u8]) {
    let files = Memory::default().with("/p/compose.yaml", compose).with("/p/o.yaml", second).with("/p/.env", env);
    for files_asked in [vec![], vec!["compose.yaml".into(), "o.yaml".into()]] {
        let request = LoadRequest { cwd: "/p".into(), files: files_asked, ..LoadRequest::default() };
        match read(&request, &files) {
            Ok(project) => drop(project.to_json()),
            Err(problems) => assert!(!problems.is_empty()),
        }
    }
}

/// Lines of the language in any order: they reach further than bytes do.
fn lines() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "services:",
        "  a:",
        "  b:",
        "    image: ${X:-y}",
        "    extends: a",
        "    extends: {file: o.yaml, service: b}",
        "    build: .",
        "    build: !reset null",
        "    ports: ['80:80', 443, {target: 1}]",
        "    ports: !override [1-3:4-6]",
        "    volumes: ['./x:/y', 'C:\\x:/z', {type: bind, source: a, target: b}]",
        "    environment: [A, B=$A]",
        "    environment: {A: 1.0, B: null}",
        "    env_file: [.env, {path: o.yaml, format: raw}]",
        "    depends_on: [a, b]",
        "    networks: {n: null}",
        "    <<: *x",
        "    x-y: &x {cpus: '0.5'}",
        "    logging: {driver: x}",
        "    logging: null",
        "    deploy: {replicas: '2'}",
        "    configs: [c, {source: c, target: 1}]",
        "networks: {n: {ipam: {config: [{subnet: a}, b]}}}",
        "include: [o.yaml, {path: [o.yaml], env_file: .env}]",
        "include: x",
        "name: ${",
        "name: n",
        "version: '3'",
        "---",
        "configs: {c: {environment: A}}",
        "secrets: null",
        "    services: [",
        "    '': ''",
    ]);
    prop::collection::vec(line, 0..24).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        try_load(&bytes, b"services: {}", b"");
    }

    #[test]
    fn any_text(text in "\\PC{0,300}", env in "\\PC{0,100}") {
        try_load(text.as_bytes(), b"services: {}", env.as_bytes());
    }

    #[test]
    fn any_lines_of_the_language(first in lines(), second in lines(), env in "[A-Z]=.{0,9}(\n[A-Z'\"$={]{0,9}){0,3}") {
        try_load(first.as_bytes(), second.as_bytes(), env.as_bytes());
    }

    #[test]
    fn any_template(text in "[${}:?+A-C -]{0,40}") {
        try_load(format!("services: {{a: {{image: \"{text}\"}}}}").as_bytes(), b"{}", format!("A={text}").as_bytes());
    }
}

#[test]
fn a_thousand_services_that_extend_one_load_quickly() {
    let services: String = (0..1000).map(|n| format!("  s{n}: {{extends: {{file: o.yaml, service: b}}}}\n")).collect();
    let files = Memory::default()
        .with("/p/compose.yaml", format!("services:\n{services}"))
        .with("/p/o.yaml", "services: {b: {image: x, environment: {A: 1}}}");
    let start = Instant::now();
    let loaded = load(&LoadRequest { cwd: "/p".into(), ..LoadRequest::default() }, &files);
    assert_eq!(loaded.map(|loaded| loaded.active.len()), Ok(1000));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
