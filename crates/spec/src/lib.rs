//! The validated model of a stack: what is wanted, with every name checked and every reference typed.
//!
//! ```text
//!  muster.yaml ──► config ──► Stack ──► core / engine          (only `config` builds a Stack)
//!                               ├─ ServiceSpec  one per service or job, with its variants
//!                               ├─ Template     text with typed references, resolved per consumer at each start
//!                               └─ InstanceSpec what a runtime is given: everything resolved, nothing to decide
//! ```
//!
//! A [`Stack`] is resolved for *one* environment: overlays are merged, `${NAME}` is replaced, a variant is chosen. What
//! only the daemon can know (ports, addresses, folders) stays as a [`Reference`] inside a [`Template`].
#![forbid(unsafe_code)]

mod address;
mod container;
mod instance;
mod names;
mod policy;
mod probe;
mod quantity;
mod remote;
mod selector;
mod service;
mod stack;
mod template;

pub use address::{Address, Location, Scope};
pub use container::{
    ContainerOptions, ContainerRun, ContainerSpec, HOST_GATEWAY, HOST_NAME, HealthCheck, ImageBuild, Mount,
    MountSource, NetworkMode, PublishedPort, PullPolicy, VolumeSource,
};
pub use instance::{
    EnvironmentId, IdentityError, InstanceId, InstanceSpec, ResolvedCommand, RunId, RunMode, SecretText, Streams,
};
pub use names::{EnvironmentName, NameError, PortName, ServiceName, StackName};
pub use policy::{
    Backoff, Limits, LogPolicy, OnEnd, OnRestart, RestartOn, RestartPolicy, RestartWindow, Signal, StopSpec, Target,
    UnhealthyPolicy, UnknownSignal, Until,
};
pub use probe::{Check, EngineHealth, HttpCheck, Matcher, ProbeSet, ProbeSpec, Role};
pub use quantity::{ByteSize, HumanDuration, QuantityError};
pub use remote::{RemoteRun, RemoteSpec, SyncPath, Tunnel, TunnelEnd};
pub use selector::{Selector, SelectorError, SelectorPart};
pub use service::{
    AfterCopy, BuildSpec, CacheSpec, CommandSpec, DetailsSpec, ExternalSpec, MockSpec, Need, PortAt, PortSpec,
    ProcessSpec, RuntimeKind, ServiceKind, ServiceSpec, Step, Variants, WatchAction, WatchCopy, WatchRule,
};
pub use stack::{
    CleanTarget, DatabaseSpec, Engine, EnvSync, PortPlan, ProtoSync, Stack, StubDir, SyncSpec, TestSpec, VariableSpec,
};
pub use template::{Part, Reference, Template};
