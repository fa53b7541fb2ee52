//! Worlds that this machine is not, as texts of /proc/self/cgroup and mountinfo.

use super::*;

fn world(cgroup: &str, mountinfo: &str) -> World {
    let trimmed = |text: &str| text.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    World::parse(&trimmed(cgroup), &trimmed(mountinfo))
}

fn dirs(world: &World) -> Vec<String> {
    world.group("ID").dirs().iter().map(|d| d.display().to_string()).collect()
}

#[test]
fn pure_v2_with_systemd() {
    let w = world(
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/foot.scope",
        "23 28 0:21 / /sys rw,nosuid shared:6 - sysfs sysfs rw
         28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
         30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot",
    );
    assert_eq!(w.kind(), Kind::V2);
    let place = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/foot.scope";
    assert_eq!(w.v2(), Some(Path::new(place)));
    assert_eq!(w.v1("devices"), None);
    assert_eq!(dirs(&w), [format!("{place}/minidocker/ID")]);
}

#[test]
fn v1_with_systemd_has_several_controllers_on_one_mount() {
    let w = world(
        "5:freezer:/
         4:devices:/system.slice/ssh.service
         3:cpu,cpuacct:/system.slice/ssh.service
         2:net_cls,net_prio:/
         1:name=systemd:/system.slice/ssh.service",
        "25 20 0:22 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
         26 25 0:23 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd
         30 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:14 - cgroup cgroup rw,cpu,cpuacct
         31 25 0:28 / /sys/fs/cgroup/devices rw shared:15 - cgroup cgroup rw,devices
         32 25 0:29 / /sys/fs/cgroup/net_cls,net_prio rw shared:16 - cgroup cgroup rw,net_cls,net_prio
         33 25 0:30 / /sys/fs/cgroup/freezer rw shared:17 - cgroup cgroup rw,freezer",
    );
    assert_eq!(w.kind(), Kind::V1);
    for controller in ["cpu", "cpuacct"] {
        assert_eq!(w.v1(controller), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/system.slice/ssh.service")));
    }
    assert_eq!(w.v1("name=systemd"), Some(Path::new("/sys/fs/cgroup/systemd/system.slice/ssh.service")));
    assert_eq!(w.v1("systemd"), None);
    // Without a unified tree the freezer holds the group together.
    let expected = ["devices/system.slice/ssh.service/minidocker/ID", "freezer/minidocker/ID"];
    assert_eq!(dirs(&w), expected.map(|d| format!("/sys/fs/cgroup/{d}")));
}

#[test]
fn hybrid_as_on_the_build_machine() {
    let w = world(
        "9:name=systemd:/
         6:freezer:/
         5:devices:/
         4:memory:/elsewhere/c50b
         0::/",
        "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
         35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
         36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
         37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
         40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
         41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
    );
    assert_eq!(w.kind(), Kind::Hybrid);
    assert_eq!(dirs(&w), ["/sys/fs/cgroup/unified/minidocker/ID", "/sys/fs/cgroup/devices/minidocker/ID"]);
    assert_eq!(w.v1("memory"), Some(Path::new("/sys/fs/cgroup/memory/elsewhere/c50b")));
}

#[test]
fn inside_docker_on_v2_with_a_cgroup_namespace() {
    let w = world(
        "0::/",
        "637 636 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate",
    );
    assert_eq!((w.kind(), w.v2()), (Kind::V2, Some(Path::new("/sys/fs/cgroup"))));
}

#[test]
fn inside_docker_on_v1_without_a_cgroup_namespace() {
    // The path is the host's, and the mount shows the container's group as its root.
    let w = world(
        "4:devices:/docker/6f3c
         0::/system.slice/containerd.service",
        "500 490 0:30 /docker/6f3c /sys/fs/cgroup/devices ro - cgroup cgroup rw,devices",
    );
    assert_eq!((w.kind(), w.v2()), (Kind::V1, None));
    assert_eq!(dirs(&w), ["/sys/fs/cgroup/devices/minidocker/ID"]);
}

#[test]
fn nested_container_whose_mount_begins_above_its_namespace() {
    // The host's tree was mounted before the cgroup namespace was made.
    let w = world("0::/", "40 31 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    assert_eq!((w.kind(), w.v2()), (Kind::None, None));
    // A second mount of the same tree, made inside, does.
    let both = "40 31 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw
                41 31 0:26 / /mnt/own rw - cgroup2 cgroup2 rw";
    assert_eq!(world("0::/", both).v2(), Some(Path::new("/mnt/own")));
}

#[test]
fn a_process_outside_of_its_cgroup_namespace_has_no_place() {
    let w = world("0::/../other", "40 31 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    assert_eq!(w.kind(), Kind::None);
}

#[test]
fn wsl2_of_both_ages() {
    let old = world(
        "14:misc:/
         5:devices:/
         1:cpuset:/
         0::/",
        "70 60 0:31 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
         71 70 0:32 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
         72 70 0:33 / /sys/fs/cgroup/cpuset rw,nosuid - cgroup cgroup rw,cpuset
         76 70 0:37 / /sys/fs/cgroup/devices rw,nosuid - cgroup cgroup rw,devices
         80 70 0:41 / /sys/fs/cgroup/misc rw,nosuid - cgroup cgroup rw,misc",
    );
    assert_eq!(old.kind(), Kind::Hybrid);
    assert_eq!(dirs(&old), ["/sys/fs/cgroup/unified/minidocker/ID", "/sys/fs/cgroup/devices/minidocker/ID"]);
    let new =
        world("0::/init.scope", "70 60 0:31 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate");
    assert_eq!(new.v2(), Some(Path::new("/sys/fs/cgroup/init.scope")));
}

#[test]
fn no_cgroups_at_all() {
    // WSL1; a chroot without /sys; a kernel that has cgroups, none of which is mounted.
    for (cgroup, mountinfo) in [("", ""), ("", "1 0 0:1 / / rw - wslfs rootfs rw"), ("0::/\n3:devices:/", "")]
    {
        let w = world(cgroup, mountinfo);
        assert_eq!(w.kind(), Kind::None);
        assert_eq!(dirs(&w), [""; 0]);
    }
}

#[test]
fn odd_names_are_taken_as_they_are() {
    let w = world(
        "3:devices:/a:b/c d
         0::/a:b/c d",
        r"41 31 0:38 / /mnt/a\040b rw - cgroup2 cgroup2 rw
          42 31 0:39 / /mnt/x\134y rw - cgroup cgroup rw,devices",
    );
    assert_eq!(w.v2(), Some(Path::new("/mnt/a b/a:b/c d")));
    assert_eq!(w.v1("devices"), Some(Path::new("/mnt/x\\y/a:b/c d")));
}

#[test]
fn a_covered_mount_is_no_place() {
    let w = world(
        "0::/",
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
         31 30 0:40 / /sys/fs/cgroup rw - tmpfs tmpfs rw",
    );
    assert_eq!(w.kind(), Kind::None);
}

#[test]
fn two_controllers_on_one_mount_give_one_directory() {
    let w = world("3:devices,freezer:/", "42 31 0:39 / /cg rw - cgroup cgroup rw,devices,freezer");
    assert_eq!(dirs(&w), ["/cg/minidocker/ID"]);
}

#[test]
fn a_name_that_is_no_file_name_is_not_made() {
    let w = world("0::/", "40 31 0:26 / /nonexistent/cg rw - cgroup2 cgroup2 rw");
    for name in ["", "..", "a/b", "/etc", "../../x"] {
        assert!(matches!(w.group(name).make(), Err(CgroupError::NotOurs { .. })), "{name:?}");
    }
}

#[test]
fn a_group_is_found_wherever_it_lies_and_no_other_one() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let made = [
        "unified/user.slice/session-1.scope/minidocker/ID",
        "unified/minidocker/ID",
        "devices/system.slice/minidocker/ID",
    ];
    for path in made.iter().chain(&["unified/other/ID", "unified/minidocker/OTHER", "cpu/minidocker/ID"]) {
        std::fs::create_dir_all(root.join(path)).unwrap();
    }
    // A link is no group, and leads in a circle.
    std::os::unix::fs::symlink(root, root.join("unified/circle")).unwrap();
    let at = root.display();
    let w = world(
        "3:devices:/\n2:cpu:/\n0::/",
        &format!(
            "30 1 0:26 / {at}/unified rw - cgroup2 cgroup2 rw
             31 1 0:28 / {at}/devices rw - cgroup cgroup rw,devices
             32 1 0:29 / {at}/cpu rw - cgroup cgroup rw,cpu"
        ),
    );
    let mut expected = made.map(|path| root.join(path));
    expected.sort();
    assert_eq!(w.find("ID").dirs(), expected);
    assert!(w.find("NONE").dirs().is_empty());
}
