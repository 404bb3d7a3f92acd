//! Every short form means what its long form means.

use muster_config::{Loaded, Memory, Request, environment_id, load, worktree_name};
use muster_spec::{
    Backoff, Check, CommandSpec, EnvironmentName, LogPolicy, PortAt, RestartOn, RuntimeKind, ServiceSpec, Template,
    WatchAction,
};
use std::path::Path;

fn load_text(text: &str) -> Loaded {
    let host = Memory::default().with("/w/muster.yaml", text);
    let loaded = load(&Request { cwd: "/w".into(), ..Request::default() }, &host);
    loaded.unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)))
}

/// The service `a` with this body.
fn a(body: &str) -> ServiceSpec {
    load_text(&format!("services: {{ a: {{ {body} }} }}\n")).stack.services["a"].clone()
}

fn words(command: &CommandSpec) -> Vec<String> {
    command.templates().map(ToString::to_string).collect()
}

#[test]
fn short_and_long_forms_are_the_same() {
    let pairs = [
        ("process: 'x y'", "process: { command: [x, y] }"),
        ("runtime: process, binary: bin/x, args: [y]", "process: [bin/x, y], runtime: process"),
        ("command: x 'y z'", "process: [x, y z]"),
        ("shell: 'a | b'", "process: { shell: 'a | b' }"),
        ("image: i, command: x", "container: { image: i, command: [x] }"),
        ("host: h, command: x", "remote: { host: h, command: [x] }"),
        ("external: 'http://x'", "external: { url: 'http://x' }, ready: { tcp: 'x:80' }"),
        ("mock: m.yaml", "mock: { file: ./m.yaml }"),
        ("process: x, restart: always", "process: x, restart: { on: always }"),
        ("process: x, ports: [p]", "process: x, ports: { p: auto }, ready: { listens: [p] }"),
        (
            "process: x, ports: { p: +1 }, ready: { tcp: p }",
            "process: x, ports: { p: { at: +1 } }, ready: { tcp: '${addr.p}' }",
        ),
        ("process: x, ports: { p: 53/udp }", "process: x, ports: { p: { at: 53, udp: true } }, ready: none"),
        (
            "process: x, ready: { http: 'h:1/z' }",
            "process: x, ready: { http: { url: 'http://h:1/z', status: [200-399] } }",
        ),
        ("process: x, ports: [p], live: { http: p }", "process: x, ports: [p], live: { http: { port: p } }"),
        ("process: x, ready: notify", "process: x, ready: { notify: true }"),
        ("process: x, env: [A=1, B=]", "process: x, env: { A: 1, B: '' }"),
        ("process: x, stop: INT", "process: x, stop: { signal: SIGINT }"),
        ("process: x, success: 3", "process: x, success: [3]"),
        ("process: x, logs: 1MiB", "process: x, logs: { keep: 1MiB }"),
        ("process: x, build: make all", "process: x, build: { command: [make, all] }"),
        ("process: x, ports: [p], cache: { redis: p }", "process: x, ports: [p], cache: { redis: { port: p } }"),
    ];
    for (short, long) in pairs {
        assert_eq!(a(short), a(long), "{short} | {long}");
    }
}

#[test]
fn values_are_read_as_written() {
    let spec = a("process: { command: x, umask: '022' }, env: { V: 1.10, Z: 007, T: yes }, cwd: sub, \
                  restart: { on: always, backoff: 2s, limit: none, max: 3 }, tty: true, merge: true, autostart: false, \
                  logs: { keep: 1MiB, format: json, file: out.log }, unhealthy: ignore, on_exit: end, group: any word");
    let env: Vec<_> = spec.env.values().map(ToString::to_string).collect();
    assert_eq!(env, ["1.10", "007", "yes"]);
    assert_eq!(spec.variants.process.as_ref().unwrap().umask, Some(0o22));
    assert_eq!((spec.restart.on, spec.restart.max, &spec.restart.limit), (RestartOn::Always, Some(3), &None));
    assert!(matches!(&spec.restart.backoff, Backoff::Constant(wait) if wait.to_string() == "2s"));
    let logs = LogPolicy { keep: "1MiB".parse().unwrap(), json: true, copy_to: Some("/w/out.log".into()) };
    assert_eq!(spec.logs, logs);
    assert_eq!(spec.cwd, Template::literal("/w/sub"));
    assert!(!spec.autostart && spec.tty && spec.merge);
    assert_eq!(spec.group.as_deref(), Some("any word"));
}

