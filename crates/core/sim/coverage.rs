//! Which (phase, event) pairs were reached.

use muster_core::{Command, Event, Found, Machine};
use muster_spec::{InstanceId, Role};
use std::collections::BTreeMap;

/// Every phase; `Running+` is ready, `Running!` is unhealthy.
const PHASES: [&str; 13] = [
    "Stopped", "Waiting", "Backoff", "Spawning", "Startup", "Running", "Running+", "Running!", "Stopping", "Exited",
    "Done", "Failed", "Lost",
];

/// What an event is, as far as a table can show. What is told of a run is counted where the run is the current one; what
/// is told of another is one kind of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Up,
    Down,
    Start,
    Stop,
    Restart,
    Forget,
    Started,
    StartFailed,
    Exited,
    LinkLost,
    FoundRunning,
    FoundExited,
    FoundAbsent,
    Unverifiable,
    Passed(Role),
    Failing(Role),
    Held,
    Foreign,
    Tick,
}

impl Kind {
    const ALL: [(Self, &'static str); 23] = [
        (Self::Up, "up"),
        (Self::Down, "down"),
        (Self::Start, "start"),
        (Self::Stop, "stop"),
        (Self::Restart, "restrt"),
        (Self::Forget, "forget"),
        (Self::Started, "Startd"),
        (Self::StartFailed, "StFail"),
        (Self::Exited, "Exited"),
        (Self::LinkLost, "LnkLst"),
        (Self::FoundRunning, "R:run"),
        (Self::FoundExited, "R:exit"),
        (Self::FoundAbsent, "R:abs"),
        (Self::Unverifiable, "R:unv"),
        (Self::Passed(Role::Startup), "+start"),
        (Self::Passed(Role::Ready), "+ready"),
        (Self::Passed(Role::Live), "+live"),
        (Self::Failing(Role::Startup), "-start"),
        (Self::Failing(Role::Ready), "-ready"),
        (Self::Failing(Role::Live), "-live"),
        (Self::Held, "Held"),
        (Self::Foreign, "other#"),
        (Self::Tick, "Tick"),
    ];

    /// An event in one line.
    pub(crate) fn words(event: &Event) -> String {
        match event {
            Event::Command { command: Command::Up { accepted, targets, no_deps, recreate }, .. } => {
                let all: Vec<String> = accepted.hashes.iter().map(|(id, hash)| format!("{id}:{hash}")).collect();
                let satisfied = &accepted.satisfied;
                format!(
                    "Up {targets:?} no_deps={no_deps} recreate={recreate} of [{}] satisfied={satisfied:?}",
                    all.join(" ")
                )
            }
            other => format!("{other:?}"),
        }
    }

    fn of_command(command: &Command) -> (Self, Vec<&InstanceId>) {
        match command {
            Command::Up { targets, .. } => (Self::Up, targets.iter().collect()),
            Command::Down { targets } => (Self::Down, targets.iter().flatten().collect()),
            Command::Start { targets, .. } => (Self::Start, targets.iter().collect()),
            Command::Stop { targets, .. } => (Self::Stop, targets.iter().collect()),
            Command::Restart { targets } => (Self::Restart, targets.iter().collect()),
            Command::Forget { targets } => (Self::Forget, targets.iter().collect()),
        }
    }
}

/// What an event tells of which run; commands and ticks tell of none.
pub(crate) fn fact(event: &Event) -> Option<(Kind, &InstanceId, u64)> {
    match event {
        Event::Command { .. } | Event::Tick => None,
        Event::Started { instance, run } => Some((Kind::Started, instance, *run)),
        Event::StartFailed { instance, run, .. } => Some((Kind::StartFailed, instance, *run)),
        Event::Exited { instance, run, .. } => Some((Kind::Exited, instance, *run)),
        Event::LinkLost { instance, run, .. } => Some((Kind::LinkLost, instance, *run)),
        Event::Recovered { instance, run, found } => {
            let kind = match found {
                Found::Running => Kind::FoundRunning,
                Found::Exited(_) => Kind::FoundExited,
                Found::Absent => Kind::FoundAbsent,
                Found::Unverifiable(_) => Kind::Unverifiable,
            };
            Some((kind, instance, *run))
        }
        Event::Probed { instance, run, role, failure: None } => Some((Kind::Passed(*role), instance, *run)),
        Event::Probed { instance, run, role, failure: Some(_) } => Some((Kind::Failing(*role), instance, *run)),
        Event::Held { instance, run, .. } => Some((Kind::Held, instance, *run)),
    }
}

/// Counts per pair.
#[derive(Default)]
pub(crate) struct Coverage(BTreeMap<(&'static str, Kind), u64>);

impl Coverage {
    pub(crate) fn count(&mut self, machine: &Machine, event: &Event) {
        match (event, fact(event)) {
            (_, Some((kind, instance, run))) => {
                let Some(view) = machine.view(instance) else { return };
                self.add(machine.phase(instance), if view.run == run { kind } else { Kind::Foreign });
            }
            (Event::Command { command: Command::Down { targets: None }, .. }, None) => {
                machine.phases().for_each(|phase| self.add(Some(phase), Kind::Down));
            }
            (Event::Command { command, .. }, None) => {
                let (kind, instances) = Kind::of_command(command);
                instances.into_iter().for_each(|id| self.add(machine.phase(id), kind));
            }
            (_tick, None) => machine.phases().for_each(|phase| self.add(Some(phase), Kind::Tick)),
        }
    }

    fn add(&mut self, phase: Option<&'static str>, kind: Kind) {
        if let Some(phase) = phase {
            *self.0.entry((phase, kind)).or_default() += 1;
        }
    }

    /// Prints the table, `k` for thousands and `M` for millions, `-` for what is impossible. What comes back is wrong:
    /// pairs that can be reached and were not, and pairs that cannot and were.
    pub(crate) fn print(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let heads: Vec<String> = Kind::ALL.iter().map(|(_, head)| format!("{head:>6}")).collect();
        println!("{:<9}{}", "", heads.join(""));
        for phase in PHASES {
            let mut line = format!("{phase:<9}");
            for (kind, head) in Kind::ALL {
                let count = self.0.get(&(phase, kind)).copied().unwrap_or(0);
                let cell = match (count, impossible(phase, kind)) {
                    (0, Some(_)) => "-".to_owned(),
                    (0, None) => {
                        wrong.push(format!("{phase} x {head} was not reached"));
                        "NONE".to_owned()
                    }
                    (count, None) => short(count),
                    (count, Some(reason)) => {
                        wrong.push(format!("{phase} x {head} was reached although {reason}"));
                        format!("!{}", short(count))
                    }
                };
                line.push_str(&format!("{cell:>6}"));
            }
            println!("{line}");
        }
        let cells = PHASES.len() * Kind::ALL.len();
        let never = PHASES.iter().flat_map(|p| Kind::ALL.map(|(k, _)| impossible(p, k))).flatten().count();
        println!("{cells} pairs, {never} of them impossible by construction:");
        for reason in [NEVER_ASKED, STARTUP_FIRST] {
            println!("  - {reason}");
        }
        wrong
    }
}

fn short(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..10_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}

/// Why a probe of what is being spawned has no answer.
const NEVER_ASKED: &str = "probes are asked only of a run that was told to be alive, and no run goes back to Spawning";
/// Why other probes have no answer before startup is over.
const STARTUP_FIRST: &str = "the other probes are asked once the startup probe passed, and no run goes back to Startup";

/// Pairs that cannot happen by construction, each with the reason.
fn impossible(phase: &str, kind: Kind) -> Option<&'static str> {
    match (phase, kind) {
        ("Spawning", Kind::Passed(_) | Kind::Failing(_)) => Some(NEVER_ASKED),
        ("Startup", Kind::Passed(Role::Ready | Role::Live) | Kind::Failing(Role::Ready | Role::Live)) => {
            Some(STARTUP_FIRST)
        }
        (_other, _kind) => None,
    }
}
