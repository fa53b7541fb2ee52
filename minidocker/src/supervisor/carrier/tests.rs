//! What goes through a supervisor's hands, with pipes and clients made by hand.

use std::fs::File;
use std::io::{Read as _, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::super::streams::{Sink, nonblocking, pipes};
use super::*;
use crate::runtime::receive;

/// A client that waits for the end, its side of the channel, and what it types into.
fn client(starter: bool) -> (Connection, OwnedFd, File) {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let (reading, writing) = rustix::pipe::pipe().unwrap();
    nonblocking(&reading).unwrap();
    let mut client = Connection::new(ours, starter);
    (client.stdin, client.waits) = (Some(reading), true);
    (client, theirs, File::from(writing))
}

/// What a client was told since the last look.
fn told(channel: &OwnedFd) -> Vec<Answer> {
    let next = || receive::<Answer>(channel.as_fd()).ok().flatten().map(|(answer, _)| answer);
    std::iter::from_fn(next).collect()
}

fn file(path: &str) -> OwnedFd {
    File::options().write(true).open(path).unwrap().into()
}

fn error(text: &str) -> Answer {
    Answer::Error(text.to_owned())
}

#[test]
fn the_end_of_the_starters_input_stays_one_when_a_later_client_ends_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (streams, stdio) = pipes(true).unwrap();
    let (starter, _channel, mut typed) = client(true);
    let mut carrier = Carrier::new(streams, JsonLog::open(dir.path()).unwrap(), starter);
    let (later, _other_channel, other) = client(false);
    carrier.clients.push(later);
    // The container's own pipe is full, so that bytes of the starter have to wait.
    let ours = &carrier.streams.input.as_ref().unwrap().fd;
    while rustix::io::write(ours, &[b'f'; 4096]).is_ok() {}
    typed.write_all(b"last").unwrap();
    carrier.carry_input(0);
    drop(typed);
    carrier.carry_input(0);
    drop(other);
    carrier.carry_input(1);
    assert_eq!(carrier.streams.input.as_ref().unwrap().pending.len(), 4);
    let mut containers = File::from(stdio.stdin);
    let _ = containers.read(&mut vec![0; CHUNK]).unwrap();
    carrier.push_input();
    assert!(carrier.streams.input.is_none(), "all is written, and the starter said that it was all");
    let mut rest = Vec::new();
    containers.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"last"));
}

#[test]
fn draining_takes_what_a_pipe_holds_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (streams, stdio) = pipes(false).unwrap();
    // It never ends, as a holder who writes faster than we read.
    let endless = OwnedFd::from(File::open("/dev/zero").unwrap());
    let (starter, _channel, _typed) = client(true);
    let streams =
        Streams { outputs: [streams.outputs.into_iter().next().flatten(), Some(endless)], ..streams };
    let mut carrier = Carrier::new(streams, JsonLog::open(dir.path()).unwrap(), starter);
    File::from(stdio.stdout).write_all(b"mine\n").unwrap();
    carrier.drain();
    assert!(carrier.streams.outputs.iter().all(Option::is_none));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(log.matches("mine").count(), 1);
    assert_eq!(log.lines().count(), 1 + CHUNK / (16 * 1024), "the zeros: lines of 16 KiB");
}

#[test]
fn an_output_that_the_starter_closes_while_bytes_wait_for_it_is_closed_for_the_container() {
    let dir = tempfile::tempdir().unwrap();
    let (streams, stdio) = pipes(false).unwrap();
    let (mut starter, _channel, _typed) = client(true);
    let (reading, writing) = rustix::pipe::pipe().unwrap();
    starter.sinks[0] = Some(Sink::new(writing).unwrap());
    let mut carrier = Carrier::new(streams, JsonLog::open(dir.path()).unwrap(), starter);
    // The container's own pipe is full twice; the client's takes it once.
    nonblocking(&stdio.stdout).unwrap();
    for _ in 0..2 {
        while rustix::io::write(&stdio.stdout, &[b'x'; 4096]).is_ok() {}
        carrier.carry_output(Stream::Stdout);
    }
    assert!(!carrier.takes_output(), "bytes wait");
    drop(reading);
    carrier.push_output(0);
    assert_eq!(rustix::io::write(&stdio.stdout, b"more").unwrap_err(), Errno::PIPE);
    assert!(carrier.takes_output() && carrier.problems.is_empty());
}

#[test]
fn what_cannot_be_read_or_written_is_told_once_and_is_no_mere_end() {
    let dir = tempfile::tempdir().unwrap();
    let (mut streams, _stdio) = pipes(true).unwrap();
    // read(2) of a directory: EISDIR. /dev/full: ENOSPC.
    streams.outputs = [(); 2].map(|()| Some(File::open("/").unwrap().into()));
    streams.input.as_mut().unwrap().fd = file("/dev/full");
    let (starter, channel, mut typed) = client(true);
    let mut carrier = Carrier::new(streams, JsonLog::open(dir.path()).unwrap(), starter);
    let unread = "cannot read what the container wrote: read(…) : EISDIR (Is a directory)";
    carrier.carry_output(Stream::Stdout);
    carrier.carry_output(Stream::Stderr);
    assert!(carrier.streams.outputs.iter().all(Option::is_none));
    assert_eq!(told(&channel), [error(unread)]);
    typed.write_all(b"x").unwrap();
    carrier.carry_input(0);
    let unwritten =
        "cannot write the container's standard input: write(…) : ENOSPC (No space left on device)";
    assert!(carrier.streams.input.is_none());
    assert_eq!(told(&channel), [error(unwritten)]);
    assert_eq!(carrier.problems, [unread, unwritten], "for inspect");
}

#[test]
fn a_client_whose_own_file_is_full_or_unreadable_is_told_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (streams, stdio) = pipes(true).unwrap();
    let (starter, channel, _typed) = client(true);
    let mut carrier = Carrier::new(streams, JsonLog::open(dir.path()).unwrap(), starter);
    let (mut later, other, _) = client(false);
    later.sinks[0] = Some(Sink::new(file("/dev/full")).unwrap());
    later.stdin = Some(File::open("/").unwrap().into());
    carrier.clients.push(later);
    let mut stdout = File::from(stdio.stdout);
    for _ in 0..2 {
        stdout.write_all(b"line\n").unwrap();
        carrier.carry_output(Stream::Stdout);
    }
    carrier.carry_input(1);
    carrier.carry_input(1);
    let unwritten = "cannot pass on what the container wrote: write(…) : ENOSPC (No space left on device)";
    let unread = "cannot read the client's standard input: read(…) : EISDIR (Is a directory)";
    assert_eq!(told(&other), [error(unwritten), error(unread)]);
    assert_eq!(told(&channel), []);
    assert!(carrier.streams.input.is_some() && carrier.streams.outputs[0].is_some());
}
