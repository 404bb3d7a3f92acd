//! `muster build`.

use crate::cli::Selection;
use crate::context::Context;
use crate::failure::Outcome;
use crate::render::documents;
use clap::Args;
use muster_api::exit;
use muster_engine::documents::SelectRequest;

/// Run the build steps of services that were up before; unchanged inputs are skipped.
#[derive(Debug, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    selection: Selection,
}

impl Build {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let id = context.environment()?;
        let request = SelectRequest { select: self.selection.text(), ..SelectRequest::default() };
        let document = context.client()?.build(&id, &request).await?;
        context.answer(&document, |document| documents::builds(document, &context.terminal))?;
        let failed = document.builds.iter().any(|build| build.result == "failed");
        Ok(if failed { exit::FAILED } else { exit::OK })
    }
}
