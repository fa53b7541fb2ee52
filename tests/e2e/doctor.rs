//! `doctor` on machines that are broken in one way each, and `run` on the same machine.

use std::collections::BTreeSet;
use std::path::Path;

use kit::{Call, Minidocker, Output, Who};

macro_rules! root_plays {
    () => {
        kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has no doctor");
        kit::require!(
            kit::may_filter() && Who::all().len() > 1,
            "not-root",
            "only root mounts a world for others, and filters their calls"
        );
    };
}

/// How a condition is provoked, for the command of one user.
enum How {
    /// For real: a script of root's in a mount namespace, as in [`Call::in_world`].
    World(&'static str),
    /// For real: a script of the user's, which becomes `"$@"`.
    Through(&'static str),
    /// For real: a variable of the environment.
    Env(&'static str, &'static str),
    /// By a seccomp filter, and a world that plays what can't be here.
    Filter(&'static [&'static str], &'static str),
    /// It is so for this user.
    Natural,
}
use How::{Env, Filter, Natural, Through, World};

/// What `run` does then.
#[derive(PartialEq)]
enum Run {
    /// It fails, and its `do:` is one of doctor's.
    Fails,
    /// It fails without a system call that could be explained, or runs.
    Whatever,
}
use Run::{Fails, Whatever};

/// Files of /proc/sys/kernel that this kernel doesn't have: the directory is covered by a copy.
macro_rules! kernel_says {
    ($file:literal, $text:literal) => {
        concat!(
            "d=$(mktemp -d); mount -t tmpfs none $d; mkdir $d/yama; cat /proc/sys/kernel/osrelease >$d/osrelease; echo ",
            $text, " >$d/", $file, "; mount --move $d /proc/sys/kernel; rmdir $d"
        )
    };
}

const NO_CLONE: &[&str] = &["clone3=ENOSYS", "clone&0x7e020000=EPERM", "unshare&0x10000000=EPERM"];
const PURE_V2: &str = "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup\n";
/// A root directory that is no mount, with the host's directories in it.
const CHROOT: &str = "mkdir -p \"$ROOT/../ch\"; for d in bin dev etc home lib lib64 proc root run sbin sys tmp usr var; do \
    [ -d /$d ] || continue; mkdir -p \"$ROOT/../ch/$d\"; mount --rbind /$d \"$ROOT/../ch/$d\"; done\n\
    c=\"$ROOT/../ch\"; unset ROOT OWNER; exec chroot \"$c\" \"$@\"";

#[rustfmt::skip]
const CASES: &[(&str, Who, How, Run)] = &[
    ("no-subuid", Who::Single, Natural, Whatever),
    ("no-subgid", Who::Single, Natural, Whatever),
    ("no-newuidmap", Who::Plain, World("for p in newuidmap newgidmap; do mount --bind /dev/null /usr/bin/$p; done"), Whatever),
    ("newuidmap-not-setuid", Who::Plain, World("cp /usr/bin/newuidmap \"$ROOT/../helper\"; mount --bind \"$ROOT/../helper\" /usr/bin/newuidmap"), Whatever),
    ("newuidmap-nosuid", Who::Plain, World("mount --bind /usr/bin /usr/bin; mount -o remount,bind,nosuid /usr/bin"), Whatever),
    ("newuidmap-refuses", Who::Plain, World("cp /bin/false \"$ROOT/../helper\"; chmod 4755 \"$ROOT/../helper\"; mount --bind \"$ROOT/../helper\" /usr/bin/newuidmap"), Whatever),
    ("no-new-privs", Who::Plain, Through("exec setpriv --no-new-privs \"$@\""), Whatever),
    ("one-id-here", Who::Plain, Through("exec unshare -Ur \"$@\""), Whatever),
    ("namespaces-at-limit", Who::Single, Through("exec unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec \"$@\"' sh \"$@\""), Fails),
    ("namespaces-at-limit", Who::Single, Through("exec unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_uts_namespaces; exec \"$@\"' sh \"$@\""), Fails),
    ("in-chroot", Who::Plain, World(CHROOT), Whatever),
    ("in-chroot", Who::Single, World(CHROOT), Fails),
    ("proc-masked", Who::Plain, World("mount --bind /dev/null /proc/version"), Fails),
    ("proc-read-only", Who::Single, World("mount --bind /proc /proc; mount -o remount,bind,ro /proc"), Fails),
    ("no-proc", Who::Plain, World("umount -l /proc"), Whatever),
    ("proc-of-others", Who::Single, World("exec unshare -p -f \"$@\""), Fails),
    ("dev-unusable", Who::Plain, World("mount -o remount,bind,nodev /dev"), Fails),
    ("few-processes", Who::Plain, Through("exec prlimit --nproc=1 \"$@\""), Fails),
    ("few-descriptors", Who::Plain, Through("ulimit -S -n 9; exec \"$@\""), Fails),
    ("few-descriptors", Who::Me, Through("ulimit -S -n 9; exec \"$@\""), Fails),
    ("no-cgroups", Who::Plain, World("umount -R /sys/fs/cgroup"), Whatever),
    ("no-session", Who::Plain, World(PURE_V2), Whatever),
    ("no-forwarding", Who::Me, Through("exec unshare -n -m sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward; mount --bind /proc/sys/net /proc/sys/net; mount -o remount,bind,ro /proc/sys/net; exec \"$@\"' sh \"$@\""), Whatever),
    ("no-tun", Who::Plain, World("mount -t tmpfs none /dev/net"), Whatever),
    ("clock-behind", Who::Plain, Through("cp \"$1\" \"$TMPDIR/late\"; touch -d '2 days' \"$TMPDIR/late\"; shift; exec \"$TMPDIR/late\" \"$@\""), Whatever),
    ("store-read-only", Who::Plain, World("mount --bind \"$ROOT\" \"$ROOT\"; mount -o remount,bind,ro \"$ROOT\""), Fails),
    ("store-of-another", Who::Plain, Env("MINIDOCKER_ROOT", "/usr"), Whatever),
    ("store-open", Who::Plain, Through("chmod 777 \"$MINIDOCKER_ROOT\"; exec \"$@\""), Whatever),
    ("store-not-writable", Who::Plain, Env("MINIDOCKER_ROOT", "/usr/none-such"), Fails),
    ("store-file-system", Who::Plain, World("mkdir -p \"$ROOT/../o\"; mount -t tmpfs none \"$ROOT/../o\"; mkdir \"$ROOT/../o/u\" \"$ROOT/../o/w\"; chown \"$OWNER\" \"$ROOT/../o/u\"; mount -t overlay -o \"lowerdir=$ROOT,upperdir=$ROOT/../o/u,workdir=$ROOT/../o/w\" none \"$ROOT\""), Whatever),
    ("disk-full", Who::Plain, World("mount -t tmpfs -o size=1m,mode=700 none \"$ROOT\"; head -c 1M /dev/zero >\"$ROOT/fill\" || :; chown \"$OWNER:$OWNER\" \"$ROOT\""), Whatever),
    ("no-inodes", Who::Plain, World(STORE_WITHOUT_INODES), Fails),
    ("seccomp-clone", Who::Plain, Filter(NO_CLONE, ""), Fails),
    ("seccomp-unshare", Who::Plain, Filter(&["unshare=EPERM"], ""), Fails),
    ("seccomp-mount", Who::Plain, Filter(&["mount=EPERM"], ""), Fails),
    ("seccomp-mount", Who::Me, Filter(&["pivot_root=EPERM"], ""), Fails),
    ("no-mount-setattr", Who::Plain, Filter(&["mount_setattr=ENOSYS"], ""), Whatever),
    ("no-overlay", Who::Plain, Filter(&["fsopen=ENODEV"], ""), Whatever),
    ("apparmor-userns", Who::Plain, Filter(&["mount=EPERM"], kernel_says!("apparmor_restrict_unprivileged_userns", "1")), Fails),
    ("userns-off", Who::Plain, Filter(NO_CLONE, kernel_says!("unprivileged_userns_clone", "0")), Fails),
    ("ptrace-scope", Who::Me, Filter(&[], kernel_says!("yama/ptrace_scope", "3")), Whatever),
    ("in-podman", Who::Plain, Filter(&["mount=EPERM"], "mount -t tmpfs none /run; touch /run/.containerenv"), Fails),
    ("in-lxc", Who::Plain, Filter(&["mount=EPERM"], "mount -t tmpfs none /run; mkdir -p /run/systemd; echo lxc >/run/systemd/container"), Fails),
    ("cgroup-not-delegated", Who::Plain, Filter(&[], "umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; mount -t tmpfs none /run; mkdir -p /run/systemd/system"), Whatever),
];

const STORE_WITHOUT_INODES: &str =
    "mount -t tmpfs -o mode=700,nr_inodes=9 none \"$ROOT\"; chown \"$OWNER:$OWNER\" \"$ROOT\"";

fn provoked<'a>(md: &'a Minidocker, how: &How, words: &[&str]) -> Call<'a> {
    let call = md.call(words);
    match how {
        World(script) => call.in_world(script),
        Through(script) => call.through(script),
        Env(name, value) => call.env(name, value),
        Filter(rules, "") => call.without_calls(rules),
        Filter(rules, world) => call.in_world(world).without_calls(rules),
        Natural => call,
    }
}

