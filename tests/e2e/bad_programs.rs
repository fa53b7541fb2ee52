//! Programs that can't be started: each says which file is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kit::{Minidocker, Who};

fn rootfs(md: &Minidocker) -> PathBuf {
    let dir = md.dir("rootfs");
    kit::small_rootfs(&dir, md.who());
    dir
}

fn program(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(dir.join(name), content).unwrap();
    fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Replaces `from` by `to` of the same length in a copy of the tree's sh.
fn patched(dir: &Path, name: &str, from: &str, to: &str) {
    let mut bytes = fs::read(dir.join("bin/sh")).unwrap();
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
    bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    program(dir, name, bytes);
}

#[test]
fn a_missing_interpreter_is_named() {
    let md = kit::ours!();
    let dir = rootfs(&md);
    program(&dir, "script", "#!/no/such/interpreter -x\necho hi\n");
    program(&dir, "dos", "#!/bin/sh\r\necho hi\n");
    let loader = fs::read(dir.join("bin/sh")).unwrap();
    let loader = String::from_utf8_lossy(&loader);
    let start = loader.find("/lib").unwrap();
    let loader: String = loader[start..].chars().take_while(|c| *c != '\0').collect();
    let gone = loader.replace("/ld-", "/no-");
    patched(&dir, "elf", &loader, &gone);
    for (name, missing) in [("script", "/no/such/interpreter"), ("elf", gone.as_str()), ("dos", "/bin/sh\\r")]
    {
        let out = crate::in_rootfs(&md, &dir, &[&format!("/{name}")]);
        assert!(out.err().contains(missing), "{name}: {}", out.err());
        out.complains(127, &format!("/{name}"));
    }
    md.nothing_left();
}

#[test]
fn a_missing_library_is_named() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let dir = rootfs(&md);
        patched(&dir, "needy", "libc.so.6", "libq.so.6");
        let out = crate::in_rootfs(&md, &dir, &["/needy"]).code(127);
        assert!(out.err().contains("libq.so.6"), "{who:?}: {}", out.err());
        md.nothing_left();
    }
}

#[test]
fn what_is_no_program_is_126() {
    let md = kit::ours!();
    let dir = rootfs(&md);
    program(&dir, "text", "just words\n");
    program(&dir, "empty", "");
    program(&dir, "cut", &fs::read(dir.join("bin/sh")).unwrap()[..40]);
    program(&dir, "foreign", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xff\x77\x01\0\0\0");
    for name in ["text", "empty", "cut", "foreign"] {
        crate::in_rootfs(&md, &dir, &[&format!("/{name}")]).complains(126, "exec format error");
    }
    fs::create_dir(dir.join("closed")).unwrap();
    fs::write(dir.join("closed/plain"), "x").unwrap();
    crate::in_rootfs(&md, &dir, &["/closed/plain"]).complains(126, "permission denied");
    crate::in_rootfs(&md, &dir, &["/closed"]).complains(126, "/closed");
    md.nothing_left();
}

#[test]
fn an_interpreter_that_can_t_be_run_is_named_with_its_reason() {
    let md = kit::ours!();
    let dir = rootfs(&md);
    fs::write(dir.join("closed"), "x").unwrap();
    program(&dir, "words", "just words\n");
    std::os::unix::fs::symlink("circle", dir.join("circle")).unwrap();
    for (asks, errno, because) in [
        ("/closed", "EACCES", "has no x bit for this user, or lies on a mount with noexec: /closed"),
        ("/bin", "EACCES", "the interpreter that it names is a directory: /bin"),
        ("/words", "ENOEXEC", "is neither ELF for this machine nor a script that begins with #!: /words"),
        ("/circle", "ELOOP", "is a link that leads back to itself: /circle"),
    ] {
        program(&dir, "script", format!("#!{asks}\n"));
        let out = crate::in_rootfs(&md, &dir, &["/script"]).complains(126, "exec /script: ");
        crate::advised(&out, &format!(" : {errno} ("), because);
    }
    md.nothing_left();
}

#[test]
fn a_fifo_is_no_program_and_nobody_waits_for_its_writer() {
    let md = kit::ours!();
    let dir = rootfs(&md);
    let mode = rustix::fs::Mode::from(0o755);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, dir.join("bin/fifo"), kind, mode, 0).unwrap();
    program(&dir, "script", "#!/bin/fifo\n");
    for name in ["/bin/fifo", "fifo", "/script"] {
        let out = crate::in_rootfs(&md, &dir, &[name]).complains(126, "permission denied");
        crate::advised(&out, "EACCES", "is no regular file");
    }
    crate::in_rootfs(&md, &dir, &["/dev/null"]).complains(126, "permission denied");
    md.nothing_left();
}

