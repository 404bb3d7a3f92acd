//! Files of other tools, told by name and content, through the importers.

use crate::files::Host;
use crate::import::{Foreign, ImportOptions, Imported, SourceFile, import_process_compose, import_procfile};
use crate::load::Request;
use crate::problem::{Code, Problem, Problems};
use std::io;
use std::path::{Path, PathBuf};

/// The document of foreign files; nothing when the first file is a stack file.
pub(crate) fn import(request: &Request, files: &[PathBuf], host: &dyn Host) -> Option<Result<Imported, Problems>> {
    let texts: Option<Vec<SourceFile>> = files.iter().map(|path| source(path, host)).collect();
    let texts = texts?;
    let first = texts.first()?;
    let foreign = Foreign::of(first).filter(|_| !is_stack_file(&first.path))?;
    let read = |path: &Path| {
        let bytes = host.read(path)?;
        String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
    };
    let options = ImportOptions {
        // Other tools run where they are called.
        project_dir: request.cwd.clone(),
        env: request.env.clone(),
        ..ImportOptions::default()
    };
    let imported = match foreign {
        Foreign::ProcessCompose => import_process_compose(&texts, &options, &read),
        Foreign::Procfile => import_procfile(first, &options, &read),
    };
    Some(imported.map_err(|problems| {
        let list = problems.iter().map(|problem| {
            let source = std::error::Error::source(problem).map(|why| format!(": {why}")).unwrap_or_default();
            Problem::error(Code::Foreign, format!("{problem}{source}")).with_help(format!("see `{}`", problem.code()))
        });
        Problems { list: list.collect(), sources: Vec::new() }
    }))
}

fn is_stack_file(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| crate::FILE_NAMES.contains(&name))
}

fn source(path: &Path, host: &dyn Host) -> Option<SourceFile> {
    let text = String::from_utf8(host.read(path).ok()?).ok()?;
    Some(SourceFile { path: path.to_owned(), text })
}
