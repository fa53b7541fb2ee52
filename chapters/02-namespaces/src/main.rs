//! Runs one program in a root file system of its own.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use chroot::{Mount, Nodes, Root};
use clap::Parser;
use namespaces::idmap::Maps;
use namespaces::init::Signals;
use namespaces::{Kind, propagation};
use nix::unistd::AccessFlags;
use sys::MsFlags;

/// Runs a program in a child process.
#[derive(Parser)]
struct Args {
    /// Show our system calls on standard error, as strace(1) does.
    #[arg(long)]
    trace: bool,
    /// The root file system; without it one is made of a few programs of the host.
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// Only chroot(2), which root can leave again, and not pivot_root(2).
    #[arg(long)]
    chroot: bool,
    /// Namespaces that stay the host's, with commas between: user, pid, uts, ipc, net, cgroup, time.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    share: Vec<Kind>,
    /// The host name inside.
    #[arg(long, value_name = "NAME", default_value = "box")]
    hostname: String,
    /// What `holes` takes for the host's.
    #[arg(skip = payload::of_this_process())]
    host: String,
    /// The program, and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

impl Args {
    /// Whether the program gets a namespace of this kind. Old kernels lack cgroup and time.
    fn own(&self, kind: Kind) -> bool {
        kind.is_known() && !self.share.contains(&kind)
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.trace {
        sys::set_sink(Some(Box::new(|e| {
            // One write a line, for there are two processes.
            let line = format!("{}({}) = {}\n", e.call, e.args, e.result);
            eprint!("{line}");
        })));
    }
    run(&args).map_or_else(failed, ExitCode::from)
}

/// Docker's 125: it was us who failed, not the program.
fn failed(e: anyhow::Error) -> ExitCode {
    eprintln!("{}: {e:#}", env!("CARGO_BIN_NAME"));
    if let Some(hint) = e.root_cause().downcast_ref::<sys::SysError>().and_then(sys::SysError::hint) {
        eprintln!("  because: {}\n  do: {}", hint.because, hint.remedy);
    }
    ExitCode::from(125)
}

/// What a root made of the host's programs has, beside the one that is to run.
const PROGRAMS: [&str; 12] =
    ["sh", "ls", "cat", "ps", "id", "hostname", "mount", "ip", "sleep", "env", "grep", "head"];
/// More than the programs and their libraries need.
const ASSEMBLED_LIMIT_BYTES: u64 = 256 << 20;

/// Makes a root of the host's own programs and the libraries that they need.
fn assemble(args: &Args, into: &Path) -> Result<()> {
    let names = PROGRAMS.iter().map(OsStr::new).chain(args.program.first().map(OsString::as_os_str));
    let programs: Vec<PathBuf> = names.filter_map(find).flat_map(std::path::absolute).collect();
    let report = chroot::assemble(Path::new("/"), &programs, into, ASSEMBLED_LIMIT_BYTES)?;
    for refused in report.refused {
        eprintln!("{}: {}: {}", env!("CARGO_BIN_NAME"), refused.program.display(), refused.why);
    }
    let bin = Root::open(into)?.make_dir_all(Path::new("/bin"), 0o755)?;
    Ok(payload::put_holes(bin.as_fd(), &args.host)?)
}

fn run(args: &Args) -> Result<u8> {
    let assembled = tempfile::tempdir()?;
    let rootfs = args.rootfs.as_deref().unwrap_or(assembled.path());
    anyhow::ensure!(args.own(Kind::Mnt), "--share mnt: what we mount would be mounted on the host");
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| args.own(*kind)).collect();
    let maps = args.own(Kind::User).then(Maps::for_this_process).transpose()?;
    if let Some(why) = maps.as_ref().and_then(|maps| maps.why_single.as_ref()) {
        eprintln!("{}: only one id is mapped: {why}", env!("CARGO_BIN_NAME"));
    }
    let signals = Signals::block()?;
    match namespaces::clone(Kind::flags(&kinds), maps.as_ref(), None)? {
        sys::Cloned::Child => {
            let code = enter(args, rootfs).and_then(|()| exec(&args.program));
            sys::exit_now(code.unwrap_or_else(|e| {
                failed(e);
                125
            }))
        }
        sys::Cloned::Parent { pid, .. } => {
            // Ctrl-C is for the program, as system(3) does it.
            sys::ignore_signal(sys::Signal::SIGINT)?;
            sys::ignore_signal(sys::Signal::SIGQUIT)?;
            let code = signals.wait_for(pid)?.code();
            Ok(code.and_then(|c| u8::try_from(c).ok()).unwrap_or(125))
        }
    }
}

/// What the child does before it becomes the program.
fn enter(args: &Args, rootfs: &Path) -> Result<()> {
    propagation::make_private()?;
    if args.own(Kind::Uts) {
        sys::sethostname(&args.hostname)?;
    }
    if args.own(Kind::Net) {
        namespaces::loopback_up()?;
    }
    if args.rootfs.is_some() {
        // pivot_root(2) wants a mount: any directory becomes one when it is bound on itself.
        sys::mount(Some(rootfs), rootfs, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?;
    } else {
        // In memory, so that nothing is left of it, however we end.
        sys::mount(None, rootfs, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755"))?;
        assemble(args, rootfs)?;
    }
    let root = Root::open(rootfs)?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // A procfs shows the pid namespace of whoever mounts it.
    let proc = Mount::new("proc", Path::new("/proc"), safe, None);
    let host_proc = Mount::bind(Path::new("/proc"), Path::new("/proc"));
    chroot::mount_in(&root, if args.own(Kind::Pid) { &proc } else { &host_proc })?;
    // A sysfs shows a network namespace, and may be mounted only by its owner.
    let sysfs = Mount::new("sysfs", Path::new("/sys"), safe | MsFlags::MS_RDONLY, None);
    if let Err(e) = chroot::mount_in(&root, &sysfs) {
        eprintln!("{}: no /sys: {:#}", env!("CARGO_BIN_NAME"), anyhow::Error::from(e));
    }
    chroot::mount_in(&root, &Mount::new("tmpfs", Path::new("/dev"), MsFlags::MS_NOSUID, Some("mode=755")))?;
    chroot::populate_dev(&root, Nodes::Bind)?;
    if args.chroot {
        chroot::enter_chroot(rootfs)?;
    } else {
        chroot::pivot_into(&root)?;
    }
    // Process 1 has no default signals, and reaps orphans: no work for just any program.
    if args.own(Kind::Pid) {
        Signals::block()?.stay_as_pid1()?
    } else {
        sys::default_signals()?
    }
    Ok(())
}

/// Comes back only with the exit code of a failure: 127 not found, 126 found but not to be run.
fn exec(program: &[OsString]) -> Result<i32> {
    let Some(path) = find(&program[0]) else {
        failed(anyhow::anyhow!("{}: not found in PATH", program[0].display()));
        return Ok(127);
    };
    let text = |s: OsString| CString::new(s.into_vec()).context("a zero byte");
    let argv = program.iter().cloned().map(text).collect::<Result<Vec<_>>>()?;
    let env = std::env::vars_os().map(|(k, v)| text([k, v].join(OsStr::new("="))));
    let e = sys::execve(&text(path.into())?, &argv, &env.collect::<Result<Vec<_>>>()?);
    let code = if e.errno() == sys::Errno::ENOENT { 127 } else { 126 };
    failed(e.into());
    Ok(code)
}

/// Looks a name up in PATH as execvp(3) does, so that a file without the x bit is the last choice.
fn find(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or("/usr/bin:/bin".into());
    let found: Vec<_> = std::env::split_paths(&path).map(|d| d.join(name)).filter(|p| p.is_file()).collect();
    let runs = found.iter().find(|p| nix::unistd::access(p.as_path(), AccessFlags::X_OK).is_ok());
    runs.or(found.first()).cloned()
}
