//! What Muster costs beside what it uses: a container's start against `docker run -d`, twenty remote services against one.
//!
//! Both sides are whole commands in the same run, one after the other in turn, on a machine that does nothing else. The medians
//! of ten rounds are shown beside what is promised. Remote services are measured on a host of this machine, where a round trip
//! costs nothing, and over a wire of 5 ms each way, where it is most of the time.
//!
//! What varies here is the disk: ext4 gives an inode that was deleted in the last minute to no new file and passes over each such
//! one it meets (`recently_deleted` in its ialloc.c), so that on a machine that has just deleted thousands of files, as tests do,
//! making one takes milliseconds. `MUSTER_TEST_BASE=/dev/shm` leaves the disk out.

use muster_e2e::kit::{components, images, shown};
use muster_e2e::{Home, Site};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const ROUNDS: usize = 10;

/// One measures at a time.
static QUIET: Mutex<()> = Mutex::new(());

fn quiet() -> MutexGuard<'static, ()> {
    QUIET.lock().unwrap_or_else(PoisonError::into_inner)
}

fn timed(run: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    run();
    begun.elapsed()
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

/// A row of the table that is shown: fastest, median and slowest, in milliseconds.
fn row(what: &str, times: &[Duration]) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let (fastest, slowest) = (times.iter().min(), times.iter().max());
    let (fastest, slowest) = (fastest.copied().unwrap_or_default(), slowest.copied().unwrap_or_default());
    format!("  {what:<42}{:>8.0}{:>8.0}{:>8.0}\n", ms(fastest), ms(median(times)), ms(slowest))
}

/// Shows both, and returns the ratio of their medians.
fn compare(title: &str, ours: (&str, &[Duration]), theirs: (&str, &[Duration]), promised: f64) -> f64 {
    let ratio = median(ours.1).as_secs_f64() / median(theirs.1).as_secs_f64();
    let head = format!("{title}, {} rounds in turn (ms)", ours.1.len());
    let table = format!("{head:<44}{:>8}{:>8}{:>8}\n", "fastest", "median", "slowest");
    let rows = row(ours.0, ours.1) + &row(theirs.0, theirs.1);
    shown(&format!("{table}{rows}  ratio of the medians {ratio:.2}, promised {promised}\n"));
    ratio
}

fn docker(client: &Path, address: &str, words: &[&str]) {
    let mut command = Command::new(client);
    command
        .args(["-H", address])
        .args(words)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/bin")
        .env("HOME", "/nonexistent");
    let output = command.output().expect("the client can be run");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_container_starts_as_quickly_as_by_docker_run() {
    let _quiet = quiet();
    let Some(site) = Site::local("overhead-container") else { return };
    let Some(client) = components::docker_cli("overhead-container") else { return };
    let image = images::BUSYBOX;
    site.home.stack(&format!(
        "name: o\nservices:\n  keeps: {{ container: {{ image: \"{image}\", init: true, command: sleep 1000 }} }}\n  \
         one: {{ container: {{ image: \"{image}\", init: true, command: sleep 1000 }} }}\n"
    ));
    // the environment's network is there, as it is when a second service is started
    site.home.muster(&["up", "-d", "keeps"]).ok();
    let address = site.engine.address();
    let network = site.at_engine().into_iter().find_map(|what| what.strip_prefix("network ").map(str::to_owned));
    let network = network.expect("the environment's network");
    let name = format!("overhead-{}", std::process::id());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let run = ["run", "-d", "--init", "--name", &name, "--network", &network, image, "sleep", "1000"];
        theirs.push(timed(|| docker(&client, &address, &run)));
        docker(&client, &address, &["rm", "-f", &name]);
        ours.push(timed(|| site.home.muster(&["start", "one"]).ok()));
        site.home.muster(&["stop", "one"]).ok();
    }
    let ratio = compare("a container", ("muster start", &ours), ("docker run -d", &theirs), 1.1);
    assert!(ratio <= 1.1, "{ratio:.2} x");
    site.home.muster(&["down"]).ok();
}

/// Times of one and of twenty services, started in turn over a link that is there.
struct Starts {
    one: Vec<Duration>,
    twenty: Vec<Duration>,
}

