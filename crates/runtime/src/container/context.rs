//! What a builder gets: the folder as a tar stream, without what `.dockerignore` leaves out.

use super::names::short_hash;
use bytes::Bytes;
use futures::stream::{self, Stream};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use muster_spec::ImageBuild;
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// A Dockerfile that is not in the context has this name in it.
const OWN_DOCKERFILE: &str = ".muster.Dockerfile";
/// Pieces of the stream.
pub(super) const PIECE: usize = 64 << 10;
/// So many of them wait for whoever takes them.
const PIECES: usize = 16;

/// A context as it is now.
pub(super) struct Context {
    root: PathBuf,
    files: Vec<(PathBuf, Metadata)>,
    /// A Dockerfile from elsewhere.
    own: Option<String>,
    /// Its name in the context.
    pub(super) dockerfile: String,
    /// Its text.
    pub(super) text: String,
}

impl Context {
    /// Looks at everything that would be sent. Blocks.
    pub(super) fn look(build: &ImageBuild) -> io::Result<Self> {
        let root = build.context.clone();
        let (dockerfile, own, text) = dockerfile(build)?;
        let ignored = ignored(&root, &dockerfile)?;
        let mut files = Vec::new();
        collect(&root, Path::new(""), &ignored, &dockerfile, &mut files)?;
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self { root, files, own, dockerfile, text })
    }

    /// Changes when anything that is sent, or how it is built, does.
    pub(super) fn hash(&self, build: &ImageBuild) -> String {
        let mut text = serde_json::to_string(build).unwrap_or_default();
        text.push_str(&self.text);
        for (path, data) in &self.files {
            let (mtime, nanos) = if data.is_dir() { (0, 0) } else { (data.mtime(), data.mtime_nsec()) };
            let size = if data.is_dir() { 0 } else { data.len() };
            // writing to a string does not fail
            let _ = write!(text, "\0{}\0{:o}\0{size}\0{mtime}.{nanos}", path.display(), data.mode());
        }
        short_hash(text.as_bytes())
    }

    /// Sends it as a tar stream. Blocks; ends early where nobody takes it.
    pub(super) fn send(&self, pieces: &mpsc::Sender<Result<Bytes, io::Error>>) {
        let writer = io::BufWriter::with_capacity(PIECE, Pieces(pieces.clone()));
        if let Err(error) = self.write(writer) {
            // the builder is told that the context is torn, unless it went away itself
            let _ = pieces.blocking_send(Err(error));
        }
    }

    fn write(&self, writer: impl Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(writer);
        for (path, data) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_metadata(data);
            // as docker does it: whoever built it is nobody in the image
            header.set_uid(0);
            header.set_gid(0);
            if data.is_symlink() {
                header.set_size(0);
                tar.append_link(&mut header, path, fs::read_link(self.root.join(path))?)?;
            } else if data.is_file() {
                let file = fs::File::open(self.root.join(path))?;
                tar.append_data(&mut header, path, io::Read::take(file, data.len()))?;
            } else {
                header.set_size(0);
                tar.append_data(&mut header, path, io::empty())?;
            }
        }
        if let Some(text) = &self.own {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, OWN_DOCKERFILE, text.as_bytes())?;
        }
        tar.into_inner()?.flush()
    }
}

/// What of a build's context the builder does not get, by paths below it: neither does a container that is kept up to
/// date with it.
///
/// # Errors
/// The list cannot be read or understood.
pub fn left_out(build: &ImageBuild) -> io::Result<Gitignore> {
    let named = build.dockerfile.as_deref().unwrap_or_else(|| Path::new("Dockerfile"));
    ignored(&build.context, &named.to_string_lossy())
}

/// Its name in the context, its text where it must be added, and its text.
fn dockerfile(build: &ImageBuild) -> io::Result<(String, Option<String>, String)> {
    if let Some(text) = &build.dockerfile_inline {
        return Ok((OWN_DOCKERFILE.to_owned(), Some(text.clone()), text.clone()));
    }
    let named = build.dockerfile.clone().unwrap_or_else(|| "Dockerfile".into());
    let path = build.context.join(&named);
    let text = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read `{}`: {error}", path.display())))?;
    let (real, root) = (fs::canonicalize(&path)?, fs::canonicalize(&build.context)?);
    match real.strip_prefix(&root) {
        Ok(inside) => Ok((inside.to_string_lossy().into_owned(), None, text)),
        Err(_) => Ok((OWN_DOCKERFILE.to_owned(), Some(text.clone()), text)),
    }
}

