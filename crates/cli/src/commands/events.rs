//! `muster events`.

use crate::cli::Selection;
use crate::context::Context;
use crate::failure::Outcome;
use crate::render::documents;
use clap::Args;
use muster_api::exit;
use muster_api::routes::ReadQuery;

/// The history of states, each with its cause.
#[derive(Debug, Args)]
pub(crate) struct Events {
    #[command(flatten)]
    selection: Selection,
    /// Go on with what comes.
    #[arg(short, long)]
    follow: bool,
    /// Only entries after this number.
    #[arg(long, value_name = "NUMBER")]
    after: Option<u64>,
}

impl Events {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let id = context.environment()?;
        let query =
            ReadQuery { select: self.selection.text(), after: self.after, follow: self.follow, ..ReadQuery::default() };
        let mut events = context.client()?.events(&id, &query).await?;
        while let Some(event) = events.next().await? {
            context.answer(&event, |event| documents::event(event, &context.terminal))?;
        }
        Ok(exit::OK)
    }
}
