//! What is brought to a host, before a start and while it runs: files and folders, only those that differ.
//!
//! ```text
//!  sync   a whole path, as it is here     ─┐
//!  bring  what changed below a root: erase ─┴► Compare ──► those that differ ──► Put, each whole or not at all
//!                                                 ▲                               │ it changed while it was read
//!                                                 └───────────────────────────────┘ at most ATTEMPTS times
//! ```

use super::mux::{Cut, Mux};
use super::wire::{Answer, Ask, Entry, EntryKind, Failure, Input, Item, OpenAsk, PIECE};
use crate::agent::sha256_of;
use crate::contract::Changes;
use futures::stream::{self, StreamExt as _};
use muster_spec::SyncPath;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;

/// Files that are on their way at the same time.
const AT_ONCE: usize = 4;
/// What changes while it is read is read anew; what does so every time is told.
const ATTEMPTS: usize = 5;

/// Why it did not come to be.
#[derive(Debug)]
pub(super) enum SyncError {
    /// The link was lost.
    Cut(Cut),
    /// Something here or there is in the way.
    Failed(String),
}

impl From<Cut> for SyncError {
    fn from(cut: Cut) -> Self {
        Self::Cut(cut)
    }
}

fn failed(failure: Failure) -> SyncError {
    SyncError::Failed(failure.text())
}

/// What is to be there, and where its content is here.
type Listing = Vec<(Entry, PathBuf)>;

/// Brings what differs.
pub(super) async fn sync(mux: &Arc<Mux>, paths: &[SyncPath]) -> Result<(), SyncError> {
    for path in paths {
        let listed = || {
            let local = path.local.clone();
            reading(path.local.clone(), move || list(&local))
        };
        level(mux, &path.remote, listed).await?;
    }
    Ok(())
}

/// Brings what changed below a root, and removes what is gone.
pub(super) async fn bring(mux: &Arc<Mux>, changes: &Changes) -> Result<(), SyncError> {
    let root = text(&changes.below).map_err(|error| SyncError::Failed(error.to_string()))?;
    let outside = |error: io::Error| SyncError::Failed(error.to_string());
    let removed = changes.removed.iter().map(|path| below(path, &changes.below));
    let paths = removed.collect::<io::Result<Vec<_>>>().map_err(outside)?;
    // what is in the way of one thing keeps no other from being brought
    let erased = match paths.is_empty() {
        true => Ok(()),
        false => match mux.call(Ask::Erase { root: root.clone(), paths }).await? {
            Ok(Answer::Done) => Ok(()),
            Ok(other) => Err(confused(&other)),
            Err(failure) => Err(failed(failure)),
        },
    };
    let files = changes.files.iter().map(|file| Ok((below(&file.to, &changes.below)?, file.from.clone())));
    let files = files.collect::<io::Result<Vec<_>>>().map_err(outside)?;
    let listed = || {
        let files = files.clone();
        reading(changes.below.clone(), move || list_changed(&files))
    };
    level(mux, &root, listed).await.and(erased)
}

fn confused(answer: &Answer) -> SyncError {
    SyncError::Failed(format!("the host answered {answer:?}"))
}

async fn reading(
    of: PathBuf,
    list: impl FnOnce() -> io::Result<Listing> + Send + 'static,
) -> Result<Listing, SyncError> {
    let listed = tokio::task::spawn_blocking(list).await.map_err(io::Error::other).flatten();
    listed.map_err(|error| SyncError::Failed(format!("could not read `{}`: {error}", of.display())))
}

/// Makes what is there what is listed here; lists anew while something changes meanwhile.
async fn level<L>(mux: &Arc<Mux>, root: &str, listed: impl Fn() -> L) -> Result<(), SyncError>
where
    L: Future<Output = Result<Listing, SyncError>>,
{
    let mut torn = Vec::new();
    for _ in 0..ATTEMPTS {
        torn = level_once(mux, root, listed().await?).await?;
        if torn.is_empty() {
            return Ok(());
        }
    }
    let what = torn.first().map(|path| path.display().to_string()).unwrap_or_default();
    Err(SyncError::Failed(format!("`{what}` changes all the time while it is read")))
}

