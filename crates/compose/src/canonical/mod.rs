//! Short forms become long ones: a list of dependencies a map, a text of a port a map with target and protocol.
//!
//! What comes after sees only long forms. It happens after each file, when the schema has let the tree pass, so that a later
//! file is merged over long forms.

mod ports;
mod resources;
mod service;
mod volume;

pub(crate) use volume::clean;

use crate::path::Path;
use crate::problem::{Code, Report};
use crate::tree::{Key, Map, Node, Span, Value};

/// Makes every attribute of a project long.
pub(crate) fn apply(root: &mut Node, report: &mut Report) {
    each(root, "services", Path::ROOT, report, service::long);
    for kind in ["volumes", "networks", "secrets", "configs"] {
        each(root, kind, Path::ROOT, report, resources::long);
    }
}

/// Fills in what is not given: the protocol of a port, the target of a secret, a build's context.
pub(crate) fn defaults(root: &mut Node, report: &mut Report) {
    each(root, "services", Path::ROOT, report, service::defaults);
}

/// Does something with every entry of a map.
fn each(node: &mut Node, key: &str, path: Path<'_>, report: &mut Report, run: fn(&mut Node, Path<'_>, &mut Report)) {
    let path = path.next(key);
    for (name, value) in node.get_mut(key).and_then(Node::as_map_mut).into_iter().flatten() {
        run(value, path.next(name.as_str()), report);
    }
}

/// Does something with every item of a list.
fn items(node: &mut Node, key: &str, path: Path<'_>, report: &mut Report, run: fn(&mut Node, Path<'_>, &mut Report)) {
    let path = path.next(key);
    for item in node.get_mut(key).and_then(Node::as_seq_mut).into_iter().flatten() {
        run(item, path, report);
    }
}

/// Does something with an attribute, if it is there.
fn attribute(
    node: &mut Node,
    key: &str,
    path: Path<'_>,
    report: &mut Report,
    run: fn(&mut Node, Path<'_>, &mut Report),
) {
    if let Some(value) = node.get_mut(key) {
        run(value, path.next(key), report);
    }
}

/// A map of some texts that loading made.
fn map_of<const N: usize>(span: Span, entries: [(&str, Node); N]) -> Node {
    let entries = entries.into_iter().map(|(key, value)| (Key::new(key, span), value));
    Node::new(span, Value::Map(entries.collect::<Map>()))
}

/// Sets a key that is not there.
fn default(node: &mut Node, key: &str, value: Value) {
    if node.get(key).is_none() {
        let span = node.span;
        node.insert(key, Node::new(span, value));
    }
}

fn mistyped(node: &Node, path: Path<'_>, wanted: &str, report: &mut Report) {
    report.error(Code::WrongType, node.span, format!("`{path}` must be {wanted}, it is {}", node.describe()));
}
