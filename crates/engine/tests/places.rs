//! Containers and processes on other hosts over scripted runtimes: what they are given, and what a move does.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use muster_engine::documents::{PlanDocument, UpRequest};
use muster_engine::{Engine, EngineConfig, Runtimes};
use muster_runtime::fake::World;
use muster_runtime::{FakeRuntime, Runtime};
use muster_spec::{
    CommandSpec, ContainerSpec, EnvironmentId, Part, PortAt, PortName, PortSpec, Reference, RemoteSpec, RuntimeKind,
    ServiceName, ServiceSpec, Stack, StackName, Template,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;

struct Bench {
    home: TempDir,
    engine: Engine,
}

async fn bench() -> Bench {
    let home = TempDir::new().unwrap();
    let worlds = [RuntimeKind::Container, RuntimeKind::Remote].map(|kind| (kind, World::new(kind)));
    let config = EngineConfig {
        home: home.path().join("home"),
        runtime_dir: home.path().join("run"),
        shim: "muster-shim".into(),
        version: "0".into(),
        build: "0".into(),
        original_nofile: None,
        hosts: Vec::new(),
    };
    let factory = move |kind: RuntimeKind, _: &BTreeMap<String, String>| {
        let (_, world) = worlds.iter().find(|(of, _)| *of == kind)?;
        Some(Arc::new(FakeRuntime::new(world)) as Arc<dyn Runtime>)
    };
    let process = Arc::new(FakeRuntime::new(&World::new(RuntimeKind::Process)));
    let engine = Engine::open_with(config, Runtimes::with(process, Arc::new(factory))).await.unwrap();
    Bench { home, engine }
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn port() -> PortName {
    PortName::new("x").unwrap()
}

/// A service with a port that can run in three ways, and knows where these others are.
fn service(text: &str, runtime: RuntimeKind, others: &[&str]) -> ServiceSpec {
    let command = CommandSpec::Exec(vec![Template::literal("serve")]);
    let mut spec = ServiceSpec::process(name(text), command.clone(), "/");
    spec.variants.container =
        Some(ContainerSpec { image: Some(Template::literal("image")), ..ContainerSpec::default() });
    spec.variants.remote = Some(RemoteSpec {
        host: "lab".to_owned(),
        command,
        before: Vec::new(),
        sync: Vec::new(),
        user: None,
        cwd: None,
    });
    spec.runtime = runtime;
    let at = PortSpec { at: PortAt::Auto, container: Some(80), stride: None, udp: false, address: None };
    spec.ports.insert(port(), at);
    for other in others {
        let reference = Reference::Address { service: name(other), port: port() };
        spec.env.insert(other.to_uppercase(), Template(vec![Part::Ref(reference)]));
    }
    spec.env.insert("BIND".to_owned(), Template(vec![Part::Ref(Reference::Bind(Some(port())))]));
    spec
}

impl Bench {
    fn stack(&self, services: [ServiceSpec; 3]) -> Stack {
        Stack::of(StackName::new("test").unwrap(), self.home.path(), services)
    }

    fn request(&self, stack: &Stack) -> UpRequest {
        UpRequest { stack: stack.clone(), secrets: BTreeMap::new(), select: None, no_deps: false, recreate: false }
    }

    async fn up(&self, stack: &Stack) -> EnvironmentId {
        self.engine.up(self.request(stack)).await.unwrap().environment.parse().unwrap()
    }

    async fn plan(&self, stack: &Stack) -> PlanDocument {
        self.engine.plan(self.request(stack)).await.unwrap()
    }

    async fn address(&self, id: &EnvironmentId, from: &str, to: &str) -> String {
        self.engine.way(id, from, to).await.unwrap().ways[0].address.clone().unwrap()
    }
}

fn changed(plan: &PlanDocument) -> Vec<(String, Vec<String>)> {
    let due = plan.changes.iter().filter(|change| change.action != "none");
    due.map(|change| (change.service.clone(), change.reasons.iter().map(|r| r.field.clone()).collect())).collect()
}

fn trio(a: RuntimeKind, b: RuntimeKind, c: RuntimeKind) -> [ServiceSpec; 3] {
    [service("a", a, &["b", "c"]), service("b", b, &["a", "c"]), service("c", c, &[])]
}

#[tokio::test(start_paused = true)]
async fn each_reaches_the_others_by_its_own_way() {
    let bench = bench().await;
    let stack = bench.stack(trio(RuntimeKind::Process, RuntimeKind::Container, RuntimeKind::Remote));
    let id = bench.up(&stack).await;
    let ports = bench.engine.ports(&id, None).await.unwrap().ports;
    let number = |instance: &str, part: &str| {
        ports.iter().find(|port| port.instance == instance && port.name.contains(part)).unwrap().port
    };
    assert_eq!(bench.address(&id, "a", "b").await, format!("127.0.0.1:{}", number("b", "x")));
    assert_eq!(bench.address(&id, "a", "c").await, format!("127.0.0.1:{}", number("c", "near")));
    assert_eq!(bench.address(&id, "b", "a").await, format!("host.muster.internal:{}", number("a", "x")));
    assert_eq!(bench.address(&id, "b", "c").await, format!("host.muster.internal:{}", number("c", "near")));
    assert_ne!(number("c", "near"), ports.iter().find(|p| p.instance == "c" && p.name == "x").unwrap().port);
    // what a command in its place is told is this machine's view
    let context = bench.engine.context(&id, "b").await.unwrap();
    let told: BTreeMap<_, _> = context.env.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(told["A"], format!("127.0.0.1:{}", number("a", "x")));
    let hosts = bench.engine.status(&id, None, false).await.unwrap().services;
    let host: Vec<_> = hosts.iter().map(|service| service.host.as_deref()).collect();
    assert_eq!(host, [None, None, Some("lab")]);
}

#[tokio::test(start_paused = true)]
async fn a_move_restarts_it_and_only_what_sees_its_new_address() {
    use RuntimeKind::{Container, Process, Remote};
    let bench = bench().await;
    bench.up(&bench.stack(trio(Process, Process, Process))).await;
    // `c` moves away: `a` and `b` are told another address, and nobody else
    let plan = bench.plan(&bench.stack(trio(Process, Process, Remote))).await;
    let moved = changed(&plan);
    assert_eq!(moved.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(moved[2].1.contains(&"runtime".to_owned()), "{moved:?}");
    // into a container that is published under the same number: nobody sees it
    let plan = bench.plan(&bench.stack(trio(Process, Process, Container))).await;
    assert_eq!(changed(&plan).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["c"]);
    // a container asks for `a` and `c`: they listen for it from now on
    let plan = bench.plan(&bench.stack(trio(Process, Container, Process))).await;
    assert_eq!(changed(&plan).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_on_a_host_does_not_restart_who_it_asks() {
    use RuntimeKind::{Container, Process, Remote};
    let bench = bench().await;
    bench.up(&bench.stack(trio(Process, Process, Remote))).await;
    let plan = bench.plan(&bench.stack(trio(Process, Remote, Remote))).await;
    assert_eq!(changed(&plan).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    // a tunnel for the container as well: what it leads to runs on
    let plan = bench.plan(&bench.stack(trio(Container, Process, Remote))).await;
    assert_eq!(changed(&plan).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}
