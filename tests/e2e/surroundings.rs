//! What surrounds a `run` and is odd: the caller's umask, a huge environment, the image's passwd.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use kit::{Minidocker, Who};

/// The files and directories below `dir` that every user may write to. What is in the images' own
/// trees, and in overlayfs's, is theirs to say.
fn world_writable(dir: &Path) -> Vec<PathBuf> {
    let trees = ["fs", "upper", "work", "init", "rootfs"];
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let meta = entry.metadata().unwrap();
        if !meta.is_symlink() && meta.permissions().mode() & 0o002 != 0 {
            found.push(entry.path());
        }
        if meta.is_dir() && !trees.contains(&entry.file_name().to_str().unwrap()) {
            found.extend(world_writable(&entry.path()));
        }
    }
    found
}

#[test]
fn a_caller_without_a_umask_leaves_no_file_that_everybody_may_write() {
    kit::require!(!Minidocker::is_docker(), "ours-only", "Docker's store is its daemon's");
    for who in Who::all() {
        // An empty store: all of it is made under this umask.
        let md = Minidocker::fresh(env!("CARGO_BIN_EXE_minidocker"), *who);
        let make = "umask >/new; mkdir /dir; echo up; exec sleep 1000";
        let call = md.call(["run", "--name", "open", "hostbox", "sh", "-c", make]);
        let mut client = call.through("umask 000; exec \"$@\"").spawn();
        client.expect("up\n");
        assert_eq!(world_writable(&md.root()), Vec::<PathBuf>::new(), "{who:?}, while it runs");
        md.line("kill open").ok();
        let _ = client.finish().code(137);
        assert_eq!(world_writable(&md.root()), Vec::<PathBuf>::new(), "{who:?}, afterwards");
        // Inside, too, the umask is not the caller's.
        let upper = md.containers().remove(0).join("upper");
        assert_eq!(fs::read_to_string(upper.join("new")).unwrap(), "0022\n");
        assert_eq!(fs::metadata(upper.join("dir")).unwrap().permissions().mode() & 0o777, 0o755);
        md.line("rm open").ok();
        md.nothing_left();
    }
}

#[test]
fn an_environment_of_a_mebibyte_arrives() {
    let md = kit::common!();
    // More than one message or one page: a variable may have 128 KiB (execve(2), MAX_ARG_STRLEN).
    let value = "x".repeat(100_000);
    let mut args: Vec<String> = ["run", "--rm"].map(str::to_owned).into();
    args.extend((0..10).flat_map(|n| ["-e".to_owned(), format!("V{n}={value}")]));
    args.extend(["hostbox", "sh", "-c", "echo ${#V0} ${#V9}"].map(str::to_owned));
    md.run(&args).ok().stdout_is("100000 100000").quiet();
    md.nothing_left();
}

const NOBODY: &str = "unable to find user hosts: no matching entries in passwd file";

/// Makes a passwd at a path.
type Make<'a> = &'a dyn Fn(&Path);

/// A root file system whose passwd is made by `make`.
fn with_passwd(md: &Minidocker, make: Make<'_>) -> PathBuf {
    let dir = md.dir("rootfs");
    kit::small_rootfs(&dir, md.who());
    let passwd = dir.join("etc/passwd");
    fs::remove_file(&passwd).unwrap();
    make(&passwd);
    kit::give(&dir, md.who());
    dir
}

#[test]
fn a_passwd_without_a_last_newline_or_with_noise_or_of_megabytes_is_read() {
    let last = "last:x:0:0::/home/last:/bin/sh";
    let many: String =
        (1000..60_000).map(|n| format!("user{n}:x:{n}:{n}::/home/user{n}:/bin/sh\n")).collect();
    let noise: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let texts = [
        format!("root:x:0:0:root:/root:/bin/sh\n{last}").into_bytes(),
        format!("{many}{last}").into_bytes(),
        [noise.as_slice(), b"\nno colons\n::::::\nx:y:z\n", last.as_bytes()].concat(),
    ];
    for who in Who::all() {
        for text in &texts {
            let md = kit::ours!(*who);
            let dir = with_passwd(&md, &|passwd| fs::write(passwd, text).unwrap());
            let dir = dir.to_str().unwrap();
            let look = "echo $(id -u) $(id -g) $HOME";
            let out = md.run(["run", "--rm", "-u", "last", "--rootfs", dir, "sh", "-c", look]);
            out.ok().stdout_is("0 0 /home/last").quiet();
            let out = md.run(["run", "--rm", "-u", "nosuch", "--rootfs", dir, "sh", "-c", look]);
            out.complains(125, "unable to find user nosuch: no matching entries in passwd file");
            md.nothing_left();
        }
    }
}

const UNREAD: &str = "cannot read /etc/passwd of the image";

#[test]
fn a_passwd_that_is_no_file_of_the_image_names_nobody() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let hosts = md.room().join("passwd");
        fs::write(&hosts, "hosts:x:7:7::/:/bin/sh\n").unwrap();
        let climbing = format!("{}{}", "../".repeat(30), hosts.display());
        let makes: [(Make<'_>, &str); 5] = [
            (&|passwd| symlink(&hosts, passwd).unwrap(), NOBODY),
            (&|passwd| symlink(&climbing, passwd).unwrap(), NOBODY),
            (&|passwd| symlink("/etc/passwd", passwd).unwrap(), UNREAD),
            (&|passwd| fs::create_dir(passwd).unwrap(), NOBODY),
            // Opened, it would let us wait for a writer.
            (&|passwd| assert!(Command::new("mkfifo").arg(passwd).status().unwrap().success()), NOBODY),
        ];
        for (make, why) in makes {
            let dir = with_passwd(&md, make);
            let as_user =
                |user| md.run(["run", "--rm", "-u", user, "--rootfs", dir.to_str().unwrap(), "id", "-u"]);
            as_user("hosts").complains(125, why);
            // Whoever is a number needs no passwd, but a loop is an error of the image.
            let out = as_user("0");
            if why == NOBODY {
                out.ok().stdout_is("0").quiet();
            } else {
                out.complains(125, why).stderr_has("openat(3, \"/etc/passwd\") : ELOOP (");
            }
            fs::remove_dir_all(dir).unwrap();
        }
        md.nothing_left();
    }
}
