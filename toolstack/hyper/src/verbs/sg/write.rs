//! `hyper sg create` and `update`

use std::fs;
use std::io;

use anyhow::{Context, Result};

use super::{file, target};
use crate::client::Client;
use crate::output;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// File of YAML with its rules ('-' for stdin)
    #[arg(short, long, value_name = "FILE")]
    file: String,
    /// Security group
    #[arg(value_name = "GROUP")]
    group: String,
}

fn read(path: &str) -> Result<file::Group> {
    let text = match path {
        "-" => io::read_to_string(io::stdin()).context("cannot read stdin")?,
        path => fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?,
    };
    file::parse(&text).with_context(|| format!("{path} is no security group"))
}

pub async fn create(client: &Client, args: Args) -> Result<i32> {
    let mut body = read(&args.file)?.body();
    body["Name"] = args.group.as_str().into();
    client.post_body(target("create"), &body).await?;
    output::line(&args.group)?;
    Ok(0)
}

pub async fn update(client: &Client, args: Args) -> Result<i32> {
    let body = read(&args.file)?.body();
    client
        .post_body(target(&args.group).push("update"), &body)
        .await?;
    output::line(&args.group)?;
    Ok(0)
}
