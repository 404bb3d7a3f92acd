//! The muster command: one file per command, pure rendering, exit codes that tell the truth.
//!
//! ```text
//!  cli (clap) ──► commands::* ──► files: muster.yaml, process-compose, Procfile ──► Stack
//!                     │      └──► Context::client ──► daemon, started on demand
//!                     └─ render::*: documents in, text out
//! ```
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod complete;
mod compose;
mod context;
mod errors;
mod failure;
mod files;
mod human;
mod machine;
mod render;
mod term;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::term::Terminal;
use clap::{CommandFactory, Parser};
use muster_api::exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::var_os("COMPLETE").is_some() {
        clap_complete::CompleteEnv::with_factory(Cli::command).complete();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
            if error.use_stderr() && wants_json() {
                return code_of(Failure::misused(&error).report(&Terminal::default(), true));
            }
            // a closed pipe is no reason to complain about help
            let _ = error.print();
            return code_of(code);
        }
    };
    let terminal = Terminal::detect(cli.global.color);
    let json = cli.global.json;
    let context = Context { global: cli.global, terminal };
    match dispatch(context, cli.command) {
        Ok(code) => code_of(code),
        Err(failure) => code_of(failure.report(&terminal, json)),
    }
}

/// Whether `--json` is among the words that are ours, although they could not be understood.
fn wants_json() -> bool {
    std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json")
}

fn code_of(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Runs a future on this thread: a command needs no more.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::io("the event loop cannot be made", &error))?;
    let value = runtime.block_on(future);
    // a thread that reads standard input must not keep the command alive
    runtime.shutdown_background();
    Ok(value)
}

fn dispatch(mut context: Context, command: Command) -> Outcome {
    match command {
        Command::Up(c) => block_on(c.run(&mut context))?,
        Command::Down(c) => block_on(c.run(&mut context))?,
        Command::Start(c) => block_on(c.run(&context))?,
        Command::Stop(c) => block_on(c.run(&context))?,
        Command::Restart(c) => block_on(c.run(&context))?,
        Command::Status(c) => block_on(c.run(&context))?,
        Command::Health(c) => block_on(c.run(&context))?,
        Command::Logs(c) => block_on(c.run(&context))?,
        Command::Why(c) => block_on(c.run(&context))?,
        Command::Plan(c) => block_on(c.run(&mut context))?,
        Command::Events(c) => block_on(c.run(&context))?,
        Command::Graph(c) => block_on(c.run(&context))?,
        Command::Ports(c) => block_on(c.run(&context))?,
        Command::Top(c) => block_on(c.run(&context))?,
        Command::Exec(c) => block_on(c.run(&context))?,
        Command::Attach(c) => block_on(c.run(&context))?,
        Command::Run(c) => c.run(&context),
        Command::Build(c) => block_on(c.run(&mut context))?,
        Command::Watch(c) => block_on(c.run(&mut context))?,
        Command::Config(c) => c.run(&mut context),
        Command::Validate(c) => c.run(&mut context),
        Command::Schema(c) => c.run(&context),
        Command::Import(c) => c.run(&mut context),
        Command::Doctor(c) => c.run(&context),
        Command::Init(c) => c.run(&context),
        Command::Env(c) => c.run(&context),
        Command::Daemon(c) => c.run(&context),
        Command::Completions(c) => c.run(&context),
        Command::Man(c) => c.run(&context),
        Command::Help(c) => c.run(&context),
        Command::HelpReference => commands::internal::help_reference(&context),
        Command::ErrorList => commands::internal::error_list(&context),
        Command::Openapi => commands::internal::openapi(&context),
        Command::Complete(c) => c.run(&context),
    }
}
