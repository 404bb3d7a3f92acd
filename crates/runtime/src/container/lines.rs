//! Lines of ours in a run's log, before its container's own output: what a pull or a build says.

use super::run::Run;
use crate::Mirror;
use crate::contract::{Heard, LogChunk};
use muster_logs::Redactor;
use muster_shim::realtime_ns;
use muster_spec::InstanceSpec;
use std::sync::Arc;

/// Writes them. What the disk does not take is left out: the image matters more.
pub(super) struct Lines {
    run: Arc<Run>,
    mirror: Option<Mirror>,
    redactor: Option<Redactor>,
    heard: Option<Heard>,
}

impl Lines {
    pub(super) fn open(run: &Arc<Run>, spec: &InstanceSpec) -> Self {
        let mirror = Mirror::open(&run.folder, spec.logs.keep.get());
        if let Err(error) = &mirror {
            tracing::warn!(run = %run.id, %error, "what a pull or a build says cannot be written");
        }
        let secrets: Vec<Vec<u8>> = spec.secrets.iter().map(|secret| secret.expose().as_bytes().to_vec()).collect();
        Self { run: Arc::clone(run), mirror: mirror.ok(), redactor: Redactor::new(&secrets), heard: None }
    }

    /// Whoever asked for it reads along.
    pub(super) fn heard_by(mut self, heard: Heard) -> Self {
        self.heard = Some(heard);
        self
    }

    /// Writes text as it is; whoever has lines ends them.
    pub(super) async fn say(&mut self, text: &str) {
        let mut bytes = Vec::with_capacity(text.len());
        match &mut self.redactor {
            Some(redactor) => {
                redactor.push(text.as_bytes(), &mut bytes);
                redactor.flush(&mut bytes);
            }
            None => bytes.extend_from_slice(text.as_bytes()),
        }
        if let Some(heard) = &self.heard {
            // an error means that nobody listens any more
            let _ = heard.send(bytes.clone()).await;
        }
        let Some(mirror) = &mut self.mirror else { return };
        let chunk = LogChunk { offset: mirror.end(), time_ns: realtime_ns(), stderr: true, bytes, gap: 0 };
        match mirror.append(&[chunk]) {
            Ok(end) => self.run.progress.send_modify(|now| now.log_end = end.max(now.log_end)),
            Err(error) => tracing::debug!(run = %self.run.id, %error, "a line is left out"),
        }
    }

    /// Writes a line.
    pub(super) async fn line(&mut self, text: &str) {
        self.say(&format!("{}\n", text.trim_end_matches('\n'))).await;
    }
}
