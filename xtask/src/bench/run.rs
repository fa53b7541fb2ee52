//! `cargo xtask bench run`: the start of a container, beside the floor and beside other tools.
//!
//! All of them run the same root file system from one fresh file system, in a room of their own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::engines::{Cgroup, Docker, podman};
use super::peers::{self, Peers};
use super::record::{Machine, Measured, Record};
use super::room::{self, Room, Store};
use super::sleepers::Sleepers;
use super::who::{self, Who};
use super::{floor, report, stats};
use crate::workspace::{self, Workspace};

const WARM_UP: usize = 3;
const FEWEST_RUNS: usize = 31;
const COMMAND: &str = "run --rm --network none hostbox true";

/// How to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// How many rounds, at least 31.
    #[arg(long, default_value_t = FEWEST_RUNS)]
    runs: usize,
    /// Where the stores lie, as root (else tmpfs). A plain user can mount nothing and has /dev/shm.
    #[arg(long, value_enum)]
    store: Option<Store>,
    /// As root: measure plain users, with one id and with subordinate ids.
    #[arg(long)]
    rootless: bool,
    /// Measure this binary instead of a fresh release build.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Also keep the raw numbers here (book/data/bench-run.json).
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// What the process of a plain user is told.
#[derive(Args)]
pub(crate) struct Part {
    #[arg(long)]
    room: PathBuf,
    #[arg(long)]
    runs: usize,
    #[arg(long)]
    out: PathBuf,
}

/// The binary to measure: given, or a fresh release build.
pub(super) fn binary(given: Option<&Path>, workspace: &Workspace) -> Result<PathBuf> {
    match given {
        Some(binary) => Ok(binary.canonicalize().with_context(|| format!("find {}", binary.display()))?),
        None => {
            // Inside of the room it is built already.
            if !room::is_inside() {
                workspace.cargo(&["build", "--release", "-p", "minidocker"])?;
            }
            Ok(workspace.target.join("release/minidocker"))
        }
    }
}

pub(super) fn bench(options: &Options) -> Result<bool> {
    ensure!(options.runs >= FEWEST_RUNS, "a median of fewer than {FEWEST_RUNS} runs says little");
    let workspace = Workspace::read()?;
    let binary = binary(options.binary.as_deref(), &workspace)?;
    let mut machine = Machine::look(&workspace.root);
    ensure!(
        options.store.is_none() || workspace::is_root()?,
        "--store is for root: a plain user has /dev/shm"
    );
    let store = options.store.unwrap_or(Store::Tmpfs);
    room::enter()?;
    let room = Room::make(store)?;
    room.take(&binary, "minidocker")?;
    floor::compile(&room.path().join("bin"))?;
    let me = Who::me()?;
    ensure!(me.is_root() || !options.rootless, "--rootless is for root: a plain user is that anyway");
    let measured = if options.rootless {
        who::add_plain_users(room.path())?;
        let xtask = room.take(&std::env::current_exe()?, "xtask")?;
        let of = |who: &Who| measure_as(who, room.path(), &xtask, options.runs);
        Who::PLAIN.iter().map(of).collect::<Result<Vec<_>>>()?
    } else {
        me.make_folder(room.path())?;
        vec![measure(&me, room.path(), options.runs)?]
    };
    machine.look_again();
    let store = if me.is_root() { format!("{store:?}").to_lowercase() } else { "/dev/shm".to_owned() };
    let record = Record { version: 1, unit: "ms".into(), command: COMMAND.into(), store, machine, measured };
    let name = if options.rootless { "run-rootless.json" } else { "run.json" };
    let raw = workspace.target.join("bench").join(name);
    for path in [Some(&raw), options.keep.as_ref()].into_iter().flatten() {
        record.write(path)?;
        println!("raw numbers: {}", path.display());
    }
    Ok(report::print(&record))
}

/// The same in a process of that user.
fn measure_as(who: &Who, room: &Path, xtask: &Path, runs: usize) -> Result<Measured> {
    let folder = who.make_folder(room)?;
    let out = folder.join("measured.json");
    let mut part = who.become_it()?;
    part.arg(xtask).args(["bench", "part", "--runs", &runs.to_string(), "--room"]).arg(room);
    part.arg("--out").arg(&out).current_dir(&folder).env("HOME", &folder);
    workspace::run(&mut part).with_context(|| format!("measure as {}", who.name()))?;
    serde_json::from_slice(&fs::read(&out)?).with_context(|| format!("read {}", out.display()))
}

/// `bench part`: what [`measure_as`] starts.
pub(super) fn part(part: &Part) -> Result<bool> {
    let measured = measure(&Who::me()?, &part.room, part.runs)?;
    fs::write(&part.out, serde_json::to_vec(&measured)?)?;
    Ok(true)
}

fn measure(who: &Who, room: &Path, runs: usize) -> Result<Measured> {
    let folder = room.join(who.folder());
    let store = folder.join("store");
    let ours = peers::minidocker(room, &store);
    ours.once(0).context("the first run, which assembles hostbox")?;
    let mut peers = Peers::default();
    peers.ready.push(ours);
    peers.ready.extend(floor::peers(room, &floor::lower(&store)?, who));
    let layer = peers::layer(&store).context("hostbox's layer in the store")?;
    let rootfs = peers::rootfs(&folder, &layer)?;
    peers.add("bubblewrap", peers::bubblewrap(&rootfs));
    let sleeper = Sleepers::start(&room.join("bin/minidocker"), &store, 1)?;
    peers.add("nsenter -a", peers::nsenter(sleeper.payload()));
    peers.add("runc", peers::runc(&folder, &rootfs, who, &room::tag(room)));
    let cgroup = Cgroup::of(room);
    let mut docker = None;
    if who.is_root() {
        peers.add("podman", podman(&folder, &layer, &cgroup));
        let started = Docker::start(&folder, &layer, &cgroup).map(|daemon| docker.insert(daemon).peer());
        peers.add("docker", started);
    } else {
        peers.missing.push("docker, podman: are measured as root".to_owned());
    }
    println!("{} rounds of {} commands, as {}", runs + WARM_UP, peers.ready.len(), who.name());
    let all = stats::interleave(&peers.ready, WARM_UP, runs);
    drop((docker, sleeper));
    Ok(Measured::new(who.name(), all?, peers.missing))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_binary_that_is_given_must_be_there() {
        let workspace = crate::workspace::Workspace::read().unwrap();
        let missing = super::binary(Some(std::path::Path::new("/nonexistent/x")), &workspace);
        assert!(format!("{:#}", missing.unwrap_err()).starts_with("find /nonexistent/x"));
    }
}
