//! Our own stdout. `println!` panics when the reader has gone; this returns the error, which ends us quietly.

use std::io::{self, Write};

use anyhow::Result;

pub fn line(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    Ok(())
}
