//! Files of a container, whether it runs or not: each operation is a job of its guest's agent.

mod download;
mod job;

pub use download::Download;

use crate::container::Shared;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::session::{gone, unexpected};
use crate::visit::Lease;
pub use guest_protocol::files::{Change, ChangeKind, PathStat};
use guest_protocol::files::{ChangeDecoder, FileJob, MAX_PATH_BYTES};
use guest_protocol::message::{ErrorKind as AgentError, ReplyBody, RequestError};
use job::Job;
use std::io::Read;
use std::sync::Arc;

/// All paths of a list of changes together. A guest that has changed more is told so.
const MAX_CHANGES_BYTES: usize = 64 << 20;

/// How a tar is taken into a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtractOptions {
    /// A directory is not replaced by what is none, and the other way round.
    pub no_overwrite_dir_non_dir: bool,
    /// All belongs to the container's user, if it has one, and not to whom the tar says.
    pub as_container_user: bool,
}

/// A container whose files can be reached, as long as this is kept.
pub(crate) struct Access {
    pub shared: Arc<Shared>,
    lease: Arc<Lease>,
    /// As the user named it.
    name: String,
}

fn check_path(path: &str) -> Result<(), Error> {
    match path.len() > MAX_PATH_BYTES || path.contains('\0') {
        true => Err(Error::invalid("the path is too long or has a NUL byte")),
        false => Ok(()),
    }
}

impl Access {
    /// A job, its stream not opened yet.
    fn job(&self, make: impl FnOnce(u32) -> FileJob) -> (Job, FileJob) {
        let stream = self.shared.execs.take_number();
        (Job::new(Arc::clone(&self.lease), stream), make(stream))
    }

    fn failed(&self, path: &str, error: &RequestError) -> Error {
        if error.kind == AgentError::NotFound {
            let (path, name) = (path.chars().take(200).collect::<String>(), &self.name);
            return Error::not_found(format!("Could not find the file {path} in container {name}"));
        }
        job::refused(error)
    }

    async fn stat(&self, path: &str) -> Result<PathStat, Error> {
        let (job, request) = self.job(|_| FileJob::Stat {
            path: path.to_owned(),
        });
        let reply = job.ask(&self.shared.id, request).await;
        match reply.unwrap_or_else(|_| Err(gone())) {
            Ok(ReplyBody::PathStat(mut stat)) => {
                stat.link_target = stat.link_target.chars().filter(|c| !c.is_control()).collect();
                Ok(stat)
            }
            Ok(_) => Err(job::refused(&unexpected())),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    /// What a job sends.
    pub(crate) fn download(&self, make: impl FnOnce(u32) -> FileJob) -> Download {
        let (job, request) = self.job(make);
        Download::start(job, &self.shared.id, request)
    }
}

impl Engine {
    pub(crate) async fn access(&self, text: &str) -> Result<Access, Error> {
        let shared = self.shared(text)?;
        let lease = shared.lease().await?;
        Ok(Access {
            shared,
            lease: Arc::new(lease),
            name: text.chars().take(200).collect(),
        })
    }

    /// What a path in a container is; a link itself.
    pub async fn path_stat(&self, text: &str, path: &str) -> Result<PathStat, Error> {
        check_path(path)?;
        self.access(text).await?.stat(path).await
    }

    /// A tar of a path in a container.
    pub async fn archive(&self, text: &str, path: &str) -> Result<(PathStat, Download), Error> {
        check_path(path)?;
        let access = self.access(text).await?;
        let stat = access.stat(path).await?;
        let archive = access.download(|stream| FileJob::Archive {
            path: path.to_owned(),
            stream,
        });
        access.shared.tell(&self.cx, "archive-path", &[]);
        Ok((stat, archive))
    }

    /// Unpacks a tar, plain or compressed with gzip or zstd, into a directory of a container.
    pub async fn extract(
        &self,
        text: &str,
        path: &str,
        options: ExtractOptions,
        from: impl Read + Send + 'static,
    ) -> Result<(), Error> {
        check_path(path)?;
        self.check_writable(text, path)?;
        let access = self.access(text).await?;
        let user = access.shared.with(|record| record.config.user.clone());
        let (job, request) = access.job(|stream| FileJob::Extract {
            path: path.to_owned(),
            stream,
            no_overwrite_dir_non_dir: options.no_overwrite_dir_non_dir,
            owner: Some(user).filter(|user| options.as_container_user && !user.is_empty()),
        });
        let sent = job.send(&access.shared.id, request, from).await?;
        match sent.reply {
            Ok(ReplyBody::Transferred { bytes }) if sent.bytes == Some(bytes) => {}
            Ok(_) => return Err(job::refused(&unexpected())),
            Err(error) => return Err(access.failed(path, &error)),
        }
        access.shared.tell(&self.cx, "extract-to-dir", &[]);
        Ok(())
    }

    /// A read-only root takes nothing, except where something else is mounted on it.
    fn check_writable(&self, text: &str, path: &str) -> Result<(), Error> {
        let refused = self.shared(text)?.with(|record| {
            let below = |target: &String| {
                let rest = path.strip_prefix(target.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            record.config.host.read_only
                && !(record.state.status.is_up() && record.config.host.tmpfs.keys().any(below))
        });
        match refused {
            true => Err(Error::new(
                ErrorKind::Forbidden,
                "container rootfs is marked read-only",
            )),
            false => Ok(()),
        }
    }

    /// How a container's files differ from its image's, in the order of their paths.
    pub async fn changes(&self, text: &str) -> Result<Vec<Change>, Error> {
        let access = self.access(text).await?;
        let mut download = access.download(|stream| FileJob::Changes { stream });
        let (mut decoder, mut changes, mut bytes) = (ChangeDecoder::default(), Vec::new(), 0);
        let bad = |error: &dyn std::fmt::Display| Error::failed(format!("the guest's agent: {error}"));
        while let Some(part) = download.next().await {
            let part = part?;
            bytes += part.len();
            if bytes > MAX_CHANGES_BYTES {
                return Err(Error::failed(format!(
                    "the container has more changes than fit into {} MiB",
                    MAX_CHANGES_BYTES >> 20
                )));
            }
            decoder
                .push(&part, |change| changes.push(change))
                .map_err(|error| bad(&error))?;
        }
        decoder.finish().map_err(|error| bad(&error))?;
        Ok(changes)
    }

    /// A tar of all of a container's root.
    pub async fn export(&self, text: &str) -> Result<Download, Error> {
        let access = self.access(text).await?;
        let export = access.download(|stream| FileJob::Export { stream });
        access.shared.tell(&self.cx, "export", &[]);
        Ok(export)
    }
}

#[cfg(test)]
mod tests;
