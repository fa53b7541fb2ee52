//! Runs a program under ptrace(2) and strikes at one of its system calls.
//!
//! `strike REPORT [--at N --kill VICTIM | --at N --fail ERRNO | --at N --interrupt group] [--only ROLE]
//! [--seize PID]... [--hold PID]... -- PROGRAM ARGS...`
//!
//! The calls of all tasks that have become `minidocker` are counted by one counter, those left out
//! that change nothing (see [`changes_nothing`]); with `--only` those of one role. Before call N the VICTIM
//! is killed (`client`, `supervisor`, `child` or `all`), or the call is left out and gives ERRNO, a number,
//! or whoever is still in the program's process group is sent SIGINT, as by Ctrl-C. A supervisor that
//! runs already is named by `--seize`; one named by `--hold` is stopped until the program has ended, as by
//! a debugger: SIGCONT does not wake it. REPORT then holds the count, and where it struck. The exit code
//! is the program's. Started by root, it goes before whatever changes the user: to a tracer with
//! CAP_SYS_PTRACE newuidmap stays set-user-ID (ptrace(2)).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpgid};

/// How long nothing may happen, after the end of the program, before what is left is let go.
const QUIET: Duration = Duration::from_millis(400);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Before it has become minidocker.
    Nobody,
    Client,
    Supervisor,
    /// Whatever a supervisor started: init, newuidmap, the payload.
    Child,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Client => "client",
            Self::Supervisor => "supervisor",
            Self::Child => "child",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Task {
    role: Role,
    /// Whether its calls count: those of minidocker do, those of a payload don't.
    counts: bool,
    /// Between the entry of a call and its exit.
    inside: bool,
    /// The errno that the call in progress is to give.
    failing: Option<i32>,
}

#[derive(Debug, Clone)]
enum Blow {
    Nothing,
    Kill(String),
    Fail(i32),
    Interrupt,
}

struct Tracer {
    tasks: BTreeMap<Pid, Task>,
    first: Pid,
    code: Option<u8>,
    points: u64,
    at: u64,
    blow: Blow,
    /// The name of the one role that counts.
    only: Option<String>,
    held: Vec<Pid>,
    struck: Option<String>,
}

fn main() -> ExitCode {
    match run(std::env::args_os().skip(1).collect()) {
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            eprintln!("strike: {why}");
            ExitCode::from(99)
        }
    }
}

fn run(words: Vec<OsString>) -> Result<u8, String> {
    let mut words = words.into_iter();
    let report = words.next().ok_or("no report")?;
    let (mut at, mut blow, mut only) = (0, Blow::Nothing, None);
    let (mut seized, mut held) = (Vec::new(), Vec::new());
    loop {
        let word = words.next().ok_or("no program")?.to_string_lossy().into_owned();
        if word == "--" {
            break;
        }
        let value = words.next().ok_or("no value")?.to_string_lossy().into_owned();
        let number = || value.parse::<i32>().map_err(|e| format!("{word} {value}: {e}"));
        match word.as_str() {
            "--at" => at = u64::try_from(number()?).map_err(|e| e.to_string())?,
            "--kill" => blow = Blow::Kill(value),
            "--fail" => blow = Blow::Fail(number()?),
            "--interrupt" => blow = Blow::Interrupt,
            "--only" => only = Some(value),
            "--hold" => held.push(Pid::from_raw(number()?)),
            "--seize" => seized.push(Pid::from_raw(number()?)),
            _ => return Err(format!("{word} is not known")),
        }
    }
    let first = gated(words.collect())?;
    let (tasks, code, struck) = (BTreeMap::new(), None, None);
    let mut tracer = Tracer { tasks, first: first.pid, code, points: 0, at, blow, only, held, struck };
    tracer.take(first.pid, Role::Nobody, false)?;
    for pid in tracer.held.clone() {
        tracer.take(pid, Role::Supervisor, false)?;
    }
    for pid in seized {
        tracer.take(pid, Role::Supervisor, true)?;
        for child in children(pid) {
            // A zombie that its supervisor has not reaped yet can't be taken (EPERM).
            let _ = tracer.take(child, Role::Child, false);
        }
    }
    first.open()?;
    tracer.follow()?;
    let text = format!("{} {}\n", tracer.points, tracer.struck.as_deref().unwrap_or("-"));
    std::fs::write(&report, text).map_err(|e| format!("write {}: {e}", report.display()))?;
    tracer.code.ok_or_else(|| "the program's end was not seen".to_owned())
}

/// A program that waits for one line before it begins: so that nothing of it is missed.
struct Gated {
    pid: Pid,
    gate: std::process::ChildStdin,
}

