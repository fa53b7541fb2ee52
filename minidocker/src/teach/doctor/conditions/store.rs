//! The store's place.

use super::{Condition, Facts, Need};

/// What can't hold the upperdir of an overlay.
const UNFIT: [&str; 10] =
    ["overlay", "nfs", "ecryptfs", "9p", "fuse", "cifs", "smb2", "vfat", "exfat", "ntfs"];

/// `hostbox` has at most 24 MiB, and is unpacked beside its blob.
const LEAST_MIB: u64 = 64;
const LEAST_INODES: u64 = 256;

#[rustfmt::skip] // a row: what it stops, which failed calls it explains, by what it is recognised
pub(super) const ALL: &[Condition] = &[
    Condition { id: "no-home", needs: &[Need::Run], calls: "",
        holds: |f| { f.store.path.is_empty().then(|| "HOME is not set and this user has no home directory".to_owned()) } },
    Condition { id: "store-of-another", needs: &[Need::Run], calls: "",
        holds: |f| {
            let (owner, _) = f.store.owner.filter(|(owner, _)| *owner != f.asker.uid)?;
            Some(format!("{} belongs to uid {owner}, and this is uid {}", f.store.path, f.asker.uid))
        } },
    Condition { id: "store-open", needs: &[Need::Run], calls: "",
        holds: |f| {
            let (_, mode) = f.store.owner.filter(|(owner, mode)| *owner == f.asker.uid && mode & 0o022 != 0)?;
            Some(format!("{} has mode {mode:04o}", f.store.path))
        } },
    Condition { id: "store-read-only", needs: &[Need::Run], calls: "openat:EROFS mkdir:EROFS symlink:EROFS",
        holds: |f| write(f, &["EROFS"]) },
    Condition { id: "store-not-writable", needs: &[Need::Run], calls: "mkdir:EACCES mkdir:EPERM",
        holds: |f| { write(f, &["EACCES", "EPERM"]).filter(|_| f.store.owner.is_none_or(|(owner, _)| owner == f.asker.uid)) } },
    Condition { id: "store-file-system", needs: &[Need::Run], calls: "mount:EINVAL",
        holds: |f| { UNFIT.contains(&&*f.store.file_system).then(|| format!("{} is on {}", f.store.nearest, f.store.file_system)) } },
    Condition { id: "no-inodes", needs: &[Need::Run], calls: "write:ENOSPC openat:ENOSPC mkdir:ENOSPC symlink:ENOSPC mknodat:ENOSPC mkdirat:ENOSPC symlinkat:ENOSPC linkat:ENOSPC",
        holds: |f| { no_inodes(f).then(|| { format!("{} has {} inodes left", f.store.nearest, f.store.free_inodes.unwrap_or_default()) }) } },
    Condition { id: "disk-full", needs: &[Need::Run], calls: "write:ENOSPC openat:ENOSPC mkdir:ENOSPC write:EDQUOT openat:EDQUOT mkdir:EDQUOT copy_file_range:ENOSPC copy_file_range:EDQUOT mkdirat:ENOSPC symlinkat:ENOSPC linkat:ENOSPC",
        holds: |f| {
            let few = f.store.free_mib.filter(|mib| *mib < LEAST_MIB);
            let few = few.map(|mib| format!("{} has {mib} MiB left", f.store.nearest));
            few.or_else(|| write(f, &["ENOSPC", "EDQUOT"]).filter(|_| !no_inodes(f)))
        } },
];

fn write(f: &Facts, errnos: &[&str]) -> Option<String> {
    f.store.write.as_ref().filter(|r| errnos.contains(&&*r.errno)).map(|r| r.call.clone())
}

fn no_inodes(f: &Facts) -> bool {
    f.store.free_inodes.is_some_and(|free| free < LEAST_INODES)
}
