//! What the kernel refuses around namespaces, one case by its name: `gallery uid-map-twice`.
//!
//! Each case does all that comes before in the right way, so that the last call is the one that
//! fails. It prints that call's name and errno, or `ok`. Without a name it lists the cases.

use std::path::{Path, PathBuf};

use namespaces::idmap::{How, IdMap, Maps, Range, User, write_maps};
use namespaces::{Kind, SpawnError, clock};
use sys::{CloneArgs, CloneFlags as F, Cloned, ExitStatus, Gid, MsFlags, Pid, SysError, Uid};

type Case = fn() -> Result<(), SysError>;

const CASES: [(&str, Case); 20] = [
    ("gid-map-before-deny", || map_of_child(&[("gid_map", own_gid())])),
    ("uid-map-twice", || map_of_child(&[("uid_map", own_uid()), ("uid_map", own_uid())])),
    ("uid-map-of-two-ids", || map_of_child(&[("uid_map", format!("{}1 100000 1\n", own_uid()))])),
    ("uid-map-of-overlap", || map_of_child(&[("uid_map", format!("{0}{0}", own_uid()))])),
    ("setgroups-after-deny", || alone(F::empty(), || sys::setgroups(&[Gid::from_raw(0)]))),
    ("setuid-to-unmapped", || alone(F::empty(), || sys::setresuid(Uid::from_raw(7)))),
    ("allow-after-deny", || {
        alone(F::empty(), || sys::write_file(Path::new("/proc/self/setgroups"), "allow"))
    }),
    ("fork-after-pid-1", fork_after_pid_1),
    ("userns-with-threads", userns_with_threads),
    ("userns-in-chroot", || alone(F::CLONE_NEWNS, userns_in_chroot)),
    ("userns-of-unmapped", || (0..2).try_for_each(|_| sys::unshare(F::CLONE_NEWUSER))),
    ("userns-33-deep", || alone(F::empty(), userns_33_deep)),
    ("unshare-without-userns", || sys::unshare(Kind::Uts.flag())),
    ("sethostname-without-uts", || alone(F::empty(), || sys::sethostname("box"))),
    ("proc-without-pidns", || alone(F::CLONE_NEWNS, || mount("proc"))),
    ("sysfs-without-netns", || alone(F::CLONE_NEWNS, || mount("sysfs"))),
    ("proc-with-pidns", || alone(F::CLONE_NEWNS | F::CLONE_NEWPID, || mount("proc"))),
    ("setns-own-user", || setns_own(Kind::User)),
    ("loopback-without-netns", || alone(F::empty(), namespaces::loopback_up)),
    ("offsets-too-late", || alone(F::CLONE_NEWTIME, offsets_too_late)),
];

fn main() {
    match std::env::args().nth(1).as_deref() {
        None => CASES.iter().for_each(|(name, _)| println!("{name}")),
        Some("clock") => one_day_later(),
        Some("helpers") => not_our_ids(),
        Some("maps") => match Maps::for_this_process() {
            Ok(maps) => println!("{:?} {}", maps.how, maps.why_single.unwrap_or_default()),
            Err(e) => println!("{e}"),
        },
        Some("other-ids") => ids_of_somebody_else(),
        Some(wanted) => {
            let case = CASES.iter().find(|(name, _)| *name == wanted);
            println!("{}", case.map_or("no such case".to_owned(), |(_, case)| words(case())));
        }
    }
}

fn words(result: Result<(), SysError>) -> String {
    result.map_or_else(|e| format!("{} {:?}", e.call(), e.errno()), |()| "ok".to_owned())
}

fn own_uid() -> String {
    format!("0 {} 1\n", nix::unistd::geteuid())
}

fn own_gid() -> String {
    format!("0 {} 1\n", nix::unistd::getegid())
}

/// One id, as a user without subordinate ids has it.
fn one_id() -> Maps {
    Maps::single(&User::me(), "the gallery wants it so".to_owned())
}

/// Writes files of a child in a new user namespace, which sleeps meanwhile.
fn map_of_child(files: &[(&str, String)]) -> Result<(), SysError> {
    match sys::clone3(&CloneArgs { flags: F::CLONE_NEWUSER, cgroup: None })? {
        Cloned::Child => loop {
            nix::unistd::pause();
        },
        Cloned::Parent { pid, .. } => {
            let write = |(name, text): &(&str, String)| {
                sys::write_file(&PathBuf::from(format!("/proc/{pid}/{name}")), text)
            };
            let result = files.iter().try_for_each(write);
            sys::kill(pid, Some(sys::Signal::SIGKILL))?;
            sys::waitpid(pid)?;
            result
        }
    }
}

/// Runs `work` in a child in a new user namespace, and more, and waits for its end.
fn inside(more: F, maps: &Maps, work: impl FnOnce() -> i32) -> Result<ExitStatus, SpawnError> {
    match namespaces::clone(F::CLONE_NEWUSER | more, Some(maps), None)? {
        Cloned::Child => std::process::exit(work()),
        Cloned::Parent { pid, .. } => Ok(sys::waitpid(pid)?),
    }
}

