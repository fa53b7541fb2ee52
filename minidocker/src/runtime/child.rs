//! The child's side: from clone to exec, step by step.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Mode, OFlags};

use chroot::{MountError, Nodes, Root};
use sys::{CloneFlags, Errno, Role, SysError};

use super::mounts::Source;
use super::reason::{NO_ROOTFS, no_hostname, no_overlay, no_working_dir, not_masked};
use super::report::{Failure, Report, send};
use super::step::{Credentials, Rootfs, Step};
use super::{Plan, Stdio, exec, fault, init, mounts};

/// All that the child takes along from its parent.
pub(super) struct Child<'p> {
    plan: &'p Plan,
    joiner: cgroups::Joiner,
    stdio: Stdio,
    fifo: OwnedFd,
    reports: Rc<OwnedFd>,
    /// A pidfd on the supervisor.
    parent: OwnedFd,
    /// The rootfs, once it is mounted.
    root: Option<Root>,
    /// Trees of the host that keep their propagation.
    sources: Vec<Source>,
    /// Where the program is, once it is found.
    program: Option<PathBuf>,
}

impl<'p> Child<'p> {
    pub(super) fn new(
        plan: &'p Plan,
        joiner: cgroups::Joiner,
        stdio: Stdio,
        fifo: OwnedFd,
        reports: OwnedFd,
        parent: OwnedFd,
    ) -> Self {
        let (reports, sources) = (Rc::new(reports), Vec::new());
        Self { plan, joiner, stdio, fifo, reports, parent, root: None, sources, program: None }
    }

    pub(super) fn join_with(&mut self, joiner: cgroups::Joiner) {
        self.joiner = joiner;
    }

    /// Runs in the child alone and never comes back.
    pub(super) fn run(mut self) -> ! {
        let listening = sys::sink_is_set();
        sys::set_role(Role::Child);
        sys::set_sink(None);
        if listening {
            let socket = Rc::clone(&self.reports);
            sys::set_sink(Some(Box::new(move |event| {
                let _ = send(socket.as_fd(), &Report::Event(event.clone()), &[]);
            })));
        }
        if let Err(failure) = self.set_up() {
            let _ = send(self.reports.as_fd(), &Report::Failed(failure), &[]);
        }
        sys::exit_now(1)
    }

    fn set_up(&mut self) -> Result<(), Failure> {
        self.close_others()?;
        if self.plan.steps.iter().any(|step| matches!(step, Step::Init)) {
            init::show_as_init();
        }
        self.wait_for_go()?;
        for step in &self.plan.steps {
            fault::enter(step.kind()).map_err(Failure::ours)?;
            self.apply(step)?;
        }
        Ok(())
    }

    /// The supervisor's lock and its clients' pipes must not stay open in here.
    fn close_others(&self) -> Result<(), Failure> {
        let Stdio { stdin, stdout, stderr } = &self.stdio;
        let mut keep = vec![stdin.as_fd(), stdout.as_fd(), stderr.as_fd(), self.fifo.as_fd()];
        keep.extend([self.reports.as_fd(), self.parent.as_fd()]);
        keep.extend(self.joiner.fds());
        sys::close_all_but(&keep).map_err(|e| Failure::of("cannot close descriptors", &e))
    }

    /// The parent writes our id maps, and our number into the record, before we go on.
    fn wait_for_go(&self) -> Result<(), Failure> {
        let mut word = [0u8; 2];
        match rustix::io::retry_on_intr(|| rustix::io::read(&*self.reports, &mut word)) {
            Ok(2) => Ok(()),
            // End of file: the supervisor died. Nobody is there to be told.
            _ => sys::exit_now(1),
        }
    }

    fn root(&self) -> Result<&Root, Failure> {
        self.root.as_ref().ok_or_else(no_root)
    }

