//! Hidden commands: what documentation and scripts of this project are made from.

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::Outcome;
use clap::{Args, Command, CommandFactory};
use muster_api::exit;
use std::fmt::Write;

/// Names that a selector may hold, one per line.
#[derive(Debug, Args)]
pub(crate) struct Complete {}

impl Complete {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let Self {} = self;
        let names: String = crate::complete::names(context).into_iter().map(|name| name + "\n").collect();
        context.print(&names)?;
        Ok(exit::OK)
    }
}

/// Markdown of every command.
pub(crate) fn help_reference(context: &Context) -> Outcome {
    let mut root = Cli::command();
    root.build();
    let mut text = String::from("# The command line\n\nMade by `muster help-reference`; do not edit.\n");
    section(&root, "muster", &mut text);
    text.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (code, meaning) in exit::TABLE {
        let _ = writeln!(text, "| {code} | {meaning} |");
    }
    context.print(&text)?;
    Ok(exit::OK)
}

fn section(command: &Command, name: &str, text: &mut String) {
    let help = command.clone().term_width(100).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for inner in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        section(inner, &format!("{name} {}", inner.get_name()), text);
    }
}

/// Markdown of every error code.
pub(crate) fn error_list(context: &Context) -> Outcome {
    let mut text = String::from(
        "# Errors\n\nMade by `muster error-list`; do not edit. A code is stable; the text beside it may get better.\n\n\
         | code | meaning |\n|---|---|\n",
    );
    let mut codes: Vec<_> = crate::errors::all().collect();
    codes.sort_unstable();
    for (code, about) in codes {
        let _ = writeln!(text, "| `{code}` | {about} |");
    }
    context.print(&text)?;
    Ok(exit::OK)
}

/// The OpenAPI document.
pub(crate) fn openapi(context: &Context) -> Outcome {
    let document = muster_api::openapi::document(env!("CARGO_PKG_VERSION"));
    context.print(&serde_json::to_string_pretty(&document)?)?;
    Ok(exit::OK)
}
