//! `${...}` in every text: variables are replaced, typed references stay open.

use crate::include::Reader;
use crate::problem::{Code, nearest};
use crate::tree::{Kind, Node, Span};
use crate::variables::Values;
use muster_spec::{Part, PortName, Reference, ServiceName, Template};

/// Defaults within defaults within defaults: nobody writes more.
const MAX_NESTING: usize = 8;
/// Sections that are read before, or not at all.
const SKIPPED: [&str; 5] = ["environments", "variables", "include", "env_file", "default_environment"];

/// Fills the texts of a merged tree in place.
pub(crate) fn interpolate(tree: &mut Node, values: &mut Values<'_>, reader: &mut Reader<'_>) {
    let Some(map) = tree.as_map_mut() else { return };
    for (key, entry) in map {
        if SKIPPED.contains(&key.as_str()) || key.starts_with("x-") {
            continue;
        }
        let mut pass = Pass { values, reader, args: key == "tests" };
        pass.walk(&mut entry.value);
    }
}

struct Pass<'p, 'a, 'r> {
    values: &'p mut Values<'a>,
    reader: &'p mut Reader<'r>,
    /// `${args}` has a meaning here.
    args: bool,
}

impl Pass<'_, '_, '_> {
    fn walk(&mut self, node: &mut Node) {
        let span = node.span;
        match &mut node.kind {
            Kind::Scalar(scalar) => {
                if scalar.text.contains('$') {
                    let parts = self.parts(&scalar.text, span, 0);
                    scalar.template = Some(Template(joined(parts)));
                }
            }
            Kind::List(list) => list.iter_mut().for_each(|item| self.walk(item)),
            Kind::Map(map) => {
                for (key, entry) in map {
                    if !key.starts_with("x-") {
                        self.walk(&mut entry.value);
                    }
                }
            }
        }
    }

    fn parts(&mut self, text: &str, span: Span, depth: usize) -> Vec<Part> {
        let mut out = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push(Part::Text(rest[..at].to_owned()));
            let tail = &rest[at + 1..];
            if let Some(after) = tail.strip_prefix('$') {
                out.push(Part::Text("$".to_owned()));
                rest = after;
            } else if let Some(body) = tail.strip_prefix('{') {
                let Some(end) = closing(body) else {
                    let item = self.reader.report.error(Code::Interpolation, span, "`${` without a `}`");
                    item.help("write `$$` for a dollar sign");
                    return out;
                };
                let place = self.within(span, &rest[at..at + end + 3]);
                self.expression(&body[..end], place, depth, &mut out);
                rest = &body[end + 1..];
            } else {
                out.push(Part::Text("$".to_owned()));
                rest = tail;
            }
        }
        out.push(Part::Text(rest.to_owned()));
        out
    }

    /// The place of the expression itself, where the text stands in the file as it is.
    fn within(&self, span: Span, expression: &str) -> Span {
        let Some(source) = self.reader.sources.get(span.file) else { return span };
        let (start, end) = (span.start as usize, span.end as usize);
        let Some(raw) = source.text.get(start..end) else { return span };
        let Some(at) = raw.find(expression) else { return span };
        let lines = raw[..at].matches('\n').count();
        if lines > 0 {
            return span;
        }
        let columns = u32::try_from(raw[..at].chars().count()).unwrap_or(0);
        let [first, last] = [start + at, start + at + expression.len()].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        Span { column: span.column + columns, start: first, end: last, ..span }
    }

    fn expression(&mut self, body: &str, span: Span, depth: usize, out: &mut Vec<Part>) {
        if depth > MAX_NESTING {
            self.reader.report.error(Code::Interpolation, span, "defaults are nested too deeply");
            return;
        }
        if self.args && body == "args" {
            out.push(Part::Text("${args}".to_owned()));
            return;
        }
        if body == "replica"
            || body == "replica0"
            || body == "bind"
            || body.contains('.') && !body.contains([':', '-', '?', '+'])
            || typed_prefix(body)
        {
            return self.typed(body, span, out);
        }
        let end = body.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(body.len());
        let (name, operator) = body.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            let item = self.reader.report.error(Code::Interpolation, span, format!("`${{{body}}}` names no variable"));
            item.help("write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$$` is a dollar sign");
            return;
        }
        self.variable((name, operator), span, depth, out);
    }

    fn variable(&mut self, (name, operator): (&str, &str), span: Span, depth: usize, out: &mut Vec<Part>) {
        let found = self.values.get(name, self.reader);
        let filled = found.as_ref().is_some_and(|found| !found.text.is_empty());
        let value = |out: &mut Vec<Part>| match &found {
            Some(found) if found.secret => out.push(Part::Ref(Reference::Secret(name.to_owned()))),
            Some(found) => out.push(Part::Text(found.text.clone())),
            None => {}
        };
        let (present, word, kind) = if let Some(word) = operator.strip_prefix(":-") {
            (filled, word, '-')
        } else if let Some(word) = operator.strip_prefix('-') {
            (found.is_some(), word, '-')
        } else if let Some(word) = operator.strip_prefix(":?") {
            (filled, word, '?')
        } else if let Some(word) = operator.strip_prefix('?') {
            (found.is_some(), word, '?')
        } else if let Some(word) = operator.strip_prefix(":+") {
            (filled, word, '+')
        } else if let Some(word) = operator.strip_prefix('+') {
            (found.is_some(), word, '+')
        } else if operator.is_empty() {
            (found.is_some(), "", '?')
        } else {
            let message = format!("`{operator}` is no operator after `{name}`");
            let item = self.reader.report.error(Code::Interpolation, span, message);
            item.help("there are `:-`, `-`, `:?`, `?`, `:+` and `+`; what a shell is to see is written `$${...}`");
            return;
        };
        match (kind, present) {
            ('+', true) | ('-', false) => {
                let parts = self.parts(word, span, depth + 1);
                out.extend(parts);
            }
            ('+', false) => {}
            (_, true) => value(out),
            (_, false) => self.unset(name, word, span),
        }
    }

    fn unset(&mut self, name: &str, message: &str, span: Span) {
        let text = if message.is_empty() { "not set".to_owned() } else { message.to_owned() };
        let near = nearest(name, self.values.names().filter(|known| *known != name)).map(str::to_owned);
        let item = self.reader.report.error(Code::Unset, span, format!("`{name}`: {text}"));
        item.help(match near {
            Some(near) => format!("did you mean `{near}`? else set it, or write `${{{name}:-default}}`"),
            None => format!("set it, declare it under `variables`, or write `${{{name}:-default}}`"),
        });
    }

    fn typed(&mut self, body: &str, span: Span, out: &mut Vec<Part>) {
        match reference(body) {
            Some(reference) => out.push(Part::Ref(reference)),
            None => {
                let item =
                    self.reader.report.error(Code::BadReference, span, format!("`${{{body}}}` refers to nothing"));
                item.help(
                    "there are `port.x`, `addr.x`, `bind`, `bind.x`, `dir.data`, `dir.run`, `dir.logs`, `env.name`, `replica`, \
                     `services.S.port.x`, `services.S.addr.x`, `services.S.url` and `databases.D.url`",
                );
            }
        }
    }
}

