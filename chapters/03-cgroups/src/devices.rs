//! Which devices a group may use: `devices.allow` and `devices.deny` of v1
//! (Documentation/admin-guide/cgroup-v1/devices.rst).

use std::fmt::Write;
use std::os::fd::AsFd;

use rustix::fs::OFlags;
use sys::{Errno, write_fd, write_file};

use crate::members::open;
use crate::{CgroupError, Group};

/// Block or character device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// Both, with every number and every access: the kernel reads no more of such a line.
    Any,
    /// A block device.
    Block,
    /// A character device.
    Char,
}

/// What a rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// To read.
    pub read: bool,
    /// To write.
    pub write: bool,
    /// To make a node with mknod(2).
    pub mknod: bool,
}

impl Access {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, mknod: true };
    /// To make a node, and nothing with it.
    pub const MKNOD: Self = Self { read: false, write: false, mknod: true };
}

impl std::str::FromStr for Access {
    type Err = ();

    /// Letters of `rwm`, each at most once.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut access = Self { read: false, write: false, mknod: false };
        for letter in text.chars() {
            let right = match letter {
                'r' => &mut access.read,
                'w' => &mut access.write,
                'm' => &mut access.mknod,
                _ => return Err(()),
            };
            if std::mem::replace(right, true) {
                return Err(());
            }
        }
        if text.is_empty() { Err(()) } else { Ok(access) }
    }
}

impl std::fmt::Display for Access {
    /// The same letters, in the kernel's order.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letters = [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')];
        letters.iter().filter(|(has, _)| *has).try_for_each(|(_, letter)| f.write_char(*letter))
    }
}

/// One rule: devices that a group may use. `None` is every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// Block or character.
    pub kind: DeviceKind,
    /// The driver.
    pub major: Option<u32>,
    /// The device of that driver.
    pub minor: Option<u32>,
    /// What is allowed.
    pub access: Access,
}

/// What decides about the devices of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Devices {
    /// The list of the v1 controller.
    V1List,
    /// Nothing of ours: whoever can make a node can use it. v2 has no such file, it asks an
    /// eBPF program (BPF_CGROUP_DEVICE), which this chapter does not write yet.
    None,
}

impl std::fmt::Display for DeviceRule {
    /// As the kernel reads it: `c 136:* rwm`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        let kind = match self.kind {
            DeviceKind::Any => 'a',
            DeviceKind::Block => 'b',
            DeviceKind::Char => 'c',
        };
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

const fn any(kind: DeviceKind) -> DeviceRule {
    DeviceRule { kind, major: None, minor: None, access: Access::MKNOD }
}

const fn char(major: u32, minor: Option<u32>) -> DeviceRule {
    DeviceRule { kind: DeviceKind::Char, major: Some(major), minor, access: Access::ALL }
}

/// What a container of Docker may use. Numbers: admin-guide/devices.txt. `mknod` of everything
/// is allowed, so that packages unpack; to open such a node is not.
///
/// Source: moby, daemon/pkg/oci/defaults.go (DefaultLinuxSpec, Resources.Devices), to which runc
/// adds libcontainer/specconv/spec_linux.go (AllowedDevices).
pub const DOCKER_DEVICES: [DeviceRule; 11] = [
    any(DeviceKind::Char),
    any(DeviceKind::Block),
    char(1, Some(3)), // null
    char(1, Some(5)), // zero
    char(1, Some(7)), // full
    char(1, Some(8)), // random
    char(1, Some(9)), // urandom
    char(5, Some(0)), // tty
    char(5, Some(1)), // console
    char(5, Some(2)), // ptmx
    char(136, None),  // pts/*
];

impl Group {
    /// What can decide about this group's devices.
    #[must_use]
    pub fn devices(&self) -> Devices {
        if self.with_file("devices.deny").is_some() { Devices::V1List } else { Devices::None }
    }

    /// Lets the group use these devices and no others. Says what decides from now on:
    /// [`Devices::None`] if nothing could be set. Before anybody joined.
    ///
    /// # Errors
    /// Those of write(2), save the EPERM that says that we may set no list here.
    pub fn allow_devices(&self, rules: &[DeviceRule]) -> Result<Devices, CgroupError> {
        let Some(dir) = self.with_file("devices.deny") else { return Ok(Devices::None) };
        crate::group::ours(dir)?;
        match write_file(&dir.join("devices.deny"), "a") {
            // Root of a user namespace may own the directory, but the kernel asks for
            // CAP_SYS_ADMIN in the first one (security/device_cgroup.c).
            Err(e) if e.errno() == Errno::EPERM => return Ok(Devices::None),
            other => other?,
        }
        let list = open(&dir.join("devices.allow"), OFlags::WRONLY)?;
        for rule in rules {
            match write_fd(list.as_fd(), &rule.to_string()) {
                // The group above (that of a container we run in) doesn't have it: nor will this one.
                Err(e) if e.errno() == Errno::EPERM => {}
                other => other?,
            }
        }
        Ok(Devices::V1List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_the_kernel_lists_them() {
        let shown: Vec<String> = DOCKER_DEVICES.iter().map(ToString::to_string).collect();
        assert_eq!(shown[0], "c *:* m");
        assert_eq!(shown[1], "b *:* m");
        assert_eq!(shown[2], "c 1:3 rwm");
        assert_eq!(shown[10], "c 136:* rwm");
        let access = "wr".parse().unwrap();
        let fuse = DeviceRule { kind: DeviceKind::Char, major: Some(10), minor: Some(229), access };
        assert_eq!(fuse.to_string(), "c 10:229 rw");
        let all = DeviceRule { kind: DeviceKind::Any, major: None, minor: None, access: Access::ALL };
        assert_eq!(all.to_string(), "a *:* rwm");
        for wrong in ["", "rr", "x", "rwx", "R"] {
            assert_eq!(wrong.parse::<Access>(), Err(()), "{wrong}");
        }
    }
}
