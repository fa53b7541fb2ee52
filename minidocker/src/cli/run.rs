//! `minidocker run`: its flags, and the request that they ask for.

use std::io::IsTerminal;

use jiff::Timestamp;

use super::launch::{self, Base};
use super::told::Told;
use super::verb::{Arity, Verb};
use super::{Refused, refusal, signal};
use crate::container::{Container, Status, UNSEEN};
use crate::spec::{self, Config, HostConfig, NetworkMode, Request};
use crate::store::Store;
use crate::supervisor::{self, Attach, SupervisorError};
use crate::{container, image};

/// What was typed behind `run`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Run {
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long, value_name = "string")]
    pub entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "list", value_parser = env_entry)]
    pub env: Vec<String>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    pub interactive: bool,
    /// Assign a name to the container
    #[arg(long, value_name = "string")]
    pub name: Option<String>,
    /// Connect a container to a network: none (default) or host
    #[arg(long, alias = "net", value_name = "network")]
    pub network: Vec<String>,
    /// Automatically remove the container when it exits
    #[arg(long)]
    pub rm: bool,
    /// Use a directory in place of an image; it is never written to
    #[arg(long, value_name = "dir")]
    pub rootfs: Option<std::path::PathBuf>,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub tty: bool,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long, value_name = "string")]
    pub user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "string")]
    pub workdir: Option<String>,
    /// Image and command; with `--rootfs` the command alone.
    #[arg(trailing_var_arg = true, hide = true)]
    pub words: Vec<String>,
}

impl Verb for Run {
    const ABOUT: &'static str = "Create and run a new container from an image";
    const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND] [ARG...]";
    const NOT_YET: &'static str = "add-host= annotation= a,attach= blkio-weight= blkio-weight-device= cap-add= \
        cap-drop= cgroup-parent= cgroupns= cidfile= cpu-count= cpu-percent= cpu-period= cpu-quota= cpu-rt-period= \
        cpu-rt-runtime= c,cpu-shares= cpus= cpuset-cpus= cpuset-mems= d,detach detach-keys= device= \
        device-cgroup-rule= device-read-bps= device-read-iops= device-write-bps= device-write-iops= \
        disable-content-trust dns= dns-opt= dns-option= dns-search= domainname= env-file= expose= gpus= group-add= \
        health-cmd= health-interval= health-retries= health-start-interval= health-start-period= health-timeout= \
        h,hostname= init io-maxbandwidth= io-maxiops= ip= ip6= ipc= isolation= kernel-memory= l,label= label-file= \
        link= link-local-ip= log-driver= log-opt= mac-address= m,memory= memory-reservation= memory-swap= \
        memory-swappiness= mount= net-alias= network-alias= no-healthcheck oom-kill-disable oom-score-adj= pid= \
        pids-limit= platform= privileged p,publish= P,publish-all pull= q,quiet read-only restart= runtime= \
        security-opt= shm-size= sig-proxy stop-signal= stop-timeout= storage-opt= sysctl= tmpfs= ulimit= \
        use-api-socket userns= uts= v,volume= volume-driver= volumes-from=";
    const ARITY: Arity = Arity::Any;

    fn words(&self) -> usize {
        self.words.len()
    }

    fn act(self, path: &str) -> anyhow::Result<u8> {
        if self.rootfs.is_none() && self.words.is_empty() {
            return Err(refusal::too_few(path, Self::USAGE).into());
        }
        run(&self)
    }
}

