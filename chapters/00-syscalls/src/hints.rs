//! What an errno means, where the errno alone misleads: one table, by (call, errno).

use crate::Errno::{self, *};

/// Two lines below a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// Why the kernel refused.
    pub because: &'static str,
    /// What to do next.
    pub remedy: &'static str,
}

/// Looks a failed call up. `args` tells cases of one call apart, such as which file was written.
#[rustfmt::skip] // a row: the call, why it failed, and what to do
pub fn hint(call: &str, errno: Errno, args: &str) -> Option<Hint> {
    let path = args.trim_start_matches("AT_FDCWD, ");
    let (because, remedy) = match (call, errno) {
        ("clone3" | "clone" | "unshare", EPERM) if args.contains("NEWUSER") => ("this host forbids user namespaces to this user, a seccomp filter does (Docker's), we are inside a chroot, or have no id in our own user namespace (unshare -U)",
            "sysctl kernel.unprivileged_userns_clone kernel.apparmor_restrict_unprivileged_userns shows which switch it is, and so does minidocker doctor; inside Docker: --security-opt seccomp=unconfined"),
        ("clone3" | "clone" | "unshare", EPERM) => ("new namespaces need CAP_SYS_ADMIN, or a user namespace made in the same call; and no seccomp filter against them (Docker's)",
            "run it as the user that you are, without --userns host, or as root; inside Docker: --security-opt seccomp=unconfined"),
        ("clone3" | "clone" | "unshare", ENOSPC) => ("user.max_user_namespaces is reached, or namespaces are nested 32 deep", "sysctl user.max_user_namespaces"),
        ("clone3" | "clone" | "execve" | "setresuid", EAGAIN) => ("no more processes are allowed: RLIMIT_NPROC of this user or pids.max of a cgroup is reached",
            "ulimit -u shows the one, grep -rs --include=pids.max '[0-9]' /sys/fs/cgroup the other; end what you no longer need, or raise it"),
        ("clone3" | "clone" | "unshare", EINVAL) => ("the kernel was built without one of these namespaces, or this process has several threads", "ls /proc/self/ns shows those that it has"),
        ("pidfd_open" | "openat2" | "close_range" | "setsid", EPERM) => ("a seccomp filter around us forbids this call", "inside Docker or Podman: --security-opt seccomp=unconfined"),
        ("write", EPERM) if args.contains("uid_map") || args.contains("gid_map") => ("an id map may hold only ids that are ours: our own one, or subordinate ids through newuidmap", "grep \"^$USER:\" /etc/subuid /etc/subgid"),
        ("mount", EPERM) if args.contains("\"proc\"") || args.contains("\"sysfs\"") => ("in a user namespace, proc and sysfs may be mounted only where the host's are fully visible",
            "findmnt -R /proc; findmnt -R /sys: what hides a part of them must go (as root: umount); inside Docker: --security-opt systempaths=unconfined"),
        ("mount" | "umount2" | "pivot_root" | "move_mount", EPERM) => ("changes of mounts need CAP_SYS_ADMIN over the mount namespace and no seccomp filter against them (Docker's), and locked flags (ro, nosuid, nodev) can't be taken away",
            "findmnt -o TARGET,OPTIONS shows the flags of the source, and minidocker doctor what else it may be; inside Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined"),
        ("mount", EINVAL) if args.contains("\"overlay\"") => ("overlay refused its directories: upperdir and workdir on two file systems, one of them on overlay, or too old a kernel (rootless: 5.11)", "dmesg | tail names the reason; MINIDOCKER_ROOT moves the store to another file system"),
        ("mount" | "move_mount" | "open_tree", ENOSPC) => ("as many mounts as there may be in one mount namespace are there (fs.mount-max)", "sysctl fs.mount-max; wc -l /proc/self/mountinfo; umount what you no longer need"),
        ("mount", ENODEV) => ("the kernel has no such file system", "cat /proc/filesystems"),
        ("pivot_root", EINVAL) => ("the new root must be a mount, and neither it nor its parent may be shared (pivot_root(2))", "findmnt -o TARGET,PROPAGATION"),
        (_, ENOENT | ENOTDIR) if path.starts_with("\"/proc/self/") || path.starts_with("\"/proc/thread-self/") => ("no proc file system is mounted at /proc, or something lies over this process's part of it", "ls /proc shows what is there; as root: mount -t proc proc /proc"),
        ("openat", ENOENT) if path.starts_with("\"/dev/null\"") => ("/dev of this host has no null device", "as root: mknod -m 666 /dev/null c 1 3"),
        ("execve", ENOENT) => ("the program, or the interpreter that it names, is not in the root file system", "look for both inside the root file system: the program's name, and what its #! line or ELF header asks for"),
        ("execve", EACCES) => ("the file has no x bit, is no regular file, or lies on a mount with noexec", "ls -l inside the container; findmnt -o TARGET,OPTIONS"),
        ("execve", ENOEXEC) => ("the file is neither ELF for this machine nor a script that begins with #!", "file(1) tells what it is"),
        ("execve", EPERM) => ("the file has capabilities of its own (setcap) that a container doesn't get, or a seccomp filter around us forbids it", "getcap of the file on the host; setcap -r takes them off"),
        ("execve", ETXTBSY) => ("somebody has the file open for writing", "fuser -v of the file on the host shows who: wait until it is written"),
        ("mkdir", ENOSPC) if path.starts_with("\"/sys/fs/cgroup/") => ("the kernel takes no more cgroups (65535 in a v1 hierarchy)", "cat /proc/cgroups; rmdir those that are empty"),
        ("mkdir", EAGAIN) => ("cgroup.max.descendants is reached", "grep -rs --include=cgroup.max.descendants '[0-9]' /sys/fs/cgroup"),
        ("rmdir", EBUSY) => ("the cgroup still has processes or children", "cat its cgroup.procs"),
        ("setgroups", EPERM) => ("/proc/self/setgroups says deny: a user namespace with one id can't change its groups", "give this user subordinate ids in /etc/subuid and /etc/subgid"),
        ("setresuid" | "setresgid", EINVAL) => ("the id has no place in the container's id map", "cat /proc/self/uid_map; more ids need lines in /etc/subuid and /etc/subgid"),
        (_, EMFILE) => ("this process may open no more files: RLIMIT_NOFILE is reached, and it needs about 32", "ulimit -n 64; where ulimit -Hn forbids that, in a new login or by root"),
        (_, ENFILE) => ("the whole machine has as many files open as it may (fs.file-max)", "sysctl fs.file-nr fs.file-max"),
        (_, ENOMEM) => ("no memory is left for it: of the machine, of a cgroup (memory.max), or by a limit (ulimit -v, -d)", "free -m; ulimit -a"),
        (_, EFBIG) => ("a file may not grow as large as it has to: RLIMIT_FSIZE is reached", "ulimit -f unlimited; where ulimit -Hf forbids that, in a new login or by root"),
        (_, ENOSYS) => ("the kernel is older than this call (Linux 5.11 and newer have all that we need), or a seccomp filter around us hides it",
            "uname -r; inside Docker or Podman: --security-opt seccomp=unconfined"),
        (_, ENOSPC | EDQUOT) => ("the file system is full, has no inode left, or this user's quota is reached", "df -h; df -i; what shows 100% is full: minidocker rm frees what containers wrote, MINIDOCKER_ROOT moves the store"),
        (_, EROFS) => ("it lies on a file system that is mounted read-only", "findmnt -T and the path shows which; MINIDOCKER_ROOT moves the store"),
        _ => return None,
    };
    Some(Hint { because, remedy })
}
