//! `muster schema`.

use crate::context::Context;
use crate::failure::Outcome;
use clap::Args;
use muster_api::exit;

/// Print the JSON Schema of the stack file, for editors.
///
/// Save it and begin muster.yaml with `# yaml-language-server: $schema=PATH`.
#[derive(Debug, Args)]
pub(crate) struct Schema {}

impl Schema {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let Self {} = self;
        context.print(&serde_json::to_string_pretty(&muster_config::schema())?)?;
        Ok(exit::OK)
    }
}
