//! From clone to exec: everything a service is, in the order in which the kernel wants it.

use super::process::last_error;
use crate::launch::{Identity, Limit, Resource};
use crate::protocol::Step;
use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Where programs are looked for when the environment has no `PATH` (confstr(3), `_CS_PATH`).
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// What a child gets as its standard streams.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Streams<'a> {
    /// Pipes; without a stdin the null device.
    Pipes {
        /// Standard input.
        stdin: Option<BorrowedFd<'a>>,
        /// Standard output.
        stdout: BorrowedFd<'a>,
        /// Standard error.
        stderr: BorrowedFd<'a>,
    },
    /// A terminal that becomes the controlling one.
    Terminal(BorrowedFd<'a>),
}

/// A child that is about to be.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) argv: &'a [OsString],
    pub(crate) env: &'a [(OsString, OsString)],
    pub(crate) cwd: &'a Path,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) umask: u32,
    pub(crate) limits: &'a [Limit],
    pub(crate) cgroup: Option<&'a Path>,
    pub(crate) streams: Streams<'a>,
}

/// A start that failed: how far it came, and the system's error.
pub(crate) type Failure = (Step, i32);

struct Prepared {
    argv: Vec<CString>,
    env: Vec<CString>,
    candidates: Vec<CString>,
    cwd: CString,
    cgroup: Option<CString>,
}

/// Room for the calls of a child between its birth and its program.
const STACK: usize = 64 << 10;

/// What a child is born with. It lives in our memory, on a stack of its own, until its program is executed.
struct Newborn<'a> {
    plan: &'a Plan<'a>,
    ready: &'a Prepared,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    parent: i32,
    failure: Option<Failure>,
}

/// Starts a child that shares our memory until its program is executed, and waits for that (`vfork(2)`): nothing of us is
/// copied. Returns when the program runs, or with what failed.
///
/// An emulator of programs of another architecture (qemu-user) shares nothing and does not wait: there a program that
/// cannot be executed is one that ended with 127.
pub(crate) fn start(plan: &Plan<'_>) -> Result<u32, Failure> {
    let ready = prepare(plan).ok_or((Step::Spec, libc::EINVAL))?;
    let (argv, env) = (pointers(&ready.argv), pointers(&ready.env));
    // SAFETY: getpid cannot fail
    let parent = unsafe { libc::getpid() };
    let mut newborn = Newborn { plan, ready: &ready, argv, env, parent, failure: None };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let stack = Stack::new().map_err(|errno| (Step::Fork, errno))?;
    // SAFETY: the child has a stack of its own and ends by exec or _exit; until then we do not run, so that it may use
    // all that is ours, and `newborn` outlives it. No handler is installed that could run in it.
    let pid = unsafe { libc::clone(born, stack.top(), flags, (&raw mut newborn).cast()) };
    let Ok(pid) = u32::try_from(pid) else { return Err((Step::Fork, last_error())) };
    drop(stack);
    match newborn.failure {
        Some(failure) => {
            collect(pid);
            Err(failure)
        }
        // the program was executed (or the child was killed, which its exit will tell)
        None => Ok(pid),
    }
}

