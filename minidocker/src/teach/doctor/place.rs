//! The store's place: whose it is, on which file system, what is free there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::process::{Resource, getrlimit};
use sys::SysError;

use super::facts::{Place, Refusal};
use crate::store::Store;

/// Names of file systems by the magic number of statfs(2) (linux/magic.h), as far as they matter here.
#[rustfmt::skip]
const NAMES: [(u32, &str); 16] = [
    (0x794c_7630, "overlay"), (0x6969, "nfs"), (0xf15f, "ecryptfs"), (0x0102_1997, "9p"), (0x6573_5546, "fuse"),
    (0xff53_4d42, "cifs"), (0xfe53_4d42, "smb2"), (0x4d44, "vfat"), (0x2011_bab0, "exfat"), (0x5346_544e, "ntfs"),
    (0x7366_746e, "ntfs3"), (0x0102_1994, "tmpfs"), (0xef53, "ext4"), (0x5846_5342, "xfs"), (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
];

/// Looks at the place of the store, and makes nothing that has a name.
pub(super) fn store() -> Place {
    let Ok((path, _)) = Store::locate() else { return Place::default() };
    let exists = |dir: &&Path| fs::metadata(dir).is_ok();
    let nearest = path.ancestors().find(exists).map_or_else(|| PathBuf::from("/"), Path::to_owned);
    let space = rustix::fs::statvfs(&nearest).ok();
    let owner = fs::metadata(&path).ok().map(|m| (m.uid(), m.permissions().mode() & 0o7777));
    // Control characters would reach a terminal.
    let shown = |path: &Path| path.to_string_lossy().replace(char::is_control, "?");
    Place {
        path: shown(&path),
        owner,
        file_system: file_system(&nearest),
        free_mib: space.as_ref().map(|s| s.f_bavail.saturating_mul(s.f_frsize) >> 20),
        free_inodes: space.as_ref().filter(|s| s.f_files > 0).map(|s| s.f_favail),
        write: write(&nearest, space.is_some_and(|s| s.f_flag.contains(StatVfsMountFlags::RDONLY))).err(),
        nearest: shown(&nearest),
    }
}

fn file_system(dir: &Path) -> String {
    // The field's type differs between architectures; the numbers have 32 bits.
    let Ok(magic) = rustix::fs::statfs(dir).map(|fs| fs.f_type as u32) else { return String::new() };
    NAMES
        .iter()
        .find(|(number, _)| *number == magic)
        .map_or_else(|| format!("{magic:#x}"), |(_, name)| (*name).to_owned())
}

/// By a file without a name, which is gone when it is closed (open(2), O_TMPFILE). Not every file system
/// can make one; then the permission is asked for.
fn write(dir: &Path, read_only: bool) -> Result<(), Refusal> {
    let shown = |what: &str| format!("{dir:?}, {what}");
    let how = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::open(dir, how, Mode::RUSR | Mode::WUSR) {
        // Under `ulimit -f 0` a write would end us (SIGXFSZ).
        Ok(_) if getrlimit(Resource::Fsize).current.is_some_and(|most| most < 4096) => Ok(()),
        Ok(file) => rustix::io::write(&file, &[0; 4096])
            .map(drop)
            .map_err(|e| Refusal::of(&SysError::of("write", shown("4096"), e))),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::INVAL | rustix::io::Errno::ISDIR)
            if !read_only =>
        {
            let (access, flags) = (rustix::fs::Access::WRITE_OK, rustix::fs::AtFlags::EACCESS);
            rustix::fs::accessat(rustix::fs::CWD, dir, access, flags)
                .map_err(|e| Refusal::of(&SysError::of("faccessat", shown("W_OK"), e)))
        }
        Err(e) => Err(Refusal::of(&SysError::of("openat", shown("O_TMPFILE|O_WRONLY|O_CLOEXEC"), e))),
    }
}
