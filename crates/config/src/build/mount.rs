//! What a container sees at which path: the short and the long form.

use super::read::Cx;
use crate::problem::Code;
use crate::tree::{Node, Span};
use muster_spec::{ByteSize, Mount, MountSource, Part, Template, VolumeSource};

/// Words that may follow the second colon of a short form (compose-spec, services: volumes, short syntax; bind propagation:
/// mount_namespaces(7)).
const PROPAGATION: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
/// Meant something to one engine on another system: they are taken and mean nothing here, as the specification says.
const CONSISTENCY: [&str; 3] = ["cached", "delegated", "consistent"];

/// `volumes:` and `tmpfs:`.
pub(super) fn mounts(cx: &mut Cx<'_>, node: &Node) -> Vec<Mount<Template>> {
    let volumes = node.get("volumes").map(Node::one_or_many).unwrap_or_default();
    let mut out: Vec<(Span, Mount<Template>)> = Vec::new();
    for item in volumes {
        let found = if item.as_map().is_some() { long(cx, item) } else { short(cx, item) };
        out.extend(found.map(|mount| (item.span, mount)));
    }
    for item in node.get("tmpfs").map(Node::one_or_many).unwrap_or_default() {
        out.extend(tmpfs(cx, item).map(|mount| (item.span, mount)));
    }
    let mut mounts: Vec<Mount<Template>> = Vec::with_capacity(out.len());
    for (span, mount) in out {
        if mounts.iter().any(|other| other.target == mount.target) {
            let message = format!("two things are mounted at `{}`", mount.target);
            cx.report.error(Code::BadMount, span, message).help("give one of them another path");
        }
        mounts.push(mount);
    }
    mounts
}

fn wrong(cx: &mut Cx<'_>, span: Span, what: &str) {
    let item = cx.report.error(Code::BadMount, span, what);
    item.help("write `name:/path`, `./folder:/path:ro` or `/path`, or the long form: `{type: bind, source, target}`");
}

/// `name:/path`, `./folder:/path`, `/path` alone; with `:ro` and the like.
fn short(cx: &mut Cx<'_>, node: &Node) -> Option<Mount<Template>> {
    let Template(mut parts) = cx.template(node)?;
    let open = parts.len() > 1;
    let Some(Part::Text(last)) = parts.pop() else {
        wrong(cx, node.span, "a reference cannot stand in a path of the container");
        return None;
    };
    let fields: Vec<&str> = last.split(':').collect();
    let (source, target, options) = match fields[..] {
        [target] if !open => (None, target, None),
        [target, options] if !open && target.starts_with('/') && !options.starts_with('/') => {
            (None, target, Some(options))
        }
        [source, target] => (Some(source), target, None),
        [source, target, options] => (Some(source), target, Some(options)),
        _ => {
            wrong(cx, node.span, &format!("`{last}` does not say what is mounted where"));
            return None;
        }
    };
    let target = self::target(cx, target, node.span)?;
    let Some(source) = source else {
        let mut mount = Mount { source: MountSource::Anonymous, target, read_only: false };
        modify(cx, &mut mount, options, node.span);
        return Some(mount);
    };
    if !source.is_empty() {
        parts.push(Part::Text(source.to_owned()));
    }
    let template = Template(parts);
    let source = match template.as_literal() {
        Some(name) if !name.starts_with(['.', '/', '~']) => {
            MountSource::Volume(VolumeSource { name: volume_name(cx, &name, node.span)?, ..VolumeSource::default() })
        }
        _ => MountSource::Bind { path: cx.homed(template, node.span)?, create: true, propagation: None },
    };
    let mut mount = Mount { source, target, read_only: false };
    modify(cx, &mut mount, options, node.span);
    Some(mount)
}

/// What follows the second colon.
fn modify(cx: &mut Cx<'_>, mount: &mut Mount<Template>, options: Option<&str>, span: Span) {
    for option in options.into_iter().flat_map(|text| text.split(',')) {
        match (option, &mut mount.source) {
            ("ro", _) => mount.read_only = true,
            ("rw", _) => mount.read_only = false,
            ("nocopy", MountSource::Volume(volume)) => volume.nocopy = true,
            (word, MountSource::Bind { propagation, .. }) if PROPAGATION.contains(&word) => {
                *propagation = Some(word.to_owned());
            }
            (word, _) if CONSISTENCY.contains(&word) => {}
            (word, _) => {
                let item = cx.report.error(Code::BadMount, span, format!("`{word}` is no option of this mount"));
                item.help("there are `ro`, `rw`, of a volume `nocopy`, of a folder `rprivate`, `rshared` and the like");
            }
        }
    }
}

fn target(cx: &mut Cx<'_>, text: &str, span: Span) -> Option<String> {
    if text.starts_with('/') {
        let trimmed = text.trim_end_matches('/');
        return Some(if trimmed.is_empty() { "/" } else { trimmed }.to_owned());
    }
    wrong(cx, span, &format!("`{text}` is no absolute path in the container"));
    None
}

/// As the engines take them: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn volume_name(cx: &mut Cx<'_>, name: &str, span: Span) -> Option<String> {
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if first && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return Some(name.to_owned());
    }
    let item = cx.report.error(Code::BadMount, span, format!("`{name}` cannot be the name of a volume"));
    item.help("a name has letters, digits, `_`, `.` and `-`; a folder of this machine starts with `./`, `/` or `~/`");
    None
}

