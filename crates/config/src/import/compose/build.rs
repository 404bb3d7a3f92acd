//! How an image is built.

use super::{Body, Import};
use muster_compose::model::{Build, Service};

pub(super) fn build(import: &mut Import<'_>, name: &str, service: &Service, build: &Build, body: &mut Body) {
    if build.context.contains("://") || build.context.starts_with("git@") || build.context.starts_with("github.com/") {
        let instead = if service.image.is_empty() { "the build fails" } else { "the image is pulled" };
        import.lose(name, "build.context", "the builder gets a folder of this machine", instead);
        if !service.image.is_empty() {
            return;
        }
    }
    let mut out = Body::default();
    out.text("context", &import.path(&build.context));
    if build.dockerfile != "Dockerfile" && build.dockerfile_inline.is_empty() {
        out.text("dockerfile", &build.dockerfile);
    }
    out.text("dockerfile_inline", &build.dockerfile_inline);
    out.pairs("args", build.args.iter().filter_map(|(arg, value)| Some((arg, value.as_ref()?))));
    out.text("target", &build.target);
    out.pairs("labels", build.labels.iter());
    out.flag("no_cache", build.no_cache);
    out.flag("pull", build.pull);
    let platform = if service.platform.is_empty() { build.platforms.first() } else { Some(&service.platform) };
    out.text("platform", platform.map_or("", String::as_str));
    out.text("network", &build.network);
    body.body("build", out);
    lost(import, name, build);
}

fn lost(import: &mut Import<'_>, name: &str, build: &Build) {
    const LEFT: &str = "the build does without it";
    let lost: [(&str, bool, &str, &str); 15] = [
        ("ssh", !build.ssh.is_empty(), "keys are not handed to a build", LEFT),
        ("secrets", !build.secrets.is_empty(), "secrets are not handed to a build", LEFT),
        ("cache_from", !build.cache_from.is_empty(), "the builder's own cache is used", LEFT),
        ("cache_to", !build.cache_to.is_empty(), "the builder's own cache is used", LEFT),
        ("additional_contexts", !build.additional_contexts.is_empty(), "a build has one context", LEFT),
        ("extra_hosts", !build.extra_hosts.is_empty(), "a build has no hosts of its own", LEFT),
        ("isolation", !build.isolation.is_empty(), "only Windows has it", LEFT),
        ("privileged", build.privileged, "a build has no privileges", LEFT),
        ("shm_size", build.shm_size.0 != 0, "a build has the engine's default", LEFT),
        ("tags", !build.tags.is_empty(), "an image gets one tag", "only `image` is tagged"),
        ("ulimits", !build.ulimits.is_empty(), "a build has the engine's defaults", LEFT),
        ("platforms", build.platforms.len() > 1, "an image is built for one platform", "it is built for the first"),
        ("entitlements", !build.entitlements.is_empty(), "a build has no privileges", LEFT),
        ("provenance", !build.provenance.is_empty(), "images are not attested", LEFT),
        ("sbom", !build.sbom.is_empty(), "images are not attested", LEFT),
    ];
    for (attribute, set, reason, instead) in lost {
        if set {
            import.lose(name, &format!("build.{attribute}"), reason, instead);
        }
    }
}