#[test]
fn a_link_in_a_circle_or_into_nothing_is_no_program() {
    let md = kit::ours!();
    let dir = rootfs(&md);
    std::os::unix::fs::symlink("loop", dir.join("loop")).unwrap();
    std::os::unix::fs::symlink("/gone", dir.join("dangling")).unwrap();
    crate::in_rootfs(&md, &dir, &["/dangling"]).complains(127, "/dangling");
    let out = crate::in_rootfs(&md, &dir, &["/loop"]).complains(126, "exec: \"/loop\": too many");
    crate::advised(&out, "  stat(\"/loop\") : ELOOP (", "leads back to itself");
    md.nothing_left();
}

/// A link to /proc/self/exe is our own binary while the kernel looks it up (CVE-2019-5736): it may be
/// run in there, with the libraries of the image, but never be written.
#[test]
fn our_own_binary_can_t_be_reached_for_writing() {
    let md = kit::ours!();
    let dir = rootfs(&md);
    std::os::unix::fs::symlink("/proc/self/exe", dir.join("bin/self")).unwrap();
    program(&dir, "script", "#!/proc/self/exe\n");
    for name in ["self", "/bin/self", "/script"] {
        crate::in_rootfs(&md, &dir, &[name, "frobnicate"]).complains(126, "operation not permitted");
    }
    // With --init pid 1 is our own binary while the program looks for one to write.
    let write = "cat /proc/1/comm; n=0; for f in /proc/[0-9]*/exe; do n=$((n+1)); \
                 (: >>$f) 2>/dev/null && echo $f; done; [ $n -ge 2 ] && (: >>/proc/1/exe) 2>&1 | grep -o 'Perm.*'";
    let out = md.run(["run", "--rm", "--init", "hostbox", "sh", "-c", write]).ok();
    assert_eq!(out.lines(), ["init", "Permission denied"]);
    md.nothing_left();
}

#[test]
fn a_name_without_a_slash_is_looked_up_in_path_alone() {
    let md = kit::ours!();
    let dir = rootfs(&md);
    program(&dir, "here", "#!/bin/sh\necho ran\n");
    crate::in_rootfs(&md, &dir, &["here"])
        .complains(127, "exec: \"here\": executable file not found in $PATH");
    crate::in_rootfs(&md, &dir, &["./here"]).ok().stdout_is("ran");
    fs::create_dir(dir.join("usr")).ok();
    fs::create_dir_all(dir.join("usr/local/bin/sh")).unwrap();
    // A directory of that name earlier in $PATH is passed over.
    crate::in_rootfs(&md, &dir, &["sh", "-c", "echo found"]).ok().stdout_is("found");
    md.nothing_left();
}

#[test]
fn arguments_of_any_bytes_arrive() {
    let md = kit::ours!();
    let odd = ["", " ", "a\nb", "ü", "'\"\\", "$HOME", "-"];
    let show = ["run", "--rm", "hostbox", "sh", "-c", "for a; do printf '<%s>' \"$a\"; done", "sh"];
    md.run(show.iter().chain(&odd)).ok().stdout_is("<>< ><a\nb><ü><'\"\\><$HOME><->");
    let long = "x".repeat(100_000);
    md.run(["run", "--rm", "hostbox", "sh", "-c", "echo ${#1}", "sh", &long]).ok().stdout_is("100000");
}
