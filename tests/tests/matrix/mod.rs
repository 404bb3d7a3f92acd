//! One round of the kill matrix: bring Muster into a phase, kill something, and ask the observer.

mod field;

use field::Keeper;
pub(crate) use field::{Field, Ground};

use muster_e2e::{Home, PATIENCE, Process, Random, Running, free_port, wait_for, wait_until};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Daemon,
    Shim,
    Cli,
}

/// When it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Probing,
    Running,
    Flood,
    Stopping,
    Restarting,
}

/// All phases, in the order of the table.
pub(crate) const PHASES: [Phase; 6] =
    [Phase::Starting, Phase::Probing, Phase::Running, Phase::Flood, Phase::Stopping, Phase::Restarting];

/// Bytes that the flooding service writes.
fn flood_bytes(ground: Ground) -> u64 {
    match ground {
        Ground::Process | Ground::Remote => 20 << 20,
        // an engine puts a JSON object around each line
        Ground::Container => 4 << 20,
    }
}

/// Workers of the stack when all is well; `fork.away` has left its parent's session.
const WORKERS: [&str; 6] = ["api", "db", "fork", "fork.away", "once", "web"];

/// Services of the stack.
const SERVICES: [&str; 5] = ["db", "api", "fork", "once", "web"];

/// The promise: the tree of a killed supervisor is gone within this time.
const TREE_GONE: Duration = Duration::from_secs(1);

/// Rounds of one cell: a container's takes ten times as long as a process's.
pub(crate) fn rounds(ground: Ground) -> u64 {
    let named = std::env::var("MUSTER_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    named.unwrap_or(match ground {
        _ if muster_e2e::full() => 20,
        Ground::Process => 3,
        Ground::Container | Ground::Remote => 1,
    })
}

/// Writes the stack that all rounds use.
pub(crate) fn write_stack(field: &Field, flood: bool) {
    let home = field.home();
    let gate = home.project().join("gate");
    let (web, ports) = match field.ground() {
        Ground::Process => ("serve ${port.http} 20", "PORT".to_owned()),
        // in a container what listens on 127.0.0.1 is not reached from outside
        Ground::Container | Ground::Remote => {
            ("peer 0.0.0.0 ${port.http}", format!("{{ at: {}, container: 8080 }}", free_port()))
        }
    };
    let mut text = "name: k\nservices:\n".to_owned();
    text += &field.service("db", "db idle", &format!("ready: {{ file: {} }}, restart: failure", gate.display()));
    text += &field.service("api", "api dies-late 60", "needs: [db], restart: failure");
    text += &field.service("fork", "fork forks-away", "restart: failure");
    text += &field.service("once", "once idle", "restart: never");
    let more = format!("ports: {{ http: {ports} }}, ready: {{ tcp: http }}, needs: [api], restart: failure");
    text += &field.service("web", &format!("web {web}"), &more);
    if flood {
        text += &field.service(
            "flood",
            &format!("flood floods {}", flood_bytes(field.ground())),
            "logs: { keep: 1GiB }, restart: never",
        );
    }
    home.stack(&text);
}

/// Runs the rounds of a cell; prints its line of the table and gives the number that went wrong.
pub(crate) fn cell(name: &str, rounds: u64, seed: u64, round: impl Fn(&mut Random)) -> u64 {
    let mut wrong = 0;
    let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
    for number in 0..rounds {
        let seed = seed.wrapping_add(number);
        let round_begun = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| round(&mut Random::new(seed))));
        if result.is_err() {
            eprintln!("{name}: the round with seed {seed} went wrong");
            wrong += 1;
        }
        slowest = slowest.max(round_begun.elapsed());
    }
    let line = format!(
        "{name:<28} {:>3} of {rounds:>3} rounds ok, {:>5.1} s, slowest {:>4.1} s, seed {seed}",
        rounds - wrong,
        begun.elapsed().as_secs_f64(),
        slowest.as_secs_f64()
    );
    muster_e2e::kit::shown(&line);
    wrong
}

