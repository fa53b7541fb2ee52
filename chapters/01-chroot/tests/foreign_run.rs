//! Hosts of other kinds, made of real programs of this one: what is assembled of them runs.
#![allow(clippy::unwrap_used)]

mod demo;
mod fake;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chroot::needs_of;
use demo::{Room, copy, failure, out, userns_allowed, users};
use fake::Tree;
use kit::require;

const WHY: &str = "user namespaces are forbidden here";

/// Says by which name it was called, and with which arguments.
const TELLS: &str = r"
    #include <stdio.h>
    int main(int n, char **words) { for (int i = 0; i < n; i++) puts(words[i]); }";

/// By the compiler with which Rust links.
fn compile(source: &str, to: &Path, options: &[&str]) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-x", "c", "-", "-x", "none", "-o"]).arg(to).args(options);
    let mut running = cc.stdin(Stdio::piped()).spawn().unwrap();
    running.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    assert!(running.wait().unwrap().success(), "{options:?}");
}

/// The interpreter and the libraries of a program of this host.
fn libraries(program: &str) -> Vec<PathBuf> {
    needs_of(Path::new("/"), Path::new(program)).unwrap().split_off(1)
}

fn put(host: &Tree, path: &str, from: &Path) {
    let to = host.path().join(path.trim_start_matches('/'));
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    copy(from, &to);
}

/// Assembles the programs of a host and runs the first one in what was made, as each user.
fn run(host: &Tree, programs: &[&str], args: &[&str]) -> Vec<String> {
    let ran = |uid| {
        let room = Room::new(uid);
        let paths: Vec<PathBuf> = programs.iter().map(PathBuf::from).collect();
        let report = chroot::assemble(host.path(), &paths, &room.rootfs(), u64::MAX).unwrap();
        assert!(report.refused.is_empty(), "{:?}", report.refused);
        room.own(&room.rootfs());
        out(&room.run_in_rootfs(&[&programs[..1], args].concat()))
    };
    users().into_iter().map(ran).collect()
}

#[track_caller]
fn all_say(said: &[String], text: &str) {
    assert!(!said.is_empty());
    said.iter().for_each(|one| assert_eq!(one, text));
}

/// Each file by the very path by which it is looked for: no link, and /bin and /lib apart from /usr.
#[test]
fn a_shell_runs_where_usr_is_not_merged() {
    require!(userns_allowed(), "no-userns", WHY);
    let host = Tree::new();
    libraries("/bin/sh").iter().for_each(|path| put(&host, path.to_str().unwrap(), path));
    put(&host, "/bin/sh", &Path::new("/bin/sh").canonicalize().unwrap());
    all_say(&run(&host, &["/bin/sh"], &["-c", "echo /lib* /bin/*"]), &format!("{} /bin/sh\n", tops(&host)));
}

/// The names that begin with /lib in a host.
fn tops(host: &Tree) -> String {
    let names =
        std::fs::read_dir(host.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|n| n.starts_with("lib")).map(|n| format!("/{n}")).collect();
    names.sort();
    names.join(" ")
}

/// A program that was linked with a loader and a libc of a store.
fn store() -> Tree {
    let host = Tree::new();
    compile(TELLS, &host.path().join("plain"), &[]);
    let needs = libraries(host.path().join("plain").to_str().unwrap());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    for path in &needs {
        put(&host, &format!("/nix/store/g-libc/lib/{}", name(path)), path);
    }
    std::fs::remove_file(host.path().join("plain")).unwrap();
    let loader = format!("-Wl,--dynamic-linker=/nix/store/g-libc/lib/{}", name(&needs[0]));
    let tools = host.path().join("nix/store/c-tools/bin/tools");
    compile(TELLS, &tools, &[&loader, "-Wl,-rpath,/nix/store/g-libc/lib"]);
    host
}

#[test]
fn a_program_of_many_names_runs_from_a_store() {
    require!(userns_allowed(), "no-userns", WHY);
    let host = store();
    host.link("/nix/store/c-tools/bin/ls", "tools")
        .link("/nix/store/s-path/bin/ls", "/nix/store/c-tools/bin/ls")
        .link("/run/current-system", "/nix/store/n-system")
        .link("/nix/store/n-system/sw", "/nix/store/s-path");
    let said = run(&host, &["/run/current-system/sw/bin/ls"], &["-l"]);
    all_say(&said, "/run/current-system/sw/bin/ls\n-l\n");
}

