//! Command lines against what is understood, and against Docker's words.

use std::ffi::OsString;

use super::make::{Given, request};
use super::parse::{Asked, parse, with_not_yet};
use super::verb::Verb;
use super::{Global, Inspect, Kill, Ps, Rm, Run, Version, error, known, main};
use crate::spec::{NetworkMode, Request};

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(|word| if word == "''" { "" } else { word }.into()).collect()
}

fn parsed<V: Verb>(line: &str) -> V {
    match parse::<V>("run", words(line)).unwrap() {
        Asked::Verb(verb) => verb,
        Asked::Help(text) => panic!("help: {text}"),
    }
}

fn asked(line: &str) -> Request {
    asked_by(&parsed::<Run>(line)).unwrap()
}

fn asked_by(args: &Run) -> Result<Request, super::Refused> {
    let env = |name: &str| (name == "HAVE").then(|| "it".to_owned());
    let given = Given {
        path: "run",
        id: "ab".repeat(32),
        created: "2026-01-02T03:04:05Z".parse().unwrap(),
        image_id: "sha256:00".to_owned(),
        rootfs: args.make.rootfs.clone(),
        env: &env,
        console_size: [24, 80],
        here: Some("/here".into()),
        selinux: false,
    };
    request(&args.make, given)
}

/// Exit code and text of a command line that is refused.
fn refused(line: &str) -> (u8, String) {
    let failed = main(words(&format!("minidocker {line}"))).unwrap_err();
    (error::exit_code(&failed), error::render(&failed))
}

#[test]
fn flags_of_run_become_the_request() {
    type Check = fn(&Request) -> bool;
    let table: [(&str, Check); 30] = [
        ("img", |r| {
            r.image == "img" && r.config.cmd.is_none() && r.config.attach_stdout && !r.config.attach_stdin
        }),
        ("img sh -c x", |r| r.config.cmd.as_ref().unwrap() == &["sh", "-c", "x"]),
        ("-it img", |r| r.config.tty && r.config.open_stdin && r.config.stdin_once && r.config.attach_stdin),
        ("-it img", |r| r.host_config.console_size == [24, 80]),
        ("-i img", |r| r.host_config.console_size == [0, 0]),
        ("-ti=false img", |r| r.config.tty && !r.config.open_stdin),
        ("-t=0 --interactive=T img", |r| !r.config.tty && r.config.open_stdin),
        ("--rm img", |r| r.host_config.auto_remove),
        ("--rm --rm=false img", |r| !r.host_config.auto_remove),
        ("--rm img --rm=false -t", |r| r.config.cmd.as_ref().unwrap() == &["--rm=false", "-t"]),
        ("img -- x", |r| r.config.cmd.as_ref().unwrap() == &["--", "x"]),
        ("-- img --rm", |r| r.image == "img" && r.config.cmd.as_ref().unwrap() == &["--rm"]),
        ("--name a --name=b img", |r| r.name == "b"),
        ("--name --rm img", |r| r.name == "--rm" && !r.host_config.auto_remove),
        ("-e A=1 -eB=2 --env=C=x=y img", |r| r.config.env == ["A=1", "B=2", "C=x=y"]),
        ("-e HAVE -e LACK -e E= img", |r| r.config.env == ["HAVE=it", "LACK", "E="]),
        ("-w /a -u 1:2 img", |r| r.config.working_dir == "/a" && r.config.user == "1:2"),
        ("--entrypoint /e img x", |r| r.config.entrypoint.as_ref().unwrap() == &["/e"]),
        ("--entrypoint '' img x", |r| r.config.entrypoint.as_ref().unwrap() == &[""]),
        ("--network host img", |r| r.host_config.network_mode == NetworkMode::Host),
        ("--net=none img", |r| r.host_config.network_mode == NetworkMode::None),
        ("--init img", |r| r.host_config.init == Some(true)),
        ("--init=false img", |r| r.host_config.init.is_none()),
        ("-h web img", |r| r.config.hostname == "web"),
        ("--read-only img", |r| r.host_config.readonly_rootfs),
        ("--tmpfs /a --tmpfs /b:size=1m,mode=1:2 img", |r| {
            r.host_config.tmpfs["/a"].is_empty() && r.host_config.tmpfs["/b"] == "size=1m,mode=1:2"
        }),
        ("-v /a:/b -v/c:/d:ro --volume=/a:/b img", |r| r.host_config.binds == ["/a:/b", "/c:/d:ro"]),
        ("-v ../a:/b:ro img", |r| r.host_config.binds == ["/a:/b:ro"]),
        ("-v ./a:/b -v .:/c:Z img", |r| r.host_config.binds == ["/here/a:/b", "/here:/c:Z"]),
        ("--rootfs /d sh x", |r| {
            r.rootfs.as_ref().unwrap().to_str() == Some("/d")
                && r.image.is_empty()
                && r.config.cmd.as_ref().unwrap().len() == 2
        }),
    ];
    for (line, holds) in table {
        let request = asked(line);
        assert!(holds(&request), "{line}: {request:#?}");
    }
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    for (line, name) in [
        ("run -p 80:80 img", "run --publish"),
        ("run -d img", "run --detach"),
        ("run -itd img", "run --detach"),
        ("run --privileged=false img", "run --privileged"),
        ("run --sig-proxy=false img", "run --sig-proxy"),
        ("run --privileged -v /a:/b -d img", "run --privileged"),
        ("run -m1g img", "run --memory"),
        ("container run --cpus 1 img", "container run --cpus"),
        ("ps --format json", "ps --format"),
        ("ps -aqn 3", "ps --last"),
        ("container ls -s", "container ls --size"),
        ("rm -fv x", "rm --volumes"),
        ("inspect --type container x", "inspect --type"),
        ("version --format x", "version --format"),
        ("-H tcp://x ps", "--host"),
        ("logs -f x", "logs"),
        ("exec -it x sh", "exec"),
        ("image ls", "image ls"),
        ("image", "image"),
        ("container logs x", "container logs"),
        ("compose up", "compose"),
    ] {
        assert_eq!(refused(line), (125, format!("minidocker: {name}: not in minidocker yet\n")), "{line}");
    }
}

