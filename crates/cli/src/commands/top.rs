//! `muster top`.

use crate::cli::Selection;
use crate::context::Context;
use crate::failure::Outcome;
use crate::render::documents;
use clap::Args;
use muster_api::exit;
use muster_api::routes::ReadQuery;
use muster_spec::HumanDuration;

/// Live use of CPU and memory, the largest first.
#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    selection: Selection,
    /// Time between two looks.
    #[arg(long, value_name = "TIME", default_value = "2s")]
    every: HumanDuration,
    /// One look, which is also what a pipe gets.
    #[arg(long)]
    once: bool,
}

impl Top {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let id = context.environment()?;
        let client = context.client()?;
        let query = ReadQuery { select: self.selection.text(), usage: true, ..ReadQuery::default() };
        let live = context.terminal.interactive && !self.once && !context.global.json;
        loop {
            let document = client.status(&id, &query).await?;
            if live {
                context.print("\x1b[2J\x1b[H")?;
            }
            context.answer(&document, |document| documents::top(document, &context.terminal))?;
            if !live {
                return Ok(exit::OK);
            }
            tokio::time::sleep(self.every.get()).await;
        }
    }
}