/// The ids that the line for the class names, and whether it says that something stops.
fn of_class(out: &Output) -> (BTreeSet<String>, bool) {
    // Commands typed before may have printed something.
    let line = out.lines().pop().unwrap_or_default();
    assert!(line.starts_with("minidocker-doctor-1 linux="), "{out:?}");
    let field = |name: &str| {
        let values =
            line.split(' ').find_map(|f| f.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {line}"));
        values.split(',').filter(|id| *id != "-").map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let stops = field("stops=");
    let stopped = !stops.is_empty();
    (stops.into_iter().chain(field("limits=")).collect(), stopped)
}

#[test]
fn each_condition_is_found_when_it_is_provoked_and_not_before() {
    root_plays!();
    for (id, who, how, _) in CASES {
        let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        let before = of_class(&md.line("doctor --class")).0;
        let filled = entries(&md.root());
        let out = provoked(&md, how, &["doctor", "--class"]).run();
        let (found, stopped) = of_class(&out);
        assert!(found.contains(*id) && out.lines().len() == 1, "{id}: {out:?}");
        // Without udev's rules /dev/net/tun is closed to plain users from the start.
        assert!(matches!(how, Natural) || *id == "no-tun" || !before.contains(*id), "{id} was there before");
        assert_eq!(out.code, i32::from(stopped), "{id}: {out:?}");
        assert_eq!(out.err(), "", "{id}");
        assert_eq!(entries(&md.root()), filled, "{id}: something is left in the store");
        md.nothing_left();
    }
}

fn entries(dir: &Path) -> BTreeSet<std::path::PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_run_that_fails_for_such_a_reason_carries_doctor_s_line() {
    root_plays!();
    for (id, who, how, _) in CASES.iter().filter(|case| case.3 == Fails) {
        let md = kit::ours!(*who);
        let report = provoked(&md, how, &["doctor"]).run();
        let section = report.out();
        let section = section.split("\n\n").find(|part| part.contains(&format!("] {id}\n")));
        let section = section.unwrap_or_else(|| panic!("{id}: {report:?}")).replace(" \\\n            ", " ");
        let out = provoked(&md, how, &["run", "--rm", "hostbox", "true"]).run().complains(125, "");
        assert!(out.err().contains(TELLS), "{id}: run says nothing of doctor's: {out:?}");
        let remedy = out.err().lines().find_map(|line| line.strip_prefix("  do: ").map(str::to_owned));
        let remedy = remedy.unwrap_or_else(|| panic!("{id}: run says nothing of doctor's: {out:?}"));
        // Another condition of the same machine may explain the call better, such as in-docker.
        let all = report.out().replace(" \\\n            ", " ");
        assert!(all.contains(&format!("  do:     {remedy}\n")), "{id}: {out:?}, and doctor says {section}");
    }
}

/// Conditions whose commands are typed, by root in that world or by the user; and whether the undo is one.
const ENDED: &[(&str, bool)] = &[
    ("newuidmap-not-setuid", true),
    ("newuidmap-nosuid", true),
    ("namespaces-at-limit", true),
    ("proc-masked", false),
    ("proc-read-only", true),
    ("no-proc", true),
    ("dev-unusable", true),
    ("few-descriptors", false),
    ("no-cgroups", true),
    ("store-read-only", true),
    ("store-of-another", false),
    ("store-open", true),
    ("store-not-writable", false),
    ("store-file-system", true),
    ("disk-full", true),
    ("no-inodes", true),
    ("apparmor-userns", true),
    ("userns-off", true),
    ("ptrace-scope", false),
];

#[test]
fn what_doctor_tells_to_do_ends_the_condition_and_the_undo_brings_it_back() {
    root_plays!();
    for (id, who, how, _) in CASES {
        let Some((_, undoable)) = ENDED.iter().find(|(ended, _)| ended == id) else { continue };
        let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        let report = provoked(&md, how, &["doctor"]).run().out().replace(" \\\n            ", " ");
        let section = report.split("\n\n").find(|part| part.contains(&format!("] {id}\n"))).unwrap();
        let line = |tag: &str| {
            let found = section.lines().find_map(|line| line.strip_prefix(&format!("  {tag:8}"))).unwrap();
            found.replace("sudo ", "")
        };
        let (todo, undo) = (line("do:"), line("undo:"));
        let after = |lines: &[&str]| of_class(&typed(&md, how, lines).run()).0.contains(*id);
        assert!(!after(&[&todo]), "{id}: {todo} does not end it");
        assert!(!undoable || after(&[&todo, &undo]), "{id}: {undo} does not bring it back");
        md.nothing_left();
    }
}

/// `doctor --class` where this was provoked and these lines were typed then: the store's by the user, the
/// others by whoever provoked it.
fn typed<'a>(md: &'a Minidocker, how: &How, lines: &[&str]) -> Call<'a> {
    let call = md.call(["doctor", "--class"]);
    let typed = lines.join("; ");
    let then = format!("{typed}; exec \"$@\"");
    let of_user = typed.contains("export MINIDOCKER_ROOT");
    match how {
        World(script) if of_user => {
            let back = lines
                .get(1)
                .map_or(String::new(), |_| "MINIDOCKER_ROOT=$was; export MINIDOCKER_ROOT; ".to_owned());
            let script_of_user = format!("was=$MINIDOCKER_ROOT; {typed}; {back}exec \"$@\"");
            call.in_world(script).through(&script_of_user)
        }
        World(script) => call.in_world(&format!("{script}\n{typed}\n")),
        Through(script) => call.through(&script.replace("exec \"$@\"", &then)),
        Env(name, value) => call.env(name, value).through(&then),
        Filter(rules, world) => call.in_world(&format!("{world}\n{typed}\n")).without_calls(rules),
        Natural => call,
    }
}

