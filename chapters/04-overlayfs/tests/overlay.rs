//! Overlays in throw-away mount namespaces, as root and in a user namespace with one id.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod room;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use kit::As;
use room::Room;

#[test]
fn the_topmost_lowerdir_wins_and_writes_go_to_upper_alone() {
    for who in As::roots() {
        let room = Room::new(*who);
        let (code, out) =
            room.sh(&[], "cat both; echo -n changed > both; echo -n more > fresh; cat dir/file");
        assert_eq!((code, out.as_str()), (0, "bx"), "{who:?}");
        assert_eq!(fs::read_to_string(room.at("u/both")).unwrap(), "changed");
        assert_eq!(fs::read_to_string(room.at("u/fresh")).unwrap(), "more");
        for (path, text) in [("a/both", "a"), ("b/both", "b")] {
            assert_eq!(fs::read_to_string(room.at(path)).unwrap(), text, "{who:?}");
        }
        assert!(!room.at("a/fresh").exists() && !room.at("b/fresh").exists());
        assert_eq!(fs::read_dir(room.at("m")).unwrap().count(), 0, "mounted in the namespace alone");
    }
}

#[test]
fn a_whiteout_is_a_character_device_0_0_for_root_and_rootless() {
    for who in As::roots() {
        let room = Room::new(*who);
        let (code, out) = room.sh(&[], "rm gone; test ! -e gone; echo *");
        assert_eq!((code, out.as_str()), (0, "both dir new"), "{who:?}");
        let whiteout = fs::symlink_metadata(room.at("u/gone")).unwrap();
        assert!(whiteout.file_type().is_char_device(), "{who:?}");
        assert_eq!(whiteout.rdev(), 0, "{who:?}");
        assert!(room.at("a/gone").exists());
    }
}

#[test]
fn a_directory_made_anew_is_opaque_by_an_xattr_of_its_users_kind() {
    for (who, xattr) in [(As::Root, "trusted.overlay.opaque"), (As::Rootless, "user.overlay.opaque")] {
        if !As::roots().contains(&who) {
            continue;
        }
        let room = Room::new(who);
        let (code, out) = room.sh(&[], "rm -r dir; mkdir dir; ls dir");
        assert_eq!((code, out.as_str()), (0, ""), "{who:?}");
        let mut value = [0; 8];
        let length = rustix::fs::getxattr(room.at("u/dir"), xattr, &mut value).unwrap();
        assert_eq!(&value[..length], b"y", "{who:?}");
    }
}

#[test]
fn switches_are_off_whatever_the_modules_defaults_are() {
    for who in As::roots() {
        let room = Room::new(*who);
        // With redirect_dir a rename of a lower directory succeeds; without, it is EXDEV and mv copies.
        let script = "mv dir moved; chmod 700 new; grep ' overlay ' /proc/self/mountinfo | tail -n 1";
        let (code, out) = room.sh(&[], script);
        assert_eq!(code, 0, "{who:?}");
        assert!(!out.contains("redirect_dir=on") && !out.contains("metacopy=on"), "{out}");
        assert_eq!(fs::read_to_string(room.at("u/moved/file")).unwrap(), "x", "{who:?}: copied");
        assert_eq!(fs::read_to_string(room.at("u/new")).unwrap(), "x", "{who:?}: chmod copies data too");
    }
}

#[test]
fn paths_with_colons_commas_and_backslashes_mount() {
    for who in As::roots() {
        let room = Room::named(*who, r"o:v,e\r=l ay");
        let (code, out) = room.sh(&[], "cat both; echo -n changed > both");
        assert_eq!((code, out.as_str()), (0, "b"), "{who:?}");
        assert_eq!(fs::read_to_string(room.at("u/both")).unwrap(), "changed");
    }
}

#[test]
fn more_lowerdirs_than_fit_in_a_page_mount_option_by_option() {
    for who in As::roots() {
        // The odd name says whether escapes are needed on this way too.
        let room = Room::named(*who, r"m:a,n\y");
        let lowers: Vec<String> = (0..150).map(|n| format!("layers/{n:0>60}")).collect();
        for (n, lower) in lowers.iter().enumerate() {
            room.put(&format!("{lower}/n{n}"), "");
            room.put(&format!("{lower}/top"), &n.to_string());
        }
        room.own();
        let path = |p: &str| room.at(p).to_str().unwrap().to_owned();
        let mut words = vec![path("m"), path("u"), path("w")];
        words.extend(lowers.iter().map(|l| path(l)));
        words.extend(["--", "sh", "-ec", "ls | wc -l; cat top; echo -n w > top"].map(str::to_owned));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (code, out) = room.run(&words);
        if code == 125 && out.contains("150 lowerdirs need") {
            kit::skip("no-lowerdir-plus", &"overlay knows no lowerdir+ before Linux 6.8");
            continue;
        }
        assert_eq!((code, out.as_str()), (0, "151\n0"), "{who:?}");
        assert_eq!(fs::read_to_string(room.at("u/top")).unwrap(), "w");
    }
}

