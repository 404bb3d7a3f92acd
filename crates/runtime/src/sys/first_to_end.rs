//! Which of several processes ended first, also for whoever comes late to look.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::event::{Timespec, epoll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Pinned processes, watched for which of them ends first. The kernel queues the ends in their order, so that whoever comes
/// late to look, on a machine that is busy, still learns it (epoll(7); nothing else tells it of a process that is no child).
#[derive(Debug)]
pub(crate) struct FirstToEnd {
    queue: OwnedFd,
    /// Watched for as long as they are open.
    _pinned: Vec<OwnedFd>,
    /// What the queue gave first.
    first: Mutex<Option<u64>>,
}

impl FirstToEnd {
    /// Watches these from now on. Those that ended before count in the order given.
    pub(crate) fn of(pidfds: Vec<OwnedFd>) -> io::Result<Self> {
        let queue = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (number, pidfd) in (0..).zip(&pidfds) {
            epoll::add(&queue, pidfd, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        }
        Ok(Self { queue, _pinned: pidfds, first: Mutex::new(None) })
    }

    /// The first that ended, by its place among those given, if any did.
    pub(crate) fn known(&self) -> Option<u64> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            let mut event = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            // an error is no end
            if epoll::wait(&self.queue, &mut event, Some(&now)).is_ok_and(|ready| ready > 0) {
                *first = Some(event[0].data.u64());
            }
        }
        *first
    }

    /// Waits until one ends.
    pub(crate) async fn which(&self) -> io::Result<u64> {
        // SAFETY: the borrow keeps the descriptor open for as long as it is registered, and nobody replaces it
        let watched = unsafe { AsyncFd::register_with_interest(self.queue.as_fd(), Interest::READABLE) }?;
        loop {
            let mut ready = watched.readable().await?;
            if let Some(first) = self.known() {
                return Ok(first);
            }
            ready.clear_ready();
        }
    }
}
