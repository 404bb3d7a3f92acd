//! Services that somebody else runs: nothing is started, but they have a state, probes and dependants like any other.

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{BoxStream, StreamExt};
use muster_runtime::{
    Capabilities, Capability, Exec, ExitRecord, Found, FoundRun, Handle, Inspect, Known, LogChunk, Problem, Runtime,
    RuntimeError, RuntimeEvent, StartError, Terminal,
};
use muster_spec::{EnvironmentId, InstanceSpec, RunId, RuntimeKind, Signal, Target};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Layout version of our handles.
const VERSION: u32 = 1;

/// The driver of external services: keeps in mind which of them count as up, and tells their watchers when they do not.
#[derive(Default)]
pub(crate) struct External {
    up: Mutex<HashMap<RunId, watch::Sender<bool>>>,
}

impl External {
    fn handle(&self, run: &RunId) -> Handle {
        let mut up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        up.entry(run.clone()).or_insert_with(|| watch::Sender::new(true));
        Handle {
            runtime: RuntimeKind::External,
            version: VERSION,
            run: run.clone(),
            identity: "external".to_owned(),
            pid: None,
            far: None,
            address: None,
            log_dir: None,
            opaque: serde_json::Value::Null,
        }
    }

    fn end(&self, run: &RunId) {
        if let Some(sender) = self.up.lock().unwrap_or_else(PoisonError::into_inner).remove(run) {
            sender.send_replace(false);
        }
    }

    fn cannot(capability: Capability) -> RuntimeError {
        RuntimeError::Unsupported { runtime: RuntimeKind::External, capability }
    }
}

fn ended() -> ExitRecord {
    ExitRecord { exit: Known::Code(0), at_ns: crate::clock::wall_ns(), log_bytes: 0, note: None }
}

impl Runtime for External {
    fn kind(&self) -> RuntimeKind {
        RuntimeKind::External
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
    }

    fn validate(&self, _: &InstanceSpec) -> Vec<Problem> {
        Vec::new()
    }

    fn start<'a>(&'a self, run: &'a RunId, _: &'a InstanceSpec) -> BoxFuture<'a, Result<Handle, StartError>> {
        std::future::ready(Ok(self.handle(run))).boxed()
    }

    fn recover<'a>(&'a self, run: &'a RunId, _: Option<&'a Handle>) -> BoxFuture<'a, Found> {
        std::future::ready(Found::Running(self.handle(run))).boxed()
    }

    fn list<'a>(&'a self, _: &'a EnvironmentId) -> BoxFuture<'a, Result<Vec<FoundRun>, RuntimeError>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn signal<'a>(&'a self, handle: &'a Handle, _: Signal, _: Target) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.end(&handle.run);
        std::future::ready(Ok(())).boxed()
    }

    fn kill<'a>(&'a self, handle: &'a Handle) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.end(&handle.run);
        std::future::ready(Ok(())).boxed()
    }

    fn watch(&self, handle: &Handle) -> BoxStream<'static, RuntimeEvent> {
        let up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = up.get(&handle.run).map(watch::Sender::subscribe);
        futures::stream::once(async move {
            if let Some(mut receiver) = receiver {
                // An error means that the sender is gone: it ended as well.
                let _ = receiver.wait_for(|up| !up).await;
            }
            RuntimeEvent::Exited(ended())
        })
        .boxed()
    }

    fn logs<'a>(&'a self, _: &'a Handle, _: u64) -> BoxFuture<'a, Result<Vec<LogChunk>, RuntimeError>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn exec<'a>(&'a self, _: &'a Handle, _: &'a Exec) -> BoxFuture<'a, Result<Terminal, RuntimeError>> {
        std::future::ready(Err(Self::cannot(Capability::Exec))).boxed()
    }

    fn attach<'a>(&'a self, _: &'a Handle) -> BoxFuture<'a, Result<Terminal, RuntimeError>> {
        std::future::ready(Err(Self::cannot(Capability::Attach))).boxed()
    }

    fn inspect<'a>(&'a self, _: &'a Handle) -> BoxFuture<'a, Result<Inspect, RuntimeError>> {
        std::future::ready(Ok(Inspect::default())).boxed()
    }

    fn destroy<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.end(run);
        std::future::ready(Ok(())).boxed()
    }
}
