//! A container: as it is wanted ([`ContainerSpec`], references open) and as a runtime is given it ([`ContainerRun`],
//! nothing left to decide). What holds for both as it is written is in [`ContainerOptions`].

use crate::{ByteSize, CommandSpec, HumanDuration, Step, Template};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a service runs as a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Image to run; with `build`, the tag it gets.
    pub image: Option<Template>,
    /// How the image is built.
    pub build: Option<ImageBuild>,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// In place of the image's entrypoint; an empty command takes it away.
    pub entrypoint: Option<CommandSpec>,
    /// In place of the image's command.
    pub command: Option<CommandSpec>,
    /// Steps before the start, each in a container of its own with the same mounts.
    #[serde(default)]
    pub before: Vec<Step>,
    /// What is mounted.
    pub mounts: Vec<Mount<Template>>,
    /// Everything that holds as it is written.
    pub options: ContainerOptions,
}

/// A container with nothing left to decide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRun {
    /// Image to run; with `build`, the tag it gets.
    pub image: String,
    /// How the image is built.
    pub build: Option<ImageBuild>,
    /// An image that was built and is there is taken as it is: a restart is no build. No part of what runs.
    #[serde(skip)]
    pub as_built: bool,
    /// When the image is pulled.
    pub pull: PullPolicy,
    /// In place of the image's entrypoint; empty takes it away.
    pub entrypoint: Option<Vec<String>>,
    /// In place of the image's command.
    pub command: Option<Vec<String>>,
    /// What is mounted.
    pub mounts: Vec<Mount<String>>,
    /// Ports that are reached from outside of the environment's network.
    pub publish: Vec<PublishedPort>,
    /// Names under which the environment's other containers reach it.
    pub aliases: Vec<String>,
    /// Further names and where they lead: lines of `/etc/hosts`; `host-gateway` stands for this machine.
    pub hosts: Vec<(String, String)>,
    /// Everything that holds as it is written.
    pub options: ContainerOptions,
}

/// The word in [`ContainerRun::hosts`] that stands for this machine as the environment's network reaches it.
pub const HOST_GATEWAY: &str = "host-gateway";

/// The name under which a container reaches this machine.
pub const HOST_NAME: &str = "host.muster.internal";

/// How an image is built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageBuild {
    /// Folder that is sent to the builder.
    pub context: PathBuf,
    /// Dockerfile, relative to the context; `Dockerfile` by default.
    pub dockerfile: Option<PathBuf>,
    /// A Dockerfile's text, instead of a file.
    pub dockerfile_inline: Option<String>,
    /// Build arguments; without a value the builder's own environment counts.
    pub args: IndexMap<String, Option<String>>,
    /// The stage that is built.
    pub target: Option<String>,
    /// Labels of the image.
    pub labels: IndexMap<String, String>,
    /// Nothing is taken from the builder's cache.
    pub no_cache: bool,
    /// The base images are pulled anew.
    pub pull: bool,
    /// `linux/amd64` and the like.
    pub platform: Option<String>,
    /// The network of `RUN` steps.
    pub network: Option<String>,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// When it is not there.
    #[default]
    Missing,
    /// Before every start.
    Always,
    /// Never: it is there, or the start fails.
    Never,
}

/// Something that is seen in the container at a path. `T` is text with open references, or plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount<T> {
    /// What is seen.
    pub source: MountSource<T>,
    /// Absolute path in the container.
    pub target: String,
    /// It cannot be written.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource<T> {
    /// A file or folder of this machine.
    Bind {
        /// Absolute path.
        path: T,
        /// A missing folder is made.
        create: bool,
        /// `rprivate`, `rshared` and the like.
        propagation: Option<String>,
    },
    /// A named volume.
    Volume(VolumeSource),
    /// A volume without a name that goes with the container.
    Anonymous,
    /// Memory.
    Tmpfs {
        /// Its size; without one the engine's default.
        size: Option<ByteSize>,
        /// Mode of its root, octal in the file.
        mode: Option<u32>,
    },
    /// A file with this content, readable by all.
    Content {
        /// The content.
        text: T,
        /// Its mode, octal in the file.
        mode: Option<u32>,
    },
}