extern "C" fn born(newborn: *mut c_void) -> c_int {
    // SAFETY: `start` passed a live one and does not run meanwhile
    let newborn = unsafe { &mut *newborn.cast::<Newborn<'_>>() };
    newborn.failure = Some(become_service(newborn));
    // SAFETY: ends the child without running the parent's exit handlers
    unsafe { libc::_exit(127) }
}

/// Memory for a child's calls.
struct Stack(*mut c_void);

impl Stack {
    fn new() -> Result<Self, i32> {
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK);
        // SAFETY: a new mapping wherever the kernel wants it
        let place = unsafe { libc::mmap(std::ptr::null_mut(), STACK, access, kind, -1, 0) };
        if place == libc::MAP_FAILED { Err(last_error()) } else { Ok(Self(place)) }
    }

    /// Its end: stacks grow down.
    fn top(&self) -> *mut c_void {
        // SAFETY: one past the mapping's end, which is aligned to a page
        unsafe { self.0.byte_add(STACK) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody uses any more: the child has its own memory now, or ended
        unsafe { libc::munmap(self.0, STACK) };
    }
}

fn collect(pid: u32) {
    // SAFETY: waits for our own child, which is ending; the status is not wanted
    unsafe { libc::waitpid(pid.cast_signed(), std::ptr::null_mut(), 0) };
}

fn prepare(plan: &Plan<'_>) -> Option<Prepared> {
    let text = |value: &OsStr| CString::new(value.as_bytes()).ok();
    let program = plan.argv.first()?;
    let mut env = Vec::with_capacity(plan.env.len());
    for (name, value) in plan.env {
        env.push(CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()?);
    }
    let candidates = if program.as_bytes().contains(&b'/') {
        vec![text(program)?]
    } else {
        let path = plan.env.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path.as_bytes());
        path.split(|byte| *byte == b':')
            .map(|folder| if folder.is_empty() { b".".as_slice() } else { folder })
            .map(|folder| CString::new([folder, b"/", program.as_bytes()].concat()).ok())
            .collect::<Option<_>>()?
    };
    Some(Prepared {
        argv: plan.argv.iter().map(|word| text(word)).collect::<Option<_>>()?,
        env,
        candidates: if program.is_empty() { Vec::new() } else { candidates },
        cwd: text(plan.cwd.as_os_str())?,
        cgroup: match plan.cgroup {
            Some(folder) => Some(text(folder.join("cgroup.procs").as_os_str())?),
            None => None,
        },
    })
}

/// Runs in the child. Returns only with what failed.
fn become_service(newborn: &Newborn<'_>) -> Failure {
    let (plan, ready) = (newborn.plan, newborn.ready);
    let steps = || -> Result<(), Failure> {
        default_signals();
        if let Some(procs) = &ready.cgroup {
            join_cgroup(procs).map_err(|errno| (Step::Cgroup, errno))?;
        }
        own_group(plan.streams).map_err(|errno| (Step::Session, errno))?;
        for limit in plan.limits {
            set_limit(limit).map_err(|errno| (Step::Limit, errno))?;
        }
        if let Some(identity) = plan.identity {
            change_user(identity)?;
        }
        // after the last change of user, which clears it
        guard(newborn.parent).map_err(|errno| (Step::Guard, errno))?;
        super::os::umask(plan.umask);
        place(plan.streams).map_err(|errno| (Step::Stdio, errno))?;
        // SAFETY: the path is a C string
        ok(unsafe { libc::chdir(ready.cwd.as_ptr()) }).map_err(|errno| (Step::Cwd, errno))
    };
    match steps() {
        Ok(()) => (Step::Exec, execute(newborn)),
        Err(failure) => failure,
    }
}

fn ok(result: i32) -> Result<(), i32> {
    if result < 0 { Err(last_error()) } else { Ok(()) }
}

fn default_signals() {
    // the kernel's sigaction, all zero: default handler, no flags, empty mask. The C library would refuse to reset
    // the two signals it keeps for itself, which a caller may have left ignored.
    let default = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: reads one kernel sigaction, which is not larger than the array; KILL and STOP refuse, which is right
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null_mut::<u64>(), 8) };
    }
}

fn join_cgroup(procs: &CString) -> Result<(), i32> {
    // SAFETY: the path is a C string; the descriptor is closed by exec
    unsafe {
        let fd = libc::open(procs.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        ok(fd)?;
        ok(libc::write(fd, b"0".as_ptr().cast(), 1) as i32)
    }
}

fn own_group(streams: Streams<'_>) -> Result<(), i32> {
    match streams {
        // SAFETY: takes two integers
        Streams::Pipes { .. } => ok(unsafe { libc::setpgid(0, 0) }),
        Streams::Terminal(terminal) => {
            // SAFETY: takes nothing
            ok(unsafe { libc::setsid() })?;
            // SAFETY: TIOCSCTTY takes an integer; the terminal is open
            ok(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY as _, 0) })
        }
    }
}

