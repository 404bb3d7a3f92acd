//! The project as structs: every attribute long, every default given, everything with its place.
//!
//! ```text
//!  Project ─ services ─► Service ─ build, deploy, healthcheck, ports, volumes, depends_on ...
//!          ├ networks, volumes, configs, secrets, models
//!          └ extensions: the x- attributes at the top
//! ```
//! Fields have compose's own names. An empty text or list, `false` and 0 are what is not set, as in Compose; where that
//! would lose something there is an `Option`. Serialising a struct gives what `docker compose config --format json` prints,
//! save that it doubles each `$`: [`Project::to_json`] gives all of it.

mod build;
mod decode;
mod deploy;
mod parts;
mod print;
pub(crate) mod project;
mod service;
mod values;
mod wiring;

pub use build::Build;

pub use deploy::{
    Deploy, DeviceRequest, DiscreteResource, GenericResource, Placement, Preference, Resource, Resources,
    RestartPolicy, Update,
};
pub use parts::{
    Blkio, CredentialSpec, Dependency, Develop, Device, DeviceRate, DeviceWeight, EnvFile, HealthCheck, Hook, Logging,
    Provider, Watch,
};
pub use print::Unprintable;
pub use project::Project;
pub use service::Service;
pub use values::{
    Bytes, Command, DeviceCount, ExtraHosts, HealthTest, Mode, Options, Pairs, Share, SshKeys, Texts, Ulimit, Variables,
};
pub use wiring::{
    BindOptions, Config, Grant, ImageOptions, Ipam, Model, NamedVolume, Network, Pool, Port, Secret, ServiceModel,
    ServiceNetwork, TmpfsOptions, Volume, VolumeOptions,
};
