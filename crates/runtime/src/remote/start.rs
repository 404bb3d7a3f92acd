//! One start: everything that it needs on the way, then the run itself, whatever becomes of the link meanwhile.
//!
//! Until the run was asked for, nothing was started and any trouble ends the start. From then on nobody knows without the
//! host: the start waits for the link and asks again, which gives the run that there is.

use super::driver::{Driver, answered};
use super::host::Host;
use super::record::Placed;
use super::run::Run;
use super::sync::{SyncError, sync};
use super::trouble::Trouble;
use super::wire::{Answer, Ask, Failure, port_taken};
use crate::contract::{Handle, StartError};
use crate::process::is_destroyed;
use crate::progress::{Failure as Failed, Phase, settled};
use muster_spec::{InstanceSpec, RemoteRun, RunId};
use std::fs;
use std::sync::Arc;

impl Driver {
    /// Starts or joins a start. The work is a task of its own: whoever asked may stop waiting.
    pub(super) async fn start(self: Arc<Self>, id: &RunId, spec: &InstanceSpec) -> Result<Handle, StartError> {
        let run = match self.known(id) {
            Some(run) => run,
            None => self.begin(id, spec)?,
        };
        match settled(&run.progress).await {
            Phase::Running(handle) => Ok(handle),
            Phase::Failed(failure) => Err(failure.into()),
            Phase::Ended(_) | Phase::Starting => match run.handle.get() {
                Some(handle) => Ok(handle.clone()),
                None => Err(StartError::Transient(format!("run `{id}` ended before we knew of it"))),
            },
        }
    }

    fn begin(self: &Arc<Self>, id: &RunId, spec: &InstanceSpec) -> Result<Arc<Run>, StartError> {
        let nowhere = || StartError::Permanent { reason: "no host is named".to_owned(), code: 126 };
        let (placed, remote) = Placed::of(spec).zip(spec.remote.clone()).ok_or_else(nowhere)?;
        let host = self.host(&placed.host).map_err(|trouble| StartError::from(Failed::from(trouble)))?;
        let (run, fresh) = self.register(id, placed, &host, Phase::Starting);
        if fresh {
            let start = Start { driver: Arc::clone(self), run: Arc::clone(&run), host, remote };
            tokio::spawn(start.carry(Box::new(spec.clone())));
        }
        Ok(run)
    }
}

struct Start {
    driver: Arc<Driver>,
    run: Arc<Run>,
    host: Arc<Host>,
    remote: RemoteRun,
}

impl Start {
    async fn carry(self, spec: Box<InstanceSpec>) {
        match self.run(&spec).await {
            Ok(there) => {
                self.run.running(self.run.placed.handle(&self.run.id, &self.run.folder, &there));
                self.run.carry().await;
            }
            Err(failed) => self.fail(failed).await,
        }
    }

    async fn run(&self, spec: &InstanceSpec) -> Result<Handle, Failed> {
        let told =
            |error| Trouble::passing(format!("could not write to folder `{}`: {error}", self.run.folder.display()));
        self.run.placed.write(&self.run.folder).map_err(told)?;
        let mut mux = self.host.tried().await?;
        self.driver.note_kept(&self.run.id, &self.host.name, spec).map_err(told)?;
        sync(&mux, &self.remote.sync).await.map_err(|error| match error {
            SyncError::Cut(cut) => Trouble::passing(format!("the link was lost: {cut}")),
            SyncError::Failed(reason) => {
                Trouble::passing(format!("could not bring files to host `{}`: {reason}", self.host.name))
            }
        })?;
        self.host.tunnels.open(&self.host.ssh, &self.run.id, &self.remote.tunnels).await?;
        let mut brought = false;
        loop {
            let ask = Ask::Start { run: self.run.id.clone(), spec: Box::new(spec.clone()) };
            match answered(&mux, ask).await {
                Ok(Ok(Answer::Started(there))) => return Ok(there),
                Ok(Ok(other)) => return Err(Trouble::passing(format!("the host answered {other:?}")).into()),
                Ok(Err(Failure::NoShim)) if !brought => {
                    brought = true;
                    self.host.bring_again().await?;
                }
                Ok(Err(Failure::PortTaken { name, taken })) => {
                    let at = format!(" on host `{}`", self.host.name);
                    return Err(Trouble::passing(port_taken(&at, &name, &taken)).into());
                }
                Ok(Err(Failure::Permanent { reason, code })) => return Err(Failed { reason, code: Some(code) }),
                Ok(Err(failure)) => return Err(Trouble::passing(failure.text()).into()),
                Err(_) => mux = self.host.back(|reason| self.run.lost(Some(reason.to_owned()))).await,
            }
        }
    }

    /// Nothing runs there: nothing is kept here.
    async fn fail(self, failed: Failed) {
        self.host.tunnels.close(&self.host.ssh, &self.run.id).await;
        self.driver.forget(&self.run.id);
        if !is_destroyed(&self.run.folder) {
            // what cannot be removed is a folder with a record of a run that is absent
            let _ = fs::remove_dir_all(&self.run.folder);
        }
        self.run.set_phase(Phase::Failed(failed));
    }
}
