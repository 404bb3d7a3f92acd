//! Files that are wrong: all problems at once, each with its place and a way out, and what runs goes on.

use muster_e2e::{Home, Output};
use std::time::{Duration, Instant};

const GOOD: &str = "name: a\nservices:\n  keep: { command: WORKER keep idle }\n";

/// The services of a file that is wrong, beside the one that runs.
fn beside(text: &str) -> String {
    format!("{GOOD}{text}")
}

/// With the good stack running, `up` of a wrong file says `code` with exit code 3 and changes nothing.
fn refused(code: &str, text: impl AsRef<[u8]>, words: &[&str]) -> Output {
    let home = Home::new();
    home.stack(GOOD);
    home.muster(&["up", "-d"]).ok();
    let (before, daemon) = (home.process("keep"), home.daemon());
    let text = text.as_ref();
    let path = home.project().join("muster.yaml");
    let replaced = std::str::from_utf8(text).map(|text| text.replace("WORKER", &home.worker_line()).into_bytes());
    std::fs::write(&path, replaced.unwrap_or_else(|_| text.to_vec())).expect("a file");
    let mut last = None;
    for command in [&["validate", "--json"][..], &["plan", "--json"], &["up", "-d", "--json"]] {
        let begun = Instant::now();
        let output = home.muster(command).expect_code(3);
        assert!(begun.elapsed() < Duration::from_secs(20), "{command:?} took {:?}", begun.elapsed());
        let errors = output.errors();
        let error =
            errors.iter().find(|error| error["code"] == code).unwrap_or_else(|| panic!("no `{code}`: {output:?}"));
        let expected = error["message"].as_str().is_some_and(|text| text.contains(": expected "));
        assert!(expected || error["help"].as_str().is_some_and(|help| !help.is_empty()), "no way out: {error}");
        let said = format!("{} {}", error["message"], error["help"]);
        assert!(
            said.contains("muster.yaml") || error["file"].as_str().is_some_and(|file| file.ends_with("muster.yaml")),
            "no file: {error}"
        );
        for word in words {
            assert!(said.contains(word), "`{word}` is not said: {error}");
        }
        last = Some(output);
    }
    let human = home.muster(&["up", "-d"]).expect_code(3);
    assert!(human.stderr.contains("muster.yaml"), "{human:?}");
    assert_eq!((home.process("keep"), home.daemon()), (before, daemon), "what runs goes on");
    assert_eq!(home.service("keep")["state"], "ready");
    home.muster(&["down"]).ok();
    last.expect("three commands")
}

#[test]
fn unknown_key() {
    refused(
        "config::unknown_key",
        beside("  b: { command: WORKER b idle, restrat: always }\n"),
        &["restrat", "restart"],
    );
}

#[test]
fn wrong_type() {
    refused(
        "config::wrong_type",
        beside("  b: { command: WORKER b idle, replicas: many }\n"),
        &["`services.b.replicas`: ", "whole number", "many"],
    );
}

#[test]
fn cycle() {
    let text = "  a: { command: WORKER a idle, needs: [b] }\n  b: { command: WORKER b idle, needs: [c] }\n  c: { command: WORKER c idle, needs: [a] }\n";
    refused("config::cycle", beside(text), &["a", "b", "c"]);
}

#[test]
fn unknown_need() {
    refused("config::unknown_service", beside("  b: { command: WORKER b idle, needs: [kepe] }\n"), &["kepe", "keep"]);
}

#[test]
fn duplicate_name() {
    refused("config::duplicate_key", beside("  keep: { command: WORKER b idle }\n"), &["keep"]);
    refused("config::duplicate_name", beside("  b: { command: WORKER b idle, aliases: [keep] }\n"), &["keep"]);
}

#[test]
fn two_services_on_one_port() {
    let text =
        "  b: { command: WORKER b idle, ports: { p: 18080 } }\n  c: { command: WORKER c idle, ports: { p: 18080 } }\n";
    refused("config::port_clash", beside(text), &["18080", "b", "c"]);
}

