//! Restart, stop, limits, logs, watch, details and cache of a service.

use super::command::{self, Place};
use super::probe::target;
use super::read::Cx;
use crate::problem::Code;
use crate::tree::{Kind, Node, Span};
use muster_spec::{
    AfterCopy, Backoff, CacheSpec, DetailsSpec, Limits, LogPolicy, PortName, PortSpec, RestartOn, RestartPolicy,
    RestartWindow, RuntimeKind, ServiceKind, StopSpec, Target, Variants, WatchAction, WatchCopy, WatchRule,
};

pub(super) type Ports = indexmap::IndexMap<PortName, PortSpec>;

const RESTART_ON: [(&str, RestartOn); 3] =
    [("always", RestartOn::Always), ("failure", RestartOn::Failure), ("never", RestartOn::Never)];

/// A job is by default not started again: what it did once may not be done twice.
pub(super) fn restart(cx: &mut Cx<'_>, node: &Node, kind: ServiceKind) -> RestartPolicy {
    let on = if kind == ServiceKind::Job { RestartOn::Never } else { RestartOn::Failure };
    let mut policy = RestartPolicy { on, ..RestartPolicy::default() };
    let Some(value) = node.get("restart") else { return policy };
    if value.as_scalar().is_some() {
        policy.on = cx.word_of(value, &RESTART_ON).unwrap_or(on);
        return policy;
    }
    policy.on = cx.word(value, "on", &RESTART_ON).unwrap_or(RestartOn::Failure);
    if let Some(backoff) = value.get("backoff").and_then(|node| backoff(cx, node)) {
        policy.backoff = backoff;
    }
    if let Some(limit) = value.get("limit") {
        policy.limit = window(cx, limit).unwrap_or(policy.limit);
    }
    policy.max = cx.number(value, "max", "a number of restarts");
    policy
}

fn backoff(cx: &mut Cx<'_>, node: &Node) -> Option<Backoff> {
    let text = cx.text(node)?;
    let Some((min, max)) = text.split_once("..") else {
        return cx.duration_of(&text, node.span).map(Backoff::Constant);
    };
    let (min, max) = (cx.duration_of(min, node.span)?, cx.duration_of(max, node.span)?);
    if min.get() > max.get() {
        cx.report.error(
            Code::BadDuration,
            node.span,
            format!("the first wait `{min}` is longer than the last `{max}`"),
        );
        return None;
    }
    Some(Backoff::Exponential { min, max })
}

/// The outer nothing: not understood; the inner: no limit.
fn window(cx: &mut Cx<'_>, node: &Node) -> Option<Option<RestartWindow>> {
    let text = cx.text(node)?;
    if text == "none" {
        return Some(None);
    }
    let halves = text.split_once(" per ").and_then(|(count, per)| Some((count.trim().parse().ok()?, per)));
    let Some((count, per)) = halves else {
        let item = cx.report.error(Code::UnknownWord, node.span, format!("`{text}` is not a limit"));
        item.help("write `5 per 60s` or `none`");
        return None;
    };
    Some(Some(RestartWindow { count, per: cx.duration_of(per, node.span)? }))
}

pub(super) fn stop(cx: &mut Cx<'_>, node: &Node) -> StopSpec {
    let mut stop = StopSpec::default();
    let Some(value) = node.get("stop") else { return stop };
    if let Kind::Scalar(_) = value.kind {
        let signal = cx.text(value).and_then(|text| cx.signal_of(&text, value.span));
        stop.signal = signal.unwrap_or(stop.signal);
        return stop;
    }
    if let Some(signal) = value.get("signal") {
        let read = cx.text(signal).and_then(|text| cx.signal_of(&text, signal.span));
        stop.signal = read.unwrap_or(stop.signal);
    }
    stop.to = cx.word(value, "to", &[("main", Target::Main), ("group", Target::Group)]).unwrap_or_default();
    stop.grace = cx.duration(value, "grace").unwrap_or(stop.grace);
    stop.command = value.get("command").and_then(|node| command::slot(cx, node, Place::Here));
    stop
}

