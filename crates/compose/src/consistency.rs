//! Whether the parts of a project fit each other: everything that is referred to is there, nothing excludes anything else,
//! and no service waits for itself.

use std::collections::BTreeMap;

use crate::model::{Deploy, Project, Resource, Service};
use crate::problem::{Code, Report};
use crate::tree::Span;

/// Reports what does not fit. Only active services are looked at.
pub(crate) fn check(project: &mut Project, report: &mut Report) {
    for (name, service) in &project.services {
        let mut about = About { project, name, service, report };
        about.source();
        about.build();
        about.networks();
        about.references();
        about.dependencies();
        about.scale();
        about.limits();
        about.mounts();
        about.rest();
    }
    for (name, secret) in &project.secrets {
        if !secret.external && secret.file.is_empty() && secret.environment.is_empty() {
            let message = format!("secret `{name}` needs a `file` or an `environment`");
            report.error(Code::MissingKey, secret.span, message);
        }
    }
    container_names(project, report);
    if !report.has_errors() {
        cycles(project, report);
    }
    for service in project.services.values_mut() {
        if let (Some(scale), Some(deploy)) = (service.scale, &mut service.deploy) {
            deploy.replicas = Some(scale);
        }
    }
}

struct About<'a> {
    project: &'a Project,
    name: &'a str,
    service: &'a Service,
    report: &'a mut Report,
}

impl About<'_> {
    /// Where an attribute of the service stands, else the service.
    fn span(&self, path: &[&str]) -> Span {
        let whole: Vec<&str> = ["services", self.name].into_iter().chain(path.iter().copied()).collect();
        self.project.span(&whole).unwrap_or(self.service.span)
    }

    fn wrong(&mut self, code: Code, path: &[&str], what: impl std::fmt::Display) {
        let span = self.span(path);
        self.report.error(code, span, format!("service `{}` {what}", self.name));
    }

    fn source(&mut self) {
        let service = self.service;
        if service.build.is_none() && service.image.is_empty() && service.provider.is_none() {
            self.wrong(Code::MissingKey, &[], "has neither an `image` nor a `build`");
        }
    }

    fn build(&mut self) {
        let Some(build) = &self.service.build else { return };
        if !build.dockerfile_inline.is_empty() && !build.dockerfile.is_empty() {
            self.wrong(Code::Conflict, &["build"], "has both `dockerfile` and `dockerfile_inline`");
        }
        for (context, target) in build.additional_contexts.iter() {
            let Some(target) = target.strip_prefix("service:") else { continue };
            let path = ["build", "additional_contexts"];
            match self.project.services.get(target) {
                None => {
                    let what = format!("takes context `{context}` from service `{target}`, which is not there");
                    self.wrong(Code::Undefined, &path, what);
                }
                Some(other) if other.build.is_none() => {
                    let what = format!("takes context `{context}` from service `{target}`, which is not built");
                    self.wrong(Code::Conflict, &path, what);
                }
                Some(_) => {}
            }
        }
        let platform = &self.service.platform;
        if !build.platforms.is_empty() && !platform.is_empty() && !build.platforms.contains(platform) {
            self.wrong(Code::Conflict, &["platform"], format_args!("is for `{platform}`, which it is not built for"));
        }
        for secret in &build.secrets {
            self.defined(
                "build secret",
                &secret.source,
                self.project.secrets.contains_key(&secret.source),
                &["build", "secrets"],
            );
        }
    }

    fn defined(&mut self, kind: &str, name: &str, there: bool, path: &[&str]) {
        if !there {
            self.wrong(Code::Undefined, path, format_args!("refers to {kind} `{name}`, which is not there"));
        }
    }

    fn networks(&mut self) {
        let (service, project) = (self.service, self.project);
        if !service.network_mode.is_empty() && !service.networks.is_empty() {
            self.wrong(Code::Conflict, &["network_mode"], "has both `network_mode` and `networks`");
        }
        for name in service.networks.keys() {
            self.defined("network", name, project.networks.contains_key(name), &["networks"]);
        }
        if let Some(other) = service.network_mode.strip_prefix("service:") {
            self.defined("service", other, project.services.contains_key(other), &["network_mode"]);
        }
    }

    fn references(&mut self) {
        let (service, project) = (self.service, self.project);
        for mount in service.volumes.iter().filter(|mount| mount.r#type == "volume" && !mount.source.is_empty()) {
            self.defined("volume", &mount.source, project.volumes.contains_key(&mount.source), &["volumes"]);
        }
        for config in &service.configs {
            self.defined("config", &config.source, project.configs.contains_key(&config.source), &["configs"]);
        }
        for secret in &service.secrets {
            self.defined("secret", &secret.source, project.secrets.contains_key(&secret.source), &["secrets"]);
        }
        for model in service.models.keys() {
            self.defined("model", model, project.models.contains_key(model), &["models"]);
        }
    }

    fn dependencies(&mut self) {
        for (other, dependency) in &self.service.depends_on {
            if self.project.services.contains_key(other) {
                continue;
            }
            match self.project.disabled.get(other) {
                Some(_) if !dependency.required => {}
                Some(service) => {
                    let what = format!(
                        "depends on `{other}`, whose profile is off: turn on `{}`",
                        service.profiles.join("` or `")
                    );
                    self.wrong(Code::Undefined, &["depends_on", other], what);
                }
                None => {
                    self.wrong(
                        Code::Undefined,
                        &["depends_on", other],
                        format_args!("depends on `{other}`, which is not there"),
                    );
                }
            }
        }
    }

    fn scale(&mut self) {
        let service = self.service;
        let replicas = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
        if let (Some(scale), Some(replicas)) = (service.scale, replicas)
            && scale != replicas
        {
            self.wrong(Code::Conflict, &["scale"], "has a `scale` and another number in `deploy.replicas`");
        }
        for (path, number) in [(["scale"].as_slice(), service.scale), (&["deploy", "replicas"], replicas)] {
            if number.is_some_and(|number| number < 0) {
                self.wrong(Code::BadValue, path, format_args!("has a negative `{}`", path.join(".")));
            }
        }
        if service.replicas() > 1 && !service.container_name.is_empty() {
            self.wrong(
                Code::Conflict,
                &["container_name"],
                "has a `container_name`, of which there can be only one, and several replicas",
            );
        }
    }

    /// A limit that is given twice is the same both times.
    fn limits(&mut self) {
        let service = self.service;
        let Some(deploy) = &service.deploy else { return };
        let limits = |deploy: &Deploy| deploy.resources.limits.clone();
        let reservations = |deploy: &Deploy| deploy.resources.reservations.clone();
        let mut same =
            |attribute: &str, other: &str, resource: Option<Resource>, differs: &dyn Fn(&Resource) -> bool| {
                if resource.is_some_and(|resource| differs(&resource)) {
                    self.wrong(
                        Code::Conflict,
                        &[attribute],
                        format_args!("has `{attribute}` and another value in `deploy.resources.{other}`"),
                    );
                }
            };
        let (cpus, memory, reserved, pids) =
            (service.cpus, service.mem_limit, service.mem_reservation, service.pids_limit);
        same("cpus", "limits.cpus", limits(deploy), &|limit| cpus.0 != 0.0 && limit.cpus != cpus);
        same("mem_limit", "limits.memory", limits(deploy), &|limit| memory.0 != 0 && limit.memory != memory);
        same("mem_reservation", "reservations.memory", reservations(deploy), &|limit| {
            reserved.0 != 0 && limit.memory != reserved
        });
        same("pids_limit", "limits.pids", limits(deploy), &|limit| pids != 0 && limit.pids != pids);
    }

    fn mounts(&mut self) {
        let mut targets: Vec<&str> = Vec::new();
        let tmpfs = self.service.tmpfs.iter().map(|entry| ("tmpfs", entry.split(':').next().unwrap_or_default()));
        let volumes = self.service.volumes.iter().map(|mount| ("volumes", mount.target.as_str()));
        for (attribute, target) in tmpfs.chain(volumes) {
            if targets.contains(&target) {
                self.wrong(Code::Conflict, &[attribute], format_args!("mounts `{target}` twice"));
            }
            targets.push(target);
        }
    }

    fn rest(&mut self) {
        let service = self.service;
        if let Some(first) = service.healthcheck.as_ref().and_then(|check| check.test.first())
            && !matches!(first.as_str(), "CMD" | "CMD-SHELL" | "NONE")
        {
            let what = "has a `healthcheck.test` that begins with none of `CMD`, `CMD-SHELL` and `NONE`";
            self.wrong(Code::BadValue, &["healthcheck", "test"], what);
        }
        for watch in service.develop.iter().flat_map(|develop| &develop.watch) {
            if watch.target.is_empty() && !matches!(watch.action.as_str(), "rebuild" | "restart") {
                let what = format!("watches `{}` to `{}` it, but says no `target`", watch.path, watch.action);
                self.wrong(Code::MissingKey, &["develop", "watch"], what);
            }
        }
    }
}

