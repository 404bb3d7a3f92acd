//! What the process table shows of a forked process: the memory its arguments and environment were put in.

use std::fs;

/// Where the kernel looks for the arguments and the environment of this process (proc(5), stat fields 48 to 51).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Title {
    arguments: (usize, usize),
    environment: (usize, usize),
}

impl Title {
    /// Asks the kernel; `None` where it does not tell.
    pub(crate) fn find() -> Option<Self> {
        let text = fs::read("/proc/self/stat").ok()?;
        let at = text.iter().rposition(|byte| *byte == b')')?;
        let mut fields = std::str::from_utf8(text.get(at + 2..)?).ok()?.split_ascii_whitespace().skip(45);
        let mut next = || fields.next()?.parse::<usize>().ok().filter(|address| *address != 0);
        let (arguments, environment) = ((next()?, next()?), (next()?, next()?));
        let valid = arguments.0 < arguments.1 && arguments.1 <= environment.0 && environment.0 < environment.1;
        valid.then_some(Self { arguments, environment })
    }

    /// Writes other arguments and another environment there. What does not fit is cut off.
    ///
    /// Nothing of this process reads its arguments or environment afterwards.
    pub(crate) fn set(self, arguments: &[&[u8]], environment: &[u8]) {
        write(self.arguments, &arguments.join(&0));
        write(self.environment, environment);
    }
}

fn write((start, end): (usize, usize), text: &[u8]) {
    let room = end - start;
    let used = text.len().min(room - 1);
    // SAFETY: the kernel put the strings of arguments and environment between these addresses of our stack, writable;
    // we have one thread, and a fork's copy is its own
    unsafe {
        let place = start as *mut u8;
        std::ptr::copy_nonoverlapping(text.as_ptr(), place, used);
        std::ptr::write_bytes(place.add(used), 0, room - used);
    }
}
