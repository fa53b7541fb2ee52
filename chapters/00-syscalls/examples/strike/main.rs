//! Runs a program under ptrace(2) and strikes at one of its system calls.
//!
//! `strike REPORT [--at N --kill VICTIM | --at N --fail ERRNO | --at N --interrupt] [--only ROLE]
//! [--seize PID]... [--hold PID]... -- PROGRAM ARGS...`
//!
//! The calls of all tasks that have become `minidocker` are counted, with `--only` those of one role. There
//! are two counters: of the calls that change something, before which a death counts, and of the calls that
//! can fail (see `calls.rs`). Before call N of the first the VICTIM is killed (`client`, `supervisor`,
//! `child` or `all`), or whoever is still in the program's process group is sent SIGINT, as by Ctrl-C; or
//! call N of the second is left out and gives ERRNO, a number. A supervisor that runs already is named by
//! `--seize`; one named by `--hold` is stopped until the program has ended, as by a debugger: SIGCONT does
//! not wake it. REPORT then holds both counts, and where it struck. The exit code is the program's.
//! Started by root, it goes before whatever changes the user: to a tracer with
//! CAP_SYS_PTRACE newuidmap stays set-user-ID (ptrace(2)).

mod calls;

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

use calls::Call;

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
    /// The calls that change something, so far.
    changing: u64,
    /// Those that can fail.
    failing: u64,
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
        if word == "--interrupt" {
            blow = Blow::Interrupt;
            continue;
        }
        let value = words.next().ok_or("no value")?.to_string_lossy().into_owned();
        let number = || value.parse::<i32>().map_err(|e| format!("{word} {value}: {e}"));
        match word.as_str() {
            "--at" => at = u64::try_from(number()?).map_err(|e| e.to_string())?,
            "--kill" => blow = Blow::Kill(value),
            "--fail" => blow = Blow::Fail(number()?),
            "--only" => only = Some(value),
            "--hold" => held.push(Pid::from_raw(number()?)),
            "--seize" => seized.push(Pid::from_raw(number()?)),
            _ => return Err(format!("{word} is not known")),
        }
    }
    let first = gated(words.collect())?;
    let (tasks, code, struck) = (BTreeMap::new(), None, None);
    let (first_pid, changing, failing) = (first.pid, 0, 0);
    let mut tracer =
        Tracer { tasks, first: first_pid, code, changing, failing, at, blow, only, held, struck };
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
    let struck = tracer.struck.as_deref().unwrap_or("-");
    let text = format!("{} {} {struck}\n", tracer.changing, tracer.failing);
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
        self.tasks.insert(pid, Task { role, counts, failing: None });
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
            WaitStatus::Exited(pid, code) => {
                self.ended(pid, code);
                return Ok(());
            }
            // A core dump is no matter here.
            WaitStatus::Signaled(pid, signal, _) => {
                self.ended(pid, 128 + signal as i32);
                return Ok(());
            }
            WaitStatus::PtraceSyscall(pid) => {
                self.at_call(pid)?;
                (pid, None)
            }
            // A group stop is told as an event too: we don't hold it, nobody here stops anybody.
            WaitStatus::PtraceEvent(pid, _, event) => {
                self.event(pid, event);
                (pid, None)
            }
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            _ => return Ok(()),
        };
        self.tasks.entry(pid).or_insert(Task { role: Role::Nobody, counts: false, failing: None });
        if self.held.contains(&pid) {
            return Ok(());
        }
        match ptrace::syscall(pid, signal) {
            // Killed meanwhile.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(e) => Err(format!("go on with {pid}: {e}")),
        }
    }

    fn ended(&mut self, pid: Pid, code: i32) {
        self.tasks.remove(&pid);
        if pid == self.first {
            self.code = u8::try_from(code).ok().or(Some(255));
        }
    }

    fn event(&mut self, pid: Pid, event: i32) {
        match event {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                let Some(parent) = self.tasks.get(&pid).copied() else { return };
                let Ok(new) = ptrace::getevent(pid) else { return };
                let role = if parent.role == Role::Supervisor { Role::Child } else { parent.role };
                let task = Task { role, counts: parent.counts, failing: None };
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
        // Entry and exit don't come by turns: who is seized in the middle of a call has its exit first.
        let is_entry = match ptrace::syscall_info(pid) {
            Ok(info) => info.op == libc::PTRACE_SYSCALL_INFO_ENTRY,
            // Killed meanwhile.
            Err(Errno::ESRCH) => return Ok(()),
            Err(e) => return Err(format!("ask for the call of {pid}: {e}")),
        };
        if !is_entry {
            if let Some(errno) = task.failing.take() {
                calls::give(pid, errno)?;
            }
            return Ok(());
        }
        let other = self.only.as_ref().is_some_and(|only| task.role.name() != only);
        if !task.counts || other || self.struck.is_some() {
            return Ok(());
        }
        let Some(call) = Call::of(pid) else { return Ok(()) };
        self.changing += u64::from(call.changes());
        self.failing += u64::from(call.can_fail());
        let (counted, points) = match self.blow {
            Blow::Fail(_) => (call.can_fail(), self.failing),
            _ => (call.changes(), self.changing),
        };
        if counted && points == self.at {
            let role = task.role.name();
            if self.strike(pid)? {
                self.struck = Some(format!("call {} of the {role}", call.number));
            }
        }
        Ok(())
    }

    /// False where there is no such victim now.
    fn strike(&mut self, pid: Pid) -> Result<bool, String> {
        match self.blow.clone() {
            Blow::Nothing => Ok(false),
            Blow::Fail(errno) => {
                calls::leave_out(pid)?;
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
