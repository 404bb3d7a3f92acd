//! The shim itself is killed.

use crate::common::{Run, alive, command, reap, script, stream_of, until};
use muster_logs::{Redactor, Stream};
use muster_shim::{ExitCause, ExitRecord, Message, Meta, Pipes, Request, Salvage, end_leftovers, salvage};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

fn signal(pid: u32, signal: i32) {
    // SAFETY: the shim is a child of this process and not collected, so the id is its own
    unsafe { libc::kill(pid.cast_signed(), signal) };
}

fn take_fds(run: &mut Run) -> Pipes {
    let seq = run.client.next_seq();
    run.client.send(&Request::GiveFds { seq }).unwrap();
    let (streams, holds) = run.wait_for(|message| match message {
        Message::Fds { streams, holds, .. } => Some((streams.clone(), *holds)),
        _ => None,
    });
    let fds = run.client.take_fds();
    assert_eq!(streams, [Stream::Stdout, Stream::Stderr]);
    assert_eq!(fds.len(), streams.len() + usize::from(holds));
    Pipes::of(streams, fds)
}

fn rescue(run: &Run, pipes: Pipes) -> ExitRecord {
    rescue_with(run, pipes, &[])
}

fn rescue_with(run: &Run, pipes: Pipes, secrets: &[Vec<u8>]) -> ExitRecord {
    let meta = Meta::read(&run.folder()).unwrap().unwrap();
    assert!(!meta.shim_alive());
    assert!(end_leftovers(&meta, &run.folder(), Duration::from_secs(5)));
    let folder = run.folder();
    let what = Salvage { folder: &folder, pipes, secrets, keep: meta.log_keep, cause: ExitCause::SupervisorKilled };
    salvage(what).unwrap()
}

#[test]
fn the_service_dies_with_it_and_the_last_lines_are_kept() {
    let go = tempfile::tempdir().unwrap();
    let path = go.path().display();
    let text = format!(
        "echo begin; until test -e {path}/go; do sleep 0.01; done; seq -f %.0f 1 5000; touch {path}/done; \
         setsid sleep 1000 & exec sleep 1000"
    );
    let (mut run, pid) = Run::start(script(&text));
    run.wait_for_log("begin\n");
    let fds = take_fds(&mut run);
    // from here on nobody reads: the lines stay in the pipe
    signal(run.shim.pid, libc::SIGSTOP);
    std::fs::write(go.path().join("go"), "").unwrap();
    until(|| go.path().join("done").exists());
    signal(run.shim.pid, libc::SIGKILL);
    reap(&run.shim);
    until(|| !alive(pid));
    let record = rescue(&run, fds);
    assert_eq!(record.cause, ExitCause::SupervisorKilled);
    assert!(record.is_complete());
    let mut wanted = "begin\n".to_owned();
    for number in 1..=5000 {
        wanted += &format!("{number}\n");
    }
    assert_eq!(run.log_text(), wanted);
    assert_eq!(record.log_end, wanted.len() as u64);
    assert_eq!(ExitRecord::read(&run.folder()).unwrap(), Some(record));
    // a second daemon that does it again changes nothing
    assert_eq!(rescue(&run, Pipes::default()), record);
}

#[test]
fn a_run_of_the_same_id_in_another_home_goes_on() {
    let spec = script("exec sleep 1000");
    let (mut other, others) = Run::start(spec.clone());
    let (mut run, pid) = Run::start(spec);
    let fds = take_fds(&mut run);
    signal(run.shim.pid, libc::SIGKILL);
    reap(&run.shim);
    until(|| !alive(pid));
    rescue(&run, fds);
    assert!(alive(others) && alive(other.shim.pid));
    signal(others, libc::SIGTERM);
    other.end();
}

#[test]
fn a_flood_that_was_cut_off_has_no_holes() {
    let (mut run, pid) = Run::start(script("exec seq -f %.0f 1 100000000"));
    let fds = take_fds(&mut run);
    // the file is made for the first byte
    until(|| std::fs::metadata(run.folder().join("log.000000")).is_ok_and(|log| log.len() > 1_000_000));
    signal(run.shim.pid, libc::SIGSTOP);
    until(|| crate::common::state(run.shim.pid) == Some('T'));
    signal(run.shim.pid, libc::SIGKILL);
    reap(&run.shim);
    until(|| !alive(pid));
    let record = rescue(&run, fds);
    let log = run.log_text();
    assert_eq!(log.len() as u64, record.log_end);
    let lines: Vec<&str> = log.lines().collect();
    for (at, line) in lines.iter().enumerate().take(lines.len() - 1) {
        assert_eq!(line.parse(), Ok(at + 1));
    }
}

#[test]
fn an_exit_that_was_known_is_kept() {
    // the main process is gone, its tree not yet: the code is on disk already
    let mut spec = script("(trap '' TERM; echo up; exec sleep 1000) & sleep 0.05; exit 9");
    spec.leftover_grace = Duration::from_secs(1000);
    let (mut run, _) = Run::start(spec);
    run.wait_for(|message| matches!(message, Message::Exited(_)).then_some(()));
    until(|| ExitRecord::read(&run.folder()).unwrap().is_some());
    assert!(!ExitRecord::read(&run.folder()).unwrap().unwrap().is_complete());
    signal(run.shim.pid, libc::SIGKILL);
    reap(&run.shim);
    let record = rescue(&run, Pipes::default());
    assert_eq!(record.cause, ExitCause::Code(9));
    assert!(record.is_complete());
}

