//! A log stream of the Engine API, cut into messages. Pure.
//!
//! Without a terminal each message is a frame of its own: eight bytes (stream, three zeros, length in big endian), then
//! the time, a blank and the bytes as the service wrote them. A line longer than the engine's buffer comes in several
//! messages. With a terminal there are no frames: bytes come as they are, and are asked for without times, because a
//! time in the middle of a line could not be told from what the service wrote.

use super::position::fingerprint;
use jiff::Timestamp;

const HEADER: usize = 8;
/// An engine's messages are not longer; a bigger length is no frame.
const MAX_MESSAGE: usize = 16 << 20;
/// `2026-11-21T13:33:34.123456789Z` and its longer forms with an offset.
const MAX_TIME: usize = 40;
/// Bytes of a time up to its second.
const SECOND: usize = 19;
const NANO_DIGITS: usize = 9;
const STDERR: u8 = 2;
/// The engine itself reports an error in the stream.
const SYSTEM: u8 = 3;

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// As the engine tells it, in nanoseconds of the wall clock.
    pub(super) time_ns: u64,
    /// The engine tells whole seconds only.
    pub(super) coarse: bool,
    pub(super) stderr: bool,
    pub(super) bytes: Vec<u8>,
}

/// What came is not a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// No frame begins here.
    #[error("the engine's log stream is not understood")]
    NoFrame,
    /// The engine could not read its log.
    #[error("the engine cannot read its log: {0}")]
    Engine(String),
}

/// Collects bytes until messages are complete.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// What the first message is, and how many are passed over from there on.
    known: Option<(u64, u64)>,
    passed: u64,
    another: bool,
    clock: Clock,
}

impl Frames {
    /// For a log of which the first so many messages are known: they are passed over, all but the first unread. Where
    /// that one is another, the log is given from its beginning, and [`Frames::is_another`] says so once.
    pub(super) fn after(first: u64, count: u64) -> Self {
        Self { known: (count > 0).then_some((first, count)), ..Self::default() }
    }

    pub(super) fn is_another(&mut self) -> bool {
        std::mem::take(&mut self.another)
    }

    /// Takes bytes in and gives the messages that are complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, FrameError> {
        self.buffer.extend_from_slice(bytes);
        let (mut messages, mut at) = (Vec::new(), 0);
        while let Some(header) = self.buffer.get(at..at + HEADER) {
            let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
            if header[0] > SYSTEM || header[1..4] != [0, 0, 0] || length > MAX_MESSAGE {
                return Err(FrameError::NoFrame);
            }
            let stream = header[0];
            let Some(payload) = self.buffer.get(at + HEADER..at + HEADER + length) else { break };
            if stream == SYSTEM {
                return Err(FrameError::Engine(String::from_utf8_lossy(payload).trim().to_owned()));
            }
            if self.passed > 0 {
                self.passed -= 1;
            } else {
                let message = message(stream, payload, &mut self.clock).ok_or(FrameError::NoFrame)?;
                match self.known.take() {
                    Some((first, count)) if first == fingerprint(message.time_ns, &message.bytes) => {
                        self.passed = count - 1;
                    }
                    known => {
                        self.another |= known.is_some();
                        messages.push(message);
                    }
                }
            }
            at += HEADER + length;
        }
        self.buffer.drain(..at);
        Ok(messages)
    }
}

fn message(stream: u8, payload: &[u8], clock: &mut Clock) -> Option<Message> {
    let blank = payload.iter().take(MAX_TIME).position(|byte| *byte == b' ')?;
    let text = &payload[..blank];
    Some(Message {
        time_ns: clock.read(text)?,
        coarse: !text.contains(&b'.'),
        stderr: stream == STDERR,
        bytes: payload[blank + 1..].to_vec(),
    })
}

/// Reads times. Most lines are of the second that the line before was of: then only the fraction is read.
#[derive(Debug, Default)]
struct Clock {
    /// `2026-11-21T13:33:34` as it was written, and what it is.
    second: Option<([u8; SECOND], u64)>,
}

