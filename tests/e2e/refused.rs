//! What the kernel refuses to a caller who lacks something: the message says what, and what to do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use kit::{Minidocker, Output, Who};

/// Words, the call, the reason and something to do; and nothing stays.
#[track_caller]
fn told(out: &Output, words: &str, call: &str, because: &str) {
    let err = out.err();
    let first = err.lines().next().unwrap_or_default();
    assert!(first.contains(words) && !first.contains(") : E"), "expected {words:?} in:\n{err}");
    crate::advised(out, call, because);
}

#[test]
fn root_without_a_capability_is_told_which() {
    kit::require!(Who::Me.is_root(), "not-root", "only root has capabilities to lose");
    let md = kit::ours!();
    for (lost, flags, words, call) in [
        ("setgid", "", "cannot become the container's user", "setgroups(1, [0]) : EPERM"),
        ("setuid", "-u 1000", "cannot become the container's user", "setresuid(1000, 1000, 1000) : EPERM"),
        ("setpcap", "", "cannot become the container's user", "prctl(PR_CAPBSET_DROP, "),
        (
            "net_admin",
            "",
            "cannot bring up the loopback interface",
            "SIOCSIFFLAGS, {ifr_name=\"lo\"}) : EPERM",
        ),
        ("dac_override", "", "cannot mount the rootfs", "mount(\"overlay\", "),
    ] {
        let run = |rest: &str, line: &str| {
            let drop = format!("exec setpriv --bounding-set -{lost} --inh-caps -{lost} {rest} -- \"$@\"");
            md.call(kit::words(line)).through(&drop).run()
        };
        let out = run("", &format!("run --rm {flags} hostbox true")).code(125);
        let name = format!("CAP_{}", lost.to_uppercase());
        told(&out, words, call, &format!("this process is root without {name}, "));
        assert!(out.err().contains(&format!("  do: leave {name} to root: ")), "{}", out.err());
        md.nothing_left();
    }
}

#[test]
fn hostbox_is_tried_without_the_capability_for_chroot_too() {
    kit::require!(Who::Me.is_root(), "not-root", "only root has capabilities to lose");
    let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), Who::Me);
    let drop = "exec setpriv --bounding-set -sys_chroot --inh-caps -sys_chroot -- \"$@\"";
    md.line("version").ok();
    md.call(kit::words("run --rm hostbox echo hi")).through(drop).run().ok().stdout_is("hi");
    md.nothing_left();
}

#[test]
fn too_few_descriptors_are_named_at_every_number() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let run = |most: u32| {
            let few = format!("ulimit -n {most}; exec \"$@\"");
            md.call(kit::words("run --rm hostbox echo hi")).through(&few).run()
        };
        for most in 4..=16 {
            let out = run(most).code(125);
            told(&out, "minidocker: cannot ", ") : EMFILE (", "RLIMIT_NOFILE");
            assert!(out.err().contains("  do: ulimit -n "), "{who:?}, {most}: {}", out.err());
            md.nothing_left();
        }
        let _ = run(64).ok().stdout_is("hi");
    }
}

#[test]
fn too_few_descriptors_make_no_smaller_hostbox() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has no hostbox");
    let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), Who::Me);
    for most in 6..=16 {
        let few = format!("ulimit -n {most}; exec \"$@\"");
        let out = md.call(kit::words("run --rm hostbox true")).through(&few).run().code(125);
        told(&out, "minidocker: hostbox can't be made", ") : EMFILE (", "RLIMIT_NOFILE");
        md.nothing_left();
    }
    md.line("run --rm hostbox ls /bin/wc").ok().quiet();
}

#[test]
fn too_few_descriptors_are_no_reason_to_remove_a_container() {
    let md = kit::ours!();
    md.line("run --name kept hostbox true").ok();
    let out = md.call(kit::words("start kept")).through("ulimit -n 4; exec \"$@\"").run().code(1);
    told(
        &out,
        "cannot read the record of container",
        "state.json\", O_RDONLY|O_NONBLOCK|O_CLOEXEC) : EMFILE",
        "RLIMIT_NOFILE",
    );
    assert!(!out.err().contains("rm -f"), "{}", out.err());
    md.line("start -a kept").ok();
    md.line("rm kept").ok();
    md.nothing_left();
}

