//! `muster init`.

mod found;

use crate::commands::import::write_new;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use clap::Args;
use muster_api::exit;

/// Write a first muster.yaml from what is found here. An existing file is never overwritten.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Only print it.
    #[arg(long)]
    dry_run: bool,
}

impl Init {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let cwd = context.cwd()?;
        let found = found::look(context, &cwd)?;
        let tell = || found.notes.iter().for_each(|note| context.note(note));
        if found.services.is_empty() {
            tell();
            let help = "write one service by hand: `services: { web: { process: { command: ./run } } }`";
            return Err(Failure::new(
                "cli::nothing_found",
                exit::FAILED,
                format!("nothing that could be run was found in `{}`", cwd.display()),
                help,
            ));
        }
        let yaml = muster_config::import::to_yaml(&found.document());
        if self.dry_run {
            tell();
            context.print(&yaml)?;
            return Ok(exit::OK);
        }
        let path = cwd.join(muster_config::FILE_NAMES[0]);
        write_new(&path, &yaml)?;
        tell();
        let services = crate::human::count(found.services.len(), "service");
        context.note(&format!("wrote {} with {services}; look it over, then `muster up`", path.display()));
        Ok(exit::OK)
    }
}
