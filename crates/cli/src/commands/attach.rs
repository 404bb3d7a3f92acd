//! `muster attach`.

use crate::commands::session::{Mode, converse, ours, size_of_terminal};
use crate::context::Context;
use crate::failure::Outcome;
use clap::Args;
use muster_engine::documents::ExecRequest;

/// Connect this terminal to a service. ctrl-P ctrl-Q leaves; the service runs on.
///
/// One terminal writes, all others read.
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// The service, or one replica as `name#2`.
    #[arg(add = crate::complete::services())]
    service: String,
}

impl Attach {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        ours(self.converse(context).await, context)
    }

    async fn converse(self, context: &Context) -> Outcome {
        let size = size_of_terminal();
        let request = ExecRequest {
            select: self.service,
            rows: size.map(|(rows, _)| rows),
            columns: size.map(|(_, columns)| columns),
            ..ExecRequest::default()
        };
        let id = context.environment()?;
        let session = context.client()?.attach(&id, &request).await?;
        if size.is_some() {
            context.note("attached; ctrl-P ctrl-Q leaves");
        }
        converse(session, if size.is_some() { Mode::RawDetachable } else { Mode::Plain }).await
    }
}
