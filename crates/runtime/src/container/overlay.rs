//! What was brought into an instance's containers since its image was made, kept on this machine: a container that
//! replaces another one gets it before it starts. A restart is a new container, and to whoever watches it is the same one.
//!
//! ```text
//!  ENV/INSTANCE/brought/   image     of which it is what follows; of another image nothing is kept
//!                          tree/     files as they are in the container, below its root
//!                          removed   paths that are gone there, a line each
//! ```

use super::context::{PIECE, Pieces};
use crate::contract::{Brought, Changes};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use tokio::sync::mpsc;

const FOLDER: &str = "brought";
const IMAGE: &str = "image";
const TREE: &str = "tree";
const REMOVED: &str = "removed";

/// An instance's.
#[derive(Debug, Clone)]
pub(super) struct Overlay {
    folder: PathBuf,
}

impl Overlay {
    /// Of the instance with this folder.
    pub(super) fn of(instance: &Path) -> Self {
        Self { folder: instance.join(FOLDER) }
    }

    /// Whether anything is kept.
    pub(super) fn exists(&self) -> bool {
        self.folder.exists()
    }

    /// What a new container of `image` gets. What belonged to another image is dropped. Blocks.
    pub(super) fn changes(&self, image: &str) -> io::Result<Changes> {
        if !self.is_of(image) {
            self.clear()?;
            return Ok(Changes::default());
        }
        let mut files = Vec::new();
        let tree = self.folder.join(TREE);
        collect(&tree, Path::new("/"), &mut files)?;
        Ok(Changes { below: "/".into(), files, removed: self.removed()?.into_iter().collect() })
    }

    /// Keeps what was brought into a container of `image`. Blocks.
    pub(super) fn keep(&self, image: &str, changes: &Changes) -> io::Result<()> {
        if !self.is_of(image) {
            self.clear()?;
        }
        let tree = self.folder.join(TREE);
        fs::create_dir_all(&tree)?;
        fs::write(self.folder.join(IMAGE), image)?;
        let mut removed = self.removed()?;
        for path in &changes.removed {
            take_away(&inside(&tree, path)?)?;
            removed.insert(path.clone());
        }
        for file in &changes.files {
            copy(&file.from, &inside(&tree, &file.to)?)?;
            removed.remove(&file.to);
        }
        let lines = removed.iter().flat_map(|path| [path.as_os_str().as_bytes(), b"\n"]);
        fs::write(self.folder.join(REMOVED), lines.flatten().copied().collect::<Vec<u8>>())
    }

    /// Nothing is kept any more. Blocks.
    pub(super) fn clear(&self) -> io::Result<()> {
        missing_is(fs::remove_dir_all(&self.folder), ())
    }

    fn is_of(&self, image: &str) -> bool {
        fs::read_to_string(self.folder.join(IMAGE)).is_ok_and(|known| known == image)
    }

    fn removed(&self) -> io::Result<BTreeSet<PathBuf>> {
        let text = missing_is(fs::read(self.folder.join(REMOVED)), Vec::new())?;
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(|line| PathBuf::from(OsString::from_vec(line.to_owned()))).collect())
    }
}

fn missing_is<T>(result: io::Result<T>, instead: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(instead),
        other => other,
    }
}

/// A path of the container below a folder of ours; its root itself is none.
fn inside(tree: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut parts = path.components();
    let absolute = parts.next() == Some(Component::RootDir);
    let below = parts.as_path();
    if !absolute || below.as_os_str().is_empty() || below.components().any(|part| !matches!(part, Component::Normal(_)))
    {
        let message = format!("`{}` is no path below a container's root", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(tree.join(below))
}

/// A file or a whole folder; nothing is fine.
fn take_away(path: &Path) -> io::Result<()> {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
    missing_is(if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) }, ())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    take_away(to)?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let copied = match fs::read_link(from) {
        Ok(target) => symlink(target, to),
        // with its mode
        Err(_) => fs::copy(from, to).map(|_| ()),
    };
    // gone again meanwhile: that is told as a change of its own
    missing_is(copied, ())
}

fn collect(folder: &Path, there: &Path, files: &mut Vec<Brought>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (from, to) = (entry.path(), there.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            collect(&from, &to, files)?;
        } else {
            files.push(Brought { from, to });
        }
    }
    Ok(())
}

/// Refuses what is no path of a container.
pub(super) fn check(changes: &Changes) -> io::Result<()> {
    let paths = changes.files.iter().map(|file| &file.to).chain(&changes.removed);
    paths.into_iter().try_for_each(|path| inside(Path::new(""), path).map(|_| ()))
}

