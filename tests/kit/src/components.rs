//! What a test asks for: the component, or none and a line that says so.

use crate::services::{self, Services};
use crate::{Engine, images};
use std::path::PathBuf;

/// The variable that names Docker's socket, `unix:///...`.
pub const DOCKER: &str = "MUSTER_TEST_DOCKER";
/// The variable that names a `docker` client which fits that engine.
pub const DOCKER_CLI: &str = "MUSTER_TEST_DOCKER_CLI";
/// The variable that names the socket of Podman's service.
pub const PODMAN: &str = "MUSTER_TEST_PODMAN";
/// The variable that names the sshd program.
pub const SSHD: &str = "MUSTER_TEST_SSHD";
/// The variable that names the emulator of aarch64 programs.
pub const QEMU: &str = "MUSTER_TEST_QEMU_AARCH64";
/// The variable that names the folder of PostgreSQL's server programs.
pub const POSTGRES: &str = "MUSTER_TEST_POSTGRES";

/// Docker Engine with the images of the tests, or none and a reported skip.
#[must_use]
pub fn docker(suite: &str) -> Option<Engine> {
    engine(suite, DOCKER, "no Docker Engine", |services| services.docker().engine())
}

/// Podman's service with the images of the tests, or none and a reported skip.
#[must_use]
pub fn podman(suite: &str) -> Option<Engine> {
    engine(suite, PODMAN, "no Podman", |services| services.podman().engine())
}

/// A `docker` client, or none and a reported skip.
#[must_use]
pub fn docker_cli(suite: &str) -> Option<PathBuf> {
    program(suite, DOCKER_CLI, "no docker client", services::docker_cli)
}

/// The sshd program, or none and a reported skip.
#[must_use]
pub fn sshd(suite: &str) -> Option<PathBuf> {
    program(suite, SSHD, "no sshd", services::sshd)
}

/// The emulator of aarch64 programs, or none and a reported skip.
#[must_use]
pub fn qemu_aarch64(suite: &str) -> Option<PathBuf> {
    program(suite, QEMU, "no qemu-aarch64-static", services::qemu_aarch64)
}

/// The folder of PostgreSQL's server programs, or none and a reported skip.
#[must_use]
pub fn postgres(suite: &str) -> Option<PathBuf> {
    program(suite, POSTGRES, "no PostgreSQL server", services::postgres)
}

/// Notes that something was not tested, for whoever reads the result: `SKIPPED suite: reason`.
pub fn skip(suite: &str, reason: &str) {
    let line = format!("SKIPPED {suite}: {reason}");
    eprintln!("{line}");
    let Some(path) = std::env::var_os("MUSTER_SKIPS") else { return };
    append(&path, &format!("{line}\n"));
}

/// Shows what a test measured or proved, to be read and pasted: on its output, and at the end of `cargo xtask test`.
pub fn shown(text: &str) {
    println!("{text}");
    let Some(path) = std::env::var_os("MUSTER_SHOWN") else { return };
    append(&path, &format!("{text}\n"));
}

/// In one write: other tests do so at the same time. What it says stands on the test's output as well.
fn append(path: &std::ffi::OsStr, text: &str) {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
}

/// The engine that a variable names, else the one that stays up between runs.
fn engine(suite: &str, variable: &str, missing: &str, kept: fn(&Services) -> Engine) -> Option<Engine> {
    let named = named(variable).map(|address| Engine::at(&address.to_string_lossy()));
    let engine = named.unwrap_or_else(|| kept(&Services::usual()));
    let trouble = if engine.answers() {
        images::ensure(&engine).err().map(|error| error.to_string())
    } else {
        Some(format!("nobody answers at `{}`; `cargo xtask services up` starts one", engine.socket.display()))
    };
    match trouble {
        None => Some(engine),
        Some(trouble) => {
            skip(suite, &format!("{missing}: {trouble}"));
            None
        }
    }
}

fn program(suite: &str, variable: &str, missing: &str, find: fn() -> Option<PathBuf>) -> Option<PathBuf> {
    let found = named(variable).map(PathBuf::from).or_else(find);
    if found.is_none() {
        skip(suite, &format!("{missing}; `cargo xtask test` as root installs it"));
    }
    found
}

fn named(variable: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(variable).filter(|value| !value.is_empty())
}