/// Lets a random time pass: it is the moment of the strike that is random, no fact is waited for.
fn let_pass(random: &mut Random, limit: Duration) {
    let (begun, time) = (Instant::now(), random.below(limit));
    while begun.elapsed() < time {
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// What was before the strike, and what was struck.
struct Struck {
    before: Vec<(String, Process)>,
    /// The worker whose supervisor was killed.
    victim: Option<Process>,
}

/// One round.
pub(crate) fn round(ground: Ground, target: Target, phase: Phase, random: &mut Random) {
    let Some(field) = Field::new(ground) else { return };
    let home = field.home();
    write_stack(&field, phase == Phase::Flood);
    if phase != Phase::Probing {
        home.write("gate", "");
    }
    let cli = begin(home, target, phase);
    let limit = match phase {
        Phase::Starting | Phase::Restarting | Phase::Stopping => Duration::from_millis(150),
        Phase::Probing | Phase::Running | Phase::Flood => Duration::from_millis(60),
    };
    let struck = strike(&field, target, phase, cli.as_ref(), || let_pass(random, limit));
    if let Some(cli) = cli {
        after_cli(target, phase, cli);
    }
    home.write("gate", "");
    match phase {
        Phase::Stopping => all_down(home),
        Phase::Starting | Phase::Restarting => {
            if target == Target::Shim {
                // a restart is not due for this one, and its end may be seen only after `up` was answered
                wait_until("what was killed runs again", || {
                    let up = home.muster(&["up", "-d"]);
                    assert!([0, 1].contains(&up.code), "{up:?}");
                    home.status(&[]).iter().all(|service| service["state"] == "ready") && workers(home) == WORKERS
                });
                assert_eq!(home.overlaps(), [], "two copies of one worker were alive at once");
            } else {
                all_up(home);
            }
        }
        Phase::Probing | Phase::Running | Phase::Flood => {
            untouched(&field, target, &struck);
            if phase == Phase::Flood {
                flood_is_kept(&field, &struck);
            }
            all_up(home);
        }
    }
    home.muster(&["down"]).ok();
    assert_eq!(home.workers_alive(), [], "after `down`");
    assert_eq!(field.left(), Vec::<String>::new(), "after `down`");
}

/// Brings Muster into the phase. What comes back is the command that is under way.
fn begin(home: &Home, target: Target, phase: Phase) -> Option<Running> {
    match (phase, target) {
        (Phase::Starting, _) => return Some(home.spawn(&["up", "-d"])),
        (Phase::Probing, _) => {
            let up = home.spawn(&["up", "-d"]);
            home.wait_event("db", "start", 1);
            home.wait_event("once", "start", 1);
            home.wait_event("fork.away", "start", 1);
            return Some(up);
        }
        (Phase::Running, Target::Cli) => {
            let up = home.spawn(&["up"]);
            home.wait_state("web", "ready");
            home.wait_event("fork.away", "start", 1);
            return Some(up);
        }
        (Phase::Running | Phase::Stopping | Phase::Restarting | Phase::Flood, _) => {}
    }
    home.muster(&["up", "-d"]).ok();
    home.wait_event("fork.away", "start", 1);
    match phase {
        Phase::Stopping => Some(home.spawn(&["down"])),
        Phase::Restarting => Some(home.spawn(&["restart", "all"])),
        Phase::Flood if target == Target::Cli => Some(home.spawn(&["logs", "-f", "--raw", "flood"])),
        Phase::Starting | Phase::Probing | Phase::Running | Phase::Flood => None,
    }
}

/// Kills it at a random moment.
fn strike(field: &Field, target: Target, phase: Phase, cli: Option<&Running>, let_pass: impl FnOnce()) -> Struck {
    let home = field.home();
    // the first daemon of a home takes its time; what is to be hit is what it does then
    let daemon = (target == Target::Daemon).then(|| wait_for("a daemon", PATIENCE, || home.daemon()));
    let before = home.workers_alive();
    // a `down` may be done before we come to it
    let over = || phase == Phase::Stopping && home.workers_alive().is_empty();
    let service = struck_service(phase);
    let keeper = || field.keeper(service).map(Some).or_else(|| over().then_some(None));
    let keeper = (target == Target::Shim).then(|| wait_for("a supervisor", PATIENCE, keeper)).flatten();
    let mut main = before.iter().filter(|(name, _)| name == service).map(|(_, process)| *process);
    let victim = main.find(|process| keeper.as_ref().is_some_and(|keeper| keeper.of.contains(process)));
    let_pass();
    match target {
        Target::Daemon => daemon.into_iter().for_each(|daemon| {
            daemon.kill();
            wait_until("the killed daemon is gone", || !daemon.alive());
        }),
        Target::Shim => keeper.iter().for_each(Keeper::kill),
        Target::Cli => cli.iter().for_each(|cli| cli.signal(rustix::process::Signal::KILL)),
    }
    if let Some(victim) = victim {
        wait_for("the tree of the killed supervisor is gone", TREE_GONE, || (!victim.alive()).then_some(()));
    }
    Struck { before, victim }
}

/// Whose supervisor is killed: that of the service that has forked away where that runs, it is the hardest.
fn struck_service(phase: Phase) -> &'static str {
    match phase {
        Phase::Flood => "flood",
        Phase::Running | Phase::Stopping => "fork",
        Phase::Starting | Phase::Probing | Phase::Restarting => "once",
    }
}

/// A command that was not killed tells the truth; it may have lost its daemon.
fn after_cli(target: Target, phase: Phase, cli: Running) {
    if phase == Phase::Probing || target == Target::Cli {
        // waits for the gate still, or is gone
        drop(cli);
        return;
    }
    let output = cli.wait();
    let allowed: &[i32] = match target {
        Target::Daemon => &[0, 7],
        Target::Shim => &[0, 1],
        Target::Cli => &[0],
    };
    assert!(allowed.contains(&output.code), "{output:?}");
}

/// What was not struck runs on as the same process, and was not started a second time.
fn untouched(field: &Field, target: Target, struck: &Struck) {
    let home = field.home();
    let hit = |name: &str, process: Process| {
        struck.victim == Some(process)
            || (target == Target::Shim && struck.victim.is_some() && away_of(home, name, struck))
    };
    for (name, process) in &struck.before {
        if hit(name, *process) {
            continue;
        }
        let ended = home.events(name, "done").len() + home.events(name, "end").len();
        assert!(process.alive() || (ended > 0 && name.ends_with("between")), "`{name}` was touched: {process:?}");
        assert_eq!(home.events(name, "start").len(), 1, "`{name}` was started again");
    }
    let Some(victim) = struck.victim else { return };
    let name =
        struck.before.iter().find(|(_, process)| *process == victim).map(|(name, _)| name.clone()).unwrap_or_default();
    if name == "once" || name == "flood" {
        let service = home.wait_state(&name, "exited");
        let exit = match field.ground() {
            Ground::Process | Ground::Remote => json!("supervisor_killed"),
            Ground::Container => json!({ "signal": 9 }),
        };
        assert_eq!(service["exit"], exit, "{service}");
    } else {
        home.wait_event(&name, "start", 2);
        let service = home.wait_state(&name, "ready");
        assert_eq!(service["restarts"], 1, "{service}");
    }
}

/// Whether `name` is the part of the victim's tree that forked away.
fn away_of(home: &Home, name: &str, struck: &Struck) -> bool {
    let forked = home.events("fork", "start").iter().any(|mark| Some(mark.process) == struck.victim);
    forked && name.starts_with("fork.")
}

/// Every byte of the flood is there; of one whose supervisor was killed, everything up to its end.
fn flood_is_kept(field: &Field, struck: &Struck) {
    let (home, bytes) = (field.home(), flood_bytes(field.ground()));
    let floods = home.events("flood", "start");
    let killed = floods.iter().any(|mark| Some(mark.process) == struck.victim);
    let folder = home.service("flood")["log_dir"].as_str().map(std::path::PathBuf::from).expect("a folder of logs");
    if killed {
        let kept = muster_e2e::flood::check_prefix(&folder, "flood");
        assert!(kept.is_ok(), "{kept:?}");
        return;
    }
    home.wait_event("flood", "done", 1);
    wait_until("the last byte is in the log", || muster_e2e::flood::check(&folder, "flood", bytes).is_ok());
}

/// `up` brings everything there, each worker once, also those that nobody had to start.
pub(crate) fn all_up(home: &Home) {
    home.muster(&["up", "-d"]).ok();
    for name in SERVICES {
        let service = home.wait_service(name, "ready", |service| service["state"] == "ready");
        assert_ne!(service["pid"], Value::Null, "{service}");
    }
    wait_until("one worker of each name", || workers(home) == WORKERS);
    assert_eq!(home.overlaps(), [], "two copies of one worker were alive at once");
}

/// The workers that are alive, but for those that come and go.
fn workers(home: &Home) -> Vec<String> {
    let names = home.workers_alive().into_iter().map(|(name, _)| name);
    names.filter(|name| name != "flood" && !name.ends_with("between")).collect()
}

/// `down` ends everything, and how each ended is known.
pub(crate) fn all_down(home: &Home) {
    home.muster(&["down"]).ok();
    assert_eq!(home.workers_alive(), []);
    for service in home.status(&[]) {
        assert_eq!(service["state"], "stopped", "{service}");
        let exit = &service["exit"];
        assert!(!exit.is_null() && exit != "unknown", "how it ended is not known: {service}");
    }
}
