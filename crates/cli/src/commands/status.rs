//! `muster status`.

use crate::cli::{FileOption, Selection};
use crate::context::Context;
use crate::failure::Outcome;
use crate::render::status;
use clap::Args;
use muster_api::client::Lines;
use muster_api::exit;
use muster_api::routes::ReadQuery;
use muster_engine::documents::EventDocument;
use std::time::Duration;

/// Process truth: state, runtime, pid, ports, uptime, restarts, and the reason where something is not ready.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    file: FileOption,
    /// Show it again on every change.
    #[arg(long)]
    watch: bool,
    /// Also CPU and memory, which takes two looks.
    #[arg(long)]
    usage: bool,
}

/// Changes that come together are shown together.
const TOGETHER: Duration = Duration::from_millis(100);

impl Status {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let mut global = context.global.clone();
        self.file.apply(&mut global);
        let context = &Context { global, terminal: context.terminal };
        let id = context.environment()?;
        let client = context.client()?;
        let query = ReadQuery { select: self.selection.text(), usage: self.usage, ..ReadQuery::default() };
        if !self.watch {
            let document = client.status(&id, &query).await?;
            context.answer(&document, |document| status::table(document, &context.terminal))?;
            return Ok(exit::OK);
        }
        let follow = ReadQuery { select: query.select.clone(), follow: true, ..ReadQuery::default() };
        let mut events = client.events(&id, &follow).await?;
        // the history comes first; the table says all of it
        settle(&mut events).await;
        loop {
            let document = client.status(&id, &query).await?;
            if context.terminal.interactive && !context.global.json {
                context.print("\x1b[2J\x1b[H")?;
            }
            context.answer(&document, |document| status::table(document, &context.terminal))?;
            if events.next().await?.is_none() {
                return Ok(exit::OK);
            }
            settle(&mut events).await;
        }
    }
}

/// Takes what comes until nothing more does for a moment.
async fn settle(events: &mut Lines<EventDocument>) {
    while let Ok(Ok(Some(_))) = tokio::time::timeout(TOGETHER, events.next()).await {}
}
