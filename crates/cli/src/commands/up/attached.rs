//! An `up` that stays: progress, logs, and an end in order.
//!
//! ```text
//!  following ── outcome of the end ──► its code
//!      │    └──── one ended that ends the whole ──► down of the others ──► that one's code
//!      │ ctrl-C, TERM, HUP, closed output
//!  stopping ── down ──► 130      second ctrl-C: KILL
//! ```

use super::output::Output;
use crate::commands::wait::{Interrupt, Waiting, conclude};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::render::{progress, status::instance};
use muster_api::client::Verb;
use muster_api::routes::ReadQuery;
use muster_api::{Client, exit};
use muster_engine::documents::{AcceptedDocument, Progress, SelectRequest, WaitUntil};
use muster_spec::EnvironmentId;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// An `up` that stays.
pub(super) struct Attached<'a> {
    pub(super) context: &'a Context,
    pub(super) id: EnvironmentId,
    pub(super) accepted: AcceptedDocument,
    /// When it was asked, in nanoseconds of the wall clock: lines from before are not shown.
    pub(super) since: u64,
    pub(super) timeout: Option<Duration>,
}

/// Why it does not follow any more.
enum Step {
    /// Nothing of it runs or is due.
    Ended(i32),
    /// A service ended that ends the whole.
    EndedByOne(i32),
    Interrupted,
    /// Nobody reads our output.
    Unheard,
}

/// The signals that mean the same as ctrl-C.
struct Signals {
    interrupt: Interrupt,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new(interrupt: Interrupt) -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|error| Failure::io("signals cannot be received", &error));
        Ok(Self { interrupt, terminate: on(SignalKind::terminate())?, hangup: on(SignalKind::hangup())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            () = self.interrupt.pressed() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

impl Attached<'_> {
    pub(super) async fn run(&self, client: &Client, interrupt: Interrupt) -> Outcome {
        let mut signals = Signals::new(interrupt)?;
        let mut output = Output::follow(self.context, client, &self.id, &self.accepted, self.since).await?;
        let step = tokio::select! {
            step = self.follow(client, &mut output) => step?,
            () = signals.any() => Step::Interrupted,
        };
        let all = self.accepted.changed.clone();
        match step {
            Step::Ended(code) => {
                output.rest().await;
                Ok(code)
            }
            Step::EndedByOne(code) => {
                let others = self.others(client).await?;
                self.stop(client, &mut signals, &others, Some(&mut output)).await?;
                Ok(code)
            }
            Step::Unheard => {
                self.stop(client, &mut signals, &all, None).await?;
                Ok(exit::OK)
            }
            Step::Interrupted => {
                self.context.note("\nstopping in order; ctrl-C again kills");
                self.stop(client, &mut signals, &all, Some(&mut output)).await?;
                Ok(exit::INTERRUPTED)
            }
        }
    }

    /// Shows lines and progress until nothing of it runs or is due.
    async fn follow(&self, client: &Client, output: &mut Output<'_>) -> Result<Step, Failure> {
        let started = Instant::now();
        let mut ready = Waiting::begin(self.context, client, &self.accepted, WaitUntil::Ready, None).await?;
        let mut end = Waiting::begin(self.context, client, &self.accepted, WaitUntil::End, None).await?;
        let deadline = async {
            match self.timeout {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(deadline);
        let (mut is_ready, mut told) = (false, self.accepted.after);
        loop {
            tokio::select! {
                line = output.next() => if !output.show(&line) { return Ok(Step::Unheard) },
                progress = ready.next(), if !is_ready => match progress? {
                    Progress::Event(event) => {
                        told = event.seq;
                        ready.tell(&event, started);
                    }
                    Progress::Outcome(outcome) => {
                        is_ready = true;
                        self.context.note(&progress::reached(&outcome, started.elapsed(), &self.context.terminal));
                    }
                },
                progress = end.next() => match progress? {
                    Progress::Event(event) => if is_ready && event.seq > told { end.tell(&event, started) },
                    Progress::Outcome(outcome) => {
                        let by_one = outcome.code.is_some();
                        let code = conclude(self.context, &outcome)?;
                        return Ok(if by_one { Step::EndedByOne(code) } else { Step::Ended(code) });
                    }
                },
                () = &mut deadline, if !is_ready => {
                    let message = "the services did not get ready in time";
                    return Err(Failure::new("wait::timeout", exit::TIMEOUT, message, "`muster why all` says what is missing"));
                }
            }
        }
    }

    /// What this `up` started and is not over.
    async fn others(&self, client: &Client) -> Result<Vec<String>, Failure> {
        let status = client.status(&self.id, &ReadQuery::default()).await?;
        let over = ["exited", "done", "failed", "stopped"];
        let left = status.services.iter().filter(|service| !over.contains(&service.state.as_str())).map(instance);
        Ok(left.filter(|name| self.accepted.changed.contains(name)).collect())
    }

    /// Stops services in order; a further signal kills them.
    async fn stop(
        &self,
        client: &Client,
        signals: &mut Signals,
        services: &[String],
        mut output: Option<&mut Output<'_>>,
    ) -> Result<(), Failure> {
        if !services.is_empty() {
            self.stop_some(client, signals, services, &mut output).await?;
        }
        if let Some(output) = output {
            output.rest().await;
        }
        Ok(())
    }

    async fn stop_some(
        &self,
        client: &Client,
        signals: &mut Signals,
        services: &[String],
        output: &mut Option<&mut Output<'_>>,
    ) -> Result<(), Failure> {
        let request = SelectRequest { select: Some(services.join(",")), force: true, ..SelectRequest::default() };
        let accepted = client.command(&self.id, Verb::Down, &request).await?;
        let mut waiting = Waiting::begin(self.context, client, &accepted, WaitUntil::Down, None).await?;
        let started = Instant::now();
        let mut killed = false;
        loop {
            tokio::select! {
                outcome = waiting.outcome(started) => {
                    let outcome = outcome?;
                    if outcome.result != "met" && !killed {
                        self.context.complain(&progress::failures(&outcome, &self.context.terminal));
                    }
                    return Ok(());
                }
                () = signals.any() => {
                    self.context.note("\nkilling");
                    killed = true;
                    let kill = SelectRequest { kill: true, ..request.clone() };
                    let accepted = client.command(&self.id, Verb::Stop, &kill).await?;
                    waiting = Waiting::begin(self.context, client, &accepted, WaitUntil::Down, None).await?;
                }
                () = show_next(output) => {}
            }
        }
    }
}

/// Shows a line; waits for ever where there is nobody to show it to.
async fn show_next(output: &mut Option<&mut Output<'_>>) {
    let Some(output) = output else { return std::future::pending().await };
    let line = output.next().await;
    output.show(&line);
}