#[test]
fn a_script_of_one_line_runs_the_program_of_many_names() {
    require!(userns_allowed(), "no-userns", WHY);
    let host = store();
    host.link("/usr/bin/coreutils", "/nix/store/c-tools/bin/tools")
        .file("/usr/bin/ls", b"#!/usr/bin/coreutils --coreutils-prog-shebang=ls\n");
    let said = run(&host, &["/usr/bin/ls"], &["-l"]);
    all_say(&said, "/usr/bin/coreutils\n--coreutils-prog-shebang=ls\n/usr/bin/ls\n-l\n");
}

#[test]
fn a_static_busybox_runs_by_links_of_both_kinds() {
    require!(userns_allowed(), "no-userns", WHY);
    let busybox = Path::new("/bin/busybox");
    require!(busybox.exists(), "no-busybox", "busybox isn't installed");
    let host = Tree::new();
    put(&host, "/bin/busybox", &busybox.canonicalize().unwrap());
    libraries("/bin/busybox").iter().for_each(|path| put(&host, path.to_str().unwrap(), path));
    host.hard_link("/bin/sh", "/bin/busybox").link("/usr/bin/wc", "../../bin/busybox");
    let said = run(&host, &["/bin/sh", "/usr/bin/wc"], &["-c", "echo two words | /usr/bin/wc -w"]);
    all_say(&said, "2\n");
}

/// A program that was linked with musl, by the loader of the package `musl`.
#[test]
fn a_program_of_musl_runs() {
    require!(userns_allowed(), "no-userns", WHY);
    let libs = std::fs::read_dir("/lib").unwrap().map(|entry| entry.unwrap().path());
    let loader = libs.into_iter().find(|path| path.to_string_lossy().starts_with("/lib/ld-musl-"));
    require!(loader.is_some(), "no-musl", "musl isn't installed");
    let loader = loader.unwrap();
    let host = Tree::new();
    let source = "int puts(const char *); void _exit(int); int fflush(void *);
        void _start(void) { puts(\"musl\"); fflush(0); _exit(0); }";
    let dynamic = format!("-Wl,--dynamic-linker={}", loader.display());
    let options = ["-nostdlib", "-nostartfiles", "-no-pie", "-fno-stack-protector", &dynamic];
    compile(source, &host.path().join("bin/p"), &[&options[..], &[loader.to_str().unwrap()]].concat());
    put(&host, loader.to_str().unwrap(), &loader);
    all_say(&run(&host, &["/bin/p"], &[]), "musl\n");
}

/// The user's variables are not the program's: what they lead to would be missing in the new root.
#[test]
fn ld_library_path_is_not_looked_at() {
    let room = Room::new(users()[0]);
    let example = room.example("needs");
    let libc = libraries("/bin/sh").into_iter().find(|path| path.to_string_lossy().contains("/libc."));
    copy(&libc.unwrap(), &room.path().join("libc.so.6"));
    let dir = room.path().to_str().unwrap().to_owned();
    let output = room.start_with(
        example.file_name().unwrap().to_str().unwrap(),
        &["/bin/sh"],
        &[("LD_LIBRARY_PATH", &dir)],
    );
    assert!(!out(&output).contains(&dir), "{output:?}");
}

#[test]
fn a_program_that_only_its_owner_may_read_is_named_with_the_errno() {
    let Some(&plain) = users().iter().find(|uid| **uid != 0) else { panic!() };
    require!(plain != nix::unistd::geteuid().as_raw(), "not-root", "a plain user owns all that it can close");
    let room = Room::new(plain);
    let example = room.example("needs");
    let closed = room.path().join("closed");
    copy(Path::new("/bin/sh"), &closed);
    std::os::unix::fs::chown(&closed, Some(0), Some(0)).unwrap();
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let output = room.start(example.file_name().unwrap().to_str().unwrap(), &[closed.to_str().unwrap()]);
    let (_, text) = failure(&output);
    assert!(text.contains("openat(\"") && text.contains("/closed\") : EACCES (Permission denied)"), "{text}");
}
