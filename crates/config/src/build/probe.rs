//! Probes: three roles, any kind of check.

use super::command::{self, Place};
use super::policy::{Ports, port, unknown_port};
use super::read::{Cx, entries};
use crate::problem::Code;
use crate::tree::{Kind, Node, boolean};
use muster_spec::{
    Check, HttpCheck, HumanDuration, Matcher, Part, PortName, ProbeSet, ProbeSpec, Reference, Role, RuntimeKind,
    ServiceKind, Template, Variants,
};

/// How long a start may take when `startup` does not say.
const STARTUP_WITHIN_SECS: u64 = 60;
/// A command takes longer to answer than a socket.
const EXEC_TIMEOUT_SECS: u64 = 5;
const KINDS: [&str; 11] =
    ["tcp", "http", "grpc", "exec", "log", "notify", "file", "healthcheck", "listens", "all", "any"];

/// The probes of a service. Without `ready`, a service with ports is ready when its own processes listen on them.
pub(super) fn probes(
    cx: &mut Cx<'_>,
    node: &Node,
    kind: ServiceKind,
    (runtime, variants): (RuntimeKind, &Variants),
    ports: &Ports,
) -> ProbeSet {
    // a command is run where the service is
    cx.probed = match runtime {
        RuntimeKind::Container | RuntimeKind::Remote => Place::Elsewhere,
        RuntimeKind::Process | RuntimeKind::External | RuntimeKind::Mock => Place::Here,
    };
    let mut set = ProbeSet {
        startup: probe(cx, node, Role::Startup, ports),
        ready: probe(cx, node, Role::Ready, ports),
        live: probe(cx, node, Role::Live, ports),
    };
    if kind == ServiceKind::Job {
        for role in set.roles() {
            let span = node.get(&role.to_string()).map_or(node.span, |node| node.span);
            let item = cx.report.warn(Code::JobProbe, span, format!("`{role}` of a job says nothing about its end"));
            item.help("what needs a job waits for `done`; leave `job: true` out if it should keep running");
        }
        return set;
    }
    if set.ready.is_none() && node.get("ready").is_none() {
        set.ready = default_ready(runtime, variants, ports);
    }
    if set.live.is_none() && node.get("live").is_none() {
        set.live = default_live(runtime);
    }
    set
}

/// What the engine says of a container is shown as its health; it has counted failures already.
pub(crate) fn default_live(runtime: RuntimeKind) -> Option<ProbeSpec> {
    (runtime == RuntimeKind::Container).then(|| ProbeSpec { fails: 1, ..ProbeSpec::new(Check::Healthcheck) })
}

/// The probe that a service has without saying so: its own processes listen on its ports, a container's engine finds it
/// healthy as well, somebody else's answers.
pub(crate) fn default_ready(runtime: RuntimeKind, variants: &Variants, ports: &Ports) -> Option<ProbeSpec> {
    if runtime == RuntimeKind::External {
        let url = variants.external.as_ref()?.url.as_literal()?;
        return authority(&url).map(|target| ProbeSpec::new(Check::Tcp(Template::literal(&target))));
    }
    let names: Vec<PortName> = ports.iter().filter(|(_, port)| !port.udp).map(|(name, _)| name.clone()).collect();
    let listens = (!names.is_empty()).then_some(Check::Listens(names));
    if runtime != RuntimeKind::Container {
        return listens.map(ProbeSpec::new);
    }
    Some(match listens {
        Some(listens) => ProbeSpec::new(Check::All(vec![Check::Healthcheck, listens])),
        None => ProbeSpec { fails: 1, ..ProbeSpec::new(Check::Healthcheck) },
    })
}

/// `host:port` of a URL, where its scheme is one whose port everybody knows.
fn authority(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let name_end = host.rfind(']').unwrap_or(0);
    if host.is_empty() || host[name_end..].contains(':') {
        return Some(host.to_owned()).filter(|host| !host.is_empty());
    }
    let port = match scheme {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        "postgres" | "postgresql" => 5432,
        "redis" => 6379,
        "amqp" => 5672,
        "nats" => 4222,
        "mysql" => 3306,
        "mongodb" => 27017,
        _ => return None,
    };
    Some(format!("{host}:{port}"))
}

