//! The programs under test: named by the caller, or built once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The programs under test.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// `muster`.
    pub muster: PathBuf,
    /// `muster-shim`.
    pub shim: PathBuf,
    /// The helper program of these tests.
    pub worker: PathBuf,
}

/// The programs under test: `MUSTER_BIN` and `MUSTER_SHIM`, else those of the target folder, brought up to date first.
///
/// # Panics
/// When they cannot be built.
pub fn binaries() -> &'static Binaries {
    static FOUND: OnceLock<Binaries> = OnceLock::new();
    FOUND.get_or_init(find)
}

fn find() -> Binaries {
    let own = std::env::current_exe().expect("the path of this test");
    let folder = own.parent().expect("a folder");
    // a test lies in `deps`
    let folder = if folder.ends_with("deps") { folder.parent().expect("a folder") } else { folder };
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let (muster, shim) = (named("MUSTER_BIN"), named("MUSTER_SHIM"));
    // who names the supervisor has built everything
    let built = muster.is_some() || (shim.is_some() && folder.join("muster").is_file());
    if !built {
        build(folder);
    }
    Binaries {
        muster: muster.unwrap_or_else(|| folder.join("muster")),
        shim: shim.unwrap_or_else(|| folder.join("muster-shim")),
        worker: folder.join("e2e-worker"),
    }
}

/// Cargo knows best what is stale.
fn build(folder: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "muster-cli", "-p", "muster-shim", "--bins"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = folder.parent() {
        command.env("CARGO_TARGET_DIR", target);
    }
    let status = command.status().expect("cargo can be run");
    assert!(status.success(), "the programs under test could not be built");
}
