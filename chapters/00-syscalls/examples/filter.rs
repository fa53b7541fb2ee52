//! Runs a program on a kernel that lacks some calls: `filter clone3=ENOSYS openat2=ENOSYS -- CMD...`
//!
//! A rule is `CALL=ERRNO`, `CALL&MASK=ERRNO` (only where the first argument has one of these bits) or
//! `NUMBER+=ERRNO` (this number and all above: numbers from 424 on are the same on all machines).
//! It takes CAP_SYS_ADMIN, because it goes without no_new_privs (seccomp(2)): under that the programs
//! below could not become another user, and newuidmap could not write a map.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use libc::{BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W};
use libc::{c_long, sock_filter, sock_fprog};
use sys::Errno;

/// The machine as the filter is told it: the number of its ELF files, 64 bits, little-endian
/// (linux/audit.h).
const ARCH: u32 = EM as u32 | 0x8000_0000 | 0x4000_0000;
#[cfg(target_arch = "x86_64")]
const EM: u16 = libc::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const EM: u16 = libc::EM_AARCH64;
#[cfg(target_arch = "riscv64")]
const EM: u16 = libc::EM_RISCV;

/// Where `struct seccomp_data` has them (linux/seccomp.h); of the argument the lower half.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

macro_rules! numbers {
    ($($call:ident = $number:ident)*) => {
        fn number(call: &str) -> Option<c_long> {
            [$((stringify!($call), libc::$number)),*].into_iter().find(|(name, _)| *name == call).map(|(_, n)| n)
        }
    };
}
numbers! {
    clone = SYS_clone clone3 = SYS_clone3 close_range = SYS_close_range copy_file_range = SYS_copy_file_range
    faccessat2 = SYS_faccessat2 fsconfig = SYS_fsconfig fsmount = SYS_fsmount fsopen = SYS_fsopen
    mount = SYS_mount mount_setattr = SYS_mount_setattr move_mount = SYS_move_mount open_tree = SYS_open_tree
    openat2 = SYS_openat2 pidfd_open = SYS_pidfd_open pidfd_send_signal = SYS_pidfd_send_signal
    pivot_root = SYS_pivot_root setns = SYS_setns statx = SYS_statx umount2 = SYS_umount2 unshare = SYS_unshare
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut parts = words.splitn(2, |word| word == "--");
    let (rules, command) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Some((program, args)) = command.split_first() else {
        eprintln!("usage: filter CALL=ERRNO... -- PROGRAM ARGS...");
        return ExitCode::from(99);
    };
    let why = match rules.iter().map(|rule| of(&rule.to_string_lossy())).collect::<Result<Vec<_>, _>>() {
        Ok(rules) => install(&program_of(&rules)).map_or_else(
            |e| format!("seccomp: {e}"),
            |()| Command::new(program).args(args).exec().to_string(),
        ),
        Err(rule) => format!("{rule} is no rule"),
    };
    eprintln!("filter: {why}");
    ExitCode::from(99)
}

/// The instructions of one rule. The accumulator holds the number of the call before and after.
fn of(rule: &str) -> Result<Vec<sock_filter>, String> {
    let read = || {
        let (what, errno) = rule.split_once('=')?;
        let errno = (1..134).map(Errno::from_raw).find(|e| format!("{e:?}") == errno)?;
        let answer = step(BPF_RET | BPF_K, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0);
        if let Some(first) = what.strip_suffix('+') {
            return Some(vec![step(BPF_JMP | BPF_JGE | BPF_K, first.parse().ok()?, 0, 1), answer]);
        }
        let (call, mask) = what.split_once('&').map_or((what, None), |(call, mask)| (call, Some(mask)));
        let number = u32::try_from(number(call)?).ok()?;
        let equal = |no| step(BPF_JMP | BPF_JEQ | BPF_K, number, 0, no);
        let Some(mask) = mask else { return Some(vec![equal(1), answer]) };
        let mask = u32::from_str_radix(mask.strip_prefix("0x")?, 16).ok()?;
        let test = step(BPF_JMP | BPF_JSET | BPF_K, mask, 0, 1);
        Some(vec![equal(4), load(FIRST_ARGUMENT), test, answer, load(NUMBER)])
    };
    read().ok_or_else(|| rule.to_owned())
}

/// Calls of another machine's numbers (32-bit programs) are let through.
fn program_of(rules: &[Vec<sock_filter>]) -> Vec<sock_filter> {
    let allow = step(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0);
    let ours = [load(MACHINE), step(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0), allow, load(NUMBER)];
    ours.into_iter().chain(rules.iter().flatten().copied()).chain([allow]).collect()
}

fn load(offset: u32) -> sock_filter {
    step(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)
}

fn step(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}

/// For this thread and all that comes of it. Source: seccomp(2).
fn install(program: &[sock_filter]) -> std::io::Result<()> {
    let filter = program.as_ptr().cast_mut();
    let program = sock_fprog { len: program.len() as u16, filter };
    // SAFETY: `program` and the instructions that it points to outlive the call, which copies them.
    let rc = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0u32, std::ptr::from_ref(&program))
    };
    if rc == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
