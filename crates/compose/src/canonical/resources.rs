//! Networks, volumes, secrets and configs: the old form of `external`.

use super::mistyped;
use crate::path::Path;
use crate::problem::{Code, Report};
use crate::tree::{Node, Value};

/// `external: {name: N}` becomes `external: true` and `name: N`.
pub(super) fn long(node: &mut Node, path: Path<'_>, report: &mut Report) {
    if node.is_null() {
        return;
    }
    if node.as_map().is_none() {
        return mistyped(node, path, "a map", report);
    }
    let Some(external) = node.get("external").filter(|external| external.as_map().is_some()).cloned() else { return };
    node.insert("external", Node::new(external.span, Value::Bool(true)));
    let Some(name) = external.get("name") else { return };
    report.warn(
        Code::Obsolete,
        Some(external.span),
        format!("`{path}.external.name` is obsolete: write `name` beside `external: true`"),
    );
    match node.get("name") {
        None => node.insert("name", name.clone()),
        Some(own) if own.value == name.value => {}
        Some(own) => {
            let message = format!("`{path}` has a `name` and another one in `external`: keep `name`");
            report.error(Code::Conflict, own.span, message);
        }
    }
}
