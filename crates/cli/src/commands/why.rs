//! `muster why`.

use crate::cli::Selection;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::render::documents;
use clap::Args;
use muster_api::exit;
use muster_api::routes::ReadQuery;

/// The chain of causes: why not started, why restarted, why unhealthy, who blocks the stop.
#[derive(Debug, Args)]
pub(crate) struct Why {
    #[command(flatten)]
    selection: Selection,
}

impl Why {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let Some(select) = self.selection.text() else {
            return Err(Failure::usage("`muster why` needs a selector", "name a service, or `all`: `muster why all`"));
        };
        let id = context.environment()?;
        let query = ReadQuery { select: Some(select), ..ReadQuery::default() };
        let document = context.client()?.why(&id, &query).await?;
        context.answer(&document, |document| documents::why(document, &context.terminal))?;
        Ok(exit::OK)
    }
}
