//! One run on a host as this side knows it, and the task that listens to it and copies its log.
//!
//! Two channels per run: what happens, and its log. The end is told when the copy is complete, or when it is clear that
//! this takes longer than anybody should wait (the disk here is full): then copying goes on behind it.

use super::host::Host;
use super::mux::{Channel, Mux};
use super::record::Placed;
use super::wire::{Item, OpenAsk, WireEvent};
use crate::contract::{ExitRecord, Handle, Known, LogChunk, RuntimeEvent};
use crate::mirror::Mirror;
use crate::progress::{self, Phase, Progress};
use futures::stream::BoxStream;
use muster_spec::RunId;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Between two attempts to write what the disk here did not take.
const RETRY: Duration = Duration::from_millis(500);
/// The rest of a log is waited for this long before the end is told without it.
const REST_OF_LOG: Duration = Duration::from_secs(15);
/// A run that the host cannot see for the moment is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A run on a host.
pub(super) struct Run {
    pub(super) id: RunId,
    pub(super) folder: PathBuf,
    pub(super) placed: Placed,
    pub(super) host: Arc<Host>,
    pub(super) progress: watch::Sender<Progress>,
    /// Set with its first success: an end does not take it away.
    pub(super) handle: OnceLock<Handle>,
}

/// Why listening stopped.
enum Heard {
    /// It ended and the copy is complete, or nothing more of it can be had.
    All,
    /// The link is lost.
    Cut(String),
    /// The host does not know what became of it.
    Unclear(String),
}

/// What listening has gathered so far.
#[derive(Default)]
struct Ears {
    /// Pieces that the disk here did not take yet.
    stuck: Vec<LogChunk>,
    record: Option<ExitRecord>,
    copied: bool,
    deadline: Option<Instant>,
}

impl Run {
    pub(super) fn new(id: RunId, folder: PathBuf, placed: Placed, host: Arc<Host>, phase: Phase) -> Self {
        let progress = watch::Sender::new(Progress::new(phase));
        Self { id, folder, placed, host, progress, handle: OnceLock::new() }
    }

    pub(super) fn phase(&self) -> Phase {
        self.progress.borrow().phase.clone()
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.progress.send_modify(|now| now.phase = phase);
    }

    pub(super) fn lost(&self, reason: Option<String>) {
        self.progress.send_if_modified(|now| {
            let changed = now.lost != reason;
            now.lost = reason;
            changed
        });
    }

