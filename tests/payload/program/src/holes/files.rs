//! The row `files`: the way out of a chroot, and whose root directory is there.

use std::fs;
use std::path::Path;

use super::Finding;
use super::child::{answer_of_child, private_dir};
use super::host::{Host, id_of};

/// More steps than any path has; at the real root `..` stays where it is.
const STEPS: usize = 1024;

pub(super) fn files(host: &Host) -> Finding {
    let root = Path::new("/");
    let Some(before) = id_of(root) else { return Finding::new(None, "stat(\"/\") fails") };
    // The child says what happened, and which root it had in the end.
    let said = answer_of_child(|| {
        let way =
            climb().map_or_else(|e| format!("{}: {:?}", e.call(), e.errno()), |()| "chroot, ..".to_owned());
        let names = fs::read_dir(root).map_or(0, Iterator::count);
        format!("{}\n{way}\n{names}", id_of(root).unwrap_or_default())
    });
    let said = match said {
        Ok(said) => said,
        Err(why) => return Finding::new(None, why),
    };
    let [after, way, names] = said.lines().collect::<Vec<_>>()[..] else {
        return Finding::new(None, format!("the child was cut short: {said:?}"));
    };
    if after != before {
        return Finding::new(false, format!("{way}: out of it, / has {names} names now"));
    }
    let is_hosts = match host.has_root(after) {
        Some(told) => Some(told),
        None => host.own("mnt").map(|own| !own || root_is_a_disks()),
    };
    let whose = if is_hosts == Some(true) { "this is the host's /" } else { "no way to another /" };
    Finding::new(is_hosts.map(|hosts| !hosts), format!("{way}: {whose}, it has {names} names"))
}

/// The classic way out, see chapter 1, `breakout`. Afterwards `/` is the highest directory that can be had.
fn climb() -> sys::Result {
    let cell = private_dir()?;
    let (above, name) = (cell.parent().unwrap_or(Path::new("/")), cell.file_name().unwrap_or_default());
    sys::chdir(above)?;
    let entered = sys::chroot(&cell);
    // We stand above our root now, so this is the name of that root.
    sys::rmdir(Path::new(name))?;
    entered?;
    let mut here = id_of(Path::new("."));
    for _ in 0..STEPS {
        sys::chdir(Path::new(".."))?;
        let above = id_of(Path::new("."));
        if above == here {
            break;
        }
        here = above;
    }
    sys::chroot(Path::new("."))
}

/// Whether `/` is the top of a disk (or of a volume on it): a copy of the machine's mount table, as after
/// `unshare -m`, has that; a container's root lies deeper or is no disk.
fn root_is_a_disks() -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().rfind(|line| line.split(' ').nth(4) == Some("/")).is_some_and(is_a_disks)
}

/// A line of proc_pid_mountinfo(5). Btrfs has volumes such as `/@` or `/root`.
fn is_a_disks(line: &str) -> bool {
    let Some((left, right)) = line.split_once(" - ") else { return false };
    let part = left.split(' ').nth(3).unwrap_or_default();
    let source = right.split(' ').nth(1).unwrap_or_default();
    part.matches('/').count() == 1 && source.starts_with("/dev/")
}

#[cfg(test)]
mod tests {
    use super::is_a_disks;

    #[test]
    fn a_disks_root_is_told_from_a_containers() {
        assert!(is_a_disks("21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"));
        assert!(is_a_disks("21 1 0:22 /@ / rw,relatime shared:1 - btrfs /dev/nvme0n1p2 rw,subvol=/@"));
        assert!(!is_a_disks("99 21 254:0 /var/lib/x/rootfs / rw - ext4 /dev/vda rw"));
        assert!(!is_a_disks("99 21 0:40 / / rw - overlay overlay rw,lowerdir=/a"));
        assert!(!is_a_disks("99 21 0:40 / / rw - tmpfs tmpfs rw"));
    }
}
