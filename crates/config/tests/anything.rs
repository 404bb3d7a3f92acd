//! Any bytes give a stack or problems, never a panic; a large file loads quickly.

use muster_config::{Host, Memory, Request, load};
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn try_load(bytes: &[u8]) {
    let host = Memory::default().with("/w/muster.yaml", bytes);
    match load(&Request { cwd: "/w".into(), ..Request::default() }, &host) {
        Ok(loaded) => {
            let text = muster_config::to_yaml(&loaded.stack);
            let host = Memory::default().with("/w/muster.yaml", text.as_str());
            let again = load(&Request { cwd: "/w".into(), ..Request::default() }, &host);
            let again = again.unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)));
            assert_eq!(again.stack, loaded.stack, "{text}");
        }
        Err(problems) => {
            assert!(problems.has_errors());
            let _text = problems.render(false);
        }
    }
}

/// Lines of the language in any order: they reach further than bytes do.
fn lines() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "services:",
        "  a:",
        "  b:",
        "    process: [x]",
        "    process: \"x y\"",
        "    ports: {p: auto}",
        "    ports: [p]",
        "    needs: [a]",
        "    needs: {b: ready}",
        "    ready: {tcp: p}",
        "    live: {http: p, fails: 2}",
        "    job: true",
        "    env: {A: '${port.p}', B: 1.10}",
        "    env: [A=1]",
        "    replicas: 2",
        "    <<: *x",
        "    x-y: &x {cwd: /a}",
        "    restart: always",
        "    startup: {exec: 'true', within: null}",
        "    stop: {signal: INT, command: [a]}",
        "name: n",
        "ports: {base: 1, block: 2}",
        "profiles: {q: [a]}",
        "tests: {t: 'x ${args}'}",
        "  x: !append [1]",
        "databases: {d: {file: x.db}}",
        "environments: {local: {runtime: process}}",
        "variables: {V: {default: '$'}}",
        "    container: img",
        "    container:",
        "      image: i",
        "      volumes: ['a:/b', ./c:/d:ro]",
        "      healthcheck: {test: x}",
        "      labels: [a=b]",
        "    remote: {host: h, command: x}",
        "    ready: healthcheck",
        "    external: ''",
        "    watch: [{paths: [x], do: signal HUP}]",
        "    limits: {cpus: 1.5}",
        "    group: ''",
        "    aliases: ['']",
        "    image: \"é\"",
        "    cwd: é",
        "    success: 3",
        "    logs: 1MiB",
        "- a",
        "\t",
        "---",
    ]);
    prop::collection::vec(line, 0..14).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        try_load(&bytes);
    }

    #[test]
    fn any_text(text in "[a-z:\\-\\[\\]{}&*!|>'\"%#\\$ \n\té,?]{0,120}") {
        try_load(text.as_bytes());
    }

    #[test]
    fn any_lines(text in lines()) {
        try_load(text.as_bytes());
    }
}

#[test]
fn ten_thousand_services() {
    let mut text = String::from("name: large\nservices:\n");
    for n in 0..10_000 {
        let needs = if n > 0 { format!("{{ s{}: ready }}", n - 1) } else { "{}".to_owned() };
        text.push_str(&format!(
            "  s{n}:\n    process: {{ command: [serve, --port, \"${{port.http}}\"] }}\n    ports: {{ http: auto }}\n    \
             needs: {needs}\n    env: {{ A: \"1\", B: \"${{addr.http}}\" }}\n    ready: {{ tcp: http }}\n"
        ));
    }
    let host = Memory::default().with("/w/muster.yaml", text);
    assert!(host.is_file("/w/muster.yaml".as_ref()));
    let start = Instant::now();
    let loaded = load(&Request { cwd: "/w".into(), ..Request::default() }, &host);
    let took = start.elapsed();
    assert_eq!(loaded.unwrap_or_else(|p| panic!("{}", p.render(false))).stack.services.len(), 10_000);
    // Unoptimised on a busy machine; a release build takes a tenth of a second. Quadratic behaviour would take minutes.
    assert!(took < Duration::from_secs(20), "{took:?}");
}