/// Sends files as a tar stream below the container's root. Blocks; ends early where nobody takes it.
pub(super) fn send(files: &[Brought], pieces: &mpsc::Sender<Result<Bytes, io::Error>>) {
    let writer = io::BufWriter::with_capacity(PIECE, Pieces(pieces.clone()));
    let mut tar = tar::Builder::new(writer);
    let written = files.iter().try_for_each(|file| append(&mut tar, file));
    if let Err(error) = written.and_then(|()| tar.into_inner()?.flush()) {
        // the engine is told that the archive is torn, unless it went away itself
        let _ = pieces.blocking_send(Err(error));
    }
}

fn append<W: io::Write>(tar: &mut tar::Builder<W>, file: &Brought) -> io::Result<()> {
    let Some(data) = missing_is(fs::symlink_metadata(&file.from).map(Some), None)? else { return Ok(()) };
    let name = file.to.strip_prefix("/").unwrap_or(&file.to);
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&data);
    // as in an image: whoever wrote it here is nobody there
    header.set_uid(0);
    header.set_gid(0);
    if data.is_symlink() {
        header.set_size(0);
        return tar.append_link(&mut header, name, fs::read_link(&file.from)?);
    }
    if !data.is_file() {
        return Ok(());
    }
    let open = missing_is(fs::File::open(&file.from).map(Some), None)?;
    let Some(open) = open else { return Ok(()) };
    // of a file that shrinks while it is read the rest is zeros, and the change that shrank it comes next
    let exact = io::Read::take(io::Read::chain(open, io::repeat(0)), data.len());
    tar.append_data(&mut header, name, exact)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn file(from: &Path, to: &str) -> Brought {
        Brought { from: from.to_owned(), to: to.into() }
    }

    fn changes(files: Vec<Brought>, removed: Vec<PathBuf>) -> Changes {
        Changes { below: "/".into(), files, removed }
    }

    #[test]
    fn what_was_brought_is_kept_until_the_image_is_another() {
        let home = tempfile::TempDir::new().unwrap();
        let (here, overlay) = (home.path().join("run.sh"), Overlay::of(&home.path().join("api#1")));
        fs::write(&here, "one").unwrap();
        fs::set_permissions(&here, fs::Permissions::from_mode(0o750)).unwrap();
        let removed = vec!["/app/old".into(), "/app/back".into()];
        overlay.keep("a", &changes(vec![file(&here, "/app/run.sh")], removed)).unwrap();
        overlay.keep("a", &changes(vec![file(&here, "/app/back")], Vec::new())).unwrap();
        fs::write(&here, "two").unwrap();

        let found = overlay.changes("a").unwrap();
        let mut there: Vec<_> = found.files.iter().map(|file| file.to.display().to_string()).collect();
        there.sort();
        assert_eq!(there, ["/app/back", "/app/run.sh"]);
        assert_eq!(found.removed, [PathBuf::from("/app/old")]);
        let kept = &found.files.iter().find(|file| file.to.ends_with("run.sh")).unwrap().from;
        assert_eq!(fs::read_to_string(kept).unwrap(), "one");
        assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o750);

        overlay.keep("a", &changes(Vec::new(), vec!["/app".into()])).unwrap();
        assert_eq!(overlay.changes("a").unwrap().files, []);
        assert_eq!(overlay.changes("b").unwrap(), Changes::default());
        assert_eq!(overlay.changes("a").unwrap(), Changes::default());
    }

    #[test]
    fn nothing_goes_anywhere_else() {
        for path in ["/", "relative", "/a/../b", "/.."] {
            assert!(check(&changes(Vec::new(), vec![path.into()])).is_err(), "{path}");
        }
        check(&changes(vec![file(Path::new("x"), "/a/b")], vec!["/a".into()])).unwrap();
    }

    #[test]
    fn the_archive_has_modes_links_and_no_owner() {
        let home = tempfile::TempDir::new().unwrap();
        let (run, link) = (home.path().join("run"), home.path().join("link"));
        fs::write(&run, "text").unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
        symlink("run", &link).unwrap();
        let (sender, mut receiver) = mpsc::channel(64);
        send(&[file(&run, "/a/run"), file(&link, "/a/link"), file(&home.path().join("gone"), "/a/gone")], &sender);
        drop(sender);
        let mut bytes = Vec::new();
        while let Ok(piece) = receiver.try_recv() {
            bytes.extend_from_slice(&piece.unwrap());
        }
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let target = entry.link_name().unwrap().map(|target| target.display().to_string());
                (
                    entry.path().unwrap().display().to_string(),
                    header.mode().unwrap() & 0o777,
                    header.uid().unwrap(),
                    target,
                )
            })
            .collect();
        assert_eq!(entries[0], ("a/run".to_owned(), 0o755, 0, None));
        assert_eq!((entries[1].0.as_str(), entries[1].3.as_deref()), ("a/link", Some("run")));
        assert_eq!(entries.len(), 2);
    }
}
