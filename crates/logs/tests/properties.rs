//! Whatever is written, rotated and read in whatever order: readers get the bytes, less the gaps they are told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use muster_logs::{
    Entry, GapCause, Item, Line, LineEnd, LineSplitter, MIN_KEEP, Merger, Reader, Redactor, Search, Stream, Writer,
    search,
};
use proptest::prelude::*;
use std::path::Path;

#[derive(Debug, Clone)]
struct Append {
    stream: Stream,
    len: usize,
    line: usize,
    pause_ns: u64,
    read: bool,
}

fn appends() -> impl Strategy<Value = Vec<Append>> {
    let one = (0..3_usize, 1..40_000_usize, 1..3_000_usize, 0..20_000_000_u64, any::<bool>()).prop_map(
        |(stream, len, line, pause_ns, read)| Append { stream: Stream::ALL[stream], len, line, pause_ns, read },
    );
    prop::collection::vec(one, 1..60)
}

/// Every byte tells its offset, unless it ends a line.
fn bytes_at(offset: u64, append: &Append) -> Vec<u8> {
    (offset..offset + append.len as u64)
        .map(|at| if (at as usize).is_multiple_of(append.line) { b'\n' } else { b'a' + (at % 23) as u8 })
        .collect()
}

#[derive(Default)]
struct Follower {
    cursor: u64,
    got: Vec<(u64, u64, Stream, Vec<u8>)>,
    missed: u64,
}

impl Follower {
    fn follow(&mut self, reader: &mut Reader, max: usize) {
        loop {
            let batch = reader.read(self.cursor, max).unwrap();
            if batch.next == self.cursor {
                return;
            }
            for item in batch.items {
                match item {
                    Item::Chunk(chunk) => {
                        assert_eq!(chunk.offset, self.cursor);
                        self.cursor += chunk.bytes.len() as u64;
                        self.got.push((chunk.offset, chunk.time_ns, chunk.stream, chunk.bytes));
                    }
                    Item::Gap(gap) => {
                        assert_eq!((gap.offset, gap.cause), (self.cursor, GapCause::Rotated));
                        self.cursor += gap.bytes;
                        self.missed += gap.bytes;
                    }
                }
            }
            assert_eq!(self.cursor, batch.next);
        }
    }

    fn check(&self, written: &[u8], streams: &[Stream]) {
        let mut time = 0;
        for (offset, time_ns, stream, bytes) in &self.got {
            let range = *offset as usize..*offset as usize + bytes.len();
            assert!(written[range.clone()] == bytes[..]);
            assert!(streams[range].iter().all(|other| other == stream));
            assert!(*time_ns >= time);
            time = *time_ns;
        }
    }
}