#[test]
fn where_the_long_way_is_missing_the_error_counts_lowerdirs_and_bytes() {
    if !cfg!(debug_assertions) {
        return; // a release build hears no injected error
    }
    for who in As::roots() {
        let room = Room::new(*who);
        let lowers: Vec<String> =
            (0..200).map(|n| room.at(&format!("l{n:0>30}")).display().to_string()).collect();
        for lower in &lowers {
            std::fs::create_dir(lower).unwrap();
        }
        let path = |p: &str| room.at(p).to_str().unwrap().to_owned();
        let (m, u, w, a, b) = (path("m"), path("u"), path("w"), path("a"), path("b"));
        let flag = if *who == As::Rootless { "--userxattr" } else { "" };
        let program = room.program();
        // The outer overlay has nothing to do with it: the shell in it is the inner one's parent.
        let inner = format!(
            "MINIDOCKER_INJECT=client:fsopen:ENOSYS exec {} {flag} {b} {u} {w} {} -- true",
            program.display(),
            lowers.join(" "),
        );
        let (code, out) = room.run(&[&m, &u, &w, &a, "--", "sh", "-ec", &inner]);
        assert_eq!(code, 125, "{who:?}: {out}");
        assert!(out.starts_with("200 lowerdirs need "), "{who:?}: {out}");
    }
}

#[test]
fn a_volatile_upper_mounts_again_volatile_or_not() {
    for who in As::roots() {
        let room = Room::new(*who);
        assert_eq!(room.sh(&["--volatile"], "echo -n kept > both").0, 0, "{who:?}");
        let mark = room.at("w/work/incompat/volatile");
        assert!(!As::host_root() || mark.exists(), "{who:?}: the kernel leaves a mark");
        for flags in [["--volatile"].as_slice(), &[]] {
            let (code, out) = room.sh(flags, "cat both");
            assert_eq!((code, out.as_str()), (0, "kept"), "{who:?} {flags:?}");
        }
        assert!(!mark.exists(), "{who:?}: the last mount was not volatile");
    }
}

#[test]
fn upper_and_work_may_lie_inside_a_lower() {
    for who in As::roots() {
        let room = Room::new(*who);
        let path = |p: &str| room.at(p).to_str().unwrap().to_owned();
        let (m, u, w, whole) = (path("m"), path("u"), path("w"), path(""));
        let (code, out) = room.run(&[&m, &u, &w, &whole, "--", "sh", "-ec", "cat a/new; echo -n y > a/new"]);
        assert_eq!((code, out.as_str()), (0, "x"), "{who:?}");
        assert_eq!(fs::read_to_string(room.at("u/a/new")).unwrap(), "y");
        assert_eq!(fs::read_to_string(room.at("a/new")).unwrap(), "x");
    }
}

#[test]
fn a_failed_mount_names_the_directory_that_is_at_fault() {
    for who in As::roots() {
        let room = Room::new(*who);
        room.put("file", "");
        fs::create_dir(room.at("u/inner")).unwrap();
        room.own();
        let path = |p: &str| room.at(p).to_str().unwrap().to_owned();
        let cases = [
            (["m", "u", "w", "none"], "the lowerdir {}/none of the overlay does not exist"),
            (["m", "none", "w", "a"], "the upperdir {}/none of the overlay does not exist"),
            (["m", "u", "none", "a"], "the workdir {}/none of the overlay does not exist"),
            (["none", "u", "w", "a"], "the mount point {}/none of the overlay does not exist"),
            (["m", "u", "w", "file"], "the lowerdir {}/file of the overlay is not a directory"),
            (["m", "u", "u", "a"], "the workdir {}/u of the overlay is, or lies inside, its upperdir"),
            (
                ["m", "u", "u/inner", "a"],
                "the workdir {}/u/inner of the overlay is, or lies inside, its upperdir",
            ),
            (
                ["m", "u", "w", "u/inner"],
                "the lowerdir {}/u/inner of the overlay is, or lies inside, its upperdir",
            ),
        ];
        for (words, message) in cases {
            let words = words.map(path);
            let words: Vec<&str> = words.iter().map(String::as_str).chain(["--", "true"]).collect();
            let message = message.replace("{}", room.dir.path().to_str().unwrap());
            assert_eq!(room.run(&words), (125, message), "{who:?}");
        }
    }
}

