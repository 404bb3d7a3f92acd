//! Containers and remote processes: every key, every form, and what is printed loads to the same again.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use muster_config::{Code, Loaded, Memory, Problems, Request, load, schema};
use muster_spec::{
    Check, CommandSpec, ContainerSpec, HealthCheck, Mount, MountSource, NetworkMode, PullPolicy, ServiceSpec, Template,
    UnhealthyPolicy, VolumeSource,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn try_load(text: &str) -> Result<Loaded, Problems> {
    let host = Memory::default().with("/w/muster.yaml", text);
    let env = BTreeMap::from([("HOME".to_owned(), "/home/me".to_owned())]);
    load(&Request { cwd: "/w".into(), env, ..Request::default() }, &host)
}

fn load_text(text: &str) -> Loaded {
    try_load(text).unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)))
}

fn a(body: &str) -> ServiceSpec {
    load_text(&format!("services: {{ a: {{ {body} }} }}\n")).stack.services["a"].clone()
}

fn container(body: &str) -> ContainerSpec {
    a(&format!("container: {{ image: i, {body} }}")).variants.container.unwrap()
}

fn mount(text: &str) -> Mount<Template> {
    container(&format!("volumes: [{text}]")).mounts.remove(0)
}

fn codes(body: &str) -> Vec<Code> {
    match try_load(&format!("services: {{ a: {{ {body} }} }}\n")) {
        Ok(loaded) => panic!("accepted: {body}\n{:?}", loaded.stack.services["a"]),
        Err(problems) => problems.list.iter().map(|problem| problem.code).collect(),
    }
}

