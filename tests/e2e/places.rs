//! Bad places: for the command itself, for its store, and a /proc that shows less.

use std::os::unix::fs::chown;

use kit::{Minidocker, Output, Who};

macro_rules! root_builds {
    () => {
        kit::require!(
            rustix::process::geteuid().is_root() && Who::all().len() > 1,
            "not-root",
            "only root mounts a world for others"
        );
    };
}

/// Puts the store on a tmpfs of its own, with these options; `$ROOT` and `$OWNER` as in `in_world`.
fn store_on_tmpfs(options: &str) -> String {
    format!(
        "mount -t tmpfs -o mode=700,{options} none /mnt\ncp -a \"$ROOT\"/. /mnt/\n\
         chown \"$OWNER:$OWNER\" /mnt\nmount --move /mnt \"$ROOT\"\n"
    )
}

/// One message: the call, alone or below what it was for, why, and what to do.
#[track_caller]
fn tells(out: Output, call: &str, because: &str) {
    let err = out.err();
    let mut lines: Vec<&str> = err.lines().collect();
    if lines.len() == 4 {
        lines.remove(0);
    }
    let [shown, why, remedy] = lines[..] else { out.fail("expected three lines or four") };
    let shown = shown.trim_start_matches("minidocker: ").trim_start();
    let ok = shown.starts_with(&format!("{call}(")) && shown.contains(") : E");
    if !ok || !why.starts_with("  because: ") || !why.contains(because) || !remedy.starts_with("  do: ") {
        out.fail(&format!("expected {call} and {because:?}"));
    }
    out.complains(125, "");
}

#[test]
fn a_working_directory_that_is_gone_does_not_matter() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let gone = "d=$(mktemp -d) && cd \"$d\" && rmdir \"$d\" && exec \"$@\"";
        let there = |line: &str| md.call(kit::words(line)).through(gone).run();
        there("run --name here hostbox sh -c pwd").ok().quiet().stdout_is("/");
        there("ps -a").ok().stdout_has("here");
        there("inspect here").ok();
        there("rm here").ok();
        // What is relative to it can't be found.
        there("run --rm --rootfs sub true").complains(125, "sub");
        let relative = md.call(["ps"]).env("MINIDOCKER_ROOT", "store").through(gone).run();
        relative.complains(125, "store");
        md.nothing_left();
    }
}

#[test]
fn without_home_the_store_is_where_passwd_says() {
    for who in Who::all().iter().filter(|w| !w.is_root()) {
        let md = kit::ours!(*who);
        for name in ["HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "USER"] {
            md.call(["run", "--rm", "hostbox", "true"]).without_env(name).run().ok().quiet();
        }
        let bare = md.call(["ps"]).without_env("HOME").without_env("MINIDOCKER_ROOT").run();
        if *who != Who::Me {
            // Theirs is /nonexistent, as that of many a service.
            bare.complains(125, "/nonexistent/.local/share/minidocker");
        } else {
            assert!([0, 125].contains(&bare.code), "{bare:?}");
        }
        let nothing = md.call(["run", "--rm", "hostbox", "echo", "x"]).through("exec env -i \"$@\"").run();
        assert!(nothing.code == 125 || nothing.code == 0 && *who == Who::Me, "{nothing:?}");
        md.nothing_left();
    }
}

/// As sudo -E leaves it: root, in the environment of a user.
#[test]
fn roots_files_do_not_come_into_a_users_store() {
    root_builds!();
    let md = kit::ours!(Who::Me);
    let user = kit::ours!(Who::Plain);
    let before = (kit::tree(&user.root()), kit::tree(&user.room().join("home")));
    let sudo = |args: &[&str]| {
        let call = md.call(args).env("USER", "mdplain").env("HOME", user.room().join("home"));
        call.env("XDG_RUNTIME_DIR", user.room().join("run")).env("SUDO_UID", "60800")
    };
    for args in [&["ps", "-a"][..], &["run", "--rm", "hostbox", "true"], &["rm", "-f", "x"]] {
        let out = sudo(args).env("MINIDOCKER_ROOT", user.root()).run().complains(125, "is another user's");
        assert!(out.err().contains("because: it belongs to uid 60800, and this is uid 0"), "{out:?}");
        assert!(out.err().contains("do: "), "{out:?}");
    }
    // Without MINIDOCKER_ROOT root has its own place, whatever else the environment says.
    let own = sudo(&["run", "--rm", "hostbox", "true"]).without_env("MINIDOCKER_ROOT");
    let own = own.env("XDG_DATA_HOME", user.room().join("home/data"));
    let world = "mount -t tmpfs none /var/lib";
    let look = "\"$@\" && exec ls /var/lib";
    own.in_world(world).through(look).run().ok().stdout_is("minidocker");
    let after = (kit::tree(&user.root()), kit::tree(&user.room().join("home")));
    assert_eq!(kit::difference(&before.0, &after.0) + &kit::difference(&before.1, &after.1), "");
    md.nothing_left();
    user.nothing_left();
}