#[test]
fn commands_are_split_and_their_program_is_found_at_the_file() {
    let of = |text: &str| words(&a(&format!("process: {{ command: {text} }}")).variants.process.unwrap().command);
    assert_eq!(of("\"bin/x --a 'b c' ${dir.data}/y\""), ["/w/bin/x", "--a", "b c", "${dir.data}/y"]);
    assert_eq!(of("[x, '$HOME', 'a|b']"), ["x", "$$HOME", "a|b"]);
    assert_eq!(of("'${dir.run}/x'"), ["${dir.run}/x"]);
    let shell = a("process: { shell: 'echo $X | cat', interpreter: [bash, -ec] }").variants.process.unwrap().command;
    let script = Template::literal("echo $X | cat");
    assert_eq!(shell, CommandSpec::Shell { shell: vec!["bash".into(), "-ec".into()], script });
    let step = a("process: { command: x, before: [{ shell: 'a > b', creates: b }] }").variants.process.unwrap().before;
    assert_eq!(step[0].creates, Some(Template::literal("/w/b")));
    let watch = a("process: x, watch: [{ paths: ['*'], do: signal HUP }, { paths: '*', run: [y] }]").watch;
    assert!(matches!((&watch[0].action, &watch[1].action), (WatchAction::Signal(_), WatchAction::Run(_))));
    let there = "remote: { host: h, command: x }, watch: [{ paths: ['src/**'], do: sync, to: app }]";
    let WatchAction::Sync(copy) = &a(there).watch[0].action else { panic!("not `sync`") };
    assert_eq!((copy.from.as_str(), copy.to.as_deref()), ("src", Some("app")), "on a host it starts at the home");
}

#[test]
fn probes_combine() {
    let spec = a("process: x, ports: { p: auto, q: auto }, \
                  startup: { all: [{ tcp: p }, { any: [{ log: 'up$' }, { file: run/ok }] }], within: 5s }, \
                  live: { http: { port: q, path: h, status: [2xx, 404], body: { regex: 'o+k' }, insecure: true } }");
    let startup = spec.probes.startup.unwrap();
    assert_eq!(startup.within.unwrap().to_string(), "5s");
    let Check::All(all) = startup.check else { panic!("not `all`") };
    assert!(matches!(&all[1], Check::Any(any) if any[1] == Check::File(Template::literal("/w/run/ok"))));
    let Check::Http(http) = spec.probes.live.unwrap().check else { panic!("not `http`") };
    assert_eq!((http.status, http.url.to_string().as_str()), (vec![(200, 299), (404, 404)], "http://${addr.q}/h"));
    assert!(matches!(spec.probes.ready.unwrap().check, Check::Listens(ports) if ports.len() == 2));
}

#[test]
fn yaml_anchors_and_merge_keys() {
    let text = "x-base: &base { process: [x], env: { A: 1 }, replicas: 2 }\nservices:\n  a: { <<: *base, replicas: 3 }\n  \
                b: *base\n";
    let stack = load_text(text).stack;
    assert_eq!((stack.services["a"].replicas, stack.services["b"].replicas), (3, 2));
    assert_eq!(stack.instances().count(), 5);
}

#[test]
fn runtimes_in_order_of_preference() {
    let text = "services: { a: { process: x, container: i, ports: { p: +3 } } }\nenvironments:\n  \
                local: { runtime: [remote, container], ports: { base: 100 }, services: { a: { ports: { p: +4 } } } }\n";
    let stack = load_text(text).stack;
    assert_eq!(stack.services["a"].runtime, RuntimeKind::Container);
    assert_eq!((stack.ports.base, stack.services["a"].ports["p"].at), (Some(100), PortAt::Offset(4)));
}

#[test]
fn identities() {
    let name = EnvironmentName::new("local").unwrap();
    // `printf /w | sha256sum` begins with these eight digits.
    let id = environment_id(Path::new("/w"), &name);
    assert_eq!(id.to_string(), "local-d1bb8ca3");
    assert_ne!(id, environment_id(Path::new("/v"), &name));
    let linked = |path: &Path| (path == Path::new("/t/.git")).then(|| "gitdir: /r/.git/worktrees/fix b\n".to_owned());
    assert_eq!(worktree_name(Path::new("/t/sub"), linked).unwrap().as_str(), "fix-b");
    assert_eq!(worktree_name(Path::new("/r"), |_| None), None);
    let submodule = |_: &Path| Some("gitdir: ../.git/modules/x\n".to_owned());
    assert_eq!(worktree_name(Path::new("/r"), submodule), None);
}

#[test]
fn overlays_replace_one_way_of_saying_by_another() {
    let text = "variables: { P: { secret: true, default: a } }\nservices:\n  a:\n    process: { command: x, user: me }\n    \
                ports: { p: { at: +1, container: 80 } }\n    ready: { tcp: p, every: 3s }\n    env: { P: '${P}' }\n\
                environments:\n  local:\n    variables: { P: b }\n    services:\n      a:\n        process: { shell: y }\n        \
                ports: { p: +2 }\n        ready: { http: p }\n";
    let loaded = load_text(text);
    let a = &loaded.stack.services["a"];
    let process = a.variants.process.as_ref().unwrap();
    assert!(matches!(&process.command, CommandSpec::Shell { .. }) && process.user.as_deref() == Some("me"));
    assert_eq!((a.ports["p"].at, a.ports["p"].container), (PortAt::Offset(2), Some(80)));
    let ready = a.probes.ready.as_ref().unwrap();
    assert!(matches!(&ready.check, Check::Http(_)) && ready.every.to_string() == "3s");
    // Still a secret, with the overlay's default.
    assert_eq!(loaded.secrets["P"].expose(), "b");
    assert_eq!(a.env["P"].to_string(), "${P}");
}