/// The Dockerfile's own list, else the context's (docker's reference, `.dockerignore`): patterns count from the root,
/// the last that matches decides.
fn ignored(root: &Path, dockerfile: &str) -> io::Result<Gitignore> {
    let own = root.join(format!("{dockerfile}.dockerignore"));
    let list = if own.exists() { own } else { root.join(".dockerignore") };
    let text = match fs::read_to_string(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let mut builder = GitignoreBuilder::new(root);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (not, pattern) = line.strip_prefix('!').map_or(("", line), |pattern| ("!", pattern));
        let pattern = pattern.trim().trim_start_matches("./").trim_matches('/');
        if pattern.is_empty() {
            continue;
        }
        let anchored = format!("{not}/{pattern}");
        builder.add_line(None, &anchored).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("`{line}` in `{}`: {error}", list.display()))
        })?;
    }
    builder.build().map_err(io::Error::other)
}

fn collect(
    root: &Path,
    below: &Path,
    ignored: &Gitignore,
    dockerfile: &str,
    files: &mut Vec<(PathBuf, Metadata)>,
) -> io::Result<()> {
    let folder = root.join(below);
    let entries = fs::read_dir(&folder)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read `{}`: {error}", folder.display())))?;
    for entry in entries {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let data = entry.metadata()?;
        let is_dir = data.is_dir();
        let kept = path == Path::new(dockerfile)
            || path == Path::new(".dockerignore")
            || !ignored.matched_path_or_any_parents(&path, is_dir).is_ignore();
        if is_dir {
            // something below may be wanted all the same
            if kept || ignored.num_whitelists() > 0 || Path::new(dockerfile).starts_with(&path) {
                let before = files.len();
                collect(root, &path, ignored, dockerfile, files)?;
                if kept || files.len() > before {
                    files.push((path, data));
                }
            }
        } else if kept && (data.is_file() || data.is_symlink()) {
            files.push((path, data));
        }
    }
    Ok(())
}

/// A tar stream that is written while it is sent.
pub(super) fn streamed(
    write: impl FnOnce(&mpsc::Sender<Result<Bytes, io::Error>>) + Send + 'static,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || write(&sender));
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) })
}

/// A writer whose pieces somebody else takes.
pub(super) struct Pieces(pub(super) mpsc::Sender<Result<Bytes, io::Error>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(build: &ImageBuild) -> Vec<String> {
        let context = Context::look(build).unwrap();
        let mut bytes = Vec::new();
        context.write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap();
        entries.map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn what_is_left_out_and_what_comes_back() {
        let home = tempfile::TempDir::new().unwrap();
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for name in ["Dockerfile", "a.log", "sub/a.log", "target/x", "target/keep/y", "src/main.rs", "deep/src/b.tmp"] {
            write(name, "FROM scratch\n");
        }
        write(".dockerignore", "# no\n*.log\ntarget\n!target/keep\n**/*.tmp\nDockerfile\n");
        let build = ImageBuild { context: home.path().to_owned(), ..Default::default() };
        let kept = [
            ".dockerignore",
            "Dockerfile",
            "deep",
            "deep/src",
            "src",
            "src/main.rs",
            "sub",
            "sub/a.log",
            "target",
            "target/keep",
            "target/keep/y",
        ];
        assert_eq!(names(&build), kept);
        let inline = ImageBuild { dockerfile_inline: Some("FROM scratch\n".into()), ..build.clone() };
        assert!(names(&inline).contains(&OWN_DOCKERFILE.to_owned()));
        let hash = |build: &ImageBuild| Context::look(build).unwrap().hash(build);
        let before = hash(&build);
        assert_eq!(before, hash(&build));
        write("src/main.rs", "changed");
        assert_ne!(before, hash(&build));
    }
}