/// Every key of the variant with values that it takes. The test below holds that none is missing.
const KEYS: &[(&str, &[&str])] = &[
    ("image", &["i", "'reg.example:5000/a/b:1.2'", "'${NAME:-alpine}@sha256:0123456789abcdef0123456789abcdef'"]),
    (
        "build",
        &[
            "./ctx",
            "{ context: ~/ctx, args: { A: 1, B: null, C: '$$x' }, labels: [x=y], no_cache: true, pull: true }",
            "{ dockerfile: D, target: t, platform: linux/arm64, network: host }",
            "{ dockerfile_inline: \"FROM x\\nRUN y\\n\" }",
        ],
    ),
    ("pull_policy", &["missing", "always", "never", "if_not_present"]),
    ("entrypoint", &["[]", "x y", "[sh, -c, '$$HOME']", "{ shell: 'a | b' }"]),
    ("command", &["[]", "['${dir.data}', '${env.name}']", "{ shell: 'a > b', interpreter: [bash, -c] }"]),
    ("before", &["[[mkdir, -p, /x], { command: y, creates: /x/y }, { shell: 'a | b' }]"]),
    (
        "volumes",
        &[
            "['v:/v', './d:/d:ro', /anon, '~/h:/h:rshared,ro', '${dir.data}/x:/x:rw', 'w:/w:nocopy']",
            "[{ type: bind, source: d, target: /d, read_only: true, bind: { create_host_path: false, propagation: slave } }]",
            "[{ source: v, target: /v, volume: { driver: local, driver_opts: { o: 'a,b' }, subpath: s/t, nocopy: true } }]",
            "[{ source: v, target: /v/, volume: { external: true } }, { type: volume, target: /a, read_only: true }]",
            "[{ type: tmpfs, target: /t, tmpfs: { size: 64m, mode: '1777' } }, { type: tmpfs, target: /u }]",
            "[{ type: content, target: /etc/x.conf, content: \"a $$b ${env.name}\\n\", mode: '0400' }]",
        ],
    ),
    ("tmpfs", &["/run", "[/run2, '/tmp:size=1g,mode=0700,ro']"]),
    ("user", &["'1000:1000'", "postgres"]),
    ("group_add", &["[audio, 12]", "x"]),
    ("working_dir", &["/srv/app"]),
    ("hostname", &["box-1"]),
    ("domainname", &["example.test"]),
    ("network_mode", &["environment", "host", "none"]),
    ("extra_hosts", &["{ a: 10.0.0.1, b: host-gateway }", "['a=::1', 'b:10.1.1.1', 'c=[fe80::1]']"]),
    ("dns", &["1.1.1.1", "[1.1.1.1, 9.9.9.9]"]),
    ("dns_search", &["[a.test, b.test]"]),
    ("dns_opt", &["['ndots:2']"]),
    ("init", &["true", "false"]),
    ("read_only", &["true"]),
    ("privileged", &["true", "false"]),
    ("cap_add", &["[NET_ADMIN, SYS_PTRACE]"]),
    ("cap_drop", &["ALL"]),
    ("security_opt", &["['no-new-privileges:true']"]),
    ("ulimits", &["{ nofile: 1024, nproc: { soft: 10, hard: 20 }, core: -1, memlock: { hard: 5 } }"]),
    ("sysctls", &["{ net.core.somaxconn: 1024 }", "['net.ipv4.tcp_syncookies=0']"]),
    ("devices", &["['/dev/fuse:/dev/fuse:rwm']"]),
    ("shm_size", &["128MiB", "1g"]),
    ("mem_reservation", &["64MiB"]),
    ("memswap_limit", &["-1"]),
    ("oom_score_adj", &["-500"]),
    ("cpu_shares", &["512"]),
    ("cpuset", &["'0-1,3'"]),
    ("pid", &["host"]),
    ("ipc", &["private"]),
    ("uts", &["host"]),
    ("userns_mode", &["host"]),
    ("runtime", &["runc"]),
    ("platform", &["linux/amd64"]),
    ("stdin_open", &["true"]),
    ("labels", &["{ a.b: c, d: '', e: '$$f' }", "[x=y=z, w]"]),
    ("container_name", &["my_box.1"]),
    (
        "healthcheck",
        &[
            "none",
            "image",
            "{ disable: true }",
            "{ test: [NONE] }",
            "{ test: 'x || exit 1', retries: 2 }",
            "{ test: [CMD, a, $$b], interval: 1s, timeout: 500ms, retries: 5, start_period: 1m30s, start_interval: 100ms }",
            "{ interval: 7s }",
        ],
    ),
];

/// Keys that exclude another key: they have tests of their own.
const ALONE: [&str; 1] = ["network_aliases"];

#[test]
fn every_key_is_covered() {
    let schema = schema();
    let defs = schema["$defs"].as_object().unwrap();
    let record = |def: &serde_json::Value| {
        let any = def["anyOf"].as_array()?;
        any.iter().find_map(|shape| shape["properties"].as_object()).cloned()
    };
    let keys = defs.values().filter_map(record).find(|keys| keys.contains_key("pull_policy")).unwrap();
    // What a service has as well may stand in every variant, and is tested with the others.
    let service = defs.values().find_map(|def| def["properties"].as_object().filter(|keys| keys.contains_key("group")));
    let shared = |key: &str| !matches!(key, "build" | "command") && service.unwrap().contains_key(key);
    let known: BTreeSet<&str> = KEYS.iter().map(|(key, _)| *key).chain(ALONE).collect();
    let own = keys.keys().map(String::as_str).filter(|key| matches!(*key, "image" | "runtime") || !shared(key));
    assert_eq!(own.collect::<BTreeSet<_>>(), known);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_loads_to_the_same(
        chosen in prop::collection::btree_map(1..KEYS.len(), any::<prop::sample::Index>(), 0..20),
        job in any::<bool>(),
        ready in prop::sample::select(vec!["", ", ready: none", ", live: none", ", live: healthcheck, unhealthy: restart",
            ", ready: { any: [{ healthcheck: true }, { log: x }] }", ", unhealthy: restart"]),
    ) {
        let mut body = format!("image: {}", KEYS[0].1[0]);
        for (at, which) in chosen {
            let (key, values) = KEYS[at];
            body.push_str(&format!(", {key}: {}", which.get(values)));
        }
        let ready = if job { "" } else { ready };
        let text = format!("services:\n  a: {{ job: {job}, container: {{ {body} }}{ready} }}\n");
        let loaded = load_text(&text);
        let printed = muster_config::to_yaml(&loaded.stack);
        let again = load_text(&printed);
        prop_assert_eq!(&again.stack, &loaded.stack, "{}\n{}", text, printed);
    }
}

