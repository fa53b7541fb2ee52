//! Machines that this one is not: facts that are changed, and directories that play another host.

use std::fs;
use std::path::Path;

use super::condition::words;
use super::facts::{Asker, Groups, Outcome, Place, Refusal};
use super::{Diagnosis, Facts, Level, class, conditions, explain, json, look, report, text, why};

/// A laptop on which nothing is missing: cgroup v2, a plain user with subordinate ids and a session.
fn healthy() -> Facts {
    let tries = ["clone", "proc"].map(|what| (format!("user/{what}"), Outcome::Works));
    Facts {
        kernel: "6.8.0-31-generic".to_owned(),
        machine: "x86_64".to_owned(),
        distribution: "ubuntu-24.04".to_owned(),
        program: "/usr/local/bin/minidocker".to_owned(),
        asker: Asker {
            uid: 1000,
            name: "alice".to_owned(),
            subordinate: [65_536, 65_536],
            ..Asker::default()
        },
        files: [
            ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            ("/proc/sys/kernel/unprivileged_userns_clone", "1"),
            ("/proc/sys/kernel/yama/ptrace_scope", "1"),
            ("/proc/sys/net/ipv4/ip_forward", "0"),
            ("/sys/fs/selinux/enforce", "0"),
        ]
        .map(|(path, text)| (path.to_owned(), Ok(text.to_owned())))
        .into(),
        there: ["/proc/self", "/run/systemd/system", "/dev/net/tun", "/usr/bin/pasta", "/.dockerenv"]
            .map(str::to_owned)
            .into(),
        env: [("XDG_RUNTIME_DIR".to_owned(), "/run/user/1000".to_owned())].into(),
        tried: tries.into(),
        root_is_mount: Some(true),
        seccomp: Some(2),
        limits: [Some(60_000), Some(1024)],
        groups: Groups {
            kind: "v2".to_owned(),
            place: "/sys/fs/cgroup/u".to_owned(),
            writable: true,
            pids: None,
        },
        store: Place {
            path: "/home/alice/.local/share/minidocker".to_owned(),
            nearest: "/home/alice".to_owned(),
            file_system: "ext4".to_owned(),
            free_mib: Some(9000),
            free_inodes: Some(90_000),
            ..Place::default()
        },
        nftables: Some(true),
        ..Facts::default()
    }
}

fn ids(facts: Facts) -> Vec<&'static str> {
    Diagnosis::of(facts).found.iter().map(|found| found.condition.id).collect()
}

fn refuse(facts: &mut Facts, what: &str, errno: &str) {
    let refusal = Refusal { call: format!("{what}() : {errno} (…)"), errno: errno.to_owned() };
    facts.tried.insert(what.to_owned(), Outcome::Refused(refusal));
}

fn file(facts: &mut Facts, path: &str, text: &str) {
    facts.files.insert(path.to_owned(), Ok(text.to_owned()));
}

#[test]
fn a_healthy_machine_has_no_condition() {
    assert_eq!(ids(healthy()), [""; 0]);
    let mut root = healthy();
    root.asker = Asker { name: "root".to_owned(), rootful: true, ..Asker::default() };
    root.groups.kind = "hybrid".to_owned();
    assert_eq!(ids(root), [""; 0], "and none as root, without subordinate ids, on hybrid cgroups");
}

