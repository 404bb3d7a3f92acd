//! Starts many runs, adopts them with a second runtime, ends them; prints how long each took.
//!
//! `cargo run --release -p muster-runtime --example starts -- SHIM [COUNT]`

use futures::StreamExt as _;
use futures::future::join_all;
use muster_runtime::{Config, Found, ProcessRuntime, Runtime as _, RuntimeEvent};
use muster_spec::{InstanceSpec, ResolvedCommand, RunId, Signal, Target};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

fn spec(argv: &[&str]) -> InstanceSpec {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    let command = ResolvedCommand { argv, env: Vec::new(), cwd: "/".into() };
    InstanceSpec { grace: Duration::from_secs(1), ..InstanceSpec::process(command) }
}

fn runtime(shim: &str, home: &Path) -> Result<ProcessRuntime, Box<dyn Error>> {
    Ok(ProcessRuntime::new(Config {
        shim: shim.into(),
        state_dir: home.join("state"),
        runtime_dir: home.join("run"),
        original_nofile: None,
    })?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let shim = words.next().ok_or("the path of `muster-shim` is missing")?;
    let count: usize = words.next().map_or(Ok(100), |word| word.parse())?;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum },
    )?;
    let home = std::env::temp_dir().join(format!("muster-starts-{}", std::process::id()));
    let runs: Vec<RunId> = (0..count).map(|n| format!("local-0000002a/s{n}#1/1").parse()).collect::<Result<_, _>>()?;
    let spec = spec(&["/bin/sleep", "1000"]);

    let first = runtime(&shim, &home)?;
    let begin = Instant::now();
    let handles = join_all(runs.iter().map(|run| first.start(run, &spec))).await;
    println!("{count} starts       {:?}", begin.elapsed());
    let handles = handles.into_iter().collect::<Result<Vec<_>, _>>()?;

    let second = runtime(&shim, &home)?;
    let begin = Instant::now();
    let found = join_all(runs.iter().map(|run| second.recover(run, None))).await;
    let running = found.iter().filter(|found| matches!(found, Found::Running(_))).count();
    println!("{running} adoptions    {:?}", begin.elapsed());

    let begin = Instant::now();
    let ends = handles.iter().map(|handle| {
        let mut events = second.watch(handle);
        let second = &second;
        async move {
            second.signal(handle, Signal::TERM, Target::Group).await?;
            while let Some(event) = events.next().await {
                if let RuntimeEvent::Exited(_) = event {
                    break;
                }
            }
            Ok::<(), muster_runtime::RuntimeError>(())
        }
    });
    join_all(ends).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    println!("{count} ends         {:?}", begin.elapsed());
    std::fs::remove_dir_all(&home)?;
    Ok(())
}