/// `variant` is how a service runs, by its name.
fn starts(home: &Home, variant: impl Fn(&str) -> String) -> Starts {
    let mut text = "name: o\nservices:\n".to_owned();
    let names = ["warm", "one"].into_iter().map(str::to_owned).chain((0..20).map(|number| format!("many-{number}")));
    for name in names {
        let _ = writeln!(text, "  {name}: {{ {} }}", variant(&name));
    }
    home.stack(&text);
    home.muster(&["up", "-d", "warm"]).ok();
    let mut starts = Starts { one: Vec::new(), twenty: Vec::new() };
    for _ in 0..ROUNDS {
        starts.one.push(timed(|| home.muster(&["start", "one"]).ok()));
        home.muster(&["stop", "one"]).ok();
        starts.twenty.push(timed(|| home.muster(&["start", "many-*"]).ok()));
        home.muster(&["stop", "many-*"]).ok();
    }
    home.muster(&["down"]).ok();
    starts
}

impl Starts {
    /// Shows them.
    fn shown(self, title: &str) -> Self {
        compare(title, ("twenty", &self.twenty), ("one", &self.one), 2.0);
        self
    }

    fn ratio(&self) -> f64 {
        median(&self.twenty).as_secs_f64() / median(&self.one).as_secs_f64()
    }
}

/// The same programs with nothing around them, from nothing to the first words of each: what the machine itself takes.
fn bare(line: &str) -> Starts {
    let mut starts = Starts { one: Vec::new(), twenty: Vec::new() };
    for _ in 0..ROUNDS {
        starts.one.push(bare_start(line, 1));
        starts.twenty.push(bare_start(line, 20));
    }
    starts
}

fn bare_start(line: &str, count: usize) -> Duration {
    let mut children = Vec::new();
    let time = timed(|| {
        children.extend((0..count).map(|number| {
            let words = format!("{line} bare-{number} idle");
            let (program, arguments) = words.split_once(' ').expect("arguments");
            let mut command = Command::new(program);
            command.args(arguments.split(' ')).stdin(Stdio::null()).stdout(Stdio::piped());
            command.spawn().expect("the worker can be run")
        }));
        for child in &mut children {
            let said = child.stdout.as_mut().expect("it is piped").read(&mut [0; 1]);
            assert_eq!(said.expect("its words can be read"), 1);
        }
    });
    for mut child in children {
        child.kill().and_then(|()| child.wait()).expect("it ends");
    }
    time
}

/// Each way, of a host that is far away.
const WIRE: Duration = Duration::from_millis(5);
/// What two medians of the same differ by on a machine that has other work.
const UNREST: Duration = Duration::from_millis(10);

#[test]
fn twenty_remote_services_start_in_a_small_multiple_of_the_time_of_one() {
    let _quiet = quiet();
    let Some(mut site) = Site::namespaced("overhead-remote") else { return };
    let (line, host) = (site.static_line(), site.host.alias().to_owned());
    let remote = |name: &str| format!("remote: {{ host: {host}, command: \"{line} {name} idle\" }}");
    let near = starts(&site.home, remote).shown("remote services");
    // the same twenty executions without a link: what of it is the machine's
    let process = |name: &str| format!("command: \"{line} {name} idle\"");
    let local = starts(&site.home, process).shown("the same as processes");
    bare(&line).shown("the same programs with nothing around them");
    let config = site.home.root().join("far_config");
    let lines = std::fs::read_to_string(site.host.config()).expect("ssh's configuration");
    let wire = format!("{} wire far-away %h:%p {}", site.home.worker_line(), WIRE.as_millis());
    std::fs::write(&config, format!("{lines}  ProxyCommand {wire}\n")).expect("a file");
    site.home.set("MUSTER_SSH_CONFIG", &config.display().to_string());
    let far = starts(&site.home, remote).shown("remote services, round trips of 10 ms");
    // One is so quick here that on two cores twenty executions alone miss the promise, also as processes. Held is what is the
    // link's: it makes the ratio no worse, and twenty wait for a wire as long as one does, none for another.
    let (ratio, alone) = (near.ratio(), local.ratio());
    assert!(ratio <= 6.0 || ratio <= alone * 1.5, "{ratio:.2} x, as processes {alone:.2} x");
    let waited = |far: &[Duration], near: &[Duration]| median(far).saturating_sub(median(near));
    let (one, twenty) = (waited(&far.one, &near.one), waited(&far.twenty, &near.twenty));
    assert!(one >= WIRE && twenty <= one * 2 + UNREST, "one waits {one:?} for the wire, twenty {twenty:?}");
}