fn set_limit(limit: &Limit) -> Result<(), i32> {
    let resource = match limit.resource {
        Resource::Nofile => libc::RLIMIT_NOFILE,
        Resource::As => libc::RLIMIT_AS,
        Resource::Nproc => libc::RLIMIT_NPROC,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Fsize => libc::RLIMIT_FSIZE,
        Resource::Stack => libc::RLIMIT_STACK,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::Data => libc::RLIMIT_DATA,
    };
    let value = libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard };
    // SAFETY: reads one rlimit
    ok(unsafe { libc::setrlimit(resource, &raw const value) })
}

fn change_user(identity: &Identity) -> Result<(), Failure> {
    // SAFETY: these four cannot fail
    let (uid, gid, root) = unsafe { (libc::geteuid(), libc::getegid(), libc::geteuid() == 0) };
    if !root && uid == identity.uid && gid == identity.gid {
        // already so, and without root nothing else is possible
        return Ok(());
    }
    // the calls themselves: the C library's functions would change its threads, which here are the parent's
    let (uid, gid, groups) = (identity.uid, identity.gid, &identity.groups);
    // SAFETY: the array is valid for its length
    ok(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) as i32 })
        .map_err(|errno| (Step::Groups, errno))?;
    // SAFETY: takes integers
    ok(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) as i32 }).map_err(|errno| (Step::User, errno))?;
    // SAFETY: takes integers
    ok(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) as i32 }).map_err(|errno| (Step::User, errno))
}

/// The kernel kills the child when its supervisor dies; if that was before this call, the child sees it itself.
fn guard(parent: i32) -> Result<(), i32> {
    // SAFETY: the option takes one integer
    ok(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })?;
    // SAFETY: getppid cannot fail
    if unsafe { libc::getppid() } == parent { Ok(()) } else { Err(libc::ESRCH) }
}

fn place(streams: Streams<'_>) -> Result<(), i32> {
    let places: [Option<RawFd>; 3] = match streams {
        Streams::Pipes { stdin, stdout, stderr } => {
            [stdin.map(|fd| fd.as_raw_fd()), Some(stdout.as_raw_fd()), Some(stderr.as_raw_fd())]
        }
        Streams::Terminal(terminal) => [Some(terminal.as_raw_fd()); 3],
    };
    for (to, from) in (0..).zip(places) {
        if let Some(from) = from {
            // SAFETY: the source is open and above 2; the copy has no close-on-exec
            ok(unsafe { libc::dup2(from, to) })?;
        }
    }
    // SAFETY: marks, not closes: the descriptors are the child's own copies
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Ok(())
}

fn execute(newborn: &Newborn<'_>) -> i32 {
    let Newborn { ready, argv, env, .. } = newborn;
    // SAFETY: the set is initialised by sigemptyset before it is used
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
    let mut answer = libc::ENOENT;
    for program in &ready.candidates {
        // SAFETY: program and both arrays are terminated and live
        unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
        match last_error() {
            // a script without an interpreter line runs in the shell, as execvp(3) has it
            libc::ENOEXEC => return execute_script(program, argv, env),
            libc::EACCES => answer = libc::EACCES,
            libc::ENOENT | libc::ENOTDIR => {}
            errno => return errno,
        }
    }
    answer
}

fn execute_script(program: &CString, argv: &[*const c_char], env: &[*const c_char]) -> i32 {
    let mut words = vec![c"sh".as_ptr(), program.as_ptr()];
    words.extend(argv.iter().skip(1));
    // SAFETY: all arrays are terminated and live
    unsafe { libc::execve(c"/bin/sh".as_ptr(), words.as_ptr(), env.as_ptr()) };
    last_error()
}

fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}

/// The failure of a step whose error is the system's.
pub(crate) fn failed(step: Step) -> impl Fn(io::Error) -> Failure {
    move |error| (step, error.raw_os_error().unwrap_or(libc::EIO))
}
