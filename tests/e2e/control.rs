//! The control socket, by clients that misbehave: slow ones, many, ones that leave.

use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use kit::{Minidocker, Who};
use minidocker::supervisor::{Answer, Attach, Call, Verb};
use rustix::fs::{Mode, OFlags};
use rustix::net::sockopt::Timeout;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use rustix::process::Signal;

/// A client at `ctl`, which waits for nothing while it connects.
pub(crate) fn connect(dir: &PathBuf) -> rustix::io::Result<OwnedFd> {
    let dir = rustix::fs::open(dir, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    // The path is longer than an address may be (unix(7)).
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/ctl", dir.as_raw_fd()))?;
    rustix::net::connect(&socket, &address)?;
    rustix::io::ioctl_fionbio(&socket, false)?;
    // A supervisor that doesn't answer fails the test and doesn't hang it.
    rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(60)))?;
    Ok(socket)
}

pub(crate) fn say(socket: &OwnedFd, verb: Verb, fds: &[BorrowedFd<'_>]) {
    let text = serde_json::to_vec(&Call::new(verb)).unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds)));
    let sent =
        rustix::net::sendmsg(socket, &[std::io::IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL);
    assert_eq!(sent.unwrap(), text.len());
}

pub(crate) fn hear(socket: &OwnedFd) -> Answer {
    let mut text = vec![0; 65536];
    let (length, _) = rustix::net::recv(socket, &mut text, RecvFlags::empty()).unwrap();
    serde_json::from_slice(&text[..length]).unwrap()
}

const OUTPUT: Attach = Attach { stdin: false, stdout: true, stderr: false, events: false };

