//! `muster health`.

use crate::cli::Selection;
use crate::context::Context;
use crate::failure::Outcome;
use crate::render::documents;
use clap::Args;
use muster_api::exit;
use muster_api::routes::ReadQuery;

/// Protocol truth: asks the probes now. Exit code 6 when something that should be healthy is not.
#[derive(Debug, Args)]
pub(crate) struct Health {
    #[command(flatten)]
    selection: Selection,
    /// Also the services' own details.
    #[arg(short, long)]
    details: bool,
}

impl Health {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let id = context.environment()?;
        let query = ReadQuery { select: self.selection.text(), details: self.details, ..ReadQuery::default() };
        let document = context.client()?.health(&id, &query).await?;
        context.answer(&document, |document| documents::health(document, &context.terminal))?;
        Ok(if document.ok { exit::OK } else { exit::FOUND })
    }
}
