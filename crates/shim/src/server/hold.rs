//! The holds of a running shim; what they are for, see [`crate::hold`].
//!
//! They are made with the pipes, a page each. With the first output comes the rest: the pipe to look into, the null
//! device, the records. After a while of silence that goes again.

use crate::hold::{HOLD_FILE, Place, Record};
use crate::sys::pipes::{capacity, set_capacity, splice, tee, unread};
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a hold has room for once a service says more than a little.
pub(super) const ROOM: usize = 64 << 10;
/// As much as anybody may have in a pipe unless the system says otherwise (pipe(7)).
const MOST: usize = 1 << 20;
/// The smallest that a pipe can be, a page.
const LITTLE: usize = 1;

/// What came of a try to take a block of output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// These bytes of the buffer are new.
    Bytes(Range<usize>),
    /// Nothing is there.
    Nothing,
    /// Nothing will come any more.
    End,
    /// It has to be read without a hold.
    Unheld,
}

/// All holds of a run.
#[derive(Debug)]
pub(super) struct Holds {
    folder: PathBuf,
    holds: Vec<Hold>,
    tools: Option<Tools>,
    /// Whether there are records.
    recorded: bool,
}

#[derive(Debug)]
struct Hold {
    out: File,
    into: OwnedFd,
    /// How many bytes are in it.
    len: usize,
    room: usize,
}

/// What is needed while output comes.
#[derive(Debug)]
struct Tools {
    records: File,
    look: File,
    into_look: OwnedFd,
    room: usize,
    null: File,
}

