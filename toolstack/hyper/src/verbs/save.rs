//! `hyper save`

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use rustix::termios::isatty;

use crate::client::Client;
use crate::target::Target;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Save only the given platform variant
    #[arg(long, value_name = "STRING")]
    platform: Option<String>,
    /// Images to save
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub async fn run(client: &Client, args: Args) -> Result<i32> {
    if args.output.is_none() && isatty(io::stdout()) {
        bail!("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    let mut target = Target::api("images/get").query_opt("platform", args.platform.as_deref());
    for image in &args.images {
        target = target.query("names", image);
    }
    let body = client.stream(Method::GET, target).await?;
    match &args.output {
        Some(path) => into_file(body, path).await?,
        None => copy(body, &mut io::stdout().lock()).await?,
    }
    Ok(0)
}

/// What stands under the name is replaced when the archive is whole.
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
        let frame = frame.map_err(|error| anyhow!("hyperd broke the archive off: {error}"))?;
        if let Ok(data) = frame.into_data() {
            to.write_all(&data)?;
        }
    }
    to.flush()?;
    Ok(())
}