fn probe(cx: &mut Cx<'_>, service: &Node, role: Role, ports: &Ports) -> Option<ProbeSpec> {
    let node = service.get(&role.to_string())?;
    if node.as_scalar().is_some_and(|scalar| matches!(scalar.text.as_str(), "none" | "false")) {
        return None;
    }
    let check = check(cx, node, ports)?;
    let mut spec = ProbeSpec::new(check);
    if let Check::Exec(_) = spec.check {
        spec.timeout = HumanDuration::from_secs(EXEC_TIMEOUT_SECS);
    }
    spec.every = cx.duration(node, "every").unwrap_or(spec.every);
    spec.timeout = cx.duration(node, "timeout").unwrap_or(spec.timeout);
    spec.delay = cx.duration(node, "delay").unwrap_or(spec.delay);
    spec.fails = count(cx, node, "fails").unwrap_or(spec.fails);
    spec.passes = count(cx, node, "passes").unwrap_or(spec.passes);
    spec.within = cx.duration(node, "within");
    let told = node.as_map().is_some_and(|map| map.contains_key("within"));
    if role == Role::Startup && !told {
        spec.within = Some(HumanDuration::from_secs(STARTUP_WITHIN_SECS));
    }
    if role == Role::Live && spec.within.is_some() {
        let item = cx.report.error(Code::Conflict, node.span, "`live` has no `within`");
        item.help("`within` belongs to `startup` or `ready`");
    }
    Some(spec)
}

fn count(cx: &mut Cx<'_>, node: &Node, key: &str) -> Option<u32> {
    let found: u32 = cx.number(node, key, "a whole number of at least 1")?;
    if found == 0 {
        let span = node.get(key).map_or(node.span, |value| value.span);
        cx.report.error(Code::WrongType, span, format!("`{key}` is at least 1"));
        return None;
    }
    Some(found)
}

fn check(cx: &mut Cx<'_>, node: &Node, ports: &Ports) -> Option<Check> {
    if let Kind::Scalar(_) = node.kind {
        let text = cx.template(node)?;
        return match text.as_literal().as_deref() {
            Some("notify") => Some(Check::Notify),
            Some("healthcheck") => Some(Check::Healthcheck),
            Some(literal) if literal.starts_with("http://") || literal.starts_with("https://") => {
                Some(Check::Http(plain_http(text)))
            }
            Some(_) | None => {
                let item = cx.report.error(Code::WrongType, node.span, "a probe says what is asked");
                item.help(format!("one of {}: `{{tcp: PORT}}`", crate::language::listed(KINDS)));
                None
            }
        };
    }
    let given: Vec<&str> = KINDS.into_iter().filter(|kind| node.get(kind).is_some()).collect();
    let [kind] = given[..] else {
        if given.is_empty() {
            cx.missing(node.span, &format!("a probe needs one of {}", crate::language::listed(KINDS)));
        } else {
            let both = crate::language::listed(given);
            let item = cx.report.error(Code::Conflict, node.span, format!("a probe asks one thing, not {both}"));
            item.help("combine them: `all: [{tcp: a}, {http: b}]` or `any: [...]`");
        }
        return None;
    };
    let value = node.get(kind)?;
    match kind {
        "tcp" => endpoint(cx, value, ports).map(Check::Tcp),
        "http" => http(cx, value, ports).map(Check::Http),
        "grpc" => grpc(cx, value, ports),
        "exec" => {
            let place = cx.probed;
            command::slot(cx, value, place).map(Check::Exec)
        }
        "log" => cx.regex(value).map(Check::Log),
        "notify" => plain(cx, value, "notify", Check::Notify),
        "healthcheck" => plain(cx, value, "healthcheck", Check::Healthcheck),
        "file" => cx.path_template(value).map(Check::File),
        "listens" => {
            let names = value.one_or_many().iter().filter_map(|name| port(cx, Some(name), name.span, ports)).collect();
            Some(Check::Listens(names))
        }
        "all" => Some(Check::All(checks(cx, value, ports))),
        _ => Some(Check::Any(checks(cx, value, ports))),
    }
}

/// A check that has nothing to say about itself.
fn plain(cx: &mut Cx<'_>, value: &Node, name: &str, check: Check) -> Option<Check> {
    let text = cx.text(value)?;
    if boolean(&text) == Some(true) {
        return Some(check);
    }
    cx.report.error(Code::WrongType, value.span, format!("`{name}` is `true`, or is left out"));
    None
}

fn checks(cx: &mut Cx<'_>, value: &Node, ports: &Ports) -> Vec<Check> {
    let list = value.as_list().unwrap_or_default();
    if list.is_empty() {
        cx.missing(value.span, "a combination needs at least one check");
    }
    list.iter().filter_map(|item| check(cx, item, ports)).collect()
}

/// A port's name, `host:port`, or a number for a port of this machine.
fn endpoint(cx: &mut Cx<'_>, node: &Node, ports: &Ports) -> Option<Template> {
    let template = cx.template(node)?;
    let Some(text) = template.as_literal() else { return Some(template) };
    if let Some((name, _)) = ports.get_key_value(text.as_str()) {
        return Some(Template(vec![Part::Ref(Reference::OwnAddress(name.clone()))]));
    }
    if text.parse::<u16>().is_ok_and(|port| port > 0) {
        return Some(Template::literal(&format!("127.0.0.1:{text}")));
    }
    if text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Some(template);
    }
    unknown_port(cx, &text, node.span, ports);
    None
}