fn gated(words: Vec<OsString>) -> Result<Gated, String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read -r _; exec \"$@\" </dev/null", "sh"]).args(words).stdin(Stdio::piped());
    let mut child = shell.spawn().map_err(|e| format!("start sh: {e}"))?;
    let gate = child.stdin.take().ok_or("no gate")?;
    Ok(Gated { pid: Pid::from_raw(child.id().cast_signed()), gate })
}

impl Gated {
    fn open(mut self) -> Result<(), String> {
        self.gate.write_all(b"go\n").map_err(|e| format!("open the gate: {e}"))
    }
}

impl Tracer {
    fn take(&mut self, pid: Pid, role: Role, counts: bool) -> Result<(), String> {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC;
        ptrace::seize(pid, options).map_err(|e| format!("seize {pid}: {e}"))?;
        ptrace::interrupt(pid).map_err(|e| format!("interrupt {pid}: {e}"))?;
        self.tasks.insert(pid, Task { role, counts, inside: false, failing: None });
        Ok(())
    }

    /// Until all tasks are gone, or nothing happens any more after the end of the program.
    fn follow(&mut self) -> Result<(), String> {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
        let mut last = Instant::now();
        loop {
            match waitpid(Pid::from_raw(-1), Some(flags)) {
                Ok(WaitStatus::StillAlive) if self.code.is_some() && last.elapsed() > QUIET => return Ok(()),
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_micros(50)),
                Ok(status) => {
                    last = Instant::now();
                    self.heed(status)?;
                }
                Err(Errno::ECHILD) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(e) => return Err(format!("waitpid: {e}")),
            }
        }
    }

    fn heed(&mut self, status: WaitStatus) -> Result<(), String> {
        let (pid, signal) = match status {
            WaitStatus::Exited(pid, code) => return self.ended(pid, code),
            // A core dump is no matter here.
            WaitStatus::Signaled(pid, signal, _) => return self.ended(pid, 128 + signal as i32),
            WaitStatus::PtraceSyscall(pid) => {
                self.at_call(pid)?;
                (pid, None)
            }
            WaitStatus::PtraceEvent(pid, signal, event) => {
                self.event(pid, event);
                // A group stop is told as an event too: we don't hold it, nobody here stops anybody.
                let _ = signal;
                (pid, None)
            }
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            _ => return Ok(()),
        };
        self.tasks.entry(pid).or_insert(Task {
            role: Role::Nobody,
            counts: false,
            inside: false,
            failing: None,
        });
        if self.held.contains(&pid) {
            return Ok(());
        }
        match ptrace::syscall(pid, signal) {
            // Killed meanwhile.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(e) => Err(format!("go on with {pid}: {e}")),
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "an arm of heed")]
    fn ended(&mut self, pid: Pid, code: i32) -> Result<(), String> {
        self.tasks.remove(&pid);
        if pid == self.first {
            self.code = u8::try_from(code).ok().or(Some(255));
        }
        Ok(())
    }

    fn event(&mut self, pid: Pid, event: i32) {
        match event {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                let Some(parent) = self.tasks.get(&pid).copied() else { return };
                let Ok(new) = ptrace::getevent(pid) else { return };
                let role = if parent.role == Role::Supervisor { Role::Child } else { parent.role };
                let task = Task { role, counts: parent.counts, inside: false, failing: None };
                // Its first stop may have come before this.
                self.tasks.insert(Pid::from_raw(new as i32), task);
            }
            libc::PTRACE_EVENT_EXEC => self.became(pid),
            _ => {}
        }
    }

    /// The first word of its command line tells what a task has become.
    fn became(&mut self, pid: Pid) {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let word = String::from_utf8_lossy(line.split(|b| *b == 0).next().unwrap_or_default()).into_owned();
        let Some(task) = self.tasks.get_mut(&pid) else { return };
        let name = word.rsplit('/').next().unwrap_or_default();
        match (task.role, name) {
            (Role::Nobody, "minidocker") => (task.role, task.counts) = (Role::Client, true),
            (Role::Client, "minidocker-supervisor") => (task.role, task.counts) = (Role::Supervisor, true),
            _ => task.counts = false,
        }
    }

    fn at_call(&mut self, pid: Pid) -> Result<(), String> {
        let Some(task) = self.tasks.get_mut(&pid) else { return Ok(()) };
        task.inside = !task.inside;
        if !task.inside {
            if let Some(errno) = task.failing.take() {
                give(pid, errno)?;
            }
            return Ok(());
        }
        let other = self.only.as_ref().is_some_and(|only| task.role.name() != only);
        if !task.counts || other || self.struck.is_some() {
            return Ok(());
        }
        let Some(number) = call_of(pid) else { return Ok(()) };
        if changes_nothing(number) {
            return Ok(());
        }
        self.points += 1;
        if self.points == self.at {
            let role = task.role.name();
            if self.strike(pid)? {
                self.struck = Some(format!("call {number} of the {role}"));
            }
        }
        Ok(())
    }

    /// False where there is no such victim now.
    fn strike(&mut self, pid: Pid) -> Result<bool, String> {
        match self.blow.clone() {
            Blow::Nothing => Ok(false),
            // By their manual pages these two can't fail, so nobody looks.
            Blow::Fail(_) if matches!(call_of(pid), Some(libc::SYS_umask | libc::SYS_exit_group)) => {
                Ok(false)
            }
            Blow::Fail(errno) => {
                leave_out(pid)?;
                if let Some(task) = self.tasks.get_mut(&pid) {
                    task.failing = Some(errno);
                }
                Ok(true)
            }
            Blow::Interrupt => {
                let group = getpgid(Some(self.first)).ok();
                let here: Vec<Pid> =
                    self.tasks.keys().filter(|p| getpgid(Some(**p)).ok() == group).copied().collect();
                for pid in &here {
                    let _ = nix::sys::signal::kill(*pid, Signal::SIGINT);
                }
                Ok(!here.is_empty())
            }
            Blow::Kill(victim) => {
                let meant = |task: &Task| {
                    task.role != Role::Nobody && (victim == "all" || task.role.name() == victim)
                };
                let victims: Vec<Pid> =
                    self.tasks.iter().filter(|(_, t)| meant(t)).map(|(pid, _)| *pid).collect();
                for victim in &victims {
                    let _ = nix::sys::signal::kill(*victim, Signal::SIGKILL);
                }
                Ok(!victims.is_empty())
            }
        }
    }
}

