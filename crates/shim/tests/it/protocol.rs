//! The protocol's bytes.

use muster_shim::{
    AttachRole, ExecSpec, ExitCause, Exited, FrameBuffer, Identity, LaunchSpec, Limit, MAX_FRAME, Message, Output,
    Phase, Refusal, Request, Resource, Status, Step, Target, TtySize, Usage, VERSION, Version, WireError, split_frame,
};
use proptest::prelude::*;
use std::time::Duration;

fn spec() -> LaunchSpec {
    let mut spec = LaunchSpec::new("r", vec!["a".into(), "b c".into()], "/tmp");
    spec.env = vec![("A".into(), "1".into())];
    spec.identity = Some(Identity { uid: 1, gid: 2, groups: vec![3, 4] });
    spec.umask = Some(0o22);
    spec.limits = vec![Limit { resource: Resource::Data, soft: 1, hard: u64::MAX }];
    spec.output = Output::Tty(TtySize { rows: 1, cols: 2 });
    spec.secrets = vec![b"s".to_vec()];
    spec.notify = Some("/n".into());
    spec.cgroup = Some("/c".into());
    spec
}

fn requests() -> Vec<Request> {
    let exec = ExecSpec { argv: vec!["x".into()], env: Vec::new(), cwd: Some("/".into()), tty: None };
    vec![
        Request::Hello { version: VERSION },
        Request::Launch(Box::new(spec())),
        Request::Status { seq: 1 },
        Request::Stop { seq: 2, grace: Some(Duration::from_millis(1500)) },
        Request::Stop { seq: 2, grace: None },
        Request::Kill { seq: 3 },
        Request::Tail { seq: 4, lines: 5, max_bytes: 6 },
        Request::GiveFds { seq: 7 },
        Request::Signal { seq: 8, signal: 10, to: Target::Main },
        Request::Subscribe { seq: 9, logs: true },
        Request::Exec { seq: 10, spec: Box::new(exec) },
        Request::Attach { seq: 11, role: AttachRole::Writer, size: Some(TtySize::default()) },
        Request::Stdin(vec![1, 2, 3]),
        Request::StdinClosed,
        Request::Resize(TtySize { rows: 5, cols: 6 }),
        Request::Unknown { kind: 99, seq: 12 },
    ]
}

fn messages() -> Vec<Message> {
    let cause = ExitCause::Signal { signal: 11, core: true };
    let exited = Exited { cause, at_ns: 1, usage: Usage { user_us: 2, system_us: 3, max_rss_kb: 4 } };
    let status = Status {
        run: "r".into(),
        phase: Phase::Draining,
        pid: 1,
        start_time: 2,
        exited: Some(exited),
        log_end: 3,
        log_lost: 4,
        notify_ready: true,
        notify_stopping: false,
        notify_status: "s".into(),
        watchdog_ns: 5,
    };
    vec![
        Message::Hello { version: VERSION, run: "r".into() },
        Message::Done { seq: 1 },
        Message::Refused { seq: 2, reason: Refusal::System, errno: 5 },
        Message::Status { seq: 3, status: Box::new(status) },
        Message::Tail { seq: 4, offset: 5, bytes: vec![6] },
        Message::Fds { seq: 5, streams: muster_logs::Stream::ALL.to_vec(), holds: 2 },
        Message::Started { pid: 6, start_time: 7 },
        Message::StartFailed { step: Step::Cwd, errno: 2 },
        Message::LogGrew { offset: 8 },
        Message::Notify { text: "READY=1".into() },
        Message::Exited(exited),
        Message::Ended { log_end: 9, log_lost: 10 },
        Message::Stdout(vec![1]),
        Message::Stderr(Vec::new()),
        Message::ExecExited(ExitCause::Code(-1)),
        Message::Lagged { bytes: 11 },
        Message::ExecFailed { step: Step::Exec, errno: 13 },
        Message::Unknown { kind: 250 },
    ]
}

#[test]
fn everything_survives_the_wire_byte_by_byte() {
    let mut bytes = Vec::new();
    requests().iter().for_each(|request| request.encode(&mut bytes));
    let mut buffer = FrameBuffer::default();
    let mut got = Vec::new();
    for byte in &bytes {
        buffer.extend(&[*byte]);
        while let Some(frame) = buffer.next_frame().unwrap() {
            got.push(Request::decode(frame).unwrap());
        }
    }
    assert_eq!(got, requests());
    assert_eq!(buffer.pending(), 0);
    for message in messages() {
        let bytes = message.to_bytes();
        let (frame, used) = split_frame(&bytes).unwrap().unwrap();
        assert_eq!((Message::decode(frame), used), (Ok(message), bytes.len()));
    }
}

