//! `muster ports`.

use crate::cli::Selection;
use crate::context::Context;
use crate::failure::Outcome;
use crate::render::documents;
use clap::Args;
use muster_api::exit;
use muster_api::routes::ReadQuery;

/// Who listens where.
#[derive(Debug, Args)]
pub(crate) struct Ports {
    #[command(flatten)]
    selection: Selection,
}

impl Ports {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let id = context.environment()?;
        let query = ReadQuery { select: self.selection.text(), ..ReadQuery::default() };
        let document = context.client()?.ports(&id, &query).await?;
        context.answer(&document, |document| documents::ports(document, &context.terminal))?;
        Ok(exit::OK)
    }
}