#[test]
fn a_store_of_another_user_is_refused_by_every_command() {
    root_builds!();
    for who in Who::all() {
        let md = kit::ours!(*who);
        chown(md.root(), Some(12_345), None).unwrap();
        for line in ["run --rm hostbox true", "ps -a", "rm x", "kill x", "inspect x"] {
            let words = format!("the store {} is another user's", md.root().display());
            let out = md.line(line).complains(125, &words);
            assert!(out.err().contains("because: it belongs to uid 12345, and this is uid"), "{out:?}");
            assert!(out.err().contains("do: "), "{out:?}");
        }
        who.own(&md.root());
        if who.is_root() {
            chown(md.root(), Some(0), None).unwrap();
        }
        md.line("run --rm hostbox true").ok();
        md.nothing_left();
    }
}

#[test]
fn few_descriptors_are_enough() {
    for who in Who::all() {
        let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        kit::require!(!Minidocker::is_docker(), "ours-only", "hostbox is made anew");
        let few = |line: &str| md.call(kit::words(line)).through("ulimit -n 64; exec \"$@\"").run();
        few("run --rm hostbox sh -c 'ulimit -n; exit 3'").code(3).quiet().stdout_is("64");
        few("run --name one hostbox true").ok().quiet();
        few("ps -a").ok().stdout_has("one");
        few("inspect one").ok();
        few("rm one").ok();
        md.nothing_left();
    }
}

#[test]
fn the_flags_of_the_stores_mount_are_no_ones_but_its_own() {
    root_builds!();
    for who in Who::all() {
        let md = kit::ours!(*who);
        let world = store_on_tmpfs("noexec,nodev,nosuid,noatime");
        let look = "test -c /dev/null && echo x >/dev/null && cp /bin/ls /tmp/own && /tmp/own /tmp && \
                    ! grep ' / ' /proc/mounts | grep -E 'noexec|nodev'";
        let line = ["run", "--rm", "hostbox", "sh", "-c", look];
        md.call(line).in_world(&world).run().ok().quiet().stdout_is("own");
        // hostbox is made there as well, where it can't be tried by chroot.
        let fresh = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        fresh.call(["run", "--rm", "hostbox", "echo", "made"]).in_world(&world).run().ok().stdout_is("made");
        md.nothing_left();
    }
}

#[test]
fn a_read_only_store_is_told() {
    root_builds!();
    for who in Who::all() {
        let md = kit::ours!(*who);
        md.line("ps").ok();
        let world = "mount --bind \"$ROOT\" \"$ROOT\"; mount -o remount,bind,ro \"$ROOT\"";
        let out = md.call(["run", "--rm", "hostbox", "true"]).in_world(world).run();
        tells(out, "openat", "mounted read-only");
        md.call(["ps", "-a"]).in_world(world).run().ok();
        md.nothing_left();
    }
}

/// What a full store makes of `run`, of `ps`, and of `run` once more when there is room again.
fn on_full(md: &Minidocker, fill: &str) -> Output {
    let world = store_on_tmpfs("size=60m") + fill;
    let tries = "\"$@\"; echo \"run $?\"; \"$1\" ps -a -q 2>&1; rm \"$MINIDOCKER_ROOT\"/fill*; \"$@\"; echo \"again $?\"; \
                 ls \"$MINIDOCKER_ROOT/containers\" \"$MINIDOCKER_ROOT/names\" | grep -v : | wc -w";
    md.call(["run", "--rm", "hostbox", "true"]).in_world(&world).through(tries).run()
}

