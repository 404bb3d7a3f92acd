//! `muster-agent`: what Muster brings to another host, beside `muster-shim`.
//!
//! ```text
//! muster-agent serve OWNER SHIM     serves the process driver over standard input and output until that ends
//! muster-agent hash FILE            says the SHA-256 of a file, and thereby that it runs on this machine
//! ```
#![forbid(unsafe_code)]

use muster_runtime::agent::{Orphans, Place, serve, sha256_of};
use muster_runtime::{ProcessRuntime, become_subreaper};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let texts: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let done = match texts.as_slice() {
        ["serve", owner, shim] => run(owner, Path::new(shim)),
        ["hash", file] => sha256_of(Path::new(file)).map(|hash| println!("{hash}")).map_err(|error| error.to_string()),
        _ => Err("usage: muster-agent serve OWNER SHIM | muster-agent hash FILE".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("muster-agent: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(owner: &str, shim: &Path) -> Result<(), String> {
    if owner.is_empty() || !owner.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("an owner is letters and digits".to_owned());
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let home = home.ok_or("there is no HOME for this user")?;
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR");
    let place = Place::new(&home, runtime_dir.as_deref(), owner, shim).map_err(|error| error.to_string())?;
    // an emulator of programs of another architecture does not know it: whoever asks is told
    let orphans = become_subreaper().map_or(Orphans::Left, |()| Orphans::Taken);
    let config = place.config(raise_nofile());
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tokio = tokio.map_err(|error| format!("could not start: {error}"))?;
    let served = tokio.block_on(async {
        let runtime = ProcessRuntime::new(config).map_err(|error| error.to_string())?;
        serve(runtime, place, orphans, tokio::io::stdin(), tokio::io::stdout()).await.map_err(|error| error.to_string())
    });
    // a read of standard input may still be under way on its thread: nobody waits for it
    tokio.shutdown_background();
    served
}

/// A run takes a few descriptors here. What the limit was before, services get.
fn raise_nofile() -> Option<(u64, u64)> {
    let before = getrlimit(Resource::Nofile);
    // what cannot be raised is enough for fewer services
    let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    Some((before.current.unwrap_or(u64::MAX), before.maximum.unwrap_or(u64::MAX)))
}
