//! Staying with a container until it ends: what `run` and `start -a` have in common.

use super::told::Told;
use super::{keys, signal};
use crate::container::{self, Container, Status, UNSEEN};
use crate::store::Store;
use crate::supervisor::{self, End, Foreground, Session, SupervisorError};

/// Carries the streams until the container ends, or its user leaves it; returns its exit code.
/// `removed`: it is to leave nothing, no process either, when we end.
pub(super) fn stay(
    store: &Store,
    container: &Container,
    session: Session,
    tty: bool,
    detach_keys: &keys::Keys,
    removed: bool,
) -> anyhow::Result<u8> {
    let supervisor = session.supervisor;
    let how = Foreground { tty, detach_keys: detach_keys.bytes() };
    let ended = supervisor::carry(session, how, Box::new(drop));
    if let (Err(SupervisorError::Failed(_) | SupervisorError::Died(_)), Some(pid)) = (&ended, supervisor) {
        // Its lock goes with it, and then the look at what the dead left finds this one too.
        supervisor::reap(pid);
    }
    let ended = match ended {
        Err(SupervisorError::Died(id)) => {
            end_on_record(container).map(End::Exited).ok_or(SupervisorError::Died(id))
        }
        ended => ended,
    };
    // What dead supervisors left. It is no failure of this container.
    container::recover_all(store).into_iter().for_each(Told::note);
    if let (true, Ok(End::Exited(_)), Some(pid)) = (removed, &ended, supervisor) {
        // It had the time of that look to go. Without --rm it may still be writing what must outlive
        // the machine.
        supervisor::reap(pid);
    }
    match ended {
        Ok(End::Exited(code)) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        // As Docker, without a word.
        Ok(End::Detached) => Ok(0),
        Err(e) => Err(told(e)),
    }
}

/// A set-up that failed is told by itself, with all that it has to say.
pub(super) fn told(error: SupervisorError) -> anyhow::Error {
    match error {
        SupervisorError::Failed(failure) => failure.into(),
        other => other.into(),
    }
}

/// The exit code of a container whose supervisor was killed: `kill` and `rm -f` do that to one that
/// doesn't answer, after they have written it down. None: nobody did.
fn end_on_record(container: &Container) -> Option<i32> {
    match container.state() {
        Ok(state) => Some(state.exit_code).filter(|code| state.status == Status::Exited && *code != UNSEEN),
        // `rm -f` has removed it by now, and it sends nothing but SIGKILL.
        Err(_) => (!container.dir.exists()).then_some(128 + signal::KILL),
    }
}