/// Where the writer below notes how much it wrote, and what makes one differ from the other.
const NOTES: &str = "MUSTER_TEST_NOTES";
const SEED: &str = "MUSTER_TEST_SEED";
/// What it writes before the stream that counts.
const BEGIN: &[u8] = b"=== begin\n";
/// It stops writing after this much of both streams together.
const MOST: u64 = 12 << 20;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// What the writer repeats.
fn pattern() -> Vec<u8> {
    (0..4099).flat_map(|number| format!("{number:015}\n").into_bytes()).collect()
}

/// The service that is struck: blocks of all sizes to both outputs, each noted when it was written.
fn flood(outputs: &mut [File; 2], notes: &File, mut state: u64, most: u64) {
    let pattern = pattern().repeat(3);
    let period = pattern.len() / 3;
    let largest = [100, 5_000, 100_000][random(&mut state) as usize % 3];
    let mut written = [0_u64; 2];
    while written.iter().sum::<u64>() < most {
        let at = usize::from(random(&mut state).is_multiple_of(4));
        let from = written[at] as usize % period;
        let count = 1 + random(&mut state) as usize % largest;
        outputs[at].write_all(&pattern[from..from + count]).unwrap();
        written[at] += count as u64;
        notes.write_all_at(&written[at].to_le_bytes(), at as u64 * 8).unwrap();
    }
}

/// Also the service of the tests below, which run it as a process of its own.
#[test]
fn a_writer_notes_what_it_wrote() {
    if let Some(notes) = std::env::var_os(NOTES) {
        let outputs = [std::io::stdout().as_fd().try_clone_to_owned(), std::io::stderr().as_fd().try_clone_to_owned()];
        let mut outputs = outputs.map(|fd| File::from(fd.unwrap()));
        outputs.iter_mut().for_each(|output| output.write_all(BEGIN).unwrap());
        let notes = File::options().write(true).open(notes).unwrap();
        flood(&mut outputs, &notes, std::env::var(SEED).unwrap().parse().unwrap(), MOST);
        loop {
            std::thread::park();
        }
    }
    let notes = tempfile::NamedTempFile::new().unwrap();
    let files = [tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap()];
    flood(&mut files.each_ref().map(|file| file.reopen().unwrap()), notes.as_file(), 7, 1 << 20);
    for (file, noted) in files.iter().zip(noted(&notes)) {
        let written = std::fs::read(file.path()).unwrap();
        assert_eq!(written.len() as u64, noted);
        assert!(pattern().iter().cycle().zip(&written).all(|(wanted, byte)| wanted == byte));
    }
}

/// One kill at a random moment: tells how much was kept.
fn strike(seed: u64, secrets: &[Vec<u8>]) -> u64 {
    let mut state = seed;
    let notes = tempfile::NamedTempFile::new().unwrap();
    notes.as_file().write_all_at(&[0; 16], 0).unwrap();
    let own = std::env::current_exe().unwrap();
    let mut spec = command(&[own.to_str().unwrap(), "killed::a_writer_notes_what_it_wrote", "--exact", "--nocapture"]);
    spec.env.push((NOTES.into(), notes.path().into()));
    spec.env.push((SEED.into(), random(&mut state).to_string().into()));
    spec.secrets = secrets.to_vec();
    // many segments, all kept
    spec.log_keep = 2 * MOST;
    let (mut run, pid) = Run::start(spec);
    let pipes = take_fds(&mut run);
    until(|| noted(&notes)[0] > 0);
    let moment = Instant::now() + Duration::from_micros(random(&mut state) % 12_000);
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    signal(run.shim.pid, libc::SIGKILL);
    reap(&run.shim);
    until(|| !alive(pid));
    let noted = noted(&notes);
    rescue_with(&run, pipes, secrets);
    let pattern = pattern();
    for (stream, noted) in [Stream::Stdout, Stream::Stderr].into_iter().zip(noted) {
        let log = stream_of(&run.folder(), stream);
        let begin = log.windows(BEGIN.len()).position(|window| window == BEGIN).unwrap() + BEGIN.len();
        let log = &log[begin..];
        assert!(log.len() as u64 >= noted, "seed {seed}: {} of {noted} bytes of {stream:?}", log.len());
        let mut wanted: Vec<u8> = pattern.iter().copied().cycle().take(log.len()).collect();
        let mut sure = log.len();
        if let Some(mut redactor) = Redactor::new(secrets) {
            let mut clean = Vec::new();
            redactor.push(&wanted, &mut clean);
            // a secret that the kill has cut off is none
            sure = clean.len();
            redactor.flush(&mut clean);
            wanted = clean;
        }
        let differs = (0..sure).find(|at| log[*at] != wanted[*at]);
        assert_eq!(differs, None, "seed {seed}: {stream:?} of {} bytes", log.len());
    }
    noted.iter().sum()
}

fn noted(notes: &tempfile::NamedTempFile) -> [u64; 2] {
    let mut bytes = [0; 16];
    notes.as_file().read_exact_at(&mut bytes, 0).unwrap();
    [0, 8].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()))
}

fn strikes(secrets: &[Vec<u8>]) {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    let rounds = std::env::var("MUSTER_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(40);
    let kept: u64 = (0..rounds).map(|round| strike(seed + round, secrets)).sum();
    assert!(kept > 0);
    println!("{rounds} supervisors killed in a flood from seed {seed} on, {kept} bytes kept");
}

#[test]
fn a_flood_loses_and_doubles_nothing_whenever_it_is_killed() {
    strikes(&[]);
}

#[test]
fn nor_does_one_with_secrets_in_it() {
    // nearly every block ends with what may begin one of them, and they overlap
    strikes(&[b"01999\n00000".to_vec(), b"0000000002000\n0".to_vec(), b"3\n00".to_vec()]);
}
