//! Follows a container's log and copies it until the container is gone and the last byte is here.

use super::engine::Client;
use super::frames::{Frames, Message};
use super::position::fingerprint;
use super::raw::Body;
use super::records::{Ending, Started};
use super::run::Run;
use super::sink::Sink;
use super::trouble::Trouble;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// What may be the beginning of a secret waits so long for more.
const HELD: Duration = Duration::from_millis(10);
/// A stream that broke, or a disk that is full, is tried again after this, and later and later.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_LATEST: Duration = Duration::from_secs(2);
/// The log of a container that somebody removes goes on for as long as this after its end was told.
const REMOVED: Duration = Duration::from_secs(2);
/// A log that says nothing for so long after its container's end has nothing more on its way.
const QUIET: Duration = Duration::from_millis(20);
/// Taken in at once.
const BATCH: usize = 256 << 10;
const NANOS_IN_SECOND: u64 = 1_000_000_000;

/// One container's log on its way here.
pub(super) struct Copier {
    client: Arc<Client>,
    run: Arc<Run>,
    id: String,
    tty: bool,
    sink: Option<Sink>,
}

/// How a pass over the log came out.
enum Pass {
    /// The log of a container that ended was read to its end.
    Complete,
    /// The container goes on, or ended meanwhile: another pass is due.
    Again,
    /// The engine does not have the log any more.
    Gone,
}

/// Why a pass failed.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Engine(#[from] Trouble),
    #[error("the log cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// What is left out at the beginning of a stream.
struct Skip {
    left: u64,
    /// The first message is compared with this.
    first: Option<u64>,
    /// The engine dropped messages: what is not newer than this is left out instead.
    until_ns: Option<u64>,
}

impl Copier {
    /// Waits for what must not stand in the log, then opens the copy.
    pub(super) async fn open(client: Arc<Client>, run: Arc<Run>, id: String, started: &Started) -> io::Result<Self> {
        let mut secrets = run.secrets.subscribe();
        let known = if started.secrets {
            // the sender lives as long as the run does, which we hold
            secrets.wait_for(Option::is_some).await.map(|known| known.clone()).unwrap_or_default()
        } else {
            None
        };
        let (folder, keep, tty) = (run.folder.clone(), started.keep, started.tty);
        let sink = blocking(move || Sink::open(&folder, keep, tty, &known.unwrap_or_default())).await?;
        Ok(Self { client, run, id, tty, sink: Some(sink) })
    }

    /// Copies until the end is known and the log is complete; gives the bytes that the log has.
    pub(super) async fn run(mut self) -> u64 {
        let mut ending = self.run.ending.subscribe();
        let mut wait = RETRY;
        loop {
            match self.pass(&mut ending).await {
                Ok(Pass::Complete | Pass::Gone) => break,
                Ok(Pass::Again) => wait = RETRY,
                Err(error) => {
                    tracing::debug!(run = %self.run.id, %error, "a log is copied later");
                    sleep(wait).await;
                    wait = RETRY_LATEST.min(wait * 2);
                }
            }
        }
        match self.with(Sink::finish).await {
            Ok(end) => end,
            Err(error) => {
                tracing::error!(run = %self.run.id, %error, "the end of a log could not be written");
                self.run.progress.borrow().log_end
            }
        }
    }

    /// One stream from the position on.
    async fn pass(&mut self, ending: &mut watch::Receiver<Option<Ending>>) -> Result<Pass, Broken> {
        let over = ending.borrow_and_update().is_some();
        let body = match self.stream(!over).await {
            Ok(body) => body,
            Err(Broken::Engine(trouble)) if trouble.is_missing() => return self.missing(ending).await,
            Err(error) => return Err(error),
        };
        if over {
            self.drain(body).await?;
            return Ok(Pass::Complete);
        }
        let mut body = self.follow(body, ending).await?;
        if ending.borrow().is_none() {
            // the engine ends the stream a moment before it tells the end of the container
            let _ = timeout(RETRY_LATEST, ending.changed()).await;
            return Ok(Pass::Again);
        }
        match (self.stream(false).await, &mut body) {
            (Ok(fresh), _) => self.drain(fresh).await?,
            // removed by somebody: what the engine had read before still comes
            (Err(Broken::Engine(trouble)), Some((body, reading))) if trouble.is_missing() => {
                self.last_words(body, reading).await?;
            }
            (Err(Broken::Engine(trouble)), None) if trouble.is_missing() => return Ok(Pass::Gone),
            (Err(error), _) => return Err(error),
        }
        Ok(Pass::Complete)
    }

