//! What `env rm` and `down --data` take away.

use crate::documents::ErrorDocument;
use crate::engine::Engine;
use crate::errors;
use muster_runtime::RuntimeError;
use muster_spec::{EnvironmentId, RuntimeKind};
use muster_store::Write;
use std::path::Path;
use std::sync::Arc;

impl Engine {
    /// Forgets an environment that is down: logs, history and ports. With `data` also what its services kept.
    ///
    /// # Errors
    /// It still runs, or its files cannot be removed.
    pub async fn remove(&self, id: &EnvironmentId, data: bool) -> Result<(), ErrorDocument> {
        let handle = self.known(id)?;
        let running = handle.now().running();
        if running > 0 {
            let text = format!("environment `{}` has {running} running instances", id.name);
            return Err(ErrorDocument::new("environment::running", 1, text).help("run `muster down` first"));
        }
        if data {
            self.remove_data(id).await?;
        }
        // asked before what is written down of them goes; a host that is gone for ever does not keep an environment
        let logs = self.remove_logs(id).await;
        self.close(id).await;
        self.inner.shared.ports.lock().await.remove(id);
        let shared = &self.inner.shared;
        shared.commit(Write::RemoveEnvironment(id.clone()).into()).await.map_err(|error| errors::journal(&error))?;
        remove_folder(&shared.paths.environment(id))?;
        logs
    }

    /// What its runs left on other hosts.
    async fn remove_logs(&self, id: &EnvironmentId) -> Result<(), ErrorDocument> {
        let shared = &self.inner.shared;
        let Some(runtime) = shared.runtimes.get(RuntimeKind::Remote, id) else { return Ok(()) };
        runtime.remove_logs(id).await.map_err(|error| logs_stay(id, error, &shared.paths.remote().logs(id)))
    }

    /// Folders of this machine, and what the runtimes keep: named volumes, folders on other hosts. Says on which hosts. What
    /// one of them cannot do now keeps no other from it.
    pub(crate) async fn remove_data(&self, id: &EnvironmentId) -> Result<Vec<String>, ErrorDocument> {
        let runtimes = &self.inner.shared.runtimes;
        let now = self.handle(id).map(|handle| handle.now());
        let stack = now.as_ref().and_then(|now| now.accepted.as_ref()).map(|accepted| Arc::clone(&accepted.stack));
        let (mut hosts, mut failed) = (Vec::new(), None);
        for kind in RuntimeKind::ALL {
            // one for other hosts connects to none that it has nothing on, also none that the stack has no more
            let chosen = kind == RuntimeKind::Remote
                || stack.iter().any(|stack| stack.services.values().any(|service| service.runtime == kind));
            let runtime = if chosen { runtimes.get(kind, id) } else { runtimes.made(kind, id) };
            if let Some(runtime) = runtime {
                match runtime.remove_data(id).await {
                    Ok(on) => hosts.extend(on),
                    Err(error) => drop(failed.get_or_insert(error)),
                }
            }
        }
        remove_folder(&self.inner.shared.paths.data(id))?;
        failed.map_or(Ok(hosts), |error| Err(data_stays(id, error)))
    }
}

fn logs_stay(id: &EnvironmentId, error: RuntimeError, folder: &Path) -> ErrorDocument {
    let text = format!("environment `{}` is removed, but not all its logs on other hosts: {}", id.name, why(error));
    ErrorDocument::new("environment::files", 1, text).help(format!(
        "where they matter, remove `{}` and `~/.local/state/muster-remote/*/state/{id}` there",
        folder.display()
    ))
}

fn why(error: RuntimeError) -> String {
    match error {
        RuntimeError::Unavailable { reason, .. } => reason,
        other => other.to_string(),
    }
}

fn data_stays(id: &EnvironmentId, error: RuntimeError) -> ErrorDocument {
    let why = why(error);
    ErrorDocument::new("runtime::failed", 1, format!("cannot remove all data of `{}`: {why}", id.name))
        .help("put that right, and run `muster down --data` again")
}

fn remove_folder(folder: &Path) -> Result<(), ErrorDocument> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let text = format!("cannot remove `{}`: {error}", folder.display());
            Err(ErrorDocument::new("environment::files", 1, text))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
