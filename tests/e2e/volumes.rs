//! What is mounted for the user: `-v`, `--tmpfs`, `--read-only`; and the name that `--hostname` gives.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use kit::{Minidocker, Output, Who, common};

/// `run --rm <flags> hostbox sh -c script`
fn run(md: &Minidocker, flags: &str, script: &str) -> Output {
    let mut words = kit::words(&format!("run --rm {flags} hostbox sh -c"));
    words.push(script.to_owned());
    md.run(words)
}

fn bind(from: &Path, to: &str) -> String {
    format!("-v {}:{to}", from.display())
}

#[test]
fn h_names_the_container_everywhere() {
    let md = common!();
    let look = "hostname; cat /etc/hostname; echo $HOSTNAME";
    for flags in ["-h web", "--hostname=web.example.org", "--hostname 1-2"] {
        let name = flags.rsplit([' ', '=']).next().unwrap();
        run(&md, flags, look).ok().quiet().stdout_is(&format!("{name}\n{name}\n{name}"));
    }
}

#[test]
fn a_hostname_that_the_kernel_does_not_take_is_told() {
    let md = kit::ours!();
    run(&md, &format!("-h {}", "x".repeat(65)), "true").complains(125, "cannot set the host name");
    let own = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    run(&md, "-h '' --network host", "hostname").ok().stdout_is(own.trim());
    run(&md, "-h web --network host", "hostname").ok().stdout_is("web");
    md.nothing_left();
}

#[test]
fn a_readonly_rootfs_is_closed_and_what_docker_leaves_open_is_open() {
    let md = common!();
    let look = "for f in /x /etc/x /etc/hosts /dev/x /dev/shm/x /tmp/x /data/x; do
        (echo > $f) 2>/dev/null && echo open $f; done; echo > /dev/null && echo null";
    let dir = md.dir("data");
    let flags = format!("--read-only --tmpfs /tmp {}", bind(&dir, "/data"));
    let open = "open /dev/x\nopen /dev/shm/x\nopen /tmp/x\nopen /data/x\nnull";
    run(&md, &flags, look).ok().stdout_is(open);
    run(&md, "--read-only -w /new/place", "pwd; (echo > x) 2>/dev/null || echo closed")
        .stdout_is("/new/place\nclosed");
    run(&md, "--read-only -t", "echo from a terminal").ok().stdout_is("from a terminal");
}

#[test]
fn plain_users_have_readonly_rootfs_and_tmpfs_too() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let look = "touch /x 2>/dev/null || echo closed; touch /t/x && echo open; touch /etc/hosts 2>&1";
        let out = run(&md, "--read-only --tmpfs /t:uid=0,mode=700", look);
        out.stdout_has("closed\nopen\n").stdout_has("Read-only file system");
        md.nothing_left();
    }
}

#[test]
fn tmpfs_has_dockers_options_and_the_mode_of_what_it_covers() {
    let md = common!();
    let look = "grep ' /t ' /proc/mounts | cut -d' ' -f3,4; ls -ld /t | cut -c1-10";
    let cases = [
        ("--tmpfs /t", "noexec,nosuid,nodev", "drwxrwxrwt"),
        ("--tmpfs /t:size=1m,mode=750", "size=1024k,mode=750", "drwxr-x---"),
        ("--tmpfs /t:ro", "ro,", "drwxrwxrwt"),
    ];
    for (flags, option, mode) in cases {
        let out = run(&md, flags, look).ok().quiet();
        let lines = out.lines();
        let has = |o: &str| lines[0].split([' ', ',']).any(|has| has == o);
        assert!(has("tmpfs") && option.split(',').all(|o| o.is_empty() || has(o)), "{flags}: {lines:?}");
        assert_eq!(lines[1], mode, "{flags}");
    }
    run(&md, "--tmpfs /root", "ls -ld /root | cut -c1-10; ls -A /root | wc -l")
        .ok()
        .stdout_is("drwx------\n0");
    let copy = "cp /bin/sh /t/sh; /t/sh -c 'echo ran'";
    run(&md, "--tmpfs /t:exec,size=8m", copy).ok().stdout_is("ran");
    assert_eq!(run(&md, "--tmpfs /t:size=8m", copy).code, 126);
    run(&md, "--tmpfs /t:size=64k", "head -c 200000 /dev/zero >/t/x || echo full").stdout_is("full");
}