/// What is changed on the healthy machine, and what is found then.
type Case = (&'static str, fn(&mut Facts));

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("no-proc", |f| f.there.retain(|path| path != "/proc/self")),
    ("proc-of-others", |f| f.proc_of_others = Some("/proc/self leads to 71, and this process is 7".into())),
    ("in-docker", |f| refuse(f, "user/private-mounts", "EPERM")),
    ("in-codespaces", |f| { f.env.insert("CODESPACES".into(), "true".into()); refuse(f, "user/clone", "ENOSYS"); }),
    ("in-podman", |f| { f.there.push("/run/.containerenv".into()); refuse(f, "user/proc", "EPERM"); }),
    ("in-lxc", |f| { f.env.insert("container".into(), "lxc".into()); refuse(f, "user/proc", "EACCES"); }),
    ("in-lxc", |f| { file(f, "/run/systemd/container", "lxc"); refuse(f, "user/proc", "EPERM"); }),
    ("wsl1", |f| f.kernel = "4.4.0-19041-Microsoft".into()),
    ("wsl2-without-systemd", |f| { f.kernel = "5.15.90.1-microsoft-standard-WSL2".into(); f.there.clear(); f.groups.writable = false; }),
    ("proc-masked", |f| { f.proc_covered = vec!["/proc/kcore".into()]; refuse(f, "user/proc", "EPERM"); }),
    ("proc-read-only", |f| refuse(f, "user/id-maps", "EROFS")),
    ("dev-unusable", |f| refuse(f, "/dev/null", "EACCES")),
    ("apparmor-userns", |f| refuse(f, "user/private-mounts", "EACCES")),
    ("apparmor-userns", |f| refuse(f, "user/root", "EPERM")),
    ("userns-off", |f| file(f, "/proc/sys/kernel/unprivileged_userns_clone", "0")),
    ("namespaces-at-limit", |f| file(f, "/proc/sys/user/max_net_namespaces", "0")),
    ("in-chroot", |f| f.root_is_mount = Some(false)),
    ("userns-refused", |f| { f.files.clear(); f.seccomp = Some(0); refuse(f, "user/clone", "EPERM"); }),
    ("no-subuid", |f| f.asker.subordinate[0] = 0),
    ("no-subgid", |f| f.asker.subordinate[1] = 0),
    ("no-newuidmap", |f| f.asker.helper = Some(("missing".into(), "newuidmap".into()))),
    ("newuidmap-not-setuid", |f| f.asker.helper = Some(("not-set-uid".into(), "/usr/bin/newuidmap".into()))),
    ("newuidmap-nosuid", |f| f.asker.helper = Some(("nosuid".into(), "/usr/bin/newuidmap".into()))),
    ("no-new-privs", |f| f.asker.helper = Some(("no-new-privs".into(), "no_new_privs".into()))),
    ("newuidmap-refuses", |f| refuse(f, "user/ids", "")),
    ("one-id-here", |f| f.asker.why_single = Some("the user namespace that we are in has one id itself".into())),
    ("seccomp-clone", |f| { f.files.clear(); refuse(f, "user/clone", "ENOSYS"); }),
    ("seccomp-unshare", |f| { f.files.clear(); refuse(f, "user/cgroup-namespace", "EPERM"); }),
    ("seccomp-mount", |f| { f.files.clear(); refuse(f, "user/pivot-root", "EPERM"); }),
    ("kernel-before-5.11", |f| f.kernel = "5.4.0-42-generic".into()),
    ("no-mount-setattr", |f| refuse(f, "mount_setattr", "ENOSYS")),
    ("no-overlay", |f| refuse(f, "user/overlay", "ENODEV")),
    ("few-processes", |f| f.limits[0] = Some(5)),
    ("few-processes", |f| refuse(f, "user/clone", "EAGAIN")),
    ("few-pids", |f| f.groups.pids = Some(("/sys/fs/cgroup/u".into(), 4))),
    ("few-descriptors", |f| f.limits[1] = Some(20)),
    ("ptrace-scope", |f| file(f, "/proc/sys/kernel/yama/ptrace_scope", "2")),
    ("selinux", |f| file(f, "/sys/fs/selinux/enforce", "1")),
    ("clock-behind", |f| f.clock_behind_s = 86_400),
    ("no-cgroups", |f| f.groups.kind = "none".into()),
    ("cgroup-v1", |f| { f.groups.kind = "v1".into(); f.groups.writable = false; }),
    ("cgroup-v1", |f| { f.groups.kind = "hybrid".into(); f.groups.writable = false; }),
    ("cgroup-not-delegated", |f| f.groups.writable = false),
    ("no-session", |f| { f.groups.writable = false; f.env.clear(); }),
    ("no-home", |f| f.store.path.clear()),
    ("store-of-another", |f| f.store.owner = Some((0, 0o755))),
    ("store-open", |f| f.store.owner = Some((1000, 0o775))),
    ("store-read-only", |f| f.store.write = Some(Refusal { call: "openat()".into(), errno: "EROFS".into() })),
    ("store-not-writable", |f| f.store.write = Some(Refusal { call: "openat()".into(), errno: "EACCES".into() })),
    ("store-file-system", |f| f.store.file_system = "nfs".into()),
    ("store-file-system", |f| f.store.file_system = "ecryptfs".into()),
    ("store-file-system", |f| f.store.file_system = "9p".into()),
    ("disk-full", |f| f.store.free_mib = Some(3)),
    ("disk-full", |f| f.store.write = Some(Refusal { call: "write()".into(), errno: "EDQUOT".into() })),
    ("no-inodes", |f| f.store.free_inodes = Some(0)),
    ("no-tun", |f| refuse(f, "/dev/net/tun", "EACCES")),
    ("no-pasta", |f| f.there.retain(|path| path != "/usr/bin/pasta")),
    ("no-nftables", |f| f.nftables = Some(false)),
    ("no-forwarding", |f| { f.asker.rootful = true; refuse(f, "/proc/sys/net/ipv4/ip_forward", "EROFS"); }),
];