#[test]
fn a_file_that_may_not_grow_is_a_message_and_no_signal() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let out = md.call(kit::words("run --rm hostbox true")).through("ulimit -f 0; exec \"$@\"").run();
        told(&out.clone().code(125), "minidocker: cannot write /", ") : EFBIG (", "RLIMIT_FSIZE is reached");
        md.nothing_left();
        // The log may not hold it all. What the program wrote arrives all the same, and its code.
        let script = ["run", "--rm", "hostbox", "sh", "-c", "head -c 300000 /dev/zero; exit 3"];
        let out = md.call(script).through("ulimit -f 64; exec \"$@\"").run().code(3);
        assert_eq!(out.stdout.len(), 300_000, "{who:?}");
        md.nothing_left();
    }
}

#[test]
fn too_few_processes_for_newuidmap_are_told() {
    for who in Who::all().iter().filter(|who| **who == Who::Plain) {
        let md = kit::ours!(*who);
        for most in 0..=4 {
            let few = format!("exec prlimit --nproc={most} \"$@\"");
            let out = md.call(kit::words("run --rm hostbox true")).through(&few).run().code(125);
            told(&out, "minidocker: cannot ", ") : EAGAIN (", "RLIMIT_NPROC");
            md.nothing_left();
        }
    }
}

