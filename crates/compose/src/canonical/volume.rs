//! Mounts in their short form: `[SOURCE:]TARGET[:OPTIONS]` (compose-spec 05, volumes).

use super::map_of;
use crate::path::Path;
use crate::problem::{Code, Report};
use crate::tree::{Node, Span, Value};

/// Makes an item of a list of mounts a map.
pub(super) fn long(node: &mut Node, path: Path<'_>, report: &mut Report) {
    let Some(text) = node.as_str() else {
        if node.as_map().is_none() {
            super::mistyped(node, path, "a text or a map", report);
        }
        return;
    };
    match parse(text) {
        Ok(mount) => *node = mount.node(node.span),
        Err(why) => report.error(Code::BadValue, node.span, format!("`{path}` has `{text}`, which has {why}")),
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Mount {
    source: String,
    target: String,
    read_only: bool,
    nocopy: bool,
    selinux: String,
    propagation: String,
    /// One or two characters: nothing but a target.
    tiny: bool,
}

/// The mount of a short form. An option that does not exist is passed over, as Compose does.
fn parse(text: &str) -> Result<Mount, &'static str> {
    if text.is_empty() {
        return Err("nothing in it");
    }
    if text.len() <= 2 {
        return Ok(Mount { target: text.to_owned(), tiny: true, ..Mount::default() });
    }
    let sections = sections(text);
    if sections.iter().any(|section| section.is_empty()) {
        return Err("nothing between two colons");
    }
    let (source, target, options) = match sections.as_slice() {
        [target] => ("", *target, ""),
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err("too many colons"),
    };
    let mut mount = Mount { source: source.to_owned(), target: target.to_owned(), ..Mount::default() };
    for option in options.split(',') {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "nocopy" => mount.nocopy = true,
            "z" | "Z" => mount.selinux = option.to_owned(),
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => mount.propagation = option.to_owned(),
            _ => {}
        }
    }
    Ok(mount)
}

/// The parts between colons; the colon behind the letter of a Windows drive, and those within `${...}`, part nothing.
fn sections(text: &str) -> Vec<&str> {
    let mut sections = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '$' if text[at + 1..].starts_with('{') => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && !is_drive(&text[start..at]) => {
                sections.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    sections.push(&text[start..]);
    sections
}

fn is_drive(before_colon: &str) -> bool {
    let mut letters = before_colon.chars();
    letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none()
}

/// Whether a source is a path and not the name of a volume: by its first character.
fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~'])
        || source.starts_with(r"\\")
        || source.split_once(':').is_some_and(|(before, _)| is_drive(before))
}

impl Mount {
    fn node(self, span: Span) -> Node {
        let text = |text: &str| Node::string(span, text);
        let flag = || Node::new(span, Value::Bool(true));
        let path = is_path(&self.source);
        let mut node = map_of(span, [("type", text(if path { "bind" } else { "volume" }))]);
        if !self.source.is_empty() {
            node.insert("source", text(&self.source));
        }
        node.insert("target", text(&clean(&self.target)));
        if self.read_only {
            node.insert("read_only", flag());
        }
        let mut bind = Node::map(span);
        for (key, value) in [("selinux", &self.selinux), ("propagation", &self.propagation)] {
            if !value.is_empty() {
                bind.insert(key, text(value));
            }
        }
        if path {
            // whoever writes the short form wants the folder to be made
            bind.insert("create_host_path", flag());
        }
        if path || bind.as_map().is_some_and(|map| !map.is_empty()) {
            node.insert("bind", bind);
        }
        if self.nocopy {
            node.insert("volume", map_of(span, [("nocopy", flag())]));
        } else if !path && !self.tiny {
            node.insert("volume", Node::map(span));
        }
        node
    }
}

/// A path of the container without `.`, `..` and doubled slashes, whatever system this is.
pub(crate) fn clean(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part != ".." {
            parts.push(part);
        } else if parts.last().is_some_and(|last| *last != "..") {
            parts.pop();
        } else if !rooted {
            parts.push(part);
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Mount, clean, parse};

    fn mount(source: &str, target: &str) -> Mount {
        Mount { source: source.into(), target: target.into(), ..Mount::default() }
    }

    #[test]
    fn short_forms_are_read() {
        for (text, wanted) in [
            ("/data", mount("", "/data")),
            ("db:/data", mount("db", "/data")),
            ("./a:/b:ro,z", Mount { read_only: true, selinux: "z".into(), ..mount("./a", "/b") }),
            ("v1:/b:nocopy,whatever", Mount { nocopy: true, ..mount("v1", "/b") }),
            (r"C:\a:D:\b", mount(r"C:\a", r"D:\b")),
            ("v:/data", mount("", "v:/data")),
            ("/x", Mount { tiny: true, ..mount("", "/x") }),
            ("${A:-b}:/c", mount("${A:-b}", "/c")),
        ] {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_mount_is_refused() {
        for text in ["", ":/data", "a1::/b", "a1:/b:ro:x", "a1:/b:"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn targets_are_cleaned() {
        for (path, wanted) in
            [("/a/", "/a"), ("/a/../b//c/.", "/b/c"), ("/..", "/"), ("a/../..", ".."), ("./", "."), ("", ".")]
        {
            assert_eq!(clean(path), wanted, "{path}");
        }
    }
}
