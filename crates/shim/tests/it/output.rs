//! Every byte, bounded, without secrets, also on a full disk.

use crate::common::{Run, command, script, until};
use muster_logs::{GapCause, Item, LineSplitter, Reader, Stream};
use muster_shim::{ExitCause, Message, Request};
use std::ffi::CString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

#[test]
fn a_flood_is_kept_byte_for_byte() {
    let mut spec = command(&["seq", "-f", "%.0f", "1", "13000000"]);
    spec.log_keep = 1 << 30;
    let (mut run, _) = Run::start(spec);
    let record = run.end();
    let log = run.log();
    assert!(log.len() > 100_000_000);
    assert_eq!((record.log_end, record.log_lost), (log.len() as u64, 0));
    let mut at = 0;
    let mut line = String::new();
    for number in 1..=13_000_000 {
        line.clear();
        writeln!(line, "{number}").unwrap();
        assert_eq!(&log[at..at + line.len()], line.as_bytes());
        at += line.len();
    }
    assert_eq!(at, log.len());
}

#[test]
fn a_hundred_megabytes_without_a_newline_stay_bounded() {
    let mut spec = command(&["head", "-c", "100000000", "/dev/zero"]);
    spec.log_keep = 8 << 20;
    let (mut run, _) = Run::start(spec);
    let record = run.end();
    assert_eq!((record.log_end, record.log_lost), (100_000_000, 0));
    let kept: u64 =
        std::fs::read_dir(run.folder()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(kept <= 8 << 20, "{kept}");
    let mut reader = Reader::new(&run.folder());
    assert_eq!(reader.end().unwrap(), 100_000_000);
    assert!(reader.first().unwrap() >= 100_000_000 - (8 << 20));
    let batch = reader.read(0, 100).unwrap();
    assert!(matches!(&batch.items[0], Item::Gap(gap) if gap.cause == GapCause::Rotated && gap.offset == 0));
}

#[test]
fn long_lines_on_both_streams() {
    let text = "for i in 1 2 3 4 5 6 7 8; do head -c 200000 /dev/zero | tr '\\0' o; echo; \
                head -c 200000 /dev/zero | tr '\\0' e >&2; echo >&2; done";
    let (mut run, _) = Run::start(script(text));
    run.end();
    let mut reader = Reader::new(&run.folder());
    let mut counts = [0_usize; 2];
    let mut cursor = 0;
    loop {
        let batch = reader.read(cursor, 1 << 20).unwrap();
        if batch.next == cursor {
            break;
        }
        cursor = batch.next;
        for item in batch.items {
            let Item::Chunk(chunk) = item else { panic!("a gap") };
            let (own, at) = match chunk.stream {
                Stream::Stdout => (b'o', 0),
                Stream::Stderr => (b'e', 1),
                Stream::Tty => panic!("a terminal"),
            };
            assert!(chunk.bytes.iter().all(|byte| *byte == own || *byte == b'\n'));
            counts[at] += chunk.bytes.len();
        }
    }
    assert_eq!(counts, [8 * 200_001; 2]);
}

#[test]
fn lines_of_both_streams_stay_whole() {
    // on a busy machine the halves of a line may lie more than 10 ms apart; readers put them together
    let text = "i=0; while [ $i -lt 300 ]; do printf 'out '; echo $i; printf 'err ' >&2; echo $i >&2; i=$((i+1)); done";
    let (mut run, _) = Run::start(script(text));
    run.end();
    let mut splitter = LineSplitter::default();
    let mut lines = Vec::new();
    for item in Reader::new(&run.folder()).read(0, usize::MAX).unwrap().items {
        let Item::Chunk(chunk) = item else { panic!("a gap") };
        splitter.push(&chunk, |line| lines.push(line));
    }
    for (kind, stream) in [("out ", Stream::Stdout), ("err ", Stream::Stderr)] {
        let own = lines.iter().filter(|line| line.stream == stream);
        let numbers: Vec<usize> = own.map(|line| line.text().strip_prefix(kind).unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    }
}

#[test]
fn secrets_never_reach_the_disk() {
    let mut spec = script(
        "echo token=hunter2-hunter2; printf hunt; sleep 0.05; printf 'er2-hun'; sleep 0.05; echo ter2 done; \
         printf hunter",
    );
    spec.secrets = vec![b"hunter2-hunter2".to_vec()];
    let (mut run, _) = Run::start(spec);
    run.end();
    let stars = "*".repeat(15);
    assert_eq!(run.log_text(), format!("token={stars}\n{stars} done\nhunter"));
    for entry in std::fs::read_dir(run.folder()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
}

struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let path = CString::new(at.as_os_str().as_bytes()).unwrap();
        // SAFETY: all arguments are C strings
        let mounted =
            unsafe { libc::mount(c"tmpfs".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, c"size=1m".as_ptr().cast()) };
        (mounted == 0).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = CString::new(self.0.as_os_str().as_bytes()).unwrap();
        // SAFETY: the path is a C string
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn a_full_disk_stops_nobody_and_the_gap_is_told() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("run");
    std::fs::create_dir(&folder).unwrap();
    let Some(disk) = SmallDisk::mount(&folder) else {
        eprintln!("skipped: a small disk cannot be mounted here");
        return;
    };
    std::fs::write(folder.join("ballast"), vec![0; 400 << 10]).unwrap();
    let go = tempfile::tempdir().unwrap();
    let path = go.path().display();
    let text = format!(
        "yes 0123456789 | head -c 2000000; touch {path}/full; until test -e {path}/go; do sleep 0.01; done; \
         sleep 0.3; echo after; sleep 0.01; echo end"
    );
    let (mut run, _) = Run::launch_started(home, script(&text));
    until(|| go.path().join("full").exists());
    std::fs::remove_file(folder.join("ballast")).unwrap();
    std::fs::write(go.path().join("go"), "").unwrap();
    let record = run.end();
    assert_eq!(record.cause, ExitCause::Code(0));
    assert_eq!(record.log_end, 2_000_010);
    assert!(record.log_lost > 1_000_000 && record.log_gaps == 1, "{record:?}");
    let mut reader = Reader::new(&folder);
    let (mut cursor, mut kept, mut lost) = (0, Vec::new(), 0);
    loop {
        let batch = reader.read(cursor, 1 << 20).unwrap();
        if batch.next == cursor {
            break;
        }
        cursor = batch.next;
        for item in batch.items {
            match item {
                Item::Chunk(chunk) => kept.extend(chunk.bytes),
                Item::Gap(gap) => {
                    assert_eq!((gap.cause, gap.offset), (GapCause::Lost, kept.len() as u64));
                    lost += gap.bytes;
                }
            }
        }
    }
    assert_eq!((lost, cursor), (record.log_lost, record.log_end));
    assert!(kept.ends_with(b"after\nend\n"));
    drop(disk);
}

#[test]
fn growth_is_told_to_who_wants_to_know() {
    let (mut run, _) = Run::start(script("echo one; sleep 0.1; echo two; exec sleep 1000"));
    run.ask(|seq| Request::Subscribe { seq, logs: true });
    run.wait_for(|message| matches!(message, Message::LogGrew { offset: 8 }).then_some(()));
    assert_eq!(run.log_text(), "one\ntwo\n");
    let seq = run.client.next_seq();
    run.client.send(&Request::Tail { seq, lines: 1, max_bytes: 1000 }).unwrap();
    let tail = run.wait_for(|message| match message {
        Message::Tail { offset, bytes, .. } => Some((*offset, bytes.clone())),
        _ => None,
    });
    assert_eq!(tail, (4, b"two\n".to_vec()));
    run.ask(|seq| Request::Kill { seq });
    run.end();
}