fn children(pid: Pid) -> Vec<Pid> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|n| n.parse().ok()).map(Pid::from_raw).collect()
}

/// The number of the call that a stopped task makes: proc_pid_syscall(5), the same on all machines.
fn call_of(pid: Pid) -> Option<libc::c_long> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Calls that only look, or touch the caller's own memory: whoever dies before one of them leaves
/// what he left before the call before it.
fn changes_nothing(number: libc::c_long) -> bool {
    const CALLS: &[libc::c_long] = &[
        libc::SYS_close,
        libc::SYS_fcntl,
        libc::SYS_ppoll,
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_mremap,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_readlinkat,
        libc::SYS_getdents64,
        libc::SYS_lseek,
        libc::SYS_pread64,
        libc::SYS_getrandom,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_prlimit64,
        libc::SYS_rseq,
        libc::SYS_set_robust_list,
        libc::SYS_set_tid_address,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_sigaltstack,
        libc::SYS_futex,
        libc::SYS_sched_getaffinity,
        libc::SYS_uname,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_statfs,
        libc::SYS_fstatfs,
    ];
    #[cfg(target_arch = "x86_64")]
    const OLD: &[libc::c_long] = &[
        libc::SYS_access,
        libc::SYS_poll,
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_readlink,
        libc::SYS_arch_prctl,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const OLD: &[libc::c_long] = &[];
    CALLS.contains(&number) || OLD.contains(&number)
}

/// Makes the call that is about to be made none: a number that no call has (seccomp(2), ptrace(2)).
#[cfg(target_arch = "x86_64")]
fn leave_out(pid: Pid) -> Result<(), String> {
    let mut registers = ptrace::getregs(pid).map_err(|e| format!("registers of {pid}: {e}"))?;
    registers.orig_rax = u64::MAX;
    ptrace::setregs(pid, registers).map_err(|e| format!("registers of {pid}: {e}"))
}

/// Gives the call that was left out its result.
#[cfg(target_arch = "x86_64")]
fn give(pid: Pid, errno: i32) -> Result<(), String> {
    let mut registers = ptrace::getregs(pid).map_err(|e| format!("registers of {pid}: {e}"))?;
    registers.rax = i64::from(-errno).cast_unsigned();
    ptrace::setregs(pid, registers).map_err(|e| format!("registers of {pid}: {e}"))
}

#[cfg(not(target_arch = "x86_64"))]
fn leave_out(_: Pid) -> Result<(), String> {
    Err("calls can be left out on x86_64 alone".to_owned())
}

#[cfg(not(target_arch = "x86_64"))]
fn give(_: Pid, _: i32) -> Result<(), String> {
    Err("calls can be left out on x86_64 alone".to_owned())
}
