//! Who starts the containers: root, or a plain user with or without subordinate ids.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A user of the measured programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    Root,
    /// A plain user with a single id.
    Single,
    /// A plain user with 65536 subordinate ids from this one on.
    Subids(u32),
}

/// Ids that nobody gives away: below 60578 and above 60705 (systemd's UIDS-GIDS.md).
const SINGLE: u32 = 60_810;
const SUBIDS: u32 = 60_811;
const FIRST_SUBORDINATE: u32 = 1_950_000_000;

impl Who {
    /// The plain users that root measures.
    pub(super) const PLAIN: [Self; 2] = [Self::Single, Self::Subids(FIRST_SUBORDINATE)];

    /// The user that runs this program.
    pub(super) fn me() -> Result<Self> {
        if workspace::is_root()? {
            return Ok(Self::Root);
        }
        let uid = users_own("id", "-u")?;
        let name = users_own("id", "-un").unwrap_or_default();
        let table = fs::read_to_string("/etc/subuid").unwrap_or_default();
        let range = table.lines().find_map(|line| {
            let (owner, range) = line.split_once(':')?;
            (owner == uid || owner == name).then(|| range.split(':').next()?.parse().ok())?
        });
        Ok(range.map_or(Self::Single, Self::Subids))
    }

    pub(super) fn is_root(&self) -> bool {
        *self == Self::Root
    }

    /// In words.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Single => "a plain user with one id",
            Self::Subids(_) => "a plain user with subordinate ids",
        }
    }

    /// In one word.
    pub(super) fn folder(&self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Single => "single",
            Self::Subids(_) => "subids",
        }
    }

    pub(super) fn first_subid(&self) -> Option<u32> {
        match self {
            Self::Subids(first) => Some(*first),
            _ => None,
        }
    }

    pub(super) fn floor_options(&self) -> Vec<&'static str> {
        match self {
            Self::Root => Vec::new(),
            Self::Single => vec!["-u", "single"],
            Self::Subids(_) => vec!["-u", "helpers"],
        }
    }

    /// What makes a command of root one of this plain user.
    pub(super) fn become_it(&self) -> Result<Command> {
        let uid = match self {
            Self::Root => bail!("root is root already"),
            Self::Single => SINGLE,
            Self::Subids(_) => SUBIDS,
        };
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()]).arg("--");
        Ok(command)
    }

    /// Makes a folder of this user's.
    pub(super) fn make_folder(&self, room: &Path) -> Result<PathBuf> {
        let folder = room.join(self.folder());
        fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let uid = match self {
            Self::Root => return Ok(folder),
            Self::Single => SINGLE,
            Self::Subids(_) => SUBIDS,
        };
        std::os::unix::fs::lchown(&folder, Some(uid), Some(uid))?;
        Ok(folder)
    }
}

/// Puts the plain users into this room's /etc: an overlay, which the host doesn't see.
pub(super) fn add_plain_users(room: &Path) -> Result<()> {
    let etc = room.join("etc");
    fs::create_dir(&etc)?;
    let subordinate = format!("mdbench2:{FIRST_SUBORDINATE}:65536\n");
    let tables = [
        (
            "passwd",
            format!("mdbench1:x:{SINGLE}:{SINGLE}::/:/bin/sh\nmdbench2:x:{SUBIDS}:{SUBIDS}::/:/bin/sh\n"),
        ),
        ("group", format!("mdbench1:x:{SINGLE}:\nmdbench2:x:{SUBIDS}:\n")),
        ("subuid", subordinate.clone()),
        ("subgid", subordinate),
    ];
    for (name, lines) in tables {
        let host = fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
        let host = if host.is_empty() { host } else { format!("{}\n", host.trim_end()) };
        fs::write(etc.join(name), host + &lines)?;
    }
    let lower = format!("lowerdir={}:/etc", etc.display());
    workspace::run(Command::new("mount").args(["-t", "overlay", "-o", &lower, "overlay", "/etc"]))
}

/// One line that a program says.
fn users_own(program: &str, argument: &str) -> Result<String> {
    let out = Command::new(program).arg(argument).output().with_context(|| format!("start {program}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
