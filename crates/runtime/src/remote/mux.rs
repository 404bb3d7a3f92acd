//! Many calls and channels over one connection: this side of it.

use super::wire::{self, Answer, Ask, FRAMES, Failure, Hello, Input, Item, OpenAsk, ToFar, ToNear, WINDOW};
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// What the other side sends ahead of the window: that a channel is open, and why it is not.
const AHEAD: usize = 2;

/// A live connection. It is over when nothing was heard for a while, or the other side is gone.
#[derive(Debug)]
pub(super) struct Mux {
    out: mpsc::Sender<ToFar>,
    table: Mutex<Table>,
    next: AtomicU32,
    over: watch::Sender<Option<String>>,
    /// What the other side said of itself.
    pub(super) hello: Hello,
}

#[derive(Debug, Default)]
struct Table {
    calls: HashMap<u32, oneshot::Sender<Result<Answer, Failure>>>,
    channels: HashMap<u32, Line>,
    closed: bool,
}

#[derive(Debug)]
struct Line {
    items: mpsc::Sender<Item>,
    room: Arc<Semaphore>,
}

/// Why there was no answer: the connection is over, and nobody knows what became of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Cut(pub(super) String);

impl Mux {
    /// Takes a connection whose greeting was read.
    pub(super) async fn over<R, W>(from: R, to: W) -> io::Result<Arc<Self>>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let mut from = BufReader::with_capacity(wire::PIECE, from);
        let Some(ToNear::Hello(hello)) = wire::read(&mut from).await? else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it did not say what it is"));
        };
        let (out, frames) = mpsc::channel(FRAMES);
        let (table, next, over) = (Mutex::default(), AtomicU32::new(1), watch::Sender::new(None));
        let mux = Arc::new(Self { out, table, next, over, hello });
        let writer = tokio::spawn(write_frames(to, frames));
        let reading = Arc::clone(&mux);
        tokio::spawn(async move {
            let reason = reading.read_frames(&mut from).await;
            writer.abort();
            reading.close(&reason);
        });
        Ok(mux)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the connection is over, and says why.
    pub(super) async fn ended(&self) -> String {
        let mut over = self.over.subscribe();
        let reason = over.wait_for(Option::is_some).await.map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or_else(|| "the connection ended".to_owned())
    }

    /// Why it is over, if it is.
    pub(super) fn reason(&self) -> Option<String> {
        self.over.borrow().clone()
    }

    /// Ends it.
    pub(super) fn close(&self, reason: &str) {
        let dropped = {
            let mut table = self.table();
            table.closed = true;
            std::mem::take(&mut *table).with_closed()
        };
        *self.table() = dropped;
        self.over.send_if_modified(|over| {
            let first = over.is_none();
            over.get_or_insert_with(|| reason.to_owned());
            first
        });
    }

    fn cut(&self) -> Cut {
        Cut(self.reason().unwrap_or_else(|| "the connection ended".to_owned()))
    }

    /// Asks and waits for the answer.
    pub(super) async fn call(&self, ask: Ask) -> Result<Result<Answer, Failure>, Cut> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        {
            let mut table = self.table();
            if table.closed {
                drop(table);
                return Err(self.cut());
            }
            table.calls.insert(id, reply);
        }
        self.send(ToFar::Call { id, ask: Box::new(ask) }).await?;
        answer.await.map_err(|_| self.cut())
    }

    /// Opens a channel; what comes of it is its first item.
    pub(super) async fn open(self: &Arc<Self>, ask: OpenAsk) -> Result<Channel, Cut> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (items, received) = mpsc::channel(WINDOW + AHEAD);
        let room = Arc::new(Semaphore::new(WINDOW));
        {
            let mut table = self.table();
            if table.closed {
                drop(table);
                return Err(self.cut());
            }
            table.channels.insert(id, Line { items, room: Arc::clone(&room) });
        }
        let channel = Channel { id, items: received, room, mux: Arc::clone(self) };
        self.send(ToFar::Open { id, ask: Box::new(ask) }).await?;
        Ok(channel)
    }

    async fn send(&self, frame: ToFar) -> Result<(), Cut> {
        let mut over = self.over.subscribe();
        tokio::select! {
            sent = self.out.send(frame) => sent.map_err(|_| self.cut()),
            _ = over.wait_for(Option::is_some) => Err(self.cut()),
        }
    }

    async fn read_frames(&self, from: &mut (impl AsyncRead + Unpin)) -> String {
        let patience = Duration::from_secs(wire::NEAR_PATIENCE_SECONDS);
        let mut over = self.over.subscribe();
        loop {
            let frame = tokio::select! {
                frame = timeout(patience, wire::read::<ToNear>(from)) => frame,
                _ = over.wait_for(Option::is_some) => return "it was closed here".to_owned(),
            };
            match frame {
                Ok(Ok(Some(frame))) => {
                    if !self.take(frame) {
                        return "the other side sent more than was asked for".to_owned();
                    }
                }
                Ok(Ok(None)) => return "the connection was closed".to_owned(),
                Ok(Err(error)) => return format!("the connection failed: {error}"),
                Err(_) => return format!("nothing was heard for {} s", wire::NEAR_PATIENCE_SECONDS),
            }
        }
    }

    /// False where the other side broke the rules.
    fn take(&self, frame: ToNear) -> bool {
        match frame {
            ToNear::Answer { id, answer } => {
                let reply = self.table().calls.remove(&id);
                if let Some(reply) = reply {
                    // whoever asked may have given up
                    let _ = reply.send(answer);
                }
                true
            }
            ToNear::Item { id, item } => {
                let items = self.table().channels.get(&id).map(|line| line.items.clone());
                // nobody: it was closed here, and the other side does not know yet
                items.is_none_or(|items| !matches!(items.try_send(item), Err(mpsc::error::TrySendError::Full(_))))
            }
            ToNear::Taken { id, count } => {
                if let Some(line) = self.table().channels.get(&id) {
                    line.room.add_permits(count as usize);
                }
                true
            }
            ToNear::End { id } => {
                let line = self.table().channels.remove(&id);
                if let Some(line) = line {
                    line.room.close();
                }
                true
            }
            ToNear::Hello(_) | ToNear::Pong => true,
        }
    }
}

