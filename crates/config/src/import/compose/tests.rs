//! Projects in memory and what becomes of them.

use super::import_compose;
use crate::import::Imported;
use muster_compose::{LoadRequest, Memory, read};
use serde_json::{Value, json};
use std::path::Path;

fn imported(compose: &str) -> Imported {
    let files =
        Memory::default().with("/p/compose.yaml", compose).with("/p/s.txt", "s").with("/p/.env", "TOKEN=hush\n");
    let request = LoadRequest { cwd: "/p".into(), ..LoadRequest::default() };
    let project = read(&request, &files).unwrap_or_else(|problems| panic!("{problems:?}"));
    import_compose(&project, Path::new("/p"))
}

/// The body of service `a`.
fn service(compose: &str) -> Value {
    imported(compose).document["services"]["a"].clone()
}

fn fields(imported: &Imported) -> Vec<&str> {
    imported.loss.entries.iter().map(|loss| loss.field.as_str()).collect()
}

#[test]
fn a_plain_service_is_a_container_with_ports_of_this_machine() {
    let found =
        imported("services: {a: {image: 'x:1', ports: ['8080:80', '127.0.0.1::53/udp'], environment: {A: '$$b'}}}");
    assert!(found.loss.is_empty(), "{}", found.loss);
    let wanted = json!({
        "name": "p",
        "services": {"a": {
            "container": {"image": "x:1"},
            "ports": {
                "p80": {"at": 8080, "container": 80, "address": "0.0.0.0"},
                "udp53": {"at": "auto", "container": 53, "udp": true, "address": "127.0.0.1"},
            },
            "ready": {"healthcheck": true, "fails": 1},
            "env": {"A": "$$b"},
            "restart": "never",
        }},
    });
    assert_eq!(found.document, wanted);
}

#[test]
fn of_a_range_each_copy_has_a_port_that_nobody_else_asks_for() {
    let found = imported(
        "services:
           a: {image: x, scale: 3, ports: ['8000-8004:80']}
           b: {image: x, ports: ['8000-8004:80']}
           c: {image: x, ports: ['8000:80', '8000-8003:81']}",
    );
    let of = |service: &str, port: &str| {
        let port = &found.document["services"][service]["ports"][port];
        (port["at"].clone(), port["stride"].clone())
    };
    assert_eq!(of("a", "p80"), (json!(8001), json!(1)));
    assert_eq!(of("b", "p80"), (json!(8004), Value::Null));
    assert_eq!((of("c", "p80").0, of("c", "p81").0), (json!(8000), json!("auto")));
    assert_eq!(fields(&found), ["services.a.ports.80", "services.b.ports.80", "services.c.ports.81"]);
}

#[test]
fn dependencies_are_needs_and_what_must_finish_is_a_job() {
    let found = imported(
        "services:
           a: {image: x, depends_on: {m: {condition: service_completed_successfully}, d: {condition: service_healthy, restart: true}}}
           m: {image: x, depends_on: [d]}
           d: {image: x, healthcheck: {test: pg_isready, interval: 1m30s, retries: 3}}",
    );
    let services = &found.document["services"];
    assert_eq!(services["a"]["needs"], json!({"m": "done", "d": {"until": "ready", "restart": "with"}}));
    assert_eq!(services["m"]["job"], json!(true));
    assert_eq!(services["m"]["restart"], Value::Null);
    let health = json!({"test": ["CMD-SHELL", "pg_isready"], "interval": "90s", "retries": 3});
    assert_eq!(services["d"]["container"]["healthcheck"], health);
    assert!(found.loss.is_empty(), "{}", found.loss);
}

#[test]
fn restart_stop_and_limits_keep_their_meaning() {
    let always = service(
        "services: {a: {image: x, restart: always, stop_signal: SIGINT, stop_grace_period: 1m, cpus: 0.1, mem_limit: 512m}}",
    );
    assert_eq!(always["restart"], json!({"on": "always", "backoff": "100ms..60s", "limit": "none"}));
    assert_eq!(always["stop"], json!({"signal": "SIGINT", "grace": "60s"}));
    assert_eq!(always["limits"], json!({"memory": "512MiB", "cpus": 0.1}));
    let some = service("services: {a: {image: x, restart: 'on-failure:3'}}");
    assert_eq!(some["restart"]["max"], json!(3));
    let deployed = service(
        "services: {a: {image: x, deploy: {replicas: 2, restart_policy: {condition: on-failure, delay: 5s, max_attempts: 4}}}}",
    );
    assert_eq!(deployed["restart"], json!({"on": "failure", "backoff": "5s", "limit": "none", "max": 4}));
    assert_eq!(deployed["replicas"], json!(2));
}

