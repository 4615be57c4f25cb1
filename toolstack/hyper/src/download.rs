//! The body of an answer, into a file, to stdout, or for a thread that reads.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

/// Parts that wait for whoever reads them.
const PARTS: usize = 4;

/// Into a file, whose name has what it had until all of it is there, or to stdout.
pub async fn write(body: Incoming, output: Option<&Path>) -> Result<()> {
    match output {
        Some(path) => into_file(body, path).await,
        None => copy(body, &mut io::stdout().lock()).await,
    }
}

async fn into_file(body: Incoming, path: &Path) -> Result<()> {
    let shown = || format!("write {}", path.display());
    if path.exists() && !path.is_file() {
        // A device or a pipe is written to as it is.
        return copy(
            body,
            &mut File::options().write(true).open(path).with_context(shown)?,
        )
        .await;
    }
    let mut name = path.file_name().with_context(shown)?.to_owned();
    name.push(format!(".{}", std::process::id()));
    let partial = path.with_file_name(name);
    let written = async {
        let mut file = File::create(&partial).with_context(shown)?;
        copy(body, &mut file).await?;
        std::fs::rename(&partial, path).with_context(shown)
    };
    let written = written.await;
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    written
}

async fn copy(mut body: Incoming, to: &mut impl Write) -> Result<()> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(broken)?;
        if let Ok(data) = frame.into_data() {
            to.write_all(&data)?;
        }
    }
    to.flush()?;
    Ok(())
}

fn broken(error: hyper::Error) -> anyhow::Error {
    anyhow!("hyperd broke the archive off: {error}")
}

/// What [`read`] gives to its thread.
pub struct Parts {
    parts: mpsc::Receiver<io::Result<Bytes>>,
    now: Bytes,
    /// How many were read.
    pub bytes: u64,
}

impl Read for Parts {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.parts.blocking_recv() {
                Some(part) => self.now = part?,
                None => return Ok(0),
            }
        }
        let length = to.len().min(self.now.len());
        self.now.copy_to_slice(&mut to[..length]);
        self.bytes += length as u64;
        Ok(length)
    }
}

/// Gives the body to a thread that reads it.
pub async fn read<T: Send + 'static>(
    mut body: Incoming,
    take: impl FnOnce(Parts) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, parts) = mpsc::channel(PARTS);
    let taken = tokio::task::spawn_blocking(move || {
        take(Parts {
            parts,
            now: Bytes::new(),
            bytes: 0,
        })
    });
    while let Some(frame) = body.frame().await {
        let part = match frame {
            Ok(frame) => frame.into_data().map(Ok),
            Err(error) => Ok(Err(io::Error::other(broken(error)))),
        };
        // Whoever stops reading says why.
        if let Ok(part) = part
            && sender.send(part).await.is_err()
        {
            break;
        }
    }
    drop(sender);
    taken.await?
}
