//! What a container is to be: the flags that `run` and `create` share, and the request they ask for.

use std::path::PathBuf;

use jiff::Timestamp;

use super::{Refused, refusal, volume};
use crate::spec::{self, Config, HostConfig, NetworkMode, Request};

/// Docker's flags of `run` and `create` that aren't built yet.
macro_rules! make_not_yet {
    () => {
        "add-host= annotation= a,attach= blkio-weight= blkio-weight-device= cap-add= cap-drop= \
         cgroup-parent= cgroupns= cidfile= cpu-count= cpu-percent= cpu-period= cpu-quota= cpu-rt-period= \
         cpu-rt-runtime= c,cpu-shares= cpus= cpuset-cpus= cpuset-mems= device= device-cgroup-rule= \
         device-read-bps= device-read-iops= device-write-bps= device-write-iops= disable-content-trust dns= \
         dns-opt= dns-option= dns-search= domainname= env-file= expose= gpus= group-add= health-cmd= \
         health-interval= health-retries= health-start-interval= health-start-period= health-timeout= \
         io-maxbandwidth= io-maxiops= ip= ip6= ipc= isolation= kernel-memory= l,label= label-file= link= \
         link-local-ip= log-driver= log-opt= mac-address= m,memory= memory-reservation= memory-swap= \
         memory-swappiness= mount= net-alias= network-alias= no-healthcheck oom-kill-disable oom-score-adj= \
         pid= pids-limit= platform= privileged p,publish= P,publish-all pull= q,quiet restart= runtime= \
         security-opt= shm-size= stop-signal= stop-timeout= storage-opt= sysctl= ulimit= use-api-socket \
         userns= uts= volume-driver= volumes-from="
    };
}
pub(super) use make_not_yet;

/// What was typed behind `run` or `create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Make {
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long, value_name = "string")]
    pub entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "list", value_parser = env_entry)]
    pub env: Vec<String>,
    /// Container host name
    #[arg(short = 'h', long, value_name = "string")]
    pub hostname: Option<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long)]
    pub init: bool,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    pub interactive: bool,
    /// Assign a name to the container
    #[arg(long, value_name = "string")]
    pub name: Option<String>,
    /// Connect a container to a network: none (default) or host
    #[arg(long, alias = "net", value_name = "network")]
    pub network: Vec<String>,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    pub read_only: bool,
    /// Automatically remove the container when it exits
    #[arg(long)]
    pub rm: bool,
    /// Use a directory in place of an image; it is never written to
    #[arg(long, value_name = "dir")]
    pub rootfs: Option<PathBuf>,
    /// Mount a tmpfs directory
    #[arg(long, value_name = "list")]
    pub tmpfs: Vec<String>,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub tty: bool,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long, value_name = "string")]
    pub user: Option<String>,
    /// Bind mount a volume
    #[arg(short, long, value_name = "list")]
    pub volume: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "string")]
    pub workdir: Option<String>,
    /// Image and command; with `--rootfs` the command alone.
    #[arg(trailing_var_arg = true, hide = true)]
    pub words: Vec<String>,
}

impl Make {
    /// The image as typed; `None` with `--rootfs`.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        if self.rootfs.is_some() { None } else { self.words.first().map(String::as_str) }
    }

    /// How a command that makes a container is typed.
    pub(super) const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND] [ARG...]";

    /// Refuses the command `path` when neither image nor `--rootfs` was typed.
    pub(super) fn demand_image(&self, path: &str) -> Result<(), Refused> {
        let nothing = self.rootfs.is_none() && self.words.is_empty();
        if nothing { Err(refusal::too_few(path, Self::USAGE)) } else { Ok(()) }
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
    /// The command as typed, for messages: `run`, `container create`.
    pub path: &'a str,
    /// 64 hexadecimal digits.
    pub id: String,
    /// Now.
    pub created: Timestamp,
    /// Digest of the image's configuration; empty with `--rootfs`.
    pub image_id: String,
    /// `--rootfs`, absolute.
    pub rootfs: Option<PathBuf>,
    /// Our environment, for `-e NAME`.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Rows and columns of our terminal; zeros: unknown.
    pub console_size: [u16; 2],
    /// Our working directory, for `-v ./x:/x`; `None`: it was removed.
    pub here: Option<PathBuf>,
    /// SELinux is on.
    pub selinux: bool,
}

/// Turns what was typed into the request that is kept. The name is as typed: whether it is valid
/// and free is the container room's to say; without `--name` it is empty.
///
/// # Errors
/// A network or a volume that isn't built; a `-v` that has no meaning.
pub fn request(args: &Make, given: Given<'_>) -> Result<Request, Refused> {
    let network_mode = network(&args.network, given.path)?;
    let binds = volume::binds(&args.volume, &given)?;
    let image = args.image().unwrap_or_default().to_owned();
    let command = args.command();
    let config = Config {
        hostname: args.hostname.clone().unwrap_or_default(),
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
    // Docker cuts at the first colon; whether the options mean anything is the daemon's to say.
    let tmpfs = |typed: &String| match typed.split_once(':') {
        Some((to, options)) => (to.to_owned(), options.to_owned()),
        None => (typed.clone(), String::new()),
    };
    let host_config = HostConfig {
        binds,
        network_mode,
        init: args.init.then_some(true),
        readonly_rootfs: args.read_only,
        tmpfs: args.tmpfs.iter().map(tmpfs).collect(),
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

fn network(asked: &[String], path: &str) -> Result<NetworkMode, Refused> {
    match asked {
        [] => Ok(NetworkMode::default()),
        [one] => match one.as_str() {
            "none" => Ok(NetworkMode::None),
            "host" => Ok(NetworkMode::Host),
            "" => Err(Refused::new(125, "no name set for network")),
            other => Err(Refused::not_yet(&format!("{path} --network {other}"))),
        },
        _ => Err(Refused::not_yet(&format!("{path} --network, more than one"))),
    }
}