#[test]
fn each_condition_is_found_where_it_holds_and_has_its_words() {
    for (id, change) in CASES {
        let mut facts = healthy();
        change(&mut facts);
        let diagnosis = Diagnosis::of(facts);
        let found = diagnosis.found.iter().find(|found| found.condition.id == *id);
        let found = found.unwrap_or_else(|| panic!("{id} is not found, but {:?}", text(&diagnosis, false)));
        assert!(!found.title.is_empty() && !found.why.is_empty() && !found.stops.is_empty(), "{found:?}");
        assert!(!found.remedies.is_empty(), "{id}");
        for line in found.remedies.iter().flatten() {
            assert!(!line.is_empty() && !line.contains('{') || line.contains("runArgs"), "{id}: {line}");
        }
    }
    let all: Vec<&str> = conditions::all().map(|condition| condition.id).collect();
    let missing: Vec<_> = all.iter().filter(|id| !CASES.iter().any(|(case, _)| case == *id)).collect();
    assert!(missing.is_empty() && all.len() >= 22, "no case provokes {missing:?}");
    let sections = include_str!("conditions.txt").lines().filter(|line| line.starts_with('[')).count();
    assert_eq!(sections, all.len(), "each section has its row");
    assert!(all.iter().all(|id| words(id).contains("what: ")));
}

/// What is to be done elsewhere, or by hand.
const PROSE: [&str; 6] = ["in Docker: ", "in Windows: ", "on ", "put ", "start ", "boot with "];

#[test]
fn what_is_to_be_done_can_be_typed_as_it_is_printed() {
    let mut typed = 0;
    for (id, change) in CASES {
        let mut facts = healthy();
        change(&mut facts);
        let diagnosis = Diagnosis::of(facts);
        for line in diagnosis.found.iter().flat_map(|found| &found.remedies).map(|[todo, _]| todo) {
            if line.starts_with("install ") || PROSE.iter().any(|begin| line.starts_with(begin)) {
                continue;
            }
            let shell = std::process::Command::new("sh").args(["-n", "-c", line]).output().unwrap();
            assert!(shell.status.success() && shell.stderr.is_empty(), "{id}: {line}: {shell:?}");
            typed += 1;
        }
    }
    assert!(typed > 30, "{typed} lines were typed");
}

