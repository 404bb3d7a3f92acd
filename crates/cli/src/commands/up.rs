//! `muster up`.

mod attached;
mod output;

use crate::cli::{FileOption, Selection};
use crate::commands::wait::{Interrupt, Limits, environment_of, finish, unanswered};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::files::{self, Wanted};
use crate::render::progress;
use clap::Args;
use muster_api::exit;
use muster_engine::documents::{UpRequest, WaitUntil};
use muster_spec::HumanDuration;

/// Make it so: start what should run, restart what changed, leave the rest.
///
/// Attached it shows progress, then logs; ctrl-C once stops in order what this `up` started, twice kills it. It ends by
/// itself when nothing that it started runs or is due. A process-compose file or a Procfile runs as it is.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    file: FileOption,
    /// Return when targets are met: services ready, jobs done.
    #[arg(short, long)]
    detach: bool,
    /// With --detach: wait for the targets, which is the default.
    #[arg(long, conflicts_with = "no_wait")]
    wait: bool,
    /// With --detach: return at once.
    #[arg(long, requires = "detach")]
    no_wait: bool,
    /// Give up waiting after this time, as in `90s`: exit code 5.
    #[arg(long, value_name = "TIME")]
    timeout: Option<HumanDuration>,
    /// Another runtime for a service, once: `--runtime api=container`.
    #[arg(long = "runtime", value_name = "SERVICE=RUNTIME")]
    runtimes: Vec<String>,
    /// Leave out what the selected services need.
    #[arg(long)]
    no_deps: bool,
    /// Start again also what did not change.
    #[arg(long)]
    recreate: bool,
    /// Only processes of this namespace of a process-compose file.
    #[arg(short, long = "namespace", value_name = "NAME")]
    namespaces: Vec<String>,
}

/// What `up` and `plan` ask, from the files.
pub(crate) fn request(context: &Context, wanted: &Wanted, recreate: bool) -> Result<UpRequest, Failure> {
    let read = files::read(context, wanted)?;
    files::note_loss(context, read.loss.as_ref());
    let select = (!read.cut && !wanted.words.is_empty()).then(|| wanted.words.join(","));
    Ok(UpRequest { stack: read.loaded.stack, secrets: read.loaded.secrets, select, no_deps: wanted.no_deps, recreate })
}

impl Up {
    /// Runs the command.
    pub(crate) async fn run(self, context: &mut Context) -> Outcome {
        self.file.apply(&mut context.global);
        let wanted = Wanted {
            words: self.selection.words,
            runtimes: self.runtimes,
            namespaces: self.namespaces,
            no_deps: self.no_deps,
        };
        let request = request(context, &wanted, self.recreate)?;
        let client = context.client()?;
        let since = crate::commands::logs::now_ns();
        let mut interrupt = Interrupt::listen()?;
        let asked = async {
            // an attached `up` stops what it started: it must not hear from a second try that nothing was to start
            if self.detach { client.up(&request).await } else { client.up_once(&request).await }
        };
        let Some(accepted) = interrupt.ask(asked).await else { return Ok(unanswered(context)) };
        let mut accepted = accepted?;
        let timeout = self.timeout.map(|time| time.get());
        if !self.detach {
            let id = environment_of(&accepted)?;
            // what the stack has no more goes by itself and can be named no more
            let stays = |name: &String| progress::has(&request.stack, name);
            accepted.instances.retain(stays);
            accepted.changed.retain(stays);
            return attached::Attached { context, id, accepted, since, timeout }.run(&client, interrupt).await;
        }
        if self.no_wait {
            if context.global.json {
                context.print_json(&accepted)?;
            }
            return Ok(exit::OK);
        }
        let limits = Limits { until: WaitUntil::Ready, timeout };
        let code = finish(context, &client, &accepted, limits, &mut interrupt).await?;
        if code == exit::OK {
            context.note(&progress::summary(&accepted, &request.stack, &context.terminal));
        }
        Ok(code)
    }
}
