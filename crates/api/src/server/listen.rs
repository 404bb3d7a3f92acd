//! The socket: who may connect, and how the last ones are let go.

use super::{App, handlers};
use axum::Router;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

/// A listening socket and the file that it is reached by.
#[derive(Debug)]
pub struct Bound {
    /// The file.
    pub path: PathBuf,
    /// The socket.
    pub listener: UnixListener,
}

impl Bound {
    /// Binds a socket that only its owner can open. A file that is in the way is removed: the caller holds the lock
    /// that says that nobody listens there.
    ///
    /// # Errors
    /// What the system says about folder, name or permissions.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = StdListener::bind(path)?;
        // the folder is 0700 already; this is the second lock on the door
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Self::adopt(path, listener)
    }

    /// Takes over a socket that listens already.
    ///
    /// # Errors
    /// When it cannot be used without blocking.
    pub fn adopt(path: &Path, listener: StdListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { path: path.to_owned(), listener: UnixListener::from_std(listener)? })
    }
}

/// How many connections are open, and word when one ends.
#[derive(Debug, Default)]
struct Open {
    count: AtomicUsize,
    ended: Notify,
}

/// A server that can be told to stop accepting.
pub struct Serving {
    router: Router,
    open: Arc<Open>,
    uid: u32,
}

/// A server over `app`.
#[must_use]
pub fn serve(app: App) -> Serving {
    Serving { router: handlers::router(app), open: Arc::default(), uid: rustix::process::geteuid().as_raw() }
}

impl Serving {
    /// Accepts for ever; cancel it to stop accepting. Connections that are open go on.
    pub async fn accept(&self, bound: &Bound) {
        loop {
            match bound.listener.accept().await {
                Ok((stream, _)) => self.take(stream),
                Err(error) => {
                    // out of descriptors: whoever holds them must end first
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Takes every connection that waits already, without waiting for more. Says how many.
    pub async fn drain(&self, bound: &Bound) -> usize {
        let mut taken = 0;
        while let Some((stream, _)) = futures::FutureExt::now_or_never(bound.listener.accept()).and_then(Result::ok) {
            self.take(stream);
            taken += 1;
        }
        taken
    }

    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.count.load(Ordering::Acquire)
    }

    /// Resolves when one connection ended.
    pub async fn one_ended(&self) {
        self.open.ended.notified().await;
    }

    fn take(&self, stream: UnixStream) {
        if !self.may_connect(&stream) {
            return;
        }
        let service = TowerToHyperService::new(self.router.clone());
        let open = Arc::clone(&self.open);
        open.count.fetch_add(1, Ordering::AcqRel);
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            open.count.fetch_sub(1, Ordering::AcqRel);
            open.ended.notify_one();
        });
    }

    /// Our own uid, or root: who can read our memory anyway.
    fn may_connect(&self, stream: &UnixStream) -> bool {
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == self.uid || peer.uid() == 0 => true,
            Ok(peer) => {
                tracing::warn!(uid = peer.uid(), "a connection of another user was refused");
                false
            }
            Err(error) => {
                tracing::warn!(%error, "a connection without credentials was refused");
                false
            }
        }
    }
}
