//! Where an agent keeps what it has, and what it puts where.

use crate::process::Config;
use crate::remote::wire::{Entry, EntryKind};
use muster_spec::EnvironmentId;
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Sockets below the runtime folder need 24 bytes, and a socket's path has 107 (unix(7)).
const LONGEST_RUNTIME_DIR: usize = 83;
/// A file is hashed in pieces of this size.
const HASH_AT_ONCE: usize = 256 << 10;

/// The folders of one owner on this host.
#[derive(Debug, Clone)]
pub struct Place {
    home: PathBuf,
    state: PathBuf,
    runtime: PathBuf,
    shim: PathBuf,
}

impl Place {
    /// The folders of `owner` for the user whose home this is.
    ///
    /// # Errors
    /// Where they cannot be made.
    pub fn new(home: &Path, xdg_runtime: Option<&OsStr>, owner: &str, shim: &Path) -> io::Result<Self> {
        let state = home.join(".local/state/muster-remote").join(owner);
        private(&state.join("state"))?;
        let short: String = owner.chars().take(8).collect();
        let root = rustix::process::geteuid().is_root().then(|| PathBuf::from("/run/muster-remote"));
        let user = xdg_runtime.filter(|dir| !dir.is_empty()).map(|dir| Path::new(dir).join("muster-remote"));
        // in the state folder they survive a logout, where the path is short enough
        let places = [Some(state.join("run")), user, root, Some(home.join(".muster-run"))];
        let places =
            places.into_iter().flatten().map(|place| if place.ends_with("run") { place } else { place.join(&short) });
        for runtime in places.filter(|place| place.as_os_str().len() <= LONGEST_RUNTIME_DIR) {
            if private(&runtime).is_ok() {
                return Ok(Self { home: home.to_owned(), state, runtime, shim: shim.to_owned() });
            }
        }
        let context = format!("no folder for sockets: the path of `{}` is too long", state.display());
        Err(io::Error::new(io::ErrorKind::InvalidFilename, context))
    }

    /// What the process driver of this owner is made with; services get the limit on open files that we had.
    #[must_use]
    pub fn config(&self, original_nofile: Option<(u64, u64)>) -> Config {
        Config {
            shim: self.shim.clone(),
            state_dir: self.state.join("state"),
            runtime_dir: self.runtime.clone(),
            original_nofile,
        }
    }

    /// Where the records and logs of an environment's runs lie.
    pub(super) fn runs(&self, environment: &EnvironmentId) -> PathBuf {
        self.state.join("state").join(environment.to_string())
    }

    /// Whether the supervisor's binary is still there.
    pub(super) fn has_shim(&self) -> bool {
        self.shim.is_file()
    }

