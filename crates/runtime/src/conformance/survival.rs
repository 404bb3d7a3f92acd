//! What must hold when a daemon, a caller or a supervisor dies.

use super::harness::{Harness, Miss, Program, Verdict};
use super::kit::{Case, SOON, becomes, broken, ended, ensure, same};
use crate::contract::{Found, Known};
use futures::future::{FutureExt as _, join};
use muster_spec::{Signal, Target};
use tokio::time::timeout;

pub(super) async fn start_twice(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "start-twice");
    let (run, mark) = (case.run(0)?, case.mark());
    let spec = case.spec(&run, &Program::Marked(mark.clone()))?;
    let (first, second) = join(case.runtime.start(&run, &spec), case.runtime.start(&run, &spec)).await;
    let (first, second) = (first.map_err(broken)?, second.map_err(broken)?);
    same("handle of the second start", &second, &first)?;
    let successor = harness.successor()?;
    let third = successor.start(&run, &spec).await.map_err(broken)?;
    same("handle of a start by another daemon", &third, &first)?;
    if let Ok(count) = harness.observe(&mark) {
        same("live copies", &count, &1)?;
    }
    case.end(&first).await.map(|_| ())
}

pub(super) async fn start_cancelled(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "start-cancelled");
    let (run, mark) = (case.run(0)?, case.mark());
    let spec = case.spec(&run, &Program::Marked(mark.clone()))?;
    {
        let mut start = case.runtime.start(&run, &spec);
        // one step, then nobody waits any more
        let _ = (&mut start).now_or_never();
    }
    let settled = |found: &Found| matches!(found, Found::Running(_) | Found::Absent);
    match becomes(&*case.runtime, &run, settled).await? {
        Found::Running(handle) => {
            if harness.observe(&mark).is_ok() {
                case.observed(&mark, 1).await?;
            }
            case.end(&handle).await?;
        }
        Found::Absent | Found::Exited(_) | Found::Unverifiable(_) => {}
    }
    match harness.observe(&mark) {
        Ok(count) => same("live copies in the end", &count, &0),
        Err(Miss::NotApplicable(_)) => Ok(()),
        Err(miss) => Err(miss),
    }
}

pub(super) async fn recover_running(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "recover-running");
    let handle = case.start(&Program::OnTerm(5)).await?;
    case.says(&handle, "up").await?;
    let successor = harness.successor()?;
    match successor.recover(&handle.run, Some(&handle)).await {
        Found::Running(found) => same("handle", &found, &handle)?,
        other => return Err(broken(format_args!("recover says {other:?}"))),
    }
    successor.signal(&handle, Signal::TERM, Target::Group).await.map_err(broken)?;
    same("exit", &ended(&*successor, &handle).await?.exit, &Known::Code(5))?;
    let text = successor.logs(&handle, 0).await.map_err(broken)?;
    ensure(text.iter().any(|chunk| chunk.bytes.starts_with(b"up")), "its log is gone")?;
    successor.destroy(&handle.run).await.map_err(broken)
}

pub(super) async fn recover_ended(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "recover-ended");
    let handle = case.start(&Program::Exits(10, 6)).await?;
    let record = case.ended(&handle).await?;
    let successor = harness.successor()?;
    same("recover", &successor.recover(&handle.run, Some(&handle)).await, &Found::Exited(record.clone()))?;
    same("watch", &ended(&*successor, &handle).await?, &record)?;
    successor.destroy(&handle.run).await.map_err(broken)
}

pub(super) async fn absent(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "absent");
    same("recover", &case.runtime.recover(&case.run(0)?, None).await, &Found::Absent)
}

pub(super) async fn unverifiable(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "unverifiable");
    let mark = case.mark();
    let handle = case.start(&Program::Marked(mark.clone())).await?;
    harness.doubt(&handle.run, true).await?;
    let successor = harness.successor()?;
    let found = successor.recover(&handle.run, Some(&handle)).await;
    ensure(matches!(found, Found::Unverifiable(_)), format_args!("recover says {found:?}"))?;
    ensure(successor.kill(&handle).await.is_err(), "what cannot be verified was killed")?;
    ensure(successor.destroy(&handle.run).await.is_err(), "what cannot be verified was destroyed")?;
    if let Ok(count) = harness.observe(&mark) {
        same("processes that were left alone", &count, &1)?;
    }
    harness.doubt(&handle.run, false).await?;
    let found = successor.recover(&handle.run, Some(&handle)).await;
    ensure(matches!(found, Found::Running(_)), format_args!("verifiable again, recover says {found:?}"))?;
    case.end(&handle).await.map(|_| ())
}

pub(super) async fn list(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "list");
    let handle = case.start(&Program::Forever).await?;
    let run = case.run(1)?;
    let spec = case.spec(&run, &Program::Exits(0, 2))?;
    let over = case.runtime.start(&run, &spec).await.map_err(broken)?;
    let record = case.ended(&over).await?;
    let successor = harness.successor()?;
    let listed = successor.list(&harness.environment()).await.map_err(broken)?;
    let found = |run| listed.iter().find(|found| found.run == run).map(|found| found.found.clone());
    same("what runs", &found(handle.run.clone()), &Some(Found::Running(handle.clone())))?;
    same("what ended", &found(run.clone()), &Some(Found::Exited(record)))?;
    case.clear(&over).await?;
    case.end(&handle).await?;
    let listed = successor.list(&harness.environment()).await.map_err(broken)?;
    let left = listed.iter().any(|found| found.run == run || found.run == handle.run);
    ensure(!left, "what was destroyed is listed")
}

pub(super) async fn destroy_twice(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "destroy-twice");
    let handle = case.start(&Program::Forever).await?;
    ensure(case.runtime.destroy(&handle.run).await.is_err(), "a living run was destroyed")?;
    case.end(&handle).await?;
    case.clear(&handle).await?;
    case.runtime.destroy(&case.run(9)?).await.map_err(broken)
}

pub(super) async fn supervisor_killed(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "supervisor");
    let mark = case.mark();
    let handle = case.start(&Program::Escapes(mark.clone())).await?;
    case.says(&handle, "up").await?;
    harness.kill_supervisor(&handle.run).await?;
    let record = timeout(SOON, case.ended(&handle)).await.map_err(broken)??;
    same("exit", &record.exit, &Known::SupervisorKilled)?;
    same("processes after the end", &harness.observe(&mark)?, &0)?;
    case.says(&handle, "up").await?;
    let successor = harness.successor()?;
    same("recover", &successor.recover(&handle.run, None).await, &Found::Exited(record))?;
    case.clear(&handle).await
}
