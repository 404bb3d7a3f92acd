//! What was seen, against what process-compose did.

use super::deviation::Deviation;
use super::expected::{Case, Process};
use super::recorder::{Mark, Start, Who, ended_before_start, last_end, starts};
use super::world::{Said, World};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// How one case went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub case: String,
    /// What was compared.
    pub compared: BTreeSet<&'static str>,
    /// Differences that are meant.
    pub deviations: BTreeSet<Deviation>,
    /// Differences that nobody explained.
    pub differences: Vec<String>,
}

impl Row {
    /// Something that was compared, and how it differs if it does.
    pub fn check(&mut self, what: &'static str, holds: bool, difference: impl FnOnce() -> String) {
        self.compared.insert(what);
        if !holds {
            self.differences.push(format!("{what}: {}", difference()));
        }
    }

    /// The same, where a difference of one kind is meant.
    pub fn check_or(
        &mut self,
        what: &'static str,
        holds: bool,
        meant: Option<Deviation>,
        text: impl FnOnce() -> String,
    ) {
        match meant.filter(|_| !holds) {
            Some(deviation) => {
                self.compared.insert(what);
                self.deviations.insert(deviation);
            }
            None => self.check(what, holds, text),
        }
    }

    /// Adds what another comparison found.
    pub fn take(&mut self, other: Self) {
        self.compared.extend(other.compared);
        self.deviations.extend(other.deviations);
        self.differences.extend(other.differences);
    }
}

/// Everything that can be seen at one time.
#[derive(Debug)]
pub struct Seen {
    /// An instance per entry.
    pub status: Vec<Value>,
    /// Lines by instance.
    pub logs: BTreeMap<String, Vec<String>>,
    /// The services' own marks.
    pub marks: Vec<Mark>,
}

impl Seen {
    /// Looks.
    ///
    /// # Errors
    /// A command cannot be run.
    pub fn now(world: &World) -> io::Result<Self> {
        let (status, logs) = (world.status()?, world.logs()?);
        Ok(Self { status, logs, marks: world.recorder.marks() })
    }

    /// Service and replica, from 0, for a name of process-compose.
    #[must_use]
    pub fn who(&self, name: &str) -> Who {
        let is_service = self.status.iter().any(|entry| entry["name"] == name);
        let replica = name.rsplit_once('-').and_then(|(base, n)| Some((base, n.parse::<u16>().ok()?)));
        match replica.filter(|_| !is_service) {
            Some((base, number)) => (base.to_owned(), number.to_string()),
            None => (name.to_owned(), "0".to_owned()),
        }
    }

    /// The entry of a name of process-compose.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Value> {
        let (service, replica) = self.who(name);
        let number = replica.parse::<u64>().ok()? + 1;
        self.status.iter().find(|entry| entry["name"] == *service && entry["replica"] == number)
    }

    fn lines(&self, name: &str) -> &[String] {
        let (service, replica) = self.who(name);
        // the first copy goes by the service's name
        let instance = match replica.as_str() {
            "0" => service,
            other => format!("{service}#{}", other.parse::<u16>().unwrap_or_default() + 1),
        };
        self.logs.get(&instance).map_or(&[], Vec::as_slice)
    }

    /// Names as process-compose gives them.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let count = |entry: &Value| self.status.iter().filter(|other| other["name"] == entry["name"]).count();
        let name = |entry: &Value| {
            let (service, copies) = (entry["name"].as_str().unwrap_or_default(), count(entry));
            let width = copies.to_string().len();
            let number = entry["replica"].as_u64().unwrap_or(1) - 1;
            if copies > 1 { format!("{service}-{number:0width$}") } else { service.to_owned() }
        };
        self.status.iter().map(name).collect()
    }
}

