//! The variants `container` and `remote`.

use super::command::{self, Place};
use super::read::Cx;
use super::{image, mount, words};
use crate::problem::Code;
use crate::tree::Node;
use indexmap::IndexMap;
use muster_spec::{CommandSpec, ContainerOptions, ContainerSpec, HealthCheck, NetworkMode, RemoteSpec, SyncPath};

pub(super) fn container(cx: &mut Cx<'_>, node: &Node) -> Option<ContainerSpec> {
    let build = node.get("build").and_then(|build| image::build(cx, build));
    let image = image::image(cx, node);
    if node.get("image").is_none() && node.get("build").is_none() {
        cx.missing(node.span, "`container` needs an `image` or a `build`");
        return None;
    }
    Some(ContainerSpec {
        image,
        build,
        pull: image::pull(cx, node),
        entrypoint: node.get("entrypoint").and_then(|node| replaced(cx, node)),
        command: node.get("command").and_then(|node| replaced(cx, node)),
        before: command::steps(cx, node.get("before"), Place::Elsewhere),
        mounts: mount::mounts(cx, node),
        options: options(cx, node),
    })
}

/// In place of what the image says: an empty list takes it away.
fn replaced(cx: &mut Cx<'_>, node: &Node) -> Option<CommandSpec> {
    if node.as_list().is_some_and(<[Node]>::is_empty) {
        return Some(CommandSpec::Exec(Vec::new()));
    }
    command::slot(cx, node, Place::Elsewhere)
}

fn options(cx: &mut Cx<'_>, node: &Node) -> ContainerOptions {
    ContainerOptions {
        user: cx.text_at(node, "user"),
        group_add: cx.texts(node, "group_add"),
        working_dir: absolute(cx, node, "working_dir"),
        hostname: host_name(cx, node, "hostname"),
        domainname: host_name(cx, node, "domainname"),
        network: network(cx, node),
        aliases: cx.texts(node, "network_aliases"),
        extra_hosts: extra_hosts(cx, node),
        dns: cx.texts(node, "dns"),
        dns_search: cx.texts(node, "dns_search"),
        dns_opt: cx.texts(node, "dns_opt"),
        init: cx.flag(node, "init").unwrap_or(false),
        read_only: cx.flag(node, "read_only").unwrap_or(false),
        privileged: cx.flag(node, "privileged").unwrap_or(false),
        cap_add: words::capabilities(cx, node, "cap_add"),
        cap_drop: words::capabilities(cx, node, "cap_drop"),
        security_opt: cx.texts(node, "security_opt"),
        ulimits: ulimits(cx, node),
        sysctls: cx.pairs(node, "sysctls"),
        devices: cx.texts(node, "devices"),
        shm_size: node.get("shm_size").and_then(|value| cx.size_of(value)),
        memory_reservation: node.get("mem_reservation").and_then(|value| cx.size_of(value)),
        memory_swap: swap(cx, node),
        oom_score_adj: ranged(cx, node, "oom_score_adj", -1000, 1000),
        cpu_shares: ranged(cx, node, "cpu_shares", 0, i64::MAX),
        cpuset: words::cpuset(cx, node),
        pid: cx.text_at(node, "pid"),
        ipc: cx.text_at(node, "ipc"),
        uts: cx.text_at(node, "uts"),
        userns_mode: cx.text_at(node, "userns_mode"),
        runtime: cx.text_at(node, "runtime"),
        platform: cx.text_at(node, "platform"),
        stdin_open: cx.flag(node, "stdin_open").unwrap_or(false),
        labels: cx.pairs(node, "labels"),
        container_name: container_name(cx, node),
        health: health(cx, node),
    }
}

fn absolute(cx: &mut Cx<'_>, node: &Node, key: &str) -> Option<String> {
    let value = node.get(key)?;
    let text = cx.text(value)?;
    if !text.starts_with('/') {
        let message = format!("`{key}` is an absolute path in the container, not `{text}`");
        cx.report.error(Code::BadContainer, value.span, message);
    }
    Some(text)
}