#[test]
fn a_newuidmap_that_fails_is_quoted() {
    for who in Who::all().iter().filter(|who| **who == Who::Plain) {
        let md = kit::ours!(*who);
        let (none, plain) = (md.dir("none").display().to_string(), md.room().join("plain"));
        fs::write(&plain, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
        let beside = |with: &str, line: &str| {
            let helper = "$(command -v newuidmap)";
            md.call(kit::words(line)).in_world(&format!("mount --bind {with} {helper}")).run()
        };
        // `false` with a set-uid bit: it says nothing, and ends with 1.
        let failing = format!(
            "mount -t tmpfs none {none}; cp /bin/false {none}; chmod 4755 {none}/false; \
             mount --bind {none}/false $(command -v newuidmap)"
        );
        let out = md.call(kit::words("run --rm hostbox true")).in_world(&failing).run().code(125);
        told(
            &out,
            "newuidmap ended with exit status: 1: it said nothing",
            "cannot write the id maps",
            "/etc/subuid",
        );
        let out = beside(&plain.display().to_string(), "run --rm hostbox true").code(125);
        assert!(out.err().contains("newuidmap is neither set-uid root"), "{}", out.err());
        md.nothing_left();
    }
}

#[test]
fn an_id_outside_of_the_map_is_told_with_the_reason() {
    for who in Who::all().iter().filter(|who| **who == Who::Single) {
        let md = kit::ours!(*who);
        let out = md.line("run --rm -u 1000 hostbox true").code(125);
        let err = out.err();
        assert!(
            err.starts_with("minidocker: uid 1000 has no place in the container's id map (0)\n"),
            "{err}"
        );
        crate::advised(&out, "", "only one id is mapped: /etc/subuid has no line for mdsingle");
        md.nothing_left();
    }
}

#[test]
fn a_host_without_proc_is_told() {
    for who in Who::all() {
        kit::require!(Who::Me.is_root(), "not-root", "only root can take /proc away");
        let md = kit::ours!(*who);
        for world in ["umount -R -l /proc", "mount -t tmpfs none /proc"] {
            let run = |line: &str| md.call(kit::words(line)).in_world(world).run();
            for line in ["run --rm hostbox true", "create hostbox true"] {
                let out = run(line).code(if line.starts_with("run") { 125 } else { 1 });
                told(
                    &out,
                    "cannot tell which cgroups this machine has",
                    "read(\"/proc/self/mountinfo\") : ENOENT",
                    "/proc is not mounted: /proc/self is missing",
                );
                assert!(out.err().contains("mount -t proc proc /proc"), "{out:?}");
            }
            md.nothing_left();
        }
    }
}

#[test]
fn a_target_that_is_a_circle_of_links_or_below_a_file_is_told() {
    let md = kit::ours!();
    let dir = md.dir("rootfs");
    kit::small_rootfs(&dir, md.who());
    symlink("circle", dir.join("circle")).unwrap();
    symlink("/nowhere/yet", dir.join("dangling")).unwrap();
    fs::write(dir.join("file"), "").unwrap();
    let run = |flag: &str, value: &str| {
        let dir = dir.to_str().unwrap();
        md.run([
            "run",
            "--rm",
            flag,
            value,
            "--rootfs",
            dir,
            "sh",
            "-c",
            "echo made >/dangling/x || true; echo ran",
        ])
    };
    for (target, call, because) in [
        ("/circle", ") : ELOOP (", "leads back to itself"),
        ("/circle/below", ") : ELOOP (", "leads back to itself"),
        ("/file/below", ") : ENOTDIR (", "something of another kind at /file/below, or above it"),
    ] {
        let out = run("--tmpfs", target).code(125);
        told(&out, &format!("error mounting \"tmpfs\" to rootfs at \"{target}\""), call, because);
        assert!(out.err().contains(&format!("  do: name another place than {target}; ")), "{}", out.err());
        let out = run("-v", &format!("/etc/hostname:{target}")).code(125);
        told(&out, "error mounting \"/etc/hostname\" to rootfs", call, because);
    }
    // As in Docker, a link into nothing is followed, and what it leads to is made.
    let _ = run("--tmpfs", "/dangling").ok().stdout_is("ran").quiet();
    md.nothing_left();
}

#[test]
fn proc_that_is_empty_or_of_others_is_named() {
    kit::require!(
        !Minidocker::is_docker() && Who::all().len() > 1,
        "not-root",
        "only root mounts a world for others"
    );
    let empty = "mount -t tmpfs none /proc";
    for who in Who::all() {
        let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        let run = |world: &str| md.call(kit::words("run --rm hostbox true")).in_world(world).run().code(125);
        told(
            &run(empty),
            "cannot write ",
            "index.json\") : ENOENT",
            "/proc is not mounted: /proc/self is missing",
        );
        // The layout is there, hostbox isn't.
        let _ = md.line("run --rm none-such true").code(125);
        let out = run(empty);
        told(
            &out,
            "hostbox can't be made",
            "\"/proc/self/fd\", ",
            "/proc is not mounted: /proc/self is missing",
        );
        assert!(out.err().lines().any(|line| line.ends_with("mount -t proc proc /proc")), "{out:?}");
        if *who != Who::Me {
            let out = run("exec unshare -p -f \"$@\"");
            let why = "/proc shows the processes of another pid namespace: /proc/self leads to ";
            crate::advised(&out, "", why);
            assert!(out.err().ends_with("  do: sudo unshare -p -f --mount-proc"), "{out:?}");
        }
        md.nothing_left();
    }
}

#[test]
fn proc_that_is_read_only_is_named_whoever_writes_the_maps() {
    kit::require!(
        !Minidocker::is_docker() && Who::all().len() > 1,
        "not-root",
        "only root mounts a world for others"
    );
    let read_only = "mount --bind /proc /proc; mount -o remount,bind,ro /proc";
    let remedy = "  do: sudo mount -o remount,bind,rw /proc";
    for who in Who::all().iter().filter(|who| **who != Who::Me) {
        let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        let run = || md.call(kit::words("run --rm hostbox true")).in_world(read_only).run().code(125);
        let out = run();
        let write = "write(\"/proc/self/setgroups\", \"deny\", 4) : EROFS";
        told(&out, "hostbox can't be made: its sh can't be tried", write, "/proc is mounted read-only");
        assert!(out.err().ends_with(remedy), "{out:?}");
        md.line("run --rm hostbox true").ok();
        // With subordinate ids newuidmap says it, without them our own write(2).
        let out = run();
        told(&out, "cannot write the id maps of the user namespace", "", "/proc is mounted read-only");
        assert!(out.err().ends_with(remedy), "{out:?}");
        let layers = md.root().join("layers");
        for layer in fs::read_dir(&layers).unwrap().map(|entry| entry.unwrap().path()) {
            if layer.is_dir() {
                fs::rename(&layer, layer.with_extension("gone")).unwrap();
            }
        }
        let out = run();
        told(&out, "", "", "/proc is mounted read-only");
        assert!(out.err().ends_with(remedy), "{out:?}");
        md.nothing_left();
    }
}

#[test]
fn a_store_without_room_for_hostbox_is_named() {
    kit::require!(
        !Minidocker::is_docker() && Who::all().len() > 1,
        "not-root",
        "only root mounts a world for others"
    );
    let small = "mount -t tmpfs -o mode=700,size=3m none \"$ROOT\"; chown \"$OWNER:$OWNER\" \"$ROOT\"";
    for who in Who::all() {
        let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        let out = md.call(kit::words("run --rm hostbox true")).in_world(small).run().code(125);
        told(&out, "hostbox can't be made", "copy_file_range(\"/", &md.root().display().to_string());
        assert!(out.err().contains("  do: export MINIDOCKER_ROOT=/var/tmp/minidocker-$(id -u)"), "{out:?}");
    }
}
