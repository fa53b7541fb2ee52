//! Our small programs beside those whose place they take: the same question, the same answer.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use kit::require;

/// What `sh -c script` writes in new user, mount, network and pid namespaces; `$A` is the program of applets.
fn sh(script: &str) -> String {
    let mut command = Command::new("unshare");
    command.args(["-Urmnpf", "--mount-proc", "sh", "-ec", script]).env("A", env!("CARGO_BIN_EXE_applets"));
    let output = command.env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn userns_allowed() -> bool {
    Command::new("unshare").args(["-Urmn", "true"]).output().is_ok_and(|o| o.status.success())
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
        || Command::new(program).arg("-V").output().is_ok()
}

const WHY: &str = "user namespaces are forbidden here";

/// Both answers after the same preparation, in namespaces of their own. Blanks at ends don't count.
#[track_caller]
fn same(preparation: &str, words: &str) -> String {
    let both = sh(&format!("{preparation}\n{words}\necho ---\n$A {words}"));
    let lines = |text: &str| text.lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>().join("\n");
    let (theirs, ours) = both.split_once("---\n").unwrap();
    assert_eq!(lines(ours), lines(theirs), "{words}");
    ours.to_owned()
}

/// Two ends of a cable, an address, a route.
const LINKS: &str = "ip link set lo up; ip link add v0 type veth peer name v1; ip addr add 10.7.0.1/24 dev v0; \
                     ip link set v0 up; ip route add 10.8.0.0/16 via 10.7.0.2; ip route add default via 10.7.0.9 metric 7";

#[test]
fn ip_shows_links_addresses_and_routes_as_iproute2_does() {
    require!(userns_allowed(), "no-userns", WHY);
    require!(has("ip"), "no-ip", "package iproute2");
    assert_eq!(same(LINKS, "ip -4 route").lines().count(), 3);
    same(LINKS, "ip -o -4 addr");
    same(LINKS, "ip -4 addr show dev v0 | grep inet");
    // iproute2 alone shows mode and group, which are the default ones, and that a peer is down.
    let plain = "sed -e 's/ mode DEFAULT//' -e 's/ group default//' -e 's/,M-DOWN//'";
    let text = same(LINKS, &format!("ip link show | {plain}"));
    assert!(text.contains("v0@v1: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500"), "{text}");
    same(LINKS, &format!("ip -o link show v1 | {plain}"));
}

#[test]
fn ip_brings_a_link_up_and_down_and_gives_it_an_address() {
    require!(userns_allowed(), "no-userns", WHY);
    require!(has("ip"), "no-ip", "package iproute2");
    let script = "ip link add v0 type veth peer name v1\n\
                  $A ip link set v0 up; $A ip link set dev v1 up; $A ip addr add 10.7.0.1/24 dev v0\n\
                  ip -o -4 addr show dev v0; ip route; $A ip link set v0 down; ip -o link show v0\n\
                  $A ip addr add 10.7.0.1/24 dev v0 2>&1 || echo code $?";
    let text = sh(script);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("inet 10.7.0.1/24 scope global v0"), "{text}");
    assert!(lines[1].starts_with("10.7.0.0/24 dev v0 proto kernel scope link src 10.7.0.1"), "{text}");
    assert!(lines[2].contains("v0@v1: <BROADCAST,MULTICAST> "), "{text}");
    assert_eq!(lines[3], "ip: sendto(AF_NETLINK, RTM_NEWADDR 10.7.0.1/24) : EEXIST (File exists)");
    assert_eq!(lines[4], "code 1");
}

#[test]
fn mount_shows_the_table_as_util_linux_does_and_mounts() {
    require!(userns_allowed(), "no-userns", WHY);
    let both = sh("d=$(mktemp -d '/tmp/a b XXXXXX'); mount -t tmpfs -o size=4k,nosuid none \"$d\"\n\
                   mount -t tmpfs | tail -n 1; $A mount -t tmpfs | tail -n 1; umount \"$d\"; rmdir \"$d\"");
    let lines: Vec<&str> = both.lines().collect();
    assert!(
        lines[0].starts_with("none on /tmp/a b ") && lines[0].contains("type tmpfs (rw,nosuid,"),
        "{both}"
    );
    assert_eq!(lines[1], lines[0]);
    let script = "d=$(mktemp -d); $A mount -t tmpfs -o size=4k,noexec none $d; mkdir $d/a $d/b; echo x >$d/a/f\n\
                  $A mount --bind $d/a $d/b; cat $d/b/f; $A mount -o remount,bind,ro $d/b; touch $d/b/g || echo $?\n\
                  $A mount --make-shared $d; grep -c \"$d .* shared:\" /proc/self/mountinfo; umount -l $d; rmdir $d";
    assert_eq!(sh(script), "x\n1\n1\n");
}

