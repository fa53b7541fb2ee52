//! Hosts that this machine is not, as far as a mount namespace can play them.

use std::path::Path;

use kit::{Minidocker, Who};
use rustix::fs::{FileType, Mode};

/// `sh -c` text that runs `"$@"` where cgroup2 alone is mounted, as on most hosts of today.
const PURE_V2: &str = "exec unshare -m sh -c 'mount --make-rprivate / && umount -R /sys/fs/cgroup && \
    mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"' sh \"$@\"";

/// The same with nothing at all at /sys/fs/cgroup.
const NO_CGROUPS: &str =
    "exec unshare -m sh -c 'mount --make-rprivate / && umount -R /sys/fs/cgroup && exec \"$@\"' sh \"$@\"";

#[test]
fn on_pure_v2_a_container_sees_its_own_cgroup() {
    let md = kit::ours!(Who::Me);
    kit::require!(rustix::process::geteuid().is_root(), "not-root", "mounts over /sys/fs/cgroup");
    let look = "grep -c ' - cgroup2 ' /proc/self/mountinfo; cat /sys/fs/cgroup/cgroup.procs | wc -l; \
                touch /sys/fs/cgroup/x 2>/dev/null || echo read-only; grep ^0: /proc/self/cgroup";
    let out = md.call(["run", "--rm", "hostbox", "sh", "-c", look]).through(PURE_V2).run().ok();
    let lines = out.lines();
    assert_eq!([&lines[0], &lines[2], &lines[3]], ["1", "read-only", "0::/"], "{out:?}");
    assert!(lines[1].parse::<u32>().unwrap() <= 3, "only its own processes: {out:?}");
    md.nothing_left();
}

#[test]
fn without_a_device_list_mknod_is_not_given_and_inspect_says_so() {
    let md = kit::ours!(Who::Me);
    kit::require!(rustix::process::geteuid().is_root(), "not-root", "mounts over /sys/fs/cgroup");
    for world in [PURE_V2, NO_CGROUPS] {
        // CAP_MKNOD is number 27 (linux/capability.h).
        let look = "grep CapBnd /proc/self/status; mknod /disk b 8 0 2>/dev/null || echo refused";
        let out = md.call(["run", "--name", "plain", "hostbox", "sh", "-c", look]).through(world).run().ok();
        out.stdout_has("00000000a00425fb").stdout_has("refused");
        let notices = crate::inspect(&md, "plain")["Notices"].clone();
        assert!(notices[0].as_str().unwrap().starts_with("CAP_MKNOD was dropped"), "{notices}");
        md.line("rm plain").ok();
    }
    let out = crate::script(&md, "grep CapBnd /proc/self/status").ok();
    out.stdout_has("00000000a80425fb");
    md.nothing_left();
}

#[test]
fn a_device_that_a_tree_or_a_volume_brings_can_t_be_opened() {
    let md = kit::ours!(Who::Me);
    kit::require!(rustix::process::geteuid().is_root(), "not-root", "makes device nodes");
    let (tree, volume) = (md.dir("tree"), md.dir("volume"));
    kit::small_rootfs(&tree, Who::Me);
    let below = volume.join("below");
    std::fs::create_dir(&below).unwrap();
    // /dev/loop0 and /dev/kmsg (admin-guide/devices.txt), and one that every container has.
    for dir in [&tree, &volume] {
        node(dir, "disk", FileType::BlockDevice, (7, 0));
        node(dir, "log", FileType::CharacterDevice, (1, 11));
        node(dir, "null", FileType::CharacterDevice, (1, 3));
    }
    let (tree, volume, below) = (tree.display(), volume.display(), below.display());
    let binds = format!("-v {volume}:/v -v {volume}:/s:rslave -v {volume}:/t:rslave -v {volume}/null:/one");
    let run = |world: &str, rules: &[&str], look: &str| {
        let mut words = kit::words(&format!("run --rm --rootfs {tree} {binds} sh -c"));
        words.push(look.to_owned());
        let inner = format!(
            "mount --make-rshared / && mount -t tmpfs none {below} && mknod {below}/log c 1 11 && exec \"$@\"'"
        );
        md.call(words).through(&world.replace("exec \"$@\"'", &inner)).without_calls(rules).run()
    };
    let look = "for f in /disk /log /v/disk /s/log /t/log /v/below/log /s/below/log; do (: <$f); done";
    // Before Linux 5.12 there is no mount_setattr: mount by mount.
    let hosts: [(_, &[&str]); 3] = [(PURE_V2, &[]), (NO_CGROUPS, &[]), (PURE_V2, &["mount_setattr=ENOSYS"])];
    for (world, rules) in hosts {
        let out = run(world, rules, look);
        assert_eq!(out.err().matches("Permission denied").count(), 7, "{out:?}");
        let also = "(: </null); (: </dev/null) && (: </dev/zero) && (: </one) && echo open";
        run(world, rules, also).stdout_is("open").stderr_has("/null: Permission denied");
    }
    let out = run("exec unshare -m sh -c 'mount --make-rprivate / && exec \"$@\"' sh \"$@\"", &[], look);
    assert_eq!(out.err().matches("Operation not permitted").count(), 7, "{out:?}");
    md.nothing_left();
}

fn node(dir: &Path, name: &str, kind: FileType, (major, minor): (u32, u32)) {
    let number = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(rustix::fs::CWD, dir.join(name), kind, Mode::from(0o666), number).unwrap();
}

/// The helper newuidmap gives no privileges any more: one id is all there is.
const ONE_ID: &str = "exec setpriv --no-new-privs \"$@\"";

#[test]
fn a_store_of_one_id_grows_when_there_are_more_and_never_shrinks() {
    kit::require!(!kit::Minidocker::is_docker(), "ours-only", "Docker makes no hostbox");
    kit::require!(Who::all().contains(&Who::Plain), "not-root", "only root can play another user");
    let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), Who::Plain);
    let maps = |through: &str| {
        md.call(["run", "--rm", "hostbox", "wc", "-l", "/proc/self/uid_map"]).through(through).run()
    };
    maps(ONE_ID).ok().stdout_is("1 /proc/self/uid_map");
    maps("exec unshare -r \"$@\"").ok().stdout_is("1 /proc/self/uid_map");
    maps("exec \"$@\"").ok().stdout_is("2 /proc/self/uid_map");
    for (through, why) in
        [(ONE_ID, "no_new_privs"), ("exec unshare -r \"$@\"", "the user namespace that we are in")]
    {
        let out = maps(through).complains(125, &format!("the store {} was made", md.root().display()));
        crate::advised(&out, "under another id map", why);
        assert!(out.err().contains("do: change that, or set MINIDOCKER_ROOT to a new directory"), "{out:?}");
        assert!(!out.err().contains(", ,") && !out.err().contains(" ,"), "{out:?}");
    }
    maps("exec \"$@\"").ok().stdout_is("2 /proc/self/uid_map");
    md.nothing_left();
}