/// Runs a case as root of a new user namespace with one id. It prints, and nobody does twice.
fn alone(more: F, case: impl FnOnce() -> Result<(), SysError>) -> Result<(), SysError> {
    let status = inside(more, &one_id(), || {
        println!("{}", words(case()));
        0
    });
    match status {
        Ok(_) => std::process::exit(0),
        Err(e) => {
            println!("{e}");
            std::process::exit(125)
        }
    }
}

fn fork_after_pid_1() -> Result<(), SysError> {
    sys::unshare(F::CLONE_NEWUSER | F::CLONE_NEWPID)?;
    for _ in 0..2 {
        match sys::clone3(&CloneArgs::default())? {
            Cloned::Child => sys::exit_now(0),
            Cloned::Parent { pid, .. } => sys::waitpid(pid)?,
        };
    }
    Ok(())
}

fn userns_with_threads() -> Result<(), SysError> {
    std::thread::scope(|scope| {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || held.recv());
        let result = sys::unshare(F::CLONE_NEWUSER);
        drop(hold);
        result
    })
}

fn userns_in_chroot() -> Result<(), SysError> {
    sys::chroot(Path::new("/proc"))?;
    sys::unshare(F::CLONE_NEWUSER)
}

fn userns_33_deep() -> Result<(), SysError> {
    for _ in 0..33 {
        sys::unshare(F::CLONE_NEWUSER)?;
        // An id without a place in the map may make no user namespace: EPERM.
        for file in ["uid_map", "gid_map"] {
            sys::write_file(&Path::new("/proc/self").join(file), "0 0 1\n")?;
        }
    }
    Ok(())
}

fn mount(fstype: &str) -> Result<(), SysError> {
    sys::mount(None, Path::new("/proc"), Some(fstype), MsFlags::empty(), None)
}

fn setns_own(kind: Kind) -> Result<(), SysError> {
    use std::os::fd::AsFd;
    match std::fs::File::open(kind.path(Pid::this())) {
        Ok(door) => sys::setns(door.as_fd(), kind.flag()),
        Err(e) => {
            println!("{e}");
            std::process::exit(1)
        }
    }
}

/// Born in the namespace: its offsets can't be changed any more.
fn offsets_too_late() -> Result<(), SysError> {
    let offsets = clock::Offsets { boottime_s: 1, ..clock::Offsets::default() };
    sys::write_file(Path::new("/proc/self/timens_offsets"), &offsets.text())
}

fn uptime_s() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(-1.0)
}

/// Says whether uptime(1) is a day ahead inside, and whether it still is what it was outside.
fn one_day_later() {
    const DAY_S: f64 = 86_400.0;
    let before = uptime_s();
    let day = clock::Offsets { monotonic_s: 86_400, boottime_s: 86_400 };
    let status = inside(F::empty(), &one_id(), || {
        if let Err(e) = clock::enter_new(day) {
            println!("{e}");
            return 1;
        }
        // /proc/uptime has hundredths: within one of them the sum of two may be the greater one.
        println!("inside {}", uptime_s() >= before + DAY_S - 1.0);
        0
    });
    println!("outside {} {status:?}", uptime_s() < before + DAY_S - 1.0);
}

/// newuidmap must refuse ids that /etc/subuid does not give us.
fn not_our_ids() {
    let map = IdMap(vec![Range { inside: 0, outside: 4_200_000_000, count: 10 }]);
    let maps = Maps { uid: map.clone(), gid: map, how: How::Helpers, why_single: None };
    match sys::clone3(&CloneArgs { flags: F::CLONE_NEWUSER, cgroup: None }) {
        Ok(Cloned::Child) => loop {
            nix::unistd::pause();
        },
        Ok(Cloned::Parent { pid, .. }) => {
            println!("{}", write_maps(pid, &maps).map_or_else(|e| e.to_string(), |()| "ok".to_owned()));
            let ended = sys::kill(pid, Some(sys::Signal::SIGKILL)).and_then(|()| sys::waitpid(pid));
            println!("{ended:?}");
        }
        Err(e) => println!("{e}"),
    }
}

/// Docker's `userns-remap`: 0 inside is neither root nor us. Needs root.
fn ids_of_somebody_else() {
    let map = IdMap(vec![Range { inside: 0, outside: 2_000_000_000, count: 100 }]);
    let maps = Maps { uid: map.clone(), gid: map, how: How::Direct, why_single: None };
    let status = inside(F::empty(), &maps, || {
        let caps = sys::capget().map_or(0, |c| c.effective.count_ones());
        let groups = nix::unistd::getgroups().map_or(99, |g| g.len());
        println!("{} {} {} {}", nix::unistd::getuid(), nix::unistd::getgid(), groups, caps > 30);
        0
    });
    println!("{status:?}");
}
