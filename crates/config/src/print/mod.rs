//! A resolved stack as a stack file: `muster config`. What is printed loads to the same stack again.

mod probes;

mod container;

use crate::import::to_yaml as write;
use muster_spec::{
    AfterCopy, Backoff, BuildSpec, CacheSpec, CommandSpec, DatabaseSpec, DetailsSpec, Engine, Need, OnEnd, OnRestart,
    PortAt, PortSpec, RestartOn, RuntimeKind, ServiceKind, ServiceName, ServiceSpec, Stack, Step, StopSpec, SyncSpec,
    Target, Template, TestSpec, UnhealthyPolicy, Until, VariableSpec, Variants, WatchAction, WatchRule,
};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The stack as YAML: everything resolved, secrets as `${NAME}`.
#[must_use]
pub fn to_yaml(stack: &Stack) -> String {
    write(&to_document(stack))
}

/// The stack as a document in the language of stack files.
#[must_use]
pub fn to_document(stack: &Stack) -> Value {
    let mut out = Object::default();
    out.put("name", json!(stack.name.as_str()));
    out.put("default_environment", json!(stack.environment.as_str()));
    out.put("environments", json!({ stack.environment.as_str(): {} }));
    out.some("variables", map(&stack.variables, variable));
    let mut ports = Object::default();
    ports.option("base", stack.ports.base);
    ports.option("block", stack.ports.block);
    out.some("ports", ports.done());
    let services = stack.services.values().map(|s| (s.name.to_string(), service(s)));
    out.put("services", Value::Object(services.collect()));
    out.some("databases", map(&stack.databases, database));
    out.some("tests", map(&stack.tests, test));
    out.some("sync", sync(&stack.sync));
    out.some("profiles", map(&stack.profiles, |profile| json!(escape(&profile.to_string()))));
    out.done()
}