    fn apply(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::JoinCgroup => {
                std::mem::take(&mut self.joiner).join().map_err(|e| Failure::of("cannot join the cgroup", &e))
            }
            Step::CgroupNamespace => sys::unshare(CloneFlags::CLONE_NEWCGROUP)
                .map_err(|e| Failure::of("cannot make a cgroup namespace", &e)),
            Step::Root => self.become_root(),
            Step::Sources(paths) => {
                self.sources = mounts::open_sources(paths)?;
                Ok(())
            }
            Step::PrivateMounts => namespaces::propagation::make_private()
                .map_err(|e| Failure::of("cannot make the mounts private", &e)),
            Step::Loopback => namespaces::loopback_up()
                .map_err(|e| Failure::of("cannot bring up the loopback interface", &e)),
            // ANCHOR: change_root
            Step::Rootfs(rootfs) => self.mount_rootfs(rootfs),
            Step::Mount(mount) => {
                let bundle = self.plan.rootfs.parent().unwrap_or(Path::new("/"));
                let root = self.root.as_ref().ok_or_else(no_root)?;
                mounts::mount(root, mount, bundle, &mut self.sources)?;
                let is_bind = mount.flags.contains(sys::MsFlags::MS_BIND);
                if is_bind && self.plan.no_devices {
                    mounts::forbid_devices(root, &mount.destination)
                } else {
                    Ok(())
                }
            }
            Step::ReadonlyTree(at) => mounts::readonly_tree(self.root()?, at),
            Step::Devices(devices, how) => make_devices(self.root()?, devices, *how),
            Step::Pivot => {
                chroot::pivot_into(self.root()?).map_err(|e| Failure::of("cannot change the root", &e))
            }
            // ANCHOR_END: change_root
            Step::Console => self.make_console(),
            Step::Hostname(name) => sys::sethostname(name).map_err(|e| no_hostname(name, &e)),
            Step::Mask(path) => security::mask_path(path).map(drop).map_err(|e| not_masked(path, &e)),
            Step::Readonly(path) => security::readonly_path(path)
                .map(drop)
                .map_err(|e| Failure::of(format!("cannot make {} read-only", path.display()), &e)),
            Step::WorkingDir(dir) => working_dir(dir),
            Step::ReadonlyRoot => {
                security::readonly_root().map_err(|e| Failure::of("cannot make the rootfs read-only", &e))
            }
            Step::Credentials(credentials) => become_user(credentials),
            // After the last change of credentials, which would clear it.
            Step::DieWithParent => namespaces::die_with_parent(self.parent.as_fd())
                .map_err(|e| Failure::of("cannot ask to die with the supervisor", &e)),
            Step::ExecFifo => self.wait_at_fifo(),
            Step::Init => init::stay(self.plan.terminal.is_some()),
            Step::Exec => Err(match &self.program {
                Some(path) => exec::become_program(self.plan, path),
                None => Failure::ours("a step needs the program before it is found"),
            }),
        }
    }

    fn become_root(&self) -> Result<(), Failure> {
        let failed = |e: sys::SysError| Failure::of("cannot become root of the user namespace", &e);
        if let Some(how) = self.plan.how {
            namespaces::become_root(how).map_err(failed)?;
        }
        sys::setsid().map_err(|e| Failure::of("cannot start a session", &e))?;
        // A key of the caller's session (ecryptfs, Kerberos) is none of the program's. Without keys there is
        // nothing to leave; who is filtered can't use any; and who has too many still gets a container.
        match sys::join_session_keyring() {
            Err(e) if !matches!(e.errno(), Errno::ENOSYS | Errno::EPERM | Errno::EDQUOT) => {
                return Err(Failure::of("cannot start a session keyring", &e));
            }
            _ => {}
        }
        rustix::process::umask(Mode::from_raw_mode(0o022));
        sys::default_signals().map_err(|e| Failure::of("cannot reset the signals", &e))
    }

    fn mount_rootfs(&mut self, rootfs: &Rootfs) -> Result<(), Failure> {
        let at = self.plan.rootfs.as_path();
        match rootfs {
            Rootfs::Overlay(overlay) => overlay.mount(at).map_err(|e| no_overlay(&e))?,
            Rootfs::Bind(source) => {
                let flags = sys::MsFlags::MS_BIND | sys::MsFlags::MS_REC;
                sys::mount(Some(source), at, None, flags, None).map_err(|e| Failure::of(NO_ROOTFS, &e))?;
            }
        }
        let root = self.root.insert(Root::open(at).map_err(|e| Failure::of(NO_ROOTFS, &e))?);
        if self.plan.no_devices { mounts::forbid_devices(root, Path::new("/")) } else { Ok(()) }
    }

    /// A terminal of the container's own devpts: so ttyname(3) inside finds it.
    fn make_console(&mut self) -> Result<(), Failure> {
        let failed = |e: &(dyn std::error::Error + 'static)| Failure::of("cannot make the terminal", e);
        let master = sys::open_ptmx().map_err(|e| failed(&e))?;
        let path = rustix::pty::ptsname(&master, Vec::new()).map_err(|e| failed(&e))?;
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        let slave = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let shown = || format!("AT_FDCWD, {path:?}, O_RDWR|O_NOCTTY|O_CLOEXEC");
        let slave = slave.map_err(|e| failed(&SysError::of("openat", shown(), e)))?;
        if let Some((rows, columns)) = self.plan.terminal.filter(|size| *size != (0, 0)) {
            let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            rustix::termios::tcsetwinsize(&slave, size).map_err(|e| failed(&e))?;
        }
        let root = Root::open(Path::new("/")).map_err(|e| failed(&e))?;
        chroot::bind_console(&root, path).map_err(|e| failed(&e))?;
        sys::controlling_terminal(slave.as_fd()).map_err(|e| failed(&e))?;
        send(self.reports.as_fd(), &Report::Console, &[master.as_fd()]).map_err(|e| failed(&e))?;
        let again = || slave.try_clone().map_err(|e| failed(&e));
        self.stdio =
            Stdio { stdin: again()?, stdout: again()?, stderr: slave.try_clone().map_err(|e| failed(&e))? };
        Ok(())
    }

    fn wait_at_fifo(&mut self) -> Result<(), Failure> {
        let failed = |e: rustix::io::Errno| Failure::of("cannot connect the standard streams", &e);
        self.program = Some(exec::find_program(self.plan)?);
        send(self.reports.as_fd(), &Report::Ready, &[]).map_err(|e| Failure::of("cannot report", &e))?;
        let mut word = [0u8; 1];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.fifo, &mut word)) {
            Ok(1) => {}
            // Nobody is left who could start it.
            Ok(_) => sys::exit_now(1),
            Err(e) => {
                let call = SysError::of("read", "\"exec.fifo\", 1".to_owned(), e);
                return Err(Failure::of("cannot wait for the start of the container", &call));
            }
        }
        rustix::stdio::dup2_stdin(&self.stdio.stdin).map_err(failed)?;
        rustix::stdio::dup2_stdout(&self.stdio.stdout).map_err(failed)?;
        rustix::stdio::dup2_stderr(&self.stdio.stderr).map_err(failed)?;
        Ok(())
    }
}

