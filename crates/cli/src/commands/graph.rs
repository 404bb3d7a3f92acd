//! `muster graph`.

use crate::context::Context;
use crate::failure::Outcome;
use crate::render::graph;
use clap::{Args, ValueEnum};
use muster_api::exit;

/// How the graph is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A tree for terminals.
    #[default]
    Ascii,
    /// For Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// The document.
    Json,
}

/// The graph of services with their states.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// How it is drawn.
    #[arg(long, value_name = "FORMAT", default_value = "ascii")]
    format: Format,
}

impl Graph {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let id = context.environment()?;
        let document = context.client()?.graph(&id).await?;
        match self.format {
            Format::Ascii => context.answer(&document, |document| graph::ascii(document, &context.terminal))?,
            Format::Mermaid => context.print(&graph::mermaid(&document))?,
            Format::Dot => context.print(&graph::dot(&document))?,
            Format::Json => context.print_json(&document)?,
        }
        Ok(exit::OK)
    }
}
