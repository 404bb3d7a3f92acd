//! Images without a registry: a root of Debian's `busybox-static`, imported, and images built on it.

use crate::{Engine, Result, Trouble};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The image of the tests: a shell and all of busybox's tools; ends by itself unless told what to run.
pub const BUSYBOX: &str = "muster-test/busybox:1";
/// The same with a HEALTHCHECK that asks for `/tmp/healthy` each second, EXPOSE 8080, and a command that makes the file.
pub const HEALTH: &str = "muster-test/health:1";
/// Names under which the first is also there on an engine that had none of its own.
pub const ALSO: [&str; 2] = ["busybox:latest", "alpine:latest"];

/// Where Debian's `busybox-static` lies.
const BUSYBOX_PROGRAM: &str = "/bin/busybox";

/// What [`HEALTH`] is built by.
const HEALTH_FILE: &str = "\
FROM muster-test/busybox:1
HEALTHCHECK --interval=1s --timeout=2s --start-period=1s --retries=3 CMD test -e /tmp/healthy
EXPOSE 8080
CMD [\"sh\", \"-c\", \"touch /tmp/healthy; exec sleep 3600\"]
";

/// Files of `/etc`, as small as they can be. Without the last one busybox asks a name server for `localhost`.
const ETC: [(&str, &str); 3] = [
    ("passwd", "root:x:0:0:root:/tmp:/bin/sh\npostgres:x:999:999::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"),
    ("group", "root:x:0:\npostgres:x:999:\nnogroup:x:65534:\n"),
    ("nsswitch.conf", "hosts: files dns\n"),
];

/// Brings the images of the tests into an engine, unless they are there. Names that the engine's owner may use
/// otherwise are given only where they are free.
///
/// # Errors
/// When busybox is missing, or the engine refuses.
pub fn ensure(engine: &Engine) -> Result<()> {
    if !engine.has_image(BUSYBOX) {
        import(engine)?;
    }
    for also in ALSO.iter().filter(|also| !engine.has_image(also)) {
        let (repo, tag) = also.split_once(':').unwrap_or((also, "latest"));
        engine.done("POST", &format!("/images/{BUSYBOX}/tag?repo={repo}&tag={tag}"), None)?;
    }
    if !engine.has_image(HEALTH) {
        build(engine, HEALTH, &[("Dockerfile", HEALTH_FILE.as_bytes())])?;
    }
    Ok(())
}

/// Builds an image from a Dockerfile and what else it copies, by the engine's own builder.
///
/// # Errors
/// When a step fails; the builder's words are in it.
pub fn build(engine: &Engine, name: &str, files: &[(&str, &[u8])]) -> Result<()> {
    let folder = tempfile::tempdir().map_err(Trouble::at("a folder"))?;
    for (path, bytes) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder.path())).map_err(Trouble::at(path.display()))?;
        fs::write(&path, bytes).map_err(Trouble::at(path.display()))?;
        // what is copied may be a program
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(Trouble::at(path.display()))?;
    }
    let context = tar(folder.path())?;
    let answer = engine.done("POST", &format!("/build?t={name}&rm=true"), Some(("application/x-tar", &context)))?;
    if engine.has_image(name) { Ok(()) } else { Err(Trouble::new(format!("building `{name}`: {}", answer.text()))) }
}

fn import(engine: &Engine) -> Result<()> {
    let root = tempfile::tempdir().map_err(Trouble::at("a folder"))?;
    fill(root.path())?;
    import_root(engine, BUSYBOX, root.path())
}

/// Makes an image of a folder that is its root.
pub(crate) fn import_root(engine: &Engine, name: &str, root: &Path) -> Result<()> {
    let layer = tar(root)?;
    let change = crate::engine::encode("ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let command = crate::engine::encode("CMD [\"sh\"]");
    // the tag within `repo`, as Docker's client has it: Podman does not look at `tag` here
    let path = format!("/images/create?fromSrc=-&repo={name}&changes={change}&changes={command}");
    let answer = engine.done("POST", &path, Some(("application/x-tar", &layer)))?;
    if engine.has_image(name) { Ok(()) } else { Err(Trouble::new(format!("importing `{name}`: {}", answer.text()))) }
}

/// Makes a root file system of busybox in a folder; namespaced hosts may use it too.
///
/// # Errors
/// When busybox is missing or not static, or a file cannot be made.
pub fn fill(root: &Path) -> Result<()> {
    let at = |path: &Path| Trouble::at(path.display().to_string());
    for name in ["bin", "dev", "etc", "proc", "sys", "tmp", "usr/bin", "var/tmp"] {
        let path = root.join(name);
        fs::create_dir_all(&path).map_err(at(&path))?;
    }
    for name in ["tmp", "var/tmp"] {
        let path = root.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).map_err(at(&path))?;
    }
    let busybox = root.join("bin/busybox");
    fs::copy(BUSYBOX_PROGRAM, &busybox).map_err(Trouble::at("`busybox-static` is not installed"))?;
    let tools = Command::new(&busybox).arg("--list").output().map_err(at(&busybox))?;
    for tool in String::from_utf8_lossy(&tools.stdout).lines().filter(|tool| *tool != "busybox") {
        let path = root.join("bin").join(tool);
        symlink("busybox", &path).map_err(at(&path))?;
    }
    let env = root.join("usr/bin/env");
    symlink("../../bin/env", &env).map_err(at(&env))?;
    for (name, text) in ETC {
        let path: PathBuf = root.join("etc").join(name);
        fs::write(&path, text).map_err(at(&path))?;
    }
    Ok(())
}

fn tar(folder: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new("tar");
    command.arg("-C").arg(folder).args(["--owner=0", "--group=0", "--numeric-owner", "-cf", "-", "."]);
    let output = command.output().map_err(Trouble::at("starting `tar`"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Trouble::new(format!("`tar` failed: {}", String::from_utf8_lossy(&output.stderr).trim())))
}