#[test]
fn a_bind_shows_the_hosts_files_and_takes_what_is_written() {
    let md = common!();
    let dir = md.dir("data");
    fs::write(dir.join("in"), "from the host").unwrap();
    let file = dir.join("in");
    run(&md, &bind(&dir, "/made/here"), "cat /made/here/in; echo from inside > /made/here/out")
        .ok()
        .stdout_is("from the host");
    assert_eq!(fs::read_to_string(dir.join("out")).unwrap(), "from inside\n");
    run(&md, &bind(&file, "/one/file"), "cat /one/file; ls -l /one | wc -l").ok().stdout_is("from the host2");
    run(&md, &bind(&dir, "/data:ro"), "cat /data/in; touch /data/no || echo closed")
        .stdout_is("from the hostclosed");
    let from = md.call(kit::words("run --rm -v ./data:/d hostbox cat /d/in")).cwd(md.room());
    from.run().ok().stdout_is("from the host");
}

#[test]
fn a_bind_of_every_user_is_his_own_inside_and_outside() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let dir = md.dir("data");
        run(&md, &bind(&dir, "/d"), "touch /d/made; ls -ln /d | tail -1 | tr -s ' ' | cut -d' ' -f3,4")
            .ok()
            .stdout_is("0 0");
        let (made, own) = (fs::metadata(dir.join("made")).unwrap(), fs::metadata(&dir).unwrap());
        assert_eq!((made.uid(), made.gid()), (own.uid(), own.gid()), "{who:?}");
        // Flags of the source's mount are locked in a user namespace: a remount keeps them.
        run(&md, "-v /dev/shm:/s:ro", "touch /s/no 2>/dev/null || echo closed").ok().stdout_is("closed");
        md.nothing_left();
    }
}

#[test]
fn a_missing_source_is_made_as_a_directory() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let missing = md.dir("data").join("not/there");
        run(&md, &bind(&missing, "/d"), "touch /d/x && echo made").ok().stdout_is("made");
        let (made, own) = (fs::metadata(&missing).unwrap(), fs::metadata(md.room().join("data")).unwrap());
        assert_eq!((made.mode() & 0o7777, made.uid()), (0o755, own.uid()), "{who:?}");
        run(&md, "-v /proc/no/such:/d", "true")
            .complains(125, "error while creating mount source path '/proc/no/such'");
        md.nothing_left();
    }
}

#[test]
fn a_file_on_a_directory_is_refused_with_the_reason() {
    let md = common!();
    run(&md, "-v /etc/passwd:/etc", "true")
        .complains(125, "error mounting \"/etc/passwd\" to rootfs at \"/etc\"");
    run(&md, "-v /etc:/etc/passwd", "true")
        .code(125)
        .stderr_has("Check if the specified host path exists and is the expected type");
}

#[test]
fn a_volume_that_means_nothing_runs_nothing() {
    let md = common!();
    let dir = md.dir("d").display().to_string();
    let cases = [
        ("-v /a:/b:foo".to_owned(), "invalid mode: foo"),
        ("-v /a:/b:ro,rw".to_owned(), "invalid mode: ro,rw"),
        ("-v /a:/".to_owned(), "invalid specification: destination can't be '/'"),
        ("-v /a:b".to_owned(), "invalid mount path: 'b' mount path must be absolute"),
        ("-v /a:/b:nocopy".to_owned(), "field VolumeOptions must not be specified"),
        ("-v /a:ro".to_owned(), "invalid volume specification: '/a:ro'"),
        ("-v /a:/b:ro:c".to_owned(), "invalid spec: /a:/b:ro:c: too many colons"),
        ("-v :/b".to_owned(), "invalid spec: :/b: empty section between colons"),
        ("-v ''".to_owned(), "invalid empty volume spec"),
        ("-v ~/a:/b".to_owned(), "includes invalid characters for a local volume name"),
        (format!("-v {dir}:/x -v /etc:/x"), "Duplicate mount point: /x"),
        (format!("-v {dir}:/x --tmpfs /x"), "Duplicate mount point: /x"),
        (format!("-v {dir}:/proc/self"), "cannot be mounted because it is inside /proc"),
        ("--tmpfs /".to_owned(), "invalid specification: destination can't be '/'"),
        ("--tmpfs x".to_owned(), "mount path must be absolute"),
        ("--tmpfs /x:color=red".to_owned(), "invalid tmpfs option [\"color\" \"red\"]"),
    ];
    for (flags, said) in cases {
        run(&md, &flags, "echo ran").complains(125, said);
    }
    md.nothing_left();
}

