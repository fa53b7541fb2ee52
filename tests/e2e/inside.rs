//! What the payload sees: its own world, and nothing of the host's.

use std::path::Path;

use kit::{Minidocker, Who, common};

/// Runs `check` for every user.
fn each(check: impl Fn(&Minidocker, Who)) {
    let users = if Minidocker::is_docker() { &[Who::Me] } else { Who::all() };
    for who in users {
        check(&Minidocker::new(env!("CARGO_BIN_EXE_minidocker"), *who), *who);
    }
}

#[test]
fn it_is_pid_1_and_alone_in_proc() {
    let md = common!();
    crate::script(&md, "echo $$ /proc/[0-9]*").ok().stdout_is("1 /proc/1");
}

#[test]
fn its_host_name_is_its_short_id() {
    let md = common!();
    let name = md.name("host");
    let said = md.run(["run", "--name", &name, "hostbox", "hostname"]).ok().out();
    assert_eq!(said, crate::inspect(&md, &name)["Id"].as_str().unwrap()[..12]);
    md.run(["rm", &name]).ok().stdout_is(&name);
    let out = crate::script(&md, "hostname; cat /etc/hostname; echo $HOSTNAME").ok();
    let lines = out.lines();
    assert_eq!((lines[0].len(), &lines[0], &lines[0]), (12, &lines[1], &lines[2]));
    assert!(lines[0].bytes().all(|b| b.is_ascii_hexdigit()));
}

#[test]
fn every_namespace_is_its_own() {
    kit::require!(!kit::is_newer_than_docker(), "newer-than-docker", "see tests/e2e/newer.txt");
    each(|md, who| {
        let kinds = ["mnt", "pid", "uts", "ipc", "net", "cgroup"];
        let look = "cd /proc/self/ns; for n in mnt pid uts ipc net cgroup; do ls -l $n; done";
        let said = crate::script(md, look).ok().out();
        for kind in kinds {
            let here = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
            assert!(said.contains(&format!("{kind}:[")), "{said}");
            assert!(!said.contains(here.to_str().unwrap()), "{who:?} shares {kind} with the host");
        }
    });
}

#[test]
fn dev_has_dockers_nodes_and_nothing_else() {
    let nodes = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    // Docker links /dev/core where the kernel has /proc/kcore.
    let core = if Path::new("/proc/kcore").exists() { "core " } else { "" };
    each(|md, who| {
        let said = crate::script(md, "cd /dev; echo *").ok().quiet().out();
        assert_eq!(said, format!("{core}{nodes}"), "{who:?}");
        let works = "echo x >/dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; \
                     echo y >/dev/full || echo full; echo z >/dev/stdout; echo >/dev/shm/a && echo shm";
        let said = crate::script(md, works).ok().out().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(said, "3 3 full z shm", "{who:?}");
    });
}

#[test]
fn the_mount_table_is_where_old_programs_look_for_it() {
    let md = common!();
    // hostbox has none of its own.
    let look = "ls -l /etc/mtab; grep ' / overlay ' /etc/mtab | wc -l";
    crate::script(&md, look).ok().stdout_has("/etc/mtab -> /proc/mounts").stdout_has("\n1");
}

#[test]
fn root_without_cap_mknod_gets_the_hosts_nodes() {
    kit::require!(Who::Me.is_root(), "not-root", "only root has CAP_MKNOD to lose");
    let md = kit::ours!();
    let nodes = ["null", "zero", "full", "random", "urandom", "tty"];
    let look = format!(
        "cd /dev; ls -ld {} | cut -c1-10 | sort -u; grep -cE ' /dev/({}) ' /proc/mounts; \
         echo x >null; head -c 3 zero | wc -c; grep CapBnd /proc/self/status",
        nodes.join(" "),
        nodes.join("|")
    );
    let line = ["run", "--rm", "hostbox", "sh", "-c", &look];
    let out = md.call(line).through("exec setpriv --bounding-set -mknod -- \"$@\"").run().ok();
    assert_eq!(out.lines(), ["crw-rw-rw-", "6", "3", "CapBnd:\t00000000a00425fb"]);
    md.nothing_left();
}

