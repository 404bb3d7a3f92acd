//! Asks probes: when is the core's schedule, what is the probe crate's attempt, what it means is the core's again.

use super::actor::Actor;
use super::message::Message;
use crate::resolve::Resolver;
use muster_core::Event;
use muster_core::schedule::Schedule;
use muster_logs::Reader;
use muster_probe::{LogSource, Outcome, ProbeContext, ResolvedCheck, ResolvedDetails, attempt};
use muster_spec::{InstanceId, ProbeSpec, Role, RunId, ServiceSpec};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

/// A probe with nothing left to resolve.
pub(crate) struct Asked {
    /// What its answer means.
    pub(crate) role: Role,
    /// What is asked.
    pub(crate) check: ResolvedCheck,
    /// When, and how long it may take.
    pub(crate) spec: ProbeSpec,
}

/// Resolves the probes of some roles for one run.
pub(crate) fn resolve(
    service: &ServiceSpec,
    roles: &[Role],
    resolver: &Resolver<'_>,
    run: &RunId,
    address: Option<IpAddr>,
) -> Result<Vec<Asked>, String> {
    let probing = resolver.probing(run, address);
    let mut asked = Vec::new();
    for role in roles {
        if let Some(spec) = service.probes.get(*role) {
            let check = ResolvedCheck::resolve(&spec.check, &probing).map_err(|error| error.to_string())?;
            asked.push(Asked { role: *role, check, spec: spec.clone() });
        }
    }
    Ok(asked)
}

/// What can be asked of an instance now.
#[derive(Default)]
pub(crate) struct Examined {
    /// Its probes.
    pub(crate) probes: Vec<Asked>,
    /// What they know of its run.
    pub(crate) context: ProbeContext,
    /// Its own details.
    pub(crate) details: Option<ResolvedDetails>,
    /// It may be absent.
    pub(crate) optional: bool,
}

impl Actor {
    /// Everything that can be asked of an instance; nothing when its references cannot be filled in.
    pub(super) fn examine(&self, instance: &InstanceId) -> Examined {
        let Some(service) = self.stack().and_then(|stack| stack.services.get(&instance.service)) else {
            return Examined::default();
        };
        let live = self.live.get(instance);
        let run = self.run_id(instance, live.map_or(0, |live| live.number));
        let address = live.and_then(|live| live.handle.as_ref()?.address);
        let roles: Vec<Role> = service.probes.roles().collect();
        let resolved = self.resolver(|resolver| {
            let probing = resolver.probing(&run, address);
            let details = service.details.as_ref().and_then(|wanted| ResolvedDetails::resolve(wanted, &probing).ok());
            (resolve(service, &roles, resolver, &run, address).unwrap_or_default(), details)
        });
        let (probes, details) = resolved.unwrap_or_default();
        let context = live.map(|live| live.probe.clone()).unwrap_or_default();
        Examined { probes, context, details, optional: service.optional }
    }
}

/// Who is told the answers, and about which run.
pub(super) struct Teller {
    pub(super) instance: InstanceId,
    pub(super) run: u64,
    pub(super) mailbox: mpsc::Sender<Message>,
}

/// Asks one probe until it is cancelled.
pub(super) async fn ask(
    asked: Asked,
    context: ProbeContext,
    teller: Teller,
    cancel: CancellationToken,
    wake: Arc<Notify>,
) {
    let mut schedule = Schedule::new();
    let mut wait = Schedule::first(&asked.spec);
    let mut passed_before = false;
    let told = asked.check.is_told();
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // what is told is told at once, also when it is no more
            () = wake.notified(), if !passed_before || told => {}
            () = cancel.cancelled() => return,
        }
        let outcome = tokio::select! {
            outcome = attempt(&asked.check, &context, asked.spec.timeout.get()) => outcome,
            () = cancel.cancelled() => return,
        };
        wait = schedule.next(&asked.spec, outcome.passed());
        passed_before |= outcome.passed();
        let failure = match outcome {
            Outcome::Pass => None,
            Outcome::Fail(reason) => Some(reason),
        };
        let (instance, run, role) = (teller.instance.clone(), teller.run, asked.role);
        let told = teller.mailbox.send(Message::Event(Event::Probed { instance, run, role, failure })).await;
        if told.is_err() {
            return;
        }
    }
}

/// Bytes that one look at a log takes in.
const LOOK: usize = 256 * 1024;

/// The output of a run, from its first byte on.
pub(super) struct RunLog {
    reader: Reader,
    cursor: u64,
}

impl RunLog {
    pub(super) fn new(folder: &Path) -> Self {
        Self { reader: Reader::new(folder), cursor: 0 }
    }
}

impl LogSource for RunLog {
    fn poll_new(&mut self) -> std::io::Result<Vec<u8>> {
        let batch = self.reader.read(self.cursor, LOOK).map_err(std::io::Error::other)?;
        self.cursor = batch.next;
        let chunk = |item| match item {
            muster_logs::Item::Chunk(chunk) => Some(chunk.bytes),
            muster_logs::Item::Gap(_) => None,
        };
        Ok(batch.items.into_iter().filter_map(chunk).flatten().collect())
    }
}