/// A map that leaves out what is not there.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn put(&mut self, key: &str, value: Value) {
        self.0.insert(key.to_owned(), value);
    }

    fn option(&mut self, key: &str, value: Option<impl serde::Serialize>) {
        if let Some(value) = value {
            self.put(key, json!(value));
        }
    }

    /// Puts what is neither empty nor false.
    fn some(&mut self, key: &str, value: Value) {
        let empty = match &value {
            Value::Null => true,
            Value::Bool(b) => !b,
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Number(_) | Value::String(_) => false,
        };
        if !empty {
            self.put(key, value);
        }
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

fn map<T>(source: &indexmap::IndexMap<String, T>, each: impl Fn(&T) -> Value) -> Value {
    Value::Object(source.iter().map(|(key, value)| (key.clone(), each(value))).collect())
}

/// A literal text, so that interpolation leaves it as it is.
fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

fn text(text: &str) -> Value {
    json!(escape(text))
}

fn texts(list: &[String]) -> Value {
    Value::Array(list.iter().map(|item| text(item)).collect())
}

fn template(template: &Template) -> Value {
    json!(template.to_string())
}

fn path(path: &Path) -> Value {
    text(&path.display().to_string())
}

fn variable(spec: &VariableSpec) -> Value {
    let mut out = Object::default();
    out.option("description", spec.description.as_deref());
    out.option("default", spec.default.as_deref());
    out.some("secret", json!(spec.secret));
    out.done()
}

fn command(spec: &CommandSpec) -> Value {
    match spec {
        CommandSpec::Exec(words) => Value::Array(words.iter().map(template).collect()),
        CommandSpec::Shell { shell, script } => json!({ "shell": template(script), "interpreter": texts(shell) }),
    }
}

fn service(spec: &ServiceSpec) -> Value {
    let mut out = Object::default();
    out.option("description", spec.description.as_deref().map(escape));
    out.option("group", spec.group.as_deref().map(escape));
    out.some("aliases", texts(&spec.aliases));
    out.some("job", json!(spec.kind == ServiceKind::Job));
    out.put("runtime", json!(spec.runtime.as_str()));
    variants(&spec.variants, &mut out);
    out.option("build", spec.build.as_ref().map(build));
    let ports = spec.ports.iter().map(|(name, spec)| (name.to_string(), port(spec)));
    out.some("ports", Value::Object(ports.collect()));
    out.some("env", map(&spec.env, template));
    let needs = spec.needs.iter().map(|need| (need.service.to_string(), self::need(need)));
    out.some("needs", Value::Object(needs.collect()));
    probes::probes(spec, &mut out);
    out.option("details", spec.details.as_ref().map(details));
    policies(spec, &mut out);
    if spec.replicas != 1 {
        out.put("replicas", json!(spec.replicas));
    }
    out.put("cwd", template(&spec.cwd));
    out.some("tty", json!(spec.tty));
    out.some("merge", json!(spec.merge));
    out.some("inherit", json!(spec.inherit));
    if spec.success != [0] {
        out.put("success", json!(spec.success));
    }
    out.some("watch", Value::Array(spec.watch.iter().map(watch).collect()));
    out.option("cache", spec.cache.as_ref().map(cache));
    out.some("inputs", texts(&spec.inputs));
    if !spec.autostart {
        out.put("autostart", json!(false));
    }
    out.some("optional", json!(spec.optional));
    out.done()
}

fn variants(variants: &Variants, out: &mut Object) {
    if let Some(spec) = &variants.process {
        let mut process = Object::default();
        process.put("command", command(&spec.command));
        process.option("user", spec.user.as_deref().map(escape));
        process.some("before", Value::Array(spec.before.iter().map(step).collect()));
        process.option("umask", spec.umask.map(|mask| format!("{mask:03o}")));
        out.put("process", process.done());
    }
    out.option("container", variants.container.as_ref().map(container::variant));
    out.option("remote", variants.remote.as_ref().map(container::remote));
    out.option("mock", variants.mock.as_ref().map(|mock| json!({ "file": path(&mock.file) })));
    out.option("external", variants.external.as_ref().map(|external| json!({ "url": template(&external.url) })));
}

fn step(step: &Step) -> Value {
    match &step.creates {
        Some(creates) => json!({ "command": command(&step.command), "creates": template(creates) }),
        None => command(&step.command),
    }
}

fn build(spec: &BuildSpec) -> Value {
    let mut out = Object::default();
    out.put("command", command(&spec.command));
    out.some("inputs", texts(&spec.inputs));
    out.done()
}

fn port(spec: &PortSpec) -> Value {
    let at = match spec.at {
        PortAt::Fixed(port) => port.to_string(),
        PortAt::Offset(offset) => format!("+{offset}"),
        PortAt::Auto => "auto".to_owned(),
    };
    if spec.container.is_none() && spec.stride.is_none() && !spec.udp && spec.address.is_none() {
        return json!(at);
    }
    let mut out = Object::default();
    out.put("at", json!(at));
    out.option("container", spec.container);
    out.option("stride", spec.stride);
    out.some("udp", json!(spec.udp));
    out.option("address", spec.address);
    out.done()
}

fn need(need: &Need) -> Value {
    let until = match need.until {
        Until::Started => "started",
        Until::Ready => "ready",
        Until::Healthy => "healthy",
        Until::Done => "done",
        Until::Exited => "exited",
    };
    let restart = match need.restart {
        OnRestart::With => "with",
        OnRestart::Wait => "wait",
        OnRestart::Ignore => "ignore",
    };
    json!({ "until": until, "restart": restart, "optional": need.optional })
}

fn end(on: OnEnd) -> Option<&'static str> {
    match on {
        OnEnd::Keep => None,
        OnEnd::End => Some("end"),
    }
}

fn policies(spec: &ServiceSpec, out: &mut Object) {
    let restart = &spec.restart;
    let on = match restart.on {
        RestartOn::Always => "always",
        RestartOn::Failure => "failure",
        RestartOn::Never => "never",
    };
    let backoff = match &restart.backoff {
        Backoff::Exponential { min, max } => format!("{min}..{max}"),
        Backoff::Constant(wait) => wait.to_string(),
    };
    let limit = restart.limit.as_ref().map_or("none".to_owned(), |limit| format!("{} per {}", limit.count, limit.per));
    let mut policy = Object::default();
    policy.put("on", json!(on));
    policy.put("backoff", json!(backoff));
    policy.put("limit", json!(limit));
    policy.option("max", restart.max);
    out.put("restart", policy.done());
    let unhealthy = match spec.unhealthy {
        UnhealthyPolicy::Ignore => "ignore",
        UnhealthyPolicy::Restart => "restart",
    };
    if spec.unhealthy == UnhealthyPolicy::Ignore || spec.runtime == RuntimeKind::Container {
        out.put("unhealthy", json!(unhealthy));
    }
    out.option("on_failure", end(spec.on_failure));
    out.option("on_exit", end(spec.on_exit));
    let mut limits = Object::default();
    limits.option("memory", spec.limits.memory.as_ref().map(ToString::to_string));
    limits.option("cpus", spec.limits.cpus);
    limits.option("pids", spec.limits.pids);
    limits.option("files", spec.limits.files);
    out.some("limits", limits.done());
    let mut logs = Object::default();
    logs.put("keep", json!(spec.logs.keep.to_string()));
    logs.option("format", spec.logs.json.then_some("json"));
    logs.option("file", spec.logs.copy_to.as_deref().map(path));
    out.put("logs", logs.done());
    out.put("stop", stop(&spec.stop));
}

