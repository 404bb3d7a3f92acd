//! One shape for every runtime: what can be done to a process can be done to a container and to a remote process.
//!
//! ```text
//!  engine ──► Runtime::start(run, spec) ──► Handle      kept in the journal; finds the run again after everything died
//!             Runtime::watch(handle)    ──► events      exited, log grew, notify, link lost, link back
//!             Runtime::signal / kill    ──► the run's tree, verified to be ours before every signal
//!             Runtime::recover(run, ..) ──► Running | Exited | Absent | Unverifiable
//! ```
//!
//! [`Mirror`] copies the log of a run that is elsewhere. [`contract`] is the trait and its words, `process` drives `muster-shim`, `remote`
//! drives it on other hosts through [`agent`], `fake` is scripted and needs no processes,
//! `conformance` is the suite that every runtime must pass.

pub mod agent;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "container")]
pub mod container;
pub mod contract;
pub mod fake;
mod mirror;
pub mod process;
mod progress;
pub mod remote;
mod sys;

#[cfg(feature = "container")]
pub use container::{ContainerConfig, ContainerRuntime};
pub use contract::{
    Brought, BroughtTo, Built, Capabilities, Capability, Changes, Exec, ExecEvent, ExecInput, ExitRecord, FarProcess,
    Found, FoundRun, Handle, Heard, Inspect, Known, LogChunk, Problem, Runtime, RuntimeError, RuntimeEvent, StartError,
    Terminal, TerminalSize, Usage,
};
pub use fake::{FakeRuntime, Script, World};
pub use mirror::Mirror;
pub use process::{Config, KEEP_RUNS, ProcessRuntime};
pub use remote::{Binary, HostBinaries, HostFolders, Masters, RemoteConfig, RemoteRuntime, SshOptions};
pub use sys::{become_subreaper, release_memory};