/// What became another file since it was listed comes back.
async fn level_once(mux: &Arc<Mux>, root: &str, listing: Listing) -> Result<Vec<PathBuf>, SyncError> {
    if listing.is_empty() {
        return Ok(Vec::new());
    }
    let entries = listing.iter().map(|(entry, _)| entry.clone()).collect();
    let missing = match mux.call(Ask::Compare { root: root.to_owned(), entries }).await?.map_err(failed)? {
        Answer::Missing(missing) => missing,
        other => return Err(confused(&other)),
    };
    let missing = missing.iter().filter_map(|at| listing.get(*at as usize)).cloned();
    let puts: Vec<_> = missing.map(|(entry, local)| put(Arc::clone(mux), root.to_owned(), entry, local)).collect();
    let done: Vec<_> = stream::iter(puts).buffer_unordered(AT_ONCE).collect().await;
    let torn = |put| match put {
        Ok(Put::Placed) => None,
        Ok(Put::Torn(local)) => Some(Ok(local)),
        Err(error) => Some(Err(error)),
    };
    done.into_iter().filter_map(torn).collect()
}

/// What became of a file's content on its way.
enum Put {
    Placed,
    /// It is another file by now than the one that was announced.
    Torn(PathBuf),
}

async fn put(mux: Arc<Mux>, root: String, entry: Entry, local: PathBuf) -> Result<Put, SyncError> {
    let told = |error: io::Error| SyncError::Failed(format!("could not read `{}`: {error}", local.display()));
    let mut file = match tokio::fs::File::open(&local).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Put::Torn(local)),
        file => file.map_err(told)?,
    };
    let mut channel = mux.open(OpenAsk::Put { root, entry }).await?;
    channel.opened().await?.map_err(failed)?;
    let inlet = channel.inlet();
    let send = async {
        let mut buffer = vec![0; PIECE];
        loop {
            let count = file.read(&mut buffer).await.map_err(told)?;
            let input = if count == 0 { Input::Eof } else { Input::Bytes(buffer[..count].to_vec()) };
            if inlet.send(input).await.is_err() || count == 0 {
                // where the other side gave up it says why below
                return Ok::<(), SyncError>(());
            }
        }
    };
    // what cannot be read has no end that the other side could be waited for: the channel is dropped
    let (_, said) = futures::future::try_join(send, async { Ok(channel.next().await) }).await?;
    match said {
        Some(Item::Placed) => Ok(Put::Placed),
        Some(Item::Torn) => Ok(Put::Torn(local)),
        Some(Item::Failed(failure)) => Err(failed(failure)),
        Some(_) | None => Err(SyncError::Cut(Cut("the link was lost while files were brought".to_owned()))),
    }
}

/// Everything below a path, folders before what is in them.
fn list(root: &Path) -> io::Result<Listing> {
    let mut listing = Vec::new();
    let mut next = vec![PathBuf::new()];
    while let Some(relative) = next.pop() {
        let path = if relative.as_os_str().is_empty() { root.to_owned() } else { root.join(&relative) };
        let found = entry(&path, &relative);
        // below its root something may go while the rest is listed
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound && !relative.as_os_str().is_empty();
        let found = match found {
            Err(error) if gone(&error) => None,
            found => found?,
        };
        // sockets, pipes and devices are of this machine
        let Some(found) = found else { continue };
        if found.kind == EntryKind::Folder {
            for entry in fs::read_dir(&path)? {
                next.push(relative.join(entry?.file_name()));
            }
        }
        listing.push((found, path));
    }
    listing.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    Ok(listing)
}