    /// There is no such container: that is its end, unless nobody told yet.
    async fn missing(&self, ending: &mut watch::Receiver<Option<Ending>>) -> Result<Pass, Broken> {
        if ending.borrow().is_none() {
            let _ = timeout(RETRY_LATEST, ending.changed()).await;
        }
        Ok(if ending.borrow().is_some() { Pass::Gone } else { Pass::Again })
    }

    async fn stream(&mut self, follow: bool) -> Result<Body, Broken> {
        self.with(|sink| {
            sink.rewind();
            Ok(())
        })
        .await?;
        let position = self.sink().position();
        let mut path = format!("/containers/{}/logs?stdout=1&stderr=1&follow={}", self.id, u8::from(follow));
        if !self.tty {
            let since = position.since_ns;
            path.push_str(&format!("&timestamps=1&since={}.{:09}", since / NANOS_IN_SECOND, since % NANOS_IN_SECOND));
        }
        // what follows comes again where it broke, so that its end need not be told from a break
        Ok(if follow { self.client.raw.get_plain(&path).await? } else { self.client.raw.get(&path).await? })
    }

    /// Reads what comes until the stream ends, or the container does: then it gives the stream back.
    async fn follow(
        &mut self,
        mut body: Body,
        ending: &mut watch::Receiver<Option<Ending>>,
    ) -> Result<Option<(Body, Reading)>, Broken> {
        let mut reading = self.reading();
        loop {
            let holding = self.sink().is_holding();
            let over = ending.borrow().is_some();
            tokio::select! {
                biased;
                bytes = body.next_many(BATCH) => match bytes? {
                    Some(bytes) => self.take(&mut reading, &bytes).await?,
                    None => return Ok(None),
                },
                // it ended: what the engine still has on its way is read first, then the rest is asked for
                () = sleep(QUIET), if over => return Ok(Some((body, reading))),
                () = sleep(HELD), if holding => self.flush().await?,
                changed = ending.changed(), if !over => {
                    if changed.is_err() {
                        return Ok(Some((body, reading)));
                    }
                }
            }
        }
    }

    async fn drain(&mut self, mut body: Body) -> Result<(), Broken> {
        let mut reading = self.reading();
        while let Some(bytes) = body.next_many(BATCH).await? {
            self.take(&mut reading, &bytes).await?;
        }
        Ok(())
    }

    async fn last_words(&mut self, body: &mut Body, reading: &mut Reading) -> Result<(), Broken> {
        // the second stream never began: what the first one gave is still what counts
        let read = async {
            while let Ok(Some(bytes)) = body.next_many(BATCH).await {
                self.take(reading, &bytes).await?;
            }
            Ok(())
        };
        timeout(REMOVED, read).await.unwrap_or(Ok(()))
    }

    fn reading(&self) -> Reading {
        let position = self.sink().position();
        if self.tty {
            let taken = position.offset - position.base;
            let left = Skip { left: taken, first: (taken > 0).then_some(position.first), until_ns: None };
            return Reading::Bytes {
                skip: left,
                head: Vec::new(),
                wanted: usize::try_from(position.count).unwrap_or(0),
            };
        }
        if self.sink().is_counted() {
            let frames = Frames::after(position.first, position.count);
            return Reading::Frames { frames, skip: Skip { left: 0, first: None, until_ns: None } };
        }
        let first = (position.count > 0).then_some(position.first);
        Reading::Frames { frames: Frames::default(), skip: Skip { left: position.count, first, until_ns: None } }
    }