/// A named volume: it belongs to the environment, and to nobody when it is external.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSource {
    /// Its name in the file; `external`: its name at the engine.
    pub name: String,
    /// Not ours: it must be there, and stays.
    pub external: bool,
    /// The engine's volume driver.
    pub driver: Option<String>,
    /// The driver's options.
    pub driver_opts: IndexMap<String, String>,
    /// A folder in it.
    pub subpath: Option<String>,
    /// What the image has at the path is not copied into an empty volume.
    pub nocopy: bool,
}

/// A port of a container on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Its name in the stack.
    pub name: String,
    /// Port in the container.
    pub container: u16,
    /// Port on this machine.
    pub host: u16,
    /// Address on this machine: `127.0.0.1` unless the file says otherwise.
    pub address: String,
    /// A UDP port.
    pub udp: bool,
}

/// The network a container is in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// The environment's own, with the service's names.
    #[default]
    Environment,
    /// This machine's.
    Host,
    /// None at all.
    None,
}

/// The engine's own health check of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthCheck {
    /// The image's, where it has one.
    #[default]
    Image,
    /// None, even where the image has one.
    Disabled,
    /// This one.
    Own {
        /// `[CMD, ...]` or `[CMD-SHELL, ...]`.
        test: Vec<String>,
        /// Time between two checks.
        interval: Option<HumanDuration>,
        /// How long one may take.
        timeout: Option<HumanDuration>,
        /// Failures until unhealthy.
        retries: Option<u32>,
        /// Failures in this time after the start do not count.
        start_period: Option<HumanDuration>,
        /// Time between two checks in that time.
        start_interval: Option<HumanDuration>,
    },
}

/// What of a container holds as it is written. Names are those of the compose specification; absent means the engine's default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerOptions {
    /// User, or `user:group`, in the container.
    pub user: Option<String>,
    /// Further groups of that user.
    pub group_add: Vec<String>,
    /// Working directory in the container.
    pub working_dir: Option<String>,
    /// Host name in the container.
    pub hostname: Option<String>,
    /// Domain name in the container.
    pub domainname: Option<String>,
    /// The network.
    pub network: NetworkMode,
    /// Further names on the environment's network.
    pub aliases: Vec<String>,
    /// Further lines of `/etc/hosts`: name and address; `host-gateway` stands for this machine.
    pub extra_hosts: Vec<(String, String)>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    pub dns_opt: Vec<String>,
    /// A small init as process 1: it reaps and passes signals on.
    pub init: bool,
    /// The root file system cannot be written.
    pub read_only: bool,
    /// All privileges.
    pub privileged: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// Security options.
    pub security_opt: Vec<String>,
    /// Limits by name: soft and hard; -1 is none.
    pub ulimits: IndexMap<String, (i64, i64)>,
    /// Kernel parameters.
    pub sysctls: IndexMap<String, String>,
    /// Devices: `host:container:rwm`.
    pub devices: Vec<String>,
    /// Size of `/dev/shm`.
    pub shm_size: Option<ByteSize>,
    /// Memory that is kept free for it.
    pub memory_reservation: Option<ByteSize>,
    /// Memory and swap together; -1 is no limit.
    pub memory_swap: Option<i64>,
    /// Its chance to be ended when memory is short, -1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// Weight of its CPU shares.
    pub cpu_shares: Option<i64>,
    /// The CPUs it may use: `0-2,4`.
    pub cpuset: Option<String>,
    /// The PID namespace: `host`.
    pub pid: Option<String>,
    /// The IPC namespace: `host`, `private`, `shareable`.
    pub ipc: Option<String>,
    /// The UTS namespace: `host`.
    pub uts: Option<String>,
    /// The user namespace: `host`.
    pub userns_mode: Option<String>,
    /// The engine's runtime: `runc`, `nvidia`.
    pub runtime: Option<String>,
    /// `linux/amd64` and the like.
    pub platform: Option<String>,
    /// Standard input is kept open.
    pub stdin_open: bool,
    /// Labels, beside ours.
    pub labels: IndexMap<String, String>,
    /// The name at the engine, instead of one made of environment and service: two environments cannot both have it.
    pub container_name: Option<String>,
    /// The engine's own health check.
    pub health: HealthCheck,
}