#[test]
fn mounts_in_both_forms() {
    let pairs = [
        ("'v:/x'", "{ source: v, target: /x }"),
        ("'v:/x:ro,nocopy'", "{ type: volume, source: v, target: /x, read_only: true, volume: { nocopy: true } }"),
        ("./d:/x", "{ type: bind, source: d, target: /x }"),
        ("'/d:/x:rslave'", "{ type: bind, source: /d, target: /x, bind: { propagation: rslave } }"),
        ("/x", "{ target: /x }"),
        ("'/x:ro'", "{ target: /x, read_only: true }"),
        ("~/d:/x", "{ type: bind, source: /home/me/d, target: /x }"),
        ("'${dir.data}:/x'", "{ type: bind, source: '${dir.data}', target: /x }"),
    ];
    for (short, long) in pairs {
        assert_eq!(mount(short), mount(long), "{short} | {long}");
    }
    let named = VolumeSource { name: "v".into(), ..VolumeSource::default() };
    assert_eq!(mount("'v:/x'").source, MountSource::Volume(named));
    let MountSource::Bind { path, create, .. } = mount("./d:/x").source else { panic!("no bind mount") };
    assert_eq!((path.to_string().as_str(), create), ("/w/d", true));
    let spec = container("tmpfs: '/t:size=1m'");
    assert!(matches!(&spec.mounts[0].source, MountSource::Tmpfs { size: Some(size), .. } if size.get() == 1 << 20));
}

#[test]
fn values_are_read_as_written() {
    let spec = container("pull_policy: always, entrypoint: [], network_mode: host, ulimits: { nofile: { hard: 9 } }");
    assert_eq!((spec.pull, spec.entrypoint), (PullPolicy::Always, Some(CommandSpec::Exec(Vec::new()))));
    assert_eq!((spec.options.network, spec.options.ulimits["nofile"]), (NetworkMode::Host, (9, 9)));
    let spec = container("healthcheck: { test: x y }, extra_hosts: ['g:host-gateway'], build: { context: ~/c }");
    let HealthCheck::Own { test, .. } = spec.options.health else { panic!("not its own") };
    assert_eq!(test, ["CMD-SHELL", "x y"]);
    assert_eq!(spec.options.extra_hosts, [("g".to_owned(), "host-gateway".to_owned())]);
    assert_eq!(spec.build.unwrap().context, Path::new("/home/me/c"));
    assert_eq!(container("network_aliases: [b, c]").options.aliases, ["b", "c"]);
    let port = a("container: i, ports: { web: { at: 8080, container: 80, address: 0.0.0.0 } }").ports["web"].clone();
    assert_eq!((port.container, port.address), (Some(80), Some([0, 0, 0, 0].into())));
    let remote = a("remote: { host: lab, command: x, cwd: '${dir.data}', sync: ['~/b:bin/b'], before: [[y]] }");
    let remote = remote.variants.remote.unwrap();
    assert_eq!((remote.cwd.unwrap().to_string().as_str(), remote.before.len()), ("${dir.data}", 1));
    assert_eq!((remote.sync[0].local.as_path(), remote.sync[0].remote.as_str()), (Path::new("/home/me/b"), "bin/b"));
    assert_eq!(a("process: [x, -l, '${bind}:${port.p}', '${bind.p}'], ports: [p]").ports.len(), 1);
}

