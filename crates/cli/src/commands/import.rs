//! `muster import`.

use crate::compose::ComposeOptions;
use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::files::{self, Wanted};
use clap::Args;
use muster_api::exit;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Write a muster.yaml that says the same as a compose project, a process-compose file or a Procfile.
///
/// What cannot be kept is listed on standard error; nothing is dropped in silence.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file; later ones are laid over earlier ones. None: the compose project that is found here.
    #[arg(value_name = "IMPORTED")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    compose: ComposeOptions,
    /// Where it is written instead of standard output; an existing file is left alone.
    #[arg(short, long, value_name = "OUTPUT")]
    out: Option<PathBuf>,
    /// Only the report of what cannot be kept.
    #[arg(long)]
    loss: bool,
}

impl Import {
    /// Runs the command.
    pub(crate) fn run(self, context: &mut Context) -> Outcome {
        context.global.compose = self.compose.clone();
        let root = self.root(context)?;
        let imported = files::import(context, &self.inputs, &Wanted::default(), &root)?;
        if self.loss {
            context.answer(&imported.loss, |loss| match loss.is_empty() {
                true => "nothing is lost\n".into(),
                false => loss.to_string(),
            })?;
            return Ok(exit::OK);
        }
        let yaml = muster_config::import::to_yaml(&imported.document);
        match &self.out {
            Some(path) => write_new(path, &yaml)?,
            None if context.global.json => context.print_json(&imported.document)?,
            None => context.print(&yaml)?,
        }
        if !imported.loss.is_empty() {
            context.note(&format!("kept differently:\n{}", imported.loss.to_string().trim_end()));
        }
        if let Some(path) = &self.out {
            context.note(&format!("wrote {}; `muster validate` checks it, `muster up` runs it", path.display()));
        }
        Ok(exit::OK)
    }

    /// Where the document will lie: beside its output, else where the file lies.
    fn root(&self, context: &Context) -> Result<PathBuf, Failure> {
        let cwd = context.cwd()?;
        let beside = match (&self.out, self.inputs.first()) {
            (Some(out), _) => Some(cwd.join(out)),
            (None, Some(first)) => Some(cwd.join(first)),
            (None, None) => crate::compose::discover(&context.global.compose, &cwd).into_iter().next(),
        };
        let folder = beside.as_deref().and_then(Path::parent).unwrap_or(&cwd);
        Ok(muster_compose::files::clean(folder))
    }
}

/// Writes a file that was not there.
pub(crate) fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let written = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            let help = "nothing was overwritten; move it away or choose another name";
            Failure::new("cli::exists", exit::FAILED, format!("`{}` is there already", path.display()), help)
        }
        _other => Failure::io(&format!("`{}` cannot be written", path.display()), &error),
    })?;
    let failed = |error| Failure::io(&format!("`{}` cannot be written", path.display()), &error);
    file.write_all(text.as_bytes()).map_err(failed)
}
