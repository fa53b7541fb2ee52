//! Tables of what is asked against what the Spec says.

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::*;

mod confinement;
mod user;
mod volumes;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# a comment\n\ndaemon:x:1:1::/usr/sbin:/bin/false\n\
    web:x:1000:1000:,,,:/home/web:/bin/sh\n42:x:1042:1042::/home/42:/bin/sh\nbroken:x\nnohome:x:7:7\n";
const GROUP: &str =
    "root:x:0:\nadm:x:4:root,web\nwheel:x:10:root\nweb:x:1000:\nstaff:x:50:web,daemon\ntty:x:5:\n";

fn facts() -> Facts {
    Facts {
        bundle: PathBuf::from("/store/containers/abc"),
        lowers: vec![PathBuf::from("/store/layers/b"), PathBuf::from("/store/layers/a")],
        can_list_devices: true,
        passwd: Some(PASSWD.to_owned()),
        group: Some(GROUP.to_owned()),
        host_hostname: "laptop".to_owned(),
        ..Facts::default()
    }
}

fn rootless(ids: &[u32]) -> Facts {
    let map: Vec<_> = ids
        .iter()
        .scan(0, |inside, &count| {
            let range = IdRange { inside: *inside, outside: 100_000 + *inside, count };
            *inside += count;
            Some(range)
        })
        .collect();
    Facts {
        rootless: true,
        uid_map: map.clone(),
        gid_map: map,
        userxattr: true,
        can_list_devices: false,
        ..facts()
    }
}

fn request() -> Request {
    Request {
        version: VERSION,
        id: "0123456789abcdef".repeat(4),
        name: "web".to_owned(),
        created: "2026-01-02T03:04:05.678Z".parse().unwrap(),
        image: "hostbox".to_owned(),
        image_id: String::new(),
        rootfs: None,
        config: Config { cmd: words(&["sh"]), ..Config::default() },
        host_config: HostConfig::default(),
    }
}

fn words(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|&word| word.to_owned()).collect())
}

fn built(change: impl FnOnce(&mut Request)) -> Spec {
    with(&facts(), change)
}

fn with(facts: &Facts, change: impl FnOnce(&mut Request)) -> Spec {
    let mut request = request();
    change(&mut request);
    build(&ImageDefaults::default(), &request, facts).unwrap()
}

fn options(spec: &Spec, to: &str) -> Vec<String> {
    let mounts = spec.mounts().clone().unwrap();
    let mount = mounts.iter().find(|mount| mount.destination().to_str() == Some(to)).unwrap();
    mount.options().clone().unwrap()
}

fn namespaces(spec: &Spec) -> Vec<LinuxNamespaceType> {
    let linux = spec.linux().clone().unwrap();
    linux.namespaces().as_ref().unwrap().iter().map(|namespace| namespace.typ()).collect()
}

#[test]
fn an_init_of_ours_is_an_annotation() {
    let init = |asked| {
        let spec = built(|r| r.host_config.init = asked);
        spec.annotations().clone().unwrap().get(INIT_ANNOTATION).cloned()
    };
    assert_eq!((init(Some(true)).as_deref(), init(Some(false)), init(None)), (Some("true"), None, None));
}

#[test]
fn entrypoint_and_cmd_follow_dockers_rules() {
    let none: &[&str] = &[];
    type Words<'a> = Option<&'a [&'a str]>;
    type Row<'a> = (Words<'a>, Words<'a>, Words<'a>, Words<'a>, Words<'a>);
    let table: [Row; 10] = [
        // image entrypoint, image cmd, asked entrypoint, asked cmd -> args
        (None, Some(&["sh"]), None, None, Some(&["sh"])),
        (Some(&["/e"]), Some(&["c"]), None, None, Some(&["/e", "c"])),
        (Some(&["/e"]), Some(&["c"]), None, Some(&["x", "y"]), Some(&["/e", "x", "y"])),
        (Some(&["/e"]), Some(&["c"]), Some(&["/own"]), None, Some(&["/own"])),
        (Some(&["/e"]), Some(&["c"]), Some(&["/own"]), Some(&["x"]), Some(&["/own", "x"])),
        (Some(&["/e"]), Some(&["c"]), Some(&[""]), Some(&["x"]), Some(&["x"])),
        (Some(&["/e"]), Some(&["c"]), Some(&[""]), None, None),
        (None, None, None, None, None),
        (None, None, None, Some(&["x"]), Some(&["x"])),
        (Some(none), Some(&["c"]), None, None, Some(&["c"])),
    ];
    for (n, (entrypoint, cmd, own_entrypoint, own_cmd, wanted)) in table.into_iter().enumerate() {
        let image = ImageDefaults {
            entrypoint: entrypoint.and_then(words),
            cmd: cmd.and_then(words),
            ..ImageDefaults::default()
        };
        let mut request = request();
        request.config.entrypoint = own_entrypoint.and_then(words);
        request.config.cmd = own_cmd.and_then(words);
        let args =
            build(&image, &request, &facts()).map(|spec| spec.process().clone().unwrap().args().clone());
        match wanted {
            Some(wanted) => assert_eq!(args.unwrap(), words(wanted), "row {n}"),
            None => assert_eq!(args.unwrap_err(), SpecError::NoCommand, "row {n}"),
        }
    }
}

