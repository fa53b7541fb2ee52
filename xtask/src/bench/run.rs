//! `cargo xtask bench run`: the start of a container, beside those of others.
//!
//! All of them run the same root file system from one fresh file system: a tmpfs or a journaled ext4
//! on a loop device (after large deletions every mkdir of an ext4 without a journal is slow). As
//! root this happens in a mount namespace of its own, whose end takes all mounts with it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;

use super::peers;
use super::stats::{self, Peer};
use crate::table;
use crate::workspace::{self, Workspace};

const WARM_UP: usize = 3;
const FEWEST_RUNS: usize = 31;

/// How to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// How many runs of each, at least 31.
    #[arg(long, default_value_t = FEWEST_RUNS)]
    runs: usize,
    /// Where store, bundle and docker's data lie. A plain user gets /dev/shm.
    #[arg(long, value_enum, default_value_t = Store::Tmpfs)]
    store: Store,
    /// Measure this binary instead of a fresh release build.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Already in a mount namespace of its own.
    #[arg(long, hide = true)]
    inside: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Store {
    Tmpfs,
    Ext4,
}

pub(super) fn bench(options: &Options) -> Result<bool> {
    ensure!(options.runs >= FEWEST_RUNS, "a median of fewer than {FEWEST_RUNS} runs says little");
    let is_root = workspace::is_root()?;
    if is_root && !options.inside {
        let program = std::env::current_exe()?;
        let error = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--"])
            .arg(program)
            .args(std::env::args_os().skip(1))
            .arg("--inside")
            .exec();
        return Err(error).context("start unshare");
    }
    let workspace = Workspace::read()?;
    if options.binary.is_none() {
        workspace.cargo(&["build", "--release"])?;
    }
    let folder = tempfile::Builder::new().prefix("minidocker-bench-").tempdir_in(if is_root {
        "/var/tmp"
    } else {
        "/dev/shm"
    })?;
    if is_root {
        mount(options.store, folder.path())?;
    }
    let measured = measure(options, &workspace, &folder.path().join("bench"), is_root);
    if is_root {
        workspace::run(Command::new("umount").arg("--lazy").arg(folder.path()))?;
    }
    measured
}

fn mount(store: Store, at: &Path) -> Result<()> {
    let mut mount = Command::new("mount");
    match store {
        Store::Tmpfs => mount.args(["-t", "tmpfs", "-o", "size=4g", "bench"]),
        Store::Ext4 => {
            // Sparse, and without a name once it is mounted: the end of the mount frees it.
            let image = at.with_extension("ext4");
            let file = fs::File::create(&image)?;
            file.set_len(4 << 30)?;
            let made = workspace::run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
            let mounted = made.and_then(|()| {
                workspace::run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(at))
            });
            fs::remove_file(&image)?;
            return mounted;
        }
    };
    workspace::run(mount.arg(at))
}

fn measure(options: &Options, workspace: &Workspace, folder: &Path, is_root: bool) -> Result<bool> {
    fs::create_dir(folder)?;
    let store = folder.join("store");
    let built = || workspace.target.join("release/minidocker");
    let binary = options.binary.clone().unwrap_or_else(built);
    let mut all = vec![minidocker(binary, store.clone())];
    all[0].once(0).context("the first run, which assembles hostbox")?;
    let mut missing = Vec::new();
    let mut docker = None;
    if is_root {
        let layer = peers::layer(&store).context("hostbox's layer in the store")?;
        match peers::runc(folder, &layer) {
            Ok(peer) => all.push(peer),
            Err(error) => missing.push(format!("runc: {error:#}")),
        }
        match peers::Docker::start(folder, &layer) {
            Ok(started) => {
                all.push(started.peer());
                docker = Some(started);
            }
            Err(error) => missing.push(format!("docker: {error:#}")),
        }
    } else {
        missing.push("runc, docker: need root".to_owned());
    }
    let done = stats::interleave(&mut all, WARM_UP, options.runs);
    drop(docker);
    done?;
    report(&all, &missing, options, workspace)
}

fn minidocker(binary: PathBuf, store: PathBuf) -> Peer {
    Peer::new("minidocker", move |_| {
        let mut command = Command::new(&binary);
        command.args(["run", "--rm", "--network", "none", "hostbox", "true"]).env("MINIDOCKER_ROOT", &store);
        command
    })
}

/// Ours may take one of so many parts of a peer's time.
fn goal(peer: &str) -> Option<f64> {
    match peer {
        "runc" => Some(3.0),
        "docker" => Some(20.0),
        _ => None,
    }
}

fn report(all: &[Peer], missing: &[String], options: &Options, workspace: &Workspace) -> Result<bool> {
    let Some(ours) = all.first().map(Peer::median).filter(|ms| *ms > 0.0) else {
        bail!("nothing was measured")
    };
    let mut all_met = true;
    let mut rows = Vec::new();
    for peer in all {
        let ratio = peer.median() / ours;
        let goal = goal(peer.name);
        all_met &= goal.is_none_or(|goal| ratio >= goal);
        let words = goal.map(|goal| format!("{goal}, {}", if ratio >= goal { "met" } else { "MISSED" }));
        let figures = [peer.median(), peer.p99()].map(|ms| format!("{ms:.2}"));
        let row =
            [&[peer.name.to_owned()], &figures[..], &[format!("{ratio:.1}"), words.unwrap_or_default()]];
        rows.push(row.concat());
    }
    println!("{} interleaved runs of `true`, without network, in milliseconds", options.runs);
    table::print(&["", "median", "p99", "times ours", "goal"], &rows);
    missing.iter().for_each(|words| println!("not measured: {words}"));
    let raw: serde_json::Map<_, _> = all.iter().map(|p| (p.name.to_owned(), json!(p.times))).collect();
    let path = workspace.scratch("bench")?.join("run.json");
    fs::write(&path, json!({ "unit": "ms", "times": raw }).to_string())?;
    println!("raw numbers: {}", path.display());
    Ok(all_met)
}
