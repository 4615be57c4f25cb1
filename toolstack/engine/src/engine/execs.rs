//! Execs, wherever they run.

use super::{Engine, Exec, ExecSpec};
use crate::container::Shared;
use crate::error::Error;
use crate::exec::{self, Keep};
use crate::exec_records;
use crate::state::Status;
use crate::stdio::Attachment;
use guest_protocol::message::WindowSize;
use std::sync::Arc;

impl Engine {
    pub fn exec_create(&self, text: &str, spec: ExecSpec) -> Result<String, Error> {
        let shared = self.shared(text)?;
        match shared.with(|record| record.state.status) {
            Status::Running => {}
            Status::Restarting => {
                return Err(Error::conflict(format!(
                    "Container {} is restarting, wait until the container is running",
                    shared.id
                )));
            }
            Status::Paused => {
                return Err(Error::conflict(format!(
                    "container {} is paused, unpause the container before exec",
                    shared.id
                )));
            }
            _ => return Err(exec::not_running(&shared)),
        }
        let command = exec::command(&spec);
        let (id, forgotten) = shared.execs.create(&shared.id, spec, Keep::Recorded)?;
        if let Some(forgotten) = forgotten {
            exec_records::forget(&self.cx, &forgotten);
        }
        shared.tell(
            &self.cx,
            &format!("exec_create: {command}"),
            &[("execID", id.clone())],
        );
        Ok(id)
    }

    fn exec_owner(&self, id: &str) -> Result<Arc<Shared>, Error> {
        self.cx
            .containers()
            .values()
            .find(|shared| shared.execs.get(id).is_some())
            .cloned()
            .ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))
    }

    /// Comes back when the command runs. The exit code is there before the output ends. When the command cannot be
    /// started, that is the error, and [`Exec::exit_code`] is 126 or 127.
    pub async fn exec_start(&self, id: &str, size: Option<WindowSize>) -> Result<Attachment, Error> {
        exec::start(&self.cx, &self.exec_owner(id)?, id, size).await
    }

    pub async fn exec_resize(&self, id: &str, size: WindowSize) -> Result<(), Error> {
        exec::resize(&*self.exec_owner(id)?, id, size).await
    }

    pub fn exec(&self, id: &str) -> Result<Exec, Error> {
        let owner = self.exec_owner(id)?;
        owner
            .execs
            .get(id)
            .ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))
    }
}
