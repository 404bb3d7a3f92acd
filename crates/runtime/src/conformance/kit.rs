//! What clauses are written with.

use super::harness::{Harness, Miss, Program, Verdict};
use crate::contract::{ExecEvent, LogChunk};
use crate::contract::{ExitRecord, Found, Handle, Known, Runtime, RuntimeEvent, Terminal};
use futures::StreamExt as _;
use muster_spec::{InstanceSpec, RunId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// What should come to be, comes to be within this time.
pub(super) const SOON: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// Fails a clause unless something holds.
pub(super) fn ensure(holds: bool, otherwise: impl fmt::Display) -> Verdict {
    if holds { Ok(()) } else { Err(Miss::Broken(otherwise.to_string())) }
}

/// Fails a clause unless two things are the same.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: &str, found: &T, wanted: &T) -> Verdict {
    ensure(found == wanted, format_args!("{what}: found {found:?}, wanted {wanted:?}"))
}

/// An error of the runtime as a broken clause.
pub(super) fn broken(error: impl fmt::Display) -> Miss {
    Miss::Broken(error.to_string())
}

/// One clause at work: a runtime and names of its own.
pub(super) struct Case<'a> {
    pub(super) harness: &'a dyn Harness,
    pub(super) runtime: Arc<dyn Runtime>,
    name: &'static str,
}

impl<'a> Case<'a> {
    pub(super) fn new(harness: &'a dyn Harness, name: &'static str) -> Self {
        Self { harness, runtime: harness.runtime(), name }
    }

    /// The n-th run of this clause, each of an instance of its own.
    pub(super) fn run(&self, n: usize) -> Result<RunId, Miss> {
        format!("{}/{}-{n}#1/1", self.harness.environment(), self.name).parse().map_err(broken)
    }

    /// A mark that no other clause, test or machine has: also a number that `sleep` takes.
    pub(super) fn mark(&self) -> String {
        let digits: u64 = self.name.bytes().fold(0, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_000);
        format!("86400.{:07}{digits:06}", std::process::id())
    }

    pub(super) fn spec(&self, run: &RunId, program: &Program) -> Result<InstanceSpec, Miss> {
        self.raw(run, program).map(|spec| self.harness.adapt(spec))
    }

    /// A spec to be changed before the harness adapts it.
    fn raw(&self, run: &RunId, program: &Program) -> Result<InstanceSpec, Miss> {
        Ok(InstanceSpec {
            runtime: self.runtime.kind(),
            grace: Duration::from_secs(5),
            hash: format!("hash of {run}"),
            ..InstanceSpec::process(self.harness.command(run, program)?)
        })
    }

    pub(super) async fn start(&self, program: &Program) -> Result<Handle, Miss> {
        self.start_with(program, |_| ()).await
    }

    pub(super) async fn start_with(
        &self,
        program: &Program,
        change: impl FnOnce(&mut InstanceSpec),
    ) -> Result<Handle, Miss> {
        let run = self.run(0)?;
        let mut spec = self.raw(&run, program)?;
        change(&mut spec);
        let spec = self.harness.adapt(spec);
        self.runtime.start(&run, &spec).await.map_err(broken)
    }

    /// Runs a program to its end: what it wrote and how it ended.
    pub(super) async fn output(
        &self,
        program: &Program,
        change: impl FnOnce(&mut InstanceSpec),
    ) -> Result<(String, ExitRecord), Miss> {
        let handle = self.start_with(program, change).await?;
        let record = self.ended(&handle).await?;
        let text = self.text(&handle).await?;
        self.clear(&handle).await?;
        Ok((text, record))
    }

    pub(super) async fn ended(&self, handle: &Handle) -> Result<ExitRecord, Miss> {
        ended(&*self.runtime, handle).await
    }

    pub(super) async fn chunks(&self, handle: &Handle) -> Result<Vec<LogChunk>, Miss> {
        self.runtime.logs(handle, 0).await.map_err(broken)
    }

