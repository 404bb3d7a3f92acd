//! Relative paths become absolute: below the folder of the project, of the included project, or of the extended file.

use std::path::Path as FilePath;

use crate::files::{Files, clean};
use crate::path::Path;
use crate::problem::{Code, Report};
use crate::tree::{Node, Value};

/// What a path may be besides relative.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// `~` is the home; a list has several.
    Plain,
    /// A folder, or what a builder fetches: an address, another service.
    Context,
    /// As `Plain`, and links on the way are followed.
    Link,
    /// Absolute on Unix or Windows.
    Foreign,
    /// The source of a bind.
    Mount,
    /// `device` of a volume that is a bind.
    Driver,
}

const PATHS: [(&str, Kind); 11] = [
    ("services.*.build.context", Kind::Context),
    ("services.*.build.additional_contexts.*", Kind::Context),
    ("services.*.build.ssh.*", Kind::Foreign),
    ("services.*.env_file.[].path", Kind::Plain),
    ("services.*.label_file.[]", Kind::Plain),
    ("services.*.extends.file", Kind::Plain),
    ("services.*.develop.watch.[].path", Kind::Link),
    ("services.*.volumes.[]", Kind::Mount),
    ("configs.*.file", Kind::Foreign),
    ("secrets.*.file", Kind::Foreign),
    ("volumes.*", Kind::Driver),
];

/// Where relative paths start, and what `~` is.
#[derive(Clone, Copy)]
pub(crate) struct Base<'a> {
    pub(crate) folder: &'a FilePath,
    pub(crate) home: Option<&'a str>,
    pub(crate) files: &'a dyn Files,
}

/// Makes every path of a project absolute; what is absolute already stays.
pub(crate) fn resolve(root: &mut Node, base: Base<'_>, report: &mut Report) {
    walk(root, Path::ROOT, base, report);
}

fn walk(node: &mut Node, path: Path<'_>, base: Base<'_>, report: &mut Report) {
    if let Some((_, kind)) = PATHS.iter().find(|(pattern, _)| path.matches(pattern)) {
        apply(*kind, node, base, report);
        return;
    }
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map {
                walk(value, path.next(key.as_str()), base, report);
            }
        }
        Value::Seq(items) => {
            for item in items {
                walk(item, path.next("[]"), base, report);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) | Value::Time(_) => {}
    }
}

fn apply(kind: Kind, node: &mut Node, base: Base<'_>, report: &mut Report) {
    match kind {
        Kind::Plain => plain(node, base),
        Kind::Context => {
            if node.as_str().is_some_and(|text| !is_fetched(text)) {
                plain(node, base);
            }
        }
        Kind::Link => {
            plain(node, base);
            if let Value::String(text) = &mut node.value {
                *text = base.files.follow(FilePath::new(text)).to_string_lossy().into_owned();
            }
        }
        Kind::Foreign => foreign(node, base),
        Kind::Mount => {
            if node.get("type").and_then(Node::as_str) == Some("bind") {
                let span = node.span;
                match node.get_mut("source") {
                    Some(source) => foreign(source, base),
                    None => report.error(Code::BadValue, span, "a bind needs a `source`"),
                }
            }
        }
        Kind::Driver => {
            let local = node.get("driver").and_then(Node::as_str) == Some("local");
            if let Some(options) = node.get_mut("driver_opts").filter(|_| local)
                && options.get("o").and_then(Node::as_str) == Some("bind")
                && let Some(device) = options.get_mut("device")
            {
                foreign(device, base);
            }
        }
    }
}

fn plain(node: &mut Node, base: Base<'_>) {
    match &mut node.value {
        Value::String(text) => {
            let expanded = home(text, base);
            *text = if expanded.is_empty() || expanded.starts_with('/') { expanded } else { below(&expanded, base) };
        }
        Value::Seq(items) => {
            for item in items {
                plain(item, base);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Time(_) | Value::Map(_) => {}
    }
}

fn foreign(node: &mut Node, base: Base<'_>) {
    if let Value::String(text) = &mut node.value {
        let expanded = home(text, base);
        *text = if expanded.starts_with('/') || is_windows(&expanded) { expanded } else { below(&expanded, base) };
    }
}

fn below(text: &str, base: Base<'_>) -> String {
    clean(&base.folder.join(text)).to_string_lossy().into_owned()
}

fn home(text: &str, base: Base<'_>) -> String {
    match (text.strip_prefix('~'), base.home) {
        (Some(rest), Some(home)) => clean(FilePath::new(&format!("{home}/{rest}"))).to_string_lossy().into_owned(),
        (_, _) => text.to_owned(),
    }
}

/// What a builder fetches by itself.
fn is_fetched(text: &str) -> bool {
    const REMOTE: [&str; 6] = ["https://", "http://", "git://", "ssh://", "github.com/", "git@"];
    text.contains("://") || text.starts_with("service:") || REMOTE.iter().any(|prefix| text.starts_with(prefix))
}

/// A drive and a slash, or a share.
fn is_windows(text: &str) -> bool {
    let slash = |byte: u8| byte == b'\\' || byte == b'/';
    match text.as_bytes() {
        [_, b':', next, ..] => slash(*next),
        [first, second, ..] => slash(*first) && slash(*second),
        _ => false,
    }
}