impl Clock {
    /// As nanoseconds of the wall clock; 0 before its beginning.
    fn read(&mut self, text: &[u8]) -> Option<u64> {
        let (second, rest) = text.split_first_chunk::<SECOND>()?;
        let Some(fraction) = fraction(rest) else { return parse(text) };
        if let Some((known, ns)) = &self.second
            && known == second
        {
            return Some(ns + fraction);
        }
        let ns = parse(&[second.as_slice(), b"Z"].concat())?;
        self.second = Some((*second, ns));
        Some(ns + fraction)
    }
}

/// `.123456789Z`, `.5Z` or `Z` in nanoseconds.
fn fraction(rest: &[u8]) -> Option<u64> {
    let digits = match rest.strip_suffix(b"Z")? {
        [] => return Some(0),
        [b'.', digits @ ..] if !digits.is_empty() && digits.len() <= NANO_DIGITS => digits,
        _other => return None,
    };
    let mut ns = 0;
    for digit in digits {
        ns = ns * 10 + u64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    for _ in digits.len()..NANO_DIGITS {
        ns *= 10;
    }
    Some(ns)
}

fn parse(text: &[u8]) -> Option<u64> {
    let time: Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(u64::try_from(time.as_nanosecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text.as_bytes()].concat()
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let all = [
            frame(1, "1970-01-01T00:00:01.5Z part"),
            frame(2, "1970-01-01T00:00:02Z  two  blanks\n"),
            frame(1, "1970-01-01T00:00:03.000000001Z \n"),
        ]
        .concat();
        for cut in 1..all.len() {
            let (mut frames, mut messages) = (Frames::default(), Vec::new());
            for piece in all.chunks(cut) {
                messages.extend(frames.push(piece).unwrap());
            }
            let bytes: Vec<&[u8]> = messages.iter().map(|message| message.bytes.as_slice()).collect();
            assert_eq!(bytes, [&b"part"[..], b" two  blanks\n", b"\n"]);
            let times: Vec<_> = messages.iter().map(|message| (message.time_ns, message.coarse)).collect();
            assert_eq!(times, [(1_500_000_000, false), (2_000_000_000, true), (3_000_000_001, false)]);
            assert!(messages[1].stderr && !messages[0].stderr);
        }
    }

    #[test]
    fn what_is_known_is_passed_over_unless_it_is_another_log() {
        let all: Vec<u8> = (1..6).flat_map(|n| frame(1, &format!("1970-01-01T00:00:0{n}Z {n}\n"))).collect();
        let texts = |frames: &mut Frames| -> Vec<Vec<u8>> {
            frames.push(&all).unwrap().into_iter().map(|message| message.bytes).collect()
        };
        let mut frames = Frames::after(fingerprint(1_000_000_000, b"1\n"), 3);
        assert_eq!(texts(&mut frames), [b"4\n", b"5\n"]);
        assert!(!frames.is_another());
        let mut frames = Frames::after(7, 3);
        assert_eq!(texts(&mut frames).len(), 5);
        assert!(frames.is_another() && !frames.is_another());
    }

    #[test]
    fn times_are_what_they_are_read_as_one_by_one() {
        let mut clock = Clock::default();
        for text in [
            "2026-11-21T13:33:34.123456789Z",
            "2026-11-21T13:33:34.5Z",
            "2026-11-21T13:33:34Z",
            "2026-11-21T13:33:34.000000001Z",
            "2026-11-21T13:33:35.25Z",
            "2026-11-21T13:33:35.25+02:00",
            "2026-11-21T13:33:35-01:30",
            "2026-12-31T23:59:59.999999999Z",
        ] {
            let wanted: Timestamp = text.parse().unwrap();
            assert_eq!(clock.read(text.as_bytes()), u64::try_from(wanted.as_nanosecond()).ok(), "{text}");
        }
        assert_eq!(clock.read(b"1969-12-31T23:59:59Z"), Some(0));
        for text in ["", "now", "2026-11-21T13:33:34.12x4Z", "2026-11-21T13:33:34.Z", "2026-13-21T13:33:34Z"] {
            assert_eq!(clock.read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_log_is_told() {
        assert_eq!(Frames::default().push(b"<html></html>"), Err(FrameError::NoFrame));
        assert_eq!(Frames::default().push(&frame(3, "broken\n")), Err(FrameError::Engine("broken".into())));
        assert_eq!(Frames::default().push(&frame(1, "no-time")), Err(FrameError::NoFrame));
    }
}
