//! Waiting for a target, with a line per service that gets there or does not.

mod before;
mod interrupt;

use self::before::Before;
pub(crate) use self::interrupt::{Interrupt, unanswered};
use crate::context::Context;
use crate::failure::{Failure, Outcome as Ended};
use crate::render::progress::{self, Teller};
use crate::render::status::instance;
use muster_api::client::Lines;
use muster_api::routes::ReadQuery;
use muster_api::{Client, ClientError, exit};
use muster_engine::documents::{AcceptedDocument, EventDocument, Outcome, Progress, WaitRequest, WaitUntil};
use muster_spec::EnvironmentId;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A wait that survives the daemon being replaced.
pub(crate) struct Waiting<'a> {
    context: &'a Context,
    id: EnvironmentId,
    request: WaitRequest,
    lines: Lines<Progress>,
    jobs: BTreeSet<String>,
    teller: Teller,
    told: bool,
}

/// How often a lost connection is made anew without anything having been told in between.
const RECONNECTS: u32 = 3;

/// How long a service may run without becoming ready before a command gives up waiting for it: as long as `startup` has.
const READY_PATIENCE: Duration = Duration::from_secs(60);

impl<'a> Waiting<'a> {
    /// Waits for what `accepted` concerns.
    pub(crate) async fn begin(
        context: &'a Context,
        client: &Client,
        accepted: &AcceptedDocument,
        until: WaitUntil,
        patience: Option<Duration>,
    ) -> Result<Self, Failure> {
        let id = environment_of(accepted)?;
        let request = WaitRequest {
            generation: accepted.generation,
            instances: accepted.instances.clone(),
            after: accepted.after,
            until,
            patience_ms: patience.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        };
        let lines = client.wait(&id, &request).await?;
        let status = client.status(&id, &ReadQuery::default()).await?;
        let jobs = status.services.iter().filter(|service| service.kind == "job").map(instance).collect();
        Ok(Self { context, id, request, lines, jobs, teller: Teller::default(), told: false })
    }

    /// Says a change, where it is one to be said.
    pub(crate) fn tell(&mut self, event: &EventDocument, started: Instant) {
        // who asked for the end needs not be told why it ends
        if self.request.until == WaitUntil::Down && event.to == "stopping" && event.from != "stopping" {
            return;
        }
        let job = self.jobs.contains(&event.instance);
        if let Some(line) = self.teller.line(event, job, started.elapsed(), &self.context.terminal) {
            self.context.note(&line);
            self.told = true;
        }
    }

    /// The next change, or the outcome. Can be cancelled while nothing has gone wrong.
    pub(crate) async fn next(&mut self) -> Result<Progress, Failure> {
        let mut left = RECONNECTS;
        loop {
            let lost = match self.lines.next().await {
                Ok(Some(progress)) => {
                    if let Progress::Event(event) = &progress {
                        self.request.after = event.seq;
                    }
                    return Ok(progress);
                }
                Ok(None) => None,
                Err(error) if error.is_broken() => Some(error),
                Err(error) => return Err(error.into()),
            };
            if left == 0 {
                return Err(lost.map_or_else(|| ended_early(&self.id), Failure::from));
            }
            left -= 1;
            // the daemon ended or was replaced; what runs goes on, and so does the wait
            let client = self.context.client()?;
            self.lines = client.wait(&self.id, &self.request).await?;
        }
    }

    /// Until the outcome, with progress on standard error.
    pub(crate) async fn outcome(&mut self, started: Instant) -> Result<Outcome, Failure> {
        let shown: &[String] = if self.request.until == WaitUntil::Ready { &self.request.instances } else { &[] };
        let mut before = Before::new(self.context, &self.id, shown);
        loop {
            let progress = tokio::select! {
                progress = self.next() => progress?,
                line = before.next() => {
                    self.context.note(&line);
                    continue;
                }
            };
            match progress {
                Progress::Event(event) => {
                    before.hear(&event);
                    self.tell(&event, started);
                }
                Progress::Outcome(outcome) => return Ok(outcome),
            }
        }
    }
}

fn ended_early(id: &EnvironmentId) -> Failure {
    let message = format!("the daemon ended the wait for `{id}` without an outcome");
    Failure::new("daemon::connection_lost", exit::DAEMON, message, "`muster status` shows what is")
}

/// The environment of an answer.
pub(crate) fn environment_of(accepted: &AcceptedDocument) -> Result<EnvironmentId, Failure> {
    accepted.environment.parse().map_err(|error: muster_spec::IdentityError| {
        let help = "run `muster daemon upgrade` so that the daemon and this command are of one version";
        Failure::new("daemon::not_understood", exit::DAEMON, error.to_string(), help)
    })
}

/// How long is waited, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) until: WaitUntil,
    pub(crate) timeout: Option<Duration>,
}

/// Waits until a target is met and says how it went. `timeout` and ctrl-C end the wait, not what it waits for.
pub(crate) async fn finish(
    context: &Context,
    client: &Client,
    accepted: &AcceptedDocument,
    limits: Limits,
    interrupt: &mut Interrupt,
) -> Ended {
    tokio::select! {
        ended = wait(context, client, accepted, limits) => ended,
        () = interrupt.pressed() => {
            context.note("\nnot waited for any more; what was asked for goes on, and `muster status` shows it");
            Ok(exit::INTERRUPTED)
        }
    }
}

async fn wait(context: &Context, client: &Client, accepted: &AcceptedDocument, limits: Limits) -> Ended {
    let Limits { until, timeout } = limits;
    let started = Instant::now();
    // who says how long is waited for as long
    let patience = timeout.is_none().then_some(READY_PATIENCE);
    let mut waiting = Waiting::begin(context, client, accepted, until, patience).await?;
    let limited = async {
        match timeout {
            None => Ok(waiting.outcome(started).await),
            Some(limit) => tokio::time::timeout(limit, waiting.outcome(started)).await.map_err(|_| limit),
        }
    };
    match limited.await {
        Ok(outcome) => {
            if until == WaitUntil::Down && !waiting.told {
                context.note("nothing of it ran");
            }
            conclude(context, &outcome?)
        }
        Err(limit) => Err(timed_out(context, limit)),
    }
}

fn timed_out(context: &Context, limit: Duration) -> Failure {
    let message = format!("not there after {}", crate::human::duration(limit.as_secs_f64()));
    context.note("what was started goes on; `muster down` ends it");
    Failure::new(
        "wait::timeout",
        exit::TIMEOUT,
        message,
        "`muster why all` says what is missing, `muster logs` what it wrote",
    )
}

/// Says an outcome; the exit code is its truth.
pub(crate) fn conclude(context: &Context, outcome: &Outcome) -> Ended {
    if context.global.json {
        context.print_json(outcome)?;
    } else if outcome.result != "met" {
        context.complain(&progress::failures(outcome, &context.terminal));
    }
    let failed = if outcome.result == "met" { exit::OK } else { exit::FAILED };
    Ok(outcome.code.unwrap_or(failed))
}

/// Whether an error only says that there is nothing of that name.
pub(crate) fn is_unknown(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(document) if document.exit == exit::NOT_FOUND)
}
