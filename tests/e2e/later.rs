//! Words of Docker's that aren't built yet: known by name, never "unexpected", never ignored.

const LATER: &str = "not in minidocker yet";

#[test]
fn commands_that_are_not_built_say_so() {
    let md = kit::ours!();
    let commands = "pull push build images exec logs stop restart pause unpause wait top attach cp diff commit \
                    export import save load tag rmi history login logout search info events stats update rename port";
    for command in commands.split_whitespace() {
        md.line(&format!("{command} x")).complains(125, LATER);
    }
    for line in ["network ls", "volume create x", "system df", "image ls", "container prune", "builder prune"]
    {
        md.line(line).complains(125, LATER);
    }
}

#[test]
fn flags_that_are_not_built_say_so_and_run_nothing() {
    let md = kit::ours!();
    let flags = [
        "-d",
        "--network nosuch",
        "-m 64m",
        "--memory=64m",
        "-p 80:80",
        "-P",
        "--network bridge",
        "--network container:x",
        "--cap-add ALL",
        "--cap-drop ALL",
        "--privileged",
        "--restart=always",
        "--mount type=tmpfs,dst=/x",
        "--cpus 1",
        "--pids-limit 5",
        "--security-opt no-new-privileges",
        "--env-file /dev/null",
        "--label a=b",
        "--dns 1.1.1.1",
        "--pid host",
        "--userns host",
        "--ulimit nofile=5",
        "-itd",
        "--detach=true",
    ];
    for flag in flags {
        md.line(&format!("run --rm {flag} hostbox echo ran")).complains(125, LATER);
    }
    for line in [
        "ps -s",
        "ps --format x",
        "ps --filter a=b",
        "inspect -f x y",
        "inspect --size x",
        "rm -v x",
        "rm -l x",
    ] {
        md.line(line).complains(125, LATER);
    }
    md.nothing_left();
}

#[test]
fn words_that_docker_does_not_know_are_not_called_later() {
    let md = kit::ours!();
    let lines = [
        ("frobnicate", "frobnicate"),
        ("run --frobnicate hostbox true", "unknown flag: --frobnicate"),
        ("ps --frobnicate", "unknown flag: --frobnicate"),
        ("run -Z hostbox", "unknown shorthand flag: 'Z' in -Z"),
    ];
    for (line, text) in lines {
        let out = md.line(line);
        assert_ne!(out.code, 0);
        assert!(!out.err().contains(LATER), "{}", out.err());
        let code = out.code;
        out.complains(code, text);
    }
}
