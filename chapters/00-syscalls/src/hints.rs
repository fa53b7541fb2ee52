//! What an errno means, where the errno alone misleads: one table, by (call, errno).

use crate::Errno;

/// Two lines below a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// Why the kernel refused.
    pub because: &'static str,
    /// What to do next.
    pub remedy: &'static str,
}

/// The calls, the errno, what the arguments hold (one of these; none named: anything), why, what to do.
type Row = (&'static [&'static str], Errno, &'static [&'static str], &'static str, &'static str);

/// The first row that fits counts.
const ROWS: &[Row] = &[
    (
        &["clone3", "clone", "unshare"],
        Errno::EPERM,
        &["NEWUSER"],
        "this host forbids user namespaces to this user, or we are inside a chroot",
        "sysctl kernel.unprivileged_userns_clone kernel.apparmor_restrict_unprivileged_userns shows which switch it is",
    ),
    (
        &["clone3", "clone", "unshare"],
        Errno::EPERM,
        &[],
        "new namespaces need CAP_SYS_ADMIN, or a user namespace made in the same call",
        "run it as the user that you are, without --userns host, or as root",
    ),
    (
        &["clone3", "clone", "unshare"],
        Errno::ENOSPC,
        &[],
        "user.max_user_namespaces is reached, or namespaces are nested 32 deep",
        "sysctl user.max_user_namespaces",
    ),
    (
        &["clone3", "clone"],
        Errno::EAGAIN,
        &[],
        "pids.max of a cgroup or RLIMIT_NPROC of this user is reached",
        "ulimit -u; cat /sys/fs/cgroup/pids.max",
    ),
    (
        &["write"],
        Errno::EPERM,
        &["uid_map", "gid_map"],
        "an id map may hold only ids that are ours: our own one, or subordinate ids through newuidmap",
        "grep \"^$USER:\" /etc/subuid /etc/subgid",
    ),
    (
        &["mount"],
        Errno::EPERM,
        &["\"proc\"", "\"sysfs\""],
        "in a user namespace, proc and sysfs may be mounted only where the host's are fully visible",
        "findmnt -R /proc shows what is mounted over it; inside Docker: --security-opt systempaths=unconfined",
    ),
    (
        &["mount"],
        Errno::EPERM,
        &[],
        "mounts need CAP_SYS_ADMIN over the mount namespace, and locked flags (ro, nosuid, nodev) can't be taken away",
        "findmnt -o TARGET,OPTIONS shows the flags of the source",
    ),
    (
        &["mount"],
        Errno::EINVAL,
        &["\"overlay\""],
        "overlay refused its directories: upperdir and workdir on two file systems, one of them on overlay, or too old a kernel (rootless: 5.11)",
        "dmesg | tail names the reason; MINIDOCKER_ROOT moves the store to another file system",
    ),
    (&["mount"], Errno::ENODEV, &[], "the kernel has no such file system", "cat /proc/filesystems"),
    (
        &["pivot_root"],
        Errno::EINVAL,
        &[],
        "the new root must be a mount, and neither it nor its parent may be shared (pivot_root(2))",
        "findmnt -o TARGET,PROPAGATION",
    ),
    (
        &["execve"],
        Errno::ENOENT,
        &[],
        "the program, or the interpreter that it names, is not in the root file system",
        "look for both inside the root file system: the program's name, and what its #! line or ELF header asks for",
    ),
    (
        &["execve"],
        Errno::EACCES,
        &[],
        "the file has no x bit, is a directory, or lies on a mount with noexec",
        "ls -l inside the container; findmnt -o TARGET,OPTIONS",
    ),
    (
        &["execve"],
        Errno::ENOEXEC,
        &[],
        "the file is neither ELF for this machine nor a script that begins with #!",
        "file(1) tells what it is",
    ),
    (
        &["mkdir"],
        Errno::EAGAIN,
        &[],
        "cgroup.max.descendants is reached",
        "cat /sys/fs/cgroup/cgroup.max.descendants",
    ),
    (&["rmdir"], Errno::EBUSY, &[], "the cgroup still has processes or children", "cat its cgroup.procs"),
    (
        &["setgroups"],
        Errno::EPERM,
        &[],
        "/proc/self/setgroups says deny: a user namespace with one id can't change its groups",
        "give this user subordinate ids in /etc/subuid and /etc/subgid",
    ),
    (
        &["setresuid", "setresgid", "fchownat"],
        Errno::EINVAL,
        &[],
        "the id has no place in the container's id map",
        "cat /proc/self/uid_map; more ids need lines in /etc/subuid and /etc/subgid",
    ),
];

/// Looks a failed call up. `args` tells cases of one call apart, such as which file was written.
#[must_use]
pub fn hint(call: &str, errno: Errno, args: &str) -> Option<Hint> {
    let fits = |row: &&Row| {
        row.0.contains(&call)
            && row.1 == errno
            && (row.2.is_empty() || row.2.iter().any(|p| args.contains(p)))
    };
    ROWS.iter().find(fits).map(|row| Hint { because: row.3, remedy: row.4 })
}
