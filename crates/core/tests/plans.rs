//! What `up` would do, and whether targets are there.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use muster_core::outcome::{Progress, outcome};
use muster_core::plan::{Action, Current, diff, plan};
use muster_core::{Accepted, Command, Context, Event, Exit, Machine, Time, View};
use muster_spec::{
    CommandSpec, InstanceId, Part, Reference, RestartOn, ServiceKind, ServiceName, ServiceSpec, Stack, StackName,
    Template,
};
use std::collections::BTreeSet;
use std::sync::Arc;

fn service(name: &str) -> ServiceSpec {
    ServiceSpec::process(ServiceName::new(name).unwrap(), CommandSpec::Exec(vec!["x".into(), "-v".into()]), "/")
}

fn accepted(services: Vec<ServiceSpec>, hash: &str) -> Arc<Accepted> {
    let stack = Stack::of(StackName::new("s").unwrap(), "/", services);
    let hashes = stack.instances().map(|id| (id, hash.to_owned())).collect();
    Arc::new(Accepted { stack: Arc::new(stack), hashes, satisfied: BTreeSet::new() })
}

#[test]
fn a_field_is_named_as_people_write_it_and_a_secret_stays_one() {
    let (from, mut to) = (service("api"), service("api"));
    to.env.insert("TOKEN".into(), Template(vec![Part::Ref(Reference::Secret("API_TOKEN".into()))]));
    if let Some(process) = &mut to.variants.process {
        process.command = CommandSpec::Exec(vec!["x".into(), "-q".into()]);
    }
    let changes = diff(&from, &to);
    let told: Vec<(&str, Option<&str>, Option<&str>)> =
        changes.iter().map(|c| (c.field.as_str(), c.from.as_deref(), c.to.as_deref())).collect();
    assert_eq!(
        told,
        [("env.TOKEN", None, Some("${API_TOKEN}")), ("process.command", Some(r#"["x","-v"]"#), Some(r#"["x","-q"]"#)),]
    );
}

#[test]
fn a_plan_says_start_restart_stop_and_none() {
    let first = accepted(vec![service("api"), service("old")], "1");
    let targets: BTreeSet<InstanceId> = first.stack.instances().collect();
    let none = plan(Current { accepted: None, views: &[] }, &first, &targets);
    assert!(none.iter().all(|change| change.action == Action::Start));
    let mut machine = Machine::new();
    let mut effects = Vec::new();
    let context = Context { now: Time(1), random: 0 };
    let command = Command::Up { accepted: first.clone(), targets: targets.clone(), no_deps: false, recreate: false };
    machine.step(context, Event::Command { request: 1, command }, &mut effects);
    let views: Vec<View> = machine.views().collect();
    assert!(matches!(outcome(&views, &targets, &first.stack), Progress::Pending { .. }));
    for id in &targets {
        machine.step(context, Event::Started { instance: id.clone(), run: 1 }, &mut effects);
    }
    let views: Vec<View> = machine.views().collect();
    assert_eq!(outcome(&views, &targets, &first.stack), Progress::Met);
    let current = Current { accepted: Some(&first), views: &views };
    assert!(plan(current, &first, &targets).iter().all(|change| change.action == Action::None));
    let second = accepted(vec![service("api")], "2");
    let changes = plan(current, &second, &second.stack.instances().collect());
    let told: Vec<(String, Action)> = changes.iter().map(|c| (c.instance.to_string(), c.action)).collect();
    assert_eq!(told, [("old".to_owned(), Action::Stop), ("api".to_owned(), Action::Restart)]);
    // what the stack has no more is waited for until it is gone, and never missed afterwards
    let old: BTreeSet<InstanceId> = targets.iter().filter(|id| id.to_string() == "old").cloned().collect();
    assert!(matches!(outcome(&views, &old, &second.stack), Progress::Pending { .. }));
    assert_eq!(outcome(&[], &old, &second.stack), Progress::Met);
    assert_eq!(changes[1].reasons[0].field, "resolved");
}

#[test]
fn a_job_that_would_run_again_has_a_reason() {
    let of = |inputs: &[&str], exit: Option<i32>, hash: &str| {
        let mut job = service("job");
        job.kind = ServiceKind::Job;
        job.restart.on = RestartOn::Never;
        job.inputs = inputs.iter().map(|glob| (*glob).to_owned()).collect();
        let first = accepted(vec![job.clone()], "1");
        let targets: BTreeSet<InstanceId> = first.stack.instances().collect();
        let (mut machine, mut effects) = (Machine::new(), Vec::new());
        let context = Context { now: Time(1), random: 0 };
        let command =
            Command::Up { accepted: first.clone(), targets: targets.clone(), no_deps: false, recreate: false };
        machine.step(context, Event::Command { request: 1, command }, &mut effects);
        for id in targets.iter().filter(|_| exit.is_some()) {
            machine.step(context, Event::Started { instance: id.clone(), run: 1 }, &mut effects);
            let exit = Exit::Code(exit.unwrap_or_default());
            machine.step(context, Event::Exited { instance: id.clone(), run: 1, exit }, &mut effects);
        }
        let views: Vec<View> = if exit.is_some() { machine.views().collect() } else { Vec::new() };
        let changes = plan(Current { accepted: Some(&first), views: &views }, &accepted(vec![job], hash), &targets);
        assert_eq!(changes[0].action, Action::Start);
        (
            changes[0].because.unwrap_or_default().split(' ').take(4).collect::<Vec<_>>().join(" "),
            changes[0].reasons.len(),
        )
    };
    assert_eq!(of(&[], Some(0), "1"), ("a job without `inputs`".to_owned(), 0));
    assert_eq!(of(&["*.sql"], Some(0), "1"), ("its `inputs` are others".to_owned(), 0));
    assert_eq!(of(&["*.sql"], Some(1), "1"), ("it did not succeed".to_owned(), 0));
    // a definition that changed is told by its fields, and what never ran needs no reason
    assert_eq!(of(&[], Some(0), "2"), (String::new(), 1));
    assert_eq!(of(&[], None, "1"), (String::new(), 0));
}

/// Whoever waits sees it before or after its end: both must say the same.
#[test]
fn a_quick_end_with_success_is_no_failure_where_nobody_probes() {
    let first = accepted(vec![service("echo")], "1");
    let targets: BTreeSet<InstanceId> = first.stack.instances().collect();
    let ended = |code: i32| {
        let mut machine = Machine::new();
        let mut effects = Vec::new();
        let context = Context { now: Time(1), random: 0 };
        let mut accepted = first.as_ref().clone();
        let stack = Arc::make_mut(&mut accepted.stack);
        stack.services.values_mut().for_each(|spec| spec.restart.on = RestartOn::Never);
        let accepted = Arc::new(accepted);
        let command =
            Command::Up { accepted: accepted.clone(), targets: targets.clone(), no_deps: false, recreate: false };
        machine.step(context, Event::Command { request: 1, command }, &mut effects);
        for id in &targets {
            machine.step(context, Event::Started { instance: id.clone(), run: 1 }, &mut effects);
            let exited = Event::Exited { instance: id.clone(), run: 1, exit: Exit::Code(code) };
            machine.step(context, exited, &mut effects);
        }
        let views: Vec<View> = machine.views().collect();
        outcome(&views, &targets, &accepted.stack)
    };
    assert_eq!(ended(0), Progress::Met);
    assert!(matches!(ended(1), Progress::Failed(_)));
}
