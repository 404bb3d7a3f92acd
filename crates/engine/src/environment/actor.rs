//! The actor's loop and its turns.

use super::live::Live;
use super::message::{Answer, Handle, MAILBOX, Message};
use super::record::EnvironmentRecord;
use crate::clock::wall_ns;
use crate::crash;
use crate::documents::AcceptedDocument;
use crate::ports::PortTable;
use crate::resolve::Resolver;
use crate::shared::Shared;
use crate::snapshot::{InstanceInfo, Snapshot};
use muster_core::{Command, Context, Effect, Event, Header, Machine, Reply, RequestId};
use muster_spec::{EnvironmentId, InstanceId, RunId, SecretText, Stack};
use muster_store::{Batch, Write};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Messages of one turn: bounds how long a reader's picture lags behind.
const TURN: usize = 256;

/// What an actor begins with.
pub(crate) struct Seed {
    /// The core's state.
    pub(crate) machine: Machine,
    /// What restoring it asks for.
    pub(crate) effects: Vec<Effect>,
    /// Its ports.
    pub(crate) ports: PortTable,
    /// Values of its secrets.
    pub(crate) secrets: BTreeMap<String, SecretText>,
    /// Handles of the runs that may be alive.
    pub(crate) handles: Vec<muster_runtime::Handle>,
    /// Its last journal entry.
    pub(crate) seq: u64,
    /// Whether an earlier daemon was asked to leave it, and did not come to the end of that.
    pub(crate) leaving: Leaving,
}

/// `down` for a whole environment, to its end: also over the death of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Leaving {
    /// It stays.
    #[default]
    No,
    /// What it has only while it runs goes when the last run is gone.
    Asked,
    /// That is going now.
    Going,
}

impl Leaving {
    /// What the journal says where an environment was being left.
    pub(super) const FACT: &str = "leaving";
    const YES: &str = "yes";
    const NO: &str = "no";

    /// As the journal has it.
    pub(super) fn of_fact(fact: Option<&str>) -> Self {
        if fact == Some(Self::YES) { Self::Asked } else { Self::No }
    }

    pub(super) fn fact(self) -> &'static str {
        if self == Self::No { Self::NO } else { Self::YES }
    }
}

impl Default for Seed {
    /// An environment that was never there.
    fn default() -> Self {
        Self {
            machine: Machine::new(),
            effects: Vec::new(),
            ports: PortTable::default(),
            secrets: BTreeMap::new(),
            handles: Vec::new(),
            seq: 0,
            leaving: Leaving::No,
        }
    }
}

/// One environment.
pub(crate) struct Actor {
    pub(super) id: EnvironmentId,
    pub(super) shared: Arc<Shared>,
    pub(super) machine: Machine,
    pub(super) ports: Arc<PortTable>,
    pub(super) secrets: Arc<BTreeMap<String, SecretText>>,
    pub(super) live: HashMap<InstanceId, Live>,
    pub(super) adopting: HashMap<InstanceId, muster_runtime::Handle>,
    /// Runs of an earlier daemon that were not found out about yet: commands wait for them.
    pub(super) unverified: HashSet<InstanceId>,
    deferred: VecDeque<Message>,
    pub(super) mailbox: mpsc::Sender<Message>,
    /// Who waits for an answer, and the last journal entry before the question.
    waiting: HashMap<RequestId, (Answer<AcceptedDocument>, u64)>,
    /// Whether the environment is being left.
    pub(super) leaving: Leaving,
    /// Ended runs of which something is being removed.
    pub(super) destroying: usize,
    /// Whose next start builds no image.
    pub(super) as_built: HashSet<InstanceId>,
    /// Hashes of the inputs of jobs, as of the last `up`.
    pub(super) inputs: HashMap<InstanceId, String>,
    next_request: RequestId,
    pub(super) saved_header: Header,
    pub(super) saved_leaving: Leaving,
    stack_generation: u64,
    pub(super) seq: u64,
    snapshot: watch::Sender<Arc<Snapshot>>,
    pub(super) log_grew: watch::Sender<()>,
    randomness: u64,
}