/// The directory of the only container.
pub(crate) fn dir(md: &Minidocker) -> PathBuf {
    let mut all = md.containers();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn a_later_client_that_does_not_read_is_dropped_with_a_notice_and_the_container_goes_on() {
    let md = kit::ours!();
    let write = "echo up; read x; head -c 3000000 /dev/zero; echo done; exec sleep 1000";
    let mut starter =
        md.call(["run", "--name", "slow", "-i", "hostbox", "sh", "-c", write]).stdin_open().spawn();
    starter.expect("up\n");
    let later = connect(&dir(&md)).unwrap();
    let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    say(&later, Verb::Attach(OUTPUT), &[writing.as_fd()]);
    drop(writing);
    assert_eq!(hear(&later), Answer::Ok);
    starter.send(b"\n");
    starter.expect("done\n");
    assert_eq!(hear(&later), Answer::Dropped);
    // What waited for it is gone with it: there is no more than the pipe holds.
    let mut read = Vec::new();
    std::fs::File::from(reading).read_to_end(&mut read).unwrap();
    assert!((1..=1 << 16).contains(&read.len()), "{} bytes", read.len());
    // It may still ask.
    say(&later, Verb::State, &[]);
    assert!(matches!(hear(&later), Answer::State(state) if state.is_running()));
    md.line("kill slow").ok();
    assert_eq!(hear(&later), Answer::Exited { code: 137 });
    let out = starter.finish().code(137);
    assert_eq!(out.stdout.len(), 3_000_000 + "up\ndone\n".len(), "the starter has all of it");
}

#[test]
fn a_later_client_gets_the_same_as_the_starter_and_the_end() {
    let md = kit::ours!();
    let write = "echo up; read x; head -c 3000000 /dev/zero; echo done";
    let mut starter = md.call(["run", "--rm", "-i", "hostbox", "sh", "-c", write]).stdin_open().spawn();
    starter.expect("up\n");
    let later = connect(&dir(&md)).unwrap();
    // A file takes all at once, as a client does that reads fast enough.
    let path = md.room().join("output");
    say(&later, Verb::Attach(OUTPUT), &[std::fs::File::create(&path).unwrap().as_fd()]);
    assert_eq!(hear(&later), Answer::Ok);
    starter.send(b"\n");
    let out = starter.finish().ok();
    assert_eq!(hear(&later), Answer::Exited { code: 0 });
    assert!(std::fs::read(path).unwrap() == out.stdout["up\n".len()..]);
    md.nothing_left();
}

#[test]
fn clients_that_left_cost_no_descriptor() {
    let md = kit::ours!();
    let starter = crate::sleeper(&md, "many");
    let supervisor = md.supervisors().remove(0);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", supervisor.pid)).unwrap().count();
    let before = open();
    let all = Attach { stdin: true, stdout: true, stderr: true, events: false };
    for _ in 0..300 {
        let client = connect(&dir(&md)).unwrap();
        let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        say(&client, Verb::Attach(all), &[reading.as_fd(), writing.as_fd(), writing.as_fd()]);
        assert_eq!(hear(&client), Answer::Ok);
    }
    // One more round trip: by then it has seen that the others are gone.
    let last = connect(&dir(&md)).unwrap();
    say(&last, Verb::State, &[]);
    assert!(matches!(hear(&last), Answer::State(_)));
    drop(last);
    crate::supervisor::wait_until(&md, "all descriptors are closed", || open() <= before);
    md.line("kill many").ok();
    let _ = starter.finish().code(137);
}

#[test]
fn a_full_queue_at_a_stopped_supervisor_hangs_no_command() {
    for who in Who::all() {
        let md = kit::ours!(*who);
        for (command, left) in [("kill", true), ("rm -f", false)] {
            let starter = crate::sleeper(&md, "full");
            let supervisor = md.supervisors().remove(0);
            supervisor.signal(Signal::STOP);
            let queue: Vec<OwnedFd> =
                std::iter::repeat_with(|| connect(&dir(&md))).map_while(Result::ok).collect();
            assert!(queue.len() >= 64, "{} wait", queue.len());
            md.line("ps").ok().stdout_has("full").quiet();
            assert_eq!(crate::inspect(&md, "full")["State"]["Running"], true);
            md.line(&format!("{command} full")).ok().stdout_is("full").quiet();
            starter.finish().code(137).quiet();
            assert_eq!(md.line("ps -a").ok().out().contains("Exited (137)"), left);
            md.line("rm -f full").ok();
            md.nothing_left();
        }
    }
}

#[test]
fn more_clients_than_it_has_descriptors_for_keep_nobody_from_kill() {
    let md = kit::ours!();
    let call = md.call(["run", "--name", "crowd", "hostbox", "sh", "-c", "echo up; exec sleep 1000"]);
    // As many as most shells give.
    let mut starter = call.through("ulimit -n 1024; exec \"$@\"").spawn();
    starter.expect("up\n");
    let supervisor = md.supervisors().remove(0);
    let all = Attach { stdin: true, stdout: true, stderr: true, events: false };
    let (reading, writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let mut crowd = Vec::new();
    for at in 0..255 {
        let client = connect(&dir(&md)).unwrap();
        say(&client, Verb::Attach(all), &[reading.as_fd(), writing.as_fd(), writing.as_fd()]);
        if at < 199 {
            assert_eq!(hear(&client), Answer::Ok, "client {at}");
        }
        crowd.push(client);
    }
    let open = std::fs::read_dir(format!("/proc/{}/fd", supervisor.pid)).unwrap().count();
    assert!(open < 900, "{open} descriptors");
    md.line("kill crowd").ok().stdout_is("crowd").quiet();
    starter.finish().code(137).quiet();
    assert_eq!(crate::inspect(&md, "crowd")["State"]["ExitCode"], 137);
}

#[test]
fn what_is_no_call_or_asks_for_what_is_over_is_refused_and_harms_nobody() {
    let md = kit::ours!();
    let starter = crate::sleeper(&md, "noise");
    for noise in ["", "{", "\0\0", r#"{"version":1}"#, r#"{"version":1,"verb":"fly"}"#] {
        let client = connect(&dir(&md)).unwrap();
        let _ = rustix::net::send(&client, noise.as_bytes(), SendFlags::NOSIGNAL).unwrap();
        if !noise.is_empty() {
            assert!(matches!(hear(&client), Answer::Error(text) if text.starts_with("not a call: ")));
        }
    }
    let newer = connect(&dir(&md)).unwrap();
    let call = serde_json::to_vec(&Call { version: 99, verb: Verb::State }).unwrap();
    rustix::net::send(&newer, &call, SendFlags::NOSIGNAL).unwrap();
    assert_eq!(hear(&newer), Answer::Error("this supervisor speaks version 1, not 99".to_owned()));
    say(&newer, Verb::Attach(OUTPUT), &[]);
    assert_eq!(hear(&newer), Answer::Error("attach names 1 pipes, and 0 came".to_owned()));
    say(&newer, Verb::Attach(Attach { events: true, ..Attach::default() }), &[]);
    let over = "the set-up is over, and its events are told no more".to_owned();
    assert_eq!(hear(&newer), Answer::Error(over));
    md.line("kill noise").ok();
    let _ = starter.finish().code(137);
}