/// `port:` or `target:` of a map, or the service's only port.
pub(super) fn target(cx: &mut Cx<'_>, node: &Node, ports: &Ports) -> Option<Template> {
    if let Some(target) = node.get("target") {
        return endpoint(cx, target, ports);
    }
    let name = port(cx, node.get("port"), node.span, ports)?;
    Some(Template(vec![Part::Ref(Reference::OwnAddress(name))]))
}

fn grpc(cx: &mut Cx<'_>, value: &Node, ports: &Ports) -> Option<Check> {
    if value.as_map().is_none() {
        return endpoint(cx, value, ports).map(|target| Check::Grpc { target, service: String::new() });
    }
    let service = cx.text_at(value, "service").unwrap_or_default();
    target(cx, value, ports).map(|target| Check::Grpc { target, service })
}

fn plain_http(url: Template) -> HttpCheck {
    HttpCheck {
        url,
        method: "GET".to_owned(),
        headers: Vec::new(),
        status: vec![(200, 399)],
        header: Vec::new(),
        body: None,
        insecure: false,
    }
}

/// A URL; `http://` is added where no scheme is, and a port's name is its root.
pub(super) fn url(cx: &mut Cx<'_>, node: &Node, ports: &Ports) -> Option<Template> {
    let template = cx.template(node)?;
    if let Some(text) = template.as_literal()
        && let Some((name, _)) = ports.get_key_value(text.as_str())
    {
        return Some(at_port("http", name.clone(), "/"));
    }
    let schemed = matches!(template.0.first(), Some(Part::Text(text)) if text.contains("://"));
    let external = matches!(template.0.first(), Some(Part::Ref(Reference::ExternalUrl(_))));
    if schemed || external {
        return Some(template);
    }
    let mut parts = vec![Part::Text("http://".to_owned())];
    for part in template.0 {
        match (parts.last_mut(), part) {
            (Some(Part::Text(last)), Part::Text(text)) => last.push_str(&text),
            (_, part) => parts.push(part),
        }
    }
    Some(Template(parts))
}

fn at_port(scheme: &str, name: PortName, path: &str) -> Template {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let address = Part::Ref(Reference::OwnAddress(name));
    Template(vec![Part::Text(format!("{scheme}://")), address, Part::Text(path)])
}

fn http(cx: &mut Cx<'_>, value: &Node, ports: &Ports) -> Option<HttpCheck> {
    if value.as_map().is_none() {
        return url(cx, value, ports).map(plain_http);
    }
    let target = match value.get("url") {
        Some(node) => url(cx, node, ports)?,
        None => {
            let name = port(cx, value.get("port"), value.span, ports)?;
            let scheme = cx.text_at(value, "scheme").unwrap_or_else(|| "http".to_owned());
            let path = cx.text_at(value, "path").unwrap_or_else(|| "/".to_owned());
            at_port(&scheme, name, &path)
        }
    };
    let mut http = plain_http(target);
    http.method = cx.text_at(value, "method").map_or(http.method, |method| method.to_ascii_uppercase());
    for (name, _, header) in entries(value.get("headers")) {
        http.headers.extend(cx.template(header).map(|text| (name.to_owned(), text)));
    }
    if let Some(status) = value.get("status") {
        http.status = status.one_or_many().iter().filter_map(|item| range(cx, item)).collect();
    }
    for (name, _, header) in entries(value.get("header")) {
        http.header.extend(matcher(cx, header).map(|matcher| (name.to_owned(), matcher)));
    }
    http.body = value.get("body").and_then(|body| matcher(cx, body));
    http.insecure = cx.flag(value, "insecure").unwrap_or(false);
    Some(http)
}

/// `200`, `200-299` or `2xx`.
fn range(cx: &mut Cx<'_>, node: &Node) -> Option<(u16, u16)> {
    let text = cx.text(node)?;
    let class = text.strip_suffix("xx").and_then(|first| first.parse::<u16>().ok()).map(|n| (n * 100, n * 100 + 99));
    let pair = || {
        let (from, to) = text.split_once('-').unwrap_or((text.as_str(), text.as_str()));
        Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
    };
    let found = class.or_else(pair).filter(|(from, to)| (100..=599).contains(from) && from <= to && *to <= 599);
    if found.is_none() {
        let item = cx.report.error(Code::WrongType, node.span, format!("`{text}` is no status code or range of them"));
        item.help("write `200`, `200-299` or `2xx`");
    }
    found
}

fn matcher(cx: &mut Cx<'_>, node: &Node) -> Option<Matcher> {
    if node.as_map().is_none() {
        return cx.text(node).map(Matcher::Contains);
    }
    if let Some(regex) = node.get("regex") {
        return cx.regex(regex).map(Matcher::Regex);
    }
    if let Some(equals) = cx.text_at(node, "equals") {
        return Some(Matcher::Equals(equals));
    }
    let contains = cx.text_at(node, "contains");
    if contains.is_none() {
        cx.missing(node.span, "a matcher needs `contains`, `equals` or `regex`");
    }
    contains.map(Matcher::Contains)
}
