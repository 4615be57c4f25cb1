//! `hyper logout`

use anyhow::Result;

use super::login::familiar;
use crate::credentials::{Config, server};
use crate::output;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Registry; docker.io when none is given
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

pub fn run(args: &Args) -> Result<i32> {
    let server = server(args.server.as_deref().unwrap_or_default());
    match Config::load()?.erase(&server)? {
        true => output::line(&format!("Removing login credentials for {}", familiar(&server)))?,
        false => output::line(&format!("Not logged in to {}", familiar(&server)))?,
    }
    Ok(0)
}