#[test]
fn networks_that_are_not_built_are_refused_by_name() {
    for (line, text) in [
        ("--network bridge img", "run --network bridge: not in minidocker yet"),
        ("--network default img", "run --network default: not in minidocker yet"),
        ("--net container:x img", "run --network container:x: not in minidocker yet"),
        ("--network none --network host img", "run --network, more than one: not in minidocker yet"),
        ("--network '' img", "no name set for network"),
    ] {
        assert_eq!(asked_by(&parsed::<Run>(line)).unwrap_err().to_string(), text, "{line}");
    }
}

#[test]
fn volumes_that_are_not_built_and_paths_that_are_none_are_told_apart() {
    let named = "includes invalid characters for a local volume name";
    for (line, text) in [
        ("-v data:/x img", "run --volume data:/x, a named volume: not in minidocker yet"),
        ("-v /x img", "run --volume /x, an anonymous volume: not in minidocker yet"),
        ("-v '' img", "invalid empty volume spec"),
        ("-v /a: img", "invalid spec: /a:: empty section between colons"),
        ("-v ::/x img", "invalid spec: ::/x: empty section between colons"),
        ("-v /a:/b:ro:x img", "invalid spec: /a:/b:ro:x: too many colons"),
        ("-v ~/a:/b img", named),
    ] {
        let refused = asked_by(&parsed::<Run>(line)).unwrap_err();
        assert!(refused.to_string().contains(text), "{line}: {refused}");
        assert_eq!(error::exit_code(&refused.into()), 125, "{line}");
    }
}

const RUN: &str = "Usage:  minidocker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n";

