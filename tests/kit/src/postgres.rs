//! An image of this machine's own PostgreSQL server, since no registry can be reached: its programs, its libraries, and
//! what they are linked with, at the paths they have here, on the root of the other images.

use crate::services::succeed;
use crate::{Engine, Result, Trouble, images};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The image; its command is a shell, like that of the others.
pub const IMAGE: &str = "muster-test/postgres:1";
/// Who runs the server, here and in the image: one number, so that both may use one folder.
pub const USER: &str = "postgres";

/// Programs in the image.
const PROGRAMS: [&str; 4] = ["postgres", "initdb", "pg_isready", "psql"];
/// A library that is loaded only where queries are compiled, and needs all of LLVM.
const LEFT_OUT: &str = "llvmjit.so";

/// Brings the image into an engine, unless it is there. `bin` is the folder of the server's programs.
///
/// # Errors
/// When something of it is missing here, or the engine refuses.
pub fn ensure(engine: &Engine, bin: &Path) -> Result<()> {
    if engine.has_image(IMAGE) {
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(Trouble::at("a folder"))?;
    let root = folder.path();
    images::fill(root)?;
    fs::write(root.join("etc/passwd"), passwd()?).map_err(Trouble::at("etc/passwd"))?;
    let mut programs: Vec<PathBuf> = PROGRAMS.iter().map(|name| bin.join(name)).collect();
    programs.extend(modules(bin)?);
    let mut files: BTreeSet<PathBuf> = programs.iter().cloned().collect();
    for program in &programs {
        files.extend(linked(program)?);
    }
    for file in &files {
        copy(file, root)?;
    }
    share(bin, root)?;
    images::import_root(engine, IMAGE, root)
}

/// Users of the image: the server's has the number it has here.
fn passwd() -> Result<String> {
    let here = fs::read_to_string("/etc/passwd").map_err(Trouble::at("/etc/passwd"))?;
    let line = here.lines().find(|line| line.starts_with(&format!("{USER}:")));
    let number = line.and_then(|line| line.split(':').nth(2)).ok_or_else(|| Trouble::new("no user `postgres`"))?;
    Ok(format!("root:x:0:0:root:/tmp:/bin/sh\n{USER}:x:{number}:{number}::/tmp:/bin/sh\n"))
}

/// What the server loads while it runs, from `../lib`.
fn modules(bin: &Path) -> Result<Vec<PathBuf>> {
    let folder = bin.with_file_name("lib");
    let entries = fs::read_dir(&folder).map_err(Trouble::at(folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|end| end == "so") && !path.ends_with(LEFT_OUT)).collect())
}

/// The libraries that a program or a library is linked with, and the loader.
fn linked(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().map_err(Trouble::at("starting `ldd`"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x...)`, or the loader's path alone
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(text.lines().filter_map(path).collect())
}

fn copy(file: &Path, root: &Path) -> Result<()> {
    let target = root.join(file.strip_prefix("/").unwrap_or(file));
    fs::create_dir_all(target.parent().unwrap_or(root)).map_err(Trouble::at(target.display()))?;
    fs::copy(file, &target).map(drop).map_err(Trouble::at(file.display()))
}

/// What `initdb` reads, and the time zones, which are the system's.
fn share(bin: &Path, root: &Path) -> Result<()> {
    let version = bin.parent().and_then(Path::file_name).ok_or_else(|| Trouble::new("a version of PostgreSQL"))?;
    let own = Path::new("/usr/share/postgresql").join(version);
    for from in [own.as_path(), Path::new("/usr/share/zoneinfo")] {
        let target = root.join(from.strip_prefix("/").unwrap_or(from));
        fs::create_dir_all(target.parent().unwrap_or(root)).map_err(Trouble::at(target.display()))?;
        succeed(Command::new("cp").arg("-a").arg(from).arg(&target))?;
    }
    Ok(())
}