#[test]
fn mounts_start_at_the_projects_folder_and_secrets_stay_secret() {
    let found = imported(
        "
         services:
           a:
             image: x
             volumes: ['./data:/data:ro', 'vol:/v', '/anon', {type: tmpfs, target: /t, tmpfs: {size: 64m, mode: 0o1777}}]
             configs: [c]
             secrets: [s, {source: t, target: token, mode: 0400}]
         volumes: {vol: {external: true, name: outside}}
         configs: {c: {content: 'price $$5'}}
         secrets: {s: {file: ./s.txt}, t: {environment: TOKEN}}",
    );
    let wanted = json!([
        {"type": "bind", "source": "./data", "target": "/data", "read_only": true},
        {"type": "volume", "source": "outside", "volume": {"external": true}, "target": "/v"},
        {"type": "volume", "target": "/anon"},
        {"type": "tmpfs", "tmpfs": {"size": "64MiB", "mode": "1777"}, "target": "/t"},
        {"type": "content", "content": "price $$5", "target": "/c", "read_only": true},
        {"type": "bind", "source": "./s.txt", "target": "/run/secrets/s", "read_only": true, "bind": {"create_host_path": false}},
        {"type": "content", "content": "${TOKEN}", "target": "/run/secrets/token", "mode": "0400", "read_only": true},
    ]);
    assert_eq!(found.document["services"]["a"]["container"]["volumes"], wanted);
    assert_eq!(found.document["variables"], json!({"TOKEN": {"secret": true}}));
    assert_eq!(found.document["env_file"], json!(["./.env?"]));
    assert!(!found.document.to_string().contains("hush"));
}

#[test]
fn what_is_not_kept_is_told() {
    let found = imported(
        "
         services:
           a:
             image: x
             logging: {driver: syslog}
             networks: {n: {ipv4_address: 10.0.0.5, aliases: [web]}}
             links: ['b:database']
             mem_swappiness: 10
             environment: [UNSET]
           b: {image: x, pull_policy: daily}
           c: {image: x, network_mode: 'service:b'}
           off: {image: x, profiles: [debug]}
         networks: {n: {internal: true}}",
    );
    assert_eq!(
        fields(&found),
        [
            "services.a.links",
            "services.off",
            "networks.n",
            "networks.n.internal",
            "services.a.environment.UNSET",
            "services.a.logging",
            "services.a.mem_swappiness",
            "services.a.networks.n.ipv4_address",
            "services.b.pull_policy",
            "services.c.network_mode",
        ]
    );
    let services = &found.document["services"];
    assert_eq!(services["a"]["container"]["network_aliases"], json!(["web"]));
    assert_eq!(services["b"]["container"]["network_aliases"], json!(["database"]));
}

#[test]
fn a_port_of_this_machine_is_given_once() {
    let found = imported(
        "services: {a: {image: x, ports: ['127.0.0.1:80:80', '[::1]:80:80']}, b: {image: x, scale: 2, ports: ['90:90']}}",
    );
    assert_eq!(fields(&found), ["services.a.ports.80", "services.b.ports.90"]);
    assert_eq!(found.document["services"]["b"]["ports"]["p90"]["at"], json!("auto"));
}

#[test]
fn what_is_watched_is_copied_rebuilt_or_restarted() {
    let found = imported(
        "services:
           a:
             build: .
             develop:
               watch:
                 - {path: ./src, target: /app/src, action: sync, ignore: [node_modules/, '*.tmp', '!keep.tmp'], initial_sync: true}
                 - {path: ., target: /app, action: sync+restart, include: ['*.conf']}
                 - {path: ./x.txt, target: /x.txt, action: sync+exec, exec: {command: reload now, user: root}}
                 - {path: package.json, action: rebuild}
                 - {path: ../other, action: restart}",
    );
    let watch = json!([
        {"paths": ["src"], "ignore": ["src/node_modules/", "src/*.tmp"], "do": "sync", "from": "src", "to": "/app/src",
         "initial": true},
        {"paths": ["/*.conf"], "do": "sync", "from": ".", "to": "/app", "then": "restart"},
        {"paths": ["x.txt"], "do": "sync", "from": "x.txt", "to": "/x.txt", "then": {"exec": ["reload", "now"]}},
        {"paths": ["package.json"], "do": "rebuild"},
    ]);
    assert_eq!(found.document["services"]["a"]["watch"], watch);
    let lost = ["develop.watch.0.ignore", "develop.watch.2.exec.user", "develop.watch.4"];
    assert_eq!(fields(&found), lost.map(|field| format!("services.a.{field}")));
}
