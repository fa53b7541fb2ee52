//! The calls of a stopped task: which one it makes, whether that changes anything, whether it can fail.

use nix::libc::{self, c_long};
use nix::sys::ptrace;
use nix::unistd::Pid;

/// A call that is about to be made.
pub(crate) struct Call {
    pub(crate) number: c_long,
    arguments: [u64; 6],
}

/// Calls that only look, or touch the caller's own memory and descriptors.
const LOOKS: &[c_long] = &[
    libc::SYS_close,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_newfstatat,
    libc::SYS_pread64,
    libc::SYS_prlimit64,
    libc::SYS_readlinkat,
    libc::SYS_statfs,
    libc::SYS_statx,
];

/// The same, on machines where they have an old form.
#[cfg(target_arch = "x86_64")]
const OLD_LOOKS: &[c_long] = &[libc::SYS_access, libc::SYS_stat, libc::SYS_lstat, libc::SYS_readlink];
#[cfg(not(target_arch = "x86_64"))]
const OLD_LOOKS: &[c_long] = &[];

/// Calls that look and that by their manual pages can't fail as they are made here; each allocation makes
/// some of them, and the start of every program the others. A wait fails by a signal alone.
const SURE_LOOKS: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_futex,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_ppoll,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sched_getaffinity,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_uname,
];

#[cfg(target_arch = "x86_64")]
const OLD_SURE_LOOKS: &[c_long] = &[libc::SYS_poll, libc::SYS_arch_prctl];
#[cfg(not(target_arch = "x86_64"))]
const OLD_SURE_LOOKS: &[c_long] = &[];

/// Calls of [`LOOKS`] and others that can't fail: close(2) may say EIO, but has closed, which a call that is
/// left out has not.
const SURE: [c_long; 3] = [libc::SYS_close, libc::SYS_exit_group, libc::SYS_umask];

/// The commands of fcntl(2) that can't fail for a descriptor that is open.
const SURE_COMMANDS: [i32; 4] = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL];

impl Call {
    /// As proc_pid_syscall(5) has it, the same on all machines.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
        let mut words = text.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let mut arguments = [0; 6];
        for (argument, word) in arguments.iter_mut().zip(words) {
            *argument = u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()?;
        }
        Some(Self { number, arguments })
    }

    /// Whoever dies before another call leaves what he left before the call before it.
    pub(crate) fn changes(&self) -> bool {
        ![LOOKS, OLD_LOOKS, SURE_LOOKS, OLD_SURE_LOOKS].iter().any(|list| list.contains(&self.number))
    }

    /// Whether a lost error of it could do harm.
    pub(crate) fn can_fail(&self) -> bool {
        match self.number {
            libc::SYS_fcntl => !SURE_COMMANDS.contains(&(self.arguments[1] as i32)),
            // Without new limits it only tells the old ones.
            libc::SYS_prlimit64 => self.arguments[2] != 0,
            number => ![SURE_LOOKS, OLD_SURE_LOOKS, &SURE].iter().any(|list| list.contains(&number)),
        }
    }
}

/// Makes the call that is about to be made none: a number that no call has (seccomp(2), ptrace(2)).
#[cfg(target_arch = "x86_64")]
pub(crate) fn leave_out(pid: Pid) -> Result<(), String> {
    let mut registers = ptrace::getregs(pid).map_err(|e| format!("registers of {pid}: {e}"))?;
    registers.orig_rax = u64::MAX;
    ptrace::setregs(pid, registers).map_err(|e| format!("registers of {pid}: {e}"))
}

/// Gives the call that was left out its result.
#[cfg(target_arch = "x86_64")]
pub(crate) fn give(pid: Pid, errno: i32) -> Result<(), String> {
    let mut registers = ptrace::getregs(pid).map_err(|e| format!("registers of {pid}: {e}"))?;
    registers.rax = i64::from(-errno).cast_unsigned();
    ptrace::setregs(pid, registers).map_err(|e| format!("registers of {pid}: {e}"))
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn leave_out(_: Pid) -> Result<(), String> {
    Err("calls can be left out on x86_64 alone".to_owned())
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn give(_: Pid, _: i32) -> Result<(), String> {
    Err("calls can be left out on x86_64 alone".to_owned())
}
