//! `muster plan`.

use crate::cli::{FileOption, Selection};
use crate::context::Context;
use crate::failure::Outcome;
use crate::files::Wanted;
use crate::render::plan::plan;
use clap::Args;
use muster_api::exit;

/// What `up` would do, and which field is the reason; nothing is touched.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    file: FileOption,
    /// Another runtime for a service, once: `--runtime api=container`.
    #[arg(long = "runtime", value_name = "SERVICE=RUNTIME")]
    runtimes: Vec<String>,
    /// Leave out what the selected services need.
    #[arg(long)]
    no_deps: bool,
    /// Exit code 6 when something would change.
    #[arg(long)]
    exit_code: bool,
}

impl Plan {
    /// Runs the command.
    pub(crate) async fn run(self, context: &mut Context) -> Outcome {
        self.file.apply(&mut context.global);
        let wanted =
            Wanted { words: self.selection.words, runtimes: self.runtimes, no_deps: self.no_deps, ..Wanted::default() };
        let request = crate::commands::up::request(context, &wanted, false)?;
        let document = context.client()?.plan(&request).await?;
        context.answer(&document, |document| plan(document, &context.terminal))?;
        let changes = document.changes.iter().any(|change| change.action != "none");
        Ok(if self.exit_code && changes { exit::FOUND } else { exit::OK })
    }
}
