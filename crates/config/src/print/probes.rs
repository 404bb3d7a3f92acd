//! Probes as they would be written.

use super::{Object, command, escape, map, template, text};
use crate::build::{default_live, default_ready};
use muster_spec::{Check, HttpCheck, Matcher, PortName, ProbeSpec, Role, ServiceKind, ServiceSpec};
use serde_json::{Value, json};

pub(super) fn probes(spec: &ServiceSpec, out: &mut Object) {
    for role in spec.probes.roles() {
        out.option(&role.to_string(), spec.probes.get(role).map(|probe| self::probe(probe, role)));
    }
    let default = default_ready(spec.runtime, &spec.variants, &spec.ports);
    if spec.probes.live.is_none() && default_live(spec.runtime).is_some() && spec.kind == ServiceKind::Service {
        out.put("live", json!("none"));
    }
    if spec.probes.ready.is_none() && default.is_some() && spec.kind == ServiceKind::Service {
        out.put("ready", json!("none"));
    }
}

fn probe(spec: &ProbeSpec, role: Role) -> Value {
    let mut out = Object::default();
    let (key, value) = check(&spec.check);
    out.put(key, value);
    out.put("every", json!(spec.every.to_string()));
    out.put("timeout", json!(spec.timeout.to_string()));
    out.put("fails", json!(spec.fails));
    out.put("passes", json!(spec.passes));
    match (&spec.within, role) {
        (Some(within), _) => out.put("within", json!(within.to_string())),
        (None, Role::Startup) => out.put("within", Value::Null),
        (None, Role::Ready | Role::Live) => {}
    }
    out.put("delay", json!(spec.delay.to_string()));
    out.done()
}

fn check(check: &Check) -> (&'static str, Value) {
    match check {
        Check::Tcp(target) => ("tcp", template(target)),
        Check::Http(http) => ("http", self::http(http)),
        Check::Grpc { target, service } => ("grpc", json!({ "target": template(target), "service": escape(service) })),
        Check::Exec(exec) => ("exec", command(exec)),
        Check::Log(regex) => ("log", text(regex)),
        Check::Notify => ("notify", json!(true)),
        Check::Healthcheck => ("healthcheck", json!(true)),
        Check::File(file) => ("file", template(file)),
        Check::Listens(ports) => ("listens", json!(ports.iter().map(PortName::as_str).collect::<Vec<_>>())),
        Check::All(checks) => ("all", several(checks)),
        Check::Any(checks) => ("any", several(checks)),
    }
}

fn several(checks: &[Check]) -> Value {
    let each = checks.iter().map(|one| {
        let (key, value) = check(one);
        json!({ key: value })
    });
    Value::Array(each.collect())
}

fn http(check: &HttpCheck) -> Value {
    let mut out = Object::default();
    out.put("url", template(&check.url));
    out.put("method", json!(check.method));
    let headers: indexmap::IndexMap<String, _> = check.headers.iter().cloned().collect();
    out.some("headers", map(&headers, template));
    let status: Vec<String> = check.status.iter().map(|(from, to)| format!("{from}-{to}")).collect();
    out.put("status", json!(status));
    let header: indexmap::IndexMap<String, _> = check.header.iter().cloned().collect();
    out.some("header", map(&header, matcher));
    out.option("body", check.body.as_ref().map(matcher));
    out.some("insecure", json!(check.insecure));
    out.done()
}

fn matcher(matcher: &Matcher) -> Value {
    match matcher {
        Matcher::Contains(part) => json!({ "contains": escape(part) }),
        Matcher::Equals(whole) => json!({ "equals": escape(whole) }),
        Matcher::Regex(regex) => json!({ "regex": escape(regex) }),
    }
}
