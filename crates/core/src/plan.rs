//! What `up` would do, and which field is the reason.

use crate::{Accepted, State, View, graph};
use muster_spec::{InstanceId, OnRestart, RuntimeKind, ServiceKind, ServiceName, ServiceSpec, Stack, Template};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What would be done to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is not there and would be.
    Start,
    /// It would be stopped and started.
    Restart,
    /// It would be stopped: the stack does not have it any more.
    Stop,
    /// Its container would be made anew.
    Recreate,
    /// It stays as it is.
    None,
}

impl Action {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Recreate => "recreate",
            Self::None => "none",
        }
    }
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Dotted path: `env.X`, `process.command`.
    pub field: String,
    /// What it is; `None` when it is not there.
    pub from: Option<String>,
    /// What it would be; `None` when it would not be there.
    pub to: Option<String>,
}

/// What would be done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whose.
    pub instance: InstanceId,
    /// What.
    pub action: Action,
    /// Why; empty when the reason is no field.
    pub reasons: Vec<FieldChange>,
    /// Why, in a sentence, where it is no field: what would be done again although nothing was written anew.
    pub because: Option<&'static str>,
}

/// What is there before.
#[derive(Debug, Clone, Copy)]
pub struct Current<'a> {
    /// The stack that was accepted last.
    pub accepted: Option<&'a Accepted>,
    /// Where its instances are.
    pub views: &'a [View],
}

/// What `up` with these targets would do: stops first, then in order of declaration.
#[must_use]
pub fn plan(current: Current<'_>, wanted: &Accepted, targets: &BTreeSet<InstanceId>) -> Vec<Change> {
    let views: BTreeMap<&InstanceId, &View> = current.views.iter().map(|view| (&view.instance, view)).collect();
    let known: BTreeSet<InstanceId> = wanted.stack.instances().collect();
    let mut changes: Vec<Change> = current
        .views
        .iter()
        .filter(|view| !known.contains(&view.instance) && live(view.state))
        .map(|view| Change {
            instance: view.instance.clone(),
            action: Action::Stop,
            reasons: Vec::new(),
            because: Some("the stack does not have it any more"),
        })
        .collect();
    let chosen = graph::closure(&wanted.stack, targets);
    for id in wanted.stack.instances().filter(|id| chosen.contains(id)) {
        changes.push(one(current, views.get(&id).copied(), wanted, id));
    }
    along(&mut changes, &views, &wanted.stack);
    changes
}

fn live(state: State) -> bool {
    match state {
        State::Starting | State::Running | State::Ready | State::Unhealthy | State::Stopping | State::Lost => true,
        State::Stopped | State::Waiting | State::Backoff | State::Exited | State::Done | State::Failed => false,
    }
}

fn one(current: Current<'_>, view: Option<&View>, wanted: &Accepted, id: InstanceId) -> Change {
    let spec = wanted.stack.services.get(&id.service);
    let job = spec.is_some_and(|spec| spec.kind == ServiceKind::Job);
    let state = view.map_or(State::Stopped, |view| view.state);
    let hash = view.and_then(|view| view.run_hash.as_ref());
    let action = match state {
        State::Lost => Action::None,
        State::Stopped | State::Waiting | State::Backoff | State::Exited | State::Failed | State::Done => {
            if job && wanted.satisfied.contains(&id) { Action::None } else { Action::Start }
        }
        State::Stopping => Action::Start,
        State::Starting | State::Running | State::Ready | State::Unhealthy => {
            let container = spec.is_some_and(|spec| spec.runtime == RuntimeKind::Container);
            match (hash == wanted.hashes.get(&id), container) {
                (true, _) => Action::None,
                (false, true) => Action::Recreate,
                (false, false) => Action::Restart,
            }
        }
    };
    let reasons = match action {
        Action::None | Action::Stop => Vec::new(),
        Action::Start | Action::Restart | Action::Recreate => {
            let changed = hash.is_some() && hash != wanted.hashes.get(&id);
            current.accepted.filter(|_| changed).map(|old| reasons(old, wanted, &id)).unwrap_or_default()
        }
    };
    let because = view.filter(|_| action == Action::Start && reasons.is_empty()).zip(spec).and_then(again);
    Change { instance: id, action, reasons, because }
}

/// Why a job whose definition is as it was would run again.
fn again((view, spec): (&View, &ServiceSpec)) -> Option<&'static str> {
    if spec.kind != ServiceKind::Job || view.run == 0 {
        return None;
    }
    match view.state {
        State::Failed | State::Exited => Some("it did not succeed the last time"),
        State::Done | State::Stopped if spec.inputs.is_empty() => {
            Some("a job without `inputs` runs on every `up`: name what it reads, and it runs when that changed")
        }
        State::Done | State::Stopped => Some("its `inputs` are others than when it succeeded"),
        State::Waiting
        | State::Backoff
        | State::Starting
        | State::Running
        | State::Ready
        | State::Unhealthy
        | State::Stopping
        | State::Lost => None,
    }
}