/// Compares all processes and their order.
#[must_use]
pub fn processes(case: &Case, world: &World, seen: &Seen) -> Row {
    let mut row = Row::default();
    let wanted: BTreeSet<String> = case.processes.keys().cloned().collect();
    row.check("processes", seen.names() == wanted, || format!("{:?} are not {wanted:?}", seen.names()));
    for (name, process) in &case.processes {
        let mut wanted = process.clone();
        if seen.who(name).0 != *name {
            row.deviations.insert(Deviation::ReplicaNames);
        }
        if !case.steps.is_empty() && process.starts == Some(0) && process.status == "Completed" {
            row.deviations.insert(Deviation::RenamedStartsAgain);
            (wanted.starts, wanted.output) = (Some(1), None);
        }
        OfOne { name, wanted: &wanted, world, seen, row: &mut row }.compare();
    }
    for fact in &case.order {
        let holds = fact
            .strip_suffix(" started")
            .and_then(|fact| fact.split_once(" ended < "))
            .is_some_and(|(first, second)| ended_before_start(&seen.marks, &seen.who(first), &seen.who(second)));
        row.check("order", holds, || fact.clone());
    }
    for name in case.skipped.keys() {
        let entry = seen.entry(name);
        let because = entry.and_then(|entry| entry["reason"].as_str()).unwrap_or_default();
        // what ended the whole ended their waiting as well
        let over = !case.ended_by.is_empty() && entry.is_some_and(|entry| entry["state"] == "stopped");
        row.check("skips", over || because.starts_with("waits for"), || format!("{name}: {because:?}"));
    }
    row
}

/// A state here that means the same as a word of process-compose.
#[must_use]
pub fn state_fits(word: &str, state: &str) -> bool {
    match word {
        "Completed" => ["done", "exited", "failed"].contains(&state),
        "Skipped" | "Pending" => state == "waiting",
        "Disabled" => state == "stopped",
        "Running" => ["running", "ready"].contains(&state),
        "Running or Restarting" => ["running", "ready", "backoff", "starting", "waiting"].contains(&state),
        "Error" => state == "failed",
        "never started" => ["waiting", "stopped"].contains(&state),
        _unknown => false,
    }
}

/// One process under comparison.
struct OfOne<'a> {
    name: &'a str,
    wanted: &'a Process,
    world: &'a World,
    seen: &'a Seen,
    row: &'a mut Row,
}

impl OfOne<'_> {
    fn compare(mut self) {
        let (name, seen) = (self.name, self.seen);
        if let Some(entry) = seen.entry(name) {
            self.state(entry);
        }
        let who = seen.who(name);
        let found: Vec<&Start> = starts(&seen.marks, &who).collect();
        self.starts(found.len());
        for start in found {
            self.command(start);
        }
        if let Some(lines) = &self.wanted.output {
            let found = seen.lines(name);
            let same = if self.wanted.starts_at_least.is_some() { found.starts_with(lines) } else { found == lines };
            self.row.check("output", same, || format!("{name}: {found:?}, not {lines:?}"));
        }
    }

    fn state(&mut self, entry: &Value) {
        let (name, wanted, row) = (self.name, self.wanted, &mut *self.row);
        let state = entry["state"].as_str().unwrap_or_default();
        let fits = state_fits(&wanted.status, state);
        row.check("states", fits, || format!("{name} is {state} and not {}", wanted.status));
        let code = entry["exit"]["code"].as_i64();
        let wanted_code = wanted.exit_code.map(i64::from);
        let meant = match wanted.status.as_str() {
            "Skipped" => Some(Deviation::Waiting),
            "Error" => Some(Deviation::CannotStart),
            _other => None,
        };
        if meant.is_some() || wanted.status == "Completed" {
            // what never ran has no code, or the one that a shell would give
            let never_ran = code.is_none_or(|code| wanted.status == "Error" && matches!(code, 126 | 127));
            let meant = meant.filter(|_| never_ran);
            let text = || format!("{name}: {code:?}, not {wanted_code:?}");
            row.check_or("exit codes", code == wanted_code, meant, text);
        }
        let restarts = entry["restarts"].as_u64();
        if let Some(wanted) = wanted.restarts {
            row.check("restarts", restarts == Some(wanted), || format!("{name}: {restarts:?}, not {wanted}"));
        }
        if let Some(least) = wanted.restarts_at_least {
            row.check("restarts", restarts >= Some(least), || format!("{name}: {restarts:?}, not {least} or more"));
        }
    }

    fn starts(&mut self, found: usize) {
        let (name, wanted) = (self.name, self.wanted);
        if let Some(count) = wanted.starts {
            self.row.check("starts", found == count, || format!("{name}: {found}, not {count}"));
        }
        if let Some(least) = wanted.starts_at_least {
            self.row.check("starts", found >= least, || format!("{name}: {found}, not {least} or more"));
        }
    }

    fn command(&mut self, start: &Start) {
        let (name, wanted, world, row) = (self.name, self.wanted, self.world, &mut *self.row);
        if let Some([_, _, script]) = wanted.argv.as_deref() {
            let script = script.replace('\n', "\\n").replace('\t', "\\t");
            row.check("command", start.script == script, || format!("{name}: {:?}, not {script:?}", start.script));
        }
        if let Some(folder) = &wanted.working_dir {
            let folder = if folder == "as the file says" { "/tmp".to_owned() } else { world.here(folder) };
            row.check("folder", start.cwd == Path::new(&folder), || format!("{name}: {:?}, not {folder}", start.cwd));
        }
        if let Some(added) = &wanted.environment {
            // MUSTER_ variables tell a process who it is
            let new = |name: &&String| !world.env().contains_key(*name) && !name.starts_with("MUSTER_");
            let found: BTreeSet<(&String, &String)> = start.env.iter().filter(|(name, _)| new(name)).collect();
            let added: BTreeSet<(&String, &String)> = added.iter().collect();
            row.check("environment", found == added, || format!("{name}: {found:?}, not {added:?}"));
        }
    }
}

