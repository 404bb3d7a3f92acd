//! The variants `container` and `remote` as they are written in a file.

use super::{Object, command, escape, path, template, text};
use muster_spec::{ContainerSpec, ImageBuild, Mount, MountSource, RemoteSpec, Template};
use serde_json::{Value, json};

pub(super) fn variant(spec: &ContainerSpec) -> Value {
    let mut out = Object::default();
    out.option("image", spec.image.as_ref().map(template));
    out.option("build", spec.build.as_ref().map(build));
    out.option("command", spec.command.as_ref().map(command));
    out.some("volumes", Value::Array(spec.mounts.iter().map(mount).collect()));
    out.option("user", spec.options.user.as_deref().map(escape));
    out.done()
}

fn build(spec: &ImageBuild) -> Value {
    let mut out = Object::default();
    out.put("context", path(&spec.context));
    out.option("dockerfile", spec.dockerfile.as_deref().map(path));
    out.done()
}

fn mount(mount: &Mount<Template>) -> Value {
    let end = if mount.read_only { ":ro" } else { "" };
    let target = escape(&mount.target);
    match &mount.source {
        MountSource::Bind { path, .. } => json!(format!("{path}:{target}{end}")),
        MountSource::Volume(volume) => json!(format!("{}:{target}{end}", escape(&volume.name))),
        MountSource::Anonymous => json!(format!("{target}{end}")),
        MountSource::Tmpfs { .. } => json!({ "type": "tmpfs", "target": target }),
        MountSource::Content { text, .. } => {
            json!({ "type": "content", "target": target, "content": text.to_string() })
        }
    }
}

pub(super) fn remote(spec: &RemoteSpec) -> Value {
    let mut out = Object::default();
    out.put("host", text(&spec.host));
    out.put("command", command(&spec.command));
    let sync = spec.sync.iter().map(|pair| json!(escape(&format!("{}:{}", pair.local.display(), pair.remote))));
    out.some("sync", Value::Array(sync.collect()));
    out.option("user", spec.user.as_deref().map(escape));
    out.option("cwd", spec.cwd.as_ref().map(template));
    out.done()
}