const TELLS: &str = " (minidocker doctor tells more)\n  do: ";

#[test]
fn whatever_the_surroundings_are_doctor_answers() {
    root_plays!();
    let worlds = [
        "umount -l /proc",
        "mount -t tmpfs none /proc",
        "mount -t tmpfs none /sys; mount -t tmpfs none /proc/sys",
        "mount -t proc -o hidepid=2 proc /proc",
        "mount -t tmpfs none /etc; mount -t tmpfs none /dev; mount -t tmpfs none /tmp",
        CHROOT,
    ];
    for who in Who::all() {
        let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        for world in worlds {
            answers(&md.call(["doctor"]).in_world(world).run());
        }
        // With fewer the loader can't open our libraries.
        for most in 4..30 {
            answers(&md.call(["doctor"]).through(&format!("ulimit -n {most}; exec \"$@\"")).run());
        }
        for limit in ["ulimit -u 0", "ulimit -v 300000", "ulimit -f 0", "ulimit -s 256"] {
            answers(&md.call(["doctor"]).through(&format!("{limit} 2>/dev/null; exec \"$@\"")).run());
        }
        let without = ["HOME", "MINIDOCKER_ROOT", "XDG_RUNTIME_DIR", "PATH", "USER", "TERM"];
        let call = without.iter().fold(md.call(["doctor"]), |call, name| call.without_env(name));
        answers(&call.run());
        let read_only = "h=\"$ROOT/../home\"; mount --bind \"$h\" \"$h\"; mount -o remount,bind,ro \"$h\"";
        answers(&md.call(["doctor"]).without_env("MINIDOCKER_ROOT").in_world(read_only).run());
        answers(&md.call(["doctor"]).env("MINIDOCKER_ROOT", "/proc/self/none\n\u{1b}[31m").run());
        md.nothing_left();
    }
}

