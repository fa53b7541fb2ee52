//! hostbox on hosts of other kinds: other directories lie over those of this one, in a mount namespace of the
//! command's own.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kit::{Minidocker, Output, Who};

macro_rules! root_builds {
    () => {
        kit::require!(!Minidocker::is_docker(), "ours-only", "Docker has no such thing");
        kit::require!(
            rustix::process::geteuid().is_root() && Who::all().len() > 1,
            "not-root",
            "only root mounts a world for others"
        );
    };
}

fn fresh(who: Who) -> Minidocker {
    Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), who)
}

/// The host has `bin`, which is a place in the room, in place of all directories of programs.
fn with_programs(md: &Minidocker, bin: &Path) -> String {
    let tool = md.dir("tools").join("busybox");
    copy(Path::new("/bin/busybox"), &tool);
    let (tool, bin) = (tool.display(), bin.display());
    format!("for dir in /usr/bin /usr/sbin /bin /sbin; do {tool} mount --bind {bin} $dir; done\n")
}

/// One program of the host is this file.
fn with_program(name: &str, file: &Path) -> String {
    format!("mount --bind {} /usr/bin/{name}\n", file.display())
}

/// The host has no busybox, which would stand in.
fn without_busybox(md: &Minidocker) -> String {
    let nothing = md.dir("nothing").join("file");
    fs::write(&nothing, "").unwrap();
    format!("[ ! -e /usr/bin/busybox ] || {}", with_program("busybox", &nothing))
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// By the compiler with which Rust links.
fn compile(source: &str, to: &Path, options: &[&str]) {
    let mut cc = Command::new("cc");
    cc.args(["-x", "c", "-", "-x", "none", "-o"]).arg(to).args(options);
    let mut running = cc.stdin(Stdio::piped()).spawn().unwrap();
    running.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    assert!(running.wait().unwrap().success(), "{options:?}");
}

fn run(md: &Minidocker, world: &str, line: &str) -> Output {
    md.call(kit::words(&format!("run --rm {line}"))).in_world(world).run()
}

/// A busybox and a name for each of its applets, made by `name`.
fn applets(md: &Minidocker, name: impl Fn(&Path, &Path)) -> PathBuf {
    let bin = md.dir("bin");
    let busybox = bin.join("busybox");
    copy(Path::new("/bin/busybox"), &busybox);
    let list = Command::new("/bin/busybox").arg("--list").output().unwrap();
    for applet in String::from_utf8(list.stdout).unwrap().lines().filter(|applet| *applet != "busybox") {
        name(&busybox, &bin.join(applet));
    }
    bin
}

#[test]
fn busybox_alone_is_host_enough_whatever_leads_to_it() {
    root_builds!();
    type Name = fn(&Path, &Path);
    let kinds: [Name; 3] = [
        |_, applet| symlink("busybox", applet).unwrap(),
        |busybox, applet| fs::hard_link(busybox, applet).unwrap(),
        // No names at all.
        |_, _| {},
    ];
    for name in kinds {
        let md = fresh(Who::Me);
        let world = with_programs(&md, &applets(&md, name));
        let line = "hostbox sh -c";
        let words = kit::words(&format!("run --rm {line}"));
        let script = "ls / | grep -c proc; echo a b | wc -w; id -u; ps -o pid= | head -n 1 | tr -d ' '";
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).chain([script]).collect();
        md.call(words).in_world(&world).run().ok().quiet().stdout_is("1\n2\n0\n1");
        md.nothing_left();
    }
}

#[test]
fn a_host_without_a_shell_or_with_none_that_can_be_taken_is_told() {
    root_builds!();
    let md = fresh(Who::Me);
    let bin = md.dir("bin");
    copy(&Path::new("/bin/ls").canonicalize().unwrap(), &bin.join("ls"));
    let world = with_programs(&md, &bin);
    let begin = "minidocker: hostbox can't be made: this machine has no sh to take along\n  \
                 do: install dash, bash, or a static busybox\n";
    let none = "hostbox has no sh: this machine has none\n  do: install the package of sh";
    assert_eq!(run(&md, &world, "hostbox true").code(125).err(), format!("{begin}{none}"));
    put(&bin.join("sh"), "#!/bin/bash\n");
    let script = "hostbox has no sh: /bin/sh: a script, run by /bin/bash\n  \
                  do: install the program itself: what a script needs stands nowhere";
    assert_eq!(run(&md, &world, "hostbox true").code(125).err(), format!("{begin}{script}"));
    md.nothing_left();
}

#[test]
fn a_script_in_place_of_a_program_is_told_or_busybox_stands_in() {
    root_builds!();
    for who in Who::all() {
        let md = fresh(*who);
        let wrapper = md.dir("wrapper").join("wc");
        put(&wrapper, "#!/bin/sh\nexec /usr/lib/wc \"$@\"\n");
        let world = with_program("wc", &wrapper);
        let told = "minidocker: hostbox has no wc: /bin/wc: a script, run by /bin/sh\n  \
                    do: install the program itself: what a script needs stands nowhere";
        let out = run(&md, &(without_busybox(&md) + &world), "hostbox true").ok();
        assert_eq!(out.err(), told);
        let md = fresh(*who);
        run(&md, &world, "hostbox wc --help").ok().stdout_is("").stderr_has("BusyBox");
        md.nothing_left();
    }
}