#[test]
fn an_image_s_own_health_check_is_its_readiness() {
    let plain = a("container: i");
    assert_eq!(plain.probes.ready.as_ref().map(|probe| &probe.check), Some(&Check::Healthcheck));
    assert_eq!(plain.probes.live.as_ref().map(|probe| &probe.check), Some(&Check::Healthcheck));
    assert_eq!(plain.unhealthy, UnhealthyPolicy::Ignore);
    let listening = a("container: i, ports: [p]");
    assert!(matches!(&listening.probes.ready.unwrap().check, Check::All(both) if both.len() == 2));
    assert_eq!(a("container: i, live: healthcheck").unhealthy, UnhealthyPolicy::Restart);
    assert_eq!(a("container: i, ready: none").probes.ready, None);
}

#[test]
fn what_no_engine_takes_is_refused() {
    let cases: &[(&str, Code)] = &[
        ("container: { image: 'A B' }", Code::BadImage),
        ("container: { image: 'x:' }", Code::BadImage),
        ("container: Upper", Code::BadImage),
        ("container: { image: i, volumes: ['x'] }", Code::BadMount),
        ("container: { image: i, volumes: ['./x:y'] }", Code::BadMount),
        ("container: { image: i, volumes: ['v:/x:zz'] }", Code::BadMount),
        ("container: { image: i, volumes: ['./x:${dir.data}'] }", Code::BadMount),
        ("container: { image: i, volumes: ['v:/x', 'w:/x/'] }", Code::BadMount),
        ("container: { image: i, volumes: ['~bob/x:/x'] }", Code::BadMount),
        ("container: { image: i, volumes: [{ type: bind, target: /x }] }", Code::MissingKey),
        ("container: { image: i, volumes: [{ type: content, target: /x }] }", Code::MissingKey),
        ("container: { image: i, volumes: [{ source: v }] }", Code::MissingKey),
        ("container: { image: i, volumes: [{ source: v, target: /x, content: y }] }", Code::Conflict),
        ("container: { image: i, volumes: [{ source: v, target: /x, tpye: bind }] }", Code::UnknownKey),
        ("container: { image: i, tmpfs: '/x:size=lots' }", Code::BadSize),
        ("container: { image: i, tmpfs: 'x' }", Code::BadMount),
        ("container: { image: i, network_mode: bridge }", Code::UnknownWord),
        ("container: { image: i, network_mode: host, network_aliases: [x] }", Code::Conflict),
        ("container: { image: i, network_mode: host }, ports: { p: { at: auto, container: 80 } }", Code::Conflict),
        ("container: { image: i, network_mode: none }, ports: [p]", Code::Conflict),
        ("container: { image: i, ulimits: { nofile: { soft: 9, hard: 1 } } }", Code::BadContainer),
        ("container: { image: i, extra_hosts: { a: nowhere } }", Code::BadAddress),
        ("container: { image: i, extra_hosts: [a] }", Code::BadContainer),
        ("container: { image: i, hostname: '-x' }", Code::BadContainer),
        ("container: { image: i, working_dir: app }", Code::BadContainer),
        ("container: { image: i, container_name: x }", Code::BadContainer),
        ("container: { image: i, container_name: xy }, replicas: 2", Code::Conflict),
        ("container: { image: i, oom_score_adj: 2000 }", Code::BadContainer),
        ("container: { image: i, memswap_limit: 1g }", Code::BadContainer),
        ("container: { image: i, memswap_limit: 1m }, limits: { memory: 2MiB }", Code::BadContainer),
        ("container: { image: i, healthcheck: { test: [x] } }", Code::BadContainer),
        ("container: { image: i, healthcheck: sometimes }", Code::UnknownWord),
        ("container: { build: { dockerfile: D, dockerfile_inline: x } }", Code::Conflict),
        ("container: i, ports: { p: { at: auto, address: here } }", Code::BadAddress),
        ("remote: { host: '-oProxyCommand=x', command: y }", Code::BadName),
        ("remote: { host: h, command: y, sync: [x] }", Code::WrongType),
        ("process: x, ready: { healthcheck: false }", Code::WrongType),
    ];
    for (body, code) in cases {
        assert_eq!(codes(body), [*code], "{body}");
    }
}