/// RFC 1123: letters, digits, `-`, in pieces of 63, in all 253.
fn host_name(cx: &mut Cx<'_>, node: &Node, key: &str) -> Option<String> {
    let value = node.get(key)?;
    let text = cx.text(value)?;
    let piece = |piece: &str| {
        (1..=63).contains(&piece.len())
            && !piece.starts_with('-')
            && !piece.ends_with('-')
            && piece.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if text.len() > 253 || !text.split('.').all(piece) {
        let item = cx.report.error(Code::BadContainer, value.span, format!("`{text}` cannot be a host's name"));
        item.help("letters, digits and `-`, in pieces of at most 63 with dots between them");
    }
    Some(text)
}

fn network(cx: &mut Cx<'_>, node: &Node) -> NetworkMode {
    let words = [("environment", NetworkMode::Environment), ("host", NetworkMode::Host), ("none", NetworkMode::None)];
    let Some(value) = node.get("network_mode") else { return NetworkMode::Environment };
    let Some(text) = cx.text(value) else { return NetworkMode::Environment };
    let found = words.into_iter().find(|(word, _)| *word == text).map(|(_, mode)| mode);
    if found.is_none() {
        let words = ["environment", "host", "none"];
        crate::language::unknown_word(value, &text, &words, cx.report);
    }
    let mode = found.unwrap_or_default();
    if let Some(aliases) = node.get("network_aliases").filter(|_| mode != NetworkMode::Environment) {
        let message = format!("`network_mode: {text}` has no `network_aliases`: nobody resolves names there");
        cx.report.error(Code::Conflict, aliases.span, message);
    }
    mode
}

/// `{name: address}`, `[name=address]` or `[name:address]`.
fn extra_hosts(cx: &mut Cx<'_>, node: &Node) -> Vec<(String, String)> {
    let Some(value) = node.get("extra_hosts") else { return Vec::new() };
    let mut out = Vec::new();
    if let Some(map) = value.as_map() {
        for (name, entry) in map {
            for item in entry.value.one_or_many() {
                out.extend(cx.text(item).map(|address| (item.span, name.clone(), address)));
            }
        }
    } else {
        for item in value.one_or_many() {
            let Some(text) = cx.text(item) else { continue };
            match text.split_once('=').or_else(|| text.split_once(':')) {
                Some((name, address)) => out.push((item.span, name.to_owned(), address.to_owned())),
                None => {
                    let message = format!("`{text}` is not `name=address`");
                    cx.report.error(Code::BadContainer, item.span, message);
                }
            }
        }
    }
    let mut hosts = Vec::with_capacity(out.len());
    for (span, name, address) in out {
        if name.is_empty() || name.contains(['=', ':', ',']) || name.contains(char::is_whitespace) {
            cx.report.error(Code::BadContainer, span, format!("`{name}` cannot be a host's name"));
            continue;
        }
        let address = address.trim_matches(['[', ']']).to_owned();
        if address != muster_spec::HOST_GATEWAY && address.parse::<std::net::IpAddr>().is_err() {
            let item = cx.report.error(Code::BadAddress, span, format!("`{address}` is no IP address"));
            item.help("write an address, or `host-gateway` for this machine");
        }
        hosts.push((name, address));
    }
    hosts
}

fn ulimits(cx: &mut Cx<'_>, node: &Node) -> IndexMap<String, (i64, i64)> {
    let mut out = IndexMap::new();
    let Some(map) = node.get("ulimits").and_then(Node::as_map) else { return out };
    for (name, entry) in map {
        let value = &entry.value;
        words::ulimit(cx, name, entry.key_span);
        let both = match value.as_map() {
            Some(_) => {
                let soft: Option<i64> = cx.number(value, "soft", "a whole number");
                let hard: Option<i64> = cx.number(value, "hard", "a whole number");
                if soft.is_none() && hard.is_none() {
                    cx.missing(value.span, "a limit needs `soft`, `hard` or both");
                }
                soft.or(hard).zip(hard.or(soft))
            }
            None => cx.number_of(value, "a whole number").map(|limit: i64| (limit, limit)),
        };
        let Some((soft, hard)) = both else { continue };
        if hard != -1 && (soft > hard || soft == -1) {
            let message = format!("the soft limit {soft} of `{name}` is above the hard one, {hard}");
            cx.report.error(Code::BadContainer, value.span, message);
        }
        out.insert(name.clone(), (soft, hard));
    }
    out
}

fn swap(cx: &mut Cx<'_>, node: &Node) -> Option<i64> {
    let value = node.get("memswap_limit")?;
    if cx.text(value)? == "-1" {
        return Some(-1);
    }
    cx.size_of(value).map(|size| i64::try_from(size.get()).unwrap_or(i64::MAX))
}

fn ranged(cx: &mut Cx<'_>, node: &Node, key: &str, least: i64, most: i64) -> Option<i64> {
    let found: i64 = cx.number(node, key, "a whole number")?;
    if !(least..=most).contains(&found) {
        let span = node.get(key).map_or(node.span, |value| value.span);
        let message = format!("`{key}` lies between {least} and {most}, not at {found}");
        cx.report.error(Code::BadContainer, span, message);
    }
    Some(found)
}

/// As the engines take them: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn container_name(cx: &mut Cx<'_>, node: &Node) -> Option<String> {
    let value = node.get("container_name")?;
    let text = cx.text(value)?;
    let good = text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if !good {
        let item = cx.report.error(Code::BadContainer, value.span, format!("`{text}` cannot be a container's name"));
        item.help("at least two of letters, digits, `_`, `.` and `-`, the first a letter or digit");
    }
    Some(text)
}

