//! What the flags of `run` do to the payload.

use kit::{Who, common};

#[test]
fn the_environment_is_dockers() {
    let md = common!();
    let out = md.line("run --rm hostbox env").ok();
    let names: Vec<String> = out.lines().iter().map(|l| l.split('=').next().unwrap().to_owned()).collect();
    for name in ["PATH", "HOSTNAME", "HOME"] {
        assert!(names.iter().any(|n| n == name), "{name} is missing: {names:?}");
    }
    let leaked = ["MINIDOCKER_ROOT", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "TMPDIR", "TERM"];
    assert!(!names.iter().any(|n| leaked.contains(&n.as_str())), "{names:?}");
    let _ = out.stdout_has("HOME=/root");
}

#[test]
fn e_sets_passes_on_and_leaves_out() {
    let md = common!();
    let run = |flags: &str| {
        let line = format!("run --rm {flags} hostbox sh -c 'echo A=$A, ${{B-unset}}'");
        md.call(kit::words(&line)).env("B", "from the client").run().ok().quiet().out()
    };
    let cases = [
        ("", "A=, unset"),
        ("-e A=1", "A=1, unset"),
        ("-e A=1 -e A=2", "A=2, unset"),
        ("-e A=", "A=, unset"),
        ("-e A=x=y -e B", "A=x=y, from the client"),
        ("--env 'A=a b' --env=B=b", "A=a b, b"),
        ("-e C", "A=, unset"),
    ];
    for (flags, said) in cases {
        assert_eq!(run(flags), said, "{flags}");
    }
}

#[test]
fn e_can_replace_what_we_set() {
    let md = common!();
    md.line("run --rm -e HOME=/tmp -e HOSTNAME=h hostbox sh -c 'echo $HOME $HOSTNAME'")
        .ok()
        .stdout_is("/tmp h");
    md.line("run --rm -e PATH=/nowhere hostbox env")
        .code(127)
        .stderr_has("executable file not found in $PATH");
}

#[test]
fn w_sets_the_working_directory_and_makes_it() {
    let md = common!();
    let cases =
        [("", "/"), ("-w /etc", "/etc"), ("-w /new/place", "/new/place"), ("--workdir=/etc/../tmp", "/tmp")];
    for (flags, said) in cases {
        md.line(&format!("run --rm {flags} hostbox sh -c pwd")).ok().stdout_is(said).quiet();
    }
    md.line("run --rm -w /etc/passwd hostbox sh -c pwd").complains(125, "/etc/passwd");
}

#[test]
fn u_sets_the_user() {
    let md = kit::ours!();
    for who in Who::all() {
        let md = if *who == Who::Me { &md } else { &kit::ours!(*who) };
        for (user, said) in [("0", "0 0"), ("root", "0 0"), ("root:root", "0 0")] {
            md.line(&format!("run --rm -u {user} hostbox sh -c 'echo $(id -u) $(id -g)'"))
                .ok()
                .stdout_is(said);
        }
        let others = [("5", "5 0"), ("1000:2000", "1000 2000"), ("0:3", "0 3")];
        for (user, said) in others {
            let out = md.line(&format!("run --rm -u {user} hostbox sh -c 'echo $(id -u) $(id -g)'"));
            // A single id can't be another user: that must be said, not ignored.
            if out.code == 0 {
                out.stdout_is(said)
            } else {
                out.complains(125, "has no place in the container's id map")
            };
        }
        md.nothing_left();
    }
}

