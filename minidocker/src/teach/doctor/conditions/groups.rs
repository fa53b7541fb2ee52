//! cgroups: who may limit what.

use super::{Condition, Facts, Need};

#[rustfmt::skip] // a row: what it stops, which failed calls it explains, by what it is recognised
pub(super) const ALL: &[Condition] = &[
    Condition { id: "no-cgroups", needs: &[Need::Limits], calls: "",
        holds: |f| (f.groups.kind == "none").then(|| "/proc/self/mountinfo has no cgroup tree".to_owned()) },
    Condition { id: "cgroup-v1", needs: &[Need::Limits], calls: "",
        holds: |f| {
            let v1 = ["v1", "hybrid"].contains(&f.groups.kind.as_str());
            (v1 && !f.asker.rootful && !f.groups.writable).then(|| format!("the cgroups are {}", f.groups.kind))
        } },
    Condition { id: "cgroup-not-delegated", needs: &[Need::Limits], calls: "",
        holds: |f| { closed(f).filter(|()| session(f)).map(|()| format!("{} belongs to another user", f.groups.place)) } },
    Condition { id: "no-session", needs: &[Need::Limits], calls: "",
        holds: |f| { closed(f).filter(|()| !session(f)).map(|()| "XDG_RUNTIME_DIR is unset, or systemd doesn't run".to_owned()) } },
];

/// v2, and the place is another user's.
fn closed(f: &Facts) -> Option<()> {
    (f.groups.kind == "v2" && !f.asker.rootful && !f.groups.writable).then_some(())
}

fn session(f: &Facts) -> bool {
    f.is_there("/run/systemd/system") && f.env.contains_key("XDG_RUNTIME_DIR")
}
