//! Devices of the Spec: the nodes in the container's /dev, and which of them may be used.

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType as Type};
use rustix::fs::FileType;

use cgroups::{Access, DeviceKind, DeviceRule};
use chroot::Device;

use super::PlanError;

fn not_understood(what: &'static str, value: impl Into<String>) -> PlanError {
    PlanError::Value { what, value: value.into() }
}

/// `linux.devices`, and those of the runtime-spec's "Default Devices" that it doesn't name.
pub(super) fn nodes(linux: &Linux) -> Result<Vec<Device>, PlanError> {
    let named = linux.devices().iter().flatten().map(node);
    let mut all = named.collect::<Result<Vec<_>, _>>()?;
    for device in chroot::default_devices() {
        if !all.iter().any(|named| named.path == device.path) {
            all.push(device);
        }
    }
    Ok(all)
}

fn node(device: &LinuxDevice) -> Result<Device, PlanError> {
    let path = device.path().clone();
    let wrong = |what| not_understood(what, path.display().to_string());
    if !path.is_absolute() || path.file_name().is_none() {
        return Err(wrong("device path"));
    }
    let kind = match device.typ() {
        Type::B => FileType::BlockDevice,
        Type::C | Type::U => FileType::CharacterDevice,
        Type::P => FileType::Fifo,
        Type::A => return Err(wrong("type of the device")),
    };
    let number = |n: i64| u32::try_from(n).map_err(|_| wrong("number of the device"));
    Ok(Device {
        kind,
        number: (number(device.major())?, number(device.minor())?),
        mode: device.file_mode().unwrap_or(0o666),
        owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
        path,
    })
}

/// `linux.resources.devices` as lines of v1's devices.allow. As runc's, a list of ours starts with
/// nothing allowed, which the first entry may say; one that forbids later has no line there.
pub(super) fn rules(linux: &Linux) -> Result<Vec<DeviceRule>, PlanError> {
    let list = linux.resources().as_ref().and_then(|r| r.devices().as_deref()).unwrap_or_default();
    let forbids_all = |rule: &LinuxDeviceCgroup| {
        !rule.allow() && matches!(rule.typ(), None | Some(Type::A)) && rule.major().is_none()
    };
    let list = if list.first().is_some_and(forbids_all) { &list[1..] } else { list };
    Ok(list.iter().map(rule).collect::<Result<Vec<_>, _>>()?.concat())
}

fn rule(rule: &LinuxDeviceCgroup) -> Result<Vec<DeviceRule>, PlanError> {
    let text = rule.access().as_deref().unwrap_or("rwm");
    let access: Access = text.parse().map_err(|()| not_understood("device access", text))?;
    if !rule.allow() {
        return Err(not_understood("device rule that forbids after others", text));
    }
    // Without a number, or with -1, it is every one.
    let number = |n: Option<i64>| match n {
        None | Some(-1) => Ok(None),
        Some(n) => u32::try_from(n).map(Some).map_err(|_| not_understood("device number", n.to_string())),
    };
    let (major, minor) = (number(rule.major())?, number(rule.minor())?);
    let kinds: &[DeviceKind] = match rule.typ() {
        // The kernel reads no further than the `a`: it allows all.
        None | Some(Type::A) if (access, major, minor) == (Access::ALL, None, None) => &[DeviceKind::Any],
        None | Some(Type::A) => &[DeviceKind::Block, DeviceKind::Char],
        Some(Type::B) => &[DeviceKind::Block],
        Some(Type::C | Type::U) => &[DeviceKind::Char],
        Some(Type::P) => return Err(not_understood("device type", "p")),
    };
    Ok(kinds.iter().map(|kind| DeviceRule { kind: *kind, major, minor, access }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linux(text: &str) -> Linux {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn named_devices_come_with_the_default_ones_and_may_replace_them() {
        let spec = r#"{"devices": [
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 432, "uid": 1, "gid": 2},
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 292},
            {"path": "/run/pipe", "type": "p", "major": 0, "minor": 0}]}"#;
        let all = nodes(&linux(spec)).unwrap();
        let shown: Vec<String> = all
            .iter()
            .map(|d| format!("{} {:?} {:?} {:o} {:?}", d.path.display(), d.kind, d.number, d.mode, d.owner))
            .collect();
        assert_eq!(shown[0], "/dev/fuse CharacterDevice (10, 229) 660 (1, 2)");
        assert_eq!(shown[1], "/dev/null CharacterDevice (1, 3) 444 (0, 0)");
        assert_eq!(shown[2], "/run/pipe Fifo (0, 0) 666 (0, 0)");
        assert_eq!(all.len(), 8, "{shown:?}");
        assert_eq!(nodes(&linux("{}")).unwrap(), chroot::default_devices());
    }

    #[test]
    fn a_device_that_is_none_is_refused() {
        for device in [
            r#"{"path": "dev/x", "type": "c", "major": 1, "minor": 3}"#,
            r#"{"path": "/", "type": "c", "major": 1, "minor": 3}"#,
            r#"{"path": "/dev/x", "type": "a", "major": 1, "minor": 3}"#,
            r#"{"path": "/dev/x", "type": "b", "major": -1, "minor": 3}"#,
        ] {
            let spec = linux(&format!(r#"{{"devices": [{device}]}}"#));
            assert!(matches!(nodes(&spec), Err(PlanError::Value { .. })), "{device}");
        }
    }

    #[test]
    fn rules_are_lines_of_devices_allow() {
        let spec = |list: &str| linux(&format!(r#"{{"resources": {{"devices": [{list}]}}}}"#));
        let good = spec(
            r#"{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"},
               {"allow": true, "type": "b", "major": 8}, {"allow": true}, {"allow": true, "access": "m"}"#,
        );
        let lines: Vec<String> = rules(&good).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["c 10:229 rw", "b 8:* rwm", "a *:* rwm", "b *:* m", "c *:* m"]);
        for bad in [
            r#"{"allow": true, "access": "rx"}"#,
            r#"{"allow": true}, {"allow": false, "type": "c", "major": 1, "minor": 1}"#,
            r#"{"allow": true, "type": "p"}"#,
            r#"{"allow": true, "type": "c", "major": -2}"#,
        ] {
            assert!(matches!(rules(&spec(bad)), Err(PlanError::Value { .. })), "{bad}");
        }
    }
}