fn typed_prefix(body: &str) -> bool {
    ["port.", "addr.", "bind.", "dir.", "env.", "services.", "databases."].iter().any(|prefix| body.starts_with(prefix))
}

/// The typed reference that a text between `${` and `}` is.
pub(crate) fn reference(body: &str) -> Option<Reference> {
    match body {
        "dir.data" => return Some(Reference::DataDir),
        "dir.run" => return Some(Reference::RunDir),
        "dir.logs" => return Some(Reference::LogDir),
        "env.name" => return Some(Reference::EnvironmentName),
        "bind" => return Some(Reference::Bind(None)),
        "replica" => return Some(Reference::Replica),
        "replica0" => return Some(Reference::ReplicaFromZero),
        _ => {}
    }
    if let Some(port) = body.strip_prefix("port.") {
        return PortName::new(port).ok().map(Reference::OwnPort);
    }
    if let Some(port) = body.strip_prefix("addr.") {
        return PortName::new(port).ok().map(Reference::OwnAddress);
    }
    if let Some(port) = body.strip_prefix("bind.") {
        return PortName::new(port).ok().map(|port| Reference::Bind(Some(port)));
    }
    if let Some(name) = body.strip_prefix("databases.") {
        let name = name.strip_suffix(".url").filter(|name| !name.is_empty())?;
        return Some(Reference::DatabaseUrl(name.to_owned()));
    }
    // A service's name may have dots in it: the last `.port.` or `.addr.` separates.
    let rest = body.strip_prefix("services.")?;
    if let Some((service, port)) = rest.rsplit_once(".port.") {
        let (service, port) = (ServiceName::new(service).ok()?, PortName::new(port).ok()?);
        return Some(Reference::Port { service, port });
    }
    if let Some((service, port)) = rest.rsplit_once(".addr.") {
        let (service, port) = (ServiceName::new(service).ok()?, PortName::new(port).ok()?);
        return Some(Reference::Address { service, port });
    }
    let service = rest.strip_suffix(".url")?;
    ServiceName::new(service).ok().map(Reference::ExternalUrl)
}

/// Where the `}` of an expression is, other expressions inside it skipped.
fn closing(body: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let bytes = body.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Neighbouring texts become one, empty ones go.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut out: Vec<Part> = Vec::new();
    for part in parts {
        match (out.last_mut(), part) {
            (_, Part::Text(text)) if text.is_empty() => {}
            (Some(Part::Text(last)), Part::Text(text)) => last.push_str(&text),
            (_, part) => out.push(part),
        }
    }
    if out.is_empty() {
        out.push(Part::Text(String::new()));
    }
    out
}
