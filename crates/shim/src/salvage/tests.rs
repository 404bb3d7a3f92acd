//! Every state that a killed shim can leave, made by hand.

use super::*;
use muster_logs::{Item, MIN_KEEP, Reader};
use std::io::Write as _;

/// What a shim was killed with: one block of stdout under way.
struct Left<'a> {
    keep: u64,
    secrets: &'a [Vec<u8>],
    /// What the log has before the record was written.
    before: &'a [u8],
    /// What it has of the block.
    logged: &'a [u8],
    hold: &'a [u8],
    record: Option<Record>,
    pipe: &'a [u8],
}

impl Default for Left<'_> {
    fn default() -> Self {
        Self { keep: 1 << 20, secrets: &[], before: b"", logged: b"", hold: b"", record: None, pipe: b"" }
    }
}

impl Left<'_> {
    fn from(self, covered: u32) -> Self {
        let place = Place::From(self.before.len() as u64);
        Self { record: Some(Record { stream: Stream::Stdout, place, covered }), ..self }
    }

    /// The log after the salvage.
    fn log(&self) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(folder.path(), self.keep);
        writer.append(Stream::Stdout, self.before, 1);
        writer.append(Stream::Stdout, self.logged, 2);
        drop(writer);
        if let Some(record) = self.record {
            record.write(&File::create(folder.path().join(HOLD_FILE)).unwrap(), 0).unwrap();
        }
        let pipes = Pipes::of(vec![Stream::Stdout], vec![filled(self.pipe), filled(self.hold)]);
        let (keep, cause) = (self.keep, ExitCause::SupervisorKilled);
        let record = salvage(Salvage { folder: folder.path(), pipes, secrets: self.secrets, keep, cause }).unwrap();
        assert!(!folder.path().join(HOLD_FILE).exists());
        let log = log_of(folder.path(), None);
        assert_eq!(record.log_end, log.len() as u64);
        log
    }
}

/// The reading end of a pipe with these bytes.
fn filled(bytes: &[u8]) -> OwnedFd {
    let (out, into) = sys::os::pipe().unwrap();
    sys::pipes::set_capacity(&out, 1 << 20).unwrap();
    File::from(into).write_all(bytes).unwrap();
    out
}

fn log_of(folder: &Path, stream: Option<Stream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in Reader::new(folder).read(0, 1 << 30).unwrap().items {
        let Item::Chunk(chunk) = item else { panic!("a gap") };
        if stream.is_none_or(|stream| stream == chunk.stream) {
            bytes.extend(chunk.bytes);
        }
    }
    bytes
}

fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| format!("{number:07}\n").into_bytes()).collect()
}

#[test]
fn a_block_that_was_logged_in_part_is_completed() {
    let all = lines(20);
    let (before, block, rest) = (&all[..40], &all[40..100], &all[100..]);
    for logged in 0..=block.len() {
        let left = Left { before, logged: &block[..logged], hold: block, pipe: rest, ..Left::default() }.from(0);
        assert_eq!(left.log(), all, "{logged}");
    }
}

#[test]
fn a_block_that_was_logged_is_not_logged_again_however_much_of_it_was_dropped() {
    let all = lines(20);
    let (before, block, rest) = (&all[..40], &all[40..100], &all[100..]);
    for dropped in 0..=block.len() {
        let left = Left { before, logged: block, hold: &block[dropped..], pipe: rest, ..Left::default() }.from(0);
        assert_eq!(left.log(), all, "{dropped}");
    }
}

#[test]
fn a_block_is_completed_across_segments() {
    // segments of an eighth of this
    let (keep, all) = (MIN_KEEP, lines(12_000));
    let (before, block, rest) = (&all[..30_000], &all[30_000..90_000], &all[90_000..]);
    for logged in (0..=block.len()).step_by(997).chain([2_767, 2_768, 2_769, block.len()]) {
        let left = Left { keep, before, logged: &block[..logged], hold: block, pipe: rest, ..Left::default() }.from(0);
        assert_eq!(left.log(), all, "{logged}");
    }
}

