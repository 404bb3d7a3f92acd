//! A disk that is soon full.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system on a folder; gone when it is dropped.
pub(crate) struct Small(PathBuf);

impl Small {
    pub(crate) fn mount(folder: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=700");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder);
        command.output().is_ok_and(|output| output.status.success()).then(|| Self(folder.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
        // the home could not remove what was mounted upon
        if let Some(root) = self.0.parent() {
            let _ = std::fs::remove_dir_all(root);
        }
    }
}
