//! `muster validate`.

use crate::cli::FileOption;
use crate::context::Context;
use crate::failure::Outcome;
use crate::files::{self, Wanted};
use clap::Args;
use muster_api::exit;
use serde_json::json;

/// Check the files: every problem at once, each with its place and a way out.
#[derive(Debug, Args)]
pub(crate) struct Validate {
    #[command(flatten)]
    file: FileOption,
}

impl Validate {
    /// Runs the command.
    pub(crate) fn run(self, context: &mut Context) -> Outcome {
        self.file.apply(&mut context.global);
        let read = files::read(context, &Wanted::default())?;
        files::note_loss(context, read.loss.as_ref());
        let stack = &read.loaded.stack;
        let document = json!({
            "schema": "muster.validated.v1", "ok": true, "stack": stack.name, "environment": stack.environment,
            "services": stack.services.len(), "files": stack.files,
        });
        context.answer(&document, |_| {
            let services = crate::human::count(stack.services.len(), "service");
            let files = crate::human::count(stack.files.len(), "file");
            format!("{} is valid for `{}`: {services} from {files}\n", stack.name, stack.environment)
        })?;
        Ok(exit::OK)
    }
}
