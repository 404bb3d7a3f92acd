//! Whether what was asked for is there: services ready, jobs done.

use crate::{Exit, State, View, Wanted, words};
use muster_spec::{Check, HealthCheck, InstanceId, ServiceKind, ServiceSpec, Stack};
use std::collections::{BTreeMap, BTreeSet};

/// How far targets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Something can still happen by itself.
    Pending {
        /// The targets that are not there yet.
        waiting_for: Vec<InstanceId>,
    },
    /// Every target is there.
    Met,
    /// Nothing more happens by itself, and these are not there, each with the reason in one line.
    Failed(Vec<(InstanceId, String)>),
}

/// Where one target stands.
enum One {
    Met,
    Pending,
    Failed(String),
}

/// How far `targets` are. One that failed is told only when nothing is pending any more: what can come up, comes up.
pub fn outcome<'a>(
    views: impl IntoIterator<Item = &'a View>,
    targets: &BTreeSet<InstanceId>,
    stack: &Stack,
) -> Progress {
    let views: BTreeMap<&InstanceId, &View> = views.into_iter().map(|view| (&view.instance, view)).collect();
    let (mut waiting_for, mut failed) = (Vec::new(), Vec::new());
    for target in targets {
        let spec = stack.services.get(&target.service).filter(|spec| target.replica <= spec.replicas);
        let stands = match (views.get(target), spec) {
            (Some(view), Some(spec)) => one(view, spec),
            (None, Some(_)) => One::Failed("not in this environment".to_owned()),
            (Some(view), None) => leaving(view),
            (None, None) => One::Met,
        };
        match stands {
            One::Met => {}
            One::Pending => waiting_for.push(target.clone()),
            One::Failed(reason) => failed.push((target.clone(), reason)),
        }
    }
    if !waiting_for.is_empty() {
        Progress::Pending { waiting_for }
    } else if failed.is_empty() {
        Progress::Met
    } else {
        Progress::Failed(failed)
    }
}

fn one(view: &View, spec: &ServiceSpec) -> One {
    let job = spec.kind == ServiceKind::Job;
    if view.wanted == Wanted::Down {
        return One::Failed(format!("not wanted any more: {}", words::cause(&view.cause)));
    }
    match view.state {
        // one that is about to be stopped for a restart is not there yet
        State::Ready if !job && view.settled => One::Met,
        State::Done => One::Met,
        State::Exited if view.settled && was_there(view, spec) => One::Met,
        State::Stopped
        | State::Waiting
        | State::Backoff
        | State::Starting
        | State::Running
        | State::Ready
        | State::Unhealthy
        | State::Stopping
        | State::Exited
        | State::Failed
        | State::Lost => {
            if view.settled {
                One::Failed(words::cause(&view.cause))
            } else {
                One::Pending
            }
        }
    }
}

/// What nobody probes is ready as soon as it runs. Whether who waits looks before or after a quick end that counts as
/// success must not matter.
fn was_there(view: &View, spec: &ServiceSpec) -> bool {
    let succeeded = matches!(view.exit, Some(Exit::Code(code)) if spec.succeeded(code));
    let asked =
        spec.probes.ready.as_ref().is_some_and(|probe| probe.check != Check::Healthcheck || checks_itself(spec));
    succeeded && spec.probes.startup.is_none() && !asked
}

/// The stack gives its container a health check. Most images have none, and then the engine finds what runs healthy.
fn checks_itself(spec: &ServiceSpec) -> bool {
    let health = spec.variants.container.as_ref().map(|container| &container.options.health);
    match health {
        Some(HealthCheck::Own { .. }) => true,
        Some(HealthCheck::Image | HealthCheck::Disabled) | None => false,
    }
}

/// One that the stack does not have any more is there once it is gone.
fn leaving(view: &View) -> One {
    match view.state {
        State::Stopped | State::Exited | State::Done | State::Failed => One::Met,
        State::Lost => One::Failed(words::cause(&view.cause)),
        State::Waiting
        | State::Backoff
        | State::Starting
        | State::Running
        | State::Ready
        | State::Unhealthy
        | State::Stopping => One::Pending,
    }
}
