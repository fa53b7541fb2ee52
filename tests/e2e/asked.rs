//! The control socket and the channel of a starter, asked what no command asks yet: the events of a
//! set-up, the end, a descriptor on init.

use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

use minidocker::store::Lock;
use minidocker::supervisor::{Answer, Attach, Verb};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};
use rustix::process::Signal;

use crate::control::{connect, dir, hear, say};

/// Starts the supervisor of a container as `minidocker start` does: with its lock, and a channel in which
/// the wish to be attached waits already.
fn supervisor_by_hand(md: &kit::Minidocker, wish: Option<Attach>) -> (OwnedFd, std::process::Child) {
    let dir = dir(md);
    let (ours, theirs) = socketpair();
    match wish {
        Some(wish) => say(&ours, Verb::Attach(wish), &[]),
        None => drop(rustix::net::send(&ours, b"{", SendFlags::NOSIGNAL).unwrap()),
    }
    let lock = Lock::exclusive(&dir.join("lock")).unwrap();
    let mut command = Command::new("bash");
    command.args([
        "-c",
        "exec 5<&0 6<&1 </dev/null >/dev/null; exec -a minidocker-supervisor \"$@\"",
        "bash",
    ]);
    command.arg(md.program()).arg(dir.file_name().unwrap()).args(["5", "6"]);
    command.stdin(lock.as_fd().try_clone_to_owned().unwrap()).stdout(theirs).stderr(Stdio::null());
    command.env("MINIDOCKER_ROOT", md.root());
    (ours, command.spawn().unwrap())
}

fn socketpair() -> (OwnedFd, OwnedFd) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

#[test]
fn a_starter_that_asks_for_events_is_told_every_call_of_supervisor_and_child_in_order() {
    let md = kit::ours!();
    md.line("create --name told hostbox sh -c 'exit 5'").ok();
    let (channel, mut supervisor) =
        supervisor_by_hand(&md, Some(Attach { events: true, ..Attach::default() }));
    let mut events = Vec::new();
    let mut rest = Vec::new();
    loop {
        match hear(&channel) {
            Answer::Event(event) => events.push(event),
            end @ Answer::Exited { .. } => {
                rest.push(end);
                break;
            }
            other => rest.push(other),
        }
    }
    assert_eq!(supervisor.wait().unwrap().code(), Some(0));
    assert_eq!(rest, [Answer::Started, Answer::Exited { code: 5 }]);
    let mut last: BTreeMap<String, u32> = BTreeMap::new();
    for event in &events {
        assert!(!event.call.is_empty() && !event.result.is_empty(), "{event:?}");
        let before = last.insert(format!("{:?}", event.role), event.seq);
        assert!(before.is_none_or(|seq| seq < event.seq), "{event:?} after {before:?}");
    }
    assert_eq!(last.keys().collect::<Vec<_>>(), ["Child", "Supervisor"]);
    let at = |role: &str, call: &str| {
        let found = events.iter().position(|e| format!("{:?}", e.role) == role && e.call == call);
        found.unwrap_or_else(|| panic!("no {call} of {role} in {events:#?}"))
    };
    let (made, pivoted) = (at("Supervisor", "clone3"), at("Child", "pivot_root"));
    assert!(made < pivoted && made < at("Child", "sethostname"));
    let pivot = &events[pivoted];
    assert_eq!((pivot.args.as_str(), pivot.result.as_str()), ("\".\", \".\"", "0"));
    assert!(!pivot.step.is_empty() && !pivot.section.is_empty(), "{pivot:?}");
    md.line("rm told").ok();
    md.nothing_left();
}

#[test]
fn a_starter_that_is_not_understood_is_told_and_nothing_runs() {
    let md = kit::ours!();
    md.line("create --name told hostbox true").ok();
    let (channel, mut supervisor) = supervisor_by_hand(&md, None);
    let Answer::Failed(failure) = hear(&channel) else { panic!("no failure") };
    assert_eq!((failure.code, failure.message.as_str()), (125, "cannot hear its starter"));
    assert!(failure.call.is_some_and(|call| call.starts_with("recvmsg(…) : EIO")));
    assert_eq!(supervisor.wait().unwrap().code(), Some(125));
    md.line("ps -a").ok().stdout_has("Created");
    md.line("rm told").ok();
    md.nothing_left();
}

#[test]
fn wait_gives_the_exit_code_and_pidfd_a_descriptor_that_is_readable_at_the_end() {
    let md = kit::ours!();
    let starter = crate::sleeper(&md, "asked");
    let (waiter, asker) = (connect(&dir(&md)).unwrap(), connect(&dir(&md)).unwrap());
    say(&waiter, Verb::Wait, &[]);
    say(&asker, Verb::Pidfd, &[]);
    let pidfd = hear_pidfd(&asker);
    assert!(!is_readable(&pidfd, 0), "init runs");
    rustix::process::pidfd_send_signal(&pidfd, Signal::KILL).unwrap();
    assert!(is_readable(&pidfd, 60), "init has ended");
    assert_eq!(hear(&waiter), Answer::Exited { code: 137 });
    starter.finish().code(137).quiet();
    md.line("rm asked").ok();
    md.nothing_left();
}

/// The one descriptor that comes with the answer.
fn hear_pidfd(socket: &OwnedFd) -> OwnedFd {
    let mut text = vec![0; 65536];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut text)];
    let got = rustix::net::recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    assert_eq!(serde_json::from_slice::<Answer>(&text[..got.bytes]).unwrap(), Answer::Pidfd);
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    assert_eq!(fds.len(), 1);
    fds.remove(0)
}

fn is_readable(fd: &OwnedFd, seconds: i64) -> bool {
    let mut polled = [PollFd::new(fd, PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 })).unwrap() == 1
}