/// Compares the exit code of an `up` that ended by itself.
pub fn end(case: &Case, said: &Said, row: &mut Row) {
    let succeeded = |process: &Process| process.exit_code.is_none_or(|code| code == 0) && process.status != "Error";
    let failed = case.processes.values().any(|process| !succeeded(process)) || !case.skipped.is_empty();
    let truth = case.exit_code == Some(0) && said.code == Some(1) && failed;
    let what = "exit code of `up`";
    let meant = truth.then_some(Deviation::Truth);
    row.check_or(what, said.code == case.exit_code, meant, || {
        format!("{:?}, not {:?}: {}", said.code, case.exit_code, said.err)
    });
}

/// Compares what an attached `up` showed of each process.
pub fn shown(case: &Case, said: &Said, row: &mut Row) {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in said.out.lines() {
        let (instance, text) = line.split_once(" | ").unwrap_or(("", line));
        found.entry(instance.trim_end()).or_default().push(text);
    }
    for (name, process) in case.processes.iter().filter(|(name, _)| !is_replica(name)) {
        let Some(lines) = &process.output else { continue };
        let found = found.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        row.check("shown by `up`", found == lines, || format!("{name}: {found:?}, not {lines:?} in {:?}", said.out));
    }
}

fn is_replica(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(_, number)| number.parse::<u16>().is_ok())
}

/// Compares files that the run made.
pub fn files(case: &Case, world: &World, row: &mut Row) {
    for (file, wanted) in &case.files_made {
        let mut found: Vec<String> = world.text(file).unwrap_or_default().lines().map(str::to_owned).collect();
        if case.any_order {
            found.sort();
        }
        row.check("files made", found == *wanted, || format!("{file}: {found:?}, not {wanted:?}"));
    }
}

/// Compares how processes ended when they were stopped, and in which order.
pub fn stopped(case: &Case, world: &World, seen: &Seen, row: &mut Row) {
    let Some(down) = &case.down else { return };
    let alive = |entry: &&Value| !entry["pid"].is_null();
    let left: Vec<&Value> = seen.status.iter().filter(alive).collect();
    row.check("nothing is left", left.is_empty(), || format!("{left:?}"));
    for name in down.ended.keys() {
        let exit = seen.entry(name).map(|entry| &entry["exit"]);
        let by_signal = exit.is_some_and(|exit| exit["signal"].is_number());
        row.check("ended by a signal", by_signal, || format!("{name}: {exit:?}"));
    }
    let said = world.text("shutdown.log").unwrap_or_default();
    let place = |name: &str| {
        let line = format!("{}: exit", name.trim_start_matches("proc"));
        let told = said.lines().position(|other| other == line);
        told.or_else(|| last_end(&seen.marks, &seen.who(name)))
    };
    for fact in &down.order {
        let holds = fact.strip_suffix(" ended").and_then(|fact| fact.split_once(" ended < ")).is_some_and(
            |(first, second)| matches!((place(first), place(second)), (Some(first), Some(second)) if first < second),
        );
        row.check("order of stopping", holds, || fact.clone());
    }
}