#[test]
fn a_new_segment_without_a_byte_is_the_logs_end() {
    let folder = tempfile::tempdir().unwrap();
    let all = lines(5_000);
    let mut writer = Writer::create(folder.path(), MIN_KEEP);
    writer.append(Stream::Stdout, &all[..20_000], 1);
    drop(writer);
    // killed between the next segment's header and its first byte
    let segments = || std::fs::read_dir(folder.path()).unwrap().count();
    let (index, data) = (folder.path().join("index.000001"), folder.path().join("log.000001"));
    let mut header = std::fs::read(folder.path().join("index.000000")).unwrap()[..32].to_vec();
    header[8..16].copy_from_slice(&20_000_u64.to_le_bytes());
    std::fs::write(index, header).unwrap();
    std::fs::write(data, b"").unwrap();
    assert_eq!(segments(), 4);
    let record = Record { stream: Stream::Stdout, place: Place::From(19_000), covered: 0 };
    record.write(&File::create(folder.path().join(HOLD_FILE)).unwrap(), 0).unwrap();
    let pipes = Pipes::of(vec![Stream::Stdout], vec![filled(&all[39_000..]), filled(&all[19_000..39_000])]);
    let cause = ExitCause::SupervisorKilled;
    salvage(Salvage { folder: folder.path(), pipes, secrets: &[], keep: MIN_KEEP, cause }).unwrap();
    assert_eq!(log_of(folder.path(), None), all);
}

#[test]
fn what_a_redactor_held_back_goes_on_from_the_hold() {
    let secrets = [b"abcd".to_vec(), b"cdxyz".to_vec()];
    let redact = |bytes: &[u8]| {
        let (mut redactor, mut clean) = (Redactor::new(&secrets).unwrap(), Vec::new());
        redactor.push(bytes, &mut clean);
        redactor.flush(&mut clean);
        clean
    };
    for text in ["one abcdxyz two abcd three\n", "abcdabcdcdxyzabc\n", "cdxabcdcdxyz", "abcdxy z"] {
        let raw = text.as_bytes();
        let wanted = redact(raw);
        for end in 0..=raw.len() {
            // a block up to `end` was taken, and what could be decided is logged
            let (mut redactor, mut clean) = (Redactor::new(&secrets).unwrap(), Vec::new());
            redactor.push(&raw[..end], &mut clean);
            let covered = redactor.covered() as u32;
            let left = |logged, from: usize, place, covered| Left {
                secrets: &secrets,
                logged: &clean[..logged],
                hold: &raw[from..end],
                record: Some(Record { stream: Stream::Stdout, place, covered }),
                pipe: &raw[end..],
                ..Left::default()
            };
            for logged in 0..=clean.len() {
                assert_eq!(left(logged, 0, Place::From(0), 0).log(), wanted, "{text}: {logged} of {end}");
            }
            for dropped in 0..=clean.len() {
                let left = left(clean.len(), dropped, Place::Until(end as u64), covered);
                assert_eq!(left.log(), wanted, "{text}: {dropped} dropped of {end}");
            }
            let left = left(clean.len(), clean.len(), Place::Waiting, covered);
            assert_eq!(left.log(), wanted, "{text}: waiting at {end}");
        }
    }
}

#[test]
fn a_stream_that_waits_is_not_mistaken_for_one_that_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = [b"secret".to_vec()];
    let mut writer = Writer::create(folder.path(), 1 << 20);
    writer.append(Stream::Stdout, b"out ", 1);
    writer.append(Stream::Stderr, b"err ", 2);
    drop(writer);
    let records = File::create(folder.path().join(HOLD_FILE)).unwrap();
    Record { stream: Stream::Stdout, place: Place::Waiting, covered: 0 }.write(&records, 0).unwrap();
    Record { stream: Stream::Stderr, place: Place::From(4), covered: 0 }.write(&records, 1).unwrap();
    let fds = [b"ret\n".as_slice(), b"more\n", b"sec", b"err and "].map(filled);
    let pipes = Pipes::of(vec![Stream::Stdout, Stream::Stderr], fds.into());
    let cause = ExitCause::SupervisorKilled;
    salvage(Salvage { folder: folder.path(), pipes, secrets: &secrets, keep: 1 << 20, cause }).unwrap();
    assert_eq!(log_of(folder.path(), Some(Stream::Stdout)), b"out ******\n");
    assert_eq!(log_of(folder.path(), Some(Stream::Stderr)), b"err and more\n");
    // the line that was begun goes on first
    assert_eq!(log_of(folder.path(), None), b"out err and more\n******\n");
}

#[test]
fn an_old_record_means_nothing_for_an_empty_hold() {
    let left = Left { before: b"one\n", logged: b"two\n", pipe: b"three\n", ..Left::default() }.from(0);
    assert_eq!(left.log(), b"one\ntwo\nthree\n");
    assert_eq!(Left { before: b"one\n", pipe: b"two\n", ..Left::default() }.log(), b"one\ntwo\n");
}
