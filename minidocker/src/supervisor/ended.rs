//! A container that has ended: who is still to be told.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags};

use super::connection::Connection;
use super::protocol::Answer;
use super::streams::Sink;
use crate::container::Ledger;

/// What is left when init has ended.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) ledger: Ledger,
    /// The last descriptor on the container's mounts.
    pub(super) mount_namespace: Option<OwnedFd>,
    pub(super) clients: Vec<Connection>,
}

impl Ended {
    /// Says something to all who wait for the end.
    pub(super) fn tell_waiting(&mut self, answer: &Answer) {
        for client in self.clients.iter_mut().filter(|c| c.waits) {
            client.tell(answer, None);
        }
    }

    /// Tells the end, and stays until the starter has what the container wrote.
    pub(super) fn tell_end(&mut self) {
        // Behind the end nobody listens any more.
        for later in self.clients.iter_mut().filter(|c| !c.starter && c.is_behind()) {
            later.tell(&Answer::Dropped, None);
        }
        self.tell_waiting(&Answer::Exited { code: self.code });
        loop {
            self.clients.retain(|c| c.starter && c.listens() && c.is_behind());
            let sinks = self.clients.iter().flat_map(|c| c.sinks.iter().flatten()).filter(|s| s.is_behind());
            let fds: Vec<_> = sinks.map(Sink::fd).collect();
            if fds.is_empty() {
                return;
            }
            let mut polled: Vec<PollFd<'_>> =
                fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::OUT)).collect();
            let waited = rustix::event::poll(&mut polled, None);
            drop(fds);
            if waited.is_err_and(|e| e != rustix::io::Errno::INTR) {
                return;
            }
            self.clients.iter_mut().for_each(Connection::push);
        }
    }
}