/// It ends by itself, with a report.
fn answers(out: &Output) {
    assert!([0, 1].contains(&out.code) && out.out().ends_with('.'), "{out:?}");
    assert_eq!(out.err(), "");
    assert!(!out.out().contains("os error") && !out.out().contains('\u{1b}'), "{out:?}");
}

#[test]
fn a_user_without_name_and_home_is_answered() {
    root_plays!();
    let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), Who::Me);
    let nobody =
        "exec setpriv --reuid=61234 --regid=61234 --clear-groups env -u HOME -u MINIDOCKER_ROOT \"$@\"";
    let (found, stopped) = of_class(&md.call(["doctor", "--class"]).through(nobody).run().code(1));
    assert!(stopped && found.contains("no-home") && found.contains("no-subuid"), "{found:?}");
}

#[test]
fn nothing_is_made_in_the_store_and_of_the_forms_one_is_taken() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has no doctor");
    for who in Who::all() {
        let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        let told: serde_json::Value = serde_json::from_slice(&md.line("doctor --json").stdout).unwrap();
        assert_eq!(told["version"], 1);
        let rootful = told["facts"]["asker"]["rootful"].as_bool().unwrap();
        assert!(!rootful || *who == Who::Me, "{told}");
        for two in ["doctor --json --class", "doctor --class --why ps", "doctor --apparmor-profile --json"] {
            let _ =
                md.line(two).complains(125, "doctor takes one of --apparmor-profile, --class, --json, --why");
        }
        let _ = md.line("doctor x").complains(1, "'minidocker doctor' accepts no arguments");
        assert!(md.line("--help").ok().out().contains("\n  doctor      Try what this machine can do"));
        assert_eq!(md.line("doctor").err(), "");
        assert_eq!(entries(&md.root()).len(), 1, "only what the harness made");
        md.nothing_left();
    }
}

