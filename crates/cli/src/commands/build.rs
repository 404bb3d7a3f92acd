//! `muster build`.

use crate::cli::{FileOption, Selection};
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::files::Wanted;
use crate::render::documents;
use crate::render::lines::Painter;
use clap::Args;
use muster_api::exit;
use muster_engine::documents::{BuildDocument, BuildProgress, UpRequest};
use muster_spec::Selector;

/// Run the build steps of services, and build the images of containers. What was built of the same is left.
///
/// Builds what the files say now; whatever runs goes on until it is restarted. ctrl-C gives the builds up.
#[derive(Debug, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    file: FileOption,
    /// Another runtime for a service, once: `--runtime api=container`.
    #[arg(long = "runtime", value_name = "SERVICE=RUNTIME")]
    runtimes: Vec<String>,
}

impl Build {
    /// Runs the command.
    pub(crate) async fn run(self, context: &mut Context) -> Outcome {
        self.file.apply(&mut context.global);
        // what is selected, and not what it needs
        let wanted =
            Wanted { words: self.selection.words, runtimes: self.runtimes, no_deps: true, ..Wanted::default() };
        let request = crate::commands::up::request(context, &wanted, false)?;
        let document = build(context, &request).await?;
        context.answer(&document, |document| documents::builds(document, &context.terminal))?;
        match failed(&document) {
            Some(failure) => Err(failure),
            None => Ok(exit::OK),
        }
    }
}

/// Builds, with what the builders say on standard error.
pub(crate) async fn build(context: &Context, request: &UpRequest) -> Result<BuildDocument, Failure> {
    let services = &request.stack.services;
    let selector = request.select.as_deref().and_then(|text| text.parse::<Selector>().ok());
    let chosen = selector.unwrap_or_else(Selector::all).services(&request.stack).unwrap_or_default();
    let names = services.keys().filter(|name| chosen.contains(*name)).map(ToString::to_string).collect::<Vec<_>>();
    let painter = Painter::for_errors(&names, &context.terminal);
    let mut lines = context.client()?.build(request).await?;
    while let Some(progress) = lines.next().await? {
        match progress {
            BuildProgress::Said { service, text } => context.note(&painter.said(&service, &text)),
            BuildProgress::Done(document) => return Ok(document),
        }
    }
    let message = "the daemon ended before the builds did".to_owned();
    Err(Failure::new("daemon::connection_lost", exit::DAEMON, message, "run the command again"))
}

/// What to say where a build failed.
fn failed(document: &BuildDocument) -> Option<Failure> {
    let names: Vec<&str> =
        document.builds.iter().filter(|b| b.result == "failed").map(|b| b.service.as_str()).collect();
    let first = names.first()?;
    let message = format!(
        "{} of {} failed: {}",
        names.len(),
        crate::human::count(document.builds.len(), "build"),
        names.join(", ")
    );
    let help = format!("mend what its output above tells; `muster logs {first}` keeps it once the stack was up");
    Some(Failure::new("build::failed", exit::FAILED, message, help))
}
