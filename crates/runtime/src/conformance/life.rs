//! Starting, ending, signals.

use super::harness::{Harness, Miss, Program, Verdict};
use super::kit::{Case, SOON, broken, ensure, same};
use crate::contract::{Found, Known, RuntimeEvent, StartError};
use futures::StreamExt as _;
use futures::future::{join_all, try_join_all};
use muster_spec::{Signal, Target};
use std::net::TcpListener;
use std::time::Duration;
use tokio::time::timeout;

/// How long a program that ignores TERM is given to end all the same.
const GRACE: Duration = Duration::from_millis(300);
/// How many start at the same time.
const MANY: usize = 50;

pub(super) async fn start(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "start");
    let handle = case.start(&Program::Forever).await?;
    same("handle's run", &handle.run, &case.run(0)?)?;
    same("handle's runtime", &handle.runtime, &case.runtime.kind())?;
    let found = case.runtime.recover(&handle.run, None).await;
    ensure(matches!(found, Found::Running(_)), format_args!("after the start recover says {found:?}"))?;
    let again = serde_json::to_string(&handle).and_then(|text| serde_json::from_str(&text)).map_err(broken)?;
    same("handle through the journal", &again, &handle)?;
    case.end(&handle).await.map(|_| ())
}

pub(super) async fn early_exit(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "early-exit");
    let handle = case.start(&Program::Exits(0, 4)).await?;
    let record = case.ended(&handle).await?;
    same("exit", &record.exit, &Known::Code(4))?;
    // whoever watches late is told as well
    same("late watcher", &case.ended(&handle).await?, &record)?;
    case.clear(&handle).await
}

pub(super) async fn exit_code(harness: &dyn Harness) -> Verdict {
    for (n, code) in [0, 1, 255].into_iter().enumerate() {
        let case = Case::new(harness, ["exit-code-a", "exit-code-b", "exit-code-c"][n]);
        let (_, record) = case.output(&Program::Exits(20, code), |_| ()).await?;
        same("exit", &record.exit, &Known::Code(code))?;
        ensure(record.at_ns > 0, "nobody knows when it ended")?;
    }
    Ok(())
}

pub(super) async fn signal_death(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "signal-death");
    let (_, record) = case.output(&Program::DiesBySignal(15), |_| ()).await?;
    same("exit", &record.exit, &Known::Signal(15))
}

pub(super) async fn not_found(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "not-found");
    let run = case.run(0)?;
    let spec = case.spec(&run, &Program::NotThere)?;
    match case.runtime.start(&run, &spec).await {
        Err(StartError::Permanent { code: 127, reason }) => {
            let program = spec.command.argv.first().cloned().unwrap_or_default();
            ensure(reason.contains(&program), format_args!("`{reason}` does not name `{program}`"))?;
        }
        other => return Err(broken(format_args!("the start gave {other:?}"))),
    }
    same("after the failure", &case.runtime.recover(&run, None).await, &Found::Absent)
}

pub(super) async fn stop_obeyed(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "stop-obeyed");
    let handle = case.start(&Program::OnTerm(7)).await?;
    case.says(&handle, "up").await?;
    case.runtime.signal(&handle, Signal::TERM, Target::Group).await.map_err(broken)?;
    same("exit", &case.ended(&handle).await?.exit, &Known::Code(7))?;
    let late = case.runtime.signal(&handle, Signal::TERM, Target::Group).await;
    ensure(late.is_err(), "a run that ended took a signal")?;
    case.clear(&handle).await
}

pub(super) async fn stop_escalated(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "stop-escalated");
    let handle = case.start(&Program::IgnoresTerm).await?;
    case.says(&handle, "up").await?;
    case.runtime.signal(&handle, Signal::TERM, Target::Group).await.map_err(broken)?;
    ensure(timeout(GRACE, case.ended(&handle)).await.is_err(), "it obeyed a signal that it ignores")?;
    same("exit", &case.end(&handle).await?.exit, &Known::Signal(9))
}

pub(super) async fn stop_tree(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "stop-tree");
    let mark = case.mark();
    let handle = case.start(&Program::Tree(mark.clone())).await?;
    case.says(&handle, "up").await?;
    case.observed(&mark, 1).await?;
    case.runtime.signal(&handle, Signal::TERM, Target::Group).await.map_err(broken)?;
    case.ended(&handle).await?;
    same("processes after the end", &harness.observe(&mark)?, &0)?;
    case.clear(&handle).await
}

pub(super) async fn escapees_end(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "escapees");
    let mark = case.mark();
    let handle = case.start(&Program::Escapes(mark.clone())).await?;
    case.says(&handle, "up").await?;
    case.observed(&mark, 1).await?;
    case.end(&handle).await?;
    same("processes after the end", &harness.observe(&mark)?, &0)
}

pub(super) async fn signal(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "signal");
    let handle = case.start(&Program::SaysUsr1).await?;
    case.says(&handle, "up").await?;
    let usr1 = Signal::from_number(10).map_err(broken)?;
    case.runtime.signal(&handle, usr1, Target::Main).await.map_err(broken)?;
    case.says(&handle, "usr1").await?;
    case.end(&handle).await.map(|_| ())
}

pub(super) async fn fifty_at_once(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "fifty");
    let wanted: Vec<_> = (0..MANY)
        .map(|n| {
            let run = case.run(n)?;
            let spec = case.spec(&run, &Program::Forever)?;
            Ok((run, spec))
        })
        .collect::<Result<_, Miss>>()?;
    let starts = join_all(wanted.iter().map(|(run, spec)| case.runtime.start(run, spec))).await;
    let handles = starts.into_iter().collect::<Result<Vec<_>, _>>().map_err(broken)?;
    let ended = try_join_all(handles.iter().map(|handle| case.end(handle))).await?;
    same("runs that ended", &ended.len(), &MANY)
}

pub(super) async fn port_conflict(harness: &dyn Harness) -> Verdict {
    // free now: whoever takes it in between makes the first start fail, which tells it
    let port = TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).map_err(broken)?.port();
    let case = Case::new(harness, "port-conflict");
    let first = case.start(&Program::Listens(port)).await?;
    case.says(&first, "up").await?;
    let run = case.run(1)?;
    let spec = case.spec(&run, &Program::Listens(port))?;
    let second = case.runtime.start(&run, &spec).await.map_err(broken)?;
    same("exit of the second", &case.ended(&second).await?.exit, &Known::Code(9))?;
    case.clear(&second).await?;
    case.end(&first).await.map(|_| ())
}

pub(super) async fn notify(harness: &dyn Harness) -> Verdict {
    let case = Case::new(harness, "notify");
    let handle = case.start_with(&Program::Notifies("READY=1".into()), |spec| spec.notify = true).await?;
    let mut events = case.runtime.watch(&handle);
    let told = async {
        while let Some(event) = events.next().await {
            if let RuntimeEvent::Notify(text) = event {
                return text.contains("READY=1");
            }
        }
        false
    };
    ensure(timeout(SOON, told).await.unwrap_or(false), "`READY=1` was not told")?;
    case.end(&handle).await.map(|_| ())
}
