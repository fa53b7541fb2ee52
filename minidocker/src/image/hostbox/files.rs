//! What hostbox has besides programs: directories, its own users, its prompt.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use chroot::Root;
use images::{History, ImageConfig, RootFs, RunConfig};
use rustix::fs::{AtFlags, Mode, OFlags, symlinkat};
use sys::SysError;

use super::programs::PATH;

/// The prompt, in the words of bash and of busybox: `\w` is the working directory.
const PS1: &str = r"[hostbox] \w # ";

/// The name of our own program, which always comes along.
pub(super) const HOLES: &str = "holes";

/// hier(7). /root is closed, the temporary ones are sticky, /proc and /sys are mount points.
const DIRS: [(&str, u32); 15] = [
    ("/bin", 0o755),
    ("/dev", 0o755),
    ("/etc", 0o755),
    ("/home", 0o755),
    ("/mnt", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/sbin", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/usr/bin", 0o755),
    ("/usr/sbin", 0o755),
    ("/var/log", 0o755),
    ("/var/tmp", 0o1777),
];

/// passwd(5), group(5), nsswitch.conf(5): the users of this image, never those of the host. The
/// empty ones are mount points: each container's own file is bound over them.
const FILES: [(&str, &str); 6] = [
    ("hostname", ""),
    ("hosts", ""),
    ("resolv.conf", ""),
    (
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\n\
         daemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
         nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    ),
    ("group", "root:x:0:\ndaemon:x:1:\ntty:x:5:\nusers:x:100:\nnogroup:x:65534:\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"),
];

/// Makes directories and files in the tree where programs lie already.
pub(super) fn write(tree: &Path, shell: &Path) -> Result<(), SysError> {
    let root = Root::open(tree)?;
    for (path, mode) in DIRS {
        let dir = root.make_dir_all(Path::new(path), 0o755)?;
        chmod(&dir, path, mode)?;
    }
    let etc = root.make_dir_all(Path::new("/etc"), 0o755)?;
    for (name, text) in FILES {
        put(&etc, name, text.as_bytes(), 0o644)?;
    }
    put(&etc, "shrc", shrc(shell).as_bytes(), 0o644)?;
    // Where an image lacks it, each of its containers gets a layer more for it alone.
    symlinkat("/proc/mounts", &etc, "mtab").map_err(|e| failed("symlinkat", "mtab", e))?;
    let top = root.make_dir_all(Path::new("/"), 0o755)?;
    chmod(&top, "/", 0o755)
}

/// What an interactive `sh` reads first (`$ENV`: POSIX sh, "ENV"). bash and busybox know `\w`; dash and
/// the others expand variables only, each time. Who brings a PS1 of his own keeps it.
fn shrc(shell: &Path) -> String {
    match shell.file_name().and_then(OsStr::to_str) {
        Some("bash" | "busybox") => "# the prompt is $PS1 as it came\n".to_owned(),
        _ => format!("[ \"$PS1\" = '{PS1}' ] && PS1='{}'\n", PS1.replace(r"\w", "$PWD")),
    }
}

/// A link from the PATH to a program that lies elsewhere, or has another name (a busybox applet).
/// What is there already stays.
pub(super) fn link(tree: &Path, name: &str, to: &Path) -> Result<(), SysError> {
    let bin = Root::open(tree)?.make_dir_all(Path::new("/bin"), 0o755)?;
    match symlinkat(to, &bin, name) {
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => other.map_err(|e| failed("symlinkat", name, e)),
    }
}

