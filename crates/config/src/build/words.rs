//! Words that engines know, so that a wrong one is told with its place and not by an engine in the middle of a start.

use super::read::Cx;
use crate::problem::{Code, nearest};
use crate::tree::{Node, Span};

/// capabilities(7), without their prefix.
const CAPABILITIES: [&str; 42] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// getrlimit(2), as docker-run(1), `--ulimit`, names them.
const ULIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A list of capabilities; engines take them with and without `CAP_`, in any case.
pub(super) fn capabilities(cx: &mut Cx<'_>, node: &Node, key: &str) -> Vec<String> {
    let found = cx.texts(node, key);
    for item in node.get(key).into_iter().flat_map(Node::one_or_many) {
        let Some(text) = cx.text(item) else { continue };
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if !CAPABILITIES.contains(&name) {
            unknown(cx, item.span, &format!("`{text}` is no capability that we know"), name, &CAPABILITIES);
        }
    }
    found
}

/// The name of a limit.
pub(super) fn ulimit(cx: &mut Cx<'_>, name: &str, span: Span) {
    if !ULIMITS.contains(&name) {
        unknown(cx, span, &format!("`{name}` is no limit that we know"), name, &ULIMITS);
    }
}

fn unknown(cx: &mut Cx<'_>, span: Span, message: &str, name: &str, known: &[&str]) {
    // an engine may know more than we do: it has the last word
    let item = cx.report.warn(Code::BadContainer, span, message.to_owned());
    if let Some(near) = nearest(name, known.iter().copied()) {
        item.help(format!("did you mean `{near}`?"));
    }
}

/// A list of CPUs (cpuset(7), list format).
pub(super) fn cpuset(cx: &mut Cx<'_>, node: &Node) -> Option<String> {
    let value = node.get("cpuset")?;
    let text = cx.text(value)?;
    let is_number = |number: &str| number.trim().parse::<u16>().is_ok();
    let is_part = |part: &str| match part.split_once('-') {
        Some((first, last)) => is_number(first) && is_number(last),
        None => is_number(part),
    };
    if !text.split(',').all(is_part) {
        let item = cx.report.error(Code::BadContainer, value.span, format!("`{text}` names no CPUs"));
        item.help("write numbers and ranges: `0-2,4`");
    }
    Some(text)
}
