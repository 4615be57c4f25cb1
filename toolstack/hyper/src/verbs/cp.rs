//! `hyper cp`

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use archive::{Options, Owner, Root, path, unpack};
use data_encoding::BASE64;
use hyper::header::HeaderMap;
use hyper::{Method, Response};
use rustix::termios::isatty;
use serde_json::Value;

use crate::client::Client;
use crate::copy::{self, End};
use crate::download;
use crate::output::complain;
use crate::target::Target;
use crate::units::human_size;
use crate::upload::Upload;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Archive mode (copy all uid/gid information)
    #[arg(short, long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached
    #[arg(short, long)]
    quiet: bool,
    /// Where from: CONTAINER:PATH, PATH, or - for a tar from stdin
    #[arg(value_name = "SRC_PATH")]
    source: String,
    /// Where to: CONTAINER:PATH, PATH, or - for a tar to stdout
    #[arg(value_name = "DEST_PATH")]
    destination: String,
}

impl Args {
    fn is_quiet(&self) -> bool {
        self.quiet || !isatty(io::stdout())
    }
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    match (split(&args.source), split(&args.destination)) {
        ((Some(_), _), (Some(_), _)) => bail!("copying between containers is not supported"),
        ((Some(container), source), (None, destination)) => {
            from(client, &args, container, source, destination).await?
        }
        ((None, source), (Some(container), destination)) => {
            to(client, &args, container, source, destination).await?
        }
        ((None, _), (None, _)) => bail!("must specify at least one container source"),
    }
    Ok(0)
}

/// Container and path. A path that begins with a slash or a dot is ours, colon or not.
fn split(argument: &str) -> (Option<&str>, &str) {
    match argument.split_once(':') {
        Some((container, path)) if !argument.starts_with(['/', '.']) => (Some(container), path),
        _ => (None, argument),
    }
}

/// The status of a path in a container, of a link its own.
struct Status {
    is_directory: bool,
    is_device: bool,
    /// Where a link leads.
    target: Option<String>,
}

fn status(headers: &HeaderMap) -> Result<Status> {
    let value: Value = headers
        .get("x-docker-container-path-stat")
        .and_then(|header| BASE64.decode(header.as_bytes()).ok())
        .and_then(|json| serde_json::from_slice(&json).ok())
        .context("unable to decode container path stat header")?;
    let mode = value.get("mode").and_then(Value::as_u64).unwrap_or(0);
    let is = |bit: u32| mode & 1 << bit != 0;
    // The bits of Go's FileMode.
    Ok(Status {
        is_directory: is(31),
        is_device: is(26),
        target: is(27).then(|| super::text(&value, "linkTarget").to_owned()),
    })
}

fn archive_of(container: &str, path: &str) -> Target {
    Target::container(container).push("archive").query("path", path)
}

async fn stat(client: &Client, container: &str, path: &str) -> Result<Status> {
    let target = archive_of(container, path);
    status(client.response(Method::HEAD, target).await?.headers())
}

/// A link's target as a path from the root.
fn absolute(link: &str, target: String) -> String {
    if target.starts_with('/') {
        return target;
    }
    let (directory, _) = path::split(link.as_bytes());
    String::from_utf8_lossy(&path::clean(&path::join(&directory, target.as_bytes()))).into_owned()
}

async fn to(client: &Client, args: &Args, container: &str, source: &str, destination: &str) -> Result<()> {
    let mut end = End {
        path: destination.as_bytes().to_vec(),
        ..End::default()
    };
    let mut found = stat(client, container, destination).await;
    if let Ok(Status {
        target: Some(target), ..
    }) = &mut found
    {
        let target = absolute(destination, std::mem::take(target));
        found = stat(client, container, &target).await;
        end.path = target.into_bytes();
    }
    // What is not there may be made: its directory says so.
    if let Ok(found) = &found {
        if found.is_device {
            bail!(
                "destination \"{container}:{destination}\" must be a directory or a regular file: got a device"
            );
        }
        (end.exists, end.is_directory) = (true, found.is_directory);
    }
    let counted = Arc::new(AtomicU64::new(0));
    let (directory, content) = if source == "-" {
        if !end.is_directory {
            bail!("destination \"{container}:{destination}\" must be a directory");
        }
        (end.path.clone(), Upload::of(io::stdin()))
    } else {
        let from = copy::source(&copy::local(source)?, args.follow_link)?;
        let placed = copy::place(&from, &end)?;
        let tar = copy::packed(&from, placed.rename.as_ref())?;
        let counter = Counter {
            inner: tar,
            bytes: Arc::clone(&counted),
        };
        (placed.directory, Upload::of(counter))
    };
    let target = archive_of(container, &String::from_utf8_lossy(&directory))
        .query("noOverwriteDirNonDir", "true")
        .flag("copyUIDGID", args.archive);
    drop(client.upload(Method::PUT, target, content).await?);
    if source != "-" && !args.is_quiet() {
        let shown = String::from_utf8_lossy(&end.path);
        copied(counted.load(Ordering::Relaxed), &format!("{container}:{shown}"));
    }
    Ok(())
}

async fn from(client: &Client, args: &Args, container: &str, source: &str, destination: &str) -> Result<()> {
    let local = match destination {
        "-" => Vec::new(),
        path => {
            let local = copy::local(path)?;
            copy::check_output(&local)?;
            local
        }
    };
    let mut end = End {
        path: source.as_bytes().to_vec(),
        exists: true,
        ..End::default()
    };
    if args.follow_link
        && let Ok(Status {
            target: Some(target), ..
        }) = stat(client, container, source).await
    {
        let target = absolute(source, target);
        (end.path, end.rebase) = copy::follow(source.as_bytes(), target.into_bytes());
    }
    let target = archive_of(container, &String::from_utf8_lossy(&end.path));
    let response: Response<_> = client.response(Method::GET, target).await?;
    end.is_directory = status(response.headers())?.is_directory;
    let body = response.into_body();
    if destination == "-" {
        return download::write(body, None).await;
    }
    let bytes = download::read(body, move |mut parts| {
        // As the container has it, and then as it is called here.
        let own = path::split(&end.path).1;
        let to = copy::destination(&local)?;
        let placed = copy::place(&end, &to)?;
        let rename = match (placed.rename, &end.rebase) {
            (Some((_, new)), _) => Some((if own == b"/" { Vec::new() } else { own }, new)),
            (None, Some(name)) => Some((own, name.clone())),
            (None, None) => None,
        };
        let options = Options {
            no_overwrite_dir_non_dir: true,
            owner: Owner::Caller,
            rename,
        };
        let root = Root::beneath(Root::directory(&placed.directory)?);
        unpack(&root, b"", &mut parts, &options)?;
        Ok(parts.bytes)
    });
    let bytes = bytes.await?;
    if !args.is_quiet() {
        copied(bytes, destination);
    }
    Ok(())
}

fn copied(bytes: u64, to: &str) {
    let size = human_size(i64::try_from(bytes).unwrap_or(i64::MAX));
    complain!("Successfully copied {size} to {to}");
}

struct Counter<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counter<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(to)?;
        self.bytes.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_from_paths() {
        for (argument, container, path) in [
            ("web:/etc", Some("web"), "/etc"),
            ("web:etc", Some("web"), "etc"),
            ("/a:b", None, "/a:b"),
            ("./a:b", None, "./a:b"),
            ("a", None, "a"),
            ("-", None, "-"),
            ("web:", Some("web"), ""),
        ] {
            assert_eq!(split(argument), (container, path), "{argument}");
        }
    }
}
