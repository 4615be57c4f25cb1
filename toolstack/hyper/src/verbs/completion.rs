//! `hyper completion`

use std::io::{self, Write};

use anyhow::Result;
use clap_complete::Shell;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell to complete for
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args) -> Result<i32> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::cli::command(), "hyper", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(0)
}
