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
    /// How one service reaches another, step by step.
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], conflicts_with = "words")]
    address: Option<Vec<String>>,
}

impl Why {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        if let Some([from, to]) = self.address.as_deref() {
            return way(context, from, to).await;
        }
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

async fn way(context: &Context, from: &str, to: &str) -> Outcome {
    let query = ReadQuery { from: Some(from.to_owned()), to: Some(to.to_owned()), ..ReadQuery::default() };
    let document = context.client()?.way(&context.environment()?, &query).await?;
    context.answer(&document, |document| documents::way(document, &context.terminal))?;
    let gone = document.ways.iter().all(|way| way.missing.is_none());
    Ok(if gone { exit::OK } else { exit::FOUND })
}
