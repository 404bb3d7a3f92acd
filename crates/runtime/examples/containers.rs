//! Starts containers through the driver and by `docker run -d` in turns, then lets one write a flood; prints medians.
//!
//! `cargo run --release -p muster-runtime --example containers -- SOCKET DOCKER IMAGE [COUNT]`

use futures::StreamExt as _;
use muster_runtime::{ContainerConfig, ContainerRuntime, Handle, Runtime as _, RuntimeEvent};
use muster_spec::{ContainerOptions, ContainerRun, InstanceSpec, PullPolicy, ResolvedCommand, RunId, RuntimeKind};
use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

/// What is written at once.
const FLOOD_KIB: u64 = 6 << 10;

fn spec(image: &str, script: &str) -> InstanceSpec {
    let command = ResolvedCommand { argv: Vec::new(), env: Vec::new(), cwd: "/".into() };
    let container = ContainerRun {
        image: image.to_owned(),
        build: None,
        as_built: false,
        pull: PullPolicy::Never,
        entrypoint: Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec()),
        command: None,
        mounts: Vec::new(),
        publish: Vec::new(),
        aliases: Vec::new(),
        hosts: Vec::new(),
        options: ContainerOptions::default(),
    };
    InstanceSpec { runtime: RuntimeKind::Container, container: Some(container), ..InstanceSpec::process(command) }
}

async fn end(driver: &ContainerRuntime, handle: &Handle) -> Result<u64, Box<dyn Error>> {
    let mut events = driver.watch(handle);
    while let Some(event) = events.next().await {
        if let RuntimeEvent::Exited(record) = event {
            driver.destroy(&handle.run).await?;
            return Ok(record.log_bytes);
        }
    }
    Err("its end was not told".into())
}

fn docker(program: &str, host: &str, args: &[&str]) -> Result<(), Box<dyn Error>> {
    let output = Command::new(program).args(["--host", host]).args(args).output()?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [socket, program, image, rest @ ..] = words.as_slice() else {
        return Err("SOCKET, DOCKER and IMAGE are missing".into());
    };
    let count: u64 = rest.first().map_or(Ok(10), |word| word.parse())?;
    let home = std::env::temp_dir().join(format!("muster-containers-{}", std::process::id()));
    std::fs::create_dir_all(&home)?;
    let host = format!("unix://{socket}");
    let config = ContainerConfig {
        state_dir: home.clone(),
        host: Some(host.clone()),
        context: None,
        docker_config: None,
        runtime_dir: None,
        path: None,
    };
    let driver = ContainerRuntime::new(config);
    let environment = format!("bench-{:08x}", std::process::id());
    let run = |number: u64| format!("{environment}/sleep#1/{number}").parse::<RunId>();
    let sleeps = spec(image, "exec sleep 600");
    let network = format!("muster-{environment}");
    let (mut ours, mut theirs, mut theirs_bridge) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..=count {
        let id = run(number)?;
        let begin = Instant::now();
        let handle = driver.start(&id, &sleeps).await?;
        ours.push(begin.elapsed());
        for (times, net) in [(&mut theirs, network.as_str()), (&mut theirs_bridge, "bridge")] {
            let name = format!("{environment}-{number}-{net}");
            let begin = Instant::now();
            docker(program, &host, &["run", "-d", "--network", net, "--name", &name, image, "sleep", "600"])?;
            times.push(begin.elapsed());
            docker(program, &host, &["rm", "-f", &name])?;
        }
        driver.kill(&handle).await?;
        end(&driver, &handle).await?;
    }
    // the first of each makes what the others share
    let rest = |times: Vec<Duration>| median(times.into_iter().skip(1).collect());
    let (ours, theirs, theirs_bridge) = (rest(ours), rest(theirs), rest(theirs_bridge));
    println!("start, median of {count}: {ours:?}");
    println!(
        "`docker run -d` in the same network: {theirs:?}, ours is {:.2} of it",
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
    let times = ours.as_secs_f64() / theirs_bridge.as_secs_f64();
    println!("`docker run -d` as it is: {theirs_bridge:?}, ours is {times:.2} of it");

    let flood = spec(image, &format!("yes {} | head -c {}", "x".repeat(63), FLOOD_KIB << 10));
    let begin = Instant::now();
    let handle = driver.start(&run(count + 1)?, &flood).await?;
    let bytes = end(&driver, &handle).await?;
    println!("{bytes} of {} bytes in short lines, from start to recorded end: {:?}", FLOOD_KIB << 10, begin.elapsed());
    driver.leave(&handle.run.environment).await?;
    std::fs::remove_dir_all(home)?;
    Ok(())
}
