//! Channels as the far side has them: each a task that sends when the other side has room.

use super::follow::follow;
use super::place::{Fresh, Place, make_parent, sha256_of};
use super::server::handle;
use crate::contract::{Runtime as _, RuntimeError, Terminal};
use crate::process::ProcessRuntime;
use crate::remote::wire::{Entry, EntryKind, Failure, Input, Item, OpenAsk, ToNear};
use futures::StreamExt as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Where a channel's items go.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) id: u32,
    pub(super) out: mpsc::Sender<ToNear>,
    pub(super) room: Arc<Semaphore>,
}

impl Outlet {
    /// Sends when there is room. Where the connection is over the process is about to end.
    pub(super) async fn send(&self, item: Item) {
        if let Ok(room) = self.room.acquire().await {
            room.forget();
            let _ = self.out.send(ToNear::Item { id: self.id, item }).await;
        }
    }

    async fn taken(&self) {
        let _ = self.out.send(ToNear::Taken { id: self.id, count: 1 }).await;
    }

    /// The last word.
    pub(super) async fn end(self) {
        let _ = self.out.send(ToNear::End { id: self.id }).await;
    }
}

/// Carries a channel to its end.
pub(super) async fn carry(
    runtime: Arc<ProcessRuntime>,
    place: Arc<Place>,
    ask: OpenAsk,
    outlet: Outlet,
    inputs: mpsc::Receiver<Input>,
) {
    match ask {
        OpenAsk::Watch { run } => {
            outlet.send(Item::Opened).await;
            let mut events = runtime.watch(&handle(&run));
            while let Some(event) = events.next().await {
                outlet.send(Item::Event(event.into())).await;
            }
        }
        OpenAsk::Follow { run, from } => follow(&runtime, &run, from, &outlet).await,
        OpenAsk::Exec { run, exec } => {
            let mut exec = crate::Exec::from(exec);
            exec.cwd = exec.cwd.map(|cwd| place.resolve(&cwd));
            terminal(runtime.exec(&handle(&run), &exec).await, &outlet, inputs).await;
        }
        OpenAsk::Attach { run } => terminal(runtime.attach(&handle(&run)).await, &outlet, inputs).await,
        OpenAsk::Put { root, entry } => put(&place, &root, &entry, &outlet, inputs).await,
    }
    outlet.end().await;
}

/// Both directions of a command; it ends with this task.
async fn terminal(opened: Result<Terminal, RuntimeError>, outlet: &Outlet, mut inputs: mpsc::Receiver<Input>) {
    let Terminal { input, mut events } = match opened {
        Ok(terminal) => terminal,
        Err(error) => return outlet.send(Item::Failed(error.into())).await,
    };
    outlet.send(Item::Opened).await;
    let typing = async {
        while let Some(given) = inputs.recv().await {
            // a command that ended takes no more; the rest is taken from whoever types all the same
            let _ = input.send(given.into()).await;
            outlet.taken().await;
        }
        // the other side may stop typing long before the command ends
        std::future::pending::<()>().await;
    };
    let telling = async {
        while let Some(event) = events.next().await {
            outlet.send(event.into()).await;
        }
    };
    tokio::select! {
        () = telling => {}
        () = typing => {}
    }
}

/// Takes a file's content in, beside its place, and renames it when it is whole.
async fn put(place: &Place, root: &str, entry: &Entry, outlet: &Outlet, inputs: mpsc::Receiver<Input>) {
    let path = match place.below(root, &entry.path) {
        Ok(path) => path,
        Err(error) => return outlet.send(Item::Failed(Failure::io("could not place a file", &error))).await,
    };
    let put = async {
        make_parent(&path)?;
        let fresh = Fresh::beside(&path);
        let mut file = File::create(&fresh.path)?;
        outlet.send(Item::Opened).await;
        take_in(&mut file, outlet, inputs).await?;
        let whole = match &entry.kind {
            EntryKind::File { sha256, .. } => sha256_of(&fresh.path)? == *sha256,
            EntryKind::Folder | EntryKind::Link(_) => false,
        };
        if !whole {
            return Ok(Item::Torn);
        }
        fs::set_permissions(&fresh.path, fs::Permissions::from_mode(entry.mode))?;
        fresh.put_at(&path).map(|()| Item::Placed)
    };
    let said = put.await.unwrap_or_else(|error: io::Error| {
        Item::Failed(Failure::io(format!("could not write `{}`", path.display()), &error))
    });
    outlet.send(said).await;
}

/// Writes what comes until its end.
async fn take_in(file: &mut File, outlet: &Outlet, mut inputs: mpsc::Receiver<Input>) -> io::Result<()> {
    loop {
        match inputs.recv().await {
            Some(Input::Bytes(bytes)) => {
                file.write_all(&bytes)?;
                outlet.taken().await;
            }
            Some(Input::Eof) => return Ok(()),
            Some(Input::Resize(_) | Input::Signal(_)) => {}
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
