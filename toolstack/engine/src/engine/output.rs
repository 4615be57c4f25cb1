//! What a container has to say: attached streams, logs, the kernel's messages.

use super::{AttachOptions, Engine};
use crate::error::Error;
use crate::log::{self, LogEntry, LogOptions};
use crate::plan::FIRST_PROCESS;
use crate::session::refused;
use crate::state::Status;
use crate::stdio::{Attachment, Chunk};
use bytes::Bytes;
use guest_protocol::message::{RequestBody, WindowSize};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::sync::PoisonError;
use tokio::sync::mpsc;

impl Engine {
    /// Works before the container was started, too: what comes is delivered then.
    pub async fn attach(&self, text: &str, options: AttachOptions) -> Result<Attachment, Error> {
        let shared = self.shared(text)?;
        if shared.with(|record| record.state.status == Status::Paused) {
            return Err(Error::conflict(format!(
                "container {} is paused, unpause the container before attach",
                shared.id
            )));
        }
        let mut attachment = if options.stream {
            shared.hub().attach(options.stdin, options.stdout, options.stderr)
        } else {
            let (_, output) = mpsc::channel(1);
            Attachment {
                output,
                input: None,
                tty: shared.with(|record| record.config.tty),
            }
        };
        shared.tell(&self.cx, "attach", &[]);
        if options.logs {
            let entries = self
                .logs(
                    text,
                    LogOptions {
                        stdout: options.stdout,
                        stderr: options.stderr,
                        follow: false,
                        tail: None,
                        since: None,
                        until: None,
                    },
                )
                .await?;
            attachment.output = chain(entries, attachment.output);
        }
        Ok(attachment)
    }

    pub async fn resize(&self, text: &str, size: WindowSize) -> Result<(), Error> {
        let shared = self.shared(text)?;
        *shared.size.lock().unwrap_or_else(PoisonError::into_inner) = size;
        // Before there is a process this is the size it starts with.
        let Some(session) = shared.session() else {
            return Ok(());
        };
        let process = FIRST_PROCESS;
        session
            .request(RequestBody::Resize { process, size })
            .await
            .map_err(|error| refused("cannot resize the terminal", &error))?;
        let told = [
            ("height", size.rows.to_string()),
            ("width", size.columns.to_string()),
        ];
        shared.tell(&self.cx, "resize", &told);
        Ok(())
    }

    /// Ends with the log or, when following, with the container's run.
    pub async fn logs(
        &self,
        text: &str,
        options: LogOptions,
    ) -> Result<mpsc::Receiver<Result<LogEntry, Error>>, Error> {
        let shared = self.shared(text)?;
        log::read(
            &shared.record(),
            &shared.folder(&self.cx),
            options,
            shared.log_progress(),
        )
    }

    /// Messages of the guest's kernel: of the last run that there was.
    pub async fn console(&self, text: &str, follow: bool) -> Result<mpsc::Receiver<Bytes>, Error> {
        let shared = self.shared(text)?;
        let (sender, receiver) = mpsc::channel(4);
        let path = shared.folder(&self.cx).join("console.log");
        let mut progress = shared.console_progress();
        tokio::spawn(async move {
            let mut offset = 0;
            loop {
                let at = *progress.borrow_and_update();
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_from(&path, offset)).await;
                let Ok(Ok(bytes)) = read else { return };
                offset += bytes.len() as u64;
                if !bytes.is_empty() && sender.send(bytes).await.is_err() {
                    return;
                }
                if !follow || at.ended || progress.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

/// The log first, then what comes.
fn chain(
    mut entries: mpsc::Receiver<Result<LogEntry, Error>>,
    mut output: mpsc::Receiver<Chunk>,
) -> mpsc::Receiver<Chunk> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Some(Ok(entry)) = entries.recv().await {
            let chunk = Chunk {
                source: entry.source,
                bytes: entry.bytes,
            };
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
        while let Some(chunk) = output.recv().await {
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    receiver
}

fn read_from(path: &std::path::Path, offset: u64) -> std::io::Result<Bytes> {
    let mut bytes = Vec::new();
    match fs::File::open(path) {
        Ok(mut file) => {
            file.seek(SeekFrom::Start(offset))?;
            file.read_to_end(&mut bytes)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(bytes.into())
}
