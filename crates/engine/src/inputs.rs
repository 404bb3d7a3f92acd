//! Whether a job's or build's inputs changed: a hash over the names and contents of what their globs match.

use globset::{Glob, GlobSetBuilder};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Why inputs cannot be hashed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputsError {
    /// A glob is wrong.
    #[error("`{glob}` is not a glob")]
    Glob {
        /// As written.
        glob: String,
        /// What is wrong.
        #[source]
        source: globset::Error,
    },
    /// A file cannot be read.
    #[error("cannot read input `{path}`")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Hashes every file below `root` that one of `globs` matches. Hidden and ignored files count; `.git` and `target` do not.
///
/// # Errors
/// [`InputsError`] for a wrong glob or a file that cannot be read.
pub(crate) fn hash(root: &Path, globs: &[String]) -> Result<String, InputsError> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let wrong = |source| InputsError::Glob { glob: glob.clone(), source };
        set.add(Glob::new(glob.trim_start_matches("./")).map_err(wrong)?);
    }
    let set = set.build().map_err(|source| InputsError::Glob { glob: globs.join(", "), source })?;
    let mut hasher = Sha256::new();
    let walk = ignore::WalkBuilder::new(root)
        .standard_filters(false)
        .filter_entry(|entry| entry.file_name() != ".git" && entry.file_name() != "target")
        .sort_by_file_name(Ord::cmp)
        .build();
    for entry in walk.filter_map(Result::ok).filter(|e| e.file_type().is_some_and(|t| t.is_file())) {
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        if set.is_match(relative) {
            let read = |source| InputsError::Read { path: entry.path().display().to_string(), source };
            let bytes = std::fs::read(entry.path()).map_err(read)?;
            hasher.update(relative.as_os_str().as_encoded_bytes());
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
    }
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_with_names_and_contents_of_what_matches_only() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let now = || hash(dir.path(), &["*.sql".to_owned()]).unwrap();
        write("1.sql", "a");
        let first = now();
        write("readme", "x");
        assert_eq!(first, now());
        write("1.sql", "b");
        let second = now();
        assert_ne!(first, second);
        write("2.sql", "");
        assert_ne!(second, now());
        assert!(hash(dir.path(), &["[".to_owned()]).is_err());
    }
}