/// What one turn has decided and not yet done.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) effects: Vec<Effect>,
    pub(super) writes: Vec<Write>,
    /// Instances whose facts outside of the core changed: handle, start time.
    pub(super) touched: HashSet<InstanceId>,
    /// A crash point that this turn's commit leads to.
    pub(super) stage: Option<&'static str>,
    closed: Option<oneshot::Sender<()>>,
}

impl Actor {
    /// Starts an environment's actor.
    pub(crate) fn spawn(id: EnvironmentId, shared: Arc<Shared>, seed: Seed) -> Handle {
        let (mailbox, inbox) = mpsc::channel(MAILBOX);
        let (snapshot, reader) = watch::channel(Arc::default());
        let (log_grew, logs) = watch::channel(());
        let handle = Handle { id: id.clone(), mailbox: mailbox.clone(), snapshot: reader, logs };
        let adopting = seed.handles.into_iter().map(|handle| (handle.run.instance.clone(), handle)).collect();
        let mut actor = Self {
            id,
            shared,
            saved_header: Header::default(),
            stack_generation: seed.machine.header().generation,
            machine: seed.machine,
            ports: Arc::new(seed.ports),
            secrets: Arc::new(seed.secrets),
            live: HashMap::new(),
            adopting,
            unverified: seed.effects.iter().filter_map(recovering).collect(),
            deferred: VecDeque::new(),
            mailbox,
            waiting: HashMap::new(),
            leaving: seed.leaving,
            saved_leaving: seed.leaving,
            destroying: 0,
            as_built: HashSet::new(),
            inputs: HashMap::new(),
            next_request: 0,
            seq: seed.seq,
            snapshot,
            log_grew,
            randomness: fresh_randomness(),
        };
        // readers see what was known from the first moment on
        let all = actor.machine.views().map(|view| view.instance).collect();
        actor.publish_snapshot(&all);
        tokio::spawn(actor.run(inbox, seed.effects));
        handle
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Message>, effects: Vec<Effect>) {
        self.finish(Turn { effects, ..Turn::default() }).await;
        loop {
            let due = self.machine.next_deadline().map(|time| self.shared.clock.instant(time));
            let first = tokio::select! {
                message = inbox.recv() => message,
                () = sleep_until(due) => Some(Message::Event(Event::Tick)),
            };
            let Some(first) = first else { return };
            let mut turn = Turn::default();
            self.take(first, &mut turn).await;
            for _ in 1..TURN {
                let Ok(next) = inbox.try_recv() else { break };
                self.take(next, &mut turn).await;
            }
            let closed = turn.closed.take();
            self.finish(turn).await;
            if self.unverified.is_empty() && !self.deferred.is_empty() {
                let mut turn = Turn::default();
                for message in std::mem::take(&mut self.deferred) {
                    self.take(message, &mut turn).await;
                }
                self.finish(turn).await;
            }
            if let Some(closed) = closed {
                // An error means that nobody waits for it.
                let _ = closed.send(());
                return;
            }
        }
    }

