//! Does with one group what a container engine does, in a process of one thread, for the tests.
//!
//! `group born NAME` lets a child be born in the group, join its v1 parts and show what it sees;
//! `group moved NAME` does the same without clone3's flag; `group bomb DIR...` kills, in the
//! group with these directories, programs that fork faster than anyone can count.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cgroups::{DOCKER_DEVICES, Group, World};
use sys::{CloneArgs, CloneFlags, Cloned};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["born", name] => show(name, true),
        ["moved", name] => show(name, false),
        ["bomb", dirs @ ..] => bomb(dirs),
        _ => Err("usage: group born|moved NAME, group bomb DIR...".into()),
    }
}

fn show(name: &str, born: bool) -> Outcome {
    let group = World::detect()?.group(name).make()?;
    println!("devices {:?}", group.allow_devices(&DOCKER_DEVICES)?);
    let joiner = group.joiner(!born)?;
    let v2 = group.v2_fd()?.filter(|_| born);
    let args = CloneArgs { cgroup: v2.as_ref().map(AsFd::as_fd), ..CloneArgs::default() };
    match sys::clone3(&args)? {
        Cloned::Child => {
            joiner.join()?;
            print!("{}", fs::read_to_string("/proc/self/cgroup")?);
            sys::unshare(CloneFlags::CLONE_NEWCGROUP)?;
            for line in fs::read_to_string("/proc/self/cgroup")?.lines() {
                println!("inside {line}");
            }
            for device in ["/dev/null", "/dev/kmsg"] {
                let opened = fs::File::open(device).map_err(|e| e.raw_os_error());
                println!("open {device} {:?}", opened.map(drop));
            }
            sys::exit_now(0);
        }
        Cloned::Parent { pid, .. } => sys::waitpid(pid)?,
    };
    group.remove()?;
    println!("left {}", group.dirs().iter().filter(|d| d.exists()).count());
    Ok(())
}

/// Each of the programs makes the next one and ends: none lives long enough to be signalled by
/// its number, and yet there are never more than a few.
fn bomb(dirs: &[&str]) -> Outcome {
    let group = Group::from_dirs(dirs.iter().map(PathBuf::from).collect()).make()?;
    // Their zombies are ours to reap, which the kernel does for who ignores SIGCHLD. And if
    // nothing else stops them, time does.
    nix::sys::prctl::set_child_subreaper(true)?;
    sys::ignore_signal(sys::Signal::SIGCHLD)?;
    let end = Instant::now() + Duration::from_secs(15);
    let (joined, tell) = rustix::pipe::pipe()?;
    for _ in 0..4 {
        let joiner = group.joiner(true)?;
        if let Cloned::Child = sys::clone3(&CloneArgs::default())? {
            joiner.join()?;
            rustix::io::write(&tell, b"j")?;
            while Instant::now() < end {
                if let Ok(Cloned::Parent { .. }) = sys::clone3(&CloneArgs::default()) {
                    sys::exit_now(0);
                }
            }
            sys::exit_now(0);
        }
    }
    let mut told = 0;
    while told < 4 {
        told += rustix::io::read(&joined, &mut [0u8; 4])?;
    }
    // One look may find nobody: that is why `kill` doesn't trust it.
    let mut seen = false;
    while !seen && Instant::now() < end {
        seen = !group.processes()?.is_empty();
    }
    println!("alive {seen}");
    // Counts the calls from 1 again, so that a test can let the first one of `kill` fail.
    sys::set_role(sys::Role::Child);
    group.kill()?;
    println!("left {}", group.processes()?.len());
    group.remove()?;
    Ok(())
}