    pub(super) async fn text(&self, handle: &Handle) -> Result<String, Miss> {
        let bytes: Vec<u8> = self.chunks(handle).await?.into_iter().flat_map(|chunk| chunk.bytes).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits until its log has a text.
    pub(super) async fn says(&self, handle: &Handle, wanted: &str) -> Verdict {
        let deadline = Instant::now() + SOON;
        while !self.text(handle).await?.contains(wanted) {
            ensure(Instant::now() < deadline, format_args!("it never said `{wanted}`"))?;
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until so many processes carry the mark.
    pub(super) async fn observed(&self, mark: &str, wanted: usize) -> Verdict {
        let deadline = Instant::now() + SOON;
        loop {
            let found = self.harness.observe(mark)?;
            if found == wanted {
                return Ok(());
            }
            ensure(Instant::now() < deadline, format_args!("{found} processes with the mark, wanted {wanted}"))?;
            sleep(LOOK).await;
        }
    }

    /// Kills a run, waits for its end, and removes it.
    pub(super) async fn end(&self, handle: &Handle) -> Result<ExitRecord, Miss> {
        self.runtime.kill(handle).await.map_err(broken)?;
        let record = self.ended(handle).await?;
        self.clear(handle).await?;
        Ok(record)
    }

    pub(super) async fn clear(&self, handle: &Handle) -> Verdict {
        self.runtime.destroy(&handle.run).await.map_err(broken)
    }
}

/// Waits for a run's end as `watch` tells it.
pub(super) async fn ended(runtime: &dyn Runtime, handle: &Handle) -> Result<ExitRecord, Miss> {
    let mut events = runtime.watch(handle);
    let end = async {
        while let Some(event) = events.next().await {
            if let RuntimeEvent::Exited(record) = event {
                return Ok(record);
            }
        }
        Err(broken("the events ended without an end of the run"))
    };
    timeout(SOON, end).await.unwrap_or_else(|_| Err(broken("its end was not told")))
}

/// Waits until `recover` says what is wanted.
pub(super) async fn becomes(
    runtime: &dyn Runtime,
    run: &RunId,
    wanted: impl Fn(&Found) -> bool,
) -> Result<Found, Miss> {
    let deadline = Instant::now() + SOON;
    loop {
        let found = runtime.recover(run, None).await;
        if wanted(&found) {
            return Ok(found);
        }
        ensure(Instant::now() < deadline, format_args!("recover says {found:?}"))?;
        sleep(LOOK).await;
    }
}

/// What a command wrote and how it came out.
pub(super) struct Done {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) exit: Result<Known, i32>,
}

/// Reads a terminal to its end.
pub(super) async fn finish(mut terminal: Terminal) -> Result<Done, Miss> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let read = async {
        while let Some(event) = terminal.events.next().await {
            match event {
                ExecEvent::Stdout(bytes) => stdout.extend(bytes),
                ExecEvent::Stderr(bytes) => stderr.extend(bytes),
                ExecEvent::Exited(known) => return Ok(Ok(known)),
                ExecEvent::Failed { code, .. } => return Ok(Err(code)),
            }
        }
        Err(broken("the command's events ended without an end"))
    };
    let exit = timeout(SOON, read).await.unwrap_or_else(|_| Err(broken("the command did not end")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Done { stdout: text(&stdout), stderr: text(&stderr), exit })
}

/// Reads a terminal until a text comes.
pub(super) async fn until_text(terminal: &mut Terminal, wanted: &str) -> Verdict {
    let mut seen = Vec::new();
    let read = async {
        while let Some(event) = terminal.events.next().await {
            if let ExecEvent::Stdout(bytes) | ExecEvent::Stderr(bytes) = event {
                seen.extend(bytes);
            }
            if String::from_utf8_lossy(&seen).contains(wanted) {
                return true;
            }
        }
        false
    };
    let came = timeout(SOON, read).await.unwrap_or(false);
    ensure(came, format_args!("`{wanted}` did not come, but {:?}", String::from_utf8_lossy(&seen)))
}
