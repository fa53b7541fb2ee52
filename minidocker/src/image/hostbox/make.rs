//! Making hostbox: choose, assemble, try, pack, name.

use std::cell::LazyCell;
use std::path::{Path, PathBuf};

use images::{
    Compression, Layout, Manifest, Owners, PackOptions, Platform, Reference, media, pack_layer, spec,
};

use chroot::Refused;
use payload::FILL_INS;
use sys::{Errno, SysError};

use super::programs::{self, EXTRA, Found, GUARANTEED, appeared, is_on_path, settled};
use super::record::{ANNOTATION, Record};
use super::refused::{self, hindrances};
use super::{files, trial::trial};
use crate::image::{ImageError, load};
use crate::store::Store;

/// The most that programs and libraries may have together.
const LIMIT_BYTES: u64 = 24 << 20;

/// What was chosen of the host.
#[derive(Debug, Default)]
struct Chosen {
    /// Name and path, the guaranteed ones first.
    programs: Vec<(&'static str, PathBuf)>,
    /// Guaranteed programs that the host has not, or not from the system.
    notices: Vec<String>,
    /// Programs whose appearance makes the image stale.
    absent: Vec<String>,
    /// Applets of busybox in place of absent programs, and where it is.
    applets: Vec<(&'static str, PathBuf)>,
    /// Files that were found in place of a program, and can't be taken as they are.
    watched: Vec<PathBuf>,
}

/// Makes the image and gives it its name. The caller holds the images lock. Gives what is to be told.
pub(super) fn make(
    store: &Store,
    layout: &Layout,
    reference: &Reference,
    host: &Path,
) -> Result<Vec<String>, ImageError> {
    let blobs = store.images().join("blobs/sha256");
    std::fs::create_dir_all(&blobs)
        .map_err(|e| ImageError::HostboxCall(SysError::of("mkdir", format!("{blobs:?}, 0777"), e)))?;
    layout.sweep();
    let tree = store.layers().join(format!(".tmp-{}-hostbox", std::process::id()));
    // Numbers of processes come again, in a pid namespace of its own soon: that one was killed.
    crate::store::remove_tree(store, &tree)?;
    let made = std::fs::create_dir(&tree)
        .map_err(|e| ImageError::HostboxCall(SysError::of("mkdir", format!("{tree:?}, 0777"), e)))
        .and_then(|()| build(store, layout, reference, host, &tree));
    // Before any error of it: the tree is worth nothing.
    let removed = crate::store::remove_tree(store, &tree);
    let notices = made.map_err(|e| for_want_of_room(store, e))?;
    removed?;
    Ok(notices)
}

fn for_want_of_room(store: &Store, error: ImageError) -> ImageError {
    match error {
        ImageError::HostboxCall(source) if matches!(source.errno(), Errno::ENOSPC | Errno::EDQUOT) => {
            ImageError::HostboxRoom { store: store.root().to_owned(), source }
        }
        other => other,
    }
}

fn build(
    store: &Store,
    layout: &Layout,
    reference: &Reference,
    host: &Path,
    tree: &Path,
) -> Result<Vec<String>, ImageError> {
    hold_descriptors().map_err(ImageError::HostboxCall)?;
    let Chosen { programs, mut notices, absent, applets, watched } = choose(host, applets);
    let paths: Vec<PathBuf> = programs.iter().chain(&applets).map(|(_, path)| path.clone()).collect();
    let limit_bytes = LIMIT_BYTES - payload::PROGRAM.len() as u64;
    let report = chroot::assemble(host, &paths, tree, limit_bytes).map_err(ImageError::HostboxCall)?;
    for (name, path) in programs.iter().filter(|(name, _)| no_fill_in(name)) {
        if let Some(refused) = report.refused.iter().find(|r| r.program == *path) {
            notices.push(refused::notice(name, refused));
        }
    }
    let taken = |path: &PathBuf| !report.refused.iter().any(|r| r.program == *path);
    let lacks = |name: &&str| !programs.iter().any(|(n, path)| n == name && taken(path));
    let lacking: Vec<&str> = FILL_INS.into_iter().filter(lacks).collect();
    if let Some(why) = files::carry(tree, payload::PROGRAM, &lacking).map_err(ImageError::HostboxCall)? {
        let without = lacking.into_iter().chain([files::HOLES]);
        notices.extend(without.map(|name| format!("hostbox has no {name}: our own can't run: {why}")));
    }
    let shell = programs.iter().chain(&applets).find(|(name, path)| *name == "sh" && taken(path));
    let Some((_, shell)) = shell else {
        return Err(ImageError::Hostbox(format!(
            "this machine has no sh to take along\n  do: install dash, bash, or a static busybox\n{}",
            notices.iter().find(|notice| notice.starts_with("hostbox has no sh:")).map_or("", String::as_str)
        )));
    };
    let elsewhere = programs.iter().filter(|(_, path)| !is_on_path(path));
    for (name, path) in elsewhere.chain(&applets).filter(|(_, path)| taken(path)) {
        files::link(tree, name, &settled(host, path)).map_err(ImageError::HostboxCall)?;
    }
    let real_shell = chroot::Root::open(host).and_then(|tree| tree.real(shell)).unwrap_or_default();
    files::write(tree, &real_shell).map_err(ImageError::HostboxCall)?;
    trial(tree, shell).map_err(ImageError::Hostbox)?;
    name(store, layout, reference, tree, &Record::new(host, &report, absent, &watched))?;
    Ok(notices)
}

/// Opens as many as the look at one program has open at once, and gives them back. Half-way the lack of
/// descriptors (EMFILE) would pass for a program that is not there, and the image would be kept.
///
/// So would the lack of /proc, by whose /proc/self/fd files are found; that is what is opened here.
fn hold_descriptors() -> Result<(), SysError> {
    const MOST: usize = 16;
    let fds = "/proc/self/fd";
    let shown = || format!("AT_FDCWD, {fds:?}, O_RDONLY|O_CLOEXEC");
    let open = |_| std::fs::File::open(fds).map_err(|e| SysError::of("openat", shown(), e));
    (0..MOST).map(open).collect::<Result<Vec<_>, _>>().map(drop)
}

/// `applets` tells what a busybox can do: it stands in for what the host has not, or has in a form that
/// can't be taken.
fn choose(host: &Path, applets: impl Fn(&Path, &Path) -> Vec<String>) -> Chosen {
    let mut chosen = Chosen::default();
    let busybox = match programs::find(host, "busybox") {
        Found::At(path) => Some(path),
        _ => None,
    };
    let list = LazyCell::new(|| busybox.as_ref().map_or(Vec::new(), |path| applets(host, path)));
    let applet =
        |name| busybox.as_ref().filter(|_| !FILL_INS.contains(&name) && list.iter().any(|a| a == name));
    // With nothing to stand in, the reason is told when the program was to be copied.
    let refusal = |path: &PathBuf| {
        let why = busybox.as_ref().and_then(|_| chroot::needs_of(host, path).err());
        why.map(|why| Refused { program: path.clone(), why })
    };
    for name in GUARANTEED.into_iter().chain(EXTRA) {
        let found = programs::find(host, name);
        if let Found::At(path) = found {
            match refusal(&path).zip(applet(name)) {
                Some((refused, busybox)) => {
                    chosen.watched.extend(hindrances(&refused));
                    chosen.applets.push((name, busybox.clone()));
                }
                None => chosen.programs.push((name, path)),
            }
            continue;
        }
        if appeared(host, name) {
            chosen.watched.extend(programs::places(name));
        } else {
            chosen.absent.push(name.to_owned());
        }
        if let Some(busybox) = applet(name) {
            chosen.applets.push((name, busybox.clone()));
        } else if no_fill_in(name) {
            let why = match found {
                Found::Foreign(real) => format!("{} is not of the system", real.display()),
                _ => "this machine has none".to_owned(),
            };
            chosen.notices.push(format!("hostbox has no {name}: {why}\n  do: install the package of {name}"));
        }
    }
    chosen
}

/// Whether a program is guaranteed, and we have none of our own for a host without it.
fn no_fill_in(name: &str) -> bool {
    GUARANTEED.contains(&name) && !FILL_INS.contains(&name)
}

/// What this busybox can do: it is built with the applets that its maker chose.
fn applets(host: &Path, busybox: &Path) -> Vec<String> {
    let output = std::process::Command::new(programs::on_host(host, busybox)).arg("--list").output();
    output.map_or(Vec::new(), |o| String::from_utf8_lossy(&o.stdout).lines().map(str::to_owned).collect())
}

/// From here on it is an image like any other: layer, configuration, manifest, name.
fn name(
    store: &Store,
    layout: &Layout,
    reference: &Reference,
    tree: &Path,
    record: &Record,
) -> Result<(), ImageError> {
    // The same programs give the same layer, whenever it is made.
    let options =
        PackOptions { owners: Owners::Single, mtime: Some(record.newest()), compression: Compression::None };
    let (layer, packed) = layout.put_with(media::LAYER, |writer| pack_layer(tree, writer, &options))?;
    load::unpack(store, layout, &reference.familiar(), &packed.diff_id, &layer)?;
    let config = files::config(jiff::Timestamp::now().to_string(), packed.diff_id);
    let config_blob = layout.put_json(media::CONFIG, &config)?;
    let mut manifest = Manifest::new(config_blob, vec![layer]);
    let record = serde_json::to_string(record).map_err(|e| ImageError::Hostbox(e.to_string()))?;
    manifest.annotations.insert(ANNOTATION.to_owned(), record);
    let mut descriptor = layout.put_json(media::MANIFEST, &manifest)?;
    descriptor.platform = Some(Platform {
        architecture: spec::architecture().to_owned(),
        os: "linux".to_owned(),
        variant: None,
        extra: spec::Extra::new(),
    });
    Ok(layout.set_reference(reference, descriptor)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A host with these executable files.
    fn host(files: &[&str]) -> tempfile::TempDir {
        let host = tempfile::tempdir().unwrap();
        for file in files {
            put(host.path(), file, "");
        }
        host
    }

    fn put(host: &Path, file: &str, text: &str) {
        let path = host.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path_of<'a>(chosen: &'a Chosen, name: &str) -> Option<&'a Path> {
        chosen.programs.iter().find(|(n, _)| *n == name).map(|(_, path)| path.as_path())
    }

    #[test]
    fn programs_come_from_fixed_directories_and_the_system_profile_alone() {
        let host = host(&[
            "bin/sh",
            "usr/bin/ls",
            "sbin/ip",
            "run/current-system/sw/bin/cat",
            "usr/local/bin/id",
            "home/me/bin/ps",
            "snap/bin/grep",
            "opt/bin/wc",
        ]);
        let chosen = choose(host.path(), |_, _| Vec::new());
        assert_eq!(path_of(&chosen, "sh"), Some(Path::new("/bin/sh")));
        assert_eq!(path_of(&chosen, "ls"), Some(Path::new("/usr/bin/ls")));
        assert_eq!(path_of(&chosen, "ip"), Some(Path::new("/sbin/ip")));
        assert_eq!(path_of(&chosen, "cat"), Some(Path::new("/run/current-system/sw/bin/cat")));
        for name in ["id", "ps", "grep", "wc"] {
            assert_eq!(path_of(&chosen, name), None, "{name}");
            // Where our own stands in, nothing is lacking.
            let notice =
                format!("hostbox has no {name}: this machine has none\n  do: install the package of {name}");
            assert_eq!(chosen.notices.contains(&notice), ["grep", "wc"].contains(&name), "{name}");
            assert!(chosen.absent.contains(&name.to_owned()));
        }
    }

    #[test]
    fn a_full_disk_is_the_stores_whatever_the_call_names() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        let store = Store::at(root.clone(), crate::store::Privilege::Rootless).unwrap();
        for (errno, full) in [(Errno::ENOSPC, true), (Errno::EDQUOT, true), (Errno::EIO, false)] {
            let call = SysError::new("copy_file_range", "\"/usr/lib/libc.so.6\"".to_owned(), errno);
            let below = for_want_of_room(&store, ImageError::HostboxCall(call)).below();
            assert!(below.call.unwrap().starts_with("copy_file_range(\"/usr/lib/libc.so.6\") : E"));
            let root = root.display();
            assert_eq!(below.remedy, full.then(|| format!("df -h {root}; df -i {root}")));
            let because = below.because.unwrap_or_default();
            assert_eq!(because.starts_with(&format!("the file system of the store {root} is full, ")), full);
        }
    }

    #[test]
    fn a_link_into_a_home_or_to_a_launcher_is_not_the_systems() {
        let host = host(&["home/me/ls", "snap/core/ps", "usr/bin/cat"]);
        symlink("../../home/me/ls", host.path().join("usr/bin/ls")).unwrap();
        symlink("../../snap/core/ps", host.path().join("usr/bin/ps")).unwrap();
        let chosen = choose(host.path(), |_, _| Vec::new());
        let notice = "hostbox has no ls: /home/me/ls is not of the system\n  do: install the package of ls";
        assert!(chosen.notices.contains(&notice.to_owned()));
        assert_eq!((path_of(&chosen, "ps"), path_of(&chosen, "ls")), (None, None));
        assert!(!chosen.notices.iter().any(|n| n.contains("no ps")), "our own stands in");
        assert!(path_of(&chosen, "cat").is_some());
        // The link stands there: it can't appear.
        assert!(!chosen.absent.contains(&"ls".to_owned()));
    }

    #[test]
    fn a_file_that_is_not_executable_is_no_program_and_makes_nothing_stale() {
        let host = host(&["bin/sh"]);
        fs::write(host.path().join("bin/ls"), "").unwrap();
        let chosen = choose(host.path(), |_, _| Vec::new());
        assert_eq!(path_of(&chosen, "ls"), None);
        assert!(!chosen.absent.contains(&"ls".to_owned()));
    }

    #[test]
    fn busybox_stands_in_for_what_it_can_do() {
        let host = host(&["bin/sh"]);
        put(host.path(), "bin/busybox", "");
        let list = |_: &Path, _: &Path| ["ls", "ip", "seq"].map(str::to_owned).to_vec();
        let chosen = choose(host.path(), list);
        let busybox = PathBuf::from("/bin/busybox");
        // Our own `ip` comes before that of busybox.
        assert_eq!(chosen.applets, [("ls", busybox.clone()), ("seq", busybox.clone())]);
        assert!(!chosen.notices.iter().any(|n| n.contains("no ip") || n.contains("no ps")));
        assert!(chosen.notices.iter().any(|n| n.starts_with("hostbox has no wc: this machine has none\n")));
    }

    #[test]
    fn busybox_stands_in_for_what_cannot_be_taken_until_that_changes() {
        let host = host(&["bin/busybox"]);
        put(host.path(), "bin/ls", "#!/bin/bash\n");
        put(host.path(), "bin/wc", "#!/bin/bash\n");
        let chosen = choose(host.path(), |_, _| vec!["ls".to_owned()]);
        assert_eq!(chosen.applets, [("ls", PathBuf::from("/bin/busybox"))]);
        assert_eq!(chosen.watched, [Path::new("/bin/ls")]);
        // Nothing stands in for this one: its copying will tell why it can't be taken.
        assert_eq!((path_of(&chosen, "ls"), path_of(&chosen, "wc")), (None, Some(Path::new("/bin/wc"))));
    }
}
