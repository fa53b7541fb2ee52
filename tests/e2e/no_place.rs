//! What can't be where it was asked to be: a volume's source, its target, a host name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use kit::{Output, Who};

/// Words, the call, the reason and something to do; and nothing stays.
#[track_caller]
fn told(out: &Output, words: &str, call: &str, because: &str) {
    let err = out.err();
    assert!(err.lines().next().is_some_and(|first| first.contains(words)), "expected {words:?} in:\n{err}");
    crate::advised(out, call, because);
}

#[test]
fn a_host_name_has_64_bytes_at_most() {
    let md = kit::ours!();
    let named =
        |bytes: usize| md.run(["run", "--rm", "--hostname", &"a".repeat(bytes), "hostbox", "hostname"]);
    let _ = named(64).ok().stdout_is(&"a".repeat(64));
    let out = named(80).code(125);
    told(&out, "cannot set the host name", ", 80) : EINVAL (", "it has 80 bytes, and the kernel takes 64");
    md.nothing_left();
}

#[test]
fn a_source_that_cannot_be_made_is_told_with_its_call() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let dir = md.dir("data");
        symlink("circle", dir.join("circle")).unwrap();
        fs::write(dir.join("file"), "").unwrap();
        let run = |source: &Path| {
            let volume = format!("{}:/v", source.display());
            let out = md.run(["run", "--rm", "-v", &volume, "hostbox", "true"]).code(125);
            (out, format!("error while creating mount source path '{}'", source.display()))
        };
        let mut cases = vec![
            (
                dir.join("circle"),
                dir.join("circle"),
                "EEXIST",
                "a symbolic link is there that leads to nothing, or back",
            ),
            (dir.join("file/x"), dir.join("file/x"), "ENOTDIR", "a file is above it"),
            (
                "/proc/no/such".into(),
                "/proc/no".into(),
                "ENOENT",
                "nothing is there, and nothing can be made there",
            ),
        ];
        if !who.is_root() {
            cases.push((
                "/none-such/x/y".into(),
                "/none-such".into(),
                "EACCES",
                "nothing is there that this user can see",
            ));
        }
        for (source, made, errno, because) in cases {
            let (out, words) = run(&source);
            told(&out, &words, &format!("  mkdir({made:?}, 0777) : {errno} ("), because);
        }
        md.nothing_left();
    }
}

#[test]
fn a_relative_source_in_a_directory_that_is_gone_is_told() {
    let md = kit::ours!();
    let gone = md.dir("gone");
    let through = format!("rmdir {}; exec \"$@\"", gone.display());
    for source in ["./x", ".."] {
        let volume = format!("{source}:/v");
        fs::create_dir_all(&gone).unwrap();
        let call = md.call(["run", "--rm", "-v", &volume, "hostbox", "true"]);
        let out = call.cwd(&gone).through(&through).run().code(125);
        let words = format!("{source} is relative, and there is no working directory");
        told(&out, &words, "  getcwd() : ENOENT (", "the directory in which this shell is was removed");
        assert!(!out.err().contains("invalid characters"), "{out:?}");
    }
    md.nothing_left();
}

#[test]
fn a_target_that_leads_into_proc_or_may_not_be_made_is_told() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let dir = md.dir("rootfs");
        kit::small_rootfs(&dir, *who);
        symlink("/proc", dir.join("to-proc")).unwrap();
        symlink("/proc/self/cwd", dir.join("magic")).unwrap();
        let run = |target: &str| {
            let volume = format!("/etc:{target}");
            md.run(["run", "--rm", "-v", &volume, "--rootfs", dir.to_str().unwrap(), "true"]).code(125)
        };
        for target in ["/to-proc", "/dev/fd"] {
            let out = run(target);
            let words = format!("{target} cannot be mounted because it is inside /proc");
            told(&out, &words, "", "a symbolic link leads there");
        }
        let words = |target| format!("error mounting \"/etc\" to rootfs at \"{target}\"");
        for target in ["/to-proc/x", "/dev/fd/x"] {
            let out = run(target);
            let call = format!(", \"{target}\") : ENOENT (");
            told(&out, &words(target), &call, "it would have to be made where nothing can be: below /proc");
            assert!(out.err().contains(&format!("  do: name another place than {target}; ")), "{out:?}");
        }
        told(&run("/magic"), &words("/magic"), ") : ELOOP (", "or to what a process in /proc has open");
        if !who.is_root() && Who::Me.is_root() {
            let theirs = dir.join("theirs");
            fs::create_dir(&theirs).unwrap();
            let out = run("/theirs/sub");
            let because = "a directory that belongs to an id that this container doesn't have";
            told(&out, &words("/theirs/sub"), "mkdirat(3, \"/theirs/sub\") : EACCES (", because);
        }
        md.nothing_left();
    }
}
