//! What the supervisor does when a client asks.

use std::os::fd::{AsFd, OwnedFd};

use super::SupervisorError;
use super::connection::Connection;
use super::protocol::{Answer, Call, VERSION, Verb};
use super::streams::Streams;
use crate::container::State;
use crate::runtime::Created;
use crate::store::in_one_line;

/// What answers are made of.
pub(super) struct Known<'a> {
    pub(super) created: &'a Created,
    pub(super) streams: &'a Streams,
    pub(super) state: &'a State,
}

/// Hears the next call of a client and answers it.
pub(super) fn answer(client: &mut Connection, known: &Known<'_>) {
    let Some((call, fds)) = client.next_call() else { return };
    if call.version > VERSION {
        let text = format!("this supervisor speaks version {VERSION}, not {}", call.version);
        return client.tell(&Answer::Error(text), None);
    }
    let answer = match act(&call, client, fds, known) {
        Ok(Some(answer)) => answer,
        Ok(None) => return,
        Err(e) => Answer::Error(in_one_line(&e, None, ToString::to_string)),
    };
    let pidfd = (answer == Answer::Pidfd).then(|| known.created.pidfd.as_fd());
    client.tell(&answer, pidfd);
}

/// What one call does. None: the answer comes later.
fn act(
    call: &Call,
    client: &mut Connection,
    fds: Vec<OwnedFd>,
    known: &Known<'_>,
) -> Result<Option<Answer>, SupervisorError> {
    match &call.verb {
        Verb::State => Ok(Some(Answer::State(known.state.clone()))),
        Verb::Attach(attach) if attach.events => {
            Err(SupervisorError::Refused("the set-up is over, and its events are told no more".to_owned()))
        }
        Verb::Attach(attach) => client.attach(*attach, fds).map(|()| Some(Answer::Ok)),
        Verb::Resize { rows, columns } => {
            let Some(terminal) = &known.streams.outputs[0] else { return Ok(Some(Answer::Ok)) };
            let size =
                rustix::termios::Winsize { ws_row: *rows, ws_col: *columns, ws_xpixel: 0, ws_ypixel: 0 };
            rustix::termios::tcsetwinsize(terminal, size).map_err(SupervisorError::call(
                "set the size of the terminal",
                "ioctl",
                "TIOCSWINSZ",
            ))?;
            Ok(Some(Answer::Ok))
        }
        Verb::Signal { number } => match sys::pidfd_send_signal(known.created.pidfd.as_fd(), *number) {
            Err(e) if e.errno() == sys::Errno::ESRCH => Ok(Some(Answer::Gone)),
            other => other.map(|()| Some(Answer::Ok)).map_err(SupervisorError::of("send the signal")),
        },
        Verb::Wait => {
            client.waits = true;
            Ok(None)
        }
        Verb::Pidfd => Ok(Some(Answer::Pidfd)),
    }
}
