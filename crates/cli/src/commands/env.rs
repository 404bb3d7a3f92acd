//! `muster env`.

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::files::{self, Wanted};
use crate::render::{documents, table::table};
use clap::{Args, Subcommand};
use muster_api::exit;
use muster_api::routes::ReadQuery;
use muster_engine::documents::EnvironmentDocument;
use muster_spec::{EnvironmentId, VariableSpec};
use std::io::{BufRead, IsTerminal};

/// Environments: isolated copies of a stack.
#[derive(Debug, Args)]
pub(crate) struct Env {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every environment of every stack, with what runs in it.
    List,
    /// Forget an environment that is down: logs, history and port block.
    Rm {
        /// Its name, or its identity as `name-1a2b3c4d`.
        name: String,
        /// Also its data.
        #[arg(long)]
        data: bool,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// The variables that the stack declares, with where their values come from.
    Vars,
}

impl Env {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self.what {
            What::List => {
                let client = context.client()?;
                let document = crate::block_on(client.environments())??;
                context.answer(&document, |d| documents::environments(&d.environments, &context.terminal))?;
                Ok(exit::OK)
            }
            What::Rm { name, data, yes } => remove(context, &name, data, yes),
            What::Vars => vars(context),
        }
    }
}

#[expect(clippy::fn_params_excessive_bools, reason = "two answers of the command line, passed on once")]
fn remove(context: &Context, name: &str, data: bool, yes: bool) -> Outcome {
    let client = context.client()?;
    let known = crate::block_on(client.environments())??.environments;
    let here = context.first_file().ok().and_then(|file| file.parent().map(|root| root.display().to_string()));
    let found = choose(&known, name, here.as_deref())?;
    if data && !yes {
        confirm(&format!("remove `{}` of stack `{}` with its data?", found.name, found.stack))?;
    }
    let id: EnvironmentId = found.id.parse().map_err(|_| unknown(name, &known))?;
    let query = ReadQuery { data, ..ReadQuery::default() };
    let done = crate::block_on(client.remove(&id, &query))??;
    if context.global.json {
        context.print_json(&done)?;
    }
    context.note(&format!("removed `{}` of stack `{}`", found.name, found.stack));
    Ok(exit::OK)
}

/// By identity, else by name in the stack that is here, else by a name that only one stack has.
fn choose<'a>(
    known: &'a [EnvironmentDocument],
    name: &str,
    here: Option<&str>,
) -> Result<&'a EnvironmentDocument, Failure> {
    let named: Vec<&EnvironmentDocument> = known.iter().filter(|e| e.id == name || e.name == name).collect();
    match named.as_slice() {
        [] => Err(unknown(name, known)),
        [one] => Ok(one),
        several => several.iter().copied().find(|e| Some(e.root.as_str()) == here).ok_or_else(|| {
            let ids: Vec<&str> = several.iter().map(|e| e.id.as_str()).collect();
            let help = format!("name one by its identity: {}", ids.join(", "));
            Failure::usage(format!("several stacks have an environment `{name}`"), help)
        }),
    }
}

fn unknown(name: &str, known: &[EnvironmentDocument]) -> Failure {
    let names: Vec<&str> = known.iter().map(|e| e.id.as_str()).collect();
    let help = if names.is_empty() { "there are none yet".into() } else { format!("there are: {}", names.join(", ")) };
    Failure::new("cli::not_found", exit::NOT_FOUND, format!("there is no environment `{name}`"), help)
}

/// Asks on a terminal; elsewhere nobody could answer.
fn confirm(question: &str) -> Result<(), Failure> {
    let mut input = std::io::stdin().lock();
    if !input.is_terminal() {
        return Err(Failure::usage("this removes data, and nobody can be asked", "add `--yes`"));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    input.read_line(&mut answer).map_err(|error| Failure::io("the answer cannot be read", &error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _no => Err(Failure::Code(exit::INTERRUPTED)),
    }
}

fn vars(context: &Context) -> Outcome {
    let read = files::read(context, &Wanted::default())?;
    let variables = &read.loaded.stack.variables;
    if context.global.json {
        let document = serde_json::json!({"schema": "muster.variables.v1", "variables": variables});
        context.print_json(&document)?;
        return Ok(exit::OK);
    }
    if variables.is_empty() {
        context.note("the stack declares no variables");
        return Ok(exit::OK);
    }
    let rows: Vec<Vec<String>> = variables.iter().map(|(name, variable)| row(name, variable)).collect();
    context.print(&table(&["NAME", "DEFAULT", "FROM", "DESCRIPTION"], &rows, &context.terminal))?;
    Ok(exit::OK)
}

fn row(name: &str, variable: &VariableSpec) -> Vec<String> {
    let default = if variable.secret { "(secret)".into() } else { variable.default.clone().unwrap_or_default() };
    vec![name.to_owned(), default, variable.origin.clone(), variable.description.clone().unwrap_or_default()]
}
