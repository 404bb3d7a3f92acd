//! Supervises one run of one service and outlives the daemon.
//!
//! # Theory of operation
//! A *run* is one start of one instance. Each run has a folder and a process of its own that watches over it, the shim:
//! a small static binary with one thread. The daemon executes it once, as a [`ForkServer`]: each run's shim is a fork of
//! that, and the daemon's own child. The daemon makes a socketpair, orders a shim with the other end, and once it knows
//! the shim writes [`Request::Hello`] and [`Request::Launch`] into it. From then on everything delicate happens in the shim:
//!
//! 1. lock the folder, refuse a run that was started before, bind the socket, open the log;
//! 2. become session leader and subreaper, fork; the child takes its limits, groups, user and folder and executes;
//! 3. write `meta`, tell [`Message::Started`] or [`Message::StartFailed`] with the step and the error;
//! 4. carry the service's output into the log, answer whoever connects, until the main process ends;
//! 5. end what the service left behind, drain the log, write `exit`, tell [`Message::Ended`], end.
//!
//! The shim never restarts anything, and nothing it does needs a daemon: connections come and go. Truth lies on disk
//! ([`Meta`], [`ExitRecord`], the log); what a daemon finds after its own death it reads there.
//!
//! If the shim itself is killed, its child gets SIGKILL from the kernel, the daemon ends the rest
//! ([`end_leftovers`]) and keeps the last bytes with the duplicates of the pipes it was given ([`salvage`]): what the shim
//! had on its way to the log is among them, because it takes nothing out of its pipes before that is in the log.

mod client;
mod hold;
mod launch;
mod marks;
mod protocol;
mod record;
mod salvage;
pub mod server;
mod sys;
mod wire;

pub use client::{Client, ClientError};
pub use launch::{ExecSpec, Identity, LAUNCH_VERSION, LaunchSpec, Limit, Output, Resource, Target, TtySize};
pub use marks::{RUN, RUN_DIR};
pub use protocol::{
    AttachRole, ExitCause, Exited, Message, Phase, Refusal, Request, Status, Step, Usage, VERSION, Version,
};
pub use record::{EXIT_FILE, ExitRecord, META_FILE, Meta, RecordError};
pub use salvage::{Pipes, Salvage, SalvageError, salvage};
pub use sys::{
    ForkServer, Spawned, boot_id, end_leftovers, is_alive, kill_marked, kill_tree, monotonic_ns, proc_start_time,
    realtime_ns, recv_with_fds, send_with_fds,
};
pub use wire::{FrameBuffer, MAX_FRAME, RawFrame, WireError, split_frame};

/// The descriptor number under which a fork server finds the connection that orders come over.
const INHERITED_FD: i32 = 3;
/// First argument of a fork server.
const FORK_SERVER: &str = "fork-server";
/// How the environment of a shim begins, and nothing else's; the run's id follows.
pub const RUN_MARK: &str = "MUSTER_SHIM_RUN=";
