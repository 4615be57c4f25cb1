//! Prints where the image for benchmarks is, made if it is not there yet.
#![forbid(unsafe_code)]

fn main() -> anyhow::Result<()> {
    println!("{}", integration::bench_image()?.display());
    Ok(())
}