    pub(super) fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        progress::events(&self.progress)
    }

    /// It runs, as this handle.
    pub(super) fn running(&self, handle: Handle) -> Handle {
        let handle = self.handle.get_or_init(|| handle).clone();
        self.set_phase(Phase::Running(handle.clone()));
        handle
    }

    /// Listens and copies until the run's end and the end of its log, over as many links as that takes.
    pub(super) async fn carry(self: Arc<Self>) {
        let mut mirror = self.open_mirror().await;
        let mut ears = Ears::default();
        loop {
            let mux = self.host.back(|reason| self.lost(Some(reason.to_owned()))).await;
            let heard;
            (mirror, heard) = self.listen(&mux, mirror, &mut ears).await;
            match heard {
                Heard::All => return,
                Heard::Cut(reason) => self.lost(Some(format!("link to host `{}` lost: {reason}", self.placed.host))),
                Heard::Unclear(reason) => {
                    self.lost(Some(reason));
                    sleep(LOOK_AGAIN).await;
                }
            }
        }
    }

    /// The copy here; waits until there is room for it.
    async fn open_mirror(&self) -> Mirror {
        loop {
            let (folder, keep) = (self.folder.clone(), self.placed.keep);
            let opened = tokio::task::spawn_blocking(move || Mirror::open(&folder, keep)).await;
            match opened.map_err(io::Error::other).flatten() {
                Ok(mirror) => return mirror,
                Err(error) => tracing::warn!(run = %self.id, %error, "cannot open the copy of a log"),
            }
            sleep(RETRY).await;
        }
    }

    async fn listen(&self, mux: &Arc<Mux>, mut mirror: Mirror, ears: &mut Ears) -> (Mirror, Heard) {
        // what was stuck is asked for again
        ears.stuck.clear();
        let (mut watch, mut follow) = match self.channels(mux, mirror.end()).await {
            Ok(channels) => channels,
            Err(reason) => return (mirror, Heard::Cut(reason)),
        };
        loop {
            if ears.copied && ears.record.is_some() {
                return (mirror, Heard::All);
            }
            let told = matches!(self.phase(), Phase::Ended(_));
            let deadline = ears.deadline.unwrap_or_else(|| Instant::now() + REST_OF_LOG);
            tokio::select! {
                item = watch.next(), if ears.record.is_none() => match item {
                    Some(Item::Event(event)) => self.take(event, mux, ears),
                    Some(_) => {}
                    None => match mux.reason() {
                        Some(reason) => return (mirror, Heard::Cut(reason)),
                        None => {
                            let reason = self.progress.borrow().lost.clone();
                            return (mirror, Heard::Unclear(reason.unwrap_or_else(|| "nothing is left of it".into())));
                        }
                    }
                },
                item = follow.next(), if ears.stuck.is_empty() && !ears.copied => match item {
                    Some(Item::Log(pieces)) => {
                        ears.stuck = pieces.into_iter().map(LogChunk::from).collect();
                        mirror = self.copy(mirror, ears).await;
                    }
                    Some(Item::Failed(failure)) => {
                        tracing::warn!(run = %self.id, reason = failure.text(), "cannot copy a log");
                    }
                    Some(_) => {}
                    None => match mux.reason() {
                        Some(reason) => return (mirror, Heard::Cut(reason)),
                        None => ears.copied = true,
                    }
                },
                () = sleep(RETRY), if !ears.stuck.is_empty() => mirror = self.copy(mirror, ears).await,
                () = sleep_until(deadline), if ears.record.is_some() && !told => self.tell_end(&mut mirror, ears),
            }
            if ears.copied && ears.record.is_some() {
                self.tell_end(&mut mirror, ears);
            }
        }
    }

    async fn channels(&self, mux: &Arc<Mux>, from: u64) -> Result<(Channel, Channel), String> {
        let watch = mux.open(OpenAsk::Watch { run: self.id.clone() }).await.map_err(|cut| cut.0)?;
        let follow = mux.open(OpenAsk::Follow { run: self.id.clone(), from }).await.map_err(|cut| cut.0)?;
        self.lost(None);
        Ok((watch, follow))
    }

    fn take(&self, event: WireEvent, mux: &Mux, ears: &mut Ears) {
        match event {
            WireEvent::Exited(mut record) => {
                if record.exit == Known::SupervisorKilled && !mux.hello.takes_orphans {
                    let host = &self.placed.host;
                    let note =
                        format!("what it had forked away may still run on host `{host}`, which gives us no orphans");
                    record.note.get_or_insert(note);
                }
                ears.deadline = Some(Instant::now() + REST_OF_LOG);
                ears.record = Some(record);
            }
            // told again after each lost link
            WireEvent::Notify(text) => self.progress.send_modify(|now| now.note(text)),
            // what counts is how far the copy reaches
            WireEvent::LogGrew(_) => {}
            // processes have none of their own
            WireEvent::Health(_) => {}
            WireEvent::LinkLost(reason) => self.lost(Some(reason)),
            WireEvent::LinkBack => self.lost(None),
        }
    }

    /// Writes what is stuck; what still is then is tried again later.
    async fn copy(&self, mut mirror: Mirror, ears: &mut Ears) -> Mirror {
        let chunks = std::mem::take(&mut ears.stuck);
        let written = tokio::task::spawn_blocking(move || {
            let done = mirror.append(&chunks);
            (mirror, chunks, done)
        });
        let Ok((mirror, chunks, done)) = written.await else {
            // the process is ending: nothing is written by halves
            return std::future::pending().await;
        };
        match done {
            Ok(end) => self.progress.send_modify(|now| now.log_end = end.max(now.log_end)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => ears.copied = true,
            Err(error) => {
                tracing::warn!(run = %self.id, %error, "the copy of a log waits");
                ears.stuck = chunks;
            }
        }
        mirror
    }

    fn tell_end(&self, mirror: &mut Mirror, ears: &Ears) {
        let Some(record) = ears.record.clone() else { return };
        if ears.copied
            && let Err(error) = mirror.finish(record.log_bytes)
        {
            tracing::debug!(run = %self.id, %error, "a gap at a log's end could not be recorded");
        }
        self.progress.send_modify(|now| {
            now.lost = None;
            now.log_end = record.log_bytes.max(now.log_end);
            now.phase = Phase::Ended(record);
        });
    }
}
