//! A scripted runtime: deterministic, without processes, for tests with a paused clock.
//!
//! A [`World`] is the machine. Runs live there by their [`Script`] and go on when a [`FakeRuntime`] is dropped: the
//! daemon that comes next gets another `FakeRuntime` over the same world. [`World::doubles`] tells when two runs of one
//! instance were ever alive at once.
//!
//! ```
//! # use muster_runtime::fake::{FakeRuntime, Script, World};
//! # use std::time::Duration;
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let world = World::new(muster_spec::RuntimeKind::Process);
//! world.script("api", Script::exits(Duration::from_secs(5), 3).prints(Duration::from_secs(1), "hello"));
//! let runtime = FakeRuntime::new(&world);
//! # drop(runtime) });
//! ```

mod log;
mod script;
mod world;

pub use script::{Act, Given, Script, StartScript, StopScript};
pub use world::World;

use crate::contract::{
    Capabilities, Capability, Exec, ExecEvent, Found, FoundRun, Handle, Inspect, Known, LogChunk, Problem, Runtime,
    RuntimeError, RuntimeEvent, StartError, TERMINAL_QUEUE, Terminal,
};
use crate::progress::{self, Phase};
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, BoxStream, StreamExt as _};
use muster_spec::{EnvironmentId, InstanceSpec, RunId, RuntimeKind, Signal, Target};
use std::sync::Arc;

/// A runtime over a [`World`].
#[derive(Debug, Clone)]
pub struct FakeRuntime {
    world: Arc<World>,
    capabilities: Capabilities,
    problems: Vec<Problem>,
}

impl FakeRuntime {
    /// A runtime that can do what scripts can: exec, signals, usage, notify, separate streams.
    #[must_use]
    pub fn new(world: &Arc<World>) -> Self {
        let capabilities = Capabilities::from([
            Capability::Exec,
            Capability::Signals,
            Capability::Usage,
            Capability::Notify,
            Capability::SeparateStreams,
        ]);
        Self { world: Arc::clone(world), capabilities, problems: Vec::new() }
    }

    /// Declares other capabilities.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Finds these problems in every spec.
    #[must_use]
    pub fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.problems = problems;
        self
    }

    fn needs(&self, capability: Capability) -> Result<(), RuntimeError> {
        if self.capabilities.contains(&capability) {
            Ok(())
        } else {
            Err(RuntimeError::Unsupported { runtime: self.world.kind(), capability })
        }
    }
}

impl Runtime for FakeRuntime {
    fn kind(&self) -> RuntimeKind {
        self.world.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    fn validate(&self, _spec: &InstanceSpec) -> Vec<Problem> {
        self.problems.clone()
    }

    fn start<'a>(&'a self, run: &'a RunId, spec: &'a InstanceSpec) -> BoxFuture<'a, Result<Handle, StartError>> {
        async move {
            let run = self.world.begin(run, spec);
            // a run that ended at once had a handle in between: whoever starts it needs one to ask for its end
            match progress::settled(&run.progress).await {
                Phase::Running(handle) => Ok(handle),
                Phase::Failed(failure) => Err(failure.into()),
                Phase::Ended(_) | Phase::Starting => Ok(ended_handle(&run.id, self.world.kind())),
            }
        }
        .boxed()
    }

    fn recover<'a>(&'a self, run: &'a RunId, _known: Option<&'a Handle>) -> BoxFuture<'a, Found> {
        self.world.recover(run).boxed()
    }

    fn list<'a>(&'a self, environment: &'a EnvironmentId) -> BoxFuture<'a, Result<Vec<FoundRun>, RuntimeError>> {
        async move { Ok(self.world.list(environment).await) }.boxed()
    }

    fn signal<'a>(
        &'a self,
        handle: &'a Handle,
        signal: Signal,
        _to: Target,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            let run = self.world.reachable(&handle.run)?;
            self.world.signal(&run, signal);
            Ok(())
        }
        .boxed()
    }

    fn kill<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move {
            let run = self.world.reachable(&handle.run)?;
            self.world.note(format!("kill {}", run.id));
            self.world.end(&run.id, Known::Signal(Signal::KILL.number()));
            Ok(())
        }
        .boxed()
    }

    fn watch(&self, handle: &Handle) -> BoxStream<'static, RuntimeEvent> {
        match self.world.find(&handle.run) {
            Some(run) => progress::events(&run.progress),
            None => stream::iter([RuntimeEvent::LinkLost("nothing is left of it".into())]).boxed(),
        }
    }

    fn logs<'a>(&'a self, handle: &'a Handle, from: u64) -> BoxFuture<'a, Result<Vec<LogChunk>, RuntimeError>> {
        async move {
            let run = self.world.find(&handle.run).ok_or_else(|| RuntimeError::Gone(handle.run.clone()))?;
            Ok(run.chunks(from))
        }
        .boxed()
    }

    fn exec<'a>(&'a self, handle: &'a Handle, _exec: &'a Exec) -> BoxFuture<'a, Result<Terminal, RuntimeError>> {
        async move {
            self.needs(Capability::Exec)?;
            let run = self.world.reachable(&handle.run)?;
            let (text, code) = run.script.exec.clone();
            let events = [ExecEvent::Stdout(text.into_bytes()), ExecEvent::Exited(Known::Code(code))];
            let (input, inputs) = tokio::sync::mpsc::channel(TERMINAL_QUEUE);
            // the command ends without reading; its input stays open as long as somebody listens
            let events = stream::iter(events).map(move |event| (event, inputs.is_closed()).0).boxed();
            Ok(Terminal { input, events })
        }
        .boxed()
    }

    fn attach<'a>(&'a self, _handle: &'a Handle) -> BoxFuture<'a, Result<Terminal, RuntimeError>> {
        async move { Err(RuntimeError::Unsupported { runtime: self.world.kind(), capability: Capability::Attach }) }
            .boxed()
    }

    fn inspect<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<Inspect, RuntimeError>> {
        async move { Ok(self.world.reachable(&handle.run)?.inspect()) }.boxed()
    }

    fn destroy<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        async move { self.world.destroy(run) }.boxed()
    }
}

fn ended_handle(run: &RunId, runtime: RuntimeKind) -> Handle {
    Handle {
        runtime,
        version: 1,
        run: run.clone(),
        identity: "ended".to_owned(),
        pid: None,
        far: None,
        address: None,
        log_dir: None,
        opaque: serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests;
