//! Puts the parts of a root disk together and lets them go again, as hyperd does for the first guest of an image, and
//! prints how long each took: `root_device FILE...`.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use xen::{LinearDevice, LoopDevice};

fn main() -> ExitCode {
    let files: Vec<_> = std::env::args().skip(1).collect();
    match run(&files) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("root_device: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(files: &[String]) -> Result<String, Box<dyn std::error::Error>> {
    if files.is_empty() {
        return Err("usage: root_device FILE...".into());
    }
    let begin = Instant::now();
    let parts = files.iter().map(|file| LoopDevice::attach(Path::new(file), true));
    let parts = parts
        .map(|part| part.map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    let attached = begin.elapsed();
    let device = LinearDevice::create("measured", parts)?;
    let made = begin.elapsed();
    drop(device);
    Ok(format!(
        "loops_us={} linear_us={} all_us={} gone_us={}",
        attached.as_micros(),
        (made - attached).as_micros(),
        made.as_micros(),
        (begin.elapsed() - made).as_micros()
    ))
}