#[test]
fn a_program_that_only_root_may_read_is_told_to_others() {
    root_builds!();
    for who in Who::all() {
        let md = fresh(*who);
        let closed = md.dir("closed").join("wc");
        copy(&Path::new("/usr/bin/wc").canonicalize().unwrap(), &closed);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&closed, Some(0), Some(0)).unwrap();
        let world = without_busybox(&md) + &with_program("wc", &closed);
        let out = run(&md, &world, "hostbox true").ok();
        let told = "minidocker: hostbox has no wc: /bin/wc: openat(\"/bin/wc\") : EACCES (Permission denied)\n  \
                    do: let everybody read it, or go without";
        assert_eq!(out.err(), if *who == Who::Me { "" } else { told });
        md.nothing_left();
    }
}

/// It is missing, it appears, it is replaced: hostbox is made again each time, and only then.
#[test]
fn a_library_that_comes_and_changes_makes_hostbox_anew() {
    root_builds!();
    for who in Who::all() {
        let md = fresh(*who);
        let dir = md.dir("library");
        let (wc, library) = (dir.join("wc"), dir.join("libown.so"));
        let own = |number: u8, to: &Path| {
            compile(
                &format!("int own(void) {{ return {number}; }}"),
                to,
                &["-shared", "-Wl,-soname,libown.so"],
            );
        };
        own(3, &library);
        let rpath = format!("-Wl,-rpath,{}", dir.display());
        compile("int own(void); int main(void) { return own(); }", &wc, &[library.to_str().unwrap(), &rpath]);
        fs::remove_file(&library).unwrap();
        let world = without_busybox(&md) + &with_program("wc", &wc);
        let told = format!(
            "minidocker: hostbox has no wc: /bin/wc needs the library libown.so, which is in none of {}, ",
            dir.display()
        );
        let out = run(&md, &world, "hostbox true").ok();
        assert!(out.err().starts_with(&told), "{out:?}");
        assert!(out.err().ends_with("\n  do: install the package of libown.so"), "{out:?}");
        run(&md, &world, "hostbox true").ok().quiet();
        own(3, &library);
        run(&md, &world, "hostbox wc").code(3);
        // An upgrade of the same size and time.
        let (new, time) = (dir.join("libown.so.new"), fs::metadata(&library).unwrap());
        own(4, &new);
        let file = fs::File::options().append(true).open(&new).unwrap();
        file.set_modified(time.modified().unwrap()).unwrap();
        assert_eq!(file.metadata().unwrap().len(), time.len());
        fs::rename(&new, &library).unwrap();
        run(&md, &world, "hostbox wc").code(4);
        md.nothing_left();
    }
}

/// Programs behind /run/current-system, the loader and libc in a store.
#[test]
fn a_host_with_a_store_gives_a_hostbox_that_runs_also_with_another_run() {
    root_builds!();
    let md = fresh(Who::Me);
    let (bin, run_dir, store) = (md.dir("bin"), md.dir("run"), md.dir("store"));
    for dir in ["libc/lib", "tools/bin", "bash/bin", "path/bin", "system"] {
        fs::create_dir_all(store.join(dir)).unwrap();
    }
    let plain = store.join("plain");
    compile("int main(void) { return 0; }", &plain, &[]);
    let needs = Command::new("ldd").arg(&plain).output().unwrap();
    let needs = String::from_utf8(needs.stdout).unwrap();
    let files: Vec<&Path> = needs.split_whitespace().filter(|w| w.starts_with('/')).map(Path::new).collect();
    for file in &files {
        copy(file, &store.join("libc/lib").join(file.file_name().unwrap()));
    }
    let loader = files.iter().find(|file| file.to_string_lossy().contains("/ld-")).unwrap();
    let loader =
        format!("-Wl,--dynamic-linker=/srv/libc/lib/{}", loader.file_name().unwrap().to_str().unwrap());
    let says = "#include <stdio.h>\nint main(int n, char **words) { while (n--) puts(*words++); }";
    compile(says, &store.join("tools/bin/coreutils"), &[&loader, "-Wl,-rpath,/srv/libc/lib"]);
    copy(Path::new("/bin/busybox"), &store.join("bash/bin/sh"));
    symlink("/srv/bash/bin/sh", bin.join("sh")).unwrap();
    symlink("coreutils", store.join("tools/bin/ls")).unwrap();
    symlink("/srv/tools/bin/ls", store.join("path/bin/ls")).unwrap();
    symlink("/srv/path", store.join("system/sw")).unwrap();
    symlink("/srv/system", run_dir.join("current-system")).unwrap();
    let world = format!(
        "mount --bind {} /srv\nmount --bind {} /run\n{}",
        store.display(),
        run_dir.display(),
        with_programs(&md, &bin)
    );
    let out = run(&md, &world, "hostbox ls -l").ok().stdout_is("ls\n-l");
    assert!(out.err().starts_with("minidocker: hostbox has no cat: this machine has none\n"), "{out:?}");
    run(&md, &world, "--tmpfs /run hostbox ls -a").ok().quiet().stdout_is("ls\n-a");
    // Another generation of the system: one link leads elsewhere, and nothing else is new.
    fs::create_dir_all(store.join("path2/bin")).unwrap();
    symlink("/srv/bash/bin/sh", store.join("path2/bin/ls")).unwrap();
    fs::create_dir(store.join("system2")).unwrap();
    symlink("/srv/path2", store.join("system2/sw")).unwrap();
    fs::remove_file(run_dir.join("current-system")).unwrap();
    symlink("/srv/system2", run_dir.join("current-system")).unwrap();
    run(&md, &world, "hostbox ls -d /proc").ok().stdout_is("/proc");
    md.nothing_left();
}
