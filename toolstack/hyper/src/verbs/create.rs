//! `hyper create`, and the creation that `run` begins with.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::run;
use crate::client::{Client, id_of};
use crate::error::is_not_found;
use crate::options::{ContainerOptions, PullPolicy};
use crate::output;
use crate::output::complain;
use crate::progress::Sink;
use crate::target::Target;
use crate::verbs::pull::pull;
use reference::Reference;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    options: ContainerOptions,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    match create(client, &args.options, false).await {
        Ok(id) => {
            output::line(&id)?;
            Ok(0)
        }
        Err(error) => run::failed("create", error, None),
    }
}

/// Creates the container, pulling its image as `--pull` says, and returns its id.
pub async fn create(client: &Client, options: &ContainerOptions, detach: bool) -> Result<String> {
    let cidfile = options.cidfile.as_deref().map(CidFile::open).transpose()?;
    let body = options.to_body(detach)?;
    let target = || {
        Target::api("containers/create")
            .query_opt("name", options.name.as_deref())
            .query_opt("platform", options.platform.as_deref())
    };
    if options.pull == PullPolicy::Always {
        pull_image(client, options).await?;
    }
    let answer = match client.post_body(target(), &body).await {
        Err(error) if is_not_found(&error) && options.pull == PullPolicy::Missing => {
            if !options.quiet {
                let name = options.image().parse::<Reference>().map(|image| image.familiar());
                let name = name.unwrap_or_else(|_| options.image().to_owned());
                complain!("Unable to find image '{name}' locally");
            }
            pull_image(client, options).await?;
            client.post_body(target(), &body).await?
        }
        answer => answer?,
    };
    for warning in answer
        .get("Warnings")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        complain!("WARNING: {warning}");
    }
    let id = id_of(&answer)?;
    if let Some(cidfile) = cidfile {
        cidfile.write(&id)?;
    }
    Ok(id)
}

async fn pull_image(client: &Client, options: &ContainerOptions) -> Result<()> {
    let reference: Reference = options.image().parse()?;
    let sink = if options.quiet {
        Sink::Nowhere
    } else {
        Sink::Stderr
    };
    pull(client, &reference, options.platform.as_deref(), sink).await
}

/// Made before the container, so that an id that cannot be written leaves no container behind; removed again when
/// there is no id.
struct CidFile<'a> {
    path: &'a Path,
    file: std::fs::File,
    written: bool,
}

impl<'a> CidFile<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        match std::fs::File::create_new(path) {
            Ok(file) => Ok(Self {
                path,
                file,
                written: false,
            }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
                "container ID file found, make sure the other container isn't running or delete {}",
                path.display()
            ),
            Err(error) => Err(error)
                .with_context(|| format!("failed to create the container ID file {}", path.display())),
        }
    }

    fn write(mut self, id: &str) -> Result<()> {
        self.file
            .write_all(id.as_bytes())
            .with_context(|| format!("failed to write the container ID to {}", self.path.display()))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for CidFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            // Best effort: an empty file that stays is in the way of the next run, no more.
            let _ = std::fs::remove_file(self.path);
        }
    }
}
