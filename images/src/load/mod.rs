//! Images into the store out of one file: a docker archive (of any docker since 1.10) or an OCI layout as a tar.
//!
//! The archive is a stream that nobody vouches for. It is first written to one temporary file, limited by what is
//! sent, since its members come in any order; nothing of it is ever unpacked by name. Then its documents say what
//! images there are ([`plan`]), their layers are verified on the way to temporary files, and only when all of them are
//! whole does the store get them: layers, root file systems, and names at last.

mod documents;
mod expand;
pub(crate) mod members;
pub(crate) mod plan;

pub use expand::expand;

use crate::layer;
use crate::store::{Named, Pin};
use crate::{Error, Name, Progress, Staged, Store};
use members::Members;
use plan::{Planned, Source};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

/// As often as docker tells.
const REPORT_BYTES: u64 = 512 << 10;

/// An image of the archive that the store has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub id: String,
    /// Of the archive; none when it has none for it.
    pub names: Vec<String>,
    /// Which of them other images have lost by it, and those images' ids.
    pub taken: Vec<(String, String)>,
}

/// Told of each layer's bytes, by its diff_id.
pub type Report = dyn Fn(Progress) + Send + Sync;

/// What is verified and not yet published. The pins keep what the store already has of it.
struct StagedImages {
    images: Vec<Planned>,
    layers: BTreeMap<String, Staged>,
    _pins: Vec<Pin>,
}

impl Store {
    /// Loads all images of an archive, plain or compressed with gzip or zstd, or none.
    pub async fn load_archive(
        self: &Arc<Self>,
        archive: impl Read + Send + 'static,
        now: i64,
        report: Arc<Report>,
    ) -> Result<Vec<Loaded>, Error> {
        let store = Arc::clone(self);
        let staged = tokio::task::spawn_blocking(move || store.stage_archive(archive, &*report))
            .await
            .unwrap_or(Err(Error::Interrupted))?;
        let mut new = Vec::new();
        let published = self.publish_images(staged, now, &mut new).await;
        if published.is_err() {
            // As it was: images that are new go again, and with them what only they have.
            for id in new {
                let _ = self.remove(&id, true, |_| Vec::new());
            }
            let _ = self.collect_garbage();
        }
        published
    }

    fn stage_archive(self: &Arc<Self>, archive: impl Read, report: &Report) -> Result<StagedImages, Error> {
        let members = Members::spool(archive, self.temporary()?)?;
        let images = plan::plan(&members)?;
        let mut pins = Vec::new();
        let mut layers = BTreeMap::new();
        for image in &images {
            pins.push(self.pin(&[&image.id, &image.manifest.digest], &image.diff_ids)?);
            for (diff_id, source) in image.diff_ids.iter().zip(&image.layers) {
                if !layers.contains_key(diff_id) && !self.layer(diff_id)?.exists() {
                    let layer = self.stage_layer(&members, diff_id, source, report)?;
                    layers.insert(diff_id.clone(), layer);
                }
            }
        }
        Ok(StagedImages {
            images,
            layers,
            _pins: pins,
        })
    }

    fn stage_layer(
        &self,
        members: &Members,
        diff_id: &str,
        source: &Source,
        report: &Report,
    ) -> Result<Staged, Error> {
        let staged = self.stage()?;
        let (Source::Blob { slice, .. } | Source::Tar(slice)) = source;
        let reader = Reported {
            inner: members.open(*slice)?,
            diff_id,
            current: 0,
            told: 0,
            total: slice.bytes,
            report,
        };
        let ingested = match source {
            Source::Blob {
                compression,
                announced,
                ..
            } => layer::ingest(reader, *compression, announced, &staged)?,
            Source::Tar(_) => layer::ingest_tar(expand(reader)?, &staged)?,
        };
        if ingested.diff_id != diff_id {
            return Err(Error::Digest {
                what: "unpacked layer".to_owned(),
                expected: diff_id.to_owned(),
                found: ingested.diff_id,
            });
        }
        report(Progress::LayerBytes {
            layer: diff_id.to_owned(),
            current: slice.bytes,
            total: slice.bytes,
        });
        Ok(staged)
    }

    /// First all images without names, so that a failure takes no name from another image.
    async fn publish_images(
        self: &Arc<Self>,
        staged: StagedImages,
        now: i64,
        new: &mut Vec<String>,
    ) -> Result<Vec<Loaded>, Error> {
        let StagedImages {
            images,
            layers,
            _pins,
        } = staged;
        for (diff_id, layer) in layers {
            self.put_layer(&diff_id, layer)?;
        }
        for image in &images {
            let manifest = image.manifest.bytes.as_deref();
            if self.add_nameless(&image.config, manifest, now).await? {
                new.push(image.id.clone());
            }
        }
        images.iter().map(|image| self.name_loaded(image, now)).collect()
    }

    fn name_loaded(&self, planned: &Planned, now: i64) -> Result<Loaded, Error> {
        let image = self.find(&planned.id)?;
        let names: Vec<_> = planned.names.iter().map(Name::to_string).collect();
        let holder = |name: &String| self.find(name).ok().filter(|other| other.id != image.id);
        let taken = names
            .iter()
            .filter_map(|name| Some((name.clone(), holder(name)?.id)))
            .collect();
        self.register(&image.id, &image.manifest, Named::given(names.clone(), now))?;
        Ok(Loaded {
            id: image.id,
            names,
            taken,
        })
    }
}

/// Tells how far a layer is.
struct Reported<'a, R> {
    inner: R,
    diff_id: &'a str,
    current: u64,
    told: u64,
    total: u64,
    report: &'a Report,
}

impl<R: Read> Read for Reported<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(to)?;
        self.current += length as u64;
        if self.current - self.told >= REPORT_BYTES {
            self.told = self.current;
            (self.report)(Progress::LayerBytes {
                layer: self.diff_id.to_owned(),
                current: self.current,
                total: self.total,
            });
        }
        Ok(length)
    }
}

#[cfg(test)]
#[path = "../load_tests.rs"]
mod tests;
