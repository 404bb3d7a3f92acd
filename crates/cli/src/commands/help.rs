//! `muster help`.

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use clap::{Args, CommandFactory};
use muster_api::exit;

/// Say more about a command, or list the exit codes.
#[derive(Debug, Args)]
pub(crate) struct Help {
    /// A command, or `exit-codes`.
    #[arg(value_name = "TOPIC")]
    topic: Vec<String>,
}

/// The exit codes, one per line.
pub(crate) fn exit_codes() -> String {
    exit::TABLE.iter().map(|(code, meaning)| format!("{code:>3}  {meaning}\n")).collect()
}

impl Help {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        if self.topic == ["exit-codes"] {
            context.print(&exit_codes())?;
            return Ok(exit::OK);
        }
        let mut command = Cli::command();
        command.build();
        let mut found = &mut command;
        for word in &self.topic {
            found = found.find_subcommand_mut(word).ok_or_else(|| {
                Failure::usage(format!("there is no command or topic `{word}`"), "`muster help` lists the commands")
            })?;
        }
        context.print(&found.render_long_help().to_string())?;
        Ok(exit::OK)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_has_a_meaning() {
        insta::assert_snapshot!(super::exit_codes(), @r"
          0  done and true
          1  failed: a service did not get there, a job or a test failed
          2  usage: the command line cannot be understood
          3  the configuration is wrong
          4  no such service, environment or stack
          5  timed out
          6  a check found something (`health`, `plan --exit-code`)
          7  the daemon cannot be reached or speaks another version
          8  a runtime is not available here
        125  `exec`, `run`: Muster's own failure; else the code of what they ran
        126  `exec`, `run`: the command cannot be executed
        127  `exec`, `run`: the command was not found
        130  interrupted
        ");
    }
}
