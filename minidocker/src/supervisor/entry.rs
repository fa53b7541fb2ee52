//! The supervisor's own way: from its fresh exec to the end of its container.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use sys::{CloneArgs, Cloned, Pid, Role, Signal};

use super::carrier::Carrier;
use super::connection::Connection;
use super::event_loop::EventLoop;
use super::log::JsonLog;
use super::protocol::{Answer, Call, Verb};
use super::streams::{Streams, nulls, pipes};
use super::{SupervisorError, control};
use crate::container::{Container, Ledger, Status, find, finish, give_up, now, settle};
use crate::image;
use crate::runtime::{self, Created, Failure, Plan, Report};
use crate::spec::Request;
use crate::store::{Below, Lock, Store};

/// The name under which a supervisor runs: `minidocker-supervisor <id> <lock fd> <channel fd>`.
pub const ARGV0: &str = "minidocker-supervisor";

/// The same where the kernel keeps 15 bytes (prctl(2), PR_SET_NAME).
const COMM: &CStr = c"minidocker-sup";

/// What can't be done when one of its own first calls fails.
const STARTED: &str = "start the supervisor";

/// What `main` of the binary calls when it was started as [`ARGV0`].
#[must_use]
pub fn main(args: &[String]) -> ExitCode {
    // Started through /proc/self/exe, ps(1) would call us `exe`.
    let _ = nix::sys::prctl::set_name(COMM);
    match Supervisor::begin(args).and_then(Supervisor::live) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever started us has been told over the channel.
        Err(_) => ExitCode::from(125),
    }
}

/// What `inspect` says of a root container on a host whose cgroups take no device list.
const NO_MKNOD: &str = "CAP_MKNOD was dropped, and no device node outside of /dev can be opened: \
     no device list can be set here (cgroup v1 has one; v2 needs an eBPF program)";

/// What a set-up that went well leaves.
struct Running {
    created: Created,
    streams: Streams,
    log: JsonLog,
    listener: OwnedFd,
}

struct Supervisor {
    store: Store,
    container: Container,
    request: Request,
    ledger: Ledger,
    starter: Connection,
    lock: Lock,
}

impl Supervisor {
    /// Takes over what the client left open for us.
    fn begin(args: &[String]) -> Result<Self, SupervisorError> {
        let usage = || SupervisorError::Refused(format!("{ARGV0} is started by minidocker run, not by hand"));
        let [id, lock, channel] = args else { return Err(usage()) };
        let number = |text: &String| text.parse::<i32>().map_err(|_| usage());
        let (lock, channel) = (number(lock)?, number(channel)?);
        // One owner each, and the standard streams have theirs.
        if lock == channel || lock.min(channel) <= 2 {
            return Err(usage());
        }
        let inherited = |fd| sys::inherited(fd).map_err(SupervisorError::of(STARTED));
        let lock = Lock::passed(inherited(lock)?);
        let mut starter = Connection::new(inherited(channel)?, true);
        match Self::take_over(id, &mut starter) {
            Ok((store, container, request, ledger)) => {
                Ok(Self { store, container, request, ledger, starter, lock })
            }
            Err(e) => {
                starter.tell(&Answer::Failed(failure(&e)), None);
                Err(e)
            }
        }
    }