fn container_names(project: &Project, report: &mut Report) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, service) in project.services.iter().filter(|(_, service)| !service.container_name.is_empty()) {
        if let Some(owner) = owners.insert(&service.container_name, name) {
            let span = project.span(&["services", name, "container_name"]).unwrap_or(service.span);
            let message =
                format!("services `{owner}` and `{name}` have one `container_name`, `{}`", service.container_name);
            report.error(Code::Conflict, span, message);
        }
    }
}

/// Services that wait for each other in a circle, each circle once.
fn cycles(project: &Project, report: &mut Report) {
    let mut done: Vec<&str> = Vec::new();
    for name in project.services.keys() {
        let mut path = Vec::new();
        if let Some(circle) = search(project, name, &mut path, &mut done) {
            let span = project.services.get(circle[0]).map(|service| service.span).unwrap_or_default();
            let mut names = circle.clone();
            names.push(circle[0]);
            report.error(
                Code::Cycle,
                span,
                format!("services depend on each other in a circle: `{}`", names.join("` -> `")),
            );
        }
    }
}

/// Depth first; what was searched without a circle is not searched again.
fn search<'a>(
    project: &'a Project,
    name: &'a str,
    path: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
) -> Option<Vec<&'a str>> {
    if let Some(start) = path.iter().position(|earlier| *earlier == name) {
        return Some(path[start..].to_vec());
    }
    if done.contains(&name) {
        return None;
    }
    path.push(name);
    let others = project.services.get(name).into_iter().flat_map(|service| service.depends_on.keys());
    let found = others
        .filter(|other| project.services.contains_key(*other))
        .find_map(|other| search(project, other, path, done));
    path.pop();
    done.push(name);
    found
}
