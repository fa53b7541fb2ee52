//! Staying with a container until it ends: what `run` and `start -a` have in common.

use super::keys;
use super::told::Told;
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
        Err(SupervisorError::Died(id)) => match end_on_record(container) {
            Some(code) => Ok(End::Exited { code, lost: None }),
            None => Err(SupervisorError::Died(id)),
        },
        ended => ended,
    };
    // What dead supervisors left. It is no failure of this container.
    container::recover_all(store).into_iter().for_each(Told::note);
    if let (true, Ok(End::Exited { .. }), Some(pid)) = (removed, &ended, supervisor) {
        // It had the time of that look to go. Without --rm it may still be writing what must outlive
        // the machine.
        supervisor::reap(pid);
    }
    match ended {
        // The exit code is the container's, but for 0, which says that nothing is missing. (The docker
        // command ends at once then, with 1, and leaves the container alone.)
        Ok(End::Exited { code: 0, lost: Some(lost) }) => Err(lost.into()),
        Ok(End::Exited { code, lost }) => {
            lost.into_iter().for_each(Told::note);
            Ok(u8::try_from(code).unwrap_or(u8::MAX))
        }
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
/// hangs, after they have written it down. None: nobody did, or the record is gone.
fn end_on_record(container: &Container) -> Option<i32> {
    let state = container.state().ok()?;
    Some(state.exit_code).filter(|code| state.status == Status::Exited && *code != UNSEEN)
}
