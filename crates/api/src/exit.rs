//! Exit codes: what a script may rely on.

/// Done, and true.
pub const OK: i32 = 0;
/// A service did not get there, a test failed.
pub const FAILED: i32 = 1;
/// The command line cannot be understood.
pub const USAGE: i32 = 2;
/// The configuration is wrong.
pub const CONFIG: i32 = 3;
/// No such service, environment or stack.
pub const NOT_FOUND: i32 = 4;
/// Timed out.
pub const TIMEOUT: i32 = 5;
/// A check found something.
pub const FOUND: i32 = 6;
/// The daemon cannot be reached or speaks another version.
pub const DAEMON: i32 = 7;
/// A runtime is not available here.
pub const RUNTIME: i32 = 8;
/// `exec`, `run`: Muster's own failure.
pub const OURS: i32 = 125;
/// `exec`, `run`: the command is not executable.
pub const NOT_EXECUTABLE: i32 = 126;
/// `exec`, `run`: the command was not found.
pub const COMMAND_NOT_FOUND: i32 = 127;
/// Interrupted by ctrl-C.
pub const INTERRUPTED: i32 = 130;

/// All of them with their meaning, as `muster help exit-codes` prints them.
pub const TABLE: &[(i32, &str)] = &[
    (OK, "done and true"),
    (FAILED, "failed: a service did not get there, a job or a test failed"),
    (USAGE, "usage: the command line cannot be understood"),
    (CONFIG, "the configuration is wrong"),
    (NOT_FOUND, "no such service, environment or stack"),
    (TIMEOUT, "timed out"),
    (FOUND, "a check found something (`health`, `plan --exit-code`)"),
    (DAEMON, "the daemon cannot be reached or speaks another version"),
    (RUNTIME, "a runtime is not available here"),
    (OURS, "`exec`, `run`: Muster's own failure; else the code of what they ran"),
    (NOT_EXECUTABLE, "`exec`, `run`: the command cannot be executed"),
    (COMMAND_NOT_FOUND, "`exec`, `run`: the command was not found"),
    (INTERRUPTED, "interrupted"),
];
