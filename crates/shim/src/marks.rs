//! What everything that a run starts carries in its environment: which run it is, and where the run's folder lies.
//!
//! The id alone does not tell: it is unique below one home of Muster, and two homes of one machine, or of two machines that
//! share a host, may have the same stack in the same place.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The variable with the run's id.
pub const RUN: &str = "MUSTER_RUN";
/// The variable with the run's folder.
pub const RUN_DIR: &str = "MUSTER_RUN_DIR";

/// The marks of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks<'a> {
    pub(crate) run: &'a str,
    pub(crate) folder: &'a Path,
}

impl Marks<'_> {
    /// Puts them into an environment, in place of what stands there under their names.
    pub(crate) fn set(self, env: &mut Vec<(OsString, OsString)>) {
        for (name, value) in [(RUN, OsStr::new(self.run)), (RUN_DIR, self.folder.as_os_str())] {
            env.retain(|(other, _)| other != name);
            env.push((name.into(), value.into()));
        }
    }

    /// Whether they stand in an environment as /proc has it.
    pub(crate) fn stand_in(self, environ: &[u8]) -> bool {
        let value = |name: &str| {
            let words = environ.split(|byte| *byte == 0);
            words.filter_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next_back()
        };
        value(RUN) == Some(self.run.as_bytes())
            && value(RUN_DIR).is_some_and(|found| same_place(Path::new(OsStr::from_bytes(found)), self.folder))
    }
}

/// Whether both are one folder, over whatever links a home was named by.
fn same_place(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::Marks;
    use std::path::Path;

    #[test]
    fn a_run_is_told_by_its_id_and_its_place() {
        let home = tempfile::tempdir().unwrap();
        let (folder, link) = (home.path().join("a"), home.path().join("link"));
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let marks = |run, folder| Marks { run, folder };
        let mut env = vec![("MUSTER_RUN".into(), "of another".into()), ("A".into(), "1".into())];
        marks("e/s#1/1", &folder).set(&mut env);
        assert_eq!(env.len(), 3);
        let words = env.iter().map(|(name, value)| [name.as_encoded_bytes(), b"=", value.as_encoded_bytes()].concat());
        let environ = words.collect::<Vec<_>>().join(&0);
        assert!(marks("e/s#1/1", &folder).stand_in(&environ));
        assert!(marks("e/s#1/1", &link).stand_in(&environ), "a home may be named by a link");
        assert!(!marks("e/s#1/11", &folder).stand_in(&environ));
        assert!(!marks("e/s#1/1", home.path()).stand_in(&environ), "another home's run of this id");
        assert!(!marks("e/s#1/1", Path::new("/nowhere")).stand_in(b"MUSTER_RUN=e/s#1/1\0"));
    }
}
