//! The variants `container` and `remote`.

use super::command::{self, Place};
use super::read::Cx;
use crate::problem::Code;
use crate::tree::{Node, Span};
use muster_spec::{
    ContainerOptions, ContainerSpec, ImageBuild, Mount, MountSource, Part, PullPolicy, RemoteSpec, SyncPath, Template,
    VolumeSource,
};

pub(super) fn container(cx: &mut Cx<'_>, node: &Node) -> Option<ContainerSpec> {
    let build = node.get("build").and_then(|build| image_build(cx, build));
    let image = cx.template_at(node, "image");
    if image.is_none() && build.is_none() {
        cx.missing(node.span, "`container` needs an `image` or a `build`");
        return None;
    }
    let mounts = node.get("volumes").map(Node::one_or_many).unwrap_or_default();
    let mounts = mounts.iter().filter_map(|item| mount(cx, item)).collect();
    let command = node.get("command").and_then(|node| command::slot(cx, node, Place::Elsewhere));
    let options = ContainerOptions { user: cx.text_at(node, "user"), ..ContainerOptions::default() };
    Some(ContainerSpec { image, build, pull: PullPolicy::default(), entrypoint: None, command, mounts, options })
}

fn image_build(cx: &mut Cx<'_>, node: &Node) -> Option<ImageBuild> {
    if node.as_map().is_none() {
        return Some(ImageBuild { context: cx.path(node)?, ..ImageBuild::default() });
    }
    let here = cx.sources.folder(node.span.file).to_owned();
    let context = if node.get("context").is_some() { cx.path_at(node, "context")? } else { here };
    let dockerfile = cx.text_at(node, "dockerfile").map(Into::into);
    Some(ImageBuild { context, dockerfile, ..ImageBuild::default() })
}

/// `name:/path`, `./folder:/path`, `/path` alone; each with `:ro`.
fn mount(cx: &mut Cx<'_>, node: &Node) -> Option<Mount<Template>> {
    let Template(mut parts) = cx.template(node)?;
    let wrong = |cx: &mut Cx<'_>| {
        let message = "a volume is `name:/path`, `./folder:/path` or `/path`, and may end with `:ro`".to_owned();
        cx.report.error(Code::WrongType, node.span, message);
    };
    let Some(Part::Text(last)) = parts.last_mut() else {
        wrong(cx);
        return None;
    };
    let read_only = last.ends_with(":ro");
    let text = last.trim_end_matches(":ro").trim_end_matches(":rw").to_owned();
    let (before, target) = text.rsplit_once(':').map_or((None, text.as_str()), |(source, path)| (Some(source), path));
    if !target.starts_with('/') {
        wrong(cx);
        return None;
    }
    let target = target.to_owned();
    let Some(before) = before else {
        return Some(Mount { source: MountSource::Anonymous, target, read_only });
    };
    before.clone_into(last);
    let source = source_of(cx, Template(parts), node.span);
    Some(Mount { source, target, read_only })
}

/// A word is a volume's name; what starts like a path, or with a reference, is a path of this machine.
fn source_of(cx: &Cx<'_>, template: Template, span: Span) -> MountSource<Template> {
    match template.as_literal() {
        Some(name) if !name.starts_with(['.', '/', '~']) => {
            MountSource::Volume(VolumeSource { name, ..VolumeSource::default() })
        }
        _ => MountSource::Bind { path: cx.anchored(template, span), create: true, propagation: None },
    }
}

pub(super) fn remote(cx: &mut Cx<'_>, node: &Node) -> Option<RemoteSpec> {
    let command = command::of_map(cx, node, Place::Elsewhere);
    let host = cx.text_at(node, "host");
    if host.is_none() {
        cx.missing(node.span, "`remote` needs a `host`");
    }
    if command.is_none() && node.get("command").is_none() && node.get("shell").is_none() {
        cx.missing(node.span, "`remote` needs a `command`");
    }
    let mut sync = Vec::new();
    for item in node.get("sync").map(Node::one_or_many).unwrap_or_default() {
        let Some(text) = cx.text(item) else { continue };
        let Some((local, there)) = text.split_once(':') else {
            cx.report.error(Code::WrongType, item.span, format!("`{text}` is not `local:remote`"));
            continue;
        };
        let local = crate::files::normal(&cx.sources.folder(item.span.file).join(local));
        sync.push(SyncPath { local, remote: there.to_owned() });
    }
    let (user, cwd) = (cx.text_at(node, "user"), cx.template_at(node, "cwd"));
    Some(RemoteSpec { host: host?, command: command?, sync, user, cwd })
}
