//! One attempt.

use crate::listens::Whose;
use crate::{ProbeContext, ResolvedCheck, exec, grpc, http, inside, listens, log, net};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use muster_spec::{EngineHealth, ResolvedCommand};
use std::path::Path;
use std::time::{Duration, Instant};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Yes.
    Pass,
    /// No, and why: one line, without a full stop.
    Fail(String),
}

impl Outcome {
    /// Whether it is yes.
    #[must_use]
    pub fn passed(&self) -> bool {
        matches!(self, Self::Pass)
    }
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::Pass,
            Err(reason) => Self::Fail(reason),
        }
    }
}

/// Asks once. An attempt that takes longer than `timeout` has failed, each part of `all` and `any` for itself.
///
/// Dropping the future ends the attempt with all that it started. Needs a tokio runtime with I/O and time.
pub async fn attempt(check: &ResolvedCheck, context: &ProbeContext, timeout: Duration) -> Outcome {
    ask(check, context, timeout).await.into()
}

/// Boxed, because `all` and `any` hold checks.
fn ask<'a>(
    check: &'a ResolvedCheck,
    context: &'a ProbeContext,
    timeout: Duration,
) -> BoxFuture<'a, Result<(), String>> {
    let limit = Limit { check, timeout };
    Box::pin(async move {
        match check {
            ResolvedCheck::Tcp(target) => limit.on(net::connect(target)).await.map(drop),
            ResolvedCheck::Http(request) => limit.on(http::check(request)).await,
            ResolvedCheck::Grpc { target, service } => limit.on(grpc::health(target, service)).await,
            ResolvedCheck::Exec(command) => limit.on(command_check(command, context)).await,
            ResolvedCheck::Log(pattern) => log::check(pattern, context),
            ResolvedCheck::Notify => notify(context),
            ResolvedCheck::File(path) => limit.on(file(path)).await,
            ResolvedCheck::Healthcheck => healthcheck(context),
            ResolvedCheck::Listens(ports) => limit.on(listens::check(ports, context)).await,
            ResolvedCheck::ListensThere(ports) => limit.on(listens::there(ports, Whose::Own, context)).await,
            ResolvedCheck::TcpThere(port) => limit.on(listens::there(&[*port], Whose::Anybodys, context)).await,
            ResolvedCheck::FileThere(path) => limit.on(inside::file(path, context)).await,
            ResolvedCheck::All(checks) => all(checks, context, timeout).await,
            ResolvedCheck::Any(checks) => any(checks, context, timeout).await,
        }
    })
}

/// How long a single check may take.
struct Limit<'a> {
    check: &'a ResolvedCheck,
    timeout: Duration,
}

impl Limit<'_> {
    async fn on<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("{} within {}", self.check.unanswered(), Shown(self.timeout))),
        }
    }
}

async fn all(checks: &[ResolvedCheck], context: &ProbeContext, timeout: Duration) -> Result<(), String> {
    let answers = futures::future::join_all(checks.iter().map(|check| ask(check, context, timeout))).await;
    let reasons: Vec<String> = answers.into_iter().filter_map(Result::err).collect();
    if reasons.is_empty() { Ok(()) } else { Err(reasons.join("; ")) }
}

async fn any(checks: &[ResolvedCheck], context: &ProbeContext, timeout: Duration) -> Result<(), String> {
    let numbered = checks.iter().enumerate().map(|(n, check)| async move { (n, ask(check, context, timeout).await) });
    let mut running: FuturesUnordered<_> = numbered.collect();
    let mut reasons = Vec::with_capacity(checks.len());
    while let Some((n, answer)) = running.next().await {
        match answer {
            Ok(()) => return Ok(()),
            Err(reason) => reasons.push((n, reason)),
        }
    }
    reasons.sort_unstable();
    let reasons: Vec<String> = reasons.into_iter().map(|(_, reason)| reason).collect();
    Err(format!("none of {} passes: {}", checks.len(), reasons.join("; ")))
}

fn notify(context: &ProbeContext) -> Result<(), String> {
    let state = context.notify();
    if !state.ready {
        return Err("it has not said `READY=1`".to_owned());
    }
    match state.watchdog {
        Some((every, last)) => {
            let silent = Instant::now().saturating_duration_since(last);
            if silent <= every {
                return Ok(());
            }
            Err(format!("no `WATCHDOG=1` for {}, promised every {}", Shown(silent), Shown(every)))
        }
        None => Ok(()),
    }
}

/// On this machine, or inside of what is no process of this machine.
async fn command_check(command: &ResolvedCommand, context: &ProbeContext) -> Result<(), String> {
    match context.inside() {
        Some(inside) => inside(command.clone()).await?.outcome(),
        None => exec::check(command).await,
    }
}

fn healthcheck(context: &ProbeContext) -> Result<(), String> {
    match context.engine() {
        Some(EngineHealth::Healthy | EngineHealth::Unchecked) => Ok(()),
        Some(EngineHealth::Unhealthy) => Err("the container's own health check fails".to_owned()),
        None => Err("the container's own health check has not passed yet".to_owned()),
    }
}

async fn file(path: &Path) -> Result<(), String> {
    match tokio::fs::metadata(path).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("`{}` does not exist", path.display()))
        }
        Err(error) => Err(format!("`{}` cannot be looked at: {}", path.display(), net::said(&error))),
    }
}

/// A duration as a person writes it.
struct Shown(Duration);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0.as_millis();
        if ms >= 1000 && ms.is_multiple_of(1000) {
            write!(f, "{}s", ms / 1000)
        } else if ms >= 10_000 {
            write!(f, "{:.1}s", self.0.as_secs_f64())
        } else {
            write!(f, "{ms}ms")
        }
    }
}