    fn take_over(
        id: &str,
        starter: &mut Connection,
    ) -> Result<(Store, Container, Request, Ledger), SupervisorError> {
        // Not the terminal's any more: Ctrl-C there is for the client to pass on.
        sys::setsid().map_err(SupervisorError::of(STARTED))?;
        // One that came before waits, for the client's mask is ours too. It is passed on, so we forget it:
        // what is ignored is not pending any more (sigaction(2)).
        let of_the_group = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGTERM];
        (of_the_group.into_iter().try_for_each(sys::ignore_signal))
            .and_then(|()| sys::default_signals())
            .and_then(|()| sys::ignore_signal(Signal::SIGPIPE))
            // A log or a record that may not grow is an error to be told, not our end.
            .and_then(|()| sys::ignore_signal(Signal::SIGXFSZ))
            .map_err(SupervisorError::of(STARTED))?;
        sys::set_role(Role::Supervisor);
        let store = Store::open()?;
        let container = find(&store, id)?;
        let request = container.request()?;
        let ledger = Ledger::open(&container.dir)?;
        sys::chdir(store.root()).map_err(SupervisorError::of(STARTED))?;
        // Without a message it has left; one that can't be had would be a container whose output is nobody's.
        let wish = runtime::receive::<Call>(starter.socket());
        let wish = wish.map_err(SupervisorError::call("hear its starter", "recvmsg", "…"))?;
        if let Some((Call { verb: Verb::Attach(attach), .. }, fds)) = wish {
            starter.attach(attach, fds)?;
            if attach.events {
                listen_to_events(starter)?;
            }
        }
        Ok((store, container, request, ledger))
    }

    /// Sets the container up, runs the loop, clears up.
    fn live(mut self) -> Result<(), SupervisorError> {
        let running = match self.set_up() {
            Ok(running) => running,
            Err(failure) => return self.give_up(failure),
        };
        self.starter.tell(&Answer::Started, None);
        let Self { store, container, request, ledger, starter, lock } = self;
        let durable = !request.host_config.auto_remove;
        // Off the way that anybody waits for. Without it the record is only less safe. A container
        // that goes at its end has nothing that must outlive the machine, and ends at once.
        let syncer = if durable { start_syncer(&store, &container, &request).ok() } else { None };
        let Running { created, streams, log, listener } = running;
        let carrier = Carrier::new(streams, log, starter);
        let event_loop = EventLoop { container: &container, created, listener, carrier, ledger, syncer };
        let mut ended = event_loop.run()?;
        ended.tell_starter();
        // What could not be released keeps its record. The next command tries again, and tells of it: the
        // starter's own, before it ends.
        let cleared = finish(&container, &mut ended.ledger, ended.code);
        let _ = settle(&store, &container, cleared, request.host_config.auto_remove);
        drop(lock);
        // It has the starter's channel too, whose end says that all is done.
        sys::set_sink(None);
        ended.tell_end();
        // Nobody waits any more. The last descriptor on the mount namespace: overlay writes the
        // upper's pages back now, unless the mount is volatile.
        drop(ended.mount_namespace);
        Ok(())
    }

    fn set_up(&mut self) -> Result<Running, Failure> {
        let ours = |e: SupervisorError| failure(&e);
        let mut plan = self.plan()?;
        let open_stdin = self.request.config.open_stdin;
        let tty = plan.terminal.is_some();
        let log = JsonLog::open(&self.container.dir).map_err(ours)?;
        let listener = control::listen(&self.container.dir).map_err(ours)?;
        let (streams, stdio) = if tty {
            (None, nulls().map_err(ours)?)
        } else {
            let (streams, stdio) = pipes(open_stdin).map_err(ours)?;
            (Some(streams), stdio)
        };
        let starter = &mut self.starter;
        let mut tell = |event| starter.tell(&Answer::Event(event), None);
        let mut created =
            runtime::create(&self.container.dir, &mut plan, stdio, &mut self.ledger, &mut tell)?;
        let streams = match (streams, created.console.take()) {
            (_, Some(master)) => Streams::of_terminal(master, open_stdin).map_err(ours)?,
            (Some(streams), None) => streams,
            (None, None) => return Err(Failure::ours("the container's terminal did not arrive")),
        };
        self.start(&created)?;
        Ok(Running { created, streams, log, listener })
    }

    fn plan(&self) -> Result<Plan, Failure> {
        let spec = self.container.spec().map_err(|e| failure(&e.into()))?;
        Plan::new(&spec, &self.container.dir).map_err(|e| Failure::of(e.to_string(), &e))
    }

    /// Opens the exec fifo, and waits until exec has succeeded.
    fn start(&mut self, created: &Created) -> Result<(), Failure> {
        runtime::start(&self.container.dir).map_err(|e| Failure::of("cannot start the container", &e))?;
        loop {
            match runtime::read_report(&created.reports)
                .map_err(|e| Failure::of("cannot read the child's report", &e))?
            {
                Some((Report::Event(event), _)) => self.starter.tell(&Answer::Event(event), None),
                Some((Report::Failed(failure), _)) => return Err(failure),
                Some(_) => {}
                None => break,
            }
        }
        let (pid, without_mknod) = (created.pid.as_raw(), created.without_mknod);
        let running = self.ledger.change(|state| {
            state.status = Status::Running;
            state.pid = pid;
            state.exit_code = 0;
            state.error.clear();
            state.started_at = now();
            state.notices = without_mknod.then(|| NO_MKNOD.to_owned()).into_iter().collect();
        });
        running.map_err(|e| failure(&e.into()))
    }

    /// The set-up failed: nothing of it may stay, and the record says why.
    fn give_up(mut self, failure: Failure) -> Result<(), SupervisorError> {
        // As at the end of one that ran: what stays is tried again, and told, by the starter's command.
        let _ = give_up(&self.store, &self.container, &self.request, &mut self.ledger, &failure);
        drop(self.lock);
        self.starter.tell(&Answer::Failed(failure), None);
        Ok(())
    }
}

/// An error of ours, for the starter to show.
fn failure(error: &SupervisorError) -> Failure {
    let Below { call, because, remedy } = error.below();
    Failure { call, because, remedy, ..Failure::ours(error.to_string()) }
}

/// A child that makes the record and the layers durable while the container runs: fsync(2) may take
/// seconds on a busy disk, and our loop must go on.
fn start_syncer(store: &Store, container: &Container, request: &Request) -> sys::Result<(Pid, OwnedFd)> {
    match sys::clone3(&CloneArgs::default())? {
        Cloned::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Cloned::Child => {
            // Our lock and our clients' pipes are not its to keep open.
            if sys::close_all_but(&[]).is_ok() {
                make_durable(store, container, request);
            }
            sys::exit_now(0)
        }
    }
}

/// What isn't synced is only made again, or asked again, after a loss of power: no failure is told.
fn make_durable(store: &Store, container: &Container, request: &Request) {
    let record = std::fs::File::open(container.dir.join("request.json"));
    let _ = record.and_then(|file| file.sync_all());
    if let Ok(config) = image::config(store, &request.image_id) {
        let _ = image::sync_layers(store, &config);
    }
}

/// From now on every call of this process is told to the starter.
fn listen_to_events(starter: &Connection) -> Result<(), SupervisorError> {
    let socket = starter.socket().try_clone_to_owned().map_err(SupervisorError::call(
        "tell the events",
        "dup",
        "…",
    ))?;
    sys::set_sink(Some(Box::new(move |event| {
        let _ = runtime::send(socket.as_fd(), &Answer::Event(event.clone()), &[]);
    })));
    Ok(())
}
