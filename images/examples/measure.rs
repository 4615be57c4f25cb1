//! One step of an image's way into the store, for `scripts/bench images` to measure from outside.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use images::Store;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const USAGE: &str = "measure ingest|index|baseline OCI-LAYOUT FOLDER

ingest     its layers go into the store FOLDER
index      an image is made of them: trees merged, index written
baseline   decompresses, hashes twice and writes to FOLDER, and does nothing else";

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

struct Layout(PathBuf);

impl Layout {
    fn blob(&self, descriptor: &Descriptor) -> PathBuf {
        self.0.join("blobs").join(descriptor.digest.replace(':', "/"))
    }

    fn manifest(&self) -> Result<Manifest> {
        let index: Index = serde_json::from_slice(&fs::read(self.0.join("index.json"))?)?;
        let first = index.manifests.first().context("the layout is empty")?;
        Ok(serde_json::from_slice(&fs::read(self.blob(first))?)?)
    }
}

/// Hashes what is read.
struct Hashed<R>(R, Sha256);

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.read(to)?;
        self.1.update(&to[..length]);
        Ok(length)
    }
}

fn baseline(layer: &Path, out: &Path) -> Result<()> {
    let mut packed = File::open(layer)?;
    let mut magic = [0; 2];
    packed.read_exact(&mut magic)?;
    let mut source = Hashed(File::open(layer)?, Sha256::new());
    let mut hash = Sha256::new();
    let mut file = File::create(out)?;
    {
        let mut unpacked: Box<dyn Read> = match magic {
            [0x1f, 0x8b] => Box::new(flate2::read::MultiGzDecoder::new(&mut source)),
            _ => Box::new(zstd::Decoder::new(&mut source)?),
        };
        let mut buffer = vec![0; 256 << 10];
        loop {
            let length = unpacked.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            hash.update(&buffer[..length]);
            file.write_all(&buffer[..length])?;
        }
    }
    file.sync_data()?;
    std::hint::black_box((hash.finalize(), source.1.finalize()));
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [step, layout, folder] = &args[..] else {
        bail!("{USAGE}");
    };
    let (layout, folder) = (Layout(layout.into()), Path::new(folder));
    let manifest = layout.manifest()?;
    match step.as_str() {
        "ingest" => {
            let store = Store::open(folder)?;
            for layer in &manifest.layers {
                // Both digests, as a pull has them.
                let mut source = Hashed(File::open(layout.blob(layer))?, Sha256::new());
                store.add_layer(&mut source)?;
                let digest = data_encoding::HEXLOWER.encode(&source.1.finalize());
                ensure!(
                    layer.digest == format!("sha256:{digest}"),
                    "{} is damaged",
                    layer.digest
                );
            }
        }
        "index" => {
            let store = Store::open(folder)?;
            let config = fs::read(layout.blob(&manifest.config))?;
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            runtime.block_on(store.add_image(&config, &["bench".parse()?], 0))?;
        }
        "baseline" => {
            for (number, layer) in manifest.layers.iter().enumerate() {
                baseline(&layout.blob(layer), &folder.join(number.to_string()))?;
            }
        }
        _ => bail!("{USAGE}"),
    }
    Ok(())
}