#[test]
fn kinds_of_the_frozen_core_never_change() {
    let kinds: Vec<u8> = requests().iter().map(|request| request.to_bytes()[4]).collect();
    assert_eq!(kinds, [1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 99]);
    let kinds: Vec<u8> = messages().iter().map(|message| message.to_bytes()[4]).collect();
    assert_eq!(kinds[..6], [129, 130, 131, 132, 133, 134]);
}

#[test]
fn the_frozen_core_has_these_bytes() {
    let version = Version { major: 1, minor: 0 };
    assert_eq!(Request::Hello { version }.to_bytes(), [5, 0, 0, 0, 1, 1, 0, 0, 0]);
    assert_eq!(Request::Status { seq: 7 }.to_bytes(), [5, 0, 0, 0, 3, 7, 0, 0, 0]);
    assert_eq!(Request::Stop { seq: 1, grace: None }.to_bytes(), [6, 0, 0, 0, 4, 1, 0, 0, 0, 0]);
    assert_eq!(Request::Kill { seq: 1 }.to_bytes(), [5, 0, 0, 0, 5, 1, 0, 0, 0]);
    assert_eq!(Message::Done { seq: 1 }.to_bytes(), [5, 0, 0, 0, 130, 1, 0, 0, 0]);
}

#[test]
fn lengths_that_cannot_be_are_refused_at_once() {
    for length in [0, MAX_FRAME as u32 + 1, u32::MAX] {
        let error = split_frame(&length.to_le_bytes()).unwrap_err();
        assert_eq!(error, WireError::Length { length: length as usize });
    }
}

#[test]
fn fields_added_later_are_skipped() {
    let mut bytes = Request::Kill { seq: 3 }.to_bytes();
    bytes.extend([1, 2, 3]);
    bytes[0] += 3;
    let (frame, _) = split_frame(&bytes).unwrap().unwrap();
    assert_eq!(Request::decode(frame), Ok(Request::Kill { seq: 3 }));
}

#[test]
fn a_spec_prints_neither_environment_nor_secrets() {
    let mut spec = spec();
    spec.env = vec![("PASSWORD".into(), "hunter2".into())];
    spec.secrets = vec![b"hunter2".to_vec()];
    let text = format!("{spec:?} {:?}", Request::Launch(Box::new(spec.clone())));
    assert!(!text.contains("hunter2") && !text.contains("PASSWORD"), "{text}");
}

proptest! {
    #[test]
    fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut buffer = FrameBuffer::default();
        buffer.extend(&bytes);
        while let Ok(Some(frame)) = buffer.next_frame() {
            let _ = (Request::decode(frame), Message::decode(frame));
        }
    }

    #[test]
    fn damaged_frames_never_panic(
        at in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<prop::sample::Index>(), which in 0..30_usize,
    ) {
        let requests = requests();
        let messages = messages();
        let mut bytes = match requests.get(which) {
            Some(request) => request.to_bytes(),
            None => messages[which - requests.len()].to_bytes(),
        };
        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        bytes.truncate(cut.index(bytes.len()) + 1);
        if let Ok(Some((frame, _))) = split_frame(&bytes) {
            let _ = (Request::decode(frame), Message::decode(frame));
        }
    }

    #[test]
    fn records_survive_the_disk(code in any::<i32>(), number in any::<u64>(), text in "\\PC*") {
        let folder = tempfile::tempdir().unwrap();
        let record = muster_shim::ExitRecord {
            cause: ExitCause::Code(code), exited_ns: number, ended_ns: number, usage: Usage::default(),
            log_end: number, log_lost: 0, log_gaps: 1,
        };
        record.write(folder.path()).unwrap();
        prop_assert_eq!(muster_shim::ExitRecord::read(folder.path()).unwrap(), Some(record));
        let meta = muster_shim::Meta {
            run: text.clone(), instance: format!("{text}\n\\n"), spec_hash: String::new(), shim_pid: 1, shim_start: 2,
            main_pid: 3, main_start: number, session: 5, boot_id: "b".into(), protocol: VERSION, started_ns: number,
            started_mono_ns: 1, log_keep: 2, socket: "/s".into(), cgroup: String::new(),
        };
        meta.write(folder.path()).unwrap();
        prop_assert_eq!(muster_shim::Meta::read(folder.path()).unwrap(), Some(meta));
    }
}
