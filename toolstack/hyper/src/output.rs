//! Our own lines. `println!` and `eprintln!` panic when the reader has gone: an error of stdout is returned and ends us
//! quietly, one of stderr is nobody's to hear.

use std::io::{self, Write};

use anyhow::Result;

pub fn line(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    Ok(())
}

/// `eprintln!` that does not mind a stderr that is closed.
macro_rules! complain {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($argument)*);
    }};
}
pub(crate) use complain;