#[test]
fn a_bind_with_options_has_them_and_those_of_its_source() {
    require!(userns_allowed(), "no-userns", WHY);
    for words in ["-o bind,ro", "-r --bind", "-o bind,noexec,nodev", "--bind -o noatime", "-o rbind,ro,exec"]
    {
        let script = format!(
            "d=$(mktemp -d); mount -t tmpfs -o size=4k none $d; mkdir $d/a $d/t $d/o\n\
             mount {words} $d/a $d/t; $A mount {words} $d/a $d/o\n\
             for m in t o; do grep \" $d/$m \" /proc/self/mountinfo | cut -d' ' -f6; done; umount -l $d; rmdir $d"
        );
        let both = sh(&script);
        let (theirs, ours) = both.trim_end().split_once('\n').unwrap();
        assert_eq!(ours, theirs, "{words}");
    }
    // What its source has already stays, which util-linux knows since 2.39: a user namespace demands it.
    let script = "d=$(mktemp -d); mount -t tmpfs -o nosuid none $d; $A mount -o bind,ro $d $d\n\
                  grep \" $d \" /proc/self/mountinfo | tail -n 1 | cut -d' ' -f6; umount $d; umount $d; rmdir $d";
    assert_eq!(sh(script), "ro,nosuid,relatime\n");
    let script = "$A mount --bind --make-private /tmp /tmp 2>&1 || echo code $?";
    let told =
        "mount: /tmp: mount it first, and then say mount --make-private (or -shared, -slave) /tmp\ncode 32\n";
    assert_eq!(sh(script), told);
}

#[test]
fn ps_and_id_say_what_procps_and_coreutils_say() {
    require!(userns_allowed(), "no-userns", WHY);
    for words in ["id", "id -u", "id -un", "id -G", "id -g -n", "id root", "id -u daemon"] {
        same("", words);
    }
    // One process more or less: the one that looks.
    let script =
        "sleep 60 & ps -e -o pid=,ppid=,args= | grep sleep; $A ps -o pid=,ppid=,args= | grep sleep; kill $!";
    let text = sh(script);
    let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let sleeping: Vec<_> = words.iter().filter(|w| w[2] == "sleep").collect();
    assert_eq!(sleeping.len(), 2, "{text}");
    assert_eq!(sleeping[0], sleeping[1]);
    for words in
        ["ps -o comm= -p 1", "ps -eo pid=,comm= | grep '^ *1 ' | tr -d ' '", "ps -p 1 -o args= | cut -c1-6"]
    {
        assert_eq!(same("", words).lines().count(), 1, "{words}");
    }
    for words in ["ps -o comm= -p 999999", "ps -p 999999 -o comm"] {
        assert!(same("", &format!("{words} || echo code $?")).ends_with("code 1\n"), "{words}");
    }
}

#[test]
fn without_proc_ps_and_holes_say_so() {
    require!(userns_allowed(), "no-userns", WHY);
    let script = "mount -t tmpfs none /proc; $A ps 2>&1 || echo code $?; $A holes hostname || echo code $?";
    let text = sh(script);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["ps: /proc shows no process: is it mounted?", "code 1"]);
    assert!(lines[2].starts_with("hostname      ?     sethostname("), "{text}");
    assert_eq!(lines[3], "code 1");
    // Its masked paths are no hindrance (config-linux.md, maskedPaths).
    let script =
        "mount -t tmpfs -o ro none /proc/sys; mount --bind /dev/null /proc/interrupts; $A ps | head -n 1";
    assert_eq!(sh(script), "PID USER COMMAND\n");
}