    async fn take(&mut self, message: Message, turn: &mut Turn) {
        if !self.unverified.is_empty() && message.waits_for_adoption() {
            return self.deferred.push_back(message);
        }
        match message {
            Message::Up(request, answer) => self.up(*request, answer, turn).await,
            Message::Plan(request, answer) => {
                // An error means that the asking client is gone.
                let _ = answer.send(self.plan(&request).await);
            }
            Message::Command(command, answer) => match self.hold(&command).await {
                Ok(()) => {
                    let down = matches!(command, Command::Down { targets: None });
                    self.leaving = if down { Leaving::Asked } else { Leaving::No };
                    self.command(command, answer, turn);
                }
                // An error means that the asking client is gone.
                Err(error) => drop(answer.send(Err(error))),
            },
            Message::Signal(instances, signal, answer) => self.signal_all(&instances, signal, answer),
            Message::Build(request, answer) => self.build_jobs(&request, answer).await,
            Message::Event(Event::Tick) => self.tick(turn).await,
            Message::Event(event) => self.step(event, turn),
            Message::Spawned(instance, run, handle) => self.spawned(&instance, run, *handle, turn),
            Message::Destroyed => self.destroying -= 1,
            Message::Left => {
                self.destroying -= 1;
                if self.leaving == Leaving::Going {
                    self.leaving = Leaving::No;
                }
            }
            Message::Ended(instance, run, record) => self.ended(&instance, run, &record, turn),
            Message::Found(instance, run, found) => self.found(&instance, run, *found, turn),
            Message::Context(run, answer) => {
                let spec = self.resolver(|r| r.context(&run));
                // An error means that the asking client is gone.
                let _ = answer.send(spec.and_then(|spec| spec.map_err(|error| super::commands::unresolved(&error))));
            }
            Message::Examine(instances, answer) => {
                let examined = instances.iter().map(|instance| self.examine(instance)).collect();
                // An error means that the asking client is gone.
                let _ = answer.send(Ok(examined));
            }
            Message::AsBuilt(instances) => self.as_built.extend(instances),
            Message::Machine(answer) => {
                // An error means that the asking client is gone.
                let _ = answer.send(Ok(Box::new(self.machine.clone())));
            }
            Message::Close(done) => turn.closed = Some(done),
        }
    }

    /// One step of the core.
    pub(super) fn step(&mut self, event: Event, turn: &mut Turn) {
        self.randomness =
            self.randomness.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let context = Context { now: self.shared.clock.now(), random: self.randomness >> 1 };
        self.machine.step(context, event, &mut turn.effects);
    }

    /// A command for the core; its answer comes at the end of the turn.
    pub(super) fn command(&mut self, command: Command, answer: Answer<AcceptedDocument>, turn: &mut Turn) {
        self.next_request += 1;
        let request = self.next_request;
        self.waiting.insert(request, (answer, self.seq));
        self.step(Event::Command { request, command }, turn);
    }

    /// The last accepted stack.
    pub(super) fn stack(&self) -> Option<&Arc<Stack>> {
        self.machine.accepted().map(|accepted| &accepted.stack)
    }

    /// The identity of a run.
    pub(super) fn run_id(&self, instance: &InstanceId, number: u64) -> RunId {
        RunId { environment: self.id.clone(), instance: instance.clone(), number, step: None }
    }