#[test]
fn one_command_is_answered_for_and_colour_is_for_terminals_that_want_it() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has no doctor");
    let md = kit::ours!();
    let through =
        "exec unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec \"$@\"' sh \"$@\"";
    let why = |line: &str| md.call(["doctor", "--why", line]).through(through).run();
    let out = why("run hostbox true").code(1);
    assert!(out.out().starts_with("run hostbox true: does not work here\n\n[stops] "), "{out:?}");
    let out = why("run -m 64m hostbox true").code(1);
    assert!(out.out().starts_with("run --memory: not in minidocker yet\nrun -m 64m"), "{out:?}");
    why("docker pull alpine").code(1).stdout_has("pull: not in minidocker yet\n");
    why("ps -a").ok().stdout_has("nothing on this machine stands in its way");
    let on_terminal = |env: &str, value: &str| {
        let call = md.call(["doctor"]).through(through).env(env, value);
        call.on_terminal(40, 80).finish().out()
    };
    assert!(on_terminal("A", "1").contains("\u{1b}[1m[stops] namespaces-at-limit\u{1b}[0m"));
    assert!(!on_terminal("NO_COLOR", "1").contains('\u{1b}'));
    assert!(!on_terminal("TERM", "dumb").contains('\u{1b}'));
}

/// The real thing, where `MINIDOCKER_E2E_DOCKERD=1` lets a test start a daemon of its own.
#[test]
fn in_docker_its_filter_is_named_and_the_flags_that_doctor_tells_help() {
    root_plays!();
    if std::env::var_os("MINIDOCKER_E2E_DOCKERD").is_none() {
        return kit::skip(
            "no-docker-asked",
            &"MINIDOCKER_E2E_DOCKERD=1 runs doctor in a container of Docker's",
        );
    }
    let md = kit::ours!();
    let dockerd = kit::Dockerd::start().unwrap();
    dockerd.load(&md.root().join("images"), "hostbox").unwrap();
    let inside = |flags: &[&str]| {
        let mut docker = dockerd.command();
        docker.args(["run", "--rm", "--network", "none", "--volume"]);
        docker.arg(format!("{}:/minidocker:ro", md.program().display())).args(flags);
        docker.args(["--tmpfs", "/m:mode=700", "--env", "MINIDOCKER_ROOT=/m", "hostbox", "sh", "-c"]);
        docker.arg("/minidocker doctor; /minidocker run --rm hostbox echo from within");
        String::from_utf8(docker.output().unwrap().stdout).unwrap()
    };
    let report = inside(&[]);
    let section = report.split("\n\n").find(|part| part.starts_with("[stops] in-docker\n"));
    let section = section.unwrap_or_else(|| panic!("{report}")).replace(" \\\n            ", " ");
    let told = section.lines().find_map(|line| line.strip_prefix("  do:     docker run ")).unwrap();
    let report = inside(&told.split(' ').collect::<Vec<_>>());
    assert!(!report.contains("[stops]") && report.contains("ontainers run"), "{report}");
    assert!(report.ends_with("\nfrom within\n"), "{report}");
}

