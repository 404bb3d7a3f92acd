//! Executing the shim's binary.

use super::process::open_pidfd;
use crate::INHERITED_FD;
use std::ffi::{CString, c_char};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// A shim that was spawned. It is a child of the caller, who waits for it.
#[derive(Debug)]
pub struct Spawned {
    /// Its process id.
    pub pid: u32,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
}

impl Spawned {
    /// Kills and collects it: for one that was told nothing yet.
    pub fn end(self) {
        super::os::end_child(&self.pidfd);
    }
}

/// Executes the shim's binary with `words` as arguments, then [`INHERITED_FD`], where it finds `connection`, its only
/// descriptor beside the null device. The environment is `mark` alone.
///
/// `posix_spawn` shares the caller's memory until the program is executed, so that its cost does not grow with the
/// caller.
///
/// # Errors
/// The system's, also for a binary that cannot be executed.
pub(super) fn execute(shim: &Path, words: &[&str], mark: &str, connection: BorrowedFd<'_>) -> io::Result<Spawned> {
    let program = text(shim)?;
    let number = INHERITED_FD.to_string();
    let words = ["muster-shim"].iter().chain(words).copied().chain([number.as_str()]);
    let words = words.map(CString::new).collect::<Result<Vec<_>, _>>()?;
    let mark = CString::new(mark)?;
    let argv = pointers(&words);
    let envp = pointers(std::slice::from_ref(&mark));
    let mut actions = Actions::new()?;
    actions.null_device()?;
    actions.duplicate(connection.as_raw_fd(), INHERITED_FD)?;
    let mut pid = 0;
    // SAFETY: all pointers are to live, terminated arrays of C strings and to initialised file actions
    let error = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            program.as_ptr(),
            &raw const actions.0,
            std::ptr::null(),
            argv.as_ptr().cast(),
            envp.as_ptr().cast(),
        )
    };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let pid = u32::try_from(pid).map_err(io::Error::other)?;
    Ok(Spawned { pid, pidfd: open_pidfd(pid)? })
}

fn text(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}

struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        // SAFETY: an all-zero value is a valid place for init to write to
        let mut actions = Self(unsafe { std::mem::zeroed() });
        // SAFETY: the place is valid for writing and not initialised before
        check(unsafe { libc::posix_spawn_file_actions_init(&raw mut actions.0) })?;
        Ok(actions)
    }

    fn null_device(&mut self) -> io::Result<()> {
        // SAFETY: the actions are initialised, the path is a C string that is copied
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(&raw mut self.0, 0, c"/dev/null".as_ptr(), libc::O_RDWR, 0)
        })?;
        self.duplicate(0, 1)?;
        self.duplicate(0, 2)
    }

    fn duplicate(&mut self, from: i32, to: i32) -> io::Result<()> {
        // SAFETY: the actions are initialised
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, from, to) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: the actions are initialised and not used afterwards
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

fn check(error: i32) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}
