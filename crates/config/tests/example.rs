//! The example of the language's description loads, all of it.

use muster_config::{Loaded, Memory, Problems, Request, load};
use muster_spec::{Check, EnvironmentName, PortAt, Reference, RuntimeKind, Until};
use std::collections::BTreeMap;

const EXAMPLE: &str = include_str!("example/muster.yaml");
const OBSERVABILITY: &str = "services:\n  prometheus: { group: observability, process: { command: [prometheus] } }\n";

fn host() -> Memory {
    let mut host = Memory::default()
        .with("/w/gladys/muster.yaml", EXAMPLE)
        .with("/w/gladys/ops/observability.yaml", OBSERVABILITY)
        .with("/w/gladys/.env", "OLLAMA_URL=\n");
    host.commands.insert("pass show gladys/db".into(), "hunter2\n".into());
    host
}

fn example(environment: Option<&str>) -> Result<Loaded, Problems> {
    let request = Request {
        cwd: "/w/gladys/services".into(),
        environment: environment.map(|name| EnvironmentName::new(name).expect("a name")),
        env: BTreeMap::from([("PATH".into(), "/bin".into()), ("EDITOR".into(), "vi".into())]),
        ..Request::default()
    };
    load(&request, &host())
}

#[test]
fn the_whole_example_loads() {
    let loaded = example(None).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let stack = &loaded.stack;
    assert_eq!((stack.name.as_str(), stack.environment.as_str()), ("gladys", "local"));
    assert_eq!(stack.services.len(), 7);
    assert_eq!(stack.base_env, BTreeMap::from([("PATH".into(), "/bin".into())]));
    let memory = stack.service("memory-python").unwrap();
    assert_eq!(memory.cwd.as_literal().unwrap(), "/w/gladys/services/memory");
    assert_eq!(memory.ports["grpc"].at, PortAt::Offset(1));
    assert_eq!(memory.needs.iter().map(|n| n.until).collect::<Vec<_>>(), [Until::Ready, Until::Done]);
    assert!(matches!(&memory.probes.ready.as_ref().unwrap().check, Check::Grpc { service, .. } if service.is_empty()));
    assert_eq!(stack.service("memory-rust").unwrap().runtime, RuntimeKind::Process);
    assert_eq!(stack.service("ollama").unwrap().runtime, RuntimeKind::External);
    assert_eq!(stack.tests["integration"].needs.len(), 7);
    let url = &memory.env["DATABASE_URL"];
    assert_eq!(url.references().collect::<Vec<_>>(), [&Reference::DatabaseUrl("main".into())]);
    assert_eq!(loaded.environments, ["local", "docker", "hybrid", "prod"]);
}

#[test]
fn an_environment_chooses_variants() {
    let hybrid = example(Some("hybrid")).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    assert_eq!(hybrid.stack.service("memory-rust").unwrap().runtime, RuntimeKind::Container);
    assert_eq!(hybrid.stack.service("memory-python").unwrap().runtime, RuntimeKind::Process);
    // A name that the file does not declare, as of a worktree, takes after the default.
    let tree = example(Some("feature-x")).unwrap();
    assert_eq!(tree.stack.environment.as_str(), "feature-x");
    // An environment's runtime is a preference: what does not offer it runs as it can, and that is said.
    let docker = example(Some("docker")).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    assert_eq!(docker.stack.service("postgres").unwrap().runtime, RuntimeKind::Container);
    assert_eq!(docker.stack.service("migrate").unwrap().runtime, RuntimeKind::Process);
    assert_eq!(docker.problems.list.len(), 2, "{}", docker.problems.render(false));
}

#[test]
fn what_is_printed_loads_to_the_same_stack() {
    for environment in [None, Some("docker"), Some("hybrid")] {
        let first = example(environment).unwrap();
        let text = muster_config::to_yaml(&first.stack);
        assert!(!text.contains("hunter2"), "{text}");
        let host = host().with("/w/gladys/muster.yaml", text.as_str());
        let env = BTreeMap::from([("PATH".into(), "/bin".into()), ("DB_PASSWORD".into(), "hunter2".into())]);
        let request = Request { cwd: "/w/gladys".into(), env, ..Request::default() };
        let second = load(&request, &host).unwrap_or_else(|problems| panic!("{}\n{text}", problems.render(false)));
        let mut expected = first.stack.clone();
        expected.variables = second.stack.variables.clone();
        assert_eq!(expected, second.stack, "{text}");
        assert_eq!(second.secrets["DB_PASSWORD"].expose(), "hunter2");
    }
}