/// Makes the container, starts it, stays with it, and returns its exit code.
fn run(args: &Run) -> anyhow::Result<u8> {
    let stdin = std::io::stdin();
    if args.tty && args.interactive && !stdin.is_terminal() {
        return Err(Refused::new(1, "the input device is not a TTY").into());
    }
    let store = Store::open()?;
    let base = match (&args.rootfs, args.image()) {
        (Some(dir), _) => Base::of_rootfs(dir)?,
        (None, image) => {
            let image = image::resolve(&store, image.unwrap_or_default())?;
            image.notices.iter().for_each(|notice| super::tell(&format!("minidocker: {notice}\n")));
            Base::of_image(&store, image)
        }
    };
    let mut request = request(
        args,
        Given {
            id: container::new_id()?,
            created: Timestamp::now(),
            image_id: base.image_id.clone(),
            rootfs: args.rootfs.as_ref().map(std::path::absolute).transpose()?,
            env: &|name| std::env::var(name).ok(),
            console_size: console_size(),
        },
    )?;
    if !request.name.is_empty() {
        request.name = container::check_name(&request.name)?.to_owned();
    }
    let new = launch::create(&store, &base, request)?;
    supervisor::hold_signals()?;
    let attach = Attach { stdin: args.interactive, stdout: true, stderr: !args.tty, events: false };
    let container = new.container.clone();
    let session = supervisor::spawn(&store, new, attach)?;
    let pid = session.supervisor;
    let ended = supervisor::carry(session, args.tty, Box::new(drop));
    if args.rm {
        // Then nothing is left when we end, no process either. Without --rm it may still be writing what
        // must outlive the machine.
        supervisor::reap(pid, &ended);
    }
    let ended = match ended {
        Err(SupervisorError::Died(id)) => end_on_record(&container).ok_or(SupervisorError::Died(id)),
        ended => ended,
    };
    // What dead supervisors left. It is no failure of this container.
    container::recover_all(&store).into_iter().for_each(Told::note);
    match ended {
        Ok(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(SupervisorError::Failed(failure)) => Err(failure.into()),
        Err(e) => Err(e.into()),
    }
}

/// The exit code of a container whose supervisor was killed: `kill` and `rm -f` do that to one that
/// doesn't answer, after they have written it down. None: nobody did.
fn end_on_record(container: &Container) -> Option<i32> {
    match container.state() {
        Ok(state) => Some(state.exit_code).filter(|code| state.status == Status::Exited && *code != UNSEEN),
        // `rm -f` has removed it by now, and it sends nothing but SIGKILL.
        Err(_) => (!container.dir.exists()).then_some(128 + signal::KILL),
    }
}

/// Rows and columns of our terminal; zeros without one.
fn console_size() -> [u16; 2] {
    rustix::termios::tcgetwinsize(rustix::stdio::stdout()).map_or([0, 0], |size| [size.ws_row, size.ws_col])
}

impl Run {
    /// The image as typed; `None` with `--rootfs`.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        if self.rootfs.is_some() { None } else { self.words.first().map(String::as_str) }
    }

    /// The program and its arguments, or arguments alone; empty: the image's.
    #[must_use]
    pub fn command(&self) -> &[String] {
        let image = usize::from(self.rootfs.is_none()).min(self.words.len());
        &self.words[image..]
    }
}

/// What a request needs and the command line doesn't say.
pub struct Given<'a> {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Now.
    pub created: Timestamp,
    /// Digest of the image's configuration; empty with `--rootfs`.
    pub image_id: String,
    /// `--rootfs`, absolute.
    pub rootfs: Option<std::path::PathBuf>,
    /// Our environment, for `-e NAME`.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Rows and columns of our terminal; zeros: unknown.
    pub console_size: [u16; 2],
}

/// Turns what was typed into the request that is kept. The name is as typed: whether it is valid
/// and free is the container room's to say; without `--name` it is empty.
///
/// # Errors
/// A network that isn't built.
pub fn request(args: &Run, given: Given<'_>) -> Result<Request, Refused> {
    let network_mode = network(&args.network)?;
    let image = args.image().unwrap_or_default().to_owned();
    let command = args.command();
    let config = Config {
        user: args.user.clone().unwrap_or_default(),
        attach_stdin: args.interactive,
        attach_stdout: true,
        attach_stderr: true,
        tty: args.tty,
        open_stdin: args.interactive,
        stdin_once: args.interactive,
        env: args.env.iter().map(|entry| with_value(entry, given.env)).collect(),
        cmd: (!command.is_empty()).then(|| command.to_vec()),
        image: image.clone(),
        working_dir: args.workdir.clone().unwrap_or_default(),
        // `--entrypoint ""` is one empty word: no entrypoint, not even the image's.
        entrypoint: args.entrypoint.clone().map(|word| vec![word]),
        ..Config::default()
    };
    let host_config = HostConfig {
        network_mode,
        auto_remove: args.rm,
        console_size: if args.tty { given.console_size } else { [0, 0] },
        ..HostConfig::default()
    };
    Ok(Request {
        version: spec::VERSION,
        id: given.id,
        name: args.name.clone().unwrap_or_default(),
        created: given.created,
        image,
        image_id: given.image_id,
        rootfs: given.rootfs,
        config,
        host_config,
    })
}

/// `-e NAME` takes the value that we have; where there is none the bare name stays, and removes
/// the image's.
fn with_value(entry: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    if entry.contains('=') {
        return entry.to_owned();
    }
    env(entry).map_or_else(|| entry.to_owned(), |value| format!("{entry}={value}"))
}

fn env_entry(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(text.to_owned())
}

fn network(asked: &[String]) -> Result<NetworkMode, Refused> {
    match asked {
        [] => Ok(NetworkMode::default()),
        [one] => match one.as_str() {
            "none" => Ok(NetworkMode::None),
            "host" => Ok(NetworkMode::Host),
            "" => Err(Refused::new(125, "no name set for network")),
            other => Err(Refused::not_yet(&format!("run --network {other}"))),
        },
        _ => Err(Refused::not_yet("run --network, more than one")),
    }
}
