//! Any bytes as the log and the index of a run: chunks, gaps or an error, and always an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_logs::{Item, LineSplitter, Reader};
use std::cell::RefCell;
use tempfile::TempDir;

/// Much more than what any input of ours holds.
const MOST_BATCHES: usize = 100_000;

thread_local! {
    static FOLDER: RefCell<TempDir> = RefCell::new(tempfile::tempdir().expect("a folder for the segments"));
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&[at, more], rest)) = bytes.split_first_chunk::<2>() else { return };
    let (index, log) = rest.split_at(usize::from(at).min(rest.len()));
    FOLDER.with_borrow(|folder| {
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
        write("index.000001", index);
        write("log.000001", log);
        for name in ["index.000002", "log.000002"] {
            // a second segment that says the same, or none
            match (more % 2 == 0, name.starts_with("index")) {
                (true, true) => write(name, index),
                (true, false) => write(name, log),
                (false, _) => drop(std::fs::remove_file(folder.path().join(name))),
            }
        }
        let mut reader = Reader::new(folder.path());
        let _found = (reader.since(u64::from(more)), reader.until(u64::MAX), reader.last_lines(3));
        let Ok(mut cursor) = reader.first() else { return };
        let mut lines = LineSplitter::default();
        for _ in 0..MOST_BATCHES {
            let Ok(batch) = reader.read(cursor, 1 + usize::from(more)) else { return };
            if batch.next == cursor {
                return;
            }
            for item in &batch.items {
                if let Item::Chunk(chunk) = item {
                    lines.push(chunk, |_line| {});
                }
            }
            assert!(batch.next > cursor, "reading goes forward");
            cursor = batch.next;
        }
        panic!("there is no end");
    });
});