pub(super) fn limits(cx: &mut Cx<'_>, node: &Node) -> Limits {
    let Some(value) = node.get("limits") else { return Limits::default() };
    let cpus: Option<f64> = cx.number(value, "cpus", "a number of cores");
    Limits {
        memory: value.get("memory").and_then(|size| cx.size_of(size)),
        cpus: cpus.filter(|cpus| cpus.is_finite() && *cpus > 0.0),
        pids: cx.number(value, "pids", "a whole number"),
        files: cx.number(value, "files", "a whole number"),
    }
}

pub(super) fn logs(cx: &mut Cx<'_>, node: &Node) -> LogPolicy {
    let mut logs = LogPolicy::default();
    let Some(value) = node.get("logs") else { return logs };
    let keep = if value.as_map().is_some() { value.get("keep") } else { Some(value) };
    logs.keep = keep.and_then(|size| cx.size_of(size)).unwrap_or(logs.keep);
    logs.json = cx.word(value, "format", &[("text", false), ("json", true)]).unwrap_or(false);
    logs.copy_to = cx.path_at(value, "file");
    logs
}

pub(super) fn watch(cx: &mut Cx<'_>, node: &Node, (runtime, variants): (RuntimeKind, &Variants)) -> Vec<WatchRule> {
    let from_home = runtime != RuntimeKind::Container && variants.remote.is_some();
    let list = node.get("watch").map(Node::one_or_many).unwrap_or_default();
    let mut rules = Vec::new();
    for item in list {
        if item.as_map().is_none() {
            let glob = cx.text(item);
            rules.extend(glob.map(|glob| WatchRule {
                paths: vec![glob],
                ignore: Vec::new(),
                action: WatchAction::Restart,
            }));
            continue;
        }
        let (paths, ignore) = (cx.globs(item, "paths"), cx.globs(item, "ignore"));
        if paths.is_empty() {
            cx.missing(item.span, "a watch rule needs `paths`");
        }
        rules.extend(action(cx, item, &paths, from_home).map(|action| WatchRule { paths, ignore, action }));
    }
    rules
}

fn action(cx: &mut Cx<'_>, rule: &Node, paths: &[String], from_home: bool) -> Option<WatchAction> {
    let run = rule.get("run").or_else(|| rule.get("do").and_then(|node| node.get("run")));
    if let Some(run) = run {
        return command::slot(cx, run, Place::Here).map(WatchAction::Run);
    }
    let Some(value) = rule.get("do") else { return Some(WatchAction::Restart) };
    if let Some(signal) = value.get("signal") {
        let text = cx.text(signal)?;
        return cx.signal_of(&text, signal.span).map(WatchAction::Signal);
    }
    let text = cx.text(value)?;
    if let Some(signal) = text.strip_prefix("signal ") {
        return cx.signal_of(signal.trim(), value.span).map(WatchAction::Signal);
    }
    match text.as_str() {
        "restart" => Some(WatchAction::Restart),
        "rebuild" => Some(WatchAction::Rebuild),
        "sync" => sync(cx, rule, paths, from_home).map(WatchAction::Sync),
        _ => {
            let words = ["restart", "rebuild", "sync", "signal HUP", "run"];
            crate::language::unknown_word(value, &text, &words, cx.report);
            None
        }
    }
}

