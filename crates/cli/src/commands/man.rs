//! `muster man`.

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use clap::{Args, CommandFactory};
use muster_api::exit;
use std::path::PathBuf;

/// Print the man page, or write those of all commands to a folder.
///
/// `muster man | man -l -` reads it at once.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// A folder for a page per command.
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl Man {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let Some(folder) = self.folder else {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            context.print(&String::from_utf8_lossy(&page))?;
            return Ok(exit::OK);
        };
        let failed = |error| Failure::io(&format!("`{}` cannot be written", folder.display()), &error);
        std::fs::create_dir_all(&folder).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), &folder).map_err(failed)?;
        context.note(&format!("wrote the pages to {}", folder.display()));
        Ok(exit::OK)
    }
}
