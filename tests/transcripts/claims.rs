//! The claims of the book, each with the probe that shows it.
//!
//! A page marks a sentence about the kernel by `<!-- claim: ID -->` behind it. The probe of that id is a
//! script for sh(1): in an empty directory it must print what stands here, as a plain user and as root.
//! xtask reads this file too, for the page that lists them.

/// Who can show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Root, and a plain user.
    Anybody,
    /// A plain user: root is not refused.
    Plain,
}

/// One claim's probe.
pub(crate) struct Probe {
    pub(crate) claim: &'static str,
    pub(crate) who: Who,
    pub(crate) script: &'static str,
    /// All that it prints; `[..]` is anything in a line.
    pub(crate) shows: &'static str,
}

const fn any(claim: &'static str, script: &'static str, shows: &'static str) -> Probe {
    Probe { claim, who: Who::Anybody, script, shows }
}

const fn plain(claim: &'static str, script: &'static str, shows: &'static str) -> Probe {
    Probe { claim, who: Who::Plain, script, shows }
}

/// All of them.
pub(crate) const PROBES: &[Probe] = &[
    // Chapter 0.
    any(
        "execve-interpreter",
        "printf '#!/no/such/shell\\n' >hello; chmod +x hello
cargo ch0 ./hello 2>&1 | head -n 1; ls hello",
        "ch00-syscalls: execve(\"./hello\", [\"./hello\"], [..]) : ENOENT (No such file or directory)\nhello",
    ),
    any("clone-copies", "x=before; (x=after); echo $x", "before"),
    any(
        "execve-same-process",
        "sh -c 'echo $$ >1; exec sh -c \"echo \\$\\$ >2\"'; cmp 1 2 && echo same",
        "same",
    ),
    any("execve-keeps-descriptors", "exec 9>f; sh -c 'echo passed on >&9'; cat f", "passed on"),
    any(
        "exit-status-waits",
        "mkfifo go; sh -c 'cat go >no & echo $! >pid; exec sleep 60' & parent=$!
until grep -q sleep /proc/$parent/comm; do :; done; echo >go
until grep -q '^State:.Z' \"/proc/$(cat pid)/status\"; do :; done
grep State \"/proc/$(cat pid)/status\"; kill $parent",
        "State:\tZ (zombie)",
    ),
    // Chapter 1.
    any(
        "execve-loader",
        "mkdir -p rootfs/bin; cp /bin/ls rootfs/bin
unshare -Ur chroot rootfs /bin/ls; ls rootfs/bin",
        "chroot: failed to run command [..]/bin/ls[..]: No such file or directory\nls",
    ),
    plain(
        "chroot-privilege",
        "chroot / true",
        "chroot: cannot change root directory to '/': Operation not permitted",
    ),
    any(
        "chroot-slash",
        "touch outside; cargo ch1 --chroot cat \"$PWD/outside\"",
        "cat: [..]outside: No such file or directory",
    ),
    any(
        "chroot-escape",
        "cargo ch1 --chroot \"$PWD/target/debug/examples/breakout\" ls /etc/passwd",
        "out of the root\n/etc/passwd",
    ),
    any(
        "pivot-no-escape",
        "cargo ch1 \"$PWD/target/debug/examples/breakout\" ls /etc/passwd",
        "still in the same root\nls: cannot access '/etc/passwd': No such file or directory",
    ),
    any(
        "pivot-table",
        "unshare -Urm sh -c 'grep -c \" / / \" /proc/self/mountinfo'
cargo ch1 grep -c ' / / .*tmpfs' /proc/self/mountinfo",
        "1\n1",
    ),
    any(
        "pivot-mount-point",
        "mkdir new; cd new; unshare -Urm pivot_root . .",
        "pivot_root: failed to change root from `.' to `.': Invalid argument",
    ),
    any(
        "proc-shows-host",
        "sleep 60 & echo $! >pid
cargo ch1 sh -c \"kill $(cat pid)\"; wait $! 2>/dev/null; echo $?",
        "143",
    ),
    // Chapter 2.
    any(
        "namespace-is-an-inode",
        "readlink /proc/self/ns/uts >1; sh -c 'readlink /proc/self/ns/uts' >2
unshare -Uru readlink /proc/self/ns/uts >3
cmp -s 1 2 && echo inherited; cmp -s 1 3 || echo new",
        "inherited\nnew",
    ),
    plain("namespace-privilege", "unshare --uts true", "unshare: unshare failed: Operation not permitted"),
    any("userns-root", "unshare -U --map-root-user id -u", "0"),
    any(
        "userns-power-ends",
        "unshare -Ur hostname other; hostname >1
unshare -Uru sh -c 'hostname inside; hostname'; hostname | cmp - 1 && echo unchanged",
        "hostname: [..]\ninside\nunchanged",
    ),
    any("userns-map-once", "target/debug/examples/gallery uid-map-twice", "write EPERM"),
    plain("userns-setgroups", "target/debug/examples/gallery gid-map-before-deny", "write EPERM"),
    any(
        "pid-two-numbers",
        "unshare -Urpf sleep 60 2>no & parent=$!
until read -r child _ </proc/$parent/task/$parent/children; [ -n \"$child\" ]; do :; done
set -- $(grep NSpid /proc/$child/status); echo \"$# words, the last one is $3\"; kill -KILL $child",
        "3 words, the last one is 1",
    ),
    any(
        "proc-of-its-mounter",
        "count='set -- /proc/[0-9]*; echo $#'
unshare -Urpf sh -c \"$count\" >1; unshare -Urpf --mount-proc sh -c \"$count\"
[ $(cat 1) -gt 1 ] && echo 'without a mount: more'",
        "1\nwithout a mount: more",
    ),
    any(
        "pid1-ends-all",
        "mkfifo held
unshare -Urpf sh -c 'exec 3>held; sleep 1000 & exit' & cat held; echo 'nobody holds it'",
        "nobody holds it",
    ),
    any(
        "net-lo-down",
        "unshare -Urn ip -br link",
        "lo               DOWN           00:00:00:00:00:00 <LOOPBACK> ",
    ),
    any(
        "mounts-stay-inside",
        "mkdir m; unshare -Urm sh -c 'mount -t tmpfs none m; touch m/x; ls m'; ls m; echo nothing here",
        "x\nnothing here",
    ),
];