/// Where what is copied comes from and goes to. Without `from` it is what all the paths have in common; on a host a place may
/// start at the home of its user.
fn sync(cx: &mut Cx<'_>, rule: &Node, paths: &[String], from_home: bool) -> Option<WatchCopy> {
    let to = match rule.get("to") {
        Some(node) => Some(cx.text(node).filter(|text| {
            let ends = !text.is_empty() && !text.split('/').any(|part| part == "..");
            let good = ends && (text.starts_with('/') || from_home);
            if !good {
                let message = format!("`to: {text}` is no place where the service runs");
                let item = cx.report.error(Code::BadContainer, node.span, message);
                item.help("write an absolute path without `..`; only on a host may it be relative, to the home there");
            }
            good
        })?),
        None => None,
    };
    let from = cx.globs(rule, "from").pop().unwrap_or_else(|| common(paths));
    let then = match rule.get("then") {
        Some(value) => match value.get("exec") {
            Some(command) => AfterCopy::Exec(command::slot(cx, command, Place::Elsewhere)?),
            None => cx.word_of(value, &[("restart", ())]).map(|()| AfterCopy::Restart)?,
        },
        None => AfterCopy::Nothing,
    };
    Some(WatchCopy { from: clean(&from), to, initial: cx.flag(rule, "initial").unwrap_or(false), then })
}

/// The folder, or of a single file without wildcards the file, that all globs begin with.
fn common(paths: &[String]) -> String {
    let literal = |path: &String| {
        let parts = clean(path);
        let parts = parts.split('/').take_while(|part| !part.contains(['*', '?', '[', '{']));
        parts.map(str::to_owned).collect::<Vec<_>>()
    };
    let all = paths.iter().map(literal);
    let shared = all.reduce(|a, b| a.into_iter().zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a).collect());
    shared.unwrap_or_default().join("/")
}

/// A path from the root, without what means nothing; the root itself is empty.
fn clean(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    if path == "." { String::new() } else { path.to_owned() }
}

pub(super) fn details(cx: &mut Cx<'_>, node: &Node, ports: &Ports) -> Option<DetailsSpec> {
    let value = node.get("details")?;
    if let Some(http) = value.get("http") {
        return super::probe::url(cx, http, ports).map(DetailsSpec::Http);
    }
    let Some(grpc) = value.get("grpc") else {
        cx.missing(value.span, "`details` needs `grpc` or `http`");
        return None;
    };
    let Some(method) = cx.text_at(grpc, "method") else {
        cx.missing(grpc.span, "`grpc` needs a `method`");
        return None;
    };
    Some(DetailsSpec::Grpc { target: target(cx, grpc, ports)?, method })
}

pub(super) fn cache(cx: &mut Cx<'_>, node: &Node, ports: &Ports) -> Option<CacheSpec> {
    let value = node.get("cache")?;
    if let Some(redis) = value.get("redis") {
        let named = if redis.as_map().is_some() { redis.get("port") } else { Some(redis) };
        return port(cx, named, redis.span, ports).map(|port| CacheSpec::Redis { port });
    }
    let Some(grpc) = value.get("grpc") else {
        cx.missing(value.span, "`cache` needs `grpc` or `redis`");
        return None;
    };
    let port = port(cx, grpc.get("port"), grpc.span, ports)?;
    let Some(service) = cx.text_at(grpc, "service") else {
        cx.missing(grpc.span, "`grpc` needs a `service`");
        return None;
    };
    Some(CacheSpec::Grpc { port, service })
}

/// A port that is named, or the only one that there is.
pub(super) fn port(cx: &mut Cx<'_>, node: Option<&Node>, span: Span, ports: &Ports) -> Option<PortName> {
    let Some(node) = node else {
        if let (Some(only), 1) = (ports.keys().next(), ports.len()) {
            return Some(only.clone());
        }
        cx.missing(span, "a `port` must be named: the service does not have exactly one");
        return None;
    };
    let text = cx.text(node)?;
    match ports.get_key_value(text.as_str()) {
        Some((name, _)) => Some(name.clone()),
        None => {
            unknown_port(cx, &text, node.span, ports);
            None
        }
    }
}

pub(super) fn unknown_port(cx: &mut Cx<'_>, text: &str, span: Span, ports: &Ports) {
    let item = cx.report.error(Code::UnknownPort, span, format!("the service has no port `{text}`"));
    if ports.is_empty() {
        item.help(format!("declare it: `ports: {{{text}: auto}}`"));
    } else {
        let known = crate::language::listed(ports.keys().map(PortName::as_str));
        item.help(format!("its ports are {known}; elsewhere write `host:port`"));
    }
}