#[test]
fn tun_is_loaded_only_where_it_is_missing() {
    let remedy = |errno| {
        let mut facts = healthy();
        refuse(&mut facts, "/dev/net/tun", errno);
        Diagnosis::of(facts).found[0].remedies[0][0].clone()
    };
    assert_eq!(remedy("ENOENT"), "sudo modprobe tun && sudo chmod 0666 /dev/net/tun");
    assert_eq!(remedy("EACCES"), "sudo chmod 0666 /dev/net/tun");
}

#[test]
fn the_last_line_counts_the_conditions_above_it() {
    let end = |change: &dyn Fn(&mut Facts)| {
        let mut facts = healthy();
        change(&mut facts);
        let shown = text(&Diagnosis::of(facts), false);
        (
            shown.matches("[stops]").count(),
            shown.matches("[limits]").count(),
            shown.lines().last().unwrap().to_owned(),
        )
    };
    let told = |stops, limits, line: &str| (stops, limits, line.to_owned());
    assert_eq!(end(&|_| ()), told(0, 0, "Nothing stands in the way of a container."));
    let none = |f: &mut Facts| f.asker.subordinate = [0, 0];
    assert_eq!(end(&none), told(0, 2, "Containers run; 2 conditions limit what works."));
    let full = |f: &mut Facts| f.store.free_mib = Some(3);
    assert_eq!(end(&full), told(1, 0, "No container runs: 1 condition stops all of them."));
    let line = "No container runs: 1 condition stops all of them; 2 limit the rest.";
    let both = |f: &mut Facts| {
        none(f);
        full(f);
    };
    assert_eq!(end(&both), told(1, 2, line));
}

#[test]
fn a_refusal_that_no_condition_explains_is_shown() {
    let mut facts = healthy();
    refuse(&mut facts, "user/sysfs", "EBUSY");
    let shown = text(&Diagnosis::of(facts), false);
    assert!(
        shown.contains("for a reason that can't be seen from here:\n          user/sysfs() : EBUSY"),
        "{shown}"
    );
}

#[test]
fn without_proc_nobody_says_whether_uid_0_is_root() {
    let mut facts = healthy();
    facts.there.clear();
    facts.asker = Asker { name: "root".to_owned(), ..Asker::default() };
    let diagnosis = Diagnosis::of(facts.clone());
    assert!(text(&diagnosis, false).contains(", as uid 0\n"));
    assert!(class(&diagnosis).contains(" user=unknown "));
    assert_eq!(ids(facts), ["no-proc"]);
}

#[test]
fn a_report_has_eighty_columns_and_no_colour_without_a_terminal() {
    for (id, change) in CASES {
        let mut facts = healthy();
        change(&mut facts);
        let shown = text(&Diagnosis::of(facts.clone()), false);
        let wide: Vec<&str> = shown.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{id}: {wide:?}");
        assert!(!shown.contains('\x1b') && shown.contains(&format!("] {id}\n")), "{shown}");
        let bold = text(&Diagnosis::of(facts), true);
        assert_eq!(bold.replace("\x1b[1m", "").replace("\x1b[0m", ""), shown, "colour says nothing more");
    }
}

#[test]
fn what_stops_containers_comes_first_and_root_is_stopped_by_less() {
    let mut facts = healthy();
    facts.asker.subordinate = [0, 0];
    file(&mut facts, "/proc/sys/kernel/unprivileged_userns_clone", "0");
    let diagnosis = Diagnosis::of(facts.clone());
    assert_eq!(ids(facts.clone()), ["userns-off", "no-subuid", "no-subgid"]);
    assert!(diagnosis.is_stopped());
    assert_eq!(diagnosis.found[0].stops, "run, start; chapters 0 to 7");
    facts.asker.rootful = true;
    let diagnosis = Diagnosis::of(facts);
    assert_eq!(diagnosis.found[0].level, Level::Limits);
    assert_eq!(diagnosis.found[0].stops, "the demos of chapters 0, 1 and 2");
    assert!(!diagnosis.is_stopped());
}

