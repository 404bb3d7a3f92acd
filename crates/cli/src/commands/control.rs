//! `muster down`, `start`, `stop` and `restart`: commands that select and wait.

use crate::cli::{FileOption, Selection};
use crate::commands::wait::{Interrupt, Limits, finish, is_unknown, unanswered};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use clap::Args;
use muster_api::client::Verb;
use muster_api::exit;
use muster_engine::documents::{SelectRequest, WaitUntil};
use muster_spec::HumanDuration;

/// How a command waits.
#[derive(Debug, Clone, Args)]
pub(crate) struct Patience {
    /// Return at once.
    #[arg(long)]
    no_wait: bool,
    /// Give up waiting after this time, as in `90s`: exit code 5.
    #[arg(long, value_name = "TIME")]
    timeout: Option<HumanDuration>,
}

/// Stop in reverse order and remove what the environment made.
///
/// Logs, history, port block and data stay until `muster env rm`.
#[derive(Debug, Args)]
pub(crate) struct Down {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    file: FileOption,
    /// Also remove the environment's data.
    #[arg(long)]
    data: bool,
    /// Drop what cannot be verified instead of leaving it alone.
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    patience: Patience,
}

/// Start services and what they need.
#[derive(Debug, Args)]
pub(crate) struct Start {
    #[command(flatten)]
    selection: Selection,
    /// Leave out what the selected services need.
    #[arg(long)]
    no_deps: bool,
    #[command(flatten)]
    patience: Patience,
}

/// Stop services. What running services need is stopped with --force only.
#[derive(Debug, Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    selection: Selection,
    /// Also where others that run need it.
    #[arg(long)]
    force: bool,
    /// KILL at once, without a grace period.
    #[arg(long)]
    kill: bool,
    #[command(flatten)]
    patience: Patience,
}

/// Stop and start services.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    patience: Patience,
}

async fn carry_out(context: &Context, verb: Verb, request: SelectRequest, patience: Patience) -> Outcome {
    let id = context.environment()?;
    let client = context.client()?;
    let mut interrupt = Interrupt::listen()?;
    let Some(accepted) = interrupt.ask(client.command(&id, verb, &request)).await else {
        return Ok(unanswered(context));
    };
    let accepted = accepted?;
    if patience.no_wait {
        if context.global.json {
            context.print_json(&accepted)?;
        }
        return Ok(exit::OK);
    }
    let until = match verb {
        Verb::Down | Verb::Stop => WaitUntil::Down,
        Verb::Start | Verb::Restart | Verb::Forget | Verb::Signal => WaitUntil::Ready,
    };
    let limits = Limits { until, timeout: patience.timeout.map(|time| time.get()) };
    finish(context, &client, &accepted, limits, &mut interrupt).await
}

/// Everything is meant only when it is said.
fn some(selection: &Selection, command: &str) -> Result<Option<String>, Failure> {
    selection.text().map(Some).ok_or_else(|| {
        let help = format!("name services, or `all`: `muster {command} all`");
        Failure::usage(format!("`muster {command}` needs a selector"), help)
    })
}

impl Down {
    /// Runs the command.
    pub(crate) async fn run(self, context: &mut Context) -> Outcome {
        self.file.apply(&mut context.global);
        let id = context.environment()?;
        let client = context.client()?;
        let select = self.selection.text();
        if self.forget {
            let request = SelectRequest { select: select.clone(), ..SelectRequest::default() };
            client.command(&id, Verb::Forget, &request).await?;
        }
        let named = select.is_some();
        // data goes when nobody uses it any more: the way there is told like any other
        let later = self.data && !self.patience.no_wait;
        let mut request = SelectRequest { select, data: self.data && !later, ..SelectRequest::default() };
        let mut interrupt = Interrupt::listen()?;
        let Some(answer) = interrupt.ask(client.command(&id, Verb::Down, &request)).await else {
            return Ok(unanswered(context));
        };
        let accepted = match answer {
            Ok(accepted) => accepted,
            // what was never up is down
            Err(error) if !named && is_unknown(&error) => {
                context.note(&format!("nothing of `{}` runs", id.name));
                return Ok(exit::OK);
            }
            Err(error) => return Err(error.into()),
        };
        if self.patience.no_wait {
            return Ok(exit::OK);
        }
        let limits = Limits { until: WaitUntil::Down, timeout: self.patience.timeout.map(|time| time.get()) };
        let code = finish(context, &client, &accepted, limits, &mut interrupt).await?;
        if later && code == exit::INTERRUPTED {
            context.note("its data stays until `muster down --data` is run again");
        }
        if later && code == exit::OK {
            request.data = true;
            let Some(answer) = interrupt.ask(client.command(&id, Verb::Down, &request)).await else {
                return Ok(unanswered(context));
            };
            let removed = answer?.data_removed_on;
            let also = removed.iter().map(|host| format!(", also on host `{host}`")).collect::<String>();
            context.note(&format!("its data is removed{also}"));
        }
        Ok(code)
    }
}

impl Start {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let select = some(&self.selection, "start")?;
        let request = SelectRequest { select, no_deps: self.no_deps, ..SelectRequest::default() };
        carry_out(context, Verb::Start, request, self.patience).await
    }
}

impl Stop {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let select = some(&self.selection, "stop")?;
        let request = SelectRequest { select, force: self.force, kill: self.kill, ..SelectRequest::default() };
        carry_out(context, Verb::Stop, request, self.patience).await
    }
}

impl Restart {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let select = some(&self.selection, "restart")?;
        let request = SelectRequest { select, ..SelectRequest::default() };
        carry_out(context, Verb::Restart, request, self.patience).await
    }
}