/// Puts our own `program` there: as `holes`, and by the names `instead_of`, of what the host lacks.
/// Gives the reason where it can't run in this tree.
pub(super) fn carry(tree: &Path, program: &[u8], instead_of: &[&str]) -> Result<Option<String>, SysError> {
    let bin = Root::open(tree)?.make_dir_all(Path::new("/bin"), 0o755)?;
    put(&bin, HOLES, program, 0o755)?;
    // Static, it needs nothing; otherwise the libc that the shell has brought along.
    if let Err(why) = chroot::needs_of(tree, &Path::new("/bin").join(HOLES)) {
        rustix::fs::unlinkat(&bin, HOLES, AtFlags::empty()).map_err(|e| failed("unlinkat", HOLES, e))?;
        return Ok(Some(why.to_string()));
    }
    instead_of.iter().try_for_each(|name| link(tree, name, Path::new(HOLES))).map(|()| None)
}

fn put(dir: &OwnedFd, name: &str, bytes: &[u8], mode: u32) -> Result<(), SysError> {
    let how = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, how, Mode::from_raw_mode(mode))
        .map_err(|e| failed("openat", name, e))?;
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes)
        .and_then(|()| file.set_permissions(std::fs::Permissions::from_mode(mode)))
        .map_err(|e| failed("write", name, e))
}

fn chmod(dir: &OwnedFd, name: &str, mode: u32) -> Result<(), SysError> {
    rustix::fs::chmod(format!("/proc/self/fd/{}", dir.as_raw_fd()), Mode::from_raw_mode(mode))
        .map_err(|e| failed("chmod", name, e))
}

fn failed(call: &'static str, name: &str, error: impl Into<std::io::Error>) -> SysError {
    SysError::of(call, format!("{name:?}"), error)
}

