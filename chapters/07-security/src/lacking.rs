//! Which capability a refused call would have needed: root may have lost some of its own.

use caps::Capability;
use sys::{Errno, SysError};

/// What is to be told of a failed call: why, and what to do. Where this process is root and lacks what
/// the call needs, that is the reason; else it is the hint of `sys`, if there is one.
///
/// Root of a user namespace has them all there. What it can't do has other reasons.
#[must_use]
pub fn advice(failed: &SysError) -> Option<(String, String)> {
    let root = nix::unistd::geteuid().is_root();
    let Some(lacking) = wanted(failed.call(), failed.errno(), failed.args()).filter(|c| root && !has(*c))
    else {
        return failed.hint().map(|hint| (hint.because.to_owned(), hint.remedy.to_owned()));
    };
    let (name, short) = (lacking.to_string(), lacking.to_string().replace("CAP_", ""));
    let because = format!("this process is root without {name}, which this call needs (capabilities(7))");
    let remedy = format!(
        "leave {name} to root: grep CapEff /proc/self/status shows what it has; inside Docker: --cap-add {short}"
    );
    Some((because, remedy))
}

/// Why no id map can be written by way of /proc, and what to do. A helper's words would not tell it:
/// newuidmap(1) says what open(2) said to it, or that the process is another user's. `None`: it is as usual.
#[must_use]
pub fn unfit_proc() -> Option<(String, String)> {
    let flags = rustix::fs::statvfs("/proc").map_or(rustix::fs::StatVfsMountFlags::empty(), |fs| fs.f_flag);
    if flags.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        let because = "/proc is mounted read-only, and id maps are written there";
        return Some((because.to_owned(), "sudo mount -o remount,bind,rw /proc".to_owned()));
    }
    let shown = std::fs::read_link("/proc/self").ok()?.to_str()?.parse::<u32>().ok()?;
    let ours = std::process::id();
    let because = format!(
        "/proc shows the processes of another pid namespace: /proc/self leads to {shown}, and this process is {ours}"
    );
    (shown != ours).then(|| (because, "sudo unshare -p -f --mount-proc".to_owned()))
}

/// What can't be read is taken for there: then the hint says what is likely.
fn has(one: Capability) -> bool {
    sys::capget().map_or(true, |sets| sets.effective & 1 << one.index() != 0)
}

/// The capability that the kernel asked for, as the manual page of the call says.
fn wanted(call: &str, errno: Errno, args: &str) -> Option<Capability> {
    Some(match (call, errno) {
        ("setgroups" | "setresgid", Errno::EPERM) => Capability::CAP_SETGID,
        ("setresuid", Errno::EPERM) => Capability::CAP_SETUID,
        ("prctl", Errno::EPERM) if args.starts_with("PR_CAPBSET_DROP") => Capability::CAP_SETPCAP,
        ("ioctl", Errno::EPERM) if args.contains("SIOCSIFFLAGS") => Capability::CAP_NET_ADMIN,
        ("chroot", Errno::EPERM) => Capability::CAP_SYS_CHROOT,
        ("mknodat", Errno::EPERM) => Capability::CAP_MKNOD,
        ("fchownat" | "chown", Errno::EPERM) => Capability::CAP_CHOWN,
        ("setrlimit", Errno::EPERM) => Capability::CAP_SYS_RESOURCE,
        ("mount" | "umount2" | "pivot_root" | "sethostname" | "unshare" | "setns", Errno::EPERM) => {
            Capability::CAP_SYS_ADMIN
        }
        // Overlay's own directory below workdir has mode 0, so its mount asks for it too.
        (
            "mount" | "openat" | "openat2" | "mkdir" | "mkdirat" | "read" | "write" | "rename" | "symlink",
            Errno::EACCES,
        ) => Capability::CAP_DAC_OVERRIDE,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_of_this_machine_is_as_usual() {
        assert_eq!(unfit_proc(), None);
    }

    #[test]
    fn each_call_asks_for_one_capability() {
        for (call, errno, args, name) in [
            ("setgroups", Errno::EPERM, "1, [0]", "CAP_SETGID"),
            ("setresgid", Errno::EPERM, "0, 0, 0", "CAP_SETGID"),
            ("setresuid", Errno::EPERM, "0, 0, 0", "CAP_SETUID"),
            ("prctl", Errno::EPERM, "PR_CAPBSET_DROP, 2, 0", "CAP_SETPCAP"),
            ("ioctl", Errno::EPERM, "3, SIOCSIFFLAGS, {ifr_name=\"lo\"}", "CAP_NET_ADMIN"),
            ("mount", Errno::EPERM, "\"tmpfs\"", "CAP_SYS_ADMIN"),
            ("mount", Errno::EACCES, "\"overlay\"", "CAP_DAC_OVERRIDE"),
        ] {
            assert_eq!(wanted(call, errno, args).map(|c| c.to_string()).as_deref(), Some(name), "{call}");
        }
        assert_eq!(wanted("prctl", Errno::EPERM, "PR_SET_KEEPCAPS, 1, 0"), None);
        assert_eq!(wanted("execve", Errno::EACCES, ""), None, "there it is the x bit");
        assert_eq!(wanted("setresuid", Errno::EINVAL, ""), None, "there it is the id map");
    }

    #[test]
    fn who_has_the_capability_or_is_no_root_gets_the_hint() {
        let failed = SysError::new("setgroups", "1, [0]".to_owned(), Errno::EPERM);
        let (because, _) = advice(&failed).unwrap();
        let lacks = nix::unistd::geteuid().is_root() && !has(Capability::CAP_SETGID);
        assert_eq!(because.contains("root without CAP_SETGID"), lacks, "{because}");
        assert!(lacks || failed.hint().is_some_and(|hint| hint.because == because));
        assert_eq!(advice(&SysError::new("chdir", String::new(), Errno::ENOENT)), None);
    }
}