#[test]
fn the_line_for_the_class_names_nobody() {
    let mut facts = healthy();
    facts.asker.subordinate = [0, 0];
    facts.unseen.push("/proc/self/mountinfo: no".to_owned());
    assert_eq!(
        class(&Diagnosis::of(facts)),
        "minidocker-doctor-1 linux=6.8.0-31-generic machine=x86_64 on=ubuntu-24.04 user=plain cgroups=v2 \
         stops=- limits=no-subuid,no-subgid unseen=1\n"
    );
}

#[test]
fn json_brings_the_facts_from_which_the_same_is_judged_elsewhere() {
    let mut facts = healthy();
    refuse(&mut facts, "user/private-mounts", "EACCES");
    let told: serde_json::Value = serde_json::from_str(&json(&Diagnosis::of(facts.clone()))).unwrap();
    assert_eq!(serde_json::from_value::<Facts>(told["facts"].clone()).unwrap(), facts);
    assert_eq!(told["stopped"], true);
    let apparmor =
        told["conditions"].as_array().unwrap().iter().find(|c| c["id"] == "apparmor-userns").unwrap();
    assert_eq!(apparmor["level"], "stops");
    assert_eq!(
        apparmor["remedies"][0]["undo"],
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=1"
    );
    assert_eq!(apparmor["remedies"][1]["do"], "/usr/local/bin/minidocker doctor --apparmor-profile");
}

#[test]
fn one_command_is_answered_for() {
    let mut facts = healthy();
    facts.groups.writable = false;
    let diagnosis = Diagnosis::of(facts);
    let (limit, works) = why(&diagnosis, "run -m 64m hostbox true");
    assert!(!works && limit.starts_with("run -m 64m hostbox true: does not work here\n"), "{limit}");
    assert!(limit.contains("[limits] cgroup-not-delegated\n"), "{limit}");
    assert!(limit.contains("  do:     systemd-run --user --scope -p Delegate=yes $SHELL\n"), "{limit}");
    assert!(why(&diagnosis, "run --ipc private --init hostbox").1);
    let bare = "run hostbox true: nothing on this machine stands in its way\n".to_owned();
    assert_eq!(why(&diagnosis, "run hostbox true"), (bare, true));
    let mut facts = healthy();
    file(&mut facts, "/proc/sys/kernel/unprivileged_userns_clone", "0");
    assert!(!why(&Diagnosis::of(facts.clone()), "start web").1);
    assert!(why(&Diagnosis::of(facts), "ps -a").1);
}

#[test]
fn new_subordinate_ids_are_nobody_else_s() {
    let first = |subuid: &str, subgid: &str| {
        let host = host(&[("etc/subuid", subuid), ("etc/subgid", subgid)]);
        let mut facts = healthy();
        facts.free_ids = looked(host.path()).free_ids;
        facts.asker.subordinate = [0, 65_536];
        Diagnosis::of(facts).found[0].remedies[0][0].clone()
    };
    assert_eq!(first("", ""), "sudo usermod --add-subuids 100000-165535 alice");
    let two = "bob:100000:65536\ncarol:165536:65536\nbroken\n";
    assert_eq!(first(two, "bob:100000:65536\n"), "sudo usermod --add-subuids 231072-296607 alice");
    assert_eq!(first("", two), "sudo usermod --add-subuids 231072-296607 alice");
}

/// A directory with these files, as the root of another host.
fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn looked(host: &Path) -> Facts {
    look::facts(host, false)
}

