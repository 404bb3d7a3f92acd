//! What a variant says for itself of what all variants share holds for it, by the rules of merging.

use muster_config::{Code, Loaded, Memory, Problems, Request, Severity, load, to_document};
use muster_spec::{EnvironmentName, PortAt, RuntimeKind, ServiceSpec};
use std::path::PathBuf;

const ROOT: &str = "/w/muster.yaml";

fn read(host: &Memory, runtime: &str, files: &[&str], environment: Option<&str>) -> Result<Loaded, Problems> {
    let kind = RuntimeKind::ALL.into_iter().find(|kind| kind.as_str() == runtime);
    let request = Request {
        files: files.iter().map(PathBuf::from).collect(),
        environment: environment.map(|name| EnvironmentName::new(name).expect("a name")),
        runtimes: kind.map(|kind| vec![("a".to_owned(), kind)]).unwrap_or_default(),
        cwd: "/w".into(),
        ..Request::default()
    };
    load(&request, host)
}

fn loaded(text: &str, runtime: &str) -> Loaded {
    let host = Memory::default().with(ROOT, text);
    read(&host, runtime, &[], None).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// The service `a` of a file, run as `runtime`.
fn a(text: &str, runtime: &str) -> ServiceSpec {
    loaded(text, runtime).stack.services["a"].clone()
}

fn problems(text: &str, runtime: &str) -> Problems {
    let host = Memory::default().with(ROOT, text);
    read(&host, runtime, &[], None).expect_err(text)
}

fn env(service: &ServiceSpec) -> Vec<String> {
    service.env.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn needs(service: &ServiceSpec) -> Vec<String> {
    service.needs.iter().map(|need| format!("{}: {:?}", need.service, need.until).to_lowercase()).collect()
}

const ALL: &str = "\
services:
  db: { process: [db] }
  cache: { process: [cache] }
  a:
    process:
      command: [x]
      needs: { cache: ready }
      stop: INT
    container:
      image: i
      env: { HOST: 0.0.0.0, DEBUG: !unset , MORE: '2' }
      needs: { db: started }
      ports: { http: { container: 80 } }
      ready: { http: http }
      restart: never
      success: [3]
      watch: !append [{ paths: [Dockerfile], do: rebuild }]
      limits: { memory: 64MiB }
    remote:
      host: h
      command: [x]
      cwd: /srv
      success: !append [7]
      needs: !unset
      ready: none
      replicas: 3
    env: { HOST: 127.0.0.1, DEBUG: '1' }
    needs: { db: ready }
    ports: { http: { at: +1, stride: 2 } }
    ready: { tcp: http, every: 4s }
    restart: { on: always, limit: none }
    success: [0, 1]
    watch: [{ paths: ['src/**'], do: restart }]
    limits: { cpus: 2 }
    stop: { signal: TERM, grace: 3s }
";

#[test]
fn a_map_merges_a_scalar_and_a_list_replace() {
    let container = a(ALL, "container");
    assert_eq!(env(&container), ["HOST=0.0.0.0", "MORE=2"]);
    assert_eq!(needs(&container), ["db: started"]);
    let http = &container.ports["http"];
    assert_eq!((http.at, http.container, http.stride), (PortAt::Offset(1), Some(80), Some(2)));
    let ready = container.probes.ready.as_ref().unwrap();
    assert_eq!((ready.every.to_string().as_str(), format!("{:?}", ready.check).contains("Http")), ("4s", true));
    assert_eq!(format!("{:?}", container.restart.on), "Never");
    assert_eq!(container.success, [3]);
    assert_eq!((container.limits.cpus, container.limits.memory.map(|size| size.get())), (Some(2.0), Some(64 << 20)));
}

#[test]
fn a_list_is_appended_to_and_values_are_unset_where_tags_say_so() {
    let (container, remote) = (a(ALL, "container"), a(ALL, "remote"));
    let globs: Vec<_> = container.watch.iter().flat_map(|rule| &rule.paths).map(String::as_str).collect();
    assert_eq!(globs, ["src/**", "Dockerfile"]);
    assert_eq!(remote.success, [0, 1, 7]);
    assert_eq!((needs(&remote), remote.probes.ready.is_none(), remote.replicas), (Vec::new(), true, 3));
}

#[test]
fn what_one_variant_says_is_not_said_of_the_others() {
    let (process, remote) = (a(ALL, "process"), a(ALL, "remote"));
    assert_eq!(env(&process), ["HOST=127.0.0.1", "DEBUG=1"]);
    assert_eq!(needs(&process), ["db: ready", "cache: ready"]);
    assert_eq!((process.ports["http"].container, process.success.as_slice()), (None, [0, 1].as_slice()));
    assert_eq!(process.watch.len(), 1);
    // a scalar in place of a map: nothing of the map stays
    assert_eq!(
        format!("{:?}", process.stop),
        format!("{:?}", a("services: { a: { process: x, stop: INT } }", "").stop)
    );
    // a remote variant's `cwd` is its own key, and lies there
    assert_eq!(remote.variants.remote.as_ref().unwrap().cwd.as_ref().unwrap().to_string(), "/srv");
    assert_eq!(remote.cwd.to_string(), "/w");
}

#[test]
fn short_forms_are_the_same_inside_a_variant() {
    let text = "services:\n  a:\n    process: { command: x, build: make all, ports: { p: 5000 }, cwd: sub, env: [A=1] }\n    \
                ports: [p]\n    env: [A=0, B=2]\n    container: { image: i, build: ., env: { A: '3' } }\n";
    let process = a(text, "process");
    assert_eq!(process.ports["p"].at, PortAt::Fixed(5000));
    assert_eq!((env(&process), process.cwd.to_string().as_str()), (vec!["A=1".to_owned()], "/w/sub"));
    assert_eq!(process.build.as_ref().unwrap().command.templates().count(), 2);
    let container = a(text, "container");
    assert_eq!(env(&container), ["A=3", "B=2"]);
    assert!(container.build.is_none() && container.variants.container.unwrap().build.is_some());
}

#[test]
fn files_of_variables_are_those_of_the_variant() {
    let text = "services:\n  a:\n    process: { command: x, env_file: !append [p.env] }\n    container: { image: i, env_file: c.env }\n    \
                env_file: [base.env]\n";
    let host = Memory::default().with(ROOT, text).with("/w/base.env", "A=1\nB=1\n").with("/w/p.env", "B=2\n");
    let process = read(&host, "process", &[], None).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    assert_eq!(env(&process.stack.services["a"]), ["A=1", "B=2"]);
    // the file of the variant that does not run need not be there
    let problems = read(&host, "container", &[], None).unwrap_err();
    assert_eq!(problems.list[0].place.as_ref().map(|place| place.line), Some(4));
}

#[test]
fn overlays_and_environments_lay_over_the_variant_first() {
    let base = "services:\n  a:\n    process: [x]\n    container: { image: i, env: { A: c, B: c }, success: !append [1] }\n    \
                env: { A: s, B: s, C: s, D: s }\n    success: [0]\nenvironments:\n  e:\n    services:\n      a:\n        \
                env: { D: !unset }\n        success: !append [5]\n        container: { env: { C: e } }\n";
    let over = "services: { a: { container: { env: { A: !unset , B: o }, success: !append [2] } } }";
    let host = Memory::default().with(ROOT, base).with("/w/over.yaml", over);
    let of = |files: &[&str], environment: Option<&str>| {
        let loaded = read(&host, "container", files, environment).unwrap_or_else(|p| panic!("{}", p.render(false)));
        let service = &loaded.stack.services["a"];
        (env(service).join(" "), service.success.clone())
    };
    assert_eq!(of(&["muster.yaml"], None), ("A=c B=c C=s D=s".to_owned(), vec![0, 1]));
    assert_eq!(of(&["muster.yaml", "over.yaml"], None), ("B=o C=s D=s".to_owned(), vec![0, 1, 2]));
    assert_eq!(of(&["muster.yaml"], Some("e")), ("A=c B=c C=e".to_owned(), vec![0, 5, 1]));
    assert_eq!(of(&["muster.yaml", "over.yaml"], Some("e")), ("B=o C=e".to_owned(), vec![0, 5, 1, 2]));
}

#[test]
fn an_overlay_replaces_or_takes_away_what_a_tag_said() {
    let base = "services:\n  a:\n    process: [x]\n    container: { image: i, success: !append [1], env_file: !unset }\n    \
                success: [0]\n    env_file: [s.env]\n";
    let over = "services: { a: { container: { success: [2], env_file: !append [o.env], user: !unset } } }";
    let host = Memory::default().with(ROOT, base).with("/w/over.yaml", over);
    let host = host.with("/w/s.env", "S=1\n").with("/w/o.env", "O=1\n");
    let loaded = read(&host, "container", &["muster.yaml", "over.yaml"], None).unwrap();
    let service = &loaded.stack.services["a"];
    assert_eq!((env(service), service.success.as_slice()), (vec!["O=1".to_owned()], [2].as_slice()));
    assert_eq!(service.variants.container.as_ref().unwrap().options.user, None);
}

#[test]
fn an_included_files_names_get_their_prefix_there_as_well() {
    let ops = "services:\n  db: { process: [db] }\n  a:\n    process: { command: [x], needs: { db: started } }\n";
    let host = Memory::default().with(ROOT, "include: [{ path: ops.yaml, as: o }]\n").with("/w/ops.yaml", ops);
    let loaded = read(&host, "", &[], None).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    assert_eq!(needs(&loaded.stack.services["o-a"]), ["o-db: started"]);
}

/// Line, code and the words of the problems of a file whose `a` runs as a process.
fn told(container: &str) -> Vec<(u32, Code, String)> {
    let text = format!(
        "services:\n  a:\n    process: [x]\n    ports: {{ http: auto }}\n    container:\n      image: i\n{container}"
    );
    let list = problems(&text, "process").list;
    let line = |problem: &muster_config::Problem| problem.place.as_ref().map_or(0, |place| place.line);
    list.iter().map(|p| (line(p), p.code, format!("{} | {}", p.message, p.help.as_deref().unwrap_or("")))).collect()
}

#[test]
fn what_is_wrong_is_shown_inside_the_variant_also_of_one_that_is_not_used() {
    let rows = [
        ("      stop: { grace: soon }\n", Code::BadDuration, "soon"),
        ("      replicas: many\n", Code::WrongType, "`services.a.container.replicas`"),
        ("      needs: { nobody: ready }\n", Code::UnknownService, "nobody"),
        ("      ports: !append [admin]\n", Code::BadMerge, "!append"),
        ("      command: '${port.admin}'\n", Code::BadReference, "no port `admin`"),
        ("      evn: { A: 1 }\n", Code::UnknownKey, "did you mean `env`?"),
        ("      group: infra\n", Code::UnknownKey, "said of the service, beside its variants"),
        ("      cwd: sub\n", Code::UnknownKey, "`working_dir`"),
        ("      zzzzzzzz: 1\n", Code::UnknownKey, "known here: `image`"),
    ];
    for (body, code, words) in rows {
        let found = told(body);
        assert!(
            matches!(&found[..], [(7, found, said)] if *found == code && said.contains(words)),
            "{body}: {found:?}"
        );
    }
}

#[test]
fn a_variant_may_mean_the_ports_that_only_it_has() {
    let text = "services:\n  a:\n    process: { command: [x, '${port.debug}'], ports: { debug: auto } }\n    \
                container: { image: i, command: [y, '${port.admin}'], ports: { admin: auto, http: !unset }, ready: { tcp: admin } }\n    \
                ports: { http: auto }\n";
    for (runtime, ports) in [("process", ["http", "debug"].as_slice()), ("container", &["admin"])] {
        let names: Vec<_> = a(text, runtime).ports.keys().map(ToString::to_string).collect();
        assert_eq!(names, ports);
    }
    let wrong = text.replace("port.debug", "port.admin");
    assert_eq!(problems(&wrong, "container").list[0].code, Code::BadReference);
    assert_eq!(problems(&wrong, "process").list[0].code, Code::BadReference);
}

#[test]
fn a_clash_is_shown_where_the_variant_asks_for_the_port() {
    let text = "services:\n  b: { process: [y], ports: { p: 5000 } }\n  a:\n    process:\n      command: [x]\n      ports: { p: 5000 }\n    \
                container: i\n    ports: { p: auto }\n";
    let problems = problems(text, "process");
    let place = problems.list[0].place.as_ref().unwrap();
    assert_eq!((problems.list[0].code, place.line), (Code::PortClash, 6));
    assert!(loaded(text, "container").problems.list.iter().all(|problem| problem.severity == Severity::Warning));
}

#[test]
fn the_origin_of_a_value_is_the_variant_that_says_so() {
    let of = |runtime: &str| {
        let origins = loaded(ALL, runtime).origins;
        let mut found: Vec<_> = origins
            .into_iter()
            .filter(|origin| origin.path.ends_with(".HOST"))
            .map(|origin| (origin.path, origin.value, origin.line, origin.variant))
            .collect();
        found.sort();
        found
    };
    let (here, inside) = ("services.a.env.HOST".to_owned(), "services.a.container.env.HOST".to_owned());
    assert_eq!(of("container"), [(here.clone(), "0.0.0.0".into(), 11, Some(RuntimeKind::Container))]);
    let process = [(inside, "0.0.0.0".to_owned(), 11, None), (here, "127.0.0.1".into(), 27, None)];
    assert_eq!(of("process").as_slice(), process);
}

#[test]
fn what_config_prints_is_the_service_that_runs() {
    let printed = to_document(&loaded(ALL, "container").stack);
    assert_eq!(printed["services"]["a"]["env"]["HOST"], "0.0.0.0");
    assert_eq!(printed["services"]["a"]["runtime"], "container");
}