    async fn take(&mut self, reading: &mut Reading, bytes: &[u8]) -> Result<(), Broken> {
        let end = match reading {
            Reading::Frames { frames, skip } => {
                let messages = frames.push(bytes);
                let messages =
                    messages.map_err(|error| Trouble::Refused { status: 500, message: error.to_string() })?;
                let last_ns = self.sink().position().last_ns;
                let another = frames.is_another();
                if another {
                    // rotated away: what we had counted on is not there
                    skip.until_ns = Some(last_ns);
                }
                let (known, gap, fresh) = skip.split(messages, last_ns);
                let gap = gap || another;
                if known.is_empty() && fresh.is_empty() && !gap {
                    return Ok(());
                }
                self.with(move |sink| {
                    if !another {
                        known.iter().for_each(|message| sink.skip(message));
                    }
                    if gap {
                        sink.gap();
                    }
                    sink.take(&fresh)
                })
                .await?
            }
            Reading::Bytes { skip, head, wanted } => {
                let (gap, fresh) = skip.split_bytes(head, *wanted, bytes);
                if fresh.is_empty() {
                    return Ok(());
                }
                self.with(move |sink| {
                    if gap {
                        sink.gap_in_bytes();
                    }
                    sink.take_bytes(&fresh)
                })
                .await?
            }
        };
        self.grew(end);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        let end = self.with(Sink::flush).await?;
        self.grew(end);
        Ok(())
    }

    fn grew(&self, end: u64) {
        self.run.progress.send_modify(|now| now.log_end = end.max(now.log_end));
    }

    fn sink(&self) -> &Sink {
        self.sink.as_ref().expect("invariant: the sink is only away while a call of `with` is awaited")
    }

    /// Does something with the copy where blocking is allowed.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Sink) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let mut sink = self.sink.take().expect("invariant: nobody else has the sink");
        let (sink, result) = blocking(move || {
            let result = work(&mut sink);
            Ok((sink, result))
        })
        .await?;
        self.sink = Some(sink);
        result
    }
}

/// A stream that is being read.
enum Reading {
    /// Messages with times.
    Frames { frames: Frames, skip: Skip },
    /// A terminal's bytes.
    Bytes {
        skip: Skip,
        /// The first bytes that came, until they can be compared.
        head: Vec<u8>,
        wanted: usize,
    },
}

impl Skip {
    /// What is taken already, whether something is missing before the rest, and the rest.
    fn split(&mut self, messages: Vec<Message>, last_ns: u64) -> (Vec<Message>, bool, Vec<Message>) {
        let (mut known, mut gap, mut fresh) = (Vec::new(), false, Vec::new());
        for message in messages {
            if let Some(first) = self.first.take()
                && first != fingerprint(message.time_ns, &message.bytes)
            {
                // rotated away: what we had counted on is not there
                (gap, self.left, self.until_ns) = (true, 0, Some(last_ns));
            }
            if self.left > 0 {
                self.left -= 1;
                known.push(message);
            } else if self.until_ns.is_some_and(|until| message.time_ns <= until) {
                known.push(message);
            } else {
                fresh.push(message);
            }
        }
        (known, gap, fresh)
    }

    /// As [`Skip::split`], of bytes.
    fn split_bytes(&mut self, head: &mut Vec<u8>, wanted: usize, bytes: &[u8]) -> (bool, Vec<u8>) {
        let mut all = std::mem::take(head);
        all.extend_from_slice(bytes);
        let mut gap = false;
        if let Some(first) = self.first {
            if all.len() < wanted {
                *head = all;
                return (false, Vec::new());
            }
            self.first = None;
            if first != fingerprint(0, &all[..wanted]) {
                (gap, self.left) = (true, 0);
            }
        }
        let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(all.len());
        self.left -= skipped as u64;
        (gap, all.split_off(skipped))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
