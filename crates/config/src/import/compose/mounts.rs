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

/// A config or secret on its way to a path of a container.
struct Granted<'g> {
    name: &'g str,
    attribute: String,
    grant: &'g Grant,
    target: String,
}

/// A config is a file, or its text.
fn config(import: &mut Import<'_>, name: &str, grant: &Grant) -> Option<Value> {
    let config = import.project.configs.get(&grant.source)?.clone();
    let granted = Granted::new(name, "configs", grant, "/");
    if !config.file.is_empty() {
        return Some(granted.file(import, &config.file));
    }
    if config.external {
        import.lose(name, &granted.attribute, "it is kept outside of the project", "nothing is mounted there");
        return None;
    }
    let text = match import.project.environment.get(&config.environment) {
        Some(value) if !config.environment.is_empty() => escaped(value),
        _ => escaped(&config.content),
    };
    Some(granted.content(import, &text))
}

/// A secret is a file, or a variable that is masked everywhere.
fn secret(import: &mut Import<'_>, name: &str, grant: &Grant) -> Option<Value> {
    let secret = import.project.secrets.get(&grant.source)?.clone();
    let granted = Granted::new(name, "secrets", grant, "/run/secrets/");
    if !secret.file.is_empty() {
        return Some(granted.file(import, &secret.file));
    }
    if secret.environment.is_empty() {
        import.lose(name, &granted.attribute, "it is kept outside of the project", "nothing is mounted there");
        return None;
    }
    import.secrets.insert(secret.environment.clone(), json!({"secret": true}));
    Some(granted.content(import, &format!("${{{}}}", secret.environment)))
}

impl<'g> Granted<'g> {
    /// A target that is no absolute path lies in a folder.
    fn new(name: &'g str, kind: &str, grant: &'g Grant, folder: &str) -> Self {
        let target = match grant.target.as_str() {
            "" => format!("{folder}{}", grant.source),
            target if target.starts_with('/') => target.to_owned(),
            target => format!("{folder}{target}"),
        };
        Self { name, attribute: format!("{kind}.{}", grant.source), grant, target }
    }

    fn file(&self, import: &mut Import<'_>, path: &str) -> Value {
        self.owner(import);
        if self.grant.mode.is_some() {
            let attribute = format!("{}.mode", self.attribute);
            import.lose(self.name, &attribute, "a file keeps its own permissions", "it is mounted as it is");
        }
        let mut out = Body::default();
        out.put("type", json!("bind"));
        out.text("source", &import.path(path));
        out.text("target", &self.target);
        out.flag("read_only", true);
        out.put("bind", json!({"create_host_path": false}));
        Value::Object(out.0)
    }

    fn content(&self, import: &mut Import<'_>, text: &str) -> Value {
        self.owner(import);
        let mut out = Body::default();
        out.put("type", json!("content"));
        out.put("content", json!(text));
        out.text("target", &self.target);
        if let Some(mode) = self.grant.mode {
            out.put("mode", json!(format!("{:04o}", mode.0)));
        }
        out.flag("read_only", true);
        Value::Object(out.0)
    }

    fn owner(&self, import: &mut Import<'_>) {
        for (key, value) in [("uid", &self.grant.uid), ("gid", &self.grant.gid)] {
            if !value.is_empty() {
                let attribute = format!("{}.{key}", self.attribute);
                import.lose(self.name, &attribute, "a file keeps its owner", "it is mounted as it is");
            }
        }
    }
}
