//! Failed starts in words.

pub(super) use crate::progress::Failure;
use muster_shim::Step;
use std::io;
use std::path::Path;

/// Not executable, as shells report it.
pub(super) const NOT_EXECUTABLE: i32 = 126;
/// Not found, as shells report it.
pub(super) const NOT_FOUND: i32 = 127;

impl Failure {
    pub(super) fn transient(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), code: None }
    }

    pub(super) fn permanent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), code: Some(NOT_EXECUTABLE) }
    }
}

/// What was tried, for the words.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// The program as it was written.
    pub(super) program: String,
    /// The working folder.
    pub(super) cwd: String,
    /// The user, where another one was asked for.
    pub(super) user: Option<String>,
}

/// The system's text without its number.
pub(super) fn errno_text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// A failed step as words and as a verdict.
pub(super) fn describe(step: Step, errno: i32, attempt: &Attempt) -> Failure {
    let why = errno_text(errno);
    let reason = match step {
        Step::Exec => return exec_failure(errno, attempt),
        Step::Cwd => format!("could not enter the working folder `{}`: {why}", attempt.cwd),
        Step::User | Step::Groups => match &attempt.user {
            Some(user) => format!("could not become user `{user}`: {why}"),
            None => format!("could not {}: {why}", step.describe()),
        },
        Step::Spec
        | Step::Lock
        | Step::Claimed
        | Step::Log
        | Step::Socket
        | Step::Notify
        | Step::Output
        | Step::Meta
        | Step::Fork
        | Step::Cgroup
        | Step::Session
        | Step::Limit
        | Step::Guard
        | Step::Stdio => format!("could not {}: {why}", step.describe()),
    };
    if is_about_the_spec(step) && !is_shortage(errno) { Failure::permanent(reason) } else { Failure::transient(reason) }
}

fn exec_failure(errno: i32, attempt: &Attempt) -> Failure {
    let program = &attempt.program;
    if is_shortage(errno) {
        return Failure::transient(format!("could not execute `{program}`: {}", errno_text(errno)));
    }
    if errno != libc::ENOENT {
        return Failure::permanent(format!("could not execute `{program}`: {}", errno_text(errno)));
    }
    let reason = if !program.contains('/') {
        format!("`{program}` is not found along PATH")
    } else if Path::new(&attempt.cwd).join(program).exists() {
        format!("the interpreter that `{program}` names in its first line is not there")
    } else {
        format!("`{program}` is not found")
    };
    Failure { reason, code: Some(NOT_FOUND) }
}

/// Steps that fail again unless the file or the machine is changed.
fn is_about_the_spec(step: Step) -> bool {
    match step {
        Step::Spec | Step::Cwd | Step::User | Step::Groups | Step::Limit | Step::Exec => true,
        Step::Lock
        | Step::Claimed
        | Step::Log
        | Step::Socket
        | Step::Notify
        | Step::Output
        | Step::Meta
        | Step::Fork
        | Step::Cgroup
        | Step::Session
        | Step::Guard
        | Step::Stdio => false,
    }
}

fn is_shortage(errno: i32) -> bool {
    [libc::EAGAIN, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::ETXTBSY, libc::EIO, libc::ENOSPC].contains(&errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_what_and_why() {
        let attempt = Attempt { program: "nope".into(), cwd: "/srv/x".into(), user: Some("bob".into()) };
        let said = |step, errno| describe(step, errno, &attempt);
        assert_eq!(said(Step::Exec, libc::ENOENT).code, Some(NOT_FOUND));
        assert_eq!(said(Step::Exec, libc::EACCES).code, Some(NOT_EXECUTABLE));
        assert_eq!(said(Step::Exec, libc::ETXTBSY).code, None);
        assert_eq!(said(Step::Fork, libc::EAGAIN).code, None);
        assert!(said(Step::Cwd, libc::ENOENT).reason.contains("`/srv/x`: no such file"));
        assert!(said(Step::User, libc::EPERM).reason.contains("`bob`"));
    }
}