    /// Works with a resolver over the accepted stack.
    pub(super) fn resolver<T>(
        &self,
        work: impl FnOnce(&Resolver<'_>) -> T,
    ) -> Result<T, crate::documents::ErrorDocument> {
        let stack = self.stack().ok_or_else(|| crate::errors::unknown_environment(self.id.name.as_str()))?;
        Ok(work(&self.resolver_of(stack)))
    }

    /// A resolver over a stack, with this environment's ports and secrets.
    pub(super) fn resolver_of<'a>(&'a self, stack: &'a Arc<Stack>) -> Resolver<'a> {
        Resolver {
            id: &self.id,
            stack,
            ports: &self.ports,
            secrets: &self.secrets,
            folders: RefCell::default(),
            paths: &self.shared.paths,
            asked: None,
        }
    }

    /// A stack was accepted: kept on disk before anything is done with it.
    pub(super) fn keep(&mut self, record: &EnvironmentRecord) {
        self.stack_generation = record.generation;
        if let Err(error) = record.write(&self.shared.paths, &self.id) {
            tracing::error!(environment = %self.id, %error, "cannot keep the accepted stack");
        }
    }

    /// Ends a turn: journal, effects, picture, answers; in this order.
    async fn finish(&mut self, mut turn: Turn) {
        let transitions = self.writes(&mut turn);
        if !turn.writes.is_empty() {
            let batch = Batch::from(std::mem::take(&mut turn.writes));
            crash::point("journal.before");
            match self.shared.commit(batch).await {
                Ok(committed) => self.publish_events(&committed.seqs, transitions),
                // what was decided is still done: services must stop and exits be seen although the journal is broken
                Err(error) => tracing::error!(environment = %self.id, %error, "cannot write the journal"),
            }
            crash::point("journal.after");
        }
        if let Some(stage) = turn.stage {
            crash::point(stage);
        }
        let mut replies = Vec::new();
        for effect in std::mem::take(&mut turn.effects) {
            match effect {
                Effect::Reply { request, reply } => replies.push((request, reply)),
                other => self.execute(other),
            }
        }
        self.publish_snapshot(&turn.touched);
        for (request, reply) in replies {
            self.answer(request, reply);
        }
        self.shared.touch();
    }

    /// An instance as readers see it now.
    pub(super) fn shown(&self, instance: &InstanceId) -> Option<Arc<InstanceInfo>> {
        self.snapshot.borrow().instances.get(instance).cloned()
    }

    /// A new picture for readers, in which only what was touched is made anew.
    fn publish_snapshot(&mut self, touched: &HashSet<InstanceId>) {
        let mut next = Snapshot::clone(&self.snapshot.borrow());
        next.accepted = self.machine.accepted().cloned();
        next.generation = self.machine.header().generation;
        next.stack_generation = self.stack_generation;
        next.seq = self.seq;
        next.unverified = self.unverified.len();
        next.ports = Arc::clone(&self.ports);
        for instance in touched {
            match self.machine.view(instance) {
                Some(view) => {
                    let live = self.live.get(instance).filter(|live| live.number == view.run);
                    let info = InstanceInfo {
                        reason: crate::words::reason(&view),
                        handle: live.and_then(|live| live.handle.clone()),
                        started_at_ns: live.and_then(|live| live.started_at_ns),
                        view,
                    };
                    next.instances.insert(instance.clone(), Arc::new(info));
                }
                None => {
                    next.instances.remove(instance);
                }
            }
        }
        let over = self.destroying == 0 && self.unverified.is_empty() && next.running() == 0;
        if self.leaving == Leaving::Asked && over {
            self.clean_up();
        }
        next.ending = self.leaving != Leaving::No || self.destroying > 0;
        self.snapshot.send_replace(Arc::new(next));
    }

    fn answer(&mut self, request: RequestId, reply: Reply) {
        let Some((answer, after)) = self.waiting.remove(&request) else { return };
        let answered = match reply {
            Reply::Accepted { generation, instances, changed } => Ok(AcceptedDocument {
                schema: "muster.accepted.v1".to_owned(),
                environment: self.id.to_string(),
                generation,
                instances: instances.iter().map(ToString::to_string).collect(),
                changed: changed.iter().map(ToString::to_string).collect(),
                after,
                data_removed_on: Vec::new(),
            }),
            Reply::Denied(denial) => Err(crate::errors::denial(&denial)),
        };
        // An error means that the asking client is gone; what it asked for is done all the same.
        let _ = answer.send(answered);
    }
}

fn recovering(effect: &Effect) -> Option<InstanceId> {
    match effect {
        Effect::Recover { instance, .. } => Some(instance.clone()),
        Effect::Start { .. }
        | Effect::Stop { .. }
        | Effect::Kill { .. }
        | Effect::Probe { .. }
        | Effect::Forget { .. }
        | Effect::Succeeded { .. }
        | Effect::Record(_)
        | Effect::Reply { .. } => None,
    }
}

async fn sleep_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// A seed for jitter.
fn fresh_randomness() -> u64 {
    let mut bytes = [0_u8; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(_) => u64::from_le_bytes(bytes),
        Err(_) => wall_ns(),
    }
}
