//! `muster daemon`.

use crate::context::{Context, own_binary};
use crate::failure::{Failure, Outcome};
use clap::{Args, Subcommand};
use muster_api::daemon::{self, Paths, RunOptions, ShimSource};
use muster_api::documents::Services;
use muster_api::{Client, exit};
use muster_engine::documents::InfoDocument;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};

include!(concat!(env!("OUT_DIR"), "/shim.rs"));

/// How long a new binary may take until it answers, or the old one does again.
const UPGRADE_WITHIN: Duration = Duration::from_secs(40);

/// The time between two looks at a daemon that is being replaced.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The daemon: one per user, started on demand, ends when nothing runs.
#[derive(Debug, Args)]
pub(crate) struct Daemon {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run it here, until it is told to end; services run on after it.
    Run {
        /// As a command starts it: in a session of its own.
        #[arg(long, hide = true)]
        detached: bool,
    },
    /// Show it. Exit code 7 when none runs.
    Status,
    /// End it.
    Stop {
        /// Services run on; the next daemon adopts them.
        #[arg(long, conflicts_with = "all")]
        keep: bool,
        /// Stop all services of all environments first.
        #[arg(long)]
        all: bool,
    },
    /// Replace its binary by this one, or another; services run on.
    Upgrade {
        /// The binary that takes over; this one when none is given.
        #[arg(value_name = "BINARY")]
        binary: Option<PathBuf>,
    },
    /// Watches a binary take over.
    #[command(hide = true)]
    Guard,
}

impl Daemon {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::Run { detached } => run(detached),
            What::Status => status(context),
            What::Stop { keep, all } => stop(context, wish(keep, all)),
            What::Upgrade { binary } => crate::block_on(upgrade(context, binary))?,
            What::Guard => {
                daemon::guard()?;
                Ok(exit::OK)
            }
        }
    }
}

#[expect(clippy::fn_params_excessive_bools, reason = "two flags that exclude each other become one wish here")]
fn wish(keep: bool, all: bool) -> Option<Services> {
    match (keep, all) {
        (true, _) => Some(Services::Keep),
        (false, true) => Some(Services::Stop),
        (false, false) => None,
    }
}

fn run(detached: bool) -> Outcome {
    let filter = std::env::var("MUSTER_LOG").ok().and_then(|text| tracing_subscriber::EnvFilter::try_new(text).ok());
    let filter = filter.unwrap_or_else(|| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr);
    // a second one in this process would be a mistake, and harmless
    let _ = log.try_init();
    let options = RunOptions { version: env!("CARGO_PKG_VERSION").into(), detached, shim: shim_source(), hosts: HOSTS };
    crate::block_on(daemon::run(options))??;
    Ok(exit::OK)
}

fn status(context: &Context) -> Outcome {
    let paths = Paths::open()?;
    let info = match daemon::running(&paths) {
        Some(client) => Some(crate::block_on(client.info())??),
        None => None,
    };
    let document = json!({
        "schema": "muster.daemon.v1", "running": info.is_some(), "info": info, "home": paths.home,
        "socket": paths.socket(), "log": paths.log(),
    });
    context.answer(&document, |_| describe(info.as_ref(), &paths))?;
    Ok(if info.is_some() { exit::OK } else { exit::DAEMON })
}

fn describe(info: Option<&InfoDocument>, paths: &Paths) -> String {
    let places = format!(
        "state   {}\nsocket  {}\nlog     {}\n",
        paths.home.display(),
        paths.socket().display(),
        paths.log().display()
    );
    let Some(info) = info else {
        return format!("no daemon runs; any command that needs one starts it\n{places}");
    };
    let mut text = format!(
        "daemon {} (pid {}) up {}: {} in {}\n{places}",
        info.version,
        info.pid,
        crate::human::duration(info.uptime_s),
        crate::human::count(info.running, "running instance"),
        crate::human::count(info.environments, "environment"),
    );
    let own = own_binary().map(|binary| daemon::build_of(&binary)).unwrap_or_default();
    if !own.is_empty() && !info.build.is_empty() && own != info.build {
        text.push_str("another build than this command: `muster daemon upgrade` replaces it, services run on\n");
    }
    if let Some(path) = &info.quarantined {
        text.push_str(&format!("a journal that could not be read was put aside: {path}\n"));
    }
    text
}

fn stop(context: &Context, wish: Option<Services>) -> Outcome {
    let paths = Paths::open()?;
    let Some(client) = daemon::running(&paths) else {
        context.note("no daemon runs");
        return Ok(exit::OK);
    };
    let services = match wish {
        Some(services) => services,
        None => {
            let info = crate::block_on(client.info())??;
            if info.running > 0 {
                let message =
                    format!("{} would be left to themselves", crate::human::count(info.running, "running instance"));
                let help = "`--keep` lets them run on until the next daemon adopts them, `--all` stops them first";
                return Err(Failure::new("daemon::services_run", exit::USAGE, message, help));
            }
            Services::Keep
        }
    };
    crate::block_on(client.stop_daemon(services))??;
    daemon::wait_until_gone(&paths)?;
    context.note(match services {
        Services::Keep => "the daemon ended; what ran runs on",
        Services::Stop => "everything was stopped, and the daemon ended",
    });
    Ok(exit::OK)
}

async fn upgrade(context: &Context, binary: Option<PathBuf>) -> Outcome {
    let binary = match binary {
        Some(path) => {
            std::fs::canonicalize(&path).map_err(|error| Failure::io(&format!("`{}`", path.display()), &error))?
        }
        None => own_binary()?,
    };
    let paths = Paths::open()?;
    let Some(client) = daemon::running(&paths) else {
        context.note("no daemon runs; the next command starts this binary");
        return Ok(exit::OK);
    };
    let before = client.info().await.ok();
    let build = daemon::build_of(&binary);
    if before.as_ref().is_some_and(|info| info.build == build) {
        context.note("the daemon runs this build already");
        return Ok(exit::OK);
    }
    client.upgrade_daemon(&binary).await?;
    let after = replaced(&client, &build, before.as_ref()).await?;
    if context.global.json {
        context.print_json(&after)?;
    }
    context.note(&format!("the daemon is now {} (pid {}); services were not touched", after.version, after.pid));
    Ok(exit::OK)
}

/// The new daemon's first answer. A connection waits in the socket's queue while nobody accepts.
async fn replaced(client: &Client, build: &str, before: Option<&InfoDocument>) -> Result<InfoDocument, Failure> {
    let begun = Instant::now();
    while begun.elapsed() < UPGRADE_WITHIN {
        let left = UPGRADE_WITHIN.saturating_sub(begun.elapsed());
        if let Ok(Ok(info)) = tokio::time::timeout(left, client.info()).await {
            if info.build == build {
                return Ok(info);
            }
            let restarted = before.is_some_and(|before| info.uptime_s < before.uptime_s);
            if restarted {
                let message = "the new binary did not get ready; the old one serves again";
                let help = "its log says why: `muster daemon status` names the file";
                return Err(Failure::new("daemon::upgrade", exit::DAEMON, message, help));
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let help = "`muster daemon status` shows what is; services run on in any case";
    Err(Failure::new("daemon::upgrade", exit::TIMEOUT, "the new daemon did not answer in time", help))
}

/// Where the supervisor's binary comes from.
pub(crate) fn shim_source() -> ShimSource {
    SHIM.map_or(ShimSource::Beside, ShimSource::Embedded)
}