#[test]
fn all_problems_at_once_with_their_places() {
    let text = "services:\n  a:\n    container:\n      image: A\n      volumes: [x]\n      ulimits: { nofile: { soft: 2, hard: 1 } }\n";
    let Err(problems) = try_load(text) else { panic!("accepted") };
    let found: Vec<_> =
        problems.list.iter().map(|p| (p.code, p.place.as_ref().map_or(0, |place| place.line))).collect();
    assert_eq!(found, [(Code::BadImage, 4), (Code::BadMount, 5), (Code::BadContainer, 6)]);
}

#[test]
fn words_that_no_engine_knows_are_told_all_at_once() {
    let known =
        "container: { image: i, cap_add: [all, NET_ADMIN, cap_sys_time], ulimits: { nofile: 1 }, cpuset: '0-2,4' }";
    assert!(load_text(&format!("services: {{ a: {{ {known} }} }}\n")).problems.list.is_empty());
    let body = "container: { image: UPPER/case, cap_add: [NET_ADMN, cap_sys_time, all], cap_drop: [what], ulimits: { nofil: 1, core: 0 }, \
                cpuset: 7-9x }";
    let Err(problems) = try_load(&format!("services: {{ a: {{ {body} }} }}\n")) else { panic!("accepted") };
    let text = problems.render(false);
    for said in
        ["`NET_ADMN` is no capability", "did you mean `NET_ADMIN`?", "did you mean `nofile`?", "`7-9x` names no CPUs"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn what_a_probe_executes_lies_where_the_service_runs() {
    let exec = |body: &str| {
        let service = a(&format!("{body}, ready: {{ exec: [./check, -x] }}"));
        let Some(Check::Exec(CommandSpec::Exec(words))) = service.probes.ready.map(|probe| probe.check) else {
            panic!("no exec probe: {body}");
        };
        words[0].as_literal().unwrap()
    };
    assert_eq!(exec("container: { image: i, working_dir: /app }"), "./check");
    assert_eq!(exec("remote: { host: h, command: x }"), "./check");
    assert_eq!(exec("process: { command: x }"), "/w/check");
}

/// What is said about the first problem of a service: its help.
fn help(body: &str) -> String {
    let problems = try_load(&format!("services: {{ a: {{ {body} }} }}\n")).unwrap_err();
    problems.list[0].help.clone().unwrap_or_default()
}

#[test]
fn a_key_in_the_wrong_place_is_told_its_own() {
    assert_eq!(help("process: { image: i, command: x }"), "`image` is a key of `container`");
    assert_eq!(help("container: { image: i, sync: x }"), "`sync` is a key of `remote`");
    assert_eq!(help("process: x, volumes: [a:/b]"), "`volumes` is a key of `container`");
    assert_eq!(help("process: { command: x, job: true }"), "`job` is said of the service, beside its variants");
    assert_eq!(help("container: { image: i, mem_limit: 5m }"), "write `limits: { memory: 512MiB }`");
    assert_eq!(help("image: i, environment: { A: b }"), "write `env`");
    assert_eq!(help("process: { command: x, commnd: y }"), "did you mean `command`?");
}

#[test]
fn an_image_of_which_a_part_is_not_set_has_one_problem() {
    for image in ["${NOPE}", "x:${NOPE}", "${NOPE}:1"] {
        assert_eq!(codes(&format!("container: {{ image: '{image}' }}")), [Code::Unset], "{image}");
    }
    assert_eq!(codes("container: { image: '' }"), [Code::BadImage]);
}
