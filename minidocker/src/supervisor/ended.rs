//! A container that has ended: who is still to be told.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags};

use super::connection::Connection;
use super::log::Stream;
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
    /// Tells the starter its container's exit code. That all is cleared is told by the end of the channel.
    pub(super) fn tell_starter(&mut self) {
        self.tell(true);
    }

    fn tell(&mut self, starter: bool) {
        let code = self.code;
        for client in self.clients.iter_mut().filter(|c| c.waits && c.starter == starter) {
            client.tell(&Answer::Exited { code }, None);
        }
    }

    /// Tells the end to the others, and stays until the starter has what the container wrote. Then no
    /// client has a connection any more.
    pub(super) fn tell_end(&mut self) {
        // Behind the end nobody listens any more.
        for later in self.clients.iter_mut().filter(|c| !c.starter && c.is_behind()) {
            later.tell(&Answer::Dropped, None);
        }
        self.tell(false);
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
            for client in &mut self.clients {
                // Who closed its end has nobody left to be told.
                for stream in Stream::BOTH {
                    let _ = client.push(stream);
                }
            }
        }
    }
}
