//! `demo [--release | --muster FILE]`: the reference stack in `examples/demo`, from nothing to nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::args::Args;
use crate::build::{self, Profile};
use crate::client::{Client, get};
use crate::workspace::{Workspace, replace, run as run_command};

/// The stack's programs, which the demo builds and puts beside the stack file.
const PROGRAMS: [&str; 6] = ["demo-store", "demo-seed", "demo-api", "demo-web", "demo-worker", "demo-clock"];

/// Within this a killed service is ready again.
const READY_AGAIN: Duration = Duration::from_secs(20);

/// The task.
pub(crate) fn run(workspace: &Workspace, mut args: Args) -> Result<()> {
    let profile = if args.flag("--release") { Profile::Release } else { Profile::Dev };
    let binary: Option<PathBuf> = args.value("--muster")?;
    args.finish()?;
    let stack = workspace.root.join("examples/demo");
    build_programs(workspace, &stack)?;
    let binary = match binary {
        Some(file) => file.canonicalize().with_context(|| format!("finding `{}`", file.display()))?,
        None => build::muster(workspace, profile)?,
    };
    // short, because sockets may lie in it, and a socket's path holds 108 bytes
    let home = std::env::temp_dir().join(format!("muster-demo-{}", std::process::id()));
    std::fs::create_dir_all(&home).with_context(|| format!("creating `{}`", home.display()))?;
    let client = Client { binary, stack, home };

    let told = story(&client);
    if told.is_err() {
        // whatever went wrong, nothing is left running; the first error is the one that counts
        let _ = client.run(&["status"]);
        let _ = client.run(&["down"]);
    }
    let _ = client.run(&["daemon", "stop"]);
    match &told {
        Ok(()) => {
            std::fs::remove_dir_all(&client.home).with_context(|| format!("removing `{}`", client.home.display()))?;
        }
        Err(_) => eprintln!("logs and records are kept in {}", client.home.display()),
    }
    told
}

fn build_programs(workspace: &Workspace, stack: &Path) -> Result<()> {
    run_command(workspace.cargo("build").args(["--package", "muster-demo-services"]))?;
    for program in PROGRAMS {
        replace(&workspace.target.join("debug").join(program), &stack.join("bin").join(program))?;
    }
    Ok(())
}

fn story(client: &Client) -> Result<()> {
    step("bring the stack up: one job and five services, each when what it needs is there");
    let began = Instant::now();
    client.run(&["up", "-d"])?;
    println!("  everything is ready after {:.2} s", began.elapsed().as_secs_f64());

    step("ask web, which asks api, which asks store");
    let web = client.service("web")?.addresses.get("http").cloned().context("`web` has no address `http`")?;
    let before = ask(&web)?;

    step("kill store with SIGKILL");
    let killed = client.service("store")?.pid.context("`store` has no pid")?;
    kill(killed)?;
    let began = Instant::now();
    let back =
        client.wait_for("store", READY_AGAIN, |store| store.ready && store.pid.is_some_and(|pid| pid != killed))?;
    let pid = back.pid.unwrap_or_default();
    println!("  pid {killed} is gone, pid {pid} is ready after {:.0} ms", began.elapsed().as_secs_f64() * 1000.0);

    step("ask again: the same answer, from the new process");
    let after = ask(&web)?;
    ensure!(before == after, "the answer changed from `{before}` to `{after}`");

    step("what runs, and what it was restarted for");
    client.run(&["status"])?;

    step("take everything down");
    client.run(&["down"])?;
    ensure!(std::net::TcpStream::connect(&web).is_err(), "`web` still listens on {web}");
    println!("  nothing is left");
    Ok(())
}

fn step(text: &str) {
    println!("\n== {text}");
}

fn ask(web: &str) -> Result<String> {
    let answer = get(web, "/greeting")?;
    println!("  GET http://{web}/greeting -> {answer}");
    if answer.is_empty() {
        bail!("the answer is empty");
    }
    Ok(answer)
}

/// The shell's own `kill`: the program of that name is not installed everywhere.
fn kill(pid: u32) -> Result<()> {
    run_command(Command::new("sh").args(["-c", &format!("kill -KILL {pid}")]))
}
