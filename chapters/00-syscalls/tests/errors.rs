//! Failed calls, as they are shown. Only calls that the kernel refuses: nothing changes.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{FileType, Mode};
use sys::{Errno, MntFlags, MsFlags, hint};

const NONE: &str = "/no/such/place";

#[test]
fn an_error_reads_like_a_line_of_strace() {
    let none = Path::new(NONE);
    let errors = [
        (sys::chdir(none).unwrap_err(), r#"chdir("/no/such/place") : ENOENT (No such file or directory)"#),
        (
            sys::write_file(none, "1").unwrap_err(),
            r#"write("/no/such/place", "1", 1) : ENOENT (No such file or directory)"#,
        ),
        (
            sys::mkdir(Path::new("/proc"), 0o755).unwrap_err(),
            r#"mkdir("/proc", 0755) : EEXIST (File exists)"#,
        ),
    ];
    for (error, shown) in errors {
        assert_eq!(error.to_string(), shown);
    }
}

#[test]
fn the_facts_of_an_error_stay_facts() {
    let error = sys::rmdir(Path::new(NONE)).unwrap_err();
    assert_eq!((error.call(), error.args(), error.errno()), ("rmdir", r#""/no/such/place""#, Errno::ENOENT));
    assert_eq!(error.hint(), None);
}

#[test]
fn mount_shows_five_arguments() {
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    let error = sys::mount(Some(Path::new("none")), Path::new(NONE), Some("tmpfs"), flags, Some("size=1m"));
    let error = error.unwrap_err();
    assert_eq!(error.args(), r#""none", "/no/such/place", "tmpfs", MS_RDONLY|MS_NOSUID, "size=1m""#);
    // Who may not mount at all is told so before the path is looked at.
    assert!(matches!(error.errno(), Errno::ENOENT | Errno::EPERM), "{error}");
    let error = sys::umount2(Path::new(NONE), MntFlags::MNT_DETACH).unwrap_err();
    assert_eq!(error.args(), r#""/no/such/place", MNT_DETACH"#);
}

#[test]
fn mknodat_shows_kind_mode_and_numbers() {
    let proc = std::fs::File::open("/proc").unwrap();
    for (kind, name) in [(FileType::CharacterDevice, "S_IFCHR"), (FileType::Fifo, "S_IFIFO")] {
        let mode = Mode::from_raw_mode(0o666);
        let error = sys::mknodat(proc.as_fd(), Path::new("self"), kind, mode, (1, 259)).unwrap_err();
        assert!(
            error.args().ends_with(&format!(r#"</proc>, "self", {name}|0666, makedev(0x1, 0x103)"#)),
            "{error}"
        );
    }
}

#[test]
fn a_descriptor_is_shown_with_what_it_is_open_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(dir.path().join("file")).unwrap();
    let error = sys::fchdir(file.as_fd()).unwrap_err();
    assert_eq!(error.errno(), Errno::ENOTDIR);
    assert!(error.args().ends_with(&format!("<{}>", dir.path().join("file").display())), "{error}");
}

#[test]
fn paths_in_a_root_do_not_leave_it() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc", dir.path().join("link")).unwrap();
    let root = std::fs::File::open(dir.path()).unwrap();
    let open = |path: &str| {
        let (how, mode) = (rustix::fs::OFlags::PATH, rustix::fs::Mode::empty());
        sys::open_in_root(root.as_fd(), Path::new(path), how, mode)
    };
    assert_eq!(open("link/passwd").unwrap_err().errno(), Errno::ENOENT);
    assert_eq!(open("../../etc/passwd").unwrap_err().errno(), Errno::ENOENT);
    assert!(open("").is_ok() && open("/..").is_ok());
}

#[test]
fn a_listener_hears_calls_that_fail_and_calls_that_succeed() {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let ear = heard.clone();
    sys::set_sink(Some(Box::new(move |event| ear.borrow_mut().push(event.clone()))));
    sys::context("somewhere", "ch00");
    sys::chdir(Path::new(NONE)).unwrap_err();
    sys::chdir(Path::new(".")).unwrap();
    sys::set_sink(None);
    sys::chdir(Path::new(NONE)).unwrap_err();
    let heard = heard.borrow();
    let lines: Vec<String> =
        heard.iter().map(|e| format!("{} {}({}) = {}", e.step, e.call, e.args, e.result)).collect();
    let expected = [
        r#"somewhere chdir("/no/such/place") = -1 ENOENT (No such file or directory)"#,
        r#"somewhere chdir(".") = 0"#,
    ];
    assert_eq!(lines, expected);
    assert_eq!(heard[1].seq, heard[0].seq + 1);
}

#[test]
fn a_hint_depends_on_call_errno_and_arguments() {
    let because = |call, errno, args| hint(call, errno, args).map(|h| h.because);
    let userns = because("unshare", Errno::EPERM, "CLONE_NEWUSER");
    assert!(userns.unwrap().contains("forbids user namespaces"));
    assert_ne!(because("unshare", Errno::EPERM, "CLONE_NEWNET"), userns);
    assert!(because("execve", Errno::ENOENT, "").unwrap().contains("interpreter"));
    assert_eq!(because("execve", Errno::E2BIG, ""), None);
    assert_eq!(because("chdir", Errno::ENOENT, ""), None);
}

#[test]
fn a_limit_is_named_as_a_limit() {
    for (call, errno, args, words) in [
        ("openat", Errno::EMFILE, "AT_FDCWD, \"/x\", O_RDONLY", "RLIMIT_NOFILE"),
        ("pipe2", Errno::EMFILE, "[], O_CLOEXEC", "RLIMIT_NOFILE"),
        ("socketpair", Errno::ENFILE, "", "fs.file-max"),
        ("write", Errno::EFBIG, "\"/x\"", "RLIMIT_FSIZE"),
        ("execve", Errno::EAGAIN, "\"/usr/bin/newuidmap\"", "RLIMIT_NPROC"),
        ("clone3", Errno::ENOMEM, "{flags=0}", "no memory is left"),
        ("mkdir", Errno::ENOSPC, "\"/sys/fs/cgroup/pids/x\", 0755", "no more cgroups"),
        ("mkdir", Errno::ENOSPC, "\"/var/x\", 0755", "the file system is full"),
        ("mount", Errno::ENOSPC, "\"tmpfs\"", "fs.mount-max"),
        ("clone3", Errno::ENOSPC, "{flags=CLONE_NEWUSER}", "user.max_user_namespaces"),
    ] {
        let found = hint(call, errno, args).map(|h| h.because).unwrap_or_default();
        assert!(found.contains(words), "{call} {errno}: {found:?}");
    }
}

#[test]
fn a_missing_proc_is_named_where_a_file_of_ours_in_it_is_not_there() {
    let because = |call, args| hint(call, Errno::ENOENT, args).map(|h| h.because).unwrap_or_default();
    for args in ["\"/proc/self/mountinfo\"", "AT_FDCWD, \"/proc/self/uid_map\", O_RDONLY|O_CLOEXEC"] {
        assert!(because("read", args).contains("no proc file system"), "{args}");
    }
    assert!(because("execve", "\"/proc/self/exe\", [\"x\"]").contains("no proc file system"));
    // A target of mount(2) is named by /proc, and the source is what isn't there.
    assert_eq!(because("mount", "\"/x\", \"/proc/self/fd/3\", NULL, MS_BIND, NULL"), "");
    assert_eq!(because("read", "\"/proc/1234/status\""), "", "a process that ended");
}

#[test]
fn the_calls_that_take_trees_of_mounts_name_them() {
    let (pipe, _) = rustix::pipe::pipe().unwrap();
    let error = sys::mount_setattr(pipe.as_fd(), sys::MountAttrFlags::MOUNT_ATTR_RDONLY).unwrap_err();
    assert!(
        error.args().ends_with(r#", "", AT_EMPTY_PATH|AT_RECURSIVE, {attr_set=MOUNT_ATTR_RDONLY}, 32"#),
        "{error}"
    );
    // Who may not mount at all is told so before.
    assert!(matches!(error.errno(), Errno::EINVAL | Errno::EPERM), "{error}");
    let error = sys::open_tree(Path::new(NONE)).unwrap_err();
    assert_eq!(error.args(), r#"AT_FDCWD, "/no/such/place", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_RECURSIVE"#);
    assert!(matches!(error.errno(), Errno::ENOENT | Errno::EPERM), "{error}");
}

#[test]
fn who_is_not_dumpable_closes_its_memory() {
    let readable =
        || std::fs::metadata("/proc/self/mem").unwrap().uid() == rustix::process::geteuid().as_raw();
    sys::set_dumpable(false).unwrap();
    let closed = readable();
    sys::set_dumpable(true).unwrap();
    // Its files of /proc are root's then (proc(5)).
    assert_eq!((closed, readable()), (rustix::process::geteuid().is_root(), true));
}

#[test]
fn a_process_with_threads_gets_no_child_in_its_memory() {
    // This harness has two threads at least.
    let e = sys::vfork(&mut || 0).unwrap_err();
    assert_eq!(e.to_string(), "clone(CLONE_VM|CLONE_VFORK|SIGCHLD) : EINVAL (Invalid argument)");
}