fn health(cx: &mut Cx<'_>, node: &Node) -> HealthCheck {
    let Some(value) = node.get("healthcheck") else { return HealthCheck::Image };
    if value.as_map().is_none() {
        return match cx.text(value).as_deref() {
            Some("none" | "false") => HealthCheck::Disabled,
            Some(_) | None => HealthCheck::Image,
        };
    }
    if cx.flag(value, "disable") == Some(true) {
        return HealthCheck::Disabled;
    }
    let test = match value.get("test") {
        Some(test) => health_test(cx, test),
        None => Vec::new(),
    };
    if test.first().is_some_and(|word| word == "NONE") {
        return HealthCheck::Disabled;
    }
    HealthCheck::Own {
        test,
        interval: cx.duration(value, "interval"),
        timeout: cx.duration(value, "timeout"),
        retries: cx.number(value, "retries", "a number of failures"),
        start_period: cx.duration(value, "start_period"),
        start_interval: cx.duration(value, "start_interval"),
    }
}

/// A text is a script; a list says in its first word what it is.
fn health_test(cx: &mut Cx<'_>, node: &Node) -> Vec<String> {
    let Some(list) = node.as_list() else {
        return cx.text(node).map(|script| vec!["CMD-SHELL".to_owned(), script]).unwrap_or_default();
    };
    let words: Vec<String> = list.iter().filter_map(|word| cx.text(word)).collect();
    let first = words.first().map(String::as_str);
    let enough = if first == Some("NONE") { words.len() == 1 } else { words.len() > 1 };
    if !matches!(first, Some("CMD" | "CMD-SHELL" | "NONE")) || !enough {
        let item = cx.report.error(Code::BadContainer, node.span, "this is no test of a health check");
        item.help("write `[CMD, program, argument]`, `[CMD-SHELL, script]`, `[NONE]` or a script as one text");
    }
    words
}

pub(super) fn remote(cx: &mut Cx<'_>, node: &Node) -> Option<RemoteSpec> {
    let command = command::of_map(cx, node, Place::Elsewhere);
    let host = node.get("host").and_then(|value| known_host(cx, value));
    if node.get("host").is_none() {
        cx.missing(node.span, "`remote` needs a `host`");
    }
    if command.is_none() && node.get("command").is_none() && node.get("shell").is_none() {
        cx.missing(node.span, "`remote` needs a `command`");
    }
    let before = command::steps(cx, node.get("before"), Place::Elsewhere);
    let sync = sync(cx, node);
    let (user, cwd) = (cx.text_at(node, "user"), cx.template_at(node, "cwd"));
    Some(RemoteSpec { host: host?, command: command?, before, sync, user, cwd })
}

/// What ssh would take for an option, or for two words, is not a host.
fn known_host(cx: &mut Cx<'_>, node: &Node) -> Option<String> {
    let text = cx.text(node)?;
    if text.is_empty() || text.starts_with('-') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let item = cx.report.error(Code::BadName, node.span, format!("`{text}` cannot be a host"));
        item.help(
            "write a name that ssh knows: an alias of `~/.ssh/config`, `host`, `user@host`, `ssh://user@host:22`",
        );
        return None;
    }
    Some(text)
}

fn sync(cx: &mut Cx<'_>, node: &Node) -> Vec<SyncPath> {
    let mut sync = Vec::new();
    for item in node.get("sync").map(Node::one_or_many).unwrap_or_default() {
        let Some(text) = cx.text(item) else { continue };
        let Some((local, there)) = text.split_once(':').filter(|(l, t)| !l.is_empty() && !t.is_empty()) else {
            let item = cx.report.error(Code::WrongType, item.span, format!("`{text}` is not `local:remote`"));
            item.help("write a path of this machine, a colon, and its path on the host");
            continue;
        };
        let local = cx.home_of(local, item.span);
        let Some(local) = local else { continue };
        let local = crate::files::normal(&cx.sources.folder(item.span.file).join(local));
        sync.push(SyncPath { local, remote: there.to_owned() });
    }
    sync
}
