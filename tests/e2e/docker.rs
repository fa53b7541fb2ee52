//! The same cases against Docker: `MINIDOCKER_E2E_DOCKERD=1` lets one test start a daemon of its own
//! and run the common cases in it.

use std::process::Command;

use kit::{Dockerd, Minidocker};

#[test]
fn the_common_cases_hold_for_docker() {
    kit::require!(!Minidocker::is_docker(), "is-docker", "this is that run");
    kit::require!(kit::Who::Me.is_root(), "not-root", "only root can start dockerd");
    let asked = std::env::var_os("MINIDOCKER_E2E_DOCKERD").is_some();
    kit::require!(
        asked,
        "no-docker-asked",
        "MINIDOCKER_E2E_DOCKERD=1 runs the common cases against a private dockerd"
    );
    let md = kit::ours!();
    let docker = Dockerd::start().unwrap();
    docker.load(&md.root().join("images"), "hostbox").unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    // What it skips is no skip of this run.
    again.env_remove("MINIDOCKER_SKIPS").env_remove("CI");
    again.env("MINIDOCKER_BIN", "docker").env("DOCKER_HOST", docker.host()).args(["--test-threads", "2"]);
    let out = again.stdin(std::process::Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}
