//! Bytes that go from pipe to pipe without being read.
//!
//! Portable meaning: [`splice`] moves what is there, and a process that is killed meanwhile leaves every byte in one of the
//! two; [`tee`] copies it. A system that has neither says so, and what wanted to move bytes reads them.

use rustix::pipe::SpliceFlags;
use std::io;
use std::os::fd::AsFd;

/// Moves up to `most` bytes from one pipe to another, or to the null device, without waiting; 0 is the end.
///
/// # Errors
/// The system's; `WouldBlock` where nothing is there or nothing more fits.
pub(crate) fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    Ok(rustix::pipe::splice(from, None, to, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
}

/// Copies up to `most` bytes from one pipe to another, where they stay in the first one.
///
/// # Errors
/// As [`splice`].
pub(crate) fn tee(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    Ok(rustix::pipe::tee(from, to, most, SpliceFlags::NONBLOCK)?)
}

/// How many bytes a pipe takes.
///
/// # Errors
/// The system's.
pub(crate) fn capacity(pipe: impl AsFd) -> io::Result<usize> {
    Ok(rustix::pipe::fcntl_getpipe_size(pipe)?)
}

/// Gives a pipe room for at least so many bytes, and tells for how many.
///
/// # Errors
/// The system's: the user has no more room for pipes, or more is in it than would fit.
pub(crate) fn set_capacity(pipe: impl AsFd, bytes: usize) -> io::Result<usize> {
    Ok(rustix::pipe::fcntl_setpipe_size(pipe, bytes)?)
}

/// How many bytes wait in a pipe.
///
/// # Errors
/// The system's.
pub(crate) fn unread(pipe: impl AsFd) -> io::Result<usize> {
    usize::try_from(rustix::io::ioctl_fionread(pipe)?).map_err(io::Error::other)
}