#[test]
fn volumes_without_a_path_of_the_host_are_not_built() {
    let md = kit::ours!();
    for flags in ["-v data:/x", "-v /x", "-v /x -v data:/y:ro"] {
        run(&md, flags, "echo ran").complains(125, "not in minidocker yet");
    }
    run(&md, "-v data:/x", "true").complains(125, "a named volume");
    run(&md, "--tmpfs /x:size=abc", "true")
        .complains(125, "error mounting \"tmpfs\"")
        .stderr_has("because: one of the options");
    md.nothing_left();
}

#[test]
fn mounts_of_the_user_replace_those_of_the_container() {
    let md = common!();
    let dir = md.dir("data");
    fs::write(dir.join("hosts"), "10.9.8.7 mine\n").unwrap();
    run(&md, &bind(&dir.join("hosts"), "/etc/hosts:ro"), "cat /etc/hosts").ok().stdout_is("10.9.8.7 mine");
    run(&md, "--tmpfs /dev/shm:size=1m", "grep -c ' /dev/shm ' /proc/mounts; grep ' /dev/shm ' /proc/mounts")
        .ok()
        .stdout_has("1\n")
        .stdout_has("size=1024k");
    // Deeper ones later, in whatever order they were typed.
    fs::create_dir(dir.join("below")).unwrap();
    let flags = format!("{} {}", bind(&dir, "/a/b"), bind(&dir.join("below"), "/a"));
    run(&md, &flags, "cat /a/b/hosts").ok().stdout_is("10.9.8.7 mine");
}

#[test]
fn a_target_that_is_a_link_stays_inside() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        let root = md.dir("rootfs");
        kit::small_rootfs(&root, md.who());
        fs::create_dir_all(root.join("etc")).unwrap();
        // As an image would have them; the host's /etc has a passwd, and nothing called `mark`.
        for (link, to) in
            [("abs", "/etc"), ("up", "../../../../../../etc"), ("lost", "/no/where"), ("pr", "/proc")]
        {
            symlink(to, root.join(link)).unwrap();
        }
        let data = md.dir("data");
        fs::write(data.join("mark"), "mine").unwrap();
        let rootfs = root.display();
        let try_at = |at: &str, look: &str| {
            let line = format!("run --rm --rootfs {rootfs} {} sh -c '{look}'", bind(&data, at));
            md.line(&line)
        };
        for at in ["/abs", "/up", "/abs/../../up"] {
            try_at(at, "cat /etc/mark").ok().stdout_is("mine");
        }
        try_at("/lost", "cat /no/where/mark").ok().stdout_is("mine");
        try_at("/pr/self/attr", "echo ran").complains(125, "because it is inside /proc");
        try_at("/pr", "echo ran").complains(125, "because it is inside /proc");
        assert!(!Path::new("/etc/mark").exists());
        md.nothing_left();
    }
}

/// `sh -c` text: a tmpfs and one below it, at $DATA, in a mount namespace where they are shared, and
/// then the command.
const MOUNTED: &str = "exec unshare -m --propagation private sh -c 'mount -t tmpfs one $DATA && mkdir $DATA/below && \
    mount -t tmpfs two $DATA/below && mount --make-rshared $DATA && mkdir $DATA/later && \"$@\"' sh \"$@\"";

