//! What is around us: a container of others, WSL, a /proc that was cut down.

use super::{Condition, Facts, Need};

/// What a container of others refuses.
const REFUSED: &str = "clone3:EPERM clone3:ENOSYS clone:EPERM clone:ENOSYS unshare:EPERM unshare:ENOSYS mount:EPERM mount:EACCES mount:ENOSYS pivot_root:EPERM pivot_root:ENOSYS umount2:EPERM write:EPERM";

#[rustfmt::skip] // a row: what it stops, which failed calls it explains, by what it is recognised
pub(super) const ALL: &[Condition] = &[
    Condition { id: "no-proc", needs: &[Need::Run], calls: "openat:ENOENT openat:ENOTDIR read:ENOENT read:ENOTDIR readlink:ENOENT write:ENOENT link:ENOENT",
        holds: |f| (!f.is_there("/proc/self")).then(|| "/proc/self is missing".to_owned()) },
    Condition { id: "proc-of-others", needs: &[Need::User], calls: "openat:EACCES openat:EPERM openat:ENOENT write:EACCES write:EPERM",
        holds: |f| f.proc_of_others.clone() },
    Condition { id: "in-docker", needs: &[Need::Run], calls: REFUSED,
        holds: |f| { confined(f, f.is_there("/.dockerenv") && !f.env.contains_key("CODESPACES"), "/.dockerenv is there") } },
    Condition { id: "in-codespaces", needs: &[Need::Run], calls: REFUSED,
        holds: |f| confined(f, f.env.contains_key("CODESPACES"), "CODESPACES is set") },
    Condition { id: "in-podman", needs: &[Need::Run], calls: REFUSED,
        holds: |f| confined(f, f.is_there("/run/.containerenv"), "/run/.containerenv is there") },
    Condition { id: "in-lxc", needs: &[Need::Run], calls: REFUSED,
        holds: |f| {
            let named = |text: Option<&str>| text.is_some_and(|t| t.starts_with("lxc"));
            let lxc = named(f.file("/run/systemd/container")) || named(f.env.get("container").map(String::as_str));
            confined(f, lxc || f.is_there("/dev/.lxc"), "its marks are there")
        } },
    Condition { id: "wsl1", needs: &[Need::Run], calls: "clone3:EINVAL clone3:ENOSYS clone:EINVAL unshare:EINVAL mount:ENODEV",
        holds: |f| (f.kernel.contains("-Microsoft")).then(|| format!("uname -r says {}", f.kernel)) },
    Condition { id: "wsl2-without-systemd", needs: &[Need::Limits], calls: "",
        holds: |f| {
            let wsl = f.kernel.contains("microsoft") && !f.is_there("/run/systemd/system");
            (wsl && !f.groups.writable).then(|| format!("uname -r says {}, and /run/systemd/system is missing", f.kernel))
        } },
    Condition { id: "proc-masked", needs: &[Need::User], calls: "mount:EPERM",
        holds: |f| {
            let refused = f.refused("user/proc").is_some_and(|r| r.errno == "EPERM");
            (refused && !f.proc_covered.is_empty()).then(|| format!("mounted over: {}", f.proc_covered.join(" ")))
        } },
    Condition { id: "proc-read-only", needs: &[Need::User], calls: "write:EROFS openat:EROFS",
        holds: |f| f.refused("user/id-maps").filter(|r| r.errno == "EROFS").map(|r| r.call.clone()) },
    Condition { id: "dev-unusable", needs: &[Need::Run], calls: "openat:EACCES openat:ENOENT",
        holds: |f| f.refused("/dev/null").map(|r| r.call.clone()) },
];

/// A container of others is a condition only where it stops us: a privileged one does not. All of these have
/// a filter, and the marks alone are also in machines that were made from an image.
fn confined(f: &Facts, inside: bool, mark: &str) -> Option<String> {
    let essential = "clone id-maps root cgroup-namespace private-mounts tmpfs proc sysfs pivot-root overlay";
    let tries: Vec<&str> = essential.split(' ').collect();
    let refused = f.refused_in_room(&tries, &["EPERM", "EACCES", "ENOSYS"])?;
    (inside && f.seccomp == Some(2)).then(|| format!("{mark}; {refused}"))
}
