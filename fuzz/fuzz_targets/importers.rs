//! Any text as a process-compose file or a Procfile: a document or problems. What an importer makes is a stack file that
//! can be read, whatever it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_config::import::{ImportOptions, SourceFile, import_process_compose, import_procfile};
use muster_config::{Memory, Request, load_document};
use std::io::{Error, ErrorKind};
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // further files hold the same text
    let read = |path: &Path| match path.extension() {
        Some(_) => Ok(text.to_owned()),
        None => Err(Error::from(ErrorKind::NotFound)),
    };
    let options = ImportOptions { project_dir: "/w".into(), ..ImportOptions::default() };
    let file = |name: &str| SourceFile { path: Path::new("/w").join(name), text: text.to_owned() };
    let found = [
        import_process_compose(&[file("process-compose.yaml")], &options, &read),
        import_procfile(&file("Procfile"), &options, &read),
    ];
    for imported in found {
        match imported {
            Ok(imported) => {
                let request = Request { cwd: "/w".into(), ..Request::default() };
                let _stack = load_document(&request, &imported.document, Vec::new(), &Memory::default());
            }
            Err(problems) => assert!(!problems.is_empty()),
        }
    }
});
