//! `mount`: the mount table, or one more mount. What it takes is what mount(8) and busybox share:
//! `mount`, `mount -t TYPE`, `mount [-t TYPE] [-o OPTIONS] [-r] SRC DST`, `mount --bind SRC DST`,
//! `mount -o remount,... DST`, `mount --make-private DST`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sys::MsFlags;

/// Options that are flags of mount(2): the flag, and whether the word sets it.
const FLAGS: [(&str, MsFlags, bool); 19] = [
    ("ro", MsFlags::MS_RDONLY, true),
    ("rw", MsFlags::MS_RDONLY, false),
    ("nosuid", MsFlags::MS_NOSUID, true),
    ("suid", MsFlags::MS_NOSUID, false),
    ("nodev", MsFlags::MS_NODEV, true),
    ("dev", MsFlags::MS_NODEV, false),
    ("noexec", MsFlags::MS_NOEXEC, true),
    ("exec", MsFlags::MS_NOEXEC, false),
    ("noatime", MsFlags::MS_NOATIME, true),
    ("relatime", MsFlags::MS_RELATIME, true),
    ("strictatime", MsFlags::MS_STRICTATIME, true),
    ("remount", MsFlags::MS_REMOUNT, true),
    ("bind", MsFlags::MS_BIND, true),
    ("rbind", MsFlags::MS_BIND.union(MsFlags::MS_REC), true),
    ("move", MsFlags::MS_MOVE, true),
    ("private", MsFlags::MS_PRIVATE, true),
    ("rprivate", MsFlags::MS_PRIVATE.union(MsFlags::MS_REC), true),
    ("shared", MsFlags::MS_SHARED, true),
    ("slave", MsFlags::MS_SLAVE, true),
];

/// What a mount has of its own, apart from its file system: these bits statvfs(3) and mount(2) share.
const KEPT: MsFlags =
    MsFlags::MS_RDONLY.union(MsFlags::MS_NOSUID).union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);
const PROPAGATION: MsFlags = MsFlags::MS_PRIVATE.union(MsFlags::MS_SHARED).union(MsFlags::MS_SLAVE);

/// What was asked for.
#[derive(Default)]
struct Asked {
    fstype: Option<String>,
    options: Vec<String>,
    paths: Vec<String>,
}

pub(crate) fn main(arguments: &[String]) -> Result<u8> {
    let mut asked = Asked::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().with_context(|| format!("{word} wants a word behind it"));
        match word.as_str() {
            "-t" => asked.fstype = Some(value()?),
            "-o" => asked.options.extend(value()?.split(',').map(str::to_owned)),
            "-r" => asked.options.push("ro".to_owned()),
            "-w" => asked.options.push("rw".to_owned()),
            "--bind" | "--rbind" | "--move" => asked.options.push(word[2..].to_owned()),
            "--make-private" | "--make-rprivate" | "--make-shared" | "--make-slave" => {
                asked.options.push(word["--make-".len()..].to_owned());
            }
            _ if word.starts_with('-') => bail!("no option {word}"),
            _ => asked.paths.push(word.clone()),
        }
    }
    if asked.paths.is_empty() && asked.options.is_empty() {
        let table = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
        crate::print(&shown(&table, asked.fstype.as_deref()))?;
        return Ok(0);
    }
    mount(&asked).map(|()| 0)
}

fn mount(asked: &Asked) -> Result<()> {
    let (mut flags, mut named, mut data) = (MsFlags::empty(), MsFlags::empty(), Vec::new());
    for option in asked.options.iter().filter(|option| *option != "defaults") {
        match FLAGS.iter().find(|(name, ..)| name == option) {
            Some((_, flag, set)) => {
                flags.set(*flag, *set);
                named |= *flag;
            }
            // For the file system itself.
            None => data.push(option.as_str()),
        }
    }
    let alone = MsFlags::MS_REMOUNT | PROPAGATION;
    let (source, target) = match asked.paths.as_slice() {
        [target] if flags.intersects(alone) => (None, target),
        [source, target] => (Some(Path::new(source)), target),
        _ => bail!("mount [-t TYPE] [-o OPTIONS] SOURCE TARGET: /etc/fstab is not read here"),
    };
    let needs_type = !flags.intersects(alone | MsFlags::MS_BIND | MsFlags::MS_MOVE);
    if needs_type && asked.fstype.is_none() {
        bail!("{target}: which file system? Say it with -t TYPE");
    }
    // mount(2) takes one operation a call, and passes over what else is there.
    let kinds = MsFlags::MS_BIND | MsFlags::MS_REC | MsFlags::MS_REMOUNT;
    if named.intersects(PROPAGATION) && !(PROPAGATION | MsFlags::MS_REC).contains(named) {
        bail!("{target}: mount it first, and then say mount --make-private (or -shared, -slave) {target}");
    }
    if named.contains(MsFlags::MS_MOVE) && named != MsFlags::MS_MOVE {
        bail!("{target}: move it first, and then say mount -o remount,bind,... {target}");
    }
    let (target, data) = (Path::new(target), data.join(","));
    let data = (!data.is_empty()).then_some(data.as_str());
    sys::mount(source, target, asked.fstype.as_deref(), flags, data)?;
    let own = named.difference(kinds);
    if flags.contains(MsFlags::MS_BIND) && !flags.contains(MsFlags::MS_REMOUNT) && !own.is_empty() {
        let flags = flags.difference(MsFlags::MS_REC) | inherited(target)?.difference(own);
        sys::mount(None, target, None, flags | MsFlags::MS_REMOUNT, None)?;
    }
    Ok(())
}

/// What a bind has from its source. In a user namespace it can't be taken away (mount_namespaces(7)).
fn inherited(target: &Path) -> Result<MsFlags> {
    let found = rustix::fs::statvfs(target).with_context(|| format!("statvfs({target:?})"))?;
    Ok(MsFlags::from_bits_truncate(found.f_flag.bits() as _) & KEPT)
}

/// The lines of proc_pid_mounts(5) in the words of mount(8).
fn shown(table: &str, fstype: Option<&str>) -> String {
    let mut text = String::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [source, target, kind, options, ..] = fields[..] else { continue };
        if fstype.is_none_or(|wanted| wanted == kind) {
            let (source, target) = (plain(source), plain(target));
            let _ = writeln!(text, "{source} on {target} type {kind} ({options})");
        }
    }
    text
}

/// Blanks, tabs, newlines and backslashes stand there as \ooo.
fn plain(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_shown_as_mount_shows_it() {
        let table = "proc /proc proc rw,nosuid 0 0\ntmpfs /a\\040b tmpfs ro,size=4k 0 0\n";
        assert_eq!(
            shown(table, None),
            "proc on /proc type proc (rw,nosuid)\ntmpfs on /a b type tmpfs (ro,size=4k)\n"
        );
        assert_eq!(shown(table, Some("tmpfs")), "tmpfs on /a b type tmpfs (ro,size=4k)\n");
    }

    #[test]
    fn a_mount_without_a_type_or_a_source_is_refused_before_any_call() {
        let refused = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            main(&words).unwrap_err().to_string()
        };
        assert_eq!(refused(&["/dev/sda", "/mnt"]), "/mnt: which file system? Say it with -t TYPE");
        assert!(refused(&["/mnt"]).ends_with("/etc/fstab is not read here"));
        assert_eq!(refused(&["-t"]), "-t wants a word behind it");
        assert_eq!(refused(&["-a"]), "no option -a");
    }
}
