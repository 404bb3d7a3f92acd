//! What is mounted into a container.

use super::names::{self, Owner};
use bollard::models::{
    Mount as EngineMount, MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType,
    MountVolumeOptions,
};
use muster_spec::{ContainerRun, Mount, MountSource, RunId};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

/// Below a run's folder: files with written content.
const FILES: &str = "files";
/// Readable by all: nobody knows who the container's user is.
const CONTENT_MODE: u32 = 0o444;

/// Where the n-th mount's content lies.
fn content(folder: &Path, n: usize) -> PathBuf {
    folder.join(FILES).join(n.to_string())
}

/// All mounts in the engine's words.
pub(super) fn mounts(container: &ContainerRun, run: &RunId, owner: &Owner, folder: &Path) -> Vec<EngineMount> {
    let each = container.mounts.iter().enumerate();
    each.map(|(n, mount)| one(mount, run, owner, &content(folder, n))).collect()
}

fn one(mount: &Mount<String>, run: &RunId, owner: &Owner, content: &Path) -> EngineMount {
    let mut made =
        EngineMount { target: Some(mount.target.clone()), read_only: Some(mount.read_only), ..Default::default() };
    match &mount.source {
        MountSource::Bind { path, propagation, .. } => {
            made.typ = Some(MountType::BIND);
            made.source = Some(path.clone());
            let propagation =
                propagation.as_deref().and_then(|word| MountBindOptionsPropagationEnum::from_str(word).ok());
            made.bind_options =
                propagation.map(|word| MountBindOptions { propagation: Some(word), ..Default::default() });
        }
        MountSource::Volume(volume) => {
            made.typ = Some(MountType::VOLUME);
            let name =
                if volume.external { volume.name.clone() } else { names::volume(&run.environment, &volume.name) };
            made.source = Some(name);
            made.volume_options = Some(MountVolumeOptions {
                no_copy: volume.nocopy.then_some(true),
                subpath: volume.subpath.clone(),
                ..Default::default()
            });
        }
        MountSource::Anonymous => {
            made.typ = Some(MountType::VOLUME);
            let labels = owner.labels(&run.environment);
            made.volume_options = Some(MountVolumeOptions { labels: Some(labels), ..Default::default() });
        }
        MountSource::Tmpfs { size, mode } => {
            made.typ = Some(MountType::TMPFS);
            let size_bytes = size.as_ref().and_then(|size| i64::try_from(size.get()).ok());
            made.tmpfs_options =
                Some(MountTmpfsOptions { size_bytes, mode: mode.map(i64::from), ..Default::default() });
        }
        MountSource::Content { .. } => {
            made.typ = Some(MountType::BIND);
            made.source = Some(content.display().to_string());
        }
    }
    made
}

/// Makes what a container finds at its mounts and that is ours to make: folders, and files with written content.
/// Blocks.
pub(super) fn prepare(container: &ContainerRun, folder: &Path) -> Result<(), String> {
    for (n, mount) in container.mounts.iter().enumerate() {
        match &mount.source {
            MountSource::Bind { path, create: true, .. } if !Path::new(path).exists() => {
                fs::create_dir_all(path).map_err(|error| format!("cannot make `{path}` to mount it: {error}"))?;
            }
            MountSource::Bind { path, create: false, .. } if !Path::new(path).exists() => {
                return Err(format!("`{path}`, which is mounted at `{}`, is not there", mount.target));
            }
            MountSource::Content { text, mode } => {
                let file = content(folder, n);
                write(&file, text, mode.unwrap_or(CONTENT_MODE))
                    .map_err(|error| format!("cannot write the content of `{}`: {error}", mount.target))?;
            }
            MountSource::Bind { .. } | MountSource::Volume(_) | MountSource::Anonymous | MountSource::Tmpfs { .. } => {}
        }
    }
    Ok(())
}

fn write(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder)?;
    // the engine mounts it as root; a rootless one is ourselves
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?;
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::write(file, text)?;
    fs::set_permissions(file, fs::Permissions::from_mode(mode))
}

/// Removes what [`prepare`] wrote below the run's folder.
pub(super) fn clear(folder: &Path) {
    // what was never written is gone already
    let _ = fs::remove_dir_all(folder.join(FILES));
}
