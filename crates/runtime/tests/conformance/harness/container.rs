//! The container driver under test, over real engines.
//!
//! Which engines there are says the test kit; what is not there is skipped, by name.

use futures::future::{BoxFuture, FutureExt as _};
use muster_runtime::conformance::{Harness, Miss, Program, Verdict};
use muster_runtime::{ContainerConfig, ContainerRuntime, Runtime};
use muster_spec::{
    ContainerOptions, ContainerRun, EnvironmentId, InstanceSpec, NetworkMode, PullPolicy, ResolvedCommand, RunId,
    RuntimeKind,
};
use muster_testkit::{Engine, components};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

/// In both engines: a busybox.
pub(crate) const IMAGE: &str = "muster-test/busybox:1";
/// The same with a health check that looks for a file, which its command makes.
pub(crate) const HEALTH_IMAGE: &str = "muster-test/health:1";

/// An engine that the tests may use.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) engine: Engine,
}

impl Target {
    pub(crate) fn docker() -> Option<Self> {
        Some(Self { name: "docker", engine: components::docker("containers on Docker")? })
    }

    pub(crate) fn podman() -> Option<Self> {
        Some(Self { name: "podman", engine: components::podman("containers on Podman")? })
    }
}

/// A home, and a way to the engine that can be taken away.
pub(crate) struct ContainerHarness {
    pub(crate) target: Target,
    home: TempDir,
    environment: EnvironmentId,
    runtime: Arc<ContainerRuntime>,
}

impl ContainerHarness {
    pub(crate) fn new(target: &Target) -> Self {
        let home = TempDir::new().expect("the surroundings of the test");
        symlink(&target.engine.socket, home.path().join("engine.sock")).expect("the surroundings of the test");
        // other tests use the same engine: a folder's name is unique on this machine
        let unique = home.path().file_name().expect("a name").as_encoded_bytes();
        let root = unique.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
        let environment = format!("test-{root:08x}").parse().expect("an identity");
        let runtime = Arc::new(runtime(home.path()));
        Self { target: target.clone(), home, environment, runtime }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn driver(&self) -> Arc<ContainerRuntime> {
        Arc::clone(&self.runtime)
    }

    /// Another driver over the same home, with docker's settings in a folder.
    pub(crate) fn with_settings(&self, docker_config: &Path) -> ContainerRuntime {
        ContainerRuntime::new(ContainerConfig {
            state_dir: self.home.path().join("state"),
            host: Some(format!("unix://{}", self.home.path().join("engine.sock").display())),
            context: None,
            docker_config: Some(docker_config.to_owned()),
            runtime_dir: None,
            path: path(),
        })
    }

    pub(crate) fn run(&self, name: &str) -> RunId {
        format!("{}/{name}#1/1", self.environment).parse().expect("an identity")
    }

    /// A spec of this harness for a shell script.
    pub(crate) fn script(&self, script: &str) -> InstanceSpec {
        let mut spec = spec(IMAGE);
        let container = spec.container.as_mut().expect("a container");
        container.entrypoint = Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec());
        spec
    }
}

impl Drop for ContainerHarness {
    /// Whatever a test left: by label, so that others keep theirs.
    fn drop(&mut self) {
        let engine = &self.target.engine;
        let left = engine.labelled(&format!("dev.muster.environment={}", self.environment)).unwrap_or_default();
        for one in left {
            let gone = match one.split_once(' ') {
                Some(("container", name)) => engine.remove(name.trim_start_matches('/')),
                Some((kind, name)) => engine.done("DELETE", &format!("/{kind}s/{name}"), None).map(|_| ()),
                None => Ok(()),
            };
            if let Err(error) = gone {
                eprintln!("{one} is left: {error}");
            }
        }
    }
}

/// A runtime over a home.
pub(crate) fn runtime(home: &Path) -> ContainerRuntime {
    ContainerRuntime::new(ContainerConfig {
        state_dir: home.join("state"),
        host: Some(format!("unix://{}", home.join("engine.sock").display())),
        context: None,
        docker_config: None,
        runtime_dir: None,
        path: path(),
    })
}

/// The `docker` of the set-up before any other: one without BuildKit may be on the PATH as well.
fn path() -> Option<String> {
    let folder = muster_testkit::services::docker_cli()?.parent()?.display().to_string();
    Some(std::env::var("PATH").map_or_else(|_| folder.clone(), |path| format!("{folder}:{path}")))
}

/// Passes TERM on and ends as what it runs, as `init: true` does where the engine has one.
const INIT: &str = r#""$@" & p=$!; trap 'kill -TERM $p' TERM; wait $p; s=$?
while kill -0 $p 2>/dev/null; do wait $p; s=$?; done; exit $s"#;

/// A container of an image and nothing else.
pub(crate) fn spec(image: &str) -> InstanceSpec {
    InstanceSpec {
        runtime: RuntimeKind::Container,
        mode: muster_spec::RunMode::Service,
        command: ResolvedCommand { argv: Vec::new(), env: Vec::new(), cwd: "/".into() },
        user: None,
        umask: None,
        streams: muster_spec::Streams::Separate,
        limits: muster_spec::Limits::default(),
        logs: muster_spec::LogPolicy::default(),
        stop_signal: muster_spec::Signal::TERM,
        stop_to: muster_spec::Target::Main,
        grace: std::time::Duration::from_secs(5),
        notify: false,
        secrets: Vec::new(),
        ports: Vec::new(),
        container: Some(container(image)),
        remote: None,
        hash: "hash".to_owned(),
    }
}

