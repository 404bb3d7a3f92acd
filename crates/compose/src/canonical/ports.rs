//! Ports in their short form: `[[ADDRESS:]PUBLISHED:]TARGET[/PROTOCOL]`, each of the two a range as well
//! (compose-spec 05, ports).

use std::net::IpAddr;

use super::map_of;
use crate::path::Path;
use crate::problem::{Code, Report};
use crate::show::sprint;
use crate::tree::{Node, Span, Value};

/// Makes each item of a list of ports one map or, for a range, several.
pub(super) fn long(node: &mut Node, path: Path<'_>, report: &mut Report) {
    if node.as_seq().is_none() {
        // the base of an `extends` comes here without the schema's judgement
        super::mistyped(node, path, "a list", report);
    }
    let Some(items) = node.as_seq_mut() else { return };
    let mut ports = Vec::with_capacity(items.len());
    for item in std::mem::take(items) {
        match &item.value {
            Value::Map(_) => ports.push(item),
            Value::Int(_) | Value::String(_) => match parse(&sprint(&item)) {
                Ok(parsed) => ports.extend(parsed.into_iter().map(|port| port.node(item.span))),
                Err(why) => report.error(Code::BadValue, item.span, format!("`{path}` has `{}`, {why}", sprint(&item))),
            },
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::Time(_) | Value::Seq(_) => {
                super::mistyped(&item, path, "a list of texts, whole numbers and maps", report);
            }
        }
    }
    *items = ports;
}

#[derive(Debug, PartialEq, Eq)]
struct Port {
    address: String,
    target: u16,
    published: String,
    protocol: String,
}

impl Port {
    fn node(self, span: Span) -> Node {
        let text = |text: String| Node::string(span, text);
        let mut node = map_of(span, [("mode", text("ingress".to_owned()))]);
        if !self.address.is_empty() {
            node.insert("host_ip", text(self.address));
        }
        // port 0 counts as no port at all
        if self.target != 0 {
            node.insert("target", Node::new(span, Value::Int(i128::from(self.target))));
        }
        if !self.published.is_empty() {
            node.insert("published", text(self.published));
        }
        node.insert("protocol", text(self.protocol));
        node
    }
}

/// The ports of a short form, ordered by their targets as texts.
fn parse(text: &str) -> Result<Vec<Port>, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (address, published, container) = match parts.as_slice() {
        [container] => (String::new(), "", *container),
        [published, container] => (String::new(), *published, *container),
        [address @ .., published, container] => (address.join(":"), *published, *container),
        [] => (String::new(), "", ""),
    };
    let (container, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_lowercase() };
    if container.is_empty() {
        return Err("which names no port of the container".to_owned());
    }
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("and `{protocol}` is none of the protocols tcp, udp and sctp"));
    }
    let address = unbracketed(&address)?;
    let (first, last) = range(container).ok_or_else(|| format!("and `{container}` is no port or range of ports"))?;
    let host = match published {
        "" => None,
        text => Some(range(text).ok_or_else(|| format!("and `{text}` is no port or range of ports"))?),
    };
    if let Some((from, to)) = host
        && to - from != last - first
        && first != last
    {
        return Err(format!("and the ranges `{published}` and `{container}` differ in length"));
    }
    let published = |offset: u16| match host {
        None => String::new(),
        Some((from, to)) if first == last && from != to => format!("{from}-{to}"),
        Some((from, _)) => (from + offset).to_string(),
    };
    let mut targets: Vec<(String, u16)> =
        (first..=last).map(|target| (format!("{target}/{protocol}"), target)).collect();
    targets.sort();
    let port = |(_, target): (String, u16)| Port {
        address: address.clone(),
        target,
        published: published(target - first),
        protocol: protocol.clone(),
    };
    Ok(targets.into_iter().map(port).collect())
}

fn unbracketed(address: &str) -> Result<String, String> {
    let bare = match address.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').unwrap_or(address),
        None => address,
    };
    if bare.is_empty() && address.is_empty() || bare.parse::<IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    Err(format!("and `{address}` is no address"))
}

/// First and last of a port or a range; what follows a second hyphen is passed over.
fn range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| if text.bytes().all(|b| b.is_ascii_digit()) { text.parse::<u16>().ok() } else { None };
    let mut parts = text.split('-');
    let first = port(parts.next()?)?;
    let last = match parts.next() {
        Some(last) => port(last)?,
        None => first,
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::{Port, parse};

    fn port(address: &str, published: &str, target: u16, protocol: &str) -> Port {
        Port { address: address.into(), target, published: published.into(), protocol: protocol.into() }
    }

    #[test]
    fn short_forms_are_read() {
        for (text, wanted) in [
            ("80", vec![port("", "", 80, "tcp")]),
            ("8080:80/UDP", vec![port("", "8080", 80, "udp")]),
            ("127.0.0.1::80", vec![port("127.0.0.1", "", 80, "tcp")]),
            ("[::1]:8000:80", vec![port("::1", "8000", 80, "tcp")]),
            ("::1:8000:80", vec![port("::1", "8000", 80, "tcp")]),
            ("8000-8001:80", vec![port("", "8000-8001", 80, "tcp")]),
            ("8000-8001:99-100", vec![port("", "8001", 100, "tcp"), port("", "8000", 99, "tcp")]),
        ] {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in
            ["", "a", "80:", "80/http", "70000", "90-80", "80-81:8000-8002", "300.1.1.1:80:80", "[::1:80:80", "+80"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
