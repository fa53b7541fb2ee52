//! Masked and read-only paths, seen by a program.

use std::path::Path;

use security::{MASKED_PATHS, READONLY_PATHS, masked_paths};

use crate::run::{As, run};

/// Arguments of the example, and a shell that goes on after an error.
fn sh<'a>(words: &[&'a str], script: &'a str) -> Vec<&'a str> {
    words.iter().copied().chain(["--", "sh", "-c", script]).collect()
}

#[test]
fn a_masked_file_is_empty_and_so_is_a_masked_directory() {
    for who in As::roots() {
        let words = [
            "mask",
            "/proc/meminfo",
            "mask",
            "/sys/kernel",
            "mask",
            "/proc/nosuch",
            "mask",
            "/proc/meminfo/x",
        ];
        let script = "wc -c < /proc/meminfo; ls -A /sys/kernel | wc -l; echo x > /sys/kernel/y";
        let out = run(*who, &sh(&words, script));
        let lines: Vec<&str> = out.lines().collect();
        let told = [
            "masked /proc/meminfo true",
            "masked /sys/kernel true",
            "masked /proc/nosuch false",
            "masked /proc/meminfo/x false",
        ];
        assert_eq!(lines[..6], [told.as_slice(), &["0", "0"]].concat(), "{who:?}: {out}");
        assert!(lines[6].ends_with("/sys/kernel/y: Read-only file system"), "{who:?}: {out}");
    }
}

#[test]
fn each_of_dockers_masked_paths_can_be_masked_here() {
    for who in As::roots() {
        let paths = masked_paths().unwrap();
        assert!(MASKED_PATHS.iter().all(|p| paths.contains(&p.into())));
        let words: Vec<&str> = paths.iter().flat_map(|p| ["mask", p.to_str().unwrap()]).collect();
        let told = paths.iter().map(|p| format!("masked {} {}\n", p.display(), p.exists()));
        assert_eq!(run(*who, &sh(&words, "true")), told.collect::<String>(), "{who:?}");
    }
}

#[test]
fn a_link_is_followed_and_what_it_leads_to_is_hidden() {
    for who in As::roots() {
        let script = "cd {}; echo secret > real; ln -s real link; mkdir d; echo secret > d/f; ln -s d dlink
            {program} mask {}/link mask {}/dlink -- sh -c 'cat real link; ls d dlink; readlink link'";
        let out = run(*who, &sh(&[], script));
        assert_eq!(out, "masked {}/link true\nmasked {}/dlink true\nd:\n\ndlink:\nreal\n", "{who:?}");
    }
}

#[test]
fn a_read_only_path_gives_erofs_and_can_still_be_read() {
    for who in As::roots() {
        let words: Vec<&str> = READONLY_PATHS.iter().flat_map(|p| ["readonly", *p]).collect();
        let script = "cat /proc/sys/kernel/ostype; echo x > /proc/sys/kernel/hostname";
        let told = READONLY_PATHS.iter().map(|p| format!("readonly {p} {}\n", Path::new(p).exists()));
        let told: String = told.collect();
        let out = run(*who, &sh(&words, script));
        let rest = out.strip_prefix(&told).unwrap_or_else(|| panic!("{who:?}: {out}"));
        let mut lines: Vec<&str> = rest.lines().collect();
        lines.sort_by_key(|l| l.len());
        assert_eq!(lines[0], "Linux", "{who:?}: {out}");
        assert!(lines[1].ends_with("/proc/sys/kernel/hostname: Read-only file system"), "{who:?}: {out}");
    }
}

#[test]
fn flags_that_a_mount_has_are_kept_and_missing_paths_are_left_out() {
    for who in As::roots() {
        let script = "mount -t tmpfs -o nosuid,nodev,noexec,noatime none {}; cd {}; mkdir d; echo x > f
            {program} readonly {}/d readonly {}/f readonly {}/none -- sh -c '
                (echo y > f; mkdir d/e) 2>&1 | grep -c \"Read-only file system\"
                grep -E \" {}/(d|f) \" /proc/self/mountinfo | cut -d\" \" -f6'";
        let told = "readonly {}/d true\nreadonly {}/f true\nreadonly {}/none false\n2\n";
        let flags = "ro,nosuid,nodev,noexec,noatime\n".repeat(2);
        assert_eq!(run(*who, &sh(&[], script)), format!("{told}{flags}"), "{who:?}");
    }
}

#[test]
fn locked_flags_of_the_hosts_mounts_do_not_stop_a_remount() {
    // In a user namespace the flags of inherited mounts can't be taken away (mount_namespaces(7)).
    for who in As::roots() {
        let out = run(*who, &sh(&["readonly", "/dev/pts", "readonly", "/proc", "readonly", "/tmp"], "true"));
        assert_eq!(out, "readonly /dev/pts true\nreadonly /proc true\nreadonly /tmp true\n", "{who:?}");
    }
}

#[test]
fn a_dev_null_that_is_a_file_hides_nothing_and_is_refused() {
    for who in As::roots() {
        let script = "echo visible > {}/f; mount --bind {}/f /dev/null; {program} mask /proc/meminfo -- true";
        let message =
            "failed: /dev/null is not the character device 1:3, so /proc/meminfo can't be masked with it\n";
        assert_eq!(run(*who, &sh(&[], script)), message, "{who:?}");
    }
}

#[test]
fn kernels_before_openat2_mask_too() {
    // The injected error is heard by debug builds alone; elsewhere this is the usual way once more.
    for who in As::roots() {
        let script = "export MINIDOCKER_INJECT=client:openat2:ENOSYS
            {program} mask /proc/meminfo mask /proc/nosuch readonly /proc/sys readonly /proc/none -- sh -c '
                unset MINIDOCKER_INJECT; wc -c < /proc/meminfo
                (echo x > /proc/sys/kernel/hostname) 2>&1 | grep -c \"Read-only file system\"'";
        let told = "masked /proc/meminfo true\nmasked /proc/nosuch false\n\
                    readonly /proc/sys true\nreadonly /proc/none false\n0\n1\n";
        assert_eq!(run(*who, &sh(&[], script)), told, "{who:?}");
    }
}