#[test]
fn a_full_store_leaves_no_half_container_and_works_when_there_is_room() {
    root_builds!();
    for who in Who::all() {
        let md = kit::ours!(*who);
        let mut refused = 0;
        for free_kib in (0..=64).step_by(if *who == Who::Single { 16 } else { 4 }) {
            let fill = format!(
                "free=$(df -k --output=avail \"$ROOT\" | tail -n 1)\n[ \"$free\" -lt 70000 ]\n\
                 head -c $(( (free - {free_kib}) * 1024 )) /dev/zero >\"$ROOT/fill\"\nchown \"$OWNER\" \"$ROOT/fill\"\n"
            );
            let out = on_full(&md, &fill);
            let lines = out.lines();
            assert_eq!(lines.len(), 3, "{free_kib} KiB: {out:?}");
            assert_eq!(lines[1..], ["again 0", "0"], "{free_kib} KiB: {out:?}");
            if lines[0] != "run 0" {
                refused += 1;
                assert_eq!(lines[0], "run 125", "{out:?}");
                let err = out.err();
                let told = ["ENOSPC (No space left on device)", "\n  because: ", "\n  do: "];
                assert!(told.iter().all(|text| err.contains(text)), "{free_kib} KiB: {err}");
                assert!(err.lines().count() <= 4, "{free_kib} KiB: {err}");
            }
        }
        assert!(refused > 0, "{who:?}: nothing was refused");
        md.nothing_left();
    }
}

#[test]
fn a_store_without_inodes_is_told_as_a_full_one() {
    root_builds!();
    for who in Who::all() {
        let md = kit::ours!(*who);
        for free in [0, 3, 9] {
            let fill = format!(
                "used=$(df --output=iused \"$ROOT\" | tail -n 1)\n\
                 mount -o remount,nr_inodes=$((used + {free})) \"$ROOT\"\n"
            );
            let world = store_on_tmpfs("size=60m") + &fill;
            let out = md.call(["run", "--rm", "hostbox", "true"]).in_world(&world).run();
            let err = out.err();
            assert!(
                err.contains("ENOSPC (No space left on device)") && err.contains("no inode left"),
                "{free}: {out:?}"
            );
            out.complains(125, "");
        }
        md.nothing_left();
    }
}

#[test]
fn a_proc_that_hides_others_changes_nothing() {
    root_builds!();
    for who in Who::all() {
        let md = kit::ours!(*who);
        // A mount of its own: a remount would change the host's.
        let world = "mount -t proc -o hidepid=2 proc /proc; grep -q '/proc proc .*hidepid' /proc/mounts";
        let run = md.call(["run", "--rm", "hostbox", "sh", "-c", "ps >/dev/null && exit 3"]).in_world(world);
        run.run().code(3).quiet();
        let mut client = md.call(kit::words("run --name up hostbox sh -c 'echo up; exec sleep 1000'"));
        client = client.in_world(world);
        let mut client = client.spawn();
        client.expect("up\n");
        md.call(["ps"]).in_world(world).run().ok().stdout_has("Up ");
        md.call(["kill", "up"]).in_world(world).run().ok();
        client.finish().code(137);
        md.call(["rm", "up"]).in_world(world).run().ok();
        md.nothing_left();
    }
}

#[test]
fn a_masked_proc_stops_the_rootless_with_the_reason() {
    root_builds!();
    let masked = "mount -t tmpfs none /proc/sys";
    let read_only = "mount --bind /proc /proc; mount -o remount,bind,ro /proc";
    for who in Who::all() {
        let md = kit::ours!(*who);
        for (world, call, because) in [
            (masked, "mount", "part of /proc is hidden: mounted over: /proc/sys"),
            (read_only, "write", "mounted read-only"),
        ] {
            let out = md.call(["run", "--rm", "hostbox", "true"]).in_world(world).run();
            match who {
                _ if who.is_root() => drop(out.ok().quiet()),
                // The map is written by newuidmap, whose words are told.
                Who::Plain if call == "write" => {
                    drop(out.complains(125, "newuidmap: open of uid_map failed: Read-only"))
                }
                _ => tells(out, call, because),
            }
            md.call(["ps", "-a"]).in_world(world).run().ok();
            md.nothing_left();
        }
    }
}

#[test]
fn an_image_that_is_not_here_names_those_that_are_built_in() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let out =
            md.line("run --rm alpine true").complains(125, "Unable to find image 'alpine:latest' locally");
        assert!(out.err().lines().nth(1).is_some_and(|l| l.contains("hostbox")), "{out:?}");
        md.nothing_left();
    }
}