    /// A path as it is meant on a host: a relative one, or one that begins with `~/`, starts at home.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        let path = path.strip_prefix("~").unwrap_or(path);
        self.home.join(path)
    }

    /// Where a path below a root lies; an error where it would lead out of it. The root may be a link to what is meant.
    pub(super) fn below(&self, root: &str, path: &str) -> io::Result<PathBuf> {
        let root = self.resolve(Path::new(root));
        if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{path}` leads out of its root")));
        }
        Ok(if path.is_empty() { root } else { root.join(path) })
    }

    /// Removes a file, or a folder with all that is in it; what is not there is fine. Below the root no link is followed,
    /// and the root itself goes only where it is no folder: that one is made for more than what comes from here.
    pub(super) fn erase(&self, root: &str, path: &str) -> io::Result<()> {
        let target = self.below(root, path)?;
        if !path.is_empty() && self.is_behind_link(root, path) {
            return Ok(());
        }
        let Some(there) = missing_is_none(fs::symlink_metadata(&target))? else { return Ok(()) };
        match (there.is_dir(), path.is_empty()) {
            (true, true) => {
                let reason = "everything here goes into it: remove it there if it is to go";
                Err(io::Error::new(io::ErrorKind::IsADirectory, reason))
            }
            (true, false) => missing_is_none(fs::remove_dir_all(&target)).map(drop),
            (false, _) => missing_is_none(fs::remove_file(&target)).map(drop),
        }
    }

    /// Whether one of the folders that a path names below its root is none, but leads elsewhere.
    fn is_behind_link(&self, root: &str, path: &str) -> bool {
        let mut folder = self.resolve(Path::new(root));
        let folders = Path::new(path).parent().into_iter().flat_map(Path::components);
        folders.into_iter().any(|part| {
            folder.push(part);
            fs::symlink_metadata(&folder).is_ok_and(|found| found.is_symlink())
        })
    }

    /// Makes folders, links and modes as they are to be; true where content is missing.
    pub(super) fn settle(&self, root: &str, entry: &Entry) -> io::Result<bool> {
        let path = self.below(root, &entry.path)?;
        let there = fs::symlink_metadata(&path).ok();
        match &entry.kind {
            EntryKind::Folder => {
                // what is a folder here becomes one there: through a link its files would go elsewhere
                if !entry.path.is_empty() && there.is_some_and(|there| !there.is_dir()) {
                    fs::remove_file(&path)?;
                }
                if !path.is_dir() {
                    fs::create_dir_all(&path)?;
                }
                // contents are still to come: a folder that may not be written is closed by who sends them
                fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode | 0o700))?;
                Ok(false)
            }
            EntryKind::Link(to) => {
                if fs::read_link(&path).is_ok_and(|found| found == Path::new(to)) {
                    return Ok(false);
                }
                make_parent(&path)?;
                let fresh = Fresh::beside(&path);
                std::os::unix::fs::symlink(to, &fresh.path)?;
                fresh.put_at(&path)?;
                Ok(false)
            }
            EntryKind::File { sha256, len } => {
                let same = there.is_some_and(|there| there.is_file() && there.len() == *len)
                    && sha256_of(&path).is_ok_and(|found| found == *sha256);
                if same {
                    fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode))?;
                }
                Ok(!same)
            }
        }
    }
}

/// What a file is until it is whole: dropped before that, it is gone.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) path: PathBuf,
}

impl Fresh {
    /// One beside the place where it is to be. Several for one place do not meet.
    pub(super) fn beside(path: &Path) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (process, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        Self { path: path.with_file_name(format!(".{name}.muster-{process}-{number}")) }
    }

    /// It is whole. An empty folder gives way to it, as a file does.
    pub(super) fn put_at(self, path: &Path) -> io::Result<()> {
        match fs::rename(&self.path, path) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory && fs::remove_dir(path).is_ok() => {
                fs::rename(&self.path, path)
            }
            done => done,
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // after its renaming nothing is there
        let _ = fs::remove_file(&self.path);
    }
}

fn missing_is_none<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}

/// Removes a folder of services, and what is empty then above it. The folder above all of them lies where everybody may
/// make one: only below one that is ours everything is.
pub(super) fn remove_below(top: &Path, folder: &Path) -> io::Result<()> {
    let gone = |done: io::Result<()>| match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    let there = match fs::symlink_metadata(top) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    if !there.is_dir() || there.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("`{}` is somebody else's", top.display())));
    }
    let below = folder.strip_prefix(top).map_err(|_| io::ErrorKind::InvalidInput)?;
    if below.as_os_str().is_empty() || !below.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    gone(fs::remove_dir_all(folder))?;
    // others' stay: a folder that is not empty is not removed
    for above in folder.ancestors().skip(1).take_while(|above| above.starts_with(top)) {
        if fs::remove_dir(above).is_err() {
            break;
        }
    }
    Ok(())
}

pub(super) fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

/// The SHA-256 of a file, in hex.
///
/// # Errors
/// Where it cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; HASH_AT_ONCE];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => digest.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_goes_and_what_is_empty_then() {
        let home = tempfile::TempDir::new().unwrap();
        let top = home.path().join("top");
        let [one, two] = ["data/one", "data/two"].map(|name| top.join(name));
        for folder in [&one, &two] {
            fs::create_dir_all(folder.join("db")).unwrap();
        }
        for outside in [&top, home.path(), &top.join("data/../../x")] {
            assert!(remove_below(&top, outside).is_err(), "{}", outside.display());
        }
        remove_below(&top, &one).unwrap();
        assert!(!one.exists() && two.exists());
        remove_below(&top, &two).unwrap();
        assert!(!top.exists());
        remove_below(&top, &two).unwrap();
        std::os::unix::fs::symlink("/tmp", &top).unwrap();
        assert!(remove_below(&top, &two).is_err(), "a link may lead anywhere");
    }

    fn place(home: &Path) -> Place {
        Place::new(home, None, "0123456789abcdef", Path::new("/no/shim")).unwrap()
    }

    fn file(path: &str, content: &str, mode: u32) -> Entry {
        let sha256 = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        Entry { path: path.into(), mode, kind: EntryKind::File { sha256, len: content.len() as u64 } }
    }

    #[test]
    fn only_what_differs_is_missing_and_modes_are_kept() {
        let home = tempfile::TempDir::new().unwrap();
        let place = place(home.path());
        let there = home.path().join("app/conf/a.txt");
        assert!(!place.settle("app", &Entry { path: "conf".into(), mode: 0o755, kind: EntryKind::Folder }).unwrap());
        assert!(place.settle("app", &file("conf/a.txt", "one", 0o640)).unwrap());
        fs::write(&there, "one").unwrap();
        assert!(!place.settle("~/app", &file("conf/a.txt", "one", 0o750)).unwrap());
        assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o777, 0o750);
        assert!(place.settle("app", &file("conf/a.txt", "two", 0o640)).unwrap(), "the same length, other content");
        let link = Entry { path: "link".into(), mode: 0o777, kind: EntryKind::Link("conf/a.txt".into()) };
        assert!(!place.settle("app", &link).unwrap());
        assert_eq!(fs::read_to_string(home.path().join("app/link")).unwrap(), "one");
    }

    #[test]
    fn what_is_in_the_way_gives_way_but_a_folder_with_something_in_it() {
        let home = tempfile::TempDir::new().unwrap();
        let place = place(home.path());
        let at = |name: &str| home.path().join("app").join(name);
        fs::create_dir_all(at("kept")).unwrap();
        fs::write(at("kept/file"), "kept").unwrap();
        std::os::unix::fs::symlink("kept", at("link")).unwrap();
        fs::write(at("file"), "").unwrap();
        let folder = |path: &str| Entry { path: path.into(), mode: 0o755, kind: EntryKind::Folder };
        for path in ["link", "file"] {
            assert!(!place.settle("app", &folder(path)).unwrap());
            assert!(fs::symlink_metadata(at(path)).unwrap().is_dir(), "`{path}` is a folder of its own");
        }
        let link = |path: &str| Entry { path: path.into(), mode: 0o777, kind: EntryKind::Link("kept".into()) };
        assert!(!place.settle("app", &link("link")).unwrap());
        assert_eq!(fs::read_link(at("link")).unwrap(), Path::new("kept"));
        assert!(place.settle("app", &link("kept")).is_err());
        assert_eq!(fs::read_to_string(at("kept/file")).unwrap(), "kept");
        assert_eq!(
            fs::read_dir(home.path().join("app")).unwrap().count(),
            3,
            "nothing is left of what could not be put"
        );
    }

    #[test]
    fn only_what_is_below_a_root_is_erased_and_through_no_link() {
        let home = tempfile::TempDir::new().unwrap();
        let place = place(home.path());
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at("app/deep/er")).unwrap();
        fs::create_dir_all(at("other")).unwrap();
        for file in ["app/deep/er/a", "other/a", "single"] {
            fs::write(at(file), "").unwrap();
        }
        std::os::unix::fs::symlink("../other", at("app/link")).unwrap();
        for path in ["../other/a", "/etc/x", "deep/../../other"] {
            assert!(place.erase("app", path).is_err(), "{path}");
        }
        place.erase("app", "link/a").unwrap();
        assert!(at("other/a").exists());
        for path in ["link", "deep", "deep", "none/at/all"] {
            place.erase("~/app", path).unwrap();
        }
        assert_eq!(fs::read_dir(at("app")).unwrap().count(), 0);
        let told = place.erase("app", "").unwrap_err().to_string();
        assert!(told.contains("everything here goes into it") && at("app").exists(), "{told}");
        place.erase("single", "").unwrap();
        assert!(!at("single").exists());
    }

    #[test]
    fn nothing_is_put_outside_of_its_root() {
        let home = tempfile::TempDir::new().unwrap();
        let place = place(home.path());
        for path in ["../x", "/etc/x", "a/../../x"] {
            assert!(place.settle("app", &file(path, "", 0o644)).is_err(), "{path}");
        }
    }
}