fn size_of(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn readers_get_what_was_written(appends in appends(), resume_at in 0..60_usize, max in 1_000..200_000_usize) {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(folder.path(), MIN_KEEP);
        let (mut written, mut streams, mut now) = (Vec::new(), Vec::new(), 1_000);
        let (mut live, mut reader) = (Follower::default(), Reader::new(folder.path()));
        for (at, append) in appends.iter().enumerate() {
            if at == resume_at {
                writer = Writer::resume(folder.path(), MIN_KEEP).unwrap();
                prop_assert_eq!(writer.offset(), written.len() as u64);
            }
            now += append.pause_ns;
            let bytes = bytes_at(writer.offset(), append);
            writer.append(append.stream, &bytes, now);
            streams.extend(std::iter::repeat_n(append.stream, bytes.len()));
            written.extend(bytes);
            prop_assert!(size_of(folder.path()) <= MIN_KEEP);
            if append.read {
                live.follow(&mut reader, max);
            }
        }
        live.follow(&mut reader, max);
        prop_assert_eq!(live.cursor, written.len() as u64);
        live.check(&written, &streams);

        let mut late = Follower::default();
        let mut reader = Reader::new(folder.path());
        late.follow(&mut reader, max);
        late.check(&written, &streams);
        prop_assert_eq!(late.cursor, written.len() as u64);
        prop_assert_eq!(late.missed, reader.first().unwrap());
        prop_assert_eq!(reader.end().unwrap(), written.len() as u64);
        // most of what may be kept is kept
        prop_assert!(written.len() as u64 - late.missed >= (written.len() as u64).min(MIN_KEEP / 2));

        for lines in [1, 2, 7, 1_000_000] {
            let from = reader.last_lines(lines).unwrap();
            let kept = &written[late.missed as usize..];
            let ends: Vec<usize> = kept.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
            let inner: Vec<usize> = ends.into_iter().filter(|end| *end < kept.len()).collect();
            let wanted = inner.len().checked_sub(lines).map_or(0, |at| inner[at]) as u64 + late.missed;
            prop_assert_eq!(from, wanted);
        }
        for (offset, time_ns, ..) in late.got.iter().step_by(7) {
            let since = reader.since(*time_ns).unwrap();
            prop_assert!(since <= *offset);
            prop_assert!(late.got.iter().all(|(offset, time, ..)| (*offset >= since) == (time >= time_ns)));
            let until = reader.until(*time_ns).unwrap();
            prop_assert!(late.got.iter().all(|(offset, time, ..)| (*offset < until) == (time <= time_ns)));
        }
    }

    #[test]
    fn no_secret_gets_through(
        text in "[ab\n]{0,80}", secrets in prop::collection::vec("[ab\n]{1,5}", 1..4),
        cuts in prop::collection::vec(1..20_usize, 0..30),
    ) {
        let mut wanted = text.clone().into_bytes();
        for secret in &secrets {
            for at in 0..text.len() {
                if text[at..].starts_with(secret.as_str()) {
                    wanted[at..at + secret.len()].fill(b'*');
                }
            }
        }
        let secrets: Vec<Vec<u8>> = secrets.into_iter().map(String::into_bytes).collect();
        let mut redactor = Redactor::new(&secrets).unwrap();
        let (mut out, mut rest) = (Vec::new(), text.as_bytes());
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            redactor.push(now, &mut out);
            rest = later;
        }
        redactor.push(rest, &mut out);
        redactor.flush(&mut out);
        prop_assert!(!redactor.is_holding());
        prop_assert_eq!(out, wanted);
    }
}

fn lines_of(reader: &mut Reader) -> Vec<Line> {
    let mut splitter = LineSplitter::default();
    let mut lines = Vec::new();
    for item in reader.read(0, usize::MAX).unwrap().items {
        if let Item::Chunk(chunk) = item {
            splitter.push(&chunk, |line| lines.push(line));
        }
    }
    lines.extend(splitter.flush());
    lines
}

#[test]
fn lines_of_two_streams_are_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), MIN_KEEP);
    writer.append(Stream::Stdout, b"one\ntw", 10);
    writer.append(Stream::Stderr, b"error\n", 20);
    writer.append(Stream::Stdout, b"o\r\nlast", 30);
    let lines = lines_of(&mut Reader::new(folder.path()));
    let seen: Vec<_> =
        lines.iter().map(|line| (line.text().into_owned(), line.stream, line.time_ns, line.end)).collect();
    assert_eq!(
        seen,
        [
            ("one".into(), Stream::Stdout, 10, LineEnd::Newline),
            ("error".into(), Stream::Stderr, 20, LineEnd::Newline),
            ("two".into(), Stream::Stdout, 10, LineEnd::Newline),
            ("last".into(), Stream::Stdout, 30, LineEnd::Open),
        ]
    );
    assert_eq!(lines[3].next, writer.offset());
}

#[test]
fn a_torn_index_and_a_missing_log_are_no_errors() {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = Reader::new(folder.path());
    assert_eq!((reader.read(0, 100).unwrap().next, reader.end().unwrap(), reader.last_lines(3).unwrap()), (0, 0, 0));
    assert_eq!(Reader::new(&folder.path().join("none")).end().unwrap(), 0);
    let mut writer = Writer::create(folder.path(), MIN_KEEP);
    writer.append(Stream::Stdout, b"one\n", 10);
    drop(writer);
    let index = folder.path().join("index.000000");
    let mut bytes = std::fs::read(&index).unwrap();
    bytes.extend([7; 11]);
    std::fs::write(&index, bytes).unwrap();
    // bytes whose entry did not make it belong to the entry before
    std::io::Write::write_all(
        &mut std::fs::OpenOptions::new().append(true).open(folder.path().join("log.000000")).unwrap(),
        b"two",
    )
    .unwrap();
    let batch = reader.read(0, 100).unwrap();
    assert!(matches!(&batch.items[..], [Item::Chunk(chunk)] if chunk.bytes == b"one\ntwo"));
    let mut writer = Writer::resume(folder.path(), MIN_KEEP).unwrap();
    assert_eq!(writer.offset(), 7);
    writer.append(Stream::Stderr, b"\n", 5);
    let batch = reader.read(7, 100).unwrap();
    // the clock went back, the log's time did not
    assert!(matches!(&batch.items[..], [Item::Chunk(chunk)] if chunk.stream == Stream::Stderr && chunk.time_ns == 10));
}