/// Changed files, each by its path below their root, and the folders between: as they are now. What is gone again is told
/// as a change of its own.
fn list_changed(files: &[(String, PathBuf)]) -> io::Result<Listing> {
    let mut listing = BTreeMap::new();
    for (path, local) in files {
        let relative = Path::new(path);
        let between = relative.ancestors().zip(local.ancestors());
        let between: Vec<_> = between.take_while(|(relative, _)| !relative.as_os_str().is_empty()).collect();
        for (relative, local) in between.into_iter().rev() {
            let found = match entry(local, relative) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                found => found?,
            };
            let Some(found) = found else { break };
            let leads_on = found.kind == EntryKind::Folder;
            listing.insert(found.path.clone(), (found, local.to_owned()));
            // what is behind a link has its place elsewhere
            if !leads_on {
                break;
            }
        }
        if path.is_empty() && local.exists() {
            listing.extend(list(local)?.into_iter().map(|(entry, local)| (entry.path.clone(), (entry, local))));
        }
    }
    Ok(listing.into_values().collect())
}

/// One path as it is now; nothing where it is no file, folder or link.
fn entry(path: &Path, relative: &Path) -> io::Result<Option<Entry>> {
    // the root may be a link to what is meant; below it links stay links
    let metadata = if relative.as_os_str().is_empty() { fs::metadata(path) } else { fs::symlink_metadata(path) }?;
    let kind = if metadata.is_dir() {
        EntryKind::Folder
    } else if metadata.is_symlink() {
        EntryKind::Link(text(&fs::read_link(path)?)?)
    } else if metadata.is_file() {
        // what cannot be read is no file that could be there: whoever sends it tells why
        EntryKind::File { sha256: sha256_of(path).unwrap_or_default(), len: metadata.len() }
    } else {
        return Ok(None);
    };
    Ok(Some(Entry { path: text(relative)?, mode: metadata.permissions().mode() & 0o7777, kind }))
}

fn text(path: &Path) -> io::Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| io::Error::other(format!("`{}` is no UTF-8 text", path.display())))
}

