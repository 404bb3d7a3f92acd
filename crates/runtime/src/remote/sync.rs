//! What is brought before a start: files and folders, only those that differ.

use super::mux::{Cut, Mux};
use super::wire::{Answer, Ask, Entry, EntryKind, Failure, Input, Item, OpenAsk, PIECE};
use crate::agent::sha256_of;
use muster_spec::SyncPath;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;

/// Files that are on their way at the same time.
const AT_ONCE: usize = 4;

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

/// Brings what differs; says how many files that were.
pub(super) async fn sync(mux: &Arc<Mux>, paths: &[SyncPath]) -> Result<usize, SyncError> {
    use futures::stream::{StreamExt as _, TryStreamExt as _};
    let mut brought = 0;
    for path in paths {
        let local = path.local.clone();
        let listed = tokio::task::spawn_blocking(move || list(&local)).await;
        let entries = listed
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| SyncError::Failed(format!("could not read `{}`: {error}", path.local.display())))?;
        let ask = Ask::Compare { root: path.remote.clone(), entries: entries.clone() };
        let missing = match mux.call(ask).await?.map_err(failed)? {
            Answer::Missing(missing) => missing,
            other => return Err(SyncError::Failed(format!("the host answered {other:?}"))),
        };
        let missing: Vec<Entry> = missing.iter().filter_map(|at| entries.get(*at as usize)).cloned().collect();
        brought += missing.len();
        let puts: Vec<_> = missing.into_iter().map(|entry| put(Arc::clone(mux), path.clone(), entry)).collect();
        futures::stream::iter(puts).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    }
    Ok(brought)
}

async fn put(mux: Arc<Mux>, path: SyncPath, entry: Entry) -> Result<(), SyncError> {
    let local = if entry.path.is_empty() { path.local.clone() } else { path.local.join(&entry.path) };
    let told = |error: io::Error| SyncError::Failed(format!("could not read `{}`: {error}", local.display()));
    let mut channel = mux.open(OpenAsk::Put { root: path.remote.clone(), entry: entry.clone() }).await?;
    channel.opened().await?.map_err(failed)?;
    let inlet = channel.inlet();
    let send = async {
        let mut file = tokio::fs::File::open(&local).await.map_err(told)?;
        let mut buffer = vec![0; PIECE];
        loop {
            let count = file.read(&mut buffer).await.map_err(told)?;
            let input = if count == 0 { Input::Eof } else { Input::Bytes(buffer[..count].to_vec()) };
            if inlet.send(input).await.is_err() || count == 0 {
                // where the other side gave up it says why below
                return Ok(());
            }
        }
    };
    let receive = async {
        match channel.next().await {
            Some(Item::Placed) => Ok(()),
            Some(Item::Failed(failure)) => Err(failed(failure)),
            Some(_) | None => Err(SyncError::Cut(Cut("the link was lost while files were brought".to_owned()))),
        }
    };
    let (sent, received) = futures::future::join(send, receive).await;
    sent.and(received)
}

/// Everything below a path, folders before what is in them.
fn list(root: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut next = vec![PathBuf::new()];
    while let Some(relative) = next.pop() {
        let path = if relative.as_os_str().is_empty() { root.to_owned() } else { root.join(&relative) };
        // the root may be a link to what is meant; below it links stay links
        let metadata = if relative.as_os_str().is_empty() { fs::metadata(&path) } else { fs::symlink_metadata(&path) }?;
        let text = relative.to_str().ok_or_else(|| io::Error::other("a name is no UTF-8 text"))?.to_owned();
        let mode = metadata.permissions().mode() & 0o7777;
        let kind = if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                next.push(relative.join(entry?.file_name()));
            }
            EntryKind::Folder
        } else if metadata.is_symlink() {
            let to = fs::read_link(&path)?;
            EntryKind::Link(to.to_str().ok_or_else(|| io::Error::other("a link is no UTF-8 text"))?.to_owned())
        } else if metadata.is_file() {
            EntryKind::File { sha256: sha256_of(&path)?, len: metadata.len() }
        } else {
            // sockets, pipes and devices are of this machine
            continue;
        };
        entries.push(Entry { path: text, mode, kind });
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_comes_before_what_is_in_it() {
        let home = tempfile::TempDir::new().unwrap();
        fs::create_dir_all(home.path().join("a/b")).unwrap();
        fs::write(home.path().join("a/b/c"), "x").unwrap();
        std::os::unix::fs::symlink("b/c", home.path().join("a/link")).unwrap();
        let listed = list(home.path()).unwrap();
        let paths: Vec<&str> = listed.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["", "a", "a/b", "a/b/c", "a/link"]);
        assert_eq!(listed[4].kind, EntryKind::Link("b/c".into()));
        let alone = list(&home.path().join("a/b/c")).unwrap();
        assert_eq!((alone.len(), alone[0].path.as_str()), (1, ""));
    }
}
