//! The kernel: what it lacks, what a filter or a limit keeps from us.

use super::{Condition, Facts, Need, reads};

#[rustfmt::skip] // a row: what it stops, which failed calls it explains, by what it is recognised
pub(super) const ALL: &[Condition] = &[
    Condition { id: "seccomp-clone", needs: &[Need::Run], calls: "clone3:EPERM clone3:ENOSYS clone:EPERM clone:ENOSYS",
        holds: |f| filtered(f, &["clone"]).filter(|_| f.root_is_mount != Some(false)) },
    Condition { id: "seccomp-unshare", needs: &[Need::Run], calls: "unshare:EPERM unshare:ENOSYS",
        holds: |f| filtered(f, &["cgroup-namespace"]) },
    Condition { id: "seccomp-mount", needs: &[Need::Run], calls: "mount:EPERM mount:ENOSYS pivot_root:EPERM pivot_root:ENOSYS umount2:EPERM umount2:ENOSYS",
        holds: |f| filtered(f, &["private-mounts", "pivot-root"]) },
    Condition { id: "kernel-before-5.11", needs: &[Need::User], calls: "mount:EPERM mount:EINVAL",
        holds: |f| (!f.kernel_is(5, 11)).then(|| format!("uname -r says {}", f.kernel)) },
    Condition { id: "no-mount-setattr", needs: &[Need::Volumes], calls: "mount_setattr:ENOSYS",
        holds: |f| f.refused("mount_setattr").map(|r| r.call.clone()) },
    Condition { id: "no-overlay", needs: &[Need::Run], calls: "mount:ENODEV fsopen:ENODEV",
        holds: |f| f.refused_in_room(&["overlay"], &["ENODEV"]) },
    Condition { id: "few-processes", needs: &[Need::Run], calls: "clone3:EAGAIN clone:EAGAIN",
        holds: |f| {
            let limit = f.limits[0].filter(|_| !f.asker.rootful)?;
            let full = f.refused("user/clone").is_some_and(|r| r.errno == "EAGAIN") && !few_pids(f);
            (limit < 16 || full).then(|| format!("RLIMIT_NPROC is {limit}"))
        } },
    Condition { id: "few-pids", needs: &[Need::Run], calls: "clone3:EAGAIN clone:EAGAIN",
        holds: |f| few_pids(f).then(|| format!("pids.max is {}", f.groups.pids.as_ref().map_or(0, |(_, most)| *most))) },
    Condition { id: "few-descriptors", needs: &[Need::Run], calls: "openat:EMFILE openat2:EMFILE pipe2:EMFILE socketpair:EMFILE pidfd_open:EMFILE clone3:EMFILE socket:EMFILE dup:EMFILE",
        holds: |f| f.limits[1].filter(|limit| *limit < 48).map(|limit| format!("RLIMIT_NOFILE is {limit}")) },
    Condition { id: "ptrace-scope", needs: &[Need::Trace], calls: "ptrace:EPERM",
        holds: |f| reads(f, "/proc/sys/kernel/yama/ptrace_scope", |n| n > 2 || n == 2 && !f.asker.rootful) },
    Condition { id: "selinux", needs: &[Need::Volumes], calls: "",
        holds: |f| reads(f, "/sys/fs/selinux/enforce", |n| n == 1) },
    Condition { id: "clock-behind", needs: &[Need::Pull], calls: "",
        holds: |f| { let behind = f.clock_behind_s; (behind > 60).then(|| format!("this program was made {behind} s from now")) } },
];

/// The refusal of a filter, where no other condition names a switch that is the reason.
fn filtered(f: &Facts, tries: &[&str]) -> Option<String> {
    let number = |name: &str| f.number(&format!("/proc/sys/kernel/{name}")).filter(|_| !f.asker.rootful);
    let switch = number("apparmor_restrict_unprivileged_userns") == Some(1);
    let switch = switch || number("unprivileged_userns_clone") == Some(0);
    f.refused_in_room(tries, &["EPERM", "ENOSYS"]).filter(|_| f.seccomp == Some(2) && !switch)
}

fn few_pids(f: &Facts) -> bool {
    f.groups.pids.as_ref().is_some_and(|(_, most)| *most < 16)
}
