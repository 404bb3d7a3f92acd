//! `muster run`.

use crate::commands::session::ours;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use clap::Args;
use muster_api::exit;
use muster_api::routes::ReadQuery;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Run a command here, with a service's environment and addresses, in the service's folder.
///
/// The exit code is the command's; 125 is Muster's own failure, 126 not executable, 127 not found.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The service, or one replica as `name#2`.
    #[arg(add = crate::complete::services())]
    service: String,
    /// Stay in this folder.
    #[arg(long)]
    here: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Run {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        ours(self.execute(context), context)
    }

    fn execute(self, context: &Context) -> Outcome {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(Failure::usage("there is no command", "write `muster run SERVICE -- COMMAND`"));
        };
        let id = context.environment()?;
        let client = context.client()?;
        let query = ReadQuery { select: Some(self.service), ..ReadQuery::default() };
        let place = crate::block_on(client.context(&id, &query))??;
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        // what a terminal needs is the caller's, everything else the service's
        for name in ["TERM", "COLORTERM", "NO_COLOR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(place.env.iter().map(|(name, value)| (name, value.expose())));
        if !self.here {
            command.current_dir(&place.cwd);
        }
        let error = command.exec();
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => exit::COMMAND_NOT_FOUND,
            _other => exit::NOT_EXECUTABLE,
        };
        let message = format!("`{program}` cannot be run in `{}`: {error}", place.cwd);
        Err(Failure::new(
            "exec::failed",
            code,
            message,
            "check the name, and the service's PATH with `muster run SERVICE -- env`",
        ))
    }
}
