//! Groups in the kernel's own trees.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cgroups::{CgroupError, DOCKER_DEVICES, Devices, Group, World};
use sys::Errno;

/// A name that no other test has.
fn name(of: &str) -> String {
    format!("test-{of}-{}", std::process::id())
}

/// The group, if this user can make one here.
fn made(of: &str) -> Option<Group> {
    let group = World::detect().unwrap().group(&name(of)).make().unwrap();
    (!group.dirs().is_empty()).then_some(group)
}

fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/group")
}

/// Runs the example and gives what it printed.
fn run(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

macro_rules! group_or_skip {
    ($of:expr) => {
        match made($of) {
            Some(group) => group,
            None => {
                kit::skip("no-cgroup", &"no cgroup tree is writable for this user");
                return;
            }
        }
    };
}

#[test]
fn a_child_is_born_in_v2_and_joins_v1_and_sees_itself_at_the_root() {
    let probe = group_or_skip!("born-probe");
    probe.remove().unwrap();
    let world = World::detect().unwrap();
    for (how, name) in [("born", name("born")), ("moved", name("moved"))] {
        let out = run(Command::new(example()).args([how, &name]));
        for (prefix, place) in [("0::", world.v2()), ("devices:", world.v1("devices"))] {
            let in_probe = probe.dirs().iter().any(|d| place.is_some_and(|p| d.starts_with(p)));
            if in_probe {
                let mark = |l: &&str| l.contains(prefix) && l.ends_with(&format!("/minidocker/{name}"));
                assert!(out.lines().any(|l| mark(&l)), "{how} {prefix}: {out}");
                let inside = |l: &str| l.starts_with("inside") && l.contains(prefix) && l.ends_with(":/");
                assert!(out.lines().any(inside), "{how} {prefix}: {out}");
            }
        }
        assert!(out.ends_with("left 0\n"), "{out}");
    }
}

#[test]
fn a_device_outside_the_list_gives_eperm_and_one_in_it_opens() {
    let group = group_or_skip!("devices");
    let set = group.allow_devices(&DOCKER_DEVICES).unwrap();
    let list = group.dirs().iter().find_map(|d| fs::read_to_string(d.join("devices.list")).ok());
    group.remove().unwrap();
    if set == Devices::None {
        kit::skip("no-v1-devices", &"no v1 devices hierarchy is writable for this user");
        return;
    }
    let list = list.unwrap();
    for rule in DOCKER_DEVICES {
        assert!(list.lines().any(|l| l == rule.to_string()), "{rule} in {list}");
    }
    assert_eq!(list.lines().count(), DOCKER_DEVICES.len(), "{list}");
    let out = run(Command::new(example()).args(["born", &name("devices-open")]));
    assert!(out.contains("devices V1List\n"), "{out}");
    assert!(out.contains("open /dev/null Ok(())\n"), "{out}");
    assert!(out.contains(&format!("open /dev/kmsg Err(Some({}))\n", Errno::EPERM as i32)), "{out}");
}

#[test]
fn a_fork_bomb_is_killed_by_each_of_the_three_ways() {
    let probe = group_or_skip!("bomb-probe");
    probe.remove().unwrap();
    let world = World::detect().unwrap();
    let v2 = world.v2().map(|p| p.join("minidocker"));
    let v1 = world.v1("freezer").map(|p| p.join("minidocker"));
    let cases =
        [("cgroup.kill", &v2, None), ("cgroup.freeze", &v2, Some("child:1:ENOENT")), ("freezer", &v1, None)];
    for (way, parent, inject) in cases {
        let Some(parent) = parent else { continue };
        let dir = parent.join(name(&format!("bomb-{way}")));
        let mut command = Command::new(example());
        command.arg("bomb").arg(&dir);
        // Only a debug build listens to it: a release build tries the first way twice.
        command.envs(inject.map(|order| ("MINIDOCKER_INJECT", order)));
        if parent.parent().is_some_and(|p| fs::metadata(p).is_ok()) && is_root() {
            assert_eq!(run(&mut command), "alive true\nleft 0\n", "{way}");
            assert!(!dir.exists(), "{way}");
        }
    }
}

#[test]
fn kill_ends_what_runs_in_groups_below() {
    let group = group_or_skip!("nested");
    let mut children = Vec::new();
    for dir in group.dirs() {
        let below = dir.join("a/b");
        fs::create_dir_all(&below).unwrap();
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        fs::write(below.join("cgroup.procs"), child.id().to_string()).unwrap();
        children.push(child);
    }
    assert_eq!(group.processes().unwrap().len(), children.len());
    group.kill().unwrap();
    assert_eq!(group.processes().unwrap(), []);
    for mut child in children {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
    group.remove().unwrap();
    assert!(group.dirs().iter().all(|d| !d.exists()));
}

#[test]
fn kill_and_remove_of_a_group_that_is_gone_succeed() {
    let group = group_or_skip!("gone");
    for _ in 0..2 {
        group.kill().unwrap();
        group.remove().unwrap();
        assert!(group.dirs().iter().all(|d| !d.exists()));
    }
}

#[test]
fn remove_waits_for_a_process_that_is_about_to_end() {
    let group = group_or_skip!("wait");
    let mut child = Command::new("sleep").arg("0.2").spawn().unwrap();
    for dir in group.dirs() {
        fs::write(dir.join("cgroup.procs"), child.id().to_string()).unwrap();
    }
    group.remove().unwrap();
    assert!(group.dirs().iter().all(|d| !d.exists()));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_group_with_a_process_is_taken_and_an_empty_one_is_used_again() {
    let group = group_or_skip!("taken");
    assert_eq!(group.make().unwrap(), group);
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    fs::write(group.dirs()[0].join("cgroup.procs"), child.id().to_string()).unwrap();
    match group.make() {
        Err(CgroupError::Taken { dir }) => assert_eq!(dir, group.dirs()[0]),
        other => panic!("{other:?}"),
    }
    assert!(group.dirs()[0].exists(), "a failed make must not remove the group of another");
    group.kill().unwrap();
    child.wait().unwrap();
    group.remove().unwrap();
}

#[test]
fn starts_and_ends_in_parallel_do_not_lose_the_parent() {
    let probe = group_or_skip!("parallel-probe");
    probe.remove().unwrap();
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let probe = &probe;
            threads.spawn(move || {
                for _ in 0..50 {
                    let group = made(&format!("parallel-{thread}")).expect("a group");
                    assert_eq!(group.dirs().len(), probe.dirs().len());
                    group.remove().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_user_without_a_delegated_tree_gets_no_group_and_no_error() {
    let room = tempfile::tempdir().unwrap();
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = room.path().join("group");
    // By another process: a copy that we write ourselves may be open in a child of another test
    // that just starts, and then can't be run (ETXTBSY).
    run(Command::new("cp").args([&example(), &copy]));
    if !is_root() {
        kit::skip("not-root", &"only root can become a user without a delegated tree");
        return;
    }
    let name = name("plain");
    for words in [vec![], vec!["unshare", "--user", "--map-root-user"]] {
        let words: Vec<&str> = words.into_iter().chain([copy.to_str().unwrap(), "born", &name]).collect();
        let out = run(Command::new(words[0]).args(&words[1..]).uid(65534).gid(65534).current_dir("/"));
        assert!(out.starts_with("devices None\n"), "{words:?}: {out}");
        assert!(!out.contains(&name), "{words:?}: {out}");
        assert!(out.ends_with("left 0\n"), "{words:?}: {out}");
    }
}

#[test]
fn no_group_but_ours_is_touched() {
    let room = tempfile::tempdir().unwrap();
    for path in ["other/x", "minidocker/../other", "minidocker/..", "minidocker", "other/minidocker"] {
        let dir = room.path().join(path);
        let group = Group::from_dirs(vec![dir.clone()]);
        for done in [group.kill(), group.remove(), group.make().map(drop)] {
            assert!(matches!(done, Err(CgroupError::NotOurs { dir: d }) if d == dir), "{path}");
        }
    }
    let relative = Group::from_dirs(vec![PathBuf::from("minidocker/x")]);
    assert!(matches!(relative.remove(), Err(CgroupError::NotOurs { .. })));
    assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
}

#[test]
fn remove_leaves_the_parent_while_another_group_is_in_it() {
    // A temporary directory behaves like a tree here: mkdir, rmdir, ENOTEMPTY for EBUSY.
    let room = tempfile::tempdir().unwrap();
    let at = |name: &str| Group::from_dirs(vec![room.path().join("minidocker").join(name)]);
    let (a, b) = (at("a").make().unwrap(), at("b").make().unwrap());
    a.remove().unwrap();
    assert!(b.dirs()[0].exists());
    b.remove().unwrap();
    assert!(!room.path().join("minidocker").exists());
}

#[test]
fn processes_of_all_directories_and_below_are_listed_once() {
    let room = tempfile::tempdir().unwrap();
    let dir = |d: &str, pids: &str| {
        let dir = room.path().join(d);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("cgroup.procs"), pids).unwrap();
        dir
    };
    let one = dir("v2/minidocker/x", "12\n7\n");
    dir("v2/minidocker/x/below", "0\n9\n");
    let two = dir("v1/minidocker/x", "7\n12\n");
    let group = Group::from_dirs(vec![one, two, Path::new("/nonexistent/minidocker/x").to_owned()]);
    let pids: Vec<i32> = group.processes().unwrap().iter().map(|p| p.as_raw()).collect();
    assert_eq!(pids, [7, 9, 12]);
}