fn stop(spec: &StopSpec) -> Value {
    let mut out = Object::default();
    out.put("signal", json!(spec.signal.to_string()));
    out.put("grace", json!(spec.grace.to_string()));
    if spec.to == Target::Main {
        out.put("to", json!("main"));
    }
    out.option("command", spec.command.as_ref().map(command));
    out.done()
}

fn watch(rule: &WatchRule) -> Value {
    let action = match &rule.action {
        WatchAction::Restart => json!("restart"),
        WatchAction::Rebuild => json!("rebuild"),
        WatchAction::Signal(signal) => json!({ "signal": signal.to_string() }),
        WatchAction::Sync(_) => json!("sync"),
        WatchAction::Run(run) => json!({ "run": command(run) }),
    };
    let mut out = Object::default();
    out.put("paths", texts(&rule.paths));
    out.some("ignore", texts(&rule.ignore));
    out.put("do", action);
    if let WatchAction::Sync(sync) = &rule.action {
        out.put("from", json!(escape(if sync.from.is_empty() { "." } else { &sync.from })));
        out.option("to", sync.to.as_ref().map(|to| json!(escape(to))));
        out.some("initial", json!(sync.initial));
        match &sync.then {
            AfterCopy::Nothing => {}
            AfterCopy::Restart => out.put("then", json!("restart")),
            AfterCopy::Exec(run) => out.put("then", json!({ "exec": command(run) })),
        }
    }
    out.done()
}

fn details(details: &DetailsSpec) -> Value {
    match details {
        DetailsSpec::Grpc { target, method } => {
            json!({ "grpc": { "target": template(target), "method": escape(method) } })
        }
        DetailsSpec::Http(url) => json!({ "http": template(url) }),
    }
}

fn cache(cache: &CacheSpec) -> Value {
    match cache {
        CacheSpec::Grpc { port, service } => json!({ "grpc": { "port": port.as_str(), "service": escape(service) } }),
        CacheSpec::Redis { port } => json!({ "redis": { "port": port.as_str() } }),
    }
}

fn database(spec: &DatabaseSpec) -> Value {
    let mut out = Object::default();
    out.option("service", spec.service.as_ref().map(ServiceName::as_str));
    out.option("url", spec.url.as_ref().map(template));
    let engine = match spec.engine {
        Engine::Postgres => "postgres",
        Engine::Sqlite => "sqlite",
    };
    out.put("engine", json!(engine));
    out.put("name", text(&spec.name));
    out.option("file", spec.file.as_ref().map(template));
    out.option("migrations", spec.migrations.as_deref().map(path));
    out.some("clean", map(&spec.clean, |target| texts(&target.tables)));
    out.option("seed", spec.seed.as_deref().map(path));
    out.done()
}

fn test(spec: &TestSpec) -> Value {
    let needs = spec.needs.iter().map(|need| (need.service.to_string(), self::need(need)));
    let needs: Map<String, Value> = needs.collect();
    json!({ "command": command(&spec.command), "needs": needs })
}

fn sync(spec: &SyncSpec) -> Value {
    let paths = |list: &[std::path::PathBuf]| Value::Array(list.iter().map(|item| path(item)).collect());
    let mut out = Object::default();
    let protos = spec.protos.iter().map(|proto| {
        let stubs = proto.stubs.iter().map(|stub| json!({ "dir": path(&stub.dir), "lang": escape(&stub.lang) }));
        let stubs: Vec<Value> = stubs.collect();
        json!({ "canonical": path(&proto.canonical), "copies": paths(&proto.copies), "stubs": stubs })
    });
    out.some("protos", Value::Array(protos.collect()));
    out.some("migrations", texts(&spec.migrations));
    out.some("images", json!(spec.images));
    let env = spec.env.iter().map(|env| json!({ "template": path(&env.template), "files": paths(&env.files) }));
    out.some("env", Value::Array(env.collect()));
    out.done()
}
