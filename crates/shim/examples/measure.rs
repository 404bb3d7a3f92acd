//! Measures a shim: `measure SHIM [RUNS [quick]]` (0 runs: only the flood) prints flood throughput against a file, private memory at rest, the start of
//! many, and the time from a crash to everything being recorded.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]

use muster_shim::{Client, ExitRecord, ForkServer, LaunchSpec, Message, Request, Spawned, VERSION};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const FLOOD: &str = "1000000000";

struct Run {
    folder: PathBuf,
    shim: Spawned,
    client: Client,
}

fn begin(forks: &ForkServer, home: &Path, name: &str, words: &[&str]) -> Run {
    let folder = home.join(name);
    std::fs::create_dir(&folder).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    forks.order(name, &folder, &folder.join("s"), theirs.as_fd()).unwrap();
    let spawned = forks.born().unwrap().unwrap();
    let mut spec = LaunchSpec::new(name, words.iter().map(OsString::from).collect(), "/");
    spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    let mut client = Client::over(ours);
    client.send(&Request::Hello { version: VERSION }).unwrap();
    client.send(&Request::Launch(Box::new(spec))).unwrap();
    Run { folder, shim: spawned, client }
}

impl Run {
    fn wait(&mut self, wanted: impl Fn(&Message) -> bool) {
        loop {
            let message = self.client.receive(PATIENCE).unwrap();
            assert!(!matches!(message, Message::StartFailed { .. }), "{message:?}");
            if wanted(&message) {
                return;
            }
        }
    }

    fn private_kb(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.shim.pid)).unwrap();
        text.lines()
            .filter(|line| line.starts_with("Private_Clean") || line.starts_with("Private_Dirty"))
            .filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
            .sum()
    }
}

fn started(message: &Message) -> bool {
    matches!(message, Message::Started { .. })
}

fn ended(message: &Message) -> bool {
    matches!(message, Message::Ended { .. })
}

fn flood(forks: &ForkServer, home: &Path, words: &[&str]) {
    let mut ratios = Vec::new();
    for round in 0..5 {
        let begun = Instant::now();
        let file = home.join("plain");
        let out = Stdio::from(File::create(&file).unwrap());
        Command::new(words[0]).args(&words[1..]).stdout(out).status().unwrap();
        let plain = begun.elapsed();
        std::fs::remove_file(file).unwrap();
        let begun = Instant::now();
        let mut run = begin(forks, home, &format!("flood-{}-{round}", words[0]), words);
        run.wait(ended);
        let logged = begun.elapsed();
        let record = ExitRecord::read(&run.folder).unwrap().unwrap();
        std::fs::remove_dir_all(&run.folder).unwrap();
        println!("  {}: file {plain:?}, shim {logged:?} for {} MB", words[0], record.log_end / 1_000_000);
        ratios.push(plain.as_secs_f64() / logged.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!("{} at {:.2} of the speed to a file", words[0], ratios[2]);
}

fn many(forks: &ForkServer, home: &Path, count: usize) {
    let begun = Instant::now();
    let mut runs: Vec<Run> =
        (0..count).map(|at| begin(forks, home, &format!("idle-{at}"), &["sleep", "1000"])).collect();
    let spawned = begun.elapsed();
    runs.iter_mut().for_each(|run| run.wait(started));
    println!("{count} runs: spawned in {spawned:?}, started in {:?}", begun.elapsed());
    let private: u64 = runs.iter().map(Run::private_kb).sum();
    println!("private memory at rest: {} kB each", private / count as u64);
    let begun = Instant::now();
    for run in &mut runs {
        run.client.send(&Request::Stop { seq: 1, grace: None }).unwrap();
    }
    runs.iter_mut().for_each(|run| run.wait(ended));
    println!("{count} runs: stopped in {:?}", begun.elapsed());
}

fn crash(forks: &ForkServer, home: &Path) {
    let mut times = Vec::new();
    for round in 0..50 {
        let mut run = begin(forks, home, &format!("crash-{round}"), &["sleep", "1000"]);
        run.wait(started);
        let begun = Instant::now();
        run.client.send(&Request::Signal { seq: 1, signal: 9, to: muster_shim::Target::Main }).unwrap();
        run.wait(ended);
        let mut next = begin(forks, home, &format!("crash-{round}-next"), &["sleep", "0"]);
        next.wait(started);
        times.push(begun.elapsed());
        next.wait(ended);
    }
    times.sort();
    println!("crash to restarted: median {:?}, worst {:?}", times[25], times[49]);
}

fn main() {
    let mut words = std::env::args().skip(1);
    let forks = ForkServer::start(&PathBuf::from(words.next().unwrap())).unwrap();
    let count = words.next().map_or(100, |word| word.parse().unwrap());
    let home = tempfile::tempdir().unwrap();
    if count > 0 {
        many(&forks, home.path(), count);
        crash(&forks, home.path());
    }
    if words.next().is_some_and(|word| word == "quick") {
        return;
    }
    flood(&forks, home.path(), &["head", "-c", FLOOD, "/dev/zero"]);
    flood(&forks, home.path(), &["seq", "-f", "%.0f", "1", "12000000"]);
}
