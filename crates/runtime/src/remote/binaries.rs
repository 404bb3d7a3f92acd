//! What is brought to a host: the agent and the supervisor, for its kind of machine.

use super::trouble::Trouble;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Where a binary is.
#[derive(Debug, Clone)]
pub enum Binary {
    /// Part of this program.
    Embedded(&'static [u8]),
    /// A file.
    File(PathBuf),
}

/// What hosts of one kind get.
#[derive(Debug, Clone)]
pub struct HostBinaries {
    /// The machine, as `uname -m` says it: `x86_64` or `aarch64`.
    pub machine: &'static str,
    /// `muster-agent`.
    pub agent: Binary,
    /// `muster-shim`.
    pub shim: Binary,
}

impl Binary {
    pub(super) fn bytes(&self) -> io::Result<Cow<'static, [u8]>> {
        match self {
            Self::Embedded(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::File(path) => fs::read(path)
                .map(Cow::Owned)
                .map_err(|error| io::Error::new(error.kind(), format!("could not read `{}`: {error}", path.display()))),
        }
    }
}

/// A kind of machine, with the hashes that its files are named by.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) binaries: HostBinaries,
    pub(super) agent: String,
    pub(super) shim: String,
}

/// All kinds that this build serves, hashed when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    binaries: Vec<HostBinaries>,
    hashed: OnceLock<Vec<Kind>>,
}

impl Kinds {
    pub(super) fn new(binaries: Vec<HostBinaries>) -> Self {
        Self { binaries, hashed: OnceLock::new() }
    }

    pub(super) fn all(&self) -> Result<&[Kind], Trouble> {
        if let Some(hashed) = self.hashed.get() {
            return Ok(hashed);
        }
        let hash = |binary: &Binary| binary.bytes().map(|bytes| hex(&Sha256::digest(&bytes)));
        let hashed: io::Result<Vec<Kind>> = self
            .binaries
            .iter()
            .map(|one| Ok(Kind { agent: hash(&one.agent)?, shim: hash(&one.shim)?, binaries: one.clone() }))
            .collect();
        let hashed = hashed.map_err(|error| Trouble::lasting(error.to_string()))?;
        if hashed.is_empty() {
            return Err(Trouble::lasting(
                "this build of Muster brings no `muster-agent` for other hosts: build it with `cargo xtask build`, or set \
                 `MUSTER_AGENT` to its path",
            ));
        }
        Ok(self.hashed.get_or_init(|| hashed))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