/// The configuration: how hostbox is run.
pub(super) fn config(created: String, diff_id: images::Digest) -> ImageConfig {
    let env = [("PATH", PATH), ("LANG", "C.UTF-8"), ("PS1", PS1), ("ENV", "/etc/shrc")];
    let mut config = ImageConfig { created: Some(created.clone()), ..ImageConfig::default() };
    config.config = RunConfig {
        env: env.map(|(name, value)| format!("{name}={value}")).to_vec(),
        cmd: Some(vec!["sh".to_owned()]),
        working_dir: "/".to_owned(),
        ..RunConfig::default()
    };
    config.rootfs = RootFs { diff_ids: vec![diff_id], ..RootFs::default() };
    config.history = vec![History {
        created: Some(created),
        created_by: Some("minidocker: programs of this machine and the libraries they need".to_owned()),
        ..History::default()
    }];
    config
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_tree_has_its_own_users_and_directories() {
        let tree = tempfile::tempdir().unwrap();
        write(tree.path(), Path::new("/bin/dash")).unwrap();
        let mode = |path: &str| std::fs::metadata(tree.path().join(path)).unwrap().mode() & 0o7777;
        assert_eq!((mode(""), mode("tmp"), mode("root"), mode("proc")), (0o755, 0o1777, 0o700, 0o555));
        assert_eq!(mode("etc/passwd"), 0o644);
        let passwd = std::fs::read_to_string(tree.path().join("etc/passwd")).unwrap();
        assert!(passwd.starts_with("root:x:0:0:root:/root:/bin/sh\n"));
        assert_eq!(std::fs::read(tree.path().join("etc/hosts")).unwrap(), b"", "a mount point");
        assert_eq!(std::fs::read_link(tree.path().join("etc/mtab")).unwrap(), Path::new("/proc/mounts"));
    }

    #[test]
    fn a_link_never_replaces_a_program_and_follows_none_out() {
        let tree = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/usr/bin", tree.path().join("bin")).unwrap();
        link(tree.path(), "ip", Path::new("/bin/busybox")).unwrap();
        link(tree.path(), "ip", Path::new("/bin/other")).unwrap();
        assert_eq!(std::fs::read_link(tree.path().join("usr/bin/ip")).unwrap(), Path::new("/bin/busybox"));
    }

    /// What an interactive shell writes before it reads its first line in /tmp.
    fn prompt(shell: &[&str], own: Option<&str>) -> Option<String> {
        let tree = tempfile::tempdir().unwrap();
        let real = std::fs::canonicalize(["/usr/bin/", shell[0]].concat()).ok()?;
        write(tree.path(), &real).unwrap();
        let mut command = Command::new(&real);
        command.args(&shell[1..]).arg("-i").stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/tmp");
        command.env_clear().env("PS1", own.unwrap_or(PS1)).env("ENV", tree.path().join("etc/shrc"));
        Some(String::from_utf8_lossy(&command.output().ok()?.stderr).into_owned())
    }

    #[test]
    fn the_prompt_shows_the_working_directory_in_dash_and_in_bash() {
        let shells: [&[&str]; 3] = [&["dash"], &["bash", "--norc"], &["bash", "--posix"]];
        let here: Vec<_> = shells.iter().filter_map(|shell| Some((shell, prompt(shell, None)?))).collect();
        kit::require!(!here.is_empty(), "no-shell", "neither dash nor bash is here");
        for (shell, said) in here {
            assert!(said.contains("[hostbox] /tmp # "), "{shell:?}: {said:?}");
            let said = prompt(shell, Some("mine> ")).unwrap();
            assert!(said.contains("mine> ") && !said.contains("hostbox"), "{shell:?}: {said:?}");
        }
    }

    /// Runs a program of a tree, with the tree as its root, and gives what it wrote.
    fn in_tree(tree: &Path, words: &[&str]) -> String {
        let mut command = Command::new("unshare");
        // Of the host all but its files: /proc is what the host's is.
        let script = r#"mkdir -p "$0/proc" && mount --rbind /proc "$0/proc" && exec chroot "$0" "$@""#;
        command.args(["-Urm", "sh", "-c", script]).arg(tree).args(words);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn on_a_host_without_them_our_own_ps_id_mount_and_ip_come_along_and_run() {
        let room = Command::new("unshare").args(["-Urm", "true"]).output().unwrap();
        kit::require!(room.status.success(), "no-userns", "no user namespace can be made here");
        // Of the host nothing but its shell.
        let tree = tempfile::tempdir().unwrap();
        chroot::assemble(Path::new("/"), &["/bin/sh".into()], tree.path(), u64::MAX).unwrap();
        assert_eq!(carry(tree.path(), payload::PROGRAM, &payload::FILL_INS).unwrap(), None);
        for name in payload::FILL_INS {
            let link = std::fs::read_link(tree.path().join("bin").join(name)).unwrap();
            assert_eq!(link, Path::new(HOLES));
        }
        assert!(in_tree(tree.path(), &["holes", "uid"]).starts_with("uid           own "));
        assert!(in_tree(tree.path(), &["id"]).starts_with("uid=0 gid=0 groups=0"));
        assert!(in_tree(tree.path(), &["ps", "-o", "pid=,comm="]).lines().any(|l| l.trim().ends_with(" ps")));
        assert!(in_tree(tree.path(), &["mount"]).contains("proc on /proc type proc ("));
        assert!(in_tree(tree.path(), &["ip", "link"]).starts_with("1: lo: <LOOPBACK"));
    }

    #[test]
    fn without_the_libc_that_it_was_linked_with_our_own_is_left_out_and_named() {
        let tree = tempfile::tempdir().unwrap();
        // A dynamic program of the host, in a tree that has nothing which it needs.
        let dynamic = std::fs::read("/bin/ls").unwrap();
        let needs = chroot::needs_of(Path::new("/"), Path::new("/bin/ls")).unwrap();
        kit::require!(needs.len() > 1, "no-dynamic-ls", "the ls of this machine is static");
        let why = carry(tree.path(), &dynamic, &["ps"]).unwrap().unwrap();
        let lacking = needs.iter().any(|need| why.contains(&need.display().to_string()));
        assert!(lacking && why.contains("No such file or directory"), "{why}");
        let left: Vec<_> = std::fs::read_dir(tree.path().join("bin")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
