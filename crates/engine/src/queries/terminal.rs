//! Commands in an instance's context, and its own terminal.

use crate::documents::{ErrorDocument, ExecRequest};
use crate::engine::{Engine, one};
use crate::snapshot::alive;
use muster_runtime::{Exec, Handle, Runtime, RuntimeError, Terminal, TerminalSize};
use muster_spec::EnvironmentId;
use std::sync::Arc;

impl Engine {
    fn running(&self, id: &EnvironmentId, text: &str) -> Result<(Arc<Handle>, Arc<dyn Runtime>), ErrorDocument> {
        let now = self.known(id)?.now();
        let instance = one(&now, text)?;
        let info = now.instances.get(&instance).filter(|info| alive(info.view.state));
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
