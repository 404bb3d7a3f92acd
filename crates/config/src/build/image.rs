//! The image of a container: its name, its build, when it is pulled.

use super::read::Cx;
use crate::problem::Code;
use crate::tree::{Node, Span};
use indexmap::IndexMap;
use muster_spec::{ImageBuild, PullPolicy, Template};

pub(super) fn image(cx: &mut Cx<'_>, node: &Node) -> Option<Template> {
    let value = node.get("image")?;
    let image = cx.template(value)?;
    if let Some(text) = image.as_literal().filter(|_| !cx.report.is_unset_within(value.span)) {
        check_name(cx, &text, value.span);
    }
    Some(image)
}

/// `[registry[:port]/]path[:tag][@digest]` (distribution/reference).
fn check_name(cx: &mut Cx<'_>, text: &str, span: Span) {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    let (path, tag) = match last.split_once(':') {
        Some((_, tag)) => (&name[..name.len() - tag.len() - 1], Some(tag)),
        None => (name, None),
    };
    let good_path =
        !path.is_empty() && path.split('/').all(|piece| !piece.is_empty() && !piece.chars().any(char::is_whitespace));
    let good_tag = tag.is_none_or(|tag| {
        (1..=128).contains(&tag.len())
            && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    });
    let good_digest = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(_, hex)| hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit()))
    });
    // a registry is a host, and may have capitals
    let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let within = path.split_once('/').filter(|(first, _)| is_host(first)).map_or(path, |(_, within)| within);
    let lower = !within.contains(|c: char| c.is_ascii_uppercase());
    if good_path && good_tag && good_digest && lower {
        return;
    }
    let item = cx.report.error(Code::BadImage, span, format!("`{text}` cannot be the name of an image"));
    item.help(match lower {
        true => "write `name`, `name:tag`, `registry.example/name:tag` or `name@sha256:...`".to_owned(),
        false => format!("image names are written in small letters: `{}`", text.to_lowercase()),
    });
}

pub(super) fn pull(cx: &mut Cx<'_>, node: &Node) -> PullPolicy {
    let words = [
        ("missing", PullPolicy::Missing),
        ("if_not_present", PullPolicy::Missing),
        ("always", PullPolicy::Always),
        ("never", PullPolicy::Never),
    ];
    cx.word(node, "pull_policy", &words).unwrap_or_default()
}

pub(super) fn build(cx: &mut Cx<'_>, node: &Node) -> Option<ImageBuild> {
    if node.as_map().is_none() {
        return Some(ImageBuild { context: cx.homed_path(node)?, ..ImageBuild::default() });
    }
    let here = cx.sources.folder(node.span.file).to_owned();
    let context = match node.get("context") {
        Some(context) => cx.homed_path(context)?,
        None => here,
    };
    if let (Some(_), Some(inline)) = (node.get("dockerfile"), node.get("dockerfile_inline")) {
        cx.report.error(Code::Conflict, inline.span, "`dockerfile` and `dockerfile_inline` exclude each other");
    }
    Some(ImageBuild {
        context,
        dockerfile: cx.text_at(node, "dockerfile").map(Into::into),
        dockerfile_inline: cx.text_at(node, "dockerfile_inline"),
        args: args(cx, node),
        target: cx.text_at(node, "target"),
        labels: cx.pairs(node, "labels"),
        no_cache: cx.flag(node, "no_cache").unwrap_or(false),
        pull: cx.flag(node, "pull").unwrap_or(false),
        platform: cx.text_at(node, "platform"),
        network: cx.text_at(node, "network"),
    })
}

/// A name without a value is the builder's own.
fn args(cx: &mut Cx<'_>, node: &Node) -> IndexMap<String, Option<String>> {
    let Some(value) = node.get("args") else { return IndexMap::new() };
    let mut out = IndexMap::new();
    match value.as_map() {
        Some(map) => {
            for (name, entry) in map {
                let text = if entry.value.is_null() { Some(None) } else { cx.text(&entry.value).map(Some) };
                out.extend(text.map(|text| (name.clone(), text)));
            }
        }
        None => {
            for item in value.one_or_many() {
                let Some(text) = cx.text(item) else { continue };
                let (name, value) =
                    text.split_once('=').map_or((text.as_str(), None), |(n, v)| (n, Some(v.to_owned())));
                out.insert(name.to_owned(), value);
            }
        }
    }
    out
}