#[test]
fn unset_variable() {
    let text = "  b: { command: WORKER b idle, env: { X: \"${NOT_SET_ANYWHERE}\" } }\n";
    refused("config::unset", beside(text), &["NOT_SET_ANYWHERE"]);
}

#[test]
fn all_problems_at_once() {
    let text = "  b: { command: WORKER b idle, restrat: always }\n  c: { command: WORKER c idle, needs: [nobody], replicas: many }\n";
    let output = refused("config::unknown_key", beside(text), &[]);
    let codes: Vec<String> = output.errors().iter().map(|error| error["code"].to_string()).collect();
    assert!(codes.len() >= 3, "{codes:?}");
}

#[test]
fn alias_bomb() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for n in 1..12 {
        let items = vec![format!("*a{}", n - 1); 10].join(",");
        text.push_str(&format!("a{n}: &a{n} [{items}]\n"));
    }
    refused("config::too_large", text, &[]);
}

#[test]
fn empty_file() {
    refused("config::unreadable", "", &[]);
}

#[test]
fn binary_file() {
    let bytes: Vec<u8> = (0..4096_u32).map(|n| u8::try_from(n * 37 % 256).unwrap_or(0)).collect();
    refused("config::unreadable", bytes, &[]);
}

#[test]
fn no_file() {
    let home = Home::new();
    let error = home.muster(&["up", "-d", "--json"]).expect_code(3).error();
    assert_eq!(error["code"], "config::no_file");
    assert!(error["help"].as_str().is_some_and(|help| help.contains("muster init")), "{error}");
    let error = home.muster(&["--file", "nowhere.yaml", "up", "-d", "--json"]).expect_code(3).error();
    assert!(error.to_string().contains("nowhere.yaml"), "{error}");
}

#[test]
fn ten_thousand_services() {
    let home = Home::new();
    let mut text = String::from("name: big\nservices:\n");
    for n in 0..10_000 {
        let needs = if n == 0 { String::new() } else { format!(", needs: [s{}]", n - 1) };
        text.push_str(&format!("  s{n}: {{ command: [sleep, '1000']{needs} }}\n"));
    }
    home.stack(&text);
    let begun = Instant::now();
    let valid = home.muster(&["validate", "--json"]).expect_code(0).json();
    println!("10,000 services are valid after {:?}", begun.elapsed());
    assert_eq!(valid["services"], 10_000);
    // a development build on a machine that is busy; a release needs a part of a second
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(home.daemon(), None, "no daemon is needed for it");
}

#[test]
fn a_file_that_changes_while_it_runs() {
    let home = Home::new();
    home.stack("name: a\nservices:\n  keep: { command: WORKER keep idle, env: { X: one } }\n");
    home.muster(&["up", "-d"]).ok();
    let before = home.process("keep");
    home.stack("name: a\nservices:\n  keep: { command: WORKER keep idle, env: { X: two } }\n");
    let plan = home.muster(&["plan", "--json", "--exit-code"]).expect_code(6).json();
    let change = &plan["changes"][0];
    assert_eq!((change["service"].as_str(), change["action"].as_str()), (Some("keep"), Some("restart")), "{plan}");
    let reason = &change["reasons"][0];
    assert_eq!(
        (reason["field"].as_str(), reason["from"].as_str(), reason["to"].as_str()),
        (Some("env.X"), Some("one"), Some("two"))
    );
    assert_eq!(home.process("keep"), before, "a plan touches nothing");
    // a restart by itself is one of what was accepted, whatever the file says now
    before.expect("it ran").kill();
    home.wait_service("keep", "restarted", |service| service["restarts"] == 1 && service["state"] == "ready");
    let said = home.muster(&["exec", "keep", "--", "sh", "-c", "echo $X"]).expect_code(0).stdout;
    assert_eq!(said, "one\n");
}
