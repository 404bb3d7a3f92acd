//! The flat form of a service, made long before merging so that overlays of both forms meet.

use crate::language::overrides;
use crate::problem::{Code, Report};
use crate::tree::{Entry, Kind, Map, Node, Span};
use muster_spec::RuntimeKind;

/// Expands the services and variables of a file, also those of environments.
pub(crate) fn expand(tree: &mut Node, report: &mut Report) {
    section(tree, report);
    let environments = tree.as_map_mut().and_then(|map| map.get_mut("environments"));
    if let Some(map) = environments.and_then(|entry| entry.value.as_map_mut()) {
        map.values_mut().for_each(|entry| section(&mut entry.value, report));
    }
}

fn section(tree: &mut Node, report: &mut Report) {
    if let Some(variables) = tree.as_map_mut().and_then(|map| map.get_mut("variables")) {
        // An overlay that gives a secret another default must not make it public.
        lengthen(&mut variables.value, "default");
    }
    let services = tree.as_map_mut().and_then(|map| map.get_mut("services"));
    let Some(services) = services.and_then(|entry| entry.value.as_map_mut()) else { return };
    for entry in services.values_mut() {
        if let Some(service) = entry.value.as_map_mut() {
            flat(service, report);
            for (word, key) in VARIANTS {
                long(service, word, key);
            }
            shared(service, true);
            for kind in RuntimeKind::ALL {
                if let Some(map) = service.get_mut(kind.as_str()).and_then(|entry| entry.value.as_map_mut()) {
                    shared(map, overrides(kind, "build"));
                }
            }
        }
    }
}

/// `NAME: value` of each entry becomes `NAME: {key: value}`.
fn lengthen(node: &mut Node, key: &str) {
    for entry in node.as_map_mut().into_iter().flat_map(|map| map.values_mut()) {
        if entry.value.as_scalar().is_none() || entry.value.is_null() || entry.value.tag.is_some() {
            continue;
        }
        let span = entry.value.span;
        let value = std::mem::replace(&mut entry.value, Node::map(span));
        insert(&mut entry.value, key, Entry { key_span: span, value });
    }
}

/// `process: "x"`, `container: image`, `external: url`, `mock: file`.
const VARIANTS: [(&str, &str); 4] =
    [("process", "command"), ("container", "image"), ("external", "url"), ("mock", "file")];

/// What a service says, and a variant may say for itself; its `build` may be an image's, which has no command.
fn shared(map: &mut Map, builds: bool) {
    if builds {
        long(map, "build", "command");
    }
    if let Some(ports) = map.get_mut("ports") {
        lengthen(&mut ports.value, "at");
    }
}

fn long(map: &mut Map, word: &str, key: &str) {
    let Some(entry) = map.get_mut(word) else { return };
    if entry.value.as_map().is_some() || entry.value.is_null() || entry.value.tag.is_some() {
        return;
    }
    let span = entry.value.span;
    let value = std::mem::replace(&mut entry.value, Node::map(span));
    insert(&mut entry.value, key, Entry { key_span: span, value });
}

/// `binary:`, `image:`, `host:` and the like beside `runtime:`.
fn flat(service: &mut Map, report: &mut Report) {
    let has = |key: &str| service.get(key).is_some_and(|entry| !entry.value.is_null());
    let runtime = service.get("runtime").and_then(|entry| entry.value.as_scalar()).map(|s| s.text.clone());
    let variant = match runtime.as_deref() {
        Some("container") => "container",
        Some("remote") => "remote",
        Some("process") => "process",
        Some(_) | None if has("host") => "remote",
        Some(_) | None if has("image") && !has("binary") => "container",
        Some(_) | None => "process",
    };
    if let Some(image) = service.shift_remove("image") {
        into_variant(service, "container", "image", image);
    }
    if let Some(host) = service.shift_remove("host") {
        into_variant(service, "remote", "host", host);
    }
    let args = service.shift_remove("args");
    if let Some(binary) = service.shift_remove("binary") {
        let command = words(&binary.value, args.as_ref().map(|entry| &entry.value));
        let target = if variant == "container" { "process" } else { variant };
        into_variant(service, target, "command", Entry { key_span: binary.key_span, value: command });
    } else if let Some(args) = args {
        let item = report.error(Code::MissingKey, args.key_span, "`args` without `binary`");
        item.help("write the arguments into `command: [program, argument]`");
    }
    for key in ["command", "shell"] {
        if let Some(entry) = service.shift_remove(key) {
            let (key, entry) = match (key, variant) {
                ("shell", "container") => ("command", shell_map(entry)),
                (key, _) => (key, entry),
            };
            into_variant(service, variant, key, entry);
        }
    }
}

fn shell_map(entry: Entry) -> Entry {
    let mut value = Node::map(entry.value.span);
    insert(&mut value, "shell", Entry { key_span: entry.key_span, value: entry.value });
    Entry { key_span: entry.key_span, value }
}

/// `binary` is one word, however it is spelled.
fn words(binary: &Node, args: Option<&Node>) -> Node {
    let mut list = vec![binary.clone()];
    list.extend(args.map(|args| args.one_or_many().to_vec()).unwrap_or_default());
    Node::new(binary.span, Kind::List(list))
}

fn into_variant(service: &mut Map, variant: &str, key: &str, entry: Entry) {
    let span: Span = entry.key_span;
    let slot = service.entry(variant.to_owned()).or_insert_with(|| Entry { key_span: span, value: Node::map(span) });
    if slot.value.as_map().is_none() {
        slot.value = Node::map(span);
    }
    insert(&mut slot.value, key, entry);
}

fn insert(node: &mut Node, key: &str, entry: Entry) {
    if let Some(map) = node.as_map_mut() {
        map.entry(key.to_owned()).or_insert(entry);
    }
}
