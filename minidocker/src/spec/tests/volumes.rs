//! `-v`, `--tmpfs` and `--read-only`.

use super::*;

fn host(binds: &[&str], tmpfs: &[(&str, &str)]) -> HostConfig {
    let own = |text: &&str| (*text).to_owned();
    let tmpfs = tmpfs.iter().map(|(to, options)| (own(to), own(options))).collect();
    HostConfig { binds: binds.iter().map(own).collect(), tmpfs, ..HostConfig::default() }
}

fn refused(binds: &[&str], tmpfs: &[(&str, &str)]) -> String {
    let mut request = request();
    request.host_config = host(binds, tmpfs);
    build(&ImageDefaults::default(), &request, &facts()).unwrap_err().to_string()
}

fn of(binds: &[&str], tmpfs: &[(&str, &str)]) -> Spec {
    built(|r| r.host_config = host(binds, tmpfs))
}

fn targets(spec: &Spec) -> Vec<String> {
    let all = spec.mounts().clone().unwrap();
    all.iter().map(|mount| mount.destination().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_bind_is_recursive_private_and_writable_unless_told() {
    let facts = Facts { recursive_readonly: true, ..facts() };
    for (mode, wanted) in [
        ("", "rbind rprivate"),
        (":rw", "rbind rprivate"),
        (":ro", "rbind rro rprivate"),
        (":ro,rslave", "rbind rro rslave"),
        (":shared,z,cached", "rbind shared"),
    ] {
        let spec = with(&facts, |r| r.host_config = host(&[&format!("/a/../b:/x//y/{mode}")], &[]));
        assert_eq!(options(&spec, "/x/y").join(" "), wanted, "{mode}");
        let mounts = spec.mounts().clone().unwrap();
        let of_b = |mount: &&oci_spec::runtime::Mount| mount.source().as_deref() == Some("/b".as_ref());
        assert_eq!(mounts.iter().filter(of_b).count(), 1, "{mode}");
    }
    let old = of(&["/a:/x:ro"], &[]);
    assert_eq!(options(&old, "/x"), ["rbind", "ro", "rprivate"], "without mount_setattr(2)");
}

#[test]
fn a_volume_that_means_nothing_is_refused_in_dockers_words() {
    let bind = "invalid volume specification";
    let table = [
        ("/a", format!("{bind}: '/a'")),
        ("/a:ro", format!("{bind}: '/a:ro'")),
        (":/x", format!("{bind}: ':/x'")),
        ("/a:/x:ro:y", format!("{bind}: '/a:/x:ro:y'")),
        ("/a:/x:foo", "invalid mode: foo".to_owned()),
        ("/a:/x:ro,rw", "invalid mode: ro,rw".to_owned()),
        ("/a:/x:slave,rslave", "invalid mode: slave,rslave".to_owned()),
        ("/a:/x:nocopy,nocopy", "invalid mode: nocopy,nocopy".to_owned()),
        ("/a:/x:ro,", "invalid mode: ro,".to_owned()),
        (
            "/a:/x/..",
            format!(
                "{bind}: '/a:/x/..': invalid mount config for type \"bind\": invalid specification: destination can't be '/'"
            ),
        ),
        (
            "/a:x",
            format!(
                "{bind}: '/a:x': invalid mount config for type \"bind\": invalid mount path: 'x' mount path must be absolute"
            ),
        ),
        (
            "/a:/x:nocopy",
            format!(
                "{bind}: '/a:/x:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified"
            ),
        ),
        ("/a:/proc/self", "\"/proc/self\" cannot be mounted because it is inside /proc".to_owned()),
        ("/a:/proc", "\"/proc\" cannot be mounted because it is inside /proc".to_owned()),
    ];
    for (typed, said) in table {
        assert_eq!(refused(&[typed], &[]), said, "{typed}");
    }
    for fine in ["/proc:/proc", "/a:/proc/uptime", "/a:/procs"] {
        assert!(Bind::parse(fine).is_ok() && !targets(&of(&[fine], &[])).is_empty(), "{fine}");
    }
    assert_eq!(refused(&["/a:/x", "/b:/x/"], &[]), "Duplicate mount point: /x");
    assert_eq!(refused(&["/a:/x"], &[("/x", "")]), "Duplicate mount point: /x");
}

#[test]
fn tmpfs_options_are_merged_over_dockers() {
    for (typed, wanted) in [
        ("", "noexec nosuid nodev rprivate"),
        ("size=1m,mode=700", "noexec nosuid nodev rprivate size=1m mode=700"),
        ("exec,suid,dev,ro", "rprivate exec suid dev ro"),
        ("ro,rw,uid=1,uid=2,defaults", "noexec nosuid nodev rprivate rw uid=2"),
    ] {
        assert_eq!(options(&of(&[], &[("/x", typed)]), "/x").join(" "), wanted, "{typed}");
    }
    for (to, typed, said) in [
        ("/x", "foo", "invalid tmpfs option [\"foo\"]"),
        ("/x", "size=1m,", "invalid tmpfs option [\"\"]"),
        ("/x", "color=red", "invalid tmpfs option [\"color\" \"red\"]"),
        ("/x", "bind", "invalid tmpfs option [\"bind\"]"),
        ("/", "", "invalid specification: destination can't be '/'"),
        ("x", "", "invalid mount path: 'x' mount path must be absolute"),
        ("/proc/x", "", "\"/proc/x\" cannot be mounted because it is inside /proc"),
    ] {
        assert_eq!(refused(&[], &[(to, typed)]), said, "{to} {typed}");
    }
}

#[test]
fn mounts_of_the_user_replace_ours_and_come_by_depth() {
    let spec = of(&["/a:/x/y/z", "/b:/x", "/h:/etc/hosts"], &[("/dev/shm", "size=1m"), ("/x/y", "")]);
    let all = targets(&spec);
    let first = all.iter().position(|to| to == "/x").unwrap();
    assert_eq!(all[first..].join(" "), "/x /etc/hosts /dev/shm /x/y /etc/resolv.conf /etc/hostname /x/y/z");
    assert_eq!(all.iter().filter(|to| *to == "/dev/shm" || *to == "/etc/hosts").count(), 2);
    let dev = targets(&of(&["/dev:/dev"], &[]));
    assert_eq!(dev.iter().filter(|to| to.starts_with("/dev")).count(), 1, "nothing of ours below: {dev:?}");
}

#[test]
fn a_readonly_rootfs_has_readonly_files_of_etc() {
    let spec = built(|r| r.host_config.readonly_rootfs = true);
    assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(true));
    for file in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"] {
        assert!(options(&spec, file).contains(&"ro".to_owned()), "{file}");
    }
    for open in ["/dev", "/dev/shm", "/dev/pts", "/dev/mqueue", "/proc"] {
        assert!(!options(&spec, open).contains(&"ro".to_owned()), "{open}");
    }
}
