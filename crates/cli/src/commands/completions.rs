//! `muster completions`.

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use clap::Args;
use clap_complete::env::Shells;
use muster_api::exit;

/// Print a completion script for a shell. Names of services are completed from what the daemon knows.
///
/// In bash: `source <(muster completions bash)`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// bash, zsh, fish, elvish or powershell.
    shell: String,
}

impl Completions {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let shells = Shells::builtins();
        let shell = shells.completer(&self.shell).ok_or_else(|| {
            let known: Vec<&str> = shells.names().collect();
            Failure::usage(format!("no completions for `{}`", self.shell), format!("one of {}", known.join(", ")))
        })?;
        let mut script = Vec::new();
        shell.write_registration("COMPLETE", "muster", "muster", "muster", &mut script)?;
        context.print(&String::from_utf8_lossy(&script))?;
        Ok(exit::OK)
    }
}
