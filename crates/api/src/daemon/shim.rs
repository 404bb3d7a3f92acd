//! The supervisor's binary: embedded in release builds, beside `muster` in development.

use super::DaemonError;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where the supervisor's binary comes from.
#[derive(Debug, Clone, Copy)]
pub enum ShimSource {
    /// It is part of this binary.
    Embedded(&'static [u8]),
    /// It lies beside this binary.
    Beside,
}

/// Finds the supervisor's binary, and unpacks it when it is embedded. `MUSTER_SHIM` overrides both.
///
/// An unpacked one is named by its content: a newer daemon never changes the file that runs.
///
/// # Errors
/// [`DaemonError`] when it is not there or cannot be unpacked.
pub fn find_shim(source: ShimSource, home: &Path, binary: &Path) -> Result<PathBuf, DaemonError> {
    if let Some(path) = std::env::var_os("MUSTER_SHIM").filter(|v| !v.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    match source {
        ShimSource::Embedded(bytes) => unpack(bytes, home),
        ShimSource::Beside => {
            let folder = binary.parent().unwrap_or(Path::new("/"));
            // a test binary lies one folder deeper
            let places = [Some(folder), folder.parent()];
            let found = places.into_iter().flatten().map(|p| p.join("muster-shim")).find(|path| path.is_file());
            found.ok_or_else(|| DaemonError::NoShim { beside: binary.to_owned() })
        }
    }
}

fn unpack(bytes: &[u8], home: &Path) -> Result<PathBuf, DaemonError> {
    let folder = home.join("bin");
    let path = folder.join(format!("muster-shim-{}", hex::encode(&Sha256::digest(bytes)[..8])));
    if std::fs::metadata(&path).is_ok_and(|m| m.len() == bytes.len() as u64) {
        return Ok(path);
    }
    let fail = |source| DaemonError::File { path: path.clone(), source };
    std::fs::create_dir_all(&folder).map_err(fail)?;
    let fresh = folder.join(format!("muster-shim.{}.new", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o755).open(&fresh).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    // a file that is open for writing cannot be executed
    drop(file);
    std::fs::rename(&fresh, &path).map_err(fail)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_embedded_one_is_unpacked_once() {
        let home = tempfile::tempdir().unwrap();
        let first = unpack(b"#!/bin/true\n", home.path()).unwrap();
        let again = unpack(b"#!/bin/true\n", home.path()).unwrap();
        assert_eq!(first, again);
        assert_ne!(first, unpack(b"#!/bin/false\n", home.path()).unwrap());
        assert_eq!(std::fs::metadata(&first).unwrap().permissions().mode() & 0o111, 0o111);
    }
}