fn container(image: &str) -> ContainerRun {
    ContainerRun {
        image: image.to_owned(),
        build: None,
        as_built: false,
        pull: PullPolicy::Missing,
        entrypoint: None,
        command: None,
        mounts: Vec::new(),
        publish: Vec::new(),
        aliases: Vec::new(),
        hosts: Vec::new(),
        options: ContainerOptions::default(),
    }
}

/// A program as busybox runs it.
fn argv(program: &Program) -> Result<Vec<String>, Miss> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let sh = |script: String| words(&["/bin/sh", "-c", &script]);
    Ok(match program {
        // its own socket in the table of listeners says that it has the port
        Program::Listens(port) => sh(format!(
            "httpd -f -p {port} -h /tmp & p=$!; while kill -0 $p 2>/dev/null; do \
             for s in $(ls -l /proc/$p/fd 2>/dev/null | grep -o 'socket:.[0-9]*' | tr -dc '0-9\\n'); do \
             if cat /proc/net/tcp /proc/net/tcp6 | grep -q \" 0A .* $s \"; then echo up; wait $p; exit; fi; done; \
             done; exit 9"
        )),
        Program::Notifies(_) => return Err(Miss::NotApplicable("engines pass no socket into a container".into())),
        Program::Escapes(mark) => sh(format!(
            "setsid env -i /bin/sh -c 'setsid /bin/sleep {mark} & exit 0' </dev/null >/dev/null 2>&1; echo up; \
             exec /bin/sleep 86400"
        )),
        Program::SaysEnvironment => words(&["/bin/env"]),
        Program::SaysUser => words(&["/bin/id", "-u"]),
        other => super::process::argv(other),
    })
}

impl Harness for ContainerHarness {
    fn name(&self) -> &'static str {
        self.target.name
    }

    fn environment(&self) -> EnvironmentId {
        self.environment.clone()
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::clone(&self.runtime) as Arc<dyn Runtime>
    }

    fn successor(&self) -> Result<Arc<dyn Runtime>, String> {
        Ok(Arc::new(runtime(self.home.path())))
    }

    fn command(&self, _run: &RunId, program: &Program) -> Result<ResolvedCommand, Miss> {
        Ok(ResolvedCommand { argv: argv(program)?, env: Vec::new(), cwd: "/".into() })
    }

    fn adapt(&self, mut spec: InstanceSpec) -> InstanceSpec {
        let mut container = container(IMAGE);
        container.options.user = spec.user.take();
        container.options.working_dir = Some(spec.command.cwd.display().to_string());
        container.entrypoint = Some(spec.command.argv.clone());
        if spec.command.argv.iter().any(|word| word.contains("httpd")) {
            // a port of this machine
            container.options.network = NetworkMode::Host;
        }
        let needs_init = |word: &String| word.starts_with("kill -") || word.starts_with("/bin/sleep ");
        if spec.command.argv.iter().any(needs_init) {
            // as process 1 a program gets no signal that it does not handle, not even its own
            let init = ["/bin/sh", "-c", INIT, "init"].map(str::to_owned);
            container.entrypoint = Some(init.into_iter().chain(spec.command.argv.iter().cloned()).collect());
        }
        spec.container = Some(container);
        spec
    }

    fn surroundings(&self) -> &'static [&'static str] {
        // the image's, and those that Podman and docker set
        &["PATH", "HOSTNAME", "HOME", "TERM", "container"]
    }

    fn observe(&self, mark: &str) -> Result<usize, Miss> {
        super::process::marked(mark)
    }

    fn kill_supervisor<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Verdict> {
        async move {
            let found =
                self.target.engine.labelled(&format!("dev.muster.run={run}")).map_err(|error| error.to_string())?;
            let name = found.first().and_then(|one| one.strip_prefix("container /")).unwrap_or_default();
            let found = self.target.engine.container(name).map_err(|error| error.to_string())?;
            let pid = found.map_or(0, |found| found["State"]["Pid"].as_i64().unwrap_or(0));
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| error.to_string())?;
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_ascii_whitespace().nth(1));
            let parent = parent.ok_or_else(|| "no parent".to_owned())?;
            let name = fs::read_to_string(format!("/proc/{parent}/comm")).map_err(|error| error.to_string())?;
            if !["containerd-shim", "conmon"].iter().any(|known| name.trim().starts_with(known)) {
                return Err(format!("the parent is `{}`", name.trim()).into());
            }
            let killed = Command::new("kill").args(["-9", parent]).status();
            killed.map(|_| ()).map_err(|error| error.to_string().into())
        }
        .boxed()
    }

    /// An engine that does not answer: nothing can be told of its containers.
    fn doubt<'a>(&'a self, _run: &'a RunId, doubt: bool) -> BoxFuture<'a, Verdict> {
        async move {
            let (way, away) = (self.home.path().join("engine.sock"), self.home.path().join("away"));
            let (from, to) = if doubt { (way, away) } else { (away, way) };
            fs::rename(from, to).map_err(|error| error.to_string().into())
        }
        .boxed()
    }
}
