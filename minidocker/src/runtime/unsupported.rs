//! What config.json may ask for and no step of ours does.
//!
//! A container without a limit, a filter or a hook that was asked for is another one than was meant, so
//! it is refused. Source: OCI runtime-spec, config.md and config-linux.md.

use oci_spec::runtime::Spec;
use serde_json::Value;

use super::plan::PlanError;

/// The fields that are read, by the object in which they are (RFC 6901).
const READ: [(&str, &[&str]); 5] = [
    ("", &["ociVersion", "root", "mounts", "process", "hostname", "annotations", "linux"]),
    (
        "/process",
        &["terminal", "consoleSize", "user", "args", "env", "cwd", "capabilities", "noNewPrivileges"],
    ),
    // The name is there for who reads it: the ids count.
    ("/process/user", &["uid", "gid", "additionalGids", "username"]),
    (
        "/linux",
        &[
            "uidMappings",
            "gidMappings",
            "resources",
            "cgroupsPath",
            "namespaces",
            "devices",
            "maskedPaths",
            "readonlyPaths",
        ],
    ),
    ("/linux/resources", &["devices"]),
];

/// The same of each object in a list.
const READ_IN_LISTS: [(&str, &[&str]); 2] =
    [("/linux/namespaces", &["type"]), ("/mounts", &["destination", "type", "source", "options"])];

/// Refuses a field that has a value and no step.
pub(super) fn refuse(spec: &Spec) -> Result<(), PlanError> {
    let unreadable = |e: serde_json::Error| PlanError::Unsupported(e.to_string());
    let spec = serde_json::to_value(spec).map_err(unreadable)?;
    for (at, read) in READ {
        fields(&spec, at, at, read)?;
    }
    for (at, read) in READ_IN_LISTS {
        let count = spec.pointer(at).and_then(Value::as_array).map_or(0, Vec::len);
        (0..count).try_for_each(|n| fields(&spec, &format!("{at}/{n}"), at, read))?;
    }
    Ok(())
}

fn fields(spec: &Value, at: &str, shown: &str, read: &[&str]) -> Result<(), PlanError> {
    let object = spec.pointer(at).and_then(Value::as_object);
    let unknown =
        object.into_iter().flatten().find(|(name, value)| !read.contains(&name.as_str()) && !is_empty(value));
    match unknown {
        Some((name, _)) => {
            let path = format!("{shown}/{name}");
            Err(PlanError::Unsupported(path.trim_start_matches('/').replace('/', ".")))
        }
        None => Ok(()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.iter().all(is_empty),
        Value::Object(object) => object.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::runtime::Plan;

    fn smallest_json() -> Value {
        json!({
            "ociVersion": "1.2.0",
            "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": ["true"], "user": {"uid": 0, "gid": 0}},
            "linux": {"namespaces": [{"type": "mount"}], "resources": {"devices": [], "memory": {}}},
        })
    }

    pub(in crate::runtime) fn smallest() -> Spec {
        serde_json::from_value(smallest_json()).unwrap()
    }

    fn refused(at: &str, name: &str, value: Value) -> String {
        let mut spec = smallest_json();
        spec.pointer_mut(at).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
        let spec: Spec = serde_json::from_value(spec).unwrap();
        Plan::new(&spec, "/bundle".as_ref()).map_or_else(|e| e.to_string(), |_| String::new())
    }

    #[test]
    fn a_field_that_has_no_step_is_refused_by_its_name() {
        let rlimit = json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}]);
        let cases = [
            ("/process", "rlimits", rlimit, "process.rlimits"),
            ("/process", "oomScoreAdj", json!(-5), "process.oomScoreAdj"),
            ("/process/user", "umask", json!(63), "process.user.umask"),
            ("/linux", "sysctl", json!({"net.ipv4.ip_forward": "1"}), "linux.sysctl"),
            ("/linux", "seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}), "linux.seccomp"),
            ("/linux/resources", "memory", json!({"limit": 1}), "linux.resources.memory"),
            ("/linux/resources", "pids", json!({"limit": 1}), "linux.resources.pids"),
            ("/linux/namespaces/0", "path", json!("/proc/1/ns/mnt"), "linux.namespaces.path"),
            ("", "hooks", json!({"prestart": [{"path": "/bin/true"}]}), "hooks"),
            ("", "domainname", json!("example.org"), "domainname"),
        ];
        for (at, name, value, shown) in cases {
            assert_eq!(refused(at, name, value), format!("config.json: {shown} is not supported"));
        }
    }

    #[test]
    fn a_field_without_a_value_asks_for_nothing() {
        assert_eq!(refused("/process", "rlimits", json!([])), "");
        assert_eq!(refused("/linux", "sysctl", json!({})), "");
        assert_eq!(refused("", "hooks", json!({"prestart": []})), "");
        assert_eq!(refused("", "domainname", json!("")), "");
    }
}
