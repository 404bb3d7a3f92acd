//! Where a container's output goes: redacted into the copy, and the position beside it.

use super::frames::Message;
use super::position::{Position, PositionFile, Taken, fingerprint};
use crate::Mirror;
use crate::contract::LogChunk;
use muster_logs::Redactor;
use muster_shim::realtime_ns;
use std::io;
use std::path::Path;

/// A gap whose size nobody knows is told as one byte: the engine does not say how much it dropped.
const UNKNOWN_GAP: u64 = 1;
/// So many bytes of a terminal's log tell it from another one.
const TTY_PRINT: usize = 64;
const NANOS_IN_SECOND: u64 = 1_000_000_000;

/// The copy of one container's log. Its methods write files, which may block.
#[derive(Debug)]
pub(super) struct Sink {
    mirror: Mirror,
    file: PositionFile,
    position: Position,
    taken: Taken,
    /// Where the next byte goes; the copy may be further, after our death.
    next: u64,
    /// By stream.
    redactors: Option<[Redactor; 2]>,
    /// Of a terminal's log: how it begins.
    head: Vec<u8>,
    tty: bool,
}

impl Sink {
    /// Goes on with a copy, or begins one.
    pub(super) fn open(folder: &Path, keep: u64, tty: bool, secrets: &[Vec<u8>]) -> io::Result<Self> {
        let mirror = Mirror::open(folder, keep)?;
        let (file, known) = PositionFile::open(folder)?;
        let end = mirror.end();
        let position = known.unwrap_or(Position { base: end, offset: end, ..Position::default() });
        if known.is_none() {
            file.write(&position)?;
        }
        let redactor = Redactor::new(secrets);
        let redactors = redactor.map(|redactor| [redactor.clone(), redactor]);
        let taken = Taken::from(&position);
        Ok(Self { mirror, file, position, taken, next: position.offset, redactors, head: Vec::new(), tty })
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Whether all that the position says is taken was counted here, and nothing since: then it need not be read again.
    pub(super) fn is_counted(&self) -> bool {
        !self.tty && !self.is_holding() && self.taken.position(self.position.base, self.next) == self.position
    }

    /// The log is asked for again from the position on: what was taken since then comes again.
    pub(super) fn rewind(&mut self) {
        if self.is_counted() {
            return;
        }
        self.taken = Taken::from(&self.position);
        self.next = self.position.offset;
        for redactor in self.redactors.iter_mut().flatten() {
            // what was held back comes again
            redactor.flush(&mut Vec::new());
        }
    }

    /// A message that the position says is taken came again.
    pub(super) fn skip(&mut self, message: &Message) {
        self.taken.count(message.time_ns, &message.bytes);
    }

    /// The engine does not have any more what should come next.
    pub(super) fn gap(&mut self) {
        self.next += UNKNOWN_GAP;
    }

    /// Takes messages in, in their order; tells the copy's new end.
    pub(super) fn take(&mut self, messages: &[Message]) -> io::Result<u64> {
        let mut chunks = Vec::with_capacity(messages.len());
        for message in messages {
            self.taken.count(message.time_ns, &message.bytes);
            let mut bytes = Vec::new();
            match &mut self.redactors {
                Some(redactors) => redactors[usize::from(message.stderr)].push(&message.bytes, &mut bytes),
                None => bytes.extend_from_slice(&message.bytes),
            }
            self.place(bytes, message.stderr, time_of(message), &mut chunks);
        }
        let end = self.mirror.append(&chunks)?;
        self.settle()?;
        Ok(end)
    }

    /// As [`Sink::take`], of a terminal: bytes without times. They are counted from the log's beginning, and what it
    /// began with is how it is known again.
    pub(super) fn take_bytes(&mut self, bytes: &[u8]) -> io::Result<u64> {
        // after our death only the fingerprint of what was there is known, and stays as it is
        let known = usize::try_from(self.position.count).unwrap_or(TTY_PRINT);
        if self.head.len() == known {
            self.head.extend(bytes.iter().take(TTY_PRINT - known.min(TTY_PRINT)));
            self.position.count = self.head.len() as u64;
            self.position.first = fingerprint(0, &self.head);
        }
        let mut out = Vec::new();
        match &mut self.redactors {
            Some(redactors) => redactors[0].push(bytes, &mut out),
            None => out.extend_from_slice(bytes),
        }
        let mut chunks = Vec::new();
        self.place(out, false, realtime_ns(), &mut chunks);
        let end = self.mirror.append(&chunks)?;
        self.settle()?;
        Ok(end)
    }

    /// As [`Sink::gap`], of a terminal: another log begins.
    pub(super) fn gap_in_bytes(&mut self) {
        self.next += UNKNOWN_GAP;
        self.head.clear();
        self.position = Position { base: self.next, count: 0, first: 0, ..self.position };
    }

    /// Whether bytes are held back because a secret may begin there.
    pub(super) fn is_holding(&self) -> bool {
        self.redactors.iter().flatten().any(Redactor::is_holding)
    }

    /// Nothing came for a while, or nothing will: what is held back goes out.
    pub(super) fn flush(&mut self) -> io::Result<u64> {
        let mut chunks = Vec::new();
        for stderr in [false, true] {
            let mut bytes = Vec::new();
            if let Some(redactors) = &mut self.redactors {
                redactors[usize::from(stderr)].flush(&mut bytes);
            }
            self.place(bytes, stderr, realtime_ns(), &mut chunks);
        }
        let end = self.mirror.append(&chunks)?;
        self.settle()?;
        Ok(end)
    }

    /// The log is complete: a gap at its end is told.
    pub(super) fn finish(&mut self) -> io::Result<u64> {
        self.flush()?;
        self.mirror.finish(self.next)?;
        Ok(self.mirror.end())
    }

    fn place(&mut self, bytes: Vec<u8>, stderr: bool, time_ns: u64, chunks: &mut Vec<LogChunk>) {
        if bytes.is_empty() {
            return;
        }
        let offset = self.next;
        self.next += bytes.len() as u64;
        match chunks.last_mut() {
            // lines of one moment are one piece: the copy's index would not tell them apart
            Some(last) if last.stderr == stderr && time_ns.saturating_sub(last.time_ns) < NANOS_IN_SECOND / 100 => {
                last.bytes.extend(bytes);
            }
            Some(_) | None => chunks.push(LogChunk { offset, time_ns, stderr, bytes, gap: 0 }),
        }
    }

    /// Moves the position to where the copy is, unless bytes are held back: they must come again.
    fn settle(&mut self) -> io::Result<()> {
        if self.is_holding() {
            return Ok(());
        }
        self.position = if self.tty {
            Position { offset: self.next, ..self.position }
        } else {
            self.taken.position(self.position.base, self.next)
        };
        self.file.write(&self.position)
    }
}

/// Of an engine that tells whole seconds, our own clock says where in that second.
fn time_of(message: &Message) -> u64 {
    if message.coarse {
        realtime_ns().clamp(message.time_ns, message.time_ns + NANOS_IN_SECOND - 1)
    } else {
        message.time_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_logs::{Item, Reader};

    fn message(n: u64, text: &str) -> Message {
        Message { time_ns: 5_000_000_000 + n, coarse: false, stderr: n % 2 == 1, bytes: text.into() }
    }

    fn text(folder: &Path) -> String {
        let items = Reader::new(folder).read(0, 1 << 20).unwrap().items.into_iter();
        let bytes = items.flat_map(|item| match item {
            Item::Chunk(chunk) => chunk.bytes,
            Item::Gap(_) => b"<gap>".to_vec(),
        });
        String::from_utf8(bytes.collect()).unwrap()
    }

    fn open(folder: &Path, secrets: &[&str]) -> Sink {
        let secrets: Vec<Vec<u8>> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
        Sink::open(folder, 1 << 20, false, &secrets).unwrap()
    }

    /// What an engine gives again for a position.
    fn again(sink: &mut Sink, all: &[Message]) -> u64 {
        let count = usize::try_from(sink.position().count).unwrap();
        let since = sink.position().since_ns;
        let rest: Vec<Message> = all.iter().filter(|message| message.time_ns >= since).cloned().collect();
        rest[..count].iter().for_each(|message| sink.skip(message));
        sink.take(&rest[count..]).unwrap()
    }

    #[test]
    fn a_death_at_any_moment_loses_and_doubles_nothing() {
        let all: Vec<Message> = (0..40).map(|n| message(n, &format!("line {n} with hunter2 in it\n"))).collect();
        let whole: String = (0..40).map(|n| format!("line {n} with ******* in it\n")).collect();
        for died in 0..all.len() {
            let home = tempfile::TempDir::new().unwrap();
            let mut sink = open(home.path(), &["hunter2"]);
            for message in &all[..died] {
                sink.take(std::slice::from_ref(message)).unwrap();
            }
            let mut next = open(home.path(), &["hunter2"]);
            again(&mut next, &all);
            next.finish().unwrap();
            assert_eq!(text(home.path()), whole);
        }
    }

    #[test]
    fn what_is_held_back_comes_again() {
        let home = tempfile::TempDir::new().unwrap();
        let all = [message(0, "a hun"), message(2, "ter2 b\n")];
        let mut sink = open(home.path(), &["hunter2"]);
        sink.take(&all[..1]).unwrap();
        assert!(sink.is_holding());
        drop(sink);
        let mut sink = open(home.path(), &["hunter2"]);
        again(&mut sink, &all);
        assert_eq!(text(home.path()), "a ******* b\n");
    }

    #[test]
    fn a_terminal_is_counted_in_bytes_and_known_by_its_beginning() {
        let home = tempfile::TempDir::new().unwrap();
        let open = || Sink::open(home.path(), 1 << 20, true, &[]).unwrap();
        open().take_bytes(b"prompt> ").unwrap();
        let mut sink = open();
        let at = sink.position();
        assert_eq!((at.base, at.offset, at.count, at.first), (0, 8, 8, fingerprint(0, b"prompt> ")));
        sink.take_bytes(b"more\r\n").unwrap();
        assert_eq!(sink.position(), Position { offset: 14, ..at });
        sink.gap_in_bytes();
        sink.take_bytes(b"other").unwrap();
        let at = open().position();
        assert_eq!((at.base, at.offset, at.count, at.first), (15, 20, 5, fingerprint(0, b"other")));
        assert_eq!(text(home.path()), "prompt> more\r\n<gap>other");
    }

    #[test]
    fn a_gap_of_unknown_size_is_told() {
        let home = tempfile::TempDir::new().unwrap();
        let mut sink = open(home.path(), &[]);
        sink.take(&[message(0, "one\n")]).unwrap();
        sink.gap();
        sink.take(&[message(2, "three\n")]).unwrap();
        assert_eq!(text(home.path()), "one\n<gap>three\n");
    }
}
