//! Logs, and what a program finds around itself.

use super::harness::{Harness, Program, Verdict};
use super::kit::{Case, broken, ensure, same};
use crate::contract::RuntimeEvent;
use futures::StreamExt as _;
use muster_spec::{ByteSize, SecretText};

/// Lines that are read while they are written.
const LINES: usize = 3000;
/// Much more than is kept.
const WRITTEN_KIB: usize = 6 << 10;
const KEPT_MIB: u64 = 2;

pub(super) async fn logs_from_a_cursor(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "logs");
    let handle = case.start(&Program::Lines(LINES)).await?;
    let mut events = case.runtime.watch(&handle);
    let (mut cursor, mut text, mut over) = (0, Vec::new(), false);
    let mut log_bytes = 0;
    while !over {
        match events.next().await {
            Some(RuntimeEvent::Exited(record)) => (over, log_bytes) = (true, record.log_bytes),
            Some(_) => {}
            None => return Err(broken("the events ended without an end of the run")),
        }
        for chunk in case.runtime.logs(&handle, cursor).await.map_err(broken)? {
            same("offset of the next piece", &chunk.offset, &cursor)?;
            same("gap", &chunk.gap, &0)?;
            cursor += chunk.bytes.len() as u64;
            text.extend(chunk.bytes);
        }
    }
    let wanted: String = (0..LINES).map(|n| format!("line {n}\n")).collect();
    same("bytes of log", &log_bytes, &(wanted.len() as u64))?;
    ensure(text == wanted.as_bytes(), "lines are missing or doubled")?;
    let middle = case.runtime.logs(&handle, 10).await.map_err(broken)?;
    same("first offset from a cursor", &middle.first().map(|chunk| chunk.offset), &Some(10))?;
    case.clear(&handle).await
}

pub(super) async fn streams_apart(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "streams");
    let handle = case.start(&Program::BothStreams).await?;
    case.ended(&handle).await?;
    let chunks = case.chunks(&handle).await?;
    let of = |stderr: bool| -> String {
        let bytes = chunks.iter().filter(|chunk| chunk.stderr == stderr).flat_map(|chunk| chunk.bytes.clone());
        String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
    };
    same("standard output", &of(false), &"out\n".to_owned())?;
    same("standard error", &of(true), &"err\n".to_owned())?;
    case.clear(&handle).await
}

pub(super) async fn rotation_gap(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "rotation");
    let program = Program::Kibibytes(WRITTEN_KIB);
    let handle = case.start_with(&program, |spec| spec.logs.keep = ByteSize::from_mib(KEPT_MIB)).await?;
    let record = case.ended(&handle).await?;
    same("bytes of log", &record.log_bytes, &(WRITTEN_KIB as u64 * 1024))?;
    let chunks = case.chunks(&handle).await?;
    let gap: u64 = chunks.iter().map(|chunk| chunk.gap).sum();
    let kept: u64 = chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum();
    ensure(gap > 0, "nothing was rotated away, or nobody was told")?;
    same("gap and bytes", &(gap + kept), &record.log_bytes)?;
    ensure(kept <= (KEPT_MIB + 1) << 20, format_args!("{kept} bytes are kept"))?;
    case.clear(&handle).await
}

pub(super) async fn secrets_redacted(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "secrets");
    let secret = "hunter2-and-more";
    let program = Program::Says(format!("the word is {secret}."));
    let (text, _) = case.output(&program, |spec| spec.secrets = vec![SecretText::new(secret.to_owned())]).await?;
    ensure(!text.contains(secret), "the secret is in the log")?;
    ensure(text.contains("the word is ****"), format_args!("found {text:?}"))
}

pub(super) async fn environment_exact(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "environment");
    let env = [("B", "two words"), ("A", "1"), ("EMPTY", "")];
    let (text, _) = case
        .output(&Program::SaysEnvironment, |spec| {
            spec.command.env = env.map(|(name, value)| (name.into(), SecretText::new(value.into()))).to_vec();
        })
        .await?;
    let there = harness.surroundings();
    let ours = |line: &&str| {
        let name = line.split_once('=').map_or(*line, |(name, _)| name);
        !name.starts_with("MUSTER_") && !there.contains(&name)
    };
    let mut found: Vec<&str> = text.lines().filter(ours).collect();
    // an environment has no order (environ(7)): Podman keeps it in a map
    found.sort_unstable();
    same("environment", &found, &vec!["A=1", "B=two words", "EMPTY="])
}

pub(super) async fn working_directory(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "directory");
    let (text, _) = case.output(&Program::SaysDirectory, |spec| spec.command.cwd = "/usr".into()).await?;
    same("working directory", &text.trim(), &"/usr")
}

pub(super) async fn user(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "user");
    let (text, _) = case.output(&Program::SaysUser, |spec| spec.user = Some("nobody".into())).await?;
    same("user", &text.trim(), &"65534")
}

pub(super) async fn limit_files(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "limit-files");
    let (text, _) = case.output(&Program::SaysFileLimit, |spec| spec.limits.files = Some(77)).await?;
    same("limit on files", &text.trim(), &"77")
}
