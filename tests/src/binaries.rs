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

/// The helper program, static: it runs in an image that has nothing else. Built when it is first asked for.
///
/// # Errors
/// When it cannot be built here; the words say why.
pub fn static_worker() -> Result<&'static Path, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build_static).as_deref().map_err(Clone::clone)
}

/// What is brought to hosts of another machine than this, static: the agent and the supervisor. Built when it is first
/// asked for, with no compiler or linker but Rust's own.
///
/// # Errors
/// When it cannot be built here; the words say why.
pub fn for_hosts(machine: &str) -> Result<[PathBuf; 2], String> {
    let folder = binaries().worker.parent().and_then(Path::parent).ok_or("no target folder")?;
    let target = format!("{machine}-unknown-linux-musl");
    let flags =
        "-C target-feature=+crt-static -C relocation-model=static -C linker=rust-lld -C link-self-contained=yes";
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "-p", "muster-agent", "-p", "muster-shim", "--bins", "--target", &target]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", folder);
    command.env(format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_")), flags);
    let output = command.output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("nothing for {machine} hosts: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(["muster-agent", "muster-shim"].map(|name| folder.join(&target).join("debug").join(name)))
}

fn build_static() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("MUSTER_TEST_WORKER").filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let folder = binaries().worker.parent().and_then(Path::parent).ok_or("no target folder")?;
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "-p", "muster-e2e", "--bin", "e2e-worker", "--target", &target]);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", folder);
    let output = command.output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("no static worker: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(folder.join(target).join("debug/e2e-worker"))
}

/// Cargo knows best what is stale.
fn build(folder: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "muster-cli", "-p", "muster-shim", "-p", "muster-agent", "--bins"]);
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
