//! One mount below a root, and what the kernel made of it.
//!
//! ```console
//! $ cargo run --example mount_in -- rootfs bind /etc /mnt ro     # a line of /proc/self/mountinfo
//! $ cargo run --example mount_in -- rootfs proc proc /proc       # refused where /proc is a link
//! ```
//!
//! It happens in the borrowed room, or, with `ROOM=mnt`, in a mount namespace alone, which takes root.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use chroot::{Mount, Nodes, Root};
use sys::{CloneFlags, MsFlags};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [rootfs, kind, source, destination, options @ ..] = &words[..] else {
        bail!("mount_in ROOTFS bind|make|FSTYPE SOURCE DESTINATION [ro|nosuid|nodev|noexec|slave]...");
    };
    if std::env::var_os("ROOM").is_some_and(|room| room == "mnt") {
        sys::unshare(CloneFlags::CLONE_NEWNS)?;
        sys::mount(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    } else {
        sys::borrowed_room()?;
    }
    let root = Root::open(Path::new(rootfs))?;
    let (source, destination) = (Path::new(source), Path::new(destination));
    let mut mount = match kind.as_str() {
        "bind" => Mount::bind(source, destination),
        "make" => {
            chroot::mount_in(&root, &Mount::new("tmpfs", Path::new("/dev"), MsFlags::empty(), None))?;
            chroot::populate_dev(&root, Nodes::Make)?;
            chroot::bind_console(&root, source)?;
            let kind = rustix::fs::FileType::CharacterDevice;
            let path = "/dev/below/null".into();
            let device = chroot::Device { path, kind, number: (1, 3), mode: 0o640, owner: (5, 6) };
            chroot::make_devices(&root, &[device], Nodes::Make)?;
            let made = std::fs::metadata(Path::new(rootfs).join("dev/below/null"))?;
            println!("{:o} {:#x} {}:{}", made.mode(), made.rdev(), made.uid(), made.gid());
            return Ok(());
        }
        fstype => Mount::new(fstype, destination, MsFlags::empty(), None),
    };
    for option in options {
        match option.as_str() {
            "ro" => mount.flags |= MsFlags::MS_RDONLY,
            "nosuid" => mount.flags |= MsFlags::MS_NOSUID,
            "nodev" => mount.flags |= MsFlags::MS_NODEV,
            "noexec" => mount.flags |= MsFlags::MS_NOEXEC,
            "slave" => mount.propagation = MsFlags::MS_SLAVE,
            other => bail!("unknown option {other}"),
        }
    }
    chroot::mount_in(&root, &mount)?;
    let table = std::fs::read_to_string("/proc/self/mountinfo").context("mountinfo")?;
    println!("{}", table.lines().last().unwrap_or_default());
    Ok(())
}