#[test]
fn logs_merge_by_time() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut writers = folders.each_ref().map(|folder| Writer::create(folder.path(), MIN_KEEP));
    let step = 20_000_000;
    for number in 0..10_u64 {
        let writer = &mut writers[(number % 2) as usize];
        writer.append(Stream::Stdout, format!("line {number}\n").as_bytes(), number * step);
    }
    let mut merger = Merger::default();
    merger.add("a", Reader::new(folders[0].path()), 0, None);
    merger.add("b", Reader::new(folders[1].path()), 0, Some(14));
    let mut seen = Vec::new();
    while let Some((key, entry)) = merger.next().unwrap() {
        let Entry::Line(line) = entry else { panic!("a gap") };
        seen.push(format!("{key} {}", line.text()));
    }
    assert_eq!(seen, ["a line 0", "b line 1", "a line 2", "b line 3", "a line 4", "a line 6", "a line 8"]);
    // following: what comes later is found, what is open is given on demand
    writers[0].append(Stream::Stdout, b"more\nopen", 11 * step);
    let Some(("a", Entry::Line(line))) = merger.next().unwrap() else { panic!("nothing") };
    assert_eq!(line.text(), "more");
    assert_eq!(merger.next().unwrap(), None);
    let flushed = merger.flush();
    assert_eq!((flushed.len(), flushed[0].1.text().as_ref()), (1, "open"));
    assert_eq!(merger.remove(&"a"), []);
}

#[test]
fn what_an_ended_log_leaves_open_stands_where_it_was_written() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut merger = Merger::default();
    for (run, folder) in [1_u64, 2].into_iter().zip(&folders) {
        let mut writer = Writer::create(folder.path(), MIN_KEEP);
        writer.append(Stream::Stdout, b"begun\n", run * 1_000);
        writer.append(Stream::Stdout, b"prompt", run * 1_000 + 1);
        merger.add(run, Reader::new(folder.path()), 0, None);
    }
    merger.end(&1);
    let mut seen = Vec::new();
    while let Some((run, entry)) = merger.next().unwrap() {
        let Entry::Line(line) = entry else { panic!("a gap") };
        seen.push(format!("{run} {}", line.text()));
    }
    assert_eq!(seen, ["1 begun", "1 prompt", "2 begun"]);
    assert_eq!(merger.flush().len(), 1, "the other may go on");
}

#[test]
fn search_keeps_the_newest_matches() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), MIN_KEEP);
    for number in 0..1_000 {
        writer.append(Stream::Stdout, format!("request {number} done\n").as_bytes(), number);
    }
    let pattern = regex::bytes::Regex::new("^request [0-9]*7 done$").unwrap();
    let mut reader = Reader::new(folder.path());
    let found = search(&mut reader, &pattern, Search { limit: 3, ..Search::default() }).unwrap();
    let texts: Vec<_> = found.iter().map(|line| line.text().into_owned()).collect();
    assert_eq!(texts, ["request 977 done", "request 987 done", "request 997 done"]);
    let all = search(&mut reader, &pattern, Search::default()).unwrap();
    assert_eq!(all.len(), 100);
    let none = search(&mut reader, &pattern, Search { from: all[99].next, ..Search::default() }).unwrap();
    assert_eq!(none, []);
}

#[test]
fn a_line_without_end_comes_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), 64 << 20);
    let bytes = vec![b'x'; muster_logs::MAX_LINE + 10];
    writer.append(Stream::Stdout, &bytes, 1);
    writer.append(Stream::Stdout, b"\n", 2);
    let lines = lines_of(&mut Reader::new(folder.path()));
    let seen: Vec<_> = lines.iter().map(|line| (line.bytes.len(), line.end)).collect();
    assert_eq!(seen, [(muster_logs::MAX_LINE, LineEnd::Cut), (10, LineEnd::Newline)]);
}