#[test]
fn its_capabilities_are_dockers_default_set() {
    // capabilities(7): Docker's fourteen; and the same without CAP_MKNOD, for root without a device list.
    let (all, without_mknod) = ("00000000a80425fb", "00000000a00425fb");
    each(|md, who| {
        let out = crate::script(md, "grep Cap /proc/self/status").ok();
        let value = |name: &str| {
            let line = out.lines().into_iter().find(|l| l.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        let bounding = value("CapBnd");
        let told = out.err().contains("MKNOD");
        assert!(bounding == all || bounding == without_mknod && told, "{who:?}: {bounding}, said: {told}");
        assert_eq!((value("CapEff"), value("CapPrm")), (bounding.clone(), bounding), "{who:?}");
        assert_eq!((value("CapInh"), value("CapAmb")), ("0".repeat(16), "0".repeat(16)), "{who:?}");
    });
}

#[test]
fn what_docker_masks_is_empty_and_what_it_protects_is_read_only() {
    each(|md, who| {
        let table = crate::script(md, "cat /proc/self/mountinfo").ok().out();
        let options = |path: &str| {
            let line = table.lines().rev().find(|l| l.split(' ').nth(4) == Some(path));
            line.map(|l| l.split(' ').nth(5).unwrap().split(',').next().unwrap().to_owned())
        };
        let masked = "/proc/acpi /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi \
                      /proc/timer_list /proc/timer_stats /sys/firmware /sys/devices/virtual/powercap";
        for path in masked.split_whitespace().filter(|p| Path::new(p).exists()) {
            assert!(options(path).is_some(), "{who:?}: {path} is not masked");
        }
        for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
            if Path::new(path).exists() {
                assert_eq!(options(path).as_deref(), Some("ro"), "{who:?}: {path}");
            }
        }
        assert_eq!(options("/sys").as_deref(), Some("ro"), "{who:?}: /sys");
        let tries = "head -c 1 /proc/kcore | wc -c; echo x >/proc/sys/kernel/hostname || echo refused; ls /sys/firmware | wc -l";
        let said = crate::script(md, tries).ok().out().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(said, "0 refused 0", "{who:?}");
    });
}

#[test]
fn its_mount_table_holds_only_its_own() {
    each(|md, who| {
        let table = crate::script(md, "cat /proc/self/mountinfo").ok().out();
        let points: Vec<&str> = table.lines().map(|l| l.split(' ').nth(4).unwrap()).collect();
        let known = |p: &str| {
            let below = ["/proc", "/dev", "/sys"].iter().any(|d| p == *d || p.starts_with(&format!("{d}/")));
            p == "/" || below || ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].contains(&p)
        };
        let strange: Vec<&&str> = points.iter().filter(|p| !known(p)).collect();
        assert!(strange.is_empty(), "{who:?}: {strange:?}");
        assert!(points.len() < 60, "{who:?}: {} mounts", points.len());
        // Nothing is shared with the host (mount_namespaces(7)), or an unmount there would come here.
        assert!(!table.contains("shared:"), "{who:?}: {table}");
    });
}

#[test]
fn the_hosts_files_are_not_there() {
    each(|md, who| {
        let secret = md.dir("host-secret");
        let look = format!("ls {} 2>/dev/null || echo none; ls -A / | tr '\\n' ' '", secret.display());
        let out = crate::script(md, &look.replace("| tr '\\n' ' '", "")).ok();
        let lines = out.lines();
        assert_eq!(lines[0], "none", "{who:?}");
        assert!(
            !lines.iter().any(|l| l == "work" || l == "var/tmp" || l == ".old" || l.contains("old_root")),
            "{lines:?}"
        );
        crate::script(md, "ls / >/dev/null && cat /proc/1/cgroup").ok().stdout_has(":/");
    });
}

#[test]
fn its_cgroup_is_the_root_of_what_it_sees() {
    kit::require!(!kit::is_newer_than_docker(), "newer-than-docker", "see tests/e2e/newer.txt");
    each(|md, who| {
        for line in crate::script(md, "cat /proc/self/cgroup").ok().lines() {
            let path = line.splitn(3, ':').nth(2).unwrap();
            // Rootless without delegation it is in no cgroup of its own, and sees the host's as root.
            assert_eq!(path, "/", "{who:?}: {line}");
        }
    });
}

#[test]
fn no_descriptor_is_inherited() {
    each(|md, _| {
        // 3 is the directory that ls itself reads.
        crate::script(md, "ls /proc/self/fd").ok().stdout_is("0\n1\n2\n3");
    });
}

#[test]
fn signals_and_umask_are_a_fresh_process_s() {
    each(|md, who| {
        let out = crate::script(md, "umask; grep -E '^(SigBlk|SigIgn)' /proc/self/status").ok().out();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[..2], ["0022", "SigBlk:\t0000000000000000"], "{who:?}");
        // 32 and 33 are the C library's own (nptl(7)): nobody may set them, so a parent's choice stays.
        let ignored = u64::from_str_radix(lines[2].trim_start_matches("SigIgn:\t"), 16).unwrap();
        assert_eq!(ignored & !(0b11 << 31), 0, "{who:?}: {}", lines[2]);
    });
}

#[test]
fn what_it_writes_stays_its_own() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker's layers are elsewhere");
    each(|md, who| {
        // `fs` alone: the mark `synced` beside it appears when somebody has used the layer.
        let layers =
            std::fs::read_dir(md.root().join("layers")).unwrap().map(|e| e.unwrap().path().join("fs"));
        let layers = layers.into_iter().find(|fs| fs.is_dir()).unwrap();
        let before = kit::tree(&layers);
        let spoil =
            "echo x >/etc/passwd; rm -f /bin/cat /usr/bin/cat; mkdir /new; echo y >/new/file; ls /new";
        let _ = crate::script(md, spoil).ok().stdout_is("file");
        crate::script(md, "cat /etc/passwd; ls /new 2>&1")
            .stdout_has("root:x:0:0")
            .code(2)
            .stdout_has("No such file");
        assert_eq!(kit::difference(&before, &kit::tree(&layers)), "", "{who:?}");
    });
}

#[test]
fn files_belong_to_root_inside() {
    each(|md, who| {
        let owners =
            crate::script(md, "touch /mine; ls -ldn / /etc /bin/sh /mine /proc/1/stat /dev/null").ok().out();
        for line in owners.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // The bound nodes of a user without root keep the host's owner, who has no id inside.
            let bound = line.ends_with("/dev/null") && !who.is_root();
            assert!(bound || fields[2..4] == ["0", "0"], "{who:?}: {line}");
        }
    });
}