#[test]
fn other_hosts_are_recognised_by_their_files() {
    let wsl = host(&[
        ("proc/sys/kernel/osrelease", "5.15.153.1-microsoft-standard-WSL2\n"),
        ("etc/os-release", "NAME=Ubuntu\nID=ubuntu\nVERSION_ID=\"24.04\"\n"),
        ("proc/self/mountinfo", "1 0 0:2 / / rw - ext4 /dev/sdc rw\n2 1 0:3 / /proc rw - proc proc rw\n"),
    ]);
    let facts = looked(wsl.path());
    assert_eq!(facts.distribution, "ubuntu-24.04");
    assert_eq!((facts.root_is_mount, facts.proc_covered.len()), (Some(true), 0));
    assert!(ids(facts).contains(&"wsl2-without-systemd"));
    let lxc = host(&[
        ("run/systemd/container", "lxc\n"),
        (
            "proc/self/mountinfo",
            "1 0 0:2 / / rw - zfs a rw\n2 1 0:3 / /proc/meminfo rw - fuse.lxcfs lxcfs rw\n",
        ),
        ("proc/self/status", "Name:\tx\nSeccomp:\t2\n"),
    ]);
    let mut facts = looked(lxc.path());
    refuse(&mut facts, "user/proc", "EPERM");
    assert_eq!((facts.proc_covered.as_slice(), facts.seccomp), (&["/proc/meminfo".to_owned()][..], Some(2)));
    let found = ids(facts);
    assert!(found.contains(&"in-lxc") && found.contains(&"proc-masked"), "{found:?}");
    let usual = "1 0 0:2 / / rw - ext4 a rw\n2 1 0:3 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n";
    assert!(looked(host(&[("proc/self/mountinfo", usual)]).path()).proc_covered.is_empty());
    let in_chroot = host(&[("proc/self/mountinfo", "2 1 0:3 / /proc rw - proc proc rw\n")]);
    assert_eq!(looked(in_chroot.path()).root_is_mount, Some(false));
}

#[test]
fn modules_tell_whether_there_is_nftables() {
    let kernel = ("proc/sys/kernel/osrelease", "6.1.0-13-amd64");
    let dep = "lib/modules/6.1.0-13-amd64/modules.dep";
    let nftables = |files: &[(&str, &str)]| looked(host(files).path()).nftables;
    assert_eq!(
        nftables(&[kernel, (dep, "kernel/net/netfilter/nf_tables.ko: kernel/lib/libcrc32c.ko\n")]),
        Some(true)
    );
    assert_eq!(nftables(&[kernel, (dep, "kernel/net/ipv4/ip_tunnel.ko:\n")]), Some(false));
    assert_eq!(nftables(&[kernel, ("sys/module/nf_tables/refcnt", "1")]), Some(true));
    assert_eq!(nftables(&[kernel]), None);
}

#[test]
fn an_empty_root_is_told_and_not_judged() {
    let facts = looked(host(&[("etc/hostname", "x")]).path());
    assert!(
        facts.unseen.iter().any(|what| what.starts_with("openat(AT_FDCWD, \"/proc/self/mountinfo\"")),
        "{:?}",
        facts.unseen
    );
    let shown = text(&Diagnosis::of(facts), false);
    assert!(
        shown.contains("What could not be seen here:\n          openat(AT_FDCWD, \"/proc/self/mountinfo\", "),
        "{shown}"
    );
    assert!(shown.contains("[stops] no-proc\n"), "{shown}");
}

#[test]
fn kernels_are_compared_by_number() {
    for (release, old) in [
        ("5.4.0", true),
        ("5.10.0-rc7", true),
        ("5.11", false),
        ("6.1.0-13", false),
        ("4.18.0", true),
        ("?", false),
    ] {
        let facts = Facts { kernel: release.to_owned(), ..Facts::default() };
        assert_eq!(!facts.kernel_is(5, 11), old, "{release}");
    }
}

#[test]
fn a_call_that_no_condition_knows_is_not_looked_into() {
    assert_eq!(explain("chdir(\"/no/such/place\") : ENOENT (No such file or directory)"), None);
    assert_eq!(explain("no call at all"), None);
}

#[test]
fn long_words_are_broken_between_flags_only() {
    let mut out = String::new();
    report::wrapped(&mut out, "seen:", &format!("clone({}NULL) : EPERM", "CLONE_NEWUSER|".repeat(9)));
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    assert_eq!(out.matches("CLONE_NEWUSER|").count(), 9, "{out}");
}
