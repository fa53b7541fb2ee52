//! What chapter 1 closes, by the rows of `holes`: the files, and by pivot_root(2) alone.
#![allow(clippy::unwrap_used)]

mod demo;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use demo::{Room, out, userns_allowed, users};
use kit::require;

const WHY: &str = "user namespaces are forbidden here";

/// The host may be a container itself: what has no namespace of its own is the same as outside.
const OTHER_WORLDS: [&[&str]; 3] = [&[], &["unshare", "-Ur"], &["unshare", "-Urmpfiu", "--mount-proc"]];

/// The verdict on each row.
fn verdicts(text: &str) -> BTreeMap<String, String> {
    let row = |line: &str| (line[..13].trim().to_owned(), line[14..18].trim().to_owned());
    let rows: BTreeMap<_, _> = text.lines().map(row).collect();
    assert_eq!(rows.len(), 12, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    rows
}

/// A program of the room in a world, as the room's user.
fn run(room: &Room, uid: u32, world: &[&str], program: &str, args: &[&str]) -> Output {
    let id = uid.to_string();
    let user = ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--"];
    let plain = if uid == nix::unistd::geteuid().as_raw() { &[][..] } else { &user[..] };
    let program = room.path().join(program).display().to_string();
    let words: Vec<&str> = [plain, world, &[program.as_str()], args].concat();
    Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).current_dir("/").output().unwrap()
}

#[test]
fn pivot_root_makes_the_files_own_and_nothing_else() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        for world in OTHER_WORLDS {
            let room = Room::new(uid);
            std::fs::write(room.path().join("bytes"), payload::PROGRAM).unwrap();
            demo::copy(&room.path().join("bytes"), &room.path().join("holes"));
            std::fs::set_permissions(room.path().join("holes"), PermissionsExt::from_mode(0o755)).unwrap();
            let outside = verdicts(&out(&run(&room, uid, world, "holes", &[])));
            let text = out(&run(&room, uid, world, "ch01-chroot", &["holes"]));
            for (row, verdict) in verdicts(&text) {
                let expected = match row.as_str() {
                    "files" => "own",
                    // Where something outside stops us already, so it does inside.
                    "memory" | "cpu" | "system calls" => &outside[&row],
                    _ => "HOST",
                };
                assert_eq!(verdict, expected, "{uid} {world:?} {row}:\n{text}");
            }
        }
    }
}

#[test]
fn out_of_a_chroot_the_files_are_the_hosts_again() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = Room::new(uid);
        for world in &OTHER_WORLDS[..1] {
            let text = out(&run(&room, uid, world, "ch01-chroot", &["--chroot", "holes", "files"]));
            assert!(text.starts_with("files         HOST  chroot, ..: out of it, / has "), "{uid}: {text}");
        }
    }
}

#[test]
fn what_the_borrowed_room_keeps_apart_is_said_to_be_borrowed() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = Room::new(uid);
        let text = out(&run(&room, uid, &[], "ch01-chroot", &["holes", "mounts", "uid", "devices"]));
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line[14..].starts_with("HOST  chapter 2's room: ")), "{text}");
        assert!(text.contains(&format!("0 here is {uid} outside")), "{text}");
    }
}

#[test]
fn a_shell_in_the_root_finds_holes() {
    require!(userns_allowed(), "no-userns", WHY);
    for uid in users() {
        let room = Room::new(uid);
        let script = "holes --json files; holes color; echo $?";
        let output = run(&room, uid, &[], "ch01-chroot", &["sh", "-c", script]);
        let text = out(&output);
        assert!(
            text.starts_with("{\"version\":1,\"rows\":[\n{\"row\":\"files\",\"verdict\":\"own\","),
            "{text}"
        );
        assert!(text.ends_with("]}\n2\n"), "{text}");
        assert!(
            String::from_utf8_lossy(&output.stderr).starts_with("holes: no row \"color\": one of files,")
        );
    }
}