impl Holds {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), holds: Vec::new(), tools: None, recorded: false }
    }

    /// The number of a hold for one more stream: one of its `own`, or the one that all share. `None` where the system
    /// has none to give.
    pub(super) fn add(&mut self, own: bool) -> Option<usize> {
        if self.holds.is_empty() || own {
            self.holds.push(Hold::new().ok()?);
        }
        self.holds.len().checked_sub(1)
    }

    /// The reading ends.
    pub(super) fn ends(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> {
        self.holds.iter().map(|hold| hold.out.as_fd())
    }

    /// How many bytes are in a hold.
    pub(super) fn len(&self, at: usize) -> usize {
        self.holds[at].len
    }

    /// Moves what is there of an output into the hold, and shows it in the buffer.
    pub(super) fn take(&mut self, at: usize, from: &File, record: Record, buffer: &mut [u8]) -> Taken {
        // the end of a service that says nothing needs nothing
        if self.tools.is_none()
            && let Some(none) = nothing(from)
        {
            return none;
        }
        if self.mark(at, record).is_err() {
            return Taken::Unheld;
        }
        let before = self.holds[at].len;
        loop {
            let hold = &mut self.holds[at];
            let room = hold.room.min(buffer.len()).saturating_sub(before);
            match splice(from, &hold.into, room) {
                Ok(0) if room > 0 => return Taken::End,
                Ok(0) => return Taken::Unheld,
                Ok(count) => {
                    hold.len += count;
                    break;
                }
                // either of the two pipes may be the reason: each part of what is held back takes a page
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if before == 0 || unread(from).is_ok_and(|count| count == 0) {
                        return Taken::Nothing;
                    }
                    let room = hold.room;
                    self.grow(at, room.saturating_mul(2).clamp(ROOM, MOST));
                    if self.holds[at].room <= room {
                        return Taken::Unheld;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Taken::Nothing,
                Err(_) => return Taken::Unheld,
            }
        }
        let hold = &mut self.holds[at];
        let total = hold.len;
        let seen = self.tools.as_mut().is_some_and(|tools| tools.see(hold, buffer).is_ok());
        // where a copy cannot be had it has to be the bytes themselves
        let end = if seen { total } else { hold.read(buffer) };
        Taken::Bytes(before..end.max(before))
    }

    /// Records where the bytes of a hold belong.
    ///
    /// # Errors
    /// The system's: without a record nothing may be held.
    pub(super) fn mark(&mut self, at: usize, record: Record) -> io::Result<()> {
        let tools = match &mut self.tools {
            Some(tools) => tools,
            None => self.tools.insert(Tools::new(&self.folder)?),
        };
        self.recorded = true;
        record.write(&tools.records, at)
    }

    /// Drops what is in the log: everything but the last `keep` bytes, for which there is this record.
    pub(super) fn settle(&mut self, at: usize, keep: usize, record: Record) {
        let keep = keep.min(self.holds[at].len);
        let place = self.holds[at].len > keep && keep > 0;
        if place && self.mark(at, record).is_err() {
            return self.forget(at);
        }
        let null = self.tools.as_ref().map(|tools| &tools.null);
        self.holds[at].drop_to(keep, null);
    }

    /// Leaves what is in a hold to the memory of the redactor.
    pub(super) fn forget(&mut self, at: usize) {
        self.holds[at].drop_to(0, self.tools.as_ref().map(|tools| &tools.null));
    }

    /// Before another stream is logged: what is in the hold still waits.
    pub(super) fn rest(&mut self, at: usize, record: Record) {
        let record = Record { place: Place::Waiting, ..record };
        if self.holds[at].len > 0 && self.mark(at, record).is_err() {
            self.forget(at);
        }
    }

    /// Whether so many bytes at once call for a larger hold than there is.
    pub(super) fn is_small_for(&self, at: usize, count: usize) -> bool {
        count >= self.holds[at].room / 2
    }

    /// Gives a hold more room, as far as the system has it. The look needs as much: a part of a block cannot be seen.
    pub(super) fn grow(&mut self, at: usize, room: usize) {
        let Some(tools) = &mut self.tools else { return };
        if tools.room < room
            && let Ok(now) = set_capacity(&tools.look, room)
        {
            tools.room = now;
        }
        let hold = &mut self.holds[at];
        let room = room.min(tools.room);
        if hold.room < room
            && let Ok(now) = set_capacity(&hold.out, room)
        {
            hold.room = now;
        }
    }

    /// Gives back what a silent service does not need.
    pub(super) fn cool(&mut self) {
        if self.holds.iter().any(|hold| hold.len > 0) {
            return;
        }
        self.tools = None;
        for hold in &mut self.holds {
            if let Ok(room) = set_capacity(&hold.out, LITTLE) {
                hold.room = room;
            }
        }
    }

    /// All output is in the log.
    pub(super) fn finish(&mut self) {
        self.tools = None;
        if self.recorded {
            // what stays goes with the folder
            let _ = std::fs::remove_file(self.folder.join(HOLD_FILE));
        }
    }
}

/// What it means that nothing is in a pipe; `None` where something is.
fn nothing(from: &File) -> Option<Taken> {
    let mut ready = [libc::pollfd { fd: from.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    crate::sys::os::poll(&mut ready, Some(Duration::ZERO));
    match ready[0].revents {
        0 => Some(Taken::Nothing),
        libc::POLLHUP => Some(Taken::End),
        _ => None,
    }
}

impl Hold {
    fn new() -> io::Result<Self> {
        let (out, into) = crate::sys::os::pipe()?;
        // a pipe that stays large is as good
        let room = set_capacity(&out, LITTLE).or_else(|_| capacity(&out))?;
        Ok(Self { out: File::from(out), into, len: 0, room })
    }

    /// Takes everything out; tells how much it was.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while done < self.len {
            match self.out.read(&mut buffer[done..self.len]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.len = 0;
        done
    }

    fn drop_to(&mut self, keep: usize, null: Option<&File>) {
        while self.len > keep {
            let rest = self.len - keep;
            let dropped = match null {
                Some(null) => splice(&self.out, null, rest),
                None => Err(io::ErrorKind::Unsupported.into()),
            };
            let dropped = match dropped {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => self.out.read(&mut vec![0; rest]),
                done => done,
            };
            match dropped {
                Ok(count) if count > 0 => self.len -= count.min(self.len),
                Ok(_) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

impl Tools {
    fn new(folder: &Path) -> io::Result<Self> {
        let (look, into_look) = crate::sys::os::pipe()?;
        let room = capacity(&look)?;
        let records = File::options().create(true).truncate(false).write(true).open(folder.join(HOLD_FILE))?;
        let null = File::options().write(true).open("/dev/null")?;
        Ok(Self { records, look: File::from(look), into_look, room, null })
    }

    /// Shows what is in a hold. An error is a system that has no copies to give, or only of a part.
    fn see(&mut self, hold: &Hold, buffer: &mut [u8]) -> io::Result<()> {
        let copied = tee(&hold.out, &self.into_look, hold.len)?;
        self.look.read_exact(&mut buffer[..copied])?;
        if copied == hold.len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