fn no_root() -> Failure {
    Failure::ours("a step needs the rootfs before it is mounted")
}

/// Only a try tells whether we may make nodes: root may lack CAP_MKNOD, and a device list above us
/// may forbid it (`m`). Where it is refused the host's own are bound; the events show both.
fn make_devices(root: &Root, devices: &[chroot::Device], how: Nodes) -> Result<(), Failure> {
    match chroot::make_devices(root, devices, how) {
        Err(MountError::Call { source, .. })
            if source.call() == "mknodat" && source.errno() == Errno::EPERM && how == Nodes::Make =>
        {
            chroot::make_devices(root, devices, Nodes::Bind)
        }
        other => other,
    }
    .and_then(|()| chroot::link_dev(root))
    .map_err(|e| Failure::of("cannot make the devices", &e))
}

/// Made where it is missing, as Docker does.
fn working_dir(dir: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).map_err(|e| no_working_dir(dir, e))?;
    sys::chdir(dir)
        .map_err(|e| Failure::of(format!("chdir to cwd ({dir:?}) set in config.json failed"), &e))?;
    // A magic link such as /proc/self/fd/5 could lead out of the root that we pivoted into.
    match nix::unistd::getcwd() {
        Ok(path) if path.is_absolute() => Ok(()),
        _ => {
            Err(Failure::ours(format!("the working directory {} is outside of the container", dir.display())))
        }
    }
}

fn become_user(credentials: &Credentials) -> Result<(), Failure> {
    let failed = |e: &(dyn std::error::Error + 'static)| Failure::of("cannot become the container's user", e);
    security::become_user(&credentials.identity, &credentials.capabilities).map_err(|e| failed(&e))?;
    if credentials.no_new_privs {
        security::no_new_privs().map_err(|e| failed(&e))?;
    }
    Ok(())
}