#[test]
fn names_are_those_of_the_images_passwd_and_group() {
    for who in Who::all().iter().filter(|w| w.is_root() || **w == Who::Plain) {
        let md = kit::ours!(*who);
        let root = md.dir("rootfs");
        kit::small_rootfs(&root, md.who());
        kit::add_program(&root, "id");
        let etc = root.join("etc");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::write(etc.join("passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/srv/web:/bin/sh\n")
            .unwrap();
        std::fs::write(etc.join("group"), "root:x:0:\nweb:x:1001:\nstaff:x:50:web\nadm:x:4:web\n").unwrap();
        let show = |user: &str| {
            let script = "echo $(id -u) $(id -g) $(id -G) $HOME";
            md.line(&format!("run --rm --rootfs {} -u {user} sh -c '{script}'", root.display()))
        };
        for (user, said) in [
            ("web", "1000 1001 1001 4 50 /srv/web"),
            ("1000", "1000 1001 1001 4 50 /srv/web"),
            ("web:staff", "1000 50 50 /srv/web"),
            ("web:4", "1000 4 4 /srv/web"),
            ("2000:adm", "2000 4 4 /"),
            ("2000", "2000 0 0 /"),
            ("web:", "1000 1001 1001 4 50 /srv/web"),
        ] {
            show(user).ok().stdout_is(said).quiet();
        }
        show("nosuch").complains(125, "unable to find user nosuch: no matching entries in passwd file");
        show("web:nosuch").complains(125, "unable to find group nosuch: no matching entries in group file");
        show("3000000000").complains(125, "uids and gids must be in range 0-2147483647");
        md.nothing_left();
    }
}

#[test]
fn root_and_subordinate_ids_can_be_another_user() {
    for who in Who::all().iter().filter(|w| w.is_root() || **w == Who::Plain) {
        let md = kit::ours!(*who);
        let show =
            "echo $(id -u) $(id -g); grep CapEff /proc/self/status; touch /x 2>/dev/null || echo refused";
        let out = md.run(["run", "--rm", "-u", "1000:2000", "hostbox", "sh", "-c", show]).ok();
        assert_eq!(out.lines(), ["1000 2000", "CapEff:\t0000000000000000", "refused"], "{who:?}");
    }
}

#[test]
fn entrypoint_replaces_the_images_and_drops_its_command() {
    let md = common!();
    md.line("run --rm --entrypoint echo hostbox a b").ok().stdout_is("a b");
    md.line("run --rm --entrypoint /bin/sh hostbox -c 'echo c'").ok().stdout_is("c");
    md.line("run --rm --entrypoint '' hostbox echo d").ok().stdout_is("d");
    md.line("run --rm --entrypoint echo hostbox").ok().stdout_is("");
}

#[test]
fn an_empty_value_is_the_default() {
    let md = common!();
    for flag in ["--name", "-u", "-w", "--entrypoint"] {
        md.run(["run", "--rm", flag, "", "hostbox", "sh", "-c", "id -u; pwd"]).ok().stdout_is("0\n/");
    }
}

#[test]
fn without_a_command_the_images_runs() {
    let md = common!();
    md.call(["run", "--rm", "-i", "hostbox"]).stdin("echo from sh\n").run().ok().stdout_is("from sh");
}

#[test]
fn flags_behind_the_image_are_the_payloads() {
    let md = common!();
    md.line("run --rm hostbox echo --rm -it --name x").ok().stdout_is("--rm -it --name x");
    md.line("run --rm -- hostbox echo a").ok().stdout_is("a");
}

#[test]
fn network_none_has_only_lo_and_it_is_up() {
    let md = common!();
    let look = "cd /sys/class/net; echo *; cat lo/flags";
    let line = format!("run --rm --network none hostbox sh -c '{look}'");
    // IFF_UP is 1, IFF_LOOPBACK 8 (netdevice(7)).
    assert_eq!(md.line(&line).ok().quiet().lines(), ["lo", "0x9"]);
    md.line("run --rm --net=none hostbox sh -c 'echo /sys/class/net/*'").ok().stdout_is("/sys/class/net/lo");
}

#[test]
fn none_is_the_network_until_there_is_another() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        crate::script(&md, "cd /sys/class/net; echo *; cat lo/flags").ok().stdout_is("lo\n0x9");
    }
}

#[test]
fn network_host_is_the_hosts() {
    let here = std::fs::read_link("/proc/self/ns/net").unwrap();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for who in Who::all() {
        let md = kit::ours!(*who);
        let look = "ls -l /proc/self/ns/net; hostname";
        let out = md.run(["run", "--rm", "--network", "host", "hostbox", "sh", "-c", look]).ok().quiet();
        assert_eq!(out.lines()[1], name.trim(), "{who:?}");
        let _ = out.stdout_has(here.to_str().unwrap());
    }
}