#[test]
fn read_only_reaches_what_is_mounted_below() {
    let md = kit::ours!();
    kit::require!(md.who().is_root(), "not-root", "mounts something below the source");
    let data = md.dir("data");
    let look = "touch /d/x || echo closed; touch /d/below/x || echo closed";
    let line = kit::words(&format!("run --rm {} hostbox sh -c '{look}'", bind(&data, "/d:ro")));
    let out = md.call(&line).env("DATA", &data).through(MOUNTED).run();
    out.stdout_is("closed\nclosed");
    kit::require!(kit::may_filter(), "not-root", "a kernel without mount_setattr is played by a filter");
    let old = format!(
        "exec {} sh -c '{}' sh \"$@\"",
        kit::without(&["mount_setattr=ENOSYS"]).join(" "),
        MOUNTED.replace('\'', "'\\''")
    );
    let out = md.call(&line).env("DATA", &data).through(&old).run().ok();
    out.stdout_is("closed").stderr_has("what is mounted below a read-only volume stays writable");
    md.nothing_left();
}

#[test]
fn propagation_is_what_was_asked_for() {
    let md = kit::ours!();
    kit::require!(md.who().is_root(), "not-root", "makes shared mounts");
    let data = md.dir("data");
    let sees = |options: &str| {
        let look = "grep \" /d \" /proc/self/mountinfo | cut -d\" \" -f7";
        let line =
            kit::words(&format!("run --rm {} hostbox sh -c '{look}'", bind(&data, &format!("/d{options}"))));
        md.call(line).env("DATA", &data).through(MOUNTED).run()
    };
    for (options, wanted) in [
        ("", "-"),
        (":ro", "-"),
        (":private", "-"),
        (":rslave", "master:"),
        (":ro,slave", "master:"),
        (":rshared", "shared:"),
    ] {
        let out = sees(options).ok().out();
        assert!(out.starts_with(wanted), "{options}: {out}");
    }
    std::fs::write(data.join("file"), "").unwrap();
    let both = format!("{} {}", bind(&data, "/x:rslave"), bind(&data, "/y:rslave"));
    let shared = "exec unshare -m sh -c 'mount --make-rshared / && exec \"$@\"' sh \"$@\"";
    let line = kit::words(&format!("run --rm {both} hostbox ls /x /y"));
    md.call(line).through(shared).run().ok().stdout_is("/x:\nfile\n\n/y:\nfile");
    let line = kit::words(&format!("run --rm {} hostbox true", bind(&data, "/d:rshared")));
    let private = "exec unshare -m --propagation private \"$@\"";
    md.call(line).through(private).run().complains(125, "but it is not a shared mount");
    md.nothing_left();
}

#[test]
fn a_plain_user_can_share_no_mount_with_the_host() {
    kit::require!(Who::all().contains(&Who::Plain), "not-root", "only root can be somebody else");
    let md = kit::ours!(Who::Plain);
    let data = md.dir("data");
    run(&md, &bind(&data, "/d:shared"), "true").complains(125, "mounts in a user namespace are slaves");
    md.nothing_left();
}

#[test]
fn inspect_tells_the_mounts() {
    let md = common!();
    let (name, dir) = (md.name("mounts"), md.dir("data"));
    let at = dir.display();
    md.line(&format!("run --name {name} --read-only -h web --tmpfs /t:size=1m -v {at}:/a/:ro hostbox true"))
        .ok();
    let told = crate::inspect(&md, &name);
    assert_eq!(told["Config"]["Hostname"], "web");
    let host = &told["HostConfig"];
    assert_eq!((&host["ReadonlyRootfs"], &host["Tmpfs"]["/t"]), (&true.into(), &"size=1m".into()));
    assert_eq!(host["Binds"], serde_json::json!([format!("{at}:/a/:ro")]));
    let mount = serde_json::json!({"Type": "bind", "Source": dir, "Destination": "/a", "Mode": "ro", "RW": false,
        "Propagation": "rprivate"});
    assert_eq!(told["Mounts"], serde_json::json!([mount]));
    md.line(&format!("rm {name}")).ok();
}

#[test]
fn a_directory_nobody_may_write_to_is_still_a_source() {
    let md = kit::ours!();
    let dir = md.dir("closed");
    fs::write(dir.join("in"), "seen").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    run(&md, &bind(&dir, "/d"), "cat /d/in").ok().stdout_is("seen");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
}
