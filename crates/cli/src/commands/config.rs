//! `muster config`.

use crate::cli::FileOption;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::files::{self, Wanted};
use crate::render::table::table;
use clap::Args;
use muster_api::exit;
use muster_config::Origin;
use serde_json::json;

/// Print the resolved stack of the environment: overlays merged, variables replaced, secrets as `${NAME}`.
#[derive(Debug, Args)]
pub(crate) struct Config {
    #[command(flatten)]
    file: FileOption,
    /// Print where every value came from.
    #[arg(long)]
    origin: bool,
    /// Another runtime for a service, once: `--runtime api=container`.
    #[arg(long = "runtime", value_name = "SERVICE=RUNTIME")]
    runtimes: Vec<String>,
    /// Print a compose project as `docker compose config --format json` does.
    #[arg(long, conflicts_with_all = ["origin", "env", "runtimes"])]
    compose: bool,
}

impl Config {
    /// Runs the command.
    pub(crate) fn run(self, context: &mut Context) -> Outcome {
        self.file.apply(&mut context.global);
        if self.compose {
            return compose(context);
        }
        let read = files::read(context, &Wanted { runtimes: self.runtimes, ..Wanted::default() })?;
        files::note_loss(context, read.loss.as_ref());
        if !self.origin {
            match context.global.json {
                true => context.print_json(&muster_config::to_document(&read.loaded.stack))?,
                false => context.print(&muster_config::to_yaml(&read.loaded.stack))?,
            }
            return Ok(exit::OK);
        }
        let origins = &read.loaded.origins;
        if context.global.json {
            let entries: Vec<_> = origins.iter().map(document).collect();
            context.print_json(&json!({"schema": "muster.origins.v1", "origins": entries}))?;
            return Ok(exit::OK);
        }
        let rows: Vec<Vec<String>> = origins.iter().map(row).collect();
        context.print(&table(&["PATH", "VALUE", "FROM", "ENVIRONMENT", "VARIANT"], &rows, &context.terminal))?;
        Ok(exit::OK)
    }
}

fn compose(context: &Context) -> Outcome {
    let request = context.global.compose.request(&context.global.files, &context.cwd()?);
    let project = crate::compose::load(context, &request)?;
    let printed = project.to_json().map_err(|error| {
        Failure::new("compose::unprintable", exit::CONFIG, error.to_string(), "print it without it")
    })?;
    context.print(&serde_json::to_string_pretty(&printed)?)?;
    Ok(exit::OK)
}

fn document(origin: &Origin) -> serde_json::Value {
    json!({
        "path": origin.path, "value": origin.value, "file": origin.file, "line": origin.line,
        "environment": origin.environment, "variant": origin.variant,
    })
}

fn row(origin: &Origin) -> Vec<String> {
    vec![
        origin.path.clone(),
        origin.value.lines().next().unwrap_or_default().to_owned(),
        format!("{}:{}", origin.file.display(), origin.line),
        origin.environment.clone().unwrap_or_default(),
        origin.variant.map(|variant| variant.to_string()).unwrap_or_default(),
    ]
}
