//! Every field of the language: kept, or in the loss report.

use super::{ImportOptions, ImportProblem, Imported, SourceFile, import_process_compose};
use crate::{Memory, Request, load_document};
use muster_spec::{
    Backoff, Check, CommandSpec, HumanDuration, OnEnd, OnRestart, PortAt, ServiceKind, Signal, Target, Template, Until,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

fn import_with(text: &str, options: ImportOptions) -> Result<Imported, Vec<ImportProblem>> {
    let options = ImportOptions { project_dir: "/app".into(), ..options };
    let read = |path: &Path| match path.to_str() {
        Some("/app/.env") => Ok("DOT=1\nHOME=/dot\n".to_owned()),
        Some("/app/sub/own.env") => Ok("OWN=$$y\nLOCAL=file\n".to_owned()),
        Some(_) | None => Err(std::io::ErrorKind::NotFound.into()),
    };
    let file = SourceFile { path: "process-compose.yaml".into(), text: text.to_owned() };
    import_process_compose(&[file], &options, &read)
}

fn import(text: &str) -> Imported {
    import_with(text, ImportOptions::default()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn service(text: &str) -> Value {
    import(&format!("processes:\n  p:\n{text}")).document["services"]["p"].clone()
}

fn fields(imported: &Imported) -> BTreeSet<&str> {
    imported.loss.entries.iter().map(|loss| loss.field.as_str()).collect()
}

#[test]
fn environment_in_its_order() {
    let text = "
environment: [GLOBAL=$g, LOCAL=global, BOTH=global]
env_cmds: {CMD: 'echo $x'}
vars: {PORT: 80}
processes:
  p:
    command: x
    working_dir: sub
    env_file: own.env
    environment: ['BOTH=p{{.PORT}}', 'EQ=a=b']
  q: {command: y, is_dotenv_disabled: true}
";
    let mut options = ImportOptions::default();
    options.env.insert("HOME".to_owned(), "/home".to_owned());
    let imported = import_with(text, options).unwrap();
    let wanted = json!({
        "PC_PROC_NAME": "p", "PC_REPLICA_NUM": "${replica0}", "DOT": "1", "GLOBAL": "$$g", "LOCAL": "file",
        "BOTH": "p80", "CMD": "${CMD}", "OWN": "$$$$y", "EQ": "a=b",
    });
    assert_eq!(imported.document["services"]["p"]["env"], wanted);
    assert_eq!(imported.document["services"]["q"]["env"].get("DOT"), None);
    let command = json!({ "CMD": { "from": { "command": "echo $x" }, "default": "" } });
    assert_eq!(imported.document["variables"], command);
    assert!(fields(&imported).is_superset(&BTreeSet::from(["env_cmds.CMD", "processes.p.env_file", ".env"])));
}

#[test]
fn probes_keep_their_numbers() {
    let found = service(
        "
    command: x
    readiness_probe:
      exec: {command: 'ping {{.PC_REPLICA_NUM}} $$A', working_dir: '/it''s'}
      initial_delay_seconds: 5
      period_seconds: 2
      success_threshold: 2
      failure_threshold: 7
    liveness_probe:
      http_get: {host: h, scheme: https, path: /x, port: 8080, status_code: 204, headers: {A: $b}}
      timeout_seconds: 4
",
    );
    let script = "cd '/it'\\''s' && { ping ${replica0} $$A\n}";
    let ready = json!({
        "exec": ["bash", "-c", script], "every": "2s", "timeout": "1s", "passes": 2, "fails": 7, "delay": "5s",
    });
    assert_eq!(found["ready"], ready);
    let http = json!({ "url": "https://h:8080/x", "status": ["204"], "headers": { "A": "$$b" } });
    let live = json!({ "http": http, "every": "10s", "timeout": "4s", "passes": 1, "fails": 3 });
    assert_eq!(found["live"], live);
    assert_eq!(found["unhealthy"], "ignore");
    let bare = service("    command: x\n    readiness_probe: {http_get: {}}\n");
    assert_eq!(bare["ready"]["http"], json!({ "url": "http://127.0.0.1/", "status": ["200"] }));
}

#[test]
fn commands_in_their_forms() {
    let process = |text: &str| import(text).document["services"]["p"]["process"].clone();
    let words = process("processes: {p: {entrypoint: [a, $b, '{{.X}}']}}");
    assert_eq!(words, json!({ "command": ["a", "$$b", "{{.X}}"] }));
    let shell = process("shell: {shell_command: zsh, shell_argument: -ic}\nprocesses: {p: {command: 'a\n  b'}}");
    assert_eq!(shell, json!({ "shell": "a b", "interpreter": ["zsh", "-ic"] }));
    let raw = process("processes: {p: {command: '{{.X}}', is_template_disabled: true, is_elevated: true}}");
    assert_eq!(raw, json!({ "shell": "sudo -S {{.X}}", "interpreter": ["bash", "-c"] }));
    let both = import("processes: {p: {command: a, entrypoint: [b]}}");
    assert_eq!(both.document["services"]["p"]["process"]["shell"], "a");
    assert!(fields(&both).contains("processes.p.entrypoint"));
}

#[test]
fn stopping_starting_and_watching() {
    let found = service(
        "
    command: x
    working_dir: w
    is_tty: true
    disabled: true
    replicas: 3
    shutdown: {signal: 2, timeout_seconds: 3, parent_only: yes}
    availability: {restart: always, exit_on_end: true}
    watch: {paths: [{path: src, include: ['*.rs', 'a/*.c'], exclude: [target]}, {path: /abs}]}
",
    );
    assert_eq!(found["stop"], json!({ "signal": "INT", "to": "main", "grace": "3s" }));
    assert_eq!(found["restart"], json!({ "on": "always", "backoff": "1s", "limit": "none" }));
    let watch = json!([
        { "paths": ["w/src/**/*.rs", "w/src/a/*.c"], "ignore": ["w/src/**/target"], "do": "restart" },
        { "paths": ["/abs/**"], "ignore": [], "do": "restart" },
    ]);
    assert_eq!(found["watch"], watch);
    let rest = ["tty", "autostart", "replicas", "on_exit"].map(|key| found[key].clone());
    assert_eq!(rest, [json!(true), json!(false), json!(3), json!("end")]);
}

#[test]
fn what_has_no_counterpart_is_reported() {
    let text = "
log_length: 5
mcp_server: {host: h}
bogus: 1
x-note: 2
processes:
  a: {command: a, schedule: {interval: 1m}, is_daemon: true, launch_timeout_seconds: 3, bogus: 1, x-y: 1}
  b: {command: b, schedule: {interval: 1m, run_on_start: true}, is_foreground: true, monitor_for: activity}
  c: {command: c, mcp: {type: tool}, log_configuration: {no_color: true}, truncate_log: true, args: [x]}
  d: {command: 'x {{ if .A }}', is_tty: true, shutdown: {send_keys: q, bogus: 1}, disable_ansi_colors: true}
  e: {command: e, depends_on: {c: {condition: process_started, bogus: 1}}, availability: {exit_on_skipped: true}}
  f: {command: f, watch: {paths: [{path: x, bogus: 1}], cascade: true, debounce: 1s}, success_exit_codes: [300]}
  g: {command: g, readiness_probe: {bogus: 1}, log_location: 'g{PC_REPLICA_NUM}.log'}
";
    let imported = import(text);
    let wanted = [
        "log_length",
        "mcp_server",
        "bogus",
        "x-note",
        "processes.a.schedule",
        "processes.a.is_daemon",
        "processes.a.launch_timeout_seconds",
        "processes.a.bogus",
        "processes.a.x-y",
        "processes.b.schedule",
        "processes.b.is_foreground",
        "processes.b.monitor_for",
        "processes.c.mcp",
        "processes.c.log_configuration",
        "processes.c.truncate_log",
        "processes.c.args",
        "processes.d.command",
        "processes.d.shutdown.send_keys",
        "processes.d.shutdown.bogus",
        "processes.d.disable_ansi_colors",
        "processes.e.depends_on.c",
        "processes.e.depends_on.c.bogus",
        "processes.e.availability.exit_on_skipped",
        "processes.f.watch.paths.0.bogus",
        "processes.f.watch.cascade",
        "processes.f.watch.debounce",
        "processes.f.success_exit_codes",
        "processes.g.readiness_probe",
        "processes.g.log_location",
    ];
    let missing: Vec<_> = wanted.iter().filter(|field| !fields(&imported).contains(*field)).collect();
    assert!(missing.is_empty(), "{missing:?}\n{}", imported.loss);
    let autostart = |name: &str| imported.document["services"][name]["autostart"].clone();
    assert_eq!(["a", "b", "c", "d"].map(autostart), [json!(false), json!(false), json!(false), Value::Null]);
    assert!(imported.document["services"]["e"].get("needs").is_none());
    let strict = import_with(text, ImportOptions { strict: true, ..ImportOptions::default() }).unwrap_err();
    assert!(strict.iter().any(|problem| problem.code() == "import::strict"), "{strict:?}");
}

#[test]
fn what_process_compose_refuses() {
    let code = |text: &str| import_with(text, ImportOptions::default()).unwrap_err()[0].code();
    for (text, wanted) in [
        ("processes: {p: {command: x, depends_on: {q: {condition: process_started}}}}", "import::unknown_dependency"),
        ("processes: {p: {command: x, depends_on: {p: {condition: process_started}}}}", "import::circular"),
        ("processes: {p: {command: x, availability: {restart: sometimes}}}", "import::invalid_value"),
        ("processes: {p: {command: x, replicas: '2'}}", "import::wrong_type"),
        ("processes: {p: {command: '{{ .A'}}", "import::invalid_value"),
        (
            "processes: {p: {command: x, depends_on: {q: {condition: process_log_ready}}}, q: {command: y}}",
            "import::invalid_value",
        ),
        (
            "processes: {p: {command: x, ready_log_line: a, readiness_probe: {exec: {command: y}}}}",
            "import::invalid_value",
        ),
        ("processes: [a]", "import::wrong_type"),
        ("is_strict: true\nbogus: 1", "import::strict"),
    ] {
        assert_eq!(code(text), wanted, "{text}");
        assert!(ImportProblem::CODES.iter().any(|(code, _)| *code == wanted), "{wanted}");
    }
}

#[test]
fn replicas_share_a_name_and_namespaces_become_profiles() {
    let text = "
processes:
  a: {command: 'x {{.PC_REPLICA_NUM}}', replicas: 2, namespace: [n, m]}
  b: {command: y, depends_on: {a-1: {condition: process_completed}}, namespace: m}
";
    let imported = import(text);
    assert_eq!(imported.document["services"]["a"]["process"]["shell"], "x ${replica0}");
    assert_eq!(imported.document["services"]["b"]["needs"], json!({ "a": { "until": "exited", "restart": "ignore" } }));
    assert_eq!(imported.document["profiles"], json!({ "m": ["a", "b"] }));
    assert_eq!(imported.document["services"]["b"]["group"], "m-group");
    assert_eq!(imported.attached.namespaces["m"], "m");
    assert!(fields(&imported).contains("processes.b.depends_on.a-1"));
    let named = ImportOptions { processes: vec!["a-0".to_owned()], ..ImportOptions::default() };
    let imported = import_with(text, named).unwrap();
    assert_eq!(imported.document["services"]["b"]["autostart"], false);
    assert_eq!(imported.document["services"]["a"].get("autostart"), None);
}

#[test]
fn values_of_the_moment_are_reported() {
    let mut options = ImportOptions::default();
    options.env.insert("WAIT".to_owned(), "7".to_owned());
    let text = "processes: {p: {command: 'x $A $$B ${DOT} ${NO:-d}', availability: {restart: always, backoff_seconds: ${WAIT}}}}";
    let imported = import_with(text, options).unwrap();
    let found = &imported.document["services"]["p"];
    assert_eq!(found["process"]["shell"], "x $$A $$B 1 d");
    assert_eq!(found["restart"]["backoff"], "7s");
    assert!(fields(&imported).is_superset(&BTreeSet::from(["${DOT}", "${NO}", "${WAIT}"])));
    let off = import("disable_env_expansion: true\nprocesses: {p: {command: '${A} $$B'}}");
    assert_eq!(off.document["services"]["p"]["process"]["shell"], "$${A} $$$$B");
}

proptest::proptest! {
    #[test]
    fn no_text_brings_the_import_down(text in "(processes:\n  p: \\{)?[a-z:{}$\\[\\]'\"\n #&*!-]{0,60}", file in "\\PC{0,40}") {
        let _any_outcome = import_with(&text, ImportOptions::default());
        let _any_outcome = import_with(&file, ImportOptions::default());
        let _any_outcome = super::dotenv::parse(&text);
        let _any_outcome = super::dotenv::parse(&file);
    }
}

fn load(imported: &Imported) -> muster_spec::Stack {
    // the number of a replica is compared elsewhere
    let document = serde_json::from_str(&imported.document.to_string().replace("${replica0}", "${replica}")).unwrap();
    let file = imported.root.join("process-compose.yaml");
    let mut host = Memory::default().with(file.to_str().unwrap(), "");
    host.commands.insert("echo $x".to_owned(), "out\n".to_owned());
    let request = Request { cwd: imported.root.clone(), ..Request::default() };
    let loaded = load_document(&request, &document, vec![file], &host);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    assert_eq!(loaded.problems.render(false), "");
    loaded.stack
}

#[test]
fn everything_that_is_written_is_understood() {
    let text = "
env_cmds: {CMD: 'echo $x'}
log_location: '$all.log'
processes:
  p:
    command: 'x $y'
    description: 'costs $5'
    working_dir: sub
    is_tty: true
    replicas: 2
    namespace: [n, m]
    disabled: true
    readiness_probe:
      exec: {command: 'ping $A'}
      initial_delay_seconds: 5
    liveness_probe:
      http_get: {port: 8080, status_code: 204, headers: {A: $b}}
    shutdown: {command: 'stop $it', timeout_seconds: 3, parent_only: yes}
    availability: {restart: always, max_restarts: 2, exit_on_end: true}
    watch: {paths: [{path: src, include: ['*.rs'], exclude: [target]}]}
    success_exit_codes: [143]
  q:
    entrypoint: [./q, $a]
    working_dir: sub
    ready_log_line: 'took $5 (ok)'
    shutdown: {signal: 2}
    availability: {restart: exit_on_failure}
  r:
    command: r
    depends_on: {q: {condition: process_log_ready}, s: {condition: process_completed_successfully}}
  s: {command: s}
";
    let stack = load(&import(text));
    let p = &stack.services["p"];
    assert_eq!(p.env["CMD"], Template::literal("out"));
    assert_eq!(p.description.as_deref(), Some("costs $5"));
    assert_eq!((p.replicas, p.tty, p.autostart, p.inherit), (2, true, false, true));
    assert_eq!(p.logs.copy_to.as_deref(), Some(Path::new("/app/$all.log")));
    let live = p.probes.live.as_ref().unwrap();
    let Check::Http(http) = &live.check else { panic!("{live:?}") };
    assert_eq!((http.url.as_literal().as_deref(), &*http.status), (Some("http://127.0.0.1:8080/"), &[(204, 204)][..]));
    assert_eq!(http.headers, [("A".to_owned(), Template::literal("$b"))]);
    let ready = p.probes.ready.as_ref().unwrap();
    assert_eq!(ready.check, Check::Exec(CommandSpec::Exec(["bash", "-c", "ping $A"].map(Template::from).into())));
    assert_eq!(ready.delay.to_string(), "5s");
    assert_eq!(p.restart.backoff, Backoff::Constant(HumanDuration::from_secs(1)));
    assert_eq!((p.restart.max, &p.restart.limit, &*p.success), (Some(2), &None, &[0, 143][..]));
    let stop = CommandSpec::Exec(["bash", "-c", "stop $it"].map(Template::from).into());
    assert_eq!((p.stop.command.as_ref(), p.stop.to), (Some(&stop), Target::Main));
    assert_eq!(p.watch[0].paths, ["sub/src/**/*.rs"]);
    let q = &stack.services["q"];
    assert_eq!(q.probes.ready.as_ref().unwrap().check, Check::Log(r"took \$5 \(ok\)".to_owned()));
    assert_eq!((q.on_failure, q.stop.signal), (OnEnd::End, Signal::INT));
    let CommandSpec::Exec(words) = &q.variants.process.as_ref().unwrap().command else { panic!("{q:?}") };
    assert_eq!(words.iter().map(|word| word.as_literal().unwrap()).collect::<Vec<_>>(), ["/app/sub/q", "$a"]);
    let needs: Vec<_> = stack.services["r"].needs.iter().map(|need| (need.until, need.restart)).collect();
    assert_eq!(needs, [(Until::Ready, OnRestart::Ignore), (Until::Done, OnRestart::Ignore)]);
    assert_eq!(stack.services["s"].kind, ServiceKind::Job);
}

#[test]
fn a_procfile_loads() {
    let file = SourceFile { path: "Procfile".into(), text: "web: serve $PORT\nworker: work\n".to_owned() };
    let options = ImportOptions { project_dir: "/app".into(), ..ImportOptions::default() };
    let none = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let stack = load(&super::import_procfile(&file, &options, &none).unwrap());
    let web = &stack.services["web"];
    assert_eq!(web.ports["port"].at, PortAt::Offset(0));
    assert_eq!(web.env["PORT"].to_string(), "${port.port}");
    assert_eq!((web.on_exit, stack.ports.base, stack.ports.block), (OnEnd::End, Some(5000), Some(200)));
}
