//! What strace saw, counted by kind.

use std::collections::BTreeMap;

/// Kinds of calls, each with the names that belong to it. What no kind names is `other`.
const KINDS: &[(&str, &str)] = &[
    ("processes", "clone clone3 fork vfork"),
    ("execs", "execve execveat"),
    ("opens", "open openat openat2 creat"),
    ("closes", "close close_range"),
    ("reads", "read pread64 readv getrandom"),
    ("writes", "write pwrite64 writev"),
    (
        "looks",
        "stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat \
               getdents64 getcwd lgetxattr getxattr fgetxattr lseek",
    ),
    (
        "changes",
        "mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 symlink symlinkat link linkat mknod \
                 mknodat chmod fchmod fchmodat chown fchown lchown fchownat utimensat truncate ftruncate",
    ),
    ("syncs", "fsync fdatasync sync syncfs msync sync_file_range"),
    ("mounts", "mount umount2 pivot_root chroot fsopen fsconfig fsmount open_tree move_mount mount_setattr"),
    (
        "waits",
        "poll ppoll select pselect6 epoll_wait epoll_pwait futex wait4 waitid recvfrom recvmsg nanosleep \
               clock_nanosleep restart_syscall",
    ),
    ("signals", "rt_sigaction rt_sigprocmask sigaltstack kill tgkill pidfd_send_signal signalfd4"),
    (
        "descriptors",
        "fcntl dup dup2 dup3 pipe2 socket socketpair bind listen accept4 connect sendto sendmsg ioctl \
                     pidfd_open",
    ),
    (
        "credentials",
        "umask setsid prctl capget capset getuid geteuid getgid getegid setuid setgid setresuid \
                     setresgid setgroups getpid gettid prlimit64",
    ),
    ("memory", "brk mmap munmap mprotect madvise mremap"),
];

/// Calls by kind.
pub(crate) type Counts = BTreeMap<String, u64>;

/// What one process has said of itself.
#[derive(Default)]
struct Process {
    /// Our `main` has begun: before that, the dynamic loader works, which is the host's.
    in_main: bool,
    /// It has become the payload, which is the host's too.
    is_payload: bool,
}

/// Counts the calls of our own processes in the output of `strace -f -o`.
///
/// `room` is the throw-away directory: files elsewhere, /proc, /sys and /dev apart, are the host's. How
/// many of those hostbox is made of depends on the machine, so they have a kind of their own.
pub(crate) fn count(trace: &str, room: &str) -> Counts {
    let mut counts: Counts =
        KINDS.iter().map(|(kind, _)| (*kind, 0)).chain([("other", 0)]).map(named).collect();
    let mut processes: BTreeMap<&str, Process> = BTreeMap::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Some((call, args)) = rest.trim_start().split_once('(') else { continue };
        // `<... read resumed>`, `+++ exited`, `--- SIGCHLD`: no new call.
        if !call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        // A process of a clone works in `main` from its first call on.
        let known = !processes.is_empty();
        let process = processes.entry(pid).or_insert(Process { in_main: known, is_payload: false });
        // In a debug build the standard library asks before each close whether the descriptor is open.
        if process.is_payload || (call == "fcntl" && args.contains("F_GETFD")) {
            continue;
        }
        if call == "execve" {
            let ours = !known || args.starts_with("\"/proc/self/exe\"");
            *process = Process { in_main: false, is_payload: !ours };
            add(&mut counts, "execs");
            continue;
        }
        // The first thing that `main` does.
        process.in_main |= call == "umask";
        match process.in_main {
            true => add(&mut counts, kind(call, args, room)),
            false => add(&mut counts, "loader"),
        }
    }
    let all = |counts: &Counts| {
        counts.iter().filter(|(k, _)| !["loader", "host"].contains(&k.as_str())).map(|(_, n)| n).sum()
    };
    counts.insert("all".to_owned(), all(&counts));
    counts
}

fn named((kind, count): (&str, u64)) -> (String, u64) {
    (kind.to_owned(), count)
}

fn add(counts: &mut Counts, kind: &str) {
    *counts.entry(kind.to_owned()).or_default() += 1;
}

fn kind(call: &str, args: &str, room: &str) -> &'static str {
    let kind = KINDS.iter().find(|(_, names)| names.split_whitespace().any(|name| name == call));
    let kind = kind.map_or("other", |(kind, _)| *kind);
    let path = args.split('"').nth(1).filter(|path| path.starts_with('/')).unwrap_or(room);
    let ours = [room, "/proc", "/sys", "/dev"].iter().any(|start| path.starts_with(start));
    if kind == "looks" && !ours { "host" } else { kind }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn calls_are_counted_once_and_those_of_loader_host_and_payload_apart() {
        let trace = "\
7 execve(\"/room/minidocker\", [\"minidocker\"], 0x7 /* 9 vars */) = 0
7 openat(AT_FDCWD, \"/etc/ld.so.cache\", O_RDONLY) = 3
7 umask(022)                        = 022
7 statx(AT_FDCWD, \"/usr/bin/dash\", 0) = 0
7 statx(3, \"\", AT_EMPTY_PATH) = 0
7 clone3({flags=CLONE_PIDFD}, 88 <unfinished ...>
8 close_range(3, 7, 0)              = 0
8 fcntl(3, F_GETFD)                 = 0
8 read(3,  <unfinished ...>
7 <... clone3 resumed>)             = 8
8 <... read resumed>\"x\", 1)          = 1
8 execve(\"/usr/bin/true\", [\"true\"], 0x7) = 0
8 openat(AT_FDCWD, \"/etc/ld.so.cache\", O_RDONLY) = 3
8 +++ exited with 0 +++
7 --- SIGCHLD {si_signo=SIGCHLD} ---
7 exit_group(0)                     = ?
7 +++ exited with 0 +++
";
        let counts = count(trace, "/room");
        let some: Vec<(&str, u64)> =
            counts.iter().filter(|(_, n)| **n > 0).map(|(kind, n)| (kind.as_str(), *n)).collect();
        let expected = [
            ("all", 8),
            ("closes", 1),
            ("credentials", 1),
            ("execs", 2),
            ("host", 1),
            ("loader", 1),
            ("looks", 1),
            ("other", 1),
            ("processes", 1),
            ("reads", 1),
        ];
        assert_eq!(some, expected);
    }
}
