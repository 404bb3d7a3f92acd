//! Commands in an instance's context, its own terminal, and files for it.

use crate::documents::{BringRequest, BroughtDocument, ErrorDocument, ExecRequest};
use crate::engine::{Engine, one, select};
use crate::snapshot::{InstanceInfo, Snapshot, alive};
use muster_core::{State, Wanted};
use muster_runtime::{Brought, BroughtTo, Changes, Exec, Handle, Runtime, RuntimeError, Terminal, TerminalSize};
use muster_spec::{EnvironmentId, InstanceId};
use std::sync::Arc;
use std::time::Duration;

/// What is starting has a run within this time, or is told to have none.
const STARTING: Duration = Duration::from_secs(10);
/// Files are brought to so many runs of an instance that follow each other quickly.
const ATTEMPTS: usize = 5;

impl Engine {
    fn running(&self, id: &EnvironmentId, text: &str) -> Result<(Arc<Handle>, Arc<dyn Runtime>), ErrorDocument> {
        let now = self.known(id)?.now();
        self.started(id, &now, &one(&now, text)?, |info| alive(info.view.state))
    }

    /// The run of an instance of which this holds.
    fn started(
        &self,
        id: &EnvironmentId,
        now: &Snapshot,
        instance: &InstanceId,
        holds: impl Fn(&InstanceInfo) -> bool,
    ) -> Result<(Arc<Handle>, Arc<dyn Runtime>), ErrorDocument> {
        let info = now.instances.get(instance).filter(|info| holds(info));
        let handle = info.and_then(|info| info.handle.clone());
        let runtime = handle.as_ref().and_then(|handle| self.inner.shared.runtimes.get(handle.runtime, id));
        handle.zip(runtime).ok_or_else(|| {
            ErrorDocument::new("command::not_running", 125, format!("`{instance}` does not run"))
                .help(format!("run `muster start {instance}`, or `muster run {instance} -- COMMAND`"))
        })
    }

    /// Runs a command in the context of an instance that runs.
    ///
    /// # Errors
    /// No such instance, it does not run, or its runtime cannot.
    pub async fn exec(&self, id: &EnvironmentId, request: &ExecRequest) -> Result<Terminal, ErrorDocument> {
        let (handle, runtime) = self.running(id, &request.select)?;
        let exec = Exec {
            argv: request.argv.clone(),
            env: request.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            cwd: request.cwd.as_ref().map(Into::into),
            terminal: request.rows.zip(request.columns).map(|(rows, columns)| TerminalSize { rows, columns }),
        };
        runtime.exec(&handle, &exec).await.map_err(|error| refused(&error))
    }

    /// The terminal of an instance that runs.
    ///
    /// # Errors
    /// No such instance, it does not run, or it has no terminal.
    pub async fn attach(&self, id: &EnvironmentId, request: &ExecRequest) -> Result<Terminal, ErrorDocument> {
        let (handle, runtime) = self.running(id, &request.select)?;
        runtime.attach(&handle).await.map_err(|error| refused(&error))
    }

    /// Brings changed files to all selected instances that run, or ran and are to run again.
    ///
    /// # Errors
    /// No such instance, one was never started or is not wanted, or its runtime cannot.
    pub async fn bring(&self, id: &EnvironmentId, request: &BringRequest) -> Result<BroughtDocument, ErrorDocument> {
        let now = self.known(id)?.now();
        let chosen = select(&now, request.select.as_deref())?;
        let files = request.files.iter().map(|file| Brought { from: (&file.from).into(), to: (&file.to).into() });
        let changes = Changes {
            below: (&request.below).into(),
            files: files.collect(),
            removed: request.removed.iter().map(Into::into).collect(),
        };
        let (mut instances, mut later) = (Vec::new(), Vec::new());
        for instance in chosen {
            match self.bring_one(id, &instance, &changes).await? {
                BroughtTo::Running => instances.push(instance.to_string()),
                BroughtTo::Next => later.push(instance.to_string()),
            }
        }
        Ok(BroughtDocument { schema: "muster.brought.v1".to_owned(), instances, later })
    }

    /// Where one run ended and the next began meanwhile, that one may have begun without: it is brought there, too.
    async fn bring_one(
        &self,
        id: &EnvironmentId,
        instance: &InstanceId,
        changes: &Changes,
    ) -> Result<BroughtTo, ErrorDocument> {
        let wanted = |info: &InstanceInfo| info.view.wanted == Wanted::Up || alive(info.view.state);
        let mut before = None;
        for _ in 0..ATTEMPTS {
            let mut snapshot = self.known(id)?.snapshot.clone();
            let begun = |now: &Arc<Snapshot>| {
                let info = now.instances.get(instance);
                info.is_none_or(|info| info.view.state != State::Starting || info.handle.is_some())
            };
            // an error means that it takes longer, or that the environment is gone: what there is says which
            let _ = tokio::time::timeout(STARTING, snapshot.wait_for(begun)).await;
            let (handle, runtime) = self.started(id, &self.known(id)?.now(), instance, wanted)?;
            if before.as_ref() == Some(&handle.run) {
                break;
            }
            match runtime.bring(&handle, changes).await.map_err(|error| refused(&error))? {
                BroughtTo::Running => return Ok(BroughtTo::Running),
                BroughtTo::Next => before = Some(handle.run.clone()),
            }
        }
        Ok(BroughtTo::Next)
    }
}

fn refused(error: &RuntimeError) -> ErrorDocument {
    let code = match error {
        RuntimeError::Unsupported { .. } => "runtime::unsupported",
        RuntimeError::Gone(_) | RuntimeError::Unverifiable { .. } => "command::not_running",
        RuntimeError::Unavailable { .. } => "runtime::unavailable",
        RuntimeError::Io { .. } => "runtime::failed",
    };
    let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    ErrorDocument::new(code, 125, format!("{error}{cause}"))
}