#[test]
fn a_lower_with_a_mount_below_it_is_no_layer_for_a_plain_user() {
    for who in As::roots() {
        let room = Room::new(*who);
        let path = |p: &str| room.at(p).to_str().unwrap().to_owned();
        // The host's root has /proc below it everywhere.
        let (code, out) = room.run(&[&path("m"), &path("u"), &path("w"), "/", "--", "true"]);
        match who {
            As::Root => assert_eq!((code, out.as_str()), (0, "")),
            _ => {
                assert_eq!(code, 125);
                assert!(out.starts_with("the lowerdir / has a mount below it (/"), "{out}");
            }
        }
    }
}

#[test]
fn upper_on_another_file_system_than_work_is_told_and_so_is_an_overlay_as_upper() {
    for who in As::roots() {
        let room = Room::new(*who);
        let path = |p: &str| room.at(p).to_str().unwrap().to_owned();
        let (m, u, w, a, b) = (path("m"), path("u"), path("w"), path("a"), path("b"));
        let program = room.program();
        let program = program.to_str().unwrap();
        let flag = if *who == As::Rootless { "--userxattr" } else { "" };
        // The example is run twice: its first overlay only gives the shell a namespace to mount in.
        let inside =
            format!("mount -t tmpfs tmpfs '{w}'; exec '{program}' {flag} '{b}' '{u}' '{w}' '{a}' -- true");
        let (code, out) = room.run(&[&m, &u, &w, &a, "--", "sh", "-ec", &inside]);
        let message = format!("upperdir {u} and workdir {w} must be on one mount of one file system");
        assert_eq!((code, out), (125, message), "{who:?}");

        let inside = format!("mkdir u2 w2; exec '{program}' {flag} '{b}' '{m}/u2' '{m}/w2' '{a}' -- true");
        let (code, out) = room.run(&[&m, &u, &w, &a, "--", "sh", "-ec", &inside]);
        let message = format!("upperdir {m}/u2 is on overlay, which can't hold one");
        assert_eq!((code, out), (125, message), "{who:?}");
    }
}

#[test]
fn a_third_overlay_on_two_others_is_told() {
    for who in As::roots() {
        let room = Room::new(*who);
        for dir in ["u2", "w2", "m2", "u3", "w3", "m3"] {
            fs::create_dir(room.at(dir)).unwrap();
        }
        room.own();
        let path = |p: &str| room.at(p).to_str().unwrap().to_owned();
        let program = path("program");
        let flag = if *who == As::Rootless { "--userxattr" } else { "" };
        let over = |n: &str, lower: &str, then: &str| {
            let (m, u, w) = (path(&format!("m{n}")), path(&format!("u{n}")), path(&format!("w{n}")));
            format!("'{program}' {flag} '{m}' '{u}' '{w}' '{lower}' -- {then}")
        };
        let third = over("3", &path("m2"), "true");
        let second = over("2", &path("m"), &format!("sh -c \"cat both; {third}\""));
        let (code, out) = room.sh(&[], &second);
        let reason = format!(
            "blowerdir {} is on an overlay that has an overlay below it: no third one may lie on these",
            path("m2")
        );
        assert_eq!((code, out), (125, reason), "{who:?}");
    }
}

#[test]
fn the_try_says_yes_and_leaves_nothing() {
    for who in As::roots() {
        let room = Room::new(*who);
        let before = fs::read_dir(room.dir.path()).unwrap().count();
        let dir = room.dir.path().to_str().unwrap();
        assert_eq!(room.run(&["--supported", dir]), (0, String::new()), "{who:?}");
        assert_eq!(fs::read_dir(room.dir.path()).unwrap().count(), before, "{who:?}");
        let (code, out) = room.run(&["--supported", "/proc"]);
        assert_eq!(code, 125, "{who:?}");
        assert!(out.starts_with("mkdir(\"/proc/.overlay-try-"), "{out}");
        assert!(out.ends_with(") : ENOENT (No such file or directory)"), "{out}");
    }
}

#[test]
fn without_the_right_to_mount_the_answer_is_eperm() {
    let room = Room::new(As::Rootless);
    let overlay = overlayfs::Overlay {
        lower: vec![room.at("a")],
        upper: room.at("u"),
        work: room.at("w"),
        userxattr: true,
        volatile: false,
    };
    if As::host_root() {
        // Root may: run the example as a plain user, without a user namespace.
        let words = ["m", "u", "w", "a"].map(|p| room.at(p));
        let mut command = Command::new(room.program());
        command.args(words).args(["--", "true"]).uid(65534).gid(65534).current_dir("/");
        let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(out.contains(") : EPERM (Operation not permitted)"), "{out}");
        return;
    }
    match overlay.mount(&room.at("m")) {
        Err(overlayfs::OverlayError::Call(e)) => assert_eq!(e.errno(), sys::Errno::EPERM),
        other => panic!("{other:?}"),
    }
}