#[test]
fn the_environment_is_built_in_dockers_order() {
    let image: &[&str] = &["PATH=/image", "A=image", "B=image"];
    let id = "HOSTNAME=0123456789ab";
    type Row<'a> = (&'a [&'a str], &'a [&'a str], bool, &'a [&'a str]);
    let table: [Row; 7] = [
        // image, asked, tty -> environment
        (
            &[],
            &[],
            false,
            &[
                concat!("PATH=/usr/local/sbin:/usr/local/bin:", "/usr/sbin:/usr/bin:/sbin:/bin"),
                id,
                "HOME=/root",
            ],
        ),
        (image, &[], true, &["PATH=/image", id, "TERM=xterm", "A=image", "B=image", "HOME=/root"]),
        (image, &["B=own", "C=x"], false, &["PATH=/image", id, "B=own", "C=x", "A=image", "HOME=/root"]),
        (image, &["A"], false, &["PATH=/image", id, "B=image", "HOME=/root"]),
        (image, &["PATH", "HOSTNAME"], false, &["A=image", "B=image", "HOME=/root"]),
        (&[], &["PATH=/a=b", "HOME=/h", "TERM=vt100"], true, &["PATH=/a=b", id, "TERM=vt100", "HOME=/h"]),
        (&["PATH=/p"], &["X=1", "X=2", "E="], false, &["PATH=/p", id, "X=2", "E=", "HOME=/root"]),
    ];
    for (image, asked, tty, wanted) in table {
        let image = ImageDefaults { env: words(image).unwrap(), ..ImageDefaults::default() };
        let mut request = request();
        request.config.env = words(asked).unwrap();
        request.config.tty = tty;
        let spec = build(&image, &request, &facts()).unwrap();
        assert_eq!(spec.process().as_ref().unwrap().env(), &words(wanted), "{asked:?}");
    }
}

#[test]
fn the_working_directory_is_cleaned_and_must_be_absolute() {
    let cwd = |dir: &str| {
        let mut request = request();
        request.config.working_dir = dir.to_owned();
        build(&ImageDefaults::default(), &request, &facts())
            .map(|spec| spec.process().clone().unwrap().cwd().to_str().unwrap().to_owned())
            .map_err(|e| e.to_string())
    };
    for (dir, wanted) in
        [("", "/"), ("/", "/"), ("/a//b/./c/", "/a/b/c"), ("/a/../..", "/"), ("/x/..y", "/x/..y")]
    {
        assert_eq!(cwd(dir).as_deref(), Ok(wanted), "{dir}");
    }
    let words = "the working directory 'a/b' is invalid, it needs to be an absolute path";
    assert_eq!(cwd("a/b").unwrap_err(), words);
}

#[test]
fn the_host_name_is_asked_or_the_hosts_or_the_short_id() {
    for (asked, network, wanted) in [
        ("", NetworkMode::None, "0123456789ab"),
        ("", NetworkMode::Host, "laptop"),
        ("own", NetworkMode::Host, "own"),
        ("own", NetworkMode::None, "own"),
    ] {
        let spec = built(|request| {
            request.config.hostname = asked.to_owned();
            request.host_config.network_mode = network;
        });
        assert_eq!(spec.hostname().as_deref(), Some(wanted));
        let env = spec.process().clone().unwrap().env().clone().unwrap();
        assert!(env.contains(&format!("HOSTNAME={wanted}")), "{env:?}");
    }
}

#[test]
fn the_overlay_is_an_annotation() {
    let facts = Facts { volatile: true, ..rootless(&[1]) };
    let spec = with(&facts, |_| {});
    let text = spec.annotations().as_ref().unwrap()[OVERLAY_ANNOTATION].clone();
    let overlay: OverlayAnnotation = serde_json::from_str(&text).unwrap();
    let wanted = OverlayAnnotation {
        version: 1,
        lower: facts.lowers,
        upper: "/store/containers/abc/upper".into(),
        work: "/store/containers/abc/work".into(),
        userxattr: true,
        volatile: true,
    };
    assert_eq!(overlay, wanted);
    assert_eq!(spec.root().as_ref().unwrap().path().to_str(), Some("/store/containers/abc/rootfs"));
}

#[test]
fn a_spec_survives_its_file() {
    let spec = built(|_| {});
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec);
}

#[test]
fn a_request_survives_its_file_and_lacks_no_newer_field() {
    let mut asked = request();
    asked.rootfs = Some("/srv/debian".into());
    asked.config.stop_signal = Some("SIGINT".to_owned());
    asked.host_config.network_mode = NetworkMode::Host;
    let text = serde_json::to_string(&asked).unwrap();
    assert!(text.contains(r#""version":1,"Id":"0123"#) && text.contains(r#""NetworkMode":"host""#), "{text}");
    assert!(text.contains(r#""Created":"2026-01-02T03:04:05.678Z""#), "{text}");
    assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), asked);
    let oldest = r#"{"version":1,"Id":"a","Name":"b","Created":"2026-01-02T03:04:05Z"}"#;
    let read: Request = serde_json::from_str(oldest).unwrap();
    assert_eq!(read.host_config, HostConfig::default());
    assert!(serde_json::from_str::<Request>(&oldest.replace("2026-01-02T", "yesterday ")).is_err());
}

#[test]
fn images_give_user_directory_labels_and_volumes() {
    let image = ImageDefaults {
        user: "web".to_owned(),
        working_dir: "/srv".to_owned(),
        stop_signal: Some("SIGQUIT".to_owned()),
        labels: [("a", "image"), ("b", "image")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        volumes: vec!["/data".to_owned()],
        ..ImageDefaults::default()
    };
    let asked = Config { labels: [("a".to_owned(), "own".to_owned())].into(), ..Config::default() };
    let config = merged(&image, &asked);
    assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("web", "/srv"));
    assert_eq!((config.labels["a"].as_str(), config.labels["b"].as_str()), ("own", "image"));
    assert!(config.volumes.unwrap().contains_key("/data"));
    assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
}
