//! What chapter 2 closes, by the rows of `holes`.
#![allow(clippy::unwrap_used)]

mod demo;

use std::collections::BTreeMap;
use std::process::Command;

use demo::{DEMO, Room, WHY, everybody, me, out, userns_allowed};
use kit::require;

/// The rows that its namespaces close, beside the files of chapter 1.
const CLOSED: [(&str, &str); 6] = [
    ("pids", "pid"),
    ("hostname", "uts"),
    ("mounts", "mnt"),
    ("ipc", "ipc"),
    ("uid", "user"),
    ("network", "net"),
];

/// The host may be a container itself: what is shared with it is the host's nevertheless.
const WORLDS: [&[&str]; 2] = [&[], &["unshare", "-Urmpfiu", "--mount-proc"]];

/// The verdict on each row.
fn verdicts(text: &str) -> BTreeMap<String, String> {
    let row = |line: &str| (line[..13].trim().to_owned(), line[14..18].trim().to_owned());
    text.lines().map(row).collect()
}

/// What stops us on the host already.
fn outside() -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let bytes = dir.path().join("bytes");
    std::fs::write(&bytes, payload::PROGRAM).unwrap();
    // By cp(1), as in the demo's room: nobody has it open for writing then.
    let script = "cp \"$0\" \"$0.x\" && chmod 755 \"$0.x\" && exec \"$0.x\" holes memory cpu system-calls";
    verdicts(&out(&Command::new("sh").args(["-c", script]).arg(&bytes).output().unwrap()))
}

#[test]
fn every_namespace_closes_its_row() {
    require!(userns_allowed(), "no-userns", WHY);
    let outside = outside();
    for who in everybody() {
        for world in WORLDS {
            let room = Room::new(who, &[]);
            let text = out(&room.command_under(world, DEMO, &["holes"]).output().unwrap());
            let rows = verdicts(&text);
            assert_eq!(rows.len(), 12, "{text}");
            for row in CLOSED.map(|(row, _)| row).into_iter().chain(["files", "devices"]) {
                assert_eq!(rows[row], "own", "{who:?} {world:?} {row}:\n{text}");
            }
            // In a user namespace of one's own one has them all.
            assert_eq!(rows["capabilities"], "HOST", "{who:?} {world:?}:\n{text}");
            // These have no namespace: they are what they are outside.
            for row in ["memory", "cpu", "system calls"] {
                assert_eq!(rows[row], outside[row], "{who:?} {world:?}:\n{text}");
            }
        }
    }
}

#[test]
fn a_shared_namespace_leaves_its_row_open() {
    require!(userns_allowed(), "no-userns", WHY);
    for who in everybody() {
        // One user is enough to see the other world.
        for world in &WORLDS[..if who.uid() == me() { 2 } else { 1 }] {
            let room = Room::new(who, &[]);
            let can_share = |kind: &str| kind != "mnt" && (kind != "user" || me() == 0 && who.uid() == 0);
            for (row, kind) in CLOSED.into_iter().filter(|(_, kind)| can_share(kind)) {
                let words = ["--share", kind, "holes", "pids", "hostname", "mounts", "ipc", "uid", "network"];
                let text = out(&room.command_under(world, DEMO, &words).output().unwrap());
                for (name, verdict) in verdicts(&text) {
                    let expected = if name == row { "HOST" } else { "own" };
                    assert_eq!(verdict, expected, "{who:?} {world:?} shares {kind}, {name}:\n{text}");
                }
            }
        }
    }
}
