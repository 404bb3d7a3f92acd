//! How an image is built (compose-spec, Build).

use std::collections::BTreeMap;

use super::decode::model;
use super::values::{Bytes, ExtraHosts, Pairs, SshKeys, Texts, Ulimit, Variables};
use super::wiring::Grant;

model! {
    /// How an image is built.
    pub struct Build {
        /// Folder or URL.
        context: String,
        /// Dockerfile, below the context unless it is absolute.
        dockerfile: String,
        /// Text of a Dockerfile instead.
        dockerfile_inline: String,
        /// Rights that the build is given.
        entitlements: Vec<String>,
        /// Arguments.
        args: Variables,
        /// Attestation of provenance.
        provenance: String,
        /// Attestation of the bill of materials.
        sbom: String,
        /// Keys of ssh.
        ssh: SshKeys,
        /// Labels of the image.
        labels: Pairs,
        /// Where the cache is taken from.
        cache_from: Texts,
        /// Where the cache goes.
        cache_to: Texts,
        /// Whether the cache is not used.
        no_cache: bool,
        /// More contexts by name.
        additional_contexts: Pairs,
        /// Whether base images are always pulled.
        pull: bool,
        /// Lines of the hosts file.
        extra_hosts: ExtraHosts,
        /// Isolation.
        isolation: String,
        /// Network of the build.
        network: String,
        /// Stage that is built.
        target: String,
        /// Secrets of the build.
        secrets: Vec<Grant>,
        /// Size of `/dev/shm`.
        shm_size: Bytes,
        /// More names of the image.
        tags: Texts,
        /// Limits of the kernel.
        ulimits: BTreeMap<String, Ulimit>,
        /// Platforms it is built for.
        platforms: Texts,
        /// Whether the build has all rights.
        privileged: bool,
    }
}
