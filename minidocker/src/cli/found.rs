//! A container with all that is shown of it.

use crate::container::{self, Container, ContainerError, State, Status, UNSEEN, now};
use crate::format;
use crate::image;
use crate::runtime::Resource;
use crate::spec::{self, Config, ImageDefaults, Request};
use crate::store::{Store, StoreError};

/// A container's records, read.
pub(super) struct Found {
    pub(super) container: Container,
    pub(super) request: Request,
    /// What was asked, with the image's defaults.
    pub(super) config: Config,
    pub(super) state: State,
}

impl Found {
    /// Reads the records of one container.
    pub(super) fn read(store: &Store, container: Container) -> Result<Self, ContainerError> {
        let (request, mut state) = (container.request()?, container.state()?);
        if state.is_running() && !container.is_alive()? {
            // It has ended between the two looks; or its supervisor died, and the disk is too full to write that down.
            state = container.state()?;
            if state.is_running() {
                (state.status, state.pid, state.exit_code) = (Status::Exited, 0, UNSEEN);
                state.finished_at = now();
            }
        }
        // Its supervisor lives and doesn't see it (it is stopped): the kernel knows how init ended.
        if state.is_running()
            && let Some(code) = state.resources.iter().find_map(Resource::zombie_code)
        {
            (state.status, state.pid, state.exit_code) = (Status::Exited, 0, code);
        }
        // An image that is gone takes nothing but its defaults along.
        let image = image::config(store, &request.image_id).unwrap_or_default();
        let config = spec::merged(&ImageDefaults::from(&image.config), &request.config);
        Ok(Self { container, request, config, state })
    }

    /// Reads all; one that can't be read is handed to `tell`, and the others come all the same.
    pub(super) fn all(store: &Store, mut tell: impl FnMut(ContainerError)) -> Result<Vec<Self>, StoreError> {
        let mut found = Vec::new();
        for container in container::all(store)? {
            let dir = container.dir.clone();
            match container.refuse_newer().and_then(|()| Self::read(store, container)) {
                Ok(one) => found.push(one),
                // Removed while we looked.
                Err(_) if !dir.exists() => {}
                Err(e) => tell(e),
            }
        }
        Ok(found)
    }

    /// The state in the words of the tables.
    pub(super) fn shown(&self) -> format::State<'_> {
        format::State {
            status: match self.state.status {
                Status::Created => format::Status::Created,
                Status::Running => format::Status::Running,
                Status::Exited => format::Status::Exited,
            },
            pid: self.state.pid,
            exit_code: self.state.exit_code,
            error: &self.state.error,
            started_at: &self.state.started_at,
            finished_at: &self.state.finished_at,
            notices: &self.state.notices,
        }
    }
}
