//! `services up|down|env`: the engines that tests share, and the share that a run of the tests takes in them.

use anyhow::{Context as _, Result, anyhow, bail};
use muster_testkit::services::{Services, Share};

use crate::args::Args;
use crate::setup;
use crate::workspace::in_ci;

/// The task.
pub(crate) fn run(mut args: Args) -> Result<()> {
    let install = args.flag("--install");
    let word = args.word().unwrap_or_default();
    args.finish()?;
    let services = Services::usual();
    match word.as_str() {
        "up" => {
            if install || in_ci() {
                setup::prepare_components()?;
            }
            let share = take(&services)?;
            services.keep()?;
            print(&share);
            give_back(share)
        }
        "env" => {
            let share = take(&services)?;
            print(&share);
            give_back(share)
        }
        "down" => services.remove().map_err(|error| anyhow!("{error}")),
        _ => bail!("`services` takes `up [--install]`, `env` or `down`"),
    }
}

/// Installs what may be installed, starts what is missing, and takes a share; meant to run beside the compiler.
pub(crate) fn for_tests() -> Result<Share> {
    if in_ci() {
        setup::prepare_components()?;
    }
    take(&Services::usual())
}

/// Gives a share back; with the last one the engines end.
pub(crate) fn give_back(share: Share) -> Result<()> {
    share.give_back().map_err(|error| anyhow!("{error}")).context("ending the services of the tests")
}

fn take(services: &Services) -> Result<Share> {
    let share = services.share().map_err(|error| anyhow!("{error}")).context("starting the services of the tests")?;
    for line in &share.missing {
        eprintln!("tests go without {line}");
    }
    Ok(share)
}

fn print(share: &Share) {
    for (name, value) in &share.variables {
        println!("export {name}={value}");
    }
}