/// `/run`, `/tmp:size=64m,mode=1777`.
fn tmpfs(cx: &mut Cx<'_>, node: &Node) -> Option<Mount<Template>> {
    let text = cx.text(node)?;
    let (path, options) = text.split_once(':').map_or((text.as_str(), ""), |(path, options)| (path, options));
    let target = target(cx, path, node.span)?;
    let (mut size, mut mode, mut read_only) = (None, None, false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) => size = size_of(cx, value, node.span),
            Some(("mode", value)) => mode = octal(cx, value, node.span),
            None if option == "ro" => read_only = true,
            None if option == "rw" => {}
            Some(_) | None => {
                let item = cx.report.error(Code::BadMount, node.span, format!("`{option}` is no option of a tmpfs"));
                item.help("there are `size=64m`, `mode=1777` and `ro`");
            }
        }
    }
    Some(Mount { source: MountSource::Tmpfs { size, mode }, target, read_only })
}

fn size_of(cx: &mut Cx<'_>, text: &str, span: Span) -> Option<ByteSize> {
    let found = text.parse();
    if let Err(error) = &found {
        cx.report.error(Code::BadSize, span, format!("{error}"));
    }
    found.ok()
}

fn octal(cx: &mut Cx<'_>, text: &str, span: Span) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let found = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777);
    if found.is_none() {
        cx.report.error(Code::BadMount, span, format!("`{text}` is no octal mode from `0` to `7777`"));
    }
    found
}

fn mode_at(cx: &mut Cx<'_>, node: &Node) -> Option<u32> {
    let value = node.get("mode")?;
    let text = cx.text(value)?;
    octal(cx, &text, value.span)
}

/// The long form: `{type, source, target, ...}`.
fn long(cx: &mut Cx<'_>, node: &Node) -> Option<Mount<Template>> {
    let kind = cx.text_at(node, "type").unwrap_or_else(|| "volume".to_owned());
    foreign_keys(cx, node, &kind);
    let Some(value) = node.get("target") else {
        cx.missing(node.span, "a mount needs a `target`, its path in the container");
        return None;
    };
    let text = cx.text(value)?;
    let target = target(cx, &text, value.span)?;
    let source = match kind.as_str() {
        "bind" => bind(cx, node)?,
        "volume" => volume(cx, node)?,
        "tmpfs" => {
            let own = node.get("tmpfs");
            let size = own.and_then(|own| own.get("size")).and_then(|value| cx.size_of(value));
            MountSource::Tmpfs { size, mode: own.and_then(|own| mode_at(cx, own)) }
        }
        "content" => {
            let Some(text) = cx.template_at(node, "content") else {
                cx.missing(node.span, "a mount of `type: content` needs `content`");
                return None;
            };
            MountSource::Content { text, mode: mode_at(cx, node) }
        }
        // The table of keys said so already.
        _ => return None,
    };
    Some(Mount { source, target, read_only: cx.flag(node, "read_only").unwrap_or(false) })
}

/// Keys that belong to another type.
fn foreign_keys(cx: &mut Cx<'_>, node: &Node, kind: &str) {
    let owners: [(&str, &[&str]); 6] = [
        ("source", &["bind", "volume"]),
        ("bind", &["bind"]),
        ("volume", &["volume"]),
        ("tmpfs", &["tmpfs"]),
        ("content", &["content"]),
        ("mode", &["content"]),
    ];
    for (key, kinds) in owners {
        if let Some(value) = node.get(key).filter(|_| !kinds.contains(&kind)) {
            let message = format!("`{key}` means nothing for `type: {kind}`");
            cx.report.error(Code::Conflict, value.span, message);
        }
    }
}

fn bind(cx: &mut Cx<'_>, node: &Node) -> Option<MountSource<Template>> {
    let Some(value) = node.get("source") else {
        cx.missing(node.span, "a mount of `type: bind` needs a `source`, a path of this machine");
        return None;
    };
    let template = cx.template(value)?;
    let path = cx.homed(template, value.span)?;
    let own = node.get("bind");
    let create = own.and_then(|own| cx.flag(own, "create_host_path")).unwrap_or(true);
    let words = PROPAGATION.map(|word| (word, word));
    let propagation = own.and_then(|own| cx.word(own, "propagation", &words)).map(str::to_owned);
    Some(MountSource::Bind { path, create, propagation })
}

fn volume(cx: &mut Cx<'_>, node: &Node) -> Option<MountSource<Template>> {
    let own = node.get("volume");
    let Some(value) = node.get("source") else {
        if let Some(own) = own.filter(|own| own.as_map().is_some_and(|map| !map.is_empty())) {
            cx.missing(own.span, "a volume with options needs a name: `source`");
        }
        return Some(MountSource::Anonymous);
    };
    let name = cx.text(value)?;
    let mut volume = VolumeSource { name: volume_name(cx, &name, value.span)?, ..VolumeSource::default() };
    if let Some(own) = own {
        volume.external = cx.flag(own, "external").unwrap_or(false);
        volume.driver = cx.text_at(own, "driver");
        volume.driver_opts = cx.pairs(own, "driver_opts");
        volume.subpath = cx.text_at(own, "subpath");
        volume.nocopy = cx.flag(own, "nocopy").unwrap_or(false);
        if volume.external && (volume.driver.is_some() || !volume.driver_opts.is_empty()) {
            cx.report.error(Code::Conflict, own.span, "an external volume is there already: it has no `driver` here");
        }
    }
    Some(MountSource::Volume(volume))
}
