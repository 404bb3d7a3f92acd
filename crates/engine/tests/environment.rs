//! The engine over the scripted runtime, with paused time: no process, no waiting, every failure on demand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use futures::StreamExt;
use muster_engine::documents::{Outcome, Progress, SelectRequest, UpRequest, WaitRequest, WaitUntil};
use muster_engine::{Engine, EngineConfig, Runtimes};
use muster_runtime::fake::{Script, World};
use muster_runtime::{FakeRuntime, Known};
use muster_spec::{
    Check, CommandSpec, EnvironmentId, HumanDuration, InstanceId, Need, OnRestart, PortAt, PortName, PortSpec,
    ProbeSpec, RestartOn, RuntimeKind, ServiceKind, ServiceName, ServiceSpec, Stack, StackName, Template, Until,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

fn service(name: &str) -> ServiceSpec {
    let command = CommandSpec::Exec(vec![Template::literal("serve")]);
    ServiceSpec::process(ServiceName::new(name).unwrap(), command, "/")
}

fn need(on: &str, until: Until) -> Need {
    Need { service: ServiceName::new(on).unwrap(), until, restart: OnRestart::Wait, optional: false }
}

fn stack(root: &Path, services: impl IntoIterator<Item = ServiceSpec>) -> Stack {
    Stack::of(StackName::new("test").unwrap(), root, services)
}

struct Bench {
    home: TempDir,
    world: Arc<World>,
    engine: Engine,
}

async fn open(home: &Path, world: &Arc<World>) -> Engine {
    let config = EngineConfig {
        home: home.join("home"),
        runtime_dir: home.join("run"),
        shim: "muster-shim".into(),
        hosts: Vec::new(),
        version: "0".into(),
        build: "0".into(),
        original_nofile: None,
    };
    Engine::open_with(config, Runtimes::new(Arc::new(FakeRuntime::new(world)))).await.unwrap()
}

impl Bench {
    async fn new() -> Self {
        let home = TempDir::new().unwrap();
        let world = World::new(RuntimeKind::Process);
        let engine = open(home.path(), &world).await;
        Self { home, world, engine }
    }

    fn stack(&self, services: impl IntoIterator<Item = ServiceSpec>) -> Stack {
        stack(self.home.path(), services)
    }

    /// Brings a stack up and waits for the end of it.
    async fn up(&self, stack: &Stack) -> (EnvironmentId, Outcome) {
        let request =
            UpRequest { stack: stack.clone(), secrets: BTreeMap::new(), select: None, no_deps: false, recreate: false };
        let accepted = self.engine.up(request).await.unwrap();
        let id: EnvironmentId = accepted.environment.parse().unwrap();
        let wait = WaitRequest {
            generation: accepted.generation,
            instances: accepted.instances,
            after: accepted.after,
            until: WaitUntil::Ready,
            patience_ms: Some(60_000),
        };
        (id.clone(), self.wait(&id, wait).await)
    }

    async fn wait(&self, id: &EnvironmentId, request: WaitRequest) -> Outcome {
        let mut progress = self.engine.wait(id, request).unwrap();
        loop {
            match progress.next().await.unwrap() {
                Progress::Event(_) => {}
                Progress::Outcome(outcome) => return outcome,
            }
        }
    }

    async fn down(&self, id: &EnvironmentId) -> Outcome {
        let accepted = self.engine.down(id, SelectRequest::default()).await.unwrap();
        let (generation, instances) = (accepted.generation, accepted.instances);
        self.wait(
            id,
            WaitRequest { generation, instances, after: accepted.after, until: WaitUntil::Down, patience_ms: None },
        )
        .await
    }

    async fn states(&self, id: &EnvironmentId) -> Vec<(String, String)> {
        let status = self.engine.status(id, None, false).await.unwrap();
        status.services.into_iter().map(|s| (s.name, s.state)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_comes_first_and_down_leaves_nothing() {
    let bench = Bench::new().await;
    let mut migrate = service("migrate");
    migrate.kind = ServiceKind::Job;
    let mut api = service("api");
    api.needs = vec![need("migrate", Until::Done)];
    bench.world.script("migrate", Script::exits(Duration::from_secs(3), 0));
    let (id, outcome) = bench.up(&bench.stack([api, migrate])).await;
    assert_eq!((outcome.result.as_str(), outcome.failures), ("met", vec![]));
    let expected = [("api", "ready"), ("migrate", "done")].map(|(n, s)| (n.to_owned(), s.to_owned()));
    assert_eq!(bench.states(&id).await, expected);
    assert_eq!(bench.down(&id).await.result, "met");
    assert_eq!(bench.world.live(), []);
    assert_eq!(bench.world.doubles(), Vec::<String>::new());
    assert_eq!(bench.engine.info().running, 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_come_is_told_with_its_root_cause() {
    let bench = Bench::new().await;
    let mut migrate = service("migrate");
    migrate.kind = ServiceKind::Job;
    let mut api = service("api");
    api.needs = vec![need("migrate", Until::Done)];
    bench.world.script("migrate", Script::exits(Duration::ZERO, 1));
    let (id, outcome) = bench.up(&bench.stack([migrate, api])).await;
    assert_eq!(outcome.result, "failed");
    let failed: Vec<&str> = outcome.failures.iter().map(|f| f.instance.as_str()).collect();
    assert_eq!(failed, ["api", "migrate"]);
    let why = bench.engine.why(&id, Some("api")).await.unwrap();
    let told: Vec<&str> = why.services[0].chain.iter().map(|link| link.instance.as_str()).collect();
    assert!(told.contains(&"migrate"), "{why:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_daemon_adopts_what_runs_and_learns_what_ended() {
    let bench = Bench::new().await;
    let stack = bench.stack([service("a"), service("b")]);
    let (id, outcome) = bench.up(&stack).await;
    assert_eq!(outcome.result, "met");
    let live = bench.world.live();
    bench.engine.close_all().await;
    let b = live.iter().find(|run| run.instance == InstanceId::first(ServiceName::new("b").unwrap())).unwrap();
    bench.world.end(b, Known::Code(7));
    let engine = open(bench.home.path(), &bench.world).await;
    let second = Bench { home: bench.home, world: bench.world, engine };
    let accepted = second
        .engine
        .start(&id, SelectRequest { select: Some("all".into()), ..SelectRequest::default() })
        .await
        .unwrap();
    let request = WaitRequest {
        generation: accepted.generation,
        instances: accepted.instances,
        after: 0,
        until: WaitUntil::Ready,
        patience_ms: None,
    };
    assert_eq!(second.wait(&id, request).await.result, "met");
    assert_eq!((second.world.starts("a"), second.world.starts("b")), (1, 2));
    assert_eq!(second.world.doubles(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_lost_journal_finds_what_runs() {
    let bench = Bench::new().await;
    let (id, _) = bench.up(&bench.stack([service("a")])).await;
    bench.engine.close_all().await;
    let journal = bench.home.path().join("home/journal.db");
    for end in ["", "-wal", "-shm"] {
        // some of them may not be there
        let _ = std::fs::remove_file(format!("{}{end}", journal.display()));
    }
    std::fs::write(&journal, b"this is not a database").unwrap();
    let engine = open(bench.home.path(), &bench.world).await;
    assert!(engine.info().quarantined.is_some());
    let second = Bench { home: bench.home, world: bench.world, engine };
    let generation = second.engine.status(&id, None, false).await.unwrap().generation;
    let request =
        WaitRequest { generation, instances: vec!["a".into()], after: 0, until: WaitUntil::Ready, patience_ms: None };
    assert_eq!(second.wait(&id, request).await.result, "met");
    assert_eq!(second.world.starts("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn environments_do_not_share_ports_and_keep_theirs() {
    let bench = Bench::new().await;
    let mut api = service("api");
    let port = PortSpec { at: PortAt::Offset(1), container: None, stride: None, udp: false, address: None };
    api.ports.insert(PortName::new("http").unwrap(), port);
    let (first, _) = bench.up(&bench.stack([api.clone()])).await;
    let other = TempDir::new().unwrap();
    let (second, _) = bench.up(&stack(other.path(), [api.clone()])).await;
    let number =
        async |id: &EnvironmentId| bench.engine.status(id, None, false).await.unwrap().services[0].ports["http"];
    let (a, b) = (number(&first).await, number(&second).await);
    assert_ne!(a, b);
    bench.down(&first).await;
    bench.up(&bench.stack([api])).await;
    assert_eq!(number(&first).await, a);
}

#[tokio::test(start_paused = true)]
async fn another_stack_supersedes_who_waits() {
    let bench = Bench::new().await;
    bench.world.script("slow", Script::runs().start_takes(Duration::from_secs(60)));
    let old = bench.stack([service("slow")]);
    let request =
        |stack: Stack| UpRequest { stack, secrets: BTreeMap::new(), select: None, no_deps: false, recreate: false };
    let accepted = bench.engine.up(request(old)).await.unwrap();
    let id: EnvironmentId = accepted.environment.parse().unwrap();
    let waiting = bench.engine.wait(
        &id,
        WaitRequest {
            generation: accepted.generation,
            instances: accepted.instances,
            after: 0,
            until: WaitUntil::Ready,
            patience_ms: None,
        },
    );
    bench.engine.up(request(bench.stack([service("quick")]))).await.unwrap();
    let last = waiting.unwrap().collect::<Vec<_>>().await.pop().unwrap();
    assert!(matches!(&last, Progress::Outcome(outcome) if outcome.result == "superseded"), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_not_here_is_told_before_anything_starts() {
    let bench = Bench::new().await;
    let mut api = service("api");
    api.runtime = RuntimeKind::Container;
    let request = UpRequest {
        stack: bench.stack([api, service("b")]),
        secrets: BTreeMap::new(),
        select: None,
        no_deps: false,
        recreate: false,
    };
    let error = bench.engine.up(request).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.exit), ("runtime::unavailable", 8));
    assert_eq!(bench.world.starts("b"), 0);
    assert_eq!(bench.engine.environments(), []);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_what_never_gets_ready_ends_and_says_what_it_waited_for() {
    let bench = Bench::new().await;
    let mut web = service("web");
    web.probes.ready = Some(ProbeSpec::new(Check::File(Template::literal("/nowhere/at/all"))));
    let mut front = service("front");
    front.needs = vec![need("web", Until::Ready)];
    let mut slow = service("slow");
    slow.kind = ServiceKind::Job;
    bench.world.script("slow", Script::exits(Duration::from_secs(200), 0));
    let start = tokio::time::Instant::now();
    // as long as anything else is on its way, so is the whole
    let (id, outcome) = bench.up(&bench.stack([web.clone(), front.clone(), slow])).await;
    assert!(start.elapsed() >= Duration::from_secs(200), "{:?}", start.elapsed());
    let told: Vec<_> =
        outcome.failures.iter().map(|f| (f.instance.as_str(), f.state.as_str(), f.reason.as_str())).collect();
    let late = "not ready after 60s, and goes on: its ready probe fails: ";
    assert!(
        matches!(&told[..], [("front", "waiting", _), ("web", "running", why)] if why.starts_with(late)),
        "{told:?}"
    );
    assert_eq!(outcome.result, "failed");
    // it is only the wait that ended
    assert!(bench.states(&id).await.contains(&("web".to_owned(), "running".to_owned())));
    // one that says how long it may take ends by itself
    let mut late = ServiceSpec { name: ServiceName::new("late").unwrap(), ..web };
    late.probes.ready.as_mut().unwrap().within = Some(HumanDuration::from_secs(70));
    late.restart.on = RestartOn::Never;
    let (_, outcome) = bench.up(&bench.stack([late])).await;
    assert_eq!((outcome.failures.len(), outcome.failures[0].state.as_str()), (1, "failed"), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn only_what_is_wanted_holds_its_ports() {
    let bench = Bench::new().await;
    let web = || {
        let mut web = service("web");
        let fixed = PortSpec { at: PortAt::Fixed(18_080), container: None, stride: None, udp: false, address: None };
        web.ports.insert(PortName::new("http").unwrap(), fixed);
        web
    };
    let other = TempDir::new().unwrap();
    let up = async |stack: Stack, select: Option<&str>| {
        let select = select.map(str::to_owned);
        let secrets = BTreeMap::new();
        bench.engine.up(UpRequest { stack, secrets, select, no_deps: false, recreate: false }).await
    };
    let first: EnvironmentId = up(bench.stack([web()]), None).await.unwrap().environment.parse().unwrap();
    let accepted = up(stack(other.path(), [service("api"), web()]), Some("api")).await.unwrap();
    let id: EnvironmentId = accepted.environment.parse().unwrap();
    let start = SelectRequest { select: Some("web".to_owned()), ..SelectRequest::default() };
    let refused = bench.engine.start(&id, start.clone()).await.unwrap_err();
    assert_eq!(refused.code, "port::taken");
    assert_eq!(up(stack(other.path(), [service("api"), web()]), None).await.unwrap_err().code, "port::taken");
    bench.down(&first).await;
    bench.engine.remove(&first, false).await.unwrap();
    bench.engine.start(&id, start).await.unwrap();
    assert_eq!(up(bench.stack([web()]), None).await.unwrap_err().code, "port::taken");
}