impl Table {
    /// Everybody who waits is told by the drop of what they wait for.
    fn with_closed(self) -> Self {
        for line in self.channels.values() {
            line.room.close();
        }
        Self { closed: true, ..Self::default() }
    }
}

async fn write_frames(to: impl AsyncWrite + Unpin, mut frames: mpsc::Receiver<ToFar>) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(wire::PIECE, to);
    let mut ping = interval(Duration::from_secs(wire::PING_SECONDS));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let frame = match frames.try_recv() {
            Ok(frame) => frame,
            Err(mpsc::error::TryRecvError::Disconnected) => return to.flush().await,
            Err(mpsc::error::TryRecvError::Empty) => {
                to.flush().await?;
                tokio::select! {
                    frame = frames.recv() => match frame {
                        Some(frame) => frame,
                        None => return Ok(()),
                    },
                    _ = ping.tick() => ToFar::Ping,
                }
            }
        };
        wire::write(&mut to, &frame).await?;
    }
}

/// A channel; dropping it closes it.
#[derive(Debug)]
pub(super) struct Channel {
    id: u32,
    items: mpsc::Receiver<Item>,
    room: Arc<Semaphore>,
    mux: Arc<Mux>,
}

impl Channel {
    /// The next item; `None` at the end, also when the connection is over. Can be cancelled without losing anything.
    pub(super) async fn next(&mut self) -> Option<Item> {
        let item = self.items.recv().await?;
        self.give(ToFar::Taken { id: self.id, count: 1 });
        Some(item)
    }

    /// Waits until the channel is open.
    pub(super) async fn opened(&mut self) -> Result<Result<(), Failure>, Cut> {
        match self.next().await {
            Some(Item::Failed(failure)) => Ok(Err(failure)),
            Some(_) => Ok(Ok(())),
            None => Err(self.mux.cut()),
        }
    }

    /// The side for inputs.
    pub(super) fn inlet(&self) -> Inlet {
        Inlet { id: self.id, room: Arc::clone(&self.room), mux: Arc::clone(&self.mux) }
    }

    fn give(&self, frame: ToFar) {
        if let Err(mpsc::error::TrySendError::Full(frame)) = self.mux.out.try_send(frame) {
            let mux = Arc::clone(&self.mux);
            tokio::spawn(async move {
                // an error means that the connection is over, and the channel with it
                let _ = mux.send(frame).await;
            });
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let line = self.mux.table().channels.remove(&self.id);
        if line.is_some() {
            self.give(ToFar::Close { id: self.id });
        }
    }
}

/// Where a channel's inputs go.
#[derive(Debug, Clone)]
pub(super) struct Inlet {
    id: u32,
    room: Arc<Semaphore>,
    mux: Arc<Mux>,
}

impl Inlet {
    /// Sends an input when there is room for it.
    pub(super) async fn send(&self, input: Input) -> Result<(), Cut> {
        self.room.acquire().await.map_err(|_| self.mux.cut())?.forget();
        self.mux.send(ToFar::Input { id: self.id, input }).await
    }
}