/// A path of the host, as it is called below a root.
fn below(path: &Path, root: &Path) -> io::Result<String> {
    let below = path.strip_prefix(root).ok();
    let below = below.filter(|below| below.components().all(|part| matches!(part, Component::Normal(_))));
    let outside = || {
        let message = format!("`{}` is not below `{}`", path.display(), root.display());
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    text(below.ok_or_else(outside)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn paths(listing: &Listing) -> Vec<&str> {
        listing.iter().map(|(entry, _)| entry.path.as_str()).collect()
    }

    #[test]
    fn a_folder_comes_before_what_is_in_it() {
        let home = tempfile::TempDir::new().unwrap();
        fs::create_dir_all(home.path().join("a/b")).unwrap();
        fs::write(home.path().join("a/b/c"), "x").unwrap();
        symlink("b/c", home.path().join("a/link")).unwrap();
        let listed = list(home.path()).unwrap();
        assert_eq!(paths(&listed), ["", "a", "a/b", "a/b/c", "a/link"]);
        assert_eq!(listed[4].0.kind, EntryKind::Link("b/c".into()));
        let alone = list(&home.path().join("a/b/c")).unwrap();
        assert_eq!((paths(&alone), &alone[0].1), (vec![""], &home.path().join("a/b/c")));
        assert!(list(&home.path().join("missing")).is_err());
    }

    #[test]
    fn what_changed_comes_with_its_folders_and_what_is_gone_again_does_not() {
        let home = tempfile::TempDir::new().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir_all(at("src/deep")).unwrap();
        fs::set_permissions(at("src/deep"), fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(at("src/deep/a"), "x").unwrap();
        symlink("/etc", at("src/link")).unwrap();
        let changed =
            ["deep/a", "link/hosts", "deep/gone", "none/gone"].map(|path| (path.to_owned(), at("src").join(path)));
        let listed = list_changed(&changed).unwrap();
        assert_eq!(paths(&listed), ["deep", "deep/a", "link"]);
        assert_eq!((listed[0].0.mode, &listed[0].0.kind), (0o750, &EntryKind::Folder));
        assert_eq!(listed[2].0.kind, EntryKind::Link("/etc".into()), "a link is not what it leads to");
        // a root that is one file, by a link
        symlink("src/deep/a", at("program")).unwrap();
        let listed = list_changed(&[(String::new(), at("program"))]).unwrap();
        assert!(
            matches!(&listed[..], [(Entry { path, kind: EntryKind::File { len: 1, .. }, .. }, _)] if path.is_empty())
        );
        assert_eq!(list_changed(&[(String::new(), at("gone"))]).unwrap(), []);
    }

    #[test]
    fn only_what_is_below_has_a_place() {
        let (path, root) = (Path::new, Path::new("~/app"));
        assert_eq!(below(path("~/app/a/b"), root).unwrap(), "a/b");
        assert_eq!(below(path("~/app"), root).unwrap(), "");
        for outside in ["~/apple", "/etc/x", "~/app/../x", "~/app/a/../../x"] {
            let told = below(path(outside), root).unwrap_err().to_string();
            assert!(told.contains("is not below `~/app`"), "{told}");
        }
    }

    /// This side and a host's, in one process.
    async fn linked(home: &Path) -> Arc<Mux> {
        let place = crate::agent::Place::new(home, None, "0123456789abcdef", Path::new("/no/shim")).unwrap();
        let runtime = crate::ProcessRuntime::new(place.config(None)).unwrap();
        let (near, far) = tokio::io::duplex(PIECE);
        let (far_from, far_to) = tokio::io::split(far);
        tokio::spawn(crate::agent::serve(runtime, place, crate::agent::Orphans::Left, far_from, far_to));
        let (mut from, to) = tokio::io::split(near);
        from.read_exact(&mut vec![0; super::super::wire::GREETING.len()]).await.unwrap();
        Mux::over(from, to).await.unwrap()
    }

    fn file(local: &Path) -> (Entry, PathBuf) {
        (entry(local, Path::new("file")).unwrap().unwrap(), local.to_owned())
    }

    #[tokio::test]
    async fn what_changes_while_it_is_read_is_read_again_and_never_there_by_halves() {
        let (here, there) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
        let mux = linked(there.path()).await;
        let local = here.path().join("file");
        fs::write(&local, "one").unwrap();
        let listed = file(&local);
        fs::write(&local, "two").unwrap();
        // listed before the change every time
        let failed = level(&mux, "app", || std::future::ready(Ok(vec![listed.clone()]))).await;
        assert!(matches!(failed, Err(SyncError::Failed(reason)) if reason.contains("changes all the time")));
        assert_eq!(fs::read_dir(there.path().join("app")).unwrap().count(), 0);
        // only the first time
        let first = std::cell::Cell::new(Some(listed));
        level(&mux, "app", || std::future::ready(Ok(vec![first.take().unwrap_or_else(|| file(&local))])))
            .await
            .unwrap();
        assert_eq!(fs::read_to_string(there.path().join("app/file")).unwrap(), "two");
        // gone again: whoever lists anew does not list it
        let gone = std::cell::Cell::new(Some(file(&local)));
        fs::remove_file(&local).unwrap();
        fs::remove_file(there.path().join("app/file")).unwrap();
        level(&mux, "app", || std::future::ready(Ok(gone.take().into_iter().collect()))).await.unwrap();
        assert_eq!(fs::read_dir(there.path().join("app")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn two_who_bring_one_file_are_not_in_each_others_way() {
        let (here, there) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
        let mux = linked(there.path()).await;
        let local = here.path().join("file");
        let content = "x".repeat(PIECE * 4);
        fs::write(&local, &content).unwrap();
        let (found, local) = file(&local);
        let one = || put(Arc::clone(&mux), "app".to_owned(), found.clone(), local.clone());
        let done = futures::future::join_all([one(), one(), one()]).await;
        assert!(done.iter().all(|put| matches!(put, Ok(Put::Placed))));
        assert_eq!(fs::read_to_string(there.path().join("app/file")).unwrap(), content);
        assert_eq!(fs::read_dir(there.path().join("app")).unwrap().count(), 1);
    }
}
