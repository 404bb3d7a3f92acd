//! The command line: global options and the list of commands.

use crate::commands::{
    attach, build, completions, config, control, daemon, doctor, env, events, exec, graph, health, help, import, init,
    internal, logs, man, plan, ports, run, schema, status, top, up, validate, watch, why,
};
use crate::compose::ComposeOptions;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// One tool for a system of many services: processes, containers and other hosts in one graph.
#[derive(Debug, Parser)]
#[command(name = "muster", version, disable_help_subcommand = true, max_term_width = 100, propagate_version = false)]
#[command(after_help = "`muster help COMMAND` says more; `muster help exit-codes` lists the exit codes.")]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What is done.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Global {
    /// A stack file; later ones are laid over earlier ones. Found upward from here when none is given.
    #[arg(long = "file", value_name = "FILE", global = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The environment. [default: `local`; in a linked git worktree its name]
    #[arg(long, value_name = "NAME", global = true, env = "MUSTER_ENV")]
    pub(crate) env: Option<String>,
    /// Print one JSON document, or one per line for streams.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress, no notes.
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    /// When to use colours.
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub(crate) color: When,
    /// What chooses a compose project; commands that read files have options for it.
    #[arg(skip)]
    pub(crate) compose: ComposeOptions,
}

/// What is selected: names, aliases, groups, profiles, `name#2`, globs, or `all`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Selection {
    /// Services: `all`, a group, a name or alias, `name#2`, a glob, a profile, or several.
    #[arg(value_name = "SELECTOR", add = crate::complete::services())]
    pub(crate) words: Vec<String>,
}

impl Selection {
    /// One selector text.
    pub(crate) fn text(&self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.join(","))
    }
}

/// What is read: a stack file by its short option, where `-f` means nothing else, and how a compose project is chosen.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FileOption {
    /// The same as `--file`: a muster.yaml, a compose file, a process-compose file or a Procfile.
    #[arg(short = 'f', value_name = "FILE")]
    short: Vec<PathBuf>,
    #[command(flatten)]
    compose: ComposeOptions,
}

impl FileOption {
    /// Makes it the options of every command.
    pub(crate) fn apply(self, global: &mut Global) {
        global.files.extend(self.short);
        global.compose = self.compose;
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make it so: start what should run, restart what changed, leave the rest.
    Up(up::Up),
    /// Stop in reverse order and remove what the environment made.
    Down(control::Down),
    /// Start services and what they need.
    Start(control::Start),
    /// Stop services.
    Stop(control::Stop),
    /// Stop and start services.
    Restart(control::Restart),
    /// Process truth: state, runtime, pid, ports, uptime, restarts, and why something is not ready.
    Status(status::Status),
    /// Protocol truth: asks the probes now.
    Health(health::Health),
    /// One time-ordered stream of output over all services.
    Logs(logs::Logs),
    /// The chain of causes: why not started, why restarted, why unhealthy.
    Why(why::Why),
    /// What `up` would do, and which field is the reason; nothing is touched.
    Plan(plan::Plan),
    /// The history of states.
    Events(events::Events),
    /// The graph of services with their states.
    Graph(graph::Graph),
    /// Who listens where.
    Ports(ports::Ports),
    /// Live use of CPU and memory.
    Top(top::Top),
    /// Run a command in a running service's context.
    Exec(exec::Exec),
    /// Connect this terminal to a service.
    Attach(attach::Attach),
    /// Run a command here with a service's environment and addresses.
    Run(run::Run),
    /// Run build steps.
    Build(build::Build),
    /// Rebuild, restart or signal on change of watched paths.
    Watch(watch::Watch),
    /// Print the resolved stack.
    Config(config::Config),
    /// Check the files: every problem at once.
    Validate(validate::Validate),
    /// Print the JSON Schema of the stack file.
    Schema(schema::Schema),
    /// Write a muster.yaml that says the same as another tool's file.
    Import(import::Import),
    /// What this machine lacks.
    Doctor(doctor::Doctor),
    /// Write a first muster.yaml from what is found here.
    Init(init::Init),
    /// Environments: list, rm, vars.
    Env(env::Env),
    /// The daemon: run, status, stop, upgrade.
    Daemon(daemon::Daemon),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
    /// Print the man page, or write all of them to a folder.
    Man(man::Man),
    /// Say more about a command, or list the exit codes.
    Help(help::Help),
    /// Markdown of every command.
    #[command(hide = true)]
    HelpReference,
    /// Markdown of every error code.
    #[command(hide = true)]
    ErrorList,
    /// The OpenAPI document.
    #[command(hide = true)]
    Openapi,
    /// Names that a selector may hold.
    #[command(name = "__complete", hide = true)]
    Complete(internal::Complete),
}