fn reasons(old: &Accepted, wanted: &Accepted, id: &InstanceId) -> Vec<FieldChange> {
    let (Some(from), Some(to)) = (old.stack.services.get(&id.service), wanted.stack.services.get(&id.service)) else {
        return Vec::new();
    };
    let mut found = diff(from, to);
    let names: BTreeSet<&String> = old.stack.base_env.keys().chain(wanted.stack.base_env.keys()).collect();
    for name in names {
        let (from, to) = (old.stack.base_env.get(name), wanted.stack.base_env.get(name));
        if from != to {
            found.push(FieldChange { field: format!("base_env.{name}"), from: from.cloned(), to: to.cloned() });
        }
    }
    if found.is_empty() {
        // what only the daemon fills in differs: a port, an address, a secret, a file
        found.push(FieldChange { field: "resolved".to_owned(), from: None, to: None });
    }
    found
}

/// Those that are restarted with what they need.
fn along(changes: &mut [Change], views: &BTreeMap<&InstanceId, &View>, stack: &Stack) {
    let mut restarted: BTreeSet<_> = changes
        .iter()
        .filter(|change| matches!(change.action, Action::Restart | Action::Recreate))
        .map(|change| change.instance.service.clone())
        .collect();
    // the first time that a service is restarted, those that go with it are looked at: each edge once
    let mut open: Vec<ServiceName> = restarted.iter().cloned().collect();
    let dependants = graph::dependants(stack);
    let mut places: BTreeMap<ServiceName, Vec<usize>> = BTreeMap::new();
    for (place, change) in changes.iter().enumerate() {
        places.entry(change.instance.service.clone()).or_default().push(place);
    }
    while let Some(service) = open.pop() {
        for dependant in dependants.get(&service).into_iter().flatten() {
            let needs = stack.services.get(dependant).map_or(&[][..], |spec| spec.needs.as_slice());
            if !needs.iter().any(|need| need.restart == OnRestart::With && need.service == service) {
                continue;
            }
            for place in places.get(dependant).into_iter().flatten() {
                let change = &mut changes[*place];
                let alive = views.get(&change.instance).is_some_and(|v| live(v.state) && v.state != State::Lost);
                if change.action != Action::None || !alive {
                    continue;
                }
                change.action = Action::Restart;
                let to = Some("restarted".to_owned());
                change.reasons.push(FieldChange { field: format!("needs.{service}"), from: None, to });
                if restarted.insert(dependant.clone()) {
                    open.push(dependant.clone());
                }
            }
        }
    }
}

/// The fields in which two definitions differ, in order of name. A secret's value stands in no definition, only its name.
#[must_use]
pub fn diff(from: &ServiceSpec, to: &ServiceSpec) -> Vec<FieldChange> {
    if from == to {
        return Vec::new();
    }
    let (from, to) = (fields(from), fields(to));
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    names
        .into_iter()
        .filter(|name| from.get(*name) != to.get(*name))
        .map(|name| FieldChange { field: name.clone(), from: from.get(name).cloned(), to: to.get(name).cloned() })
        .collect()
}

fn fields(spec: &ServiceSpec) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    if let Ok(Value::Object(map)) = serde_json::to_value(spec) {
        for (name, value) in map {
            // people write `process:`, not `variants: {process: ..}`
            let name = if name == "variants" { String::new() } else { name };
            flatten(&name, &value, &mut fields);
        }
    }
    fields
}

fn flatten(path: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (name, value) in map {
                let inner = match (path, name.as_str()) {
                    ("", name) => name.to_owned(),
                    // the kind of a command is seen in what it is
                    (path, "exec") if path.ends_with("command") => path.to_owned(),
                    (path, name) => format!("{path}.{name}"),
                };
                flatten(&inner, value, fields);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let text = match readable(value) {
                Value::String(text) => text,
                other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                    other.to_string()
                }
            };
            fields.insert(path.to_owned(), text);
        }
    }
}

/// Templates as they would be written.
fn readable(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let template = if items.is_empty() { None } else { Template::deserialize(value).ok() };
            template.map_or_else(
                || Value::Array(items.iter().map(readable).collect()),
                |template| Value::String(template.to_string()),
            )
        }
        Value::Object(map) => Value::Object(map.iter().map(|(name, value)| (name.clone(), readable(value))).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
