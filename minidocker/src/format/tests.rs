//! Golden texts, as Docker prints them.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::spec::{Config, HostConfig, NetworkMode, Request};

const NOW: &str = "2026-01-02T03:04:05Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn config(image: &str, command: &[&str]) -> Config {
    let words = command.iter().map(|&word| word.to_owned()).collect();
    Config { image: image.to_owned(), cmd: Some(words), ..Config::default() }
}

#[test]
fn spans_are_rounded_as_go_units_does() {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    for (seconds, words) in [
        (-5, "Less than a second"),
        (0, "Less than a second"),
        (1, "1 second"),
        (45, "45 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (60 * MINUTE, "About an hour"),
        (89 * MINUTE, "About an hour"),
        (90 * MINUTE, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ] {
        let now = at(NOW);
        assert_eq!(span(now - SignedDuration::from_secs(seconds), now), words, "{seconds} s");
    }
}

#[test]
fn commands_are_cut_and_quoted_as_go_does() {
    for (text, cell) in [
        ("sh", "\"sh\""),
        ("sleep 12345678901234", "\"sleep 12345678901234\""),
        ("sleep 123456789012345", "\"sleep 1234567890123…\""),
        ("echo \"hi\" \\", "\"echo \\\"hi\\\" \\\\\""),
        ("a\nb\tc\x07\x1b[1m", "\"a\\nb\\tc\\a\\x1b[1m\""),
        ("it's ä…\u{200b}", "\"it's ä…\\u200b\""),
    ] {
        assert_eq!(quoted(&cut(text, 20)), cell);
    }
}

#[test]
fn ps_prints_dockers_table() {
    let (a, b, c) = ("a1".repeat(32), "b2".repeat(32), "c3".repeat(32));
    let running = State { status: Status::Running, started_at: "2026-01-02T03:04:02Z", ..State::default() };
    let exited = State {
        status: Status::Exited,
        exit_code: 137,
        finished_at: "2026-01-02T02:04:05Z",
        ..State::default()
    };
    let (one, two, three) = (
        config("hostbox", &["sh", "-c", "echo hi there"]),
        config("debian:12", &["bash"]),
        config("", &["x"]),
    );
    let row = |id, name, config, created, state| Row { id, name, config, created: at(created), state };
    let rows = [
        row(&a, "old_one", &one, "2026-01-01T03:04:05Z", exited),
        row(&b, "new", &two, "2026-01-02T03:04:02Z", running),
        row(&c, "made", &three, "2026-01-02T03:03:05Z", State::default()),
    ];
    assert_eq!(
        ps(&rows, at(NOW), false),
        "CONTAINER ID   IMAGE        COMMAND                  CREATED              STATUS                           PORTS     NAMES\n\
         b2b2b2b2b2b2   debian:12    \"bash\"                   3 seconds ago        Up 3 seconds                               new\n\
         c3c3c3c3c3c3   <no image>   \"x\"                      About a minute ago   Created                                    made\n\
         a1a1a1a1a1a1   hostbox      \"sh -c 'echo hi ther…\"   24 hours ago         Exited (137) About an hour ago             old_one\n"
    );
    assert_eq!(ids(&rows, false), "b2b2b2b2b2b2\nc3c3c3c3c3c3\na1a1a1a1a1a1\n");
    assert_eq!(ids(&rows[..1], true), format!("{a}\n"));
    assert!(
        ps(&rows[..1], at(NOW), true)
            .contains(&format!("{a}   hostbox   \"sh -c 'echo hi there'\"   24 hours ago"))
    );
    assert_eq!(
        ps(&[], at(NOW), false),
        "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
    );
}

#[test]
fn inspect_prints_dockers_fields_in_dockers_order() {
    let mut config = config("hostbox", &["sh", "-c", "true"]);
    config.env = vec!["A=<&>".to_owned()];
    config.hostname = "0123456789ab".to_owned();
    let request = Request {
        version: 1,
        id: "0123456789abcdef".repeat(4),
        name: "web".to_owned(),
        created: at("2026-01-02T03:04:05.678901234Z"),
        image: "hostbox".to_owned(),
        image_id: "sha256:11".to_owned(),
        rootfs: None,
        config: config.clone(),
        host_config: HostConfig {
            network_mode: NetworkMode::None,
            auto_remove: true,
            ..HostConfig::default()
        },
    };
    let state =
        State { status: Status::Running, pid: 42, started_at: "2026-01-02T03:04:06Z", ..State::default() };
    let lowers = [PathBuf::from("/s/layers/b"), PathBuf::from("/s/layers/a")];
    let bundle = Path::new("/s/containers/x");
    let shown = inspect(&Inspected { request: &request, config: &config, state, bundle, lowers: &lowers });
    let text = pretty(&[shown]).unwrap();
    assert_eq!(text, include_str!("inspect.golden.json"));
}

#[test]
fn an_empty_list_is_printed_as_docker_does() {
    assert_eq!(pretty::<[u8; 0]>(&[]).unwrap(), "[]\n");
}
