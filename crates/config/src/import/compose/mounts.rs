//! What a container sees: paths, volumes, memory, configs and secrets.

use super::{Body, Import, escaped, size};
use muster_compose::model::{Grant, Service, Volume};
use serde_json::{Value, json};

pub(super) fn mounts(import: &mut Import<'_>, name: &str, service: &Service, body: &mut Body) {
    let mut mounts: Vec<Value> = Vec::new();
    for mount in &service.volumes {
        mounts.extend(self::mount(import, name, mount));
    }
    for grant in &service.configs {
        mounts.extend(config(import, name, grant));
    }
    for grant in &service.secrets {
        mounts.extend(secret(import, name, grant));
    }
    if !mounts.is_empty() {
        body.put("volumes", Value::Array(mounts));
    }
}

fn mount(import: &mut Import<'_>, name: &str, mount: &Volume) -> Option<Value> {
    let attribute = format!("volumes.{}", mount.target);
    if !mount.target.starts_with('/') {
        import.lose(name, &attribute, "it is no absolute path in the container", "nothing is mounted there");
        return None;
    }
    let mut out = Body::default();
    out.put("type", json!(mount.r#type));
    match mount.r#type.as_str() {
        "bind" => bind(import, name, &attribute, mount, &mut out),
        "volume" => volume(import, name, &attribute, mount, &mut out),
        "tmpfs" => {
            let mut own = Body::default();
            if let Some(tmpfs) = &mount.tmpfs {
                if tmpfs.size.0 > 0 {
                    own.put("size", json!(size(tmpfs.size.0)));
                }
                if tmpfs.mode > 0 {
                    own.put("mode", json!(format!("{:o}", tmpfs.mode)));
                }
            }
            out.body("tmpfs", own);
        }
        other => {
            let reason = format!("there are no mounts of type `{other}`");
            import.lose(name, &attribute, &reason, "nothing is mounted there");
            return None;
        }
    }
    out.text("target", &mount.target);
    out.flag("read_only", mount.read_only);
    Some(Value::Object(out.0))
}

fn bind(import: &mut Import<'_>, name: &str, attribute: &str, mount: &Volume, out: &mut Body) {
    out.text("source", &import.path(&mount.source));
    let options = mount.bind.clone().unwrap_or_default();
    let mut own = Body::default();
    if !options.create_host_path {
        own.put("create_host_path", json!(false));
    }
    own.text("propagation", &options.propagation);
    out.body("bind", own);
    for (key, value) in [("selinux", &options.selinux), ("recursive", &options.recursive)] {
        if !value.is_empty() {
            import.lose(
                name,
                &format!("{attribute}.bind.{key}"),
                "mounts do not say it",
                "the engine's default counts",
            );
        }
    }
}

fn volume(import: &mut Import<'_>, name: &str, attribute: &str, mount: &Volume, out: &mut Body) {
    let options = mount.volume.clone().unwrap_or_default();
    if !options.labels.is_empty() {
        import.lose(
            name,
            &format!("{attribute}.volume.labels"),
            "volumes have no labels of yours",
            "they are left out",
        );
    }
    if mount.source.is_empty() {
        return;
    }
    let mut own = Body::default();
    let declared = import.project.volumes.get(&mount.source).cloned().unwrap_or_default();
    if declared.external {
        own.flag("external", true);
        out.text("source", &declared.name);
    } else {
        out.text("source", &mount.source);
        own.text("driver", &declared.driver);
        own.pairs("driver_opts", declared.driver_opts.iter());
    }
    own.text("subpath", &options.subpath);
    own.flag("nocopy", options.nocopy);
    out.body("volume", own);
}

/// A config is a file, or its text.
fn config(import: &mut Import<'_>, name: &str, grant: &Grant) -> Option<Value> {
    let attribute = format!("configs.{}", grant.source);
    let config = import.project.configs.get(&grant.source)?.clone();
    let target = absolute(&grant.target, &grant.source, "/");
    if !config.file.is_empty() {
        return Some(file(import, name, &attribute, grant, &config.file, &target));
    }
    if config.external {
        import.lose(name, &attribute, "it is kept outside of the project", "nothing is mounted there");
        return None;
    }
    let text = match import.project.environment.get(&config.environment) {
        Some(value) if !config.environment.is_empty() => escaped(value),
        _ => escaped(&config.content),
    };
    Some(content(import, name, &attribute, grant, &text, &target))
}

/// A secret is a file, or a variable that is masked everywhere.
fn secret(import: &mut Import<'_>, name: &str, grant: &Grant) -> Option<Value> {
    let attribute = format!("secrets.{}", grant.source);
    let secret = import.project.secrets.get(&grant.source)?.clone();
    let target = absolute(&grant.target, &grant.source, "/run/secrets/");
    if !secret.file.is_empty() {
        return Some(file(import, name, &attribute, grant, &secret.file, &target));
    }
    if secret.environment.is_empty() {
        import.lose(name, &attribute, "it is kept outside of the project", "nothing is mounted there");
        return None;
    }
    import.secrets.insert(secret.environment.clone(), json!({"secret": true}));
    Some(content(import, name, &attribute, grant, &format!("${{{}}}", secret.environment), &target))
}

fn absolute(target: &str, source: &str, folder: &str) -> String {
    match target {
        "" => format!("{folder}{source}"),
        target if target.starts_with('/') => target.to_owned(),
        target => format!("{folder}{target}"),
    }
}

fn file(import: &mut Import<'_>, name: &str, attribute: &str, grant: &Grant, path: &str, target: &str) -> Value {
    owner(import, name, attribute, grant);
    if grant.mode.is_some() {
        import.lose(name, &format!("{attribute}.mode"), "a file keeps its own permissions", "it is mounted as it is");
    }
    let mut out = Body::default();
    out.put("type", json!("bind"));
    out.text("source", &import.path(path));
    out.text("target", target);
    out.flag("read_only", true);
    out.put("bind", json!({"create_host_path": false}));
    Value::Object(out.0)
}

fn content(import: &mut Import<'_>, name: &str, attribute: &str, grant: &Grant, text: &str, target: &str) -> Value {
    owner(import, name, attribute, grant);
    let mut out = Body::default();
    out.put("type", json!("content"));
    out.put("content", json!(text));
    out.text("target", target);
    if let Some(mode) = grant.mode {
        out.put("mode", json!(format!("{:04o}", mode.0)));
    }
    out.flag("read_only", true);
    Value::Object(out.0)
}

fn owner(import: &mut Import<'_>, name: &str, attribute: &str, grant: &Grant) {
    for (key, value) in [("uid", &grant.uid), ("gid", &grant.gid)] {
        if !value.is_empty() {
            import.lose(name, &format!("{attribute}.{key}"), "a file keeps its owner", "it is mounted as it is");
        }
    }
}