/// Debian 12's parser knows neither the rule `userns` nor the rules of AppArmor 4.0, which are newer; then
/// these two lines are put in its words, and the rest is checked as it is.
#[test]
fn apparmor_s_own_parser_takes_the_profile() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has no doctor");
    let parser = Path::new("/sbin/apparmor_parser");
    kit::require!(parser.exists(), "no-apparmor", "apparmor_parser is not installed");
    let md = kit::ours!();
    let profile = md.line("doctor --apparmor-profile").ok().out();
    let path = format!("profile minidocker \"{}\" flags=(unconfined) {{", md.program().display());
    assert!(profile.contains(&path) && profile.contains("\nabi <abi/4.0>,\n"), "{profile}");
    assert!(profile.contains("{\n  userns,\n}"), "{profile}");
    let is_new = Path::new("/etc/apparmor.d/abi/4.0").exists();
    let known = profile.replace("  userns,\n", "").replace("<abi/4.0>", "<abi/3.0>");
    let file = md.room().join("profile");
    let parse = |text: &str| {
        std::fs::write(&file, text).unwrap();
        std::process::Command::new(parser).args(["-Q", "-K"]).arg(&file).output().unwrap()
    };
    let out = parse(if is_new { &profile } else { &known });
    assert!(out.status.success(), "{out:?}");
    assert!(!parse(&known.replace("flags=", "flag")).status.success(), "it parses anything");
}
