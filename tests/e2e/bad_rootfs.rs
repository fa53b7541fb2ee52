//! `--rootfs` with what no container can be made of.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use kit::{Who, tree};

#[test]
fn a_rootfs_that_is_no_directory_is_refused_by_its_path() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let room = md.room().to_owned();
        fs::write(room.join("file"), "x").unwrap();
        symlink("gone", room.join("dangling")).unwrap();
        symlink("loop", room.join("loop")).unwrap();
        for (name, errno, because) in [
            ("missing", "ENOENT", "nothing is there"),
            ("file", "ENOTDIR", "a file is there"),
            ("dangling", "ENOENT", "nothing is there"),
            ("loop", "ELOOP", "leads back to itself"),
            ("missing/below", "ENOENT", "nothing is there"),
        ] {
            let dir = room.join(name);
            let out = crate::in_rootfs(&md, &dir, &["true"]).complains(125, dir.to_str().unwrap());
            let call = format!("  openat(AT_FDCWD, {dir:?}, O_RDONLY|O_DIRECTORY|O_CLOEXEC) : {errno} (");
            crate::advised(&out, &call, because);
        }
        for words in [["--rootfs", "", "true"], ["--rootfs=", "hostbox", "true"], ["--rm", "--rootfs", ""]] {
            let text = "invalid argument \"\" for \"--rootfs\" flag: the value is empty";
            md.run(["run"].iter().chain(&words)).complains(125, text);
        }
        md.nothing_left();
    }
}

#[test]
fn an_unreadable_rootfs_is_refused_by_its_path() {
    for who in Who::all().iter().filter(|w| !w.is_root()) {
        let md = kit::ours!(*who);
        for (name, mode) in [("closed", 0o000), ("write-only", 0o200)] {
            let dir = md.dir(name);
            kit::small_rootfs(&dir, md.who());
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
            crate::in_rootfs(&md, &dir, &["true"]).complains(125, dir.to_str().unwrap());
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        }
        md.nothing_left();
    }
}

#[test]
fn an_empty_rootfs_has_no_program() {
    let md = kit::ours!();
    let dir = md.dir("empty");
    crate::in_rootfs(&md, &dir, &["sh"]).complains(127, "exec: \"sh\": executable file not found in $PATH");
    crate::in_rootfs(&md, &dir, &["/bin/sh"]).complains(127, "/bin/sh");
    md.run(["run", "--rm", "--rootfs", dir.to_str().unwrap()]).code(125).stderr_has("minidocker: ");
    assert_eq!(tree(&dir).len(), 1, "mount points were made in it");
    md.nothing_left();
}

#[test]
fn the_hosts_root_as_rootfs_runs_or_is_refused_with_the_reason() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let out = crate::in_rootfs(&md, Path::new("/"), &["true"]);
        if who.is_root() {
            out.ok().quiet();
        } else {
            let out = out.complains(125, "cannot mount the rootfs");
            let because = "the lowerdir / has a mount below it (/";
            crate::advised(&out, "\"overlay\", 0, \"lowerdir=", because);
        }
        md.nothing_left();
    }
}

#[test]
fn a_rootfs_that_the_store_lies_in_is_refused_by_both_paths() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        for dir in [md.room().to_owned(), md.root(), md.root().join("containers")] {
            let out = crate::in_rootfs(&md, &dir, &["true"]).complains(125, dir.to_str().unwrap());
            crate::advised(&out, md.root().to_str().unwrap(), "what it lacks for mounts (dev, proc, sys,");
        }
        // Below the store, beside its containers: a layer is a root file system.
        let layer = fs::read_dir(md.root().join("layers")).unwrap().map(|e| e.unwrap().path().join("fs"));
        let layer = layer.into_iter().find(|fs| fs.is_dir()).unwrap();
        crate::in_rootfs(&md, &layer, &["sh", "-c", "echo here"]).ok().stdout_is("here");
        md.nothing_left();
    }
}

#[test]
fn a_store_on_an_overlay_is_refused_with_the_reason() {
    kit::require!(Who::all().len() > 1, "not-root", "only root mounts a world for others");
    for who in Who::all() {
        let md = kit::ours!(*who);
        // As in a container of Docker's whose /var/lib/minidocker is no volume.
        let world =
            "mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w && chown \"$OWNER\" /mnt/u && chmod 700 /mnt/u
            mount -t overlay none -o \"lowerdir=$ROOT,upperdir=/mnt/u,workdir=/mnt/w\" \"$ROOT\"";
        let out = md.call(["run", "--rm", "hostbox", "true"]).in_world(world).run();
        let out = out.complains(125, "cannot mount the rootfs");
        crate::advised(&out, ") : EINVAL (Invalid argument)", "is on overlay");
        assert!(out.err().contains("can't hold a container's layer: "), "{out:?}");
        assert!(out.err().contains("\n  do: export MINIDOCKER_ROOT="), "{out:?}");
        md.nothing_left();
    }
}

#[test]
fn a_rootfs_may_be_one_overlay_and_not_two() {
    kit::require!(Who::all().len() > 1, "not-root", "only root mounts a world for others");
    for who in Who::all() {
        let md = kit::ours!(*who);
        let dir = md.dir("rootfs");
        kit::small_rootfs(&dir, md.who());
        let over = |n: u32| {
            format!(
                "mkdir -p /mnt/u{n} /mnt/w{n} && chmod 755 /mnt/u{n} && mount -t overlay none -o \
                 \"lowerdir={0},upperdir=/mnt/u{n},workdir=/mnt/w{n}\" {0}\n",
                dir.display()
            )
        };
        let run = |overlays: &[u32]| {
            let stacked: String = overlays.iter().map(|n| over(*n)).collect();
            let words = ["run", "--rm", "--rootfs", dir.to_str().unwrap(), "sh", "-c", "echo here"];
            md.call(words).in_world(&format!("mount -t tmpfs none /mnt\n{stacked}")).run()
        };
        run(&[1]).ok().stdout_is("here");
        let out = run(&[1, 2]).complains(125, "cannot mount the rootfs");
        crate::advised(&out, ") : EINVAL (Invalid argument)", "no third one may lie on these");
        md.nothing_left();
    }
}