/// Command line, exit code, first line, what comes behind it. Each was compared with what docker
/// 28.2.2 prints, but for the program's name.
const WRONG: &[(&str, u8, &str, &str)] = &[
    ("foo", 1, "unknown command: minidocker foo", "Run 'minidocker --help' for more information"),
    ("run --foo x", 125, "unknown flag: --foo", RUN),
    ("run --foo=x y", 125, "unknown flag: --foo", RUN),
    ("run -Z x", 125, "unknown shorthand flag: 'Z' in -Z", RUN),
    ("run -tiZrm x", 125, "unknown shorthand flag: 'Z' in -Zrm", RUN),
    ("run --=x y", 125, "bad flag syntax: --=x", RUN),
    ("run ---x y", 125, "bad flag syntax: ---x", RUN),
    ("run -w", 125, "flag needs an argument: 'w' in -w", RUN),
    ("run -ie", 125, "flag needs an argument: 'e' in -e", RUN),
    ("run --name", 125, "flag needs an argument: --name", RUN),
    (
        "run --tty=maybe x",
        125,
        "invalid argument \"maybe\" for \"-t, --tty\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        RUN,
    ),
    (
        "run --rm=2 x",
        125,
        "invalid argument \"2\" for \"--rm\" flag: strconv.ParseBool: parsing \"2\": invalid syntax",
        RUN,
    ),
    (
        "run -e =x y",
        125,
        "invalid argument \"=x\" for \"-e, --env\" flag: invalid environment variable: =x",
        RUN,
    ),
    ("run -e '' y", 125, "invalid argument \"\" for \"-e, --env\" flag: invalid environment variable: ", RUN),
    ("run", 1, "'minidocker run' requires at least 1 argument", RUN),
    ("run --rm", 1, "'minidocker run' requires at least 1 argument", RUN),
    (
        "rm -f",
        1,
        "'minidocker rm' requires at least 1 argument",
        "Usage:  minidocker rm [OPTIONS] CONTAINER [CONTAINER...]",
    ),
    (
        "ps x",
        1,
        "'minidocker ps' accepts no arguments",
        "Usage:  minidocker ps [OPTIONS]\n\nRun 'minidocker ps --help'",
    ),
    ("container foo", 1, "unknown command: minidocker container foo", "Usage:  minidocker container\n\nRun"),
    ("container --foo", 125, "unknown flag: --foo", "Usage:  minidocker container\n\nRun"),
    (
        "container inspect",
        1,
        "'minidocker container inspect' requires at least 1 argument",
        "Usage:  minidocker container inspect [OPTIONS] CONTAINER [CONTAINER...]",
    ),
    (
        "--foo ps",
        125,
        "unknown flag: --foo",
        "Usage:  minidocker [OPTIONS] COMMAND [ARG...]\n\nRun 'minidocker --help'",
    ),
    ("help foo", 1, "unknown command: minidocker foo", ""),
    ("kill -s FOO x", 1, "invalid signal: FOO", ""),
];

#[test]
fn a_wrong_command_line_is_answered_in_dockers_words() {
    for (line, code, first, rest) in WRONG {
        let (got, text) = refused(line);
        assert_eq!(got, *code, "{line}: {text}");
        assert!(text.starts_with(&format!("minidocker: {first}\n")), "{line}: {text}");
        assert!(text.contains(rest), "{line}: {text}");
    }
}

#[test]
fn names_with_other_flags_between_are_all_taken() {
    let rm: Rm = parsed("a -f b");
    assert!(rm.force && rm.names == ["a", "b"]);
    let kill: Kill = parsed("a -s TERM b");
    assert!(kill.signal == "TERM" && kill.names == ["a", "b"]);
    assert!(parsed::<Kill>("-- -x").names == ["-x"]);
    let ps: Ps = parsed("-aq --no-trunc");
    assert!(ps.all && ps.quiet && ps.no_trunc);
}

#[test]
fn help_shows_what_is_built_and_hides_what_is_not() {
    for line in ["--help", "--rm --help img", "--help=true"] {
        let Asked::Help(text) = parse::<Run>("run", words(line)).unwrap() else { panic!("{line}") };
        assert!(
            text.starts_with("Usage:  minidocker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nCreate and run")
        );
        assert!(text.contains("\n  -e, --env list             Set environment variables\n"), "{text}");
        assert!(text.contains("      --help                 Print usage\n"), "{text}");
        assert!(!text.contains("publish") && text.lines().count() < 27, "{text}");
    }
    assert!(
        matches!(parse::<Ps>("ps", words("-h")), Ok(Asked::Help(_))),
        "-h is help where it is nothing else"
    );
}

#[test]
fn every_parser_is_sound() {
    with_not_yet::<Global>().debug_assert();
    with_not_yet::<Run>().debug_assert();
    with_not_yet::<Ps>().debug_assert();
    with_not_yet::<Inspect>().debug_assert();
    with_not_yet::<Kill>().debug_assert();
    with_not_yet::<Rm>().debug_assert();
    with_not_yet::<Version>().debug_assert();
}

#[test]
fn all_flags_of_dockers_run_are_known() {
    // 104 lines of `docker run --help` in 28.2.2, its hidden --net, --net-alias and --dns-opt; --rootfs is ours.
    let run = with_not_yet::<Run>();
    let names = run.get_arguments().filter(|arg| !arg.is_positional()).count();
    assert_eq!(names + run.get_arguments().filter_map(clap::Arg::get_all_aliases).flatten().count(), 108);
    assert!(known::command("attach") && known::group("swarm").is_some() && !known::command("swarm"));
}
