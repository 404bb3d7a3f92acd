//! `muster exec`.

use crate::commands::session::{Mode, converse, ours, size_of_terminal};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use clap::Args;
use muster_engine::documents::ExecRequest;

/// Run a command in a running service's context: its environment, folder, container or host.
///
/// The exit code is the command's; 125 is Muster's own failure, 126 not executable, 127 not found.
#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// The service, or one replica as `name#2`.
    #[arg(add = crate::complete::services())]
    service: String,
    /// A variable for the command, as `NAME=VALUE`.
    #[arg(short = 'e', long = "set", value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Another folder.
    #[arg(short, long, value_name = "FOLDER")]
    workdir: Option<String>,
    /// No terminal, also when this is one.
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        ours(self.converse(context).await, context)
    }

    async fn converse(self, context: &Context) -> Outcome {
        let size = size_of_terminal().filter(|_| !self.no_tty);
        let pairs = self.variables.iter().map(|text| {
            let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            pair.ok_or_else(|| Failure::usage(format!("`--set {text}` is no variable"), "write `--set NAME=VALUE`"))
        });
        let request = ExecRequest {
            select: self.service,
            argv: self.command,
            env: pairs.collect::<Result<_, _>>()?,
            cwd: self.workdir,
            rows: size.map(|(rows, _)| rows),
            columns: size.map(|(_, columns)| columns),
        };
        let id = context.environment()?;
        let session = context.client()?.exec(&id, &request).await?;
        converse(session, if size.is_some() { Mode::Raw } else { Mode::Plain }).await
    }
}
