//! One layer on its way to a registry: found there, mounted, passed on from where it was pulled, or compressed.

use super::Push;
use super::source::{Sending, Source};
use crate::compress;
use crate::forms::Form;
use crate::pull::Progress;
use crate::registry::{BlobReader, BrokenOff, CHUNK_BYTES, Fault, READ_TIMEOUT, Session, Started, Upload};
use crate::{Credentials, Error, Name};
use bytes::Bytes;
use reqwest::Body;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Each costs a request that may be refused.
const MAX_MOUNTS: usize = 3;
/// Places that a layer was pulled from, which may be gone.
const MAX_ORIGINS: usize = 2;

const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Why a layer was not sent.
enum Unsent {
    /// Its bytes did not come.
    Source(Error),
    Target(Fault),
}

impl From<Fault> for Unsent {
    fn from(fault: Fault) -> Self {
        Self::Target(fault)
    }
}

/// Where a layer can be had, more than once if need be.
enum Origin<'a> {
    File(&'a Path),
    Registry(&'a Arc<Session>),
}

impl Origin<'_> {
    async fn open(&self, form: &Form) -> Result<Source, Error> {
        match self {
            Self::File(path) => Source::file(path).await,
            Self::Registry(session) => Ok(Source::blob(BlobReader::new(session, &form.digest, form.bytes))),
        }
    }
}

impl Push<'_> {
    /// Makes sure that the registry has a layer, and says in which form. `own` is the one that the image's manifest has.
    pub(super) async fn layer(&self, diff_id: &str, own: &str) -> Result<Form, Error> {
        let layer = diff_id.to_owned();
        let mut forms = self.store.forms(diff_id);
        forms.retain(|form| form.digest == own || form.media_type_for(self.docker).is_some());
        // The image stays what it is where that is possible.
        forms.sort_by_key(|form| form.digest != own);
        for form in &forms {
            if self.has(form).await? {
                (self.progress)(Progress::LayerExists { layer });
                return Ok(form.clone());
            }
        }
        for form in &forms {
            if let Some(from) = self.mount(form).await? {
                (self.progress)(Progress::LayerMounted { layer, from });
                return Ok(form.clone());
            }
        }
        if let Some(form) = forms.first().filter(|form| form.digest == own)
            && self.pass_on(form).await?
        {
            (self.progress)(Progress::LayerDone { layer });
            return Ok(form.clone());
        }
        self.compressed(diff_id).await
    }

    async fn has(&self, form: &Form) -> Result<bool, Error> {
        let has = self.session.has_blob(&form.digest, form.bytes).await;
        has.map_err(|fault| self.failed(fault))
    }

    /// Has the registry take a layer from another of its repositories; gives which.
    async fn mount(&self, form: &Form) -> Result<Option<String>, Error> {
        let paths = form.repositories.iter().rev();
        let paths = paths.filter_map(|repository| self.neighbour(repository));
        for from in paths.take(MAX_MOUNTS) {
            let mount = Some((form.digest.as_str(), from.as_str()));
            match self.session.start_upload(mount).await {
                Ok(Started::Mounted) => return Ok(Some(from)),
                Ok(Started::Upload(upload)) => upload.cancel().await,
                // A repository that we may not read is as good as none.
                Err(fault) if fault.is_denied() || fault.is_not_found() => {}
                Err(fault) => return Err(self.failed(fault)),
            }
        }
        Ok(None)
    }

    /// The path of a repository, if it is another one of this registry.
    pub(super) fn neighbour(&self, repository: &str) -> Option<String> {
        neighbour(self.name, repository)
    }

    /// Passes a layer on from a registry that it was pulled from. `false`: none gives it.
    async fn pass_on(&self, form: &Form) -> Result<bool, Error> {
        for repository in form.repositories.iter().rev().take(MAX_ORIGINS) {
            let Ok(origin) = repository.parse::<Name>() else {
                continue;
            };
            // Those that we have are for the registry that is pushed to.
            let credentials = match origin.registry() == self.name.registry() {
                true => self.credentials.clone(),
                false => Credentials::Anonymous,
            };
            for session in self.registries.sources(&origin, &credentials)? {
                if !matches!(session.has_blob(&form.digest, form.bytes).await, Ok(true)) {
                    continue;
                }
                match self.send(form, Origin::Registry(&session)).await {
                    Ok(()) => return Ok(true),
                    Err(Unsent::Source(error)) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(layer = form.digest, %origin, error, "a layer is compressed again");
                    }
                    Err(Unsent::Target(fault)) => return Err(self.failed(fault)),
                }
            }
        }
        Ok(false)
    }

    async fn compressed(&self, diff_id: &str) -> Result<Form, Error> {
        let layer = diff_id.to_owned();
        let (tar, packed) = (self.store.layer(diff_id)?, self.store.temporary()?);
        let work = {
            let diff_id = diff_id.to_owned();
            // The file goes with whoever is last to use it, the compression of a client that went away too.
            move || compress::gzip(&tar, &diff_id, &packed).map(|form| (form, packed))
        };
        let work = tokio::task::spawn_blocking(work).await;
        let (form, packed) = work.unwrap_or(Err(Error::Interrupted))?;
        if self.has(&form).await? {
            (self.progress)(Progress::LayerExists { layer });
            return Ok(form);
        }
        match self.send(&form, Origin::File(&packed)).await {
            Ok(()) => {}
            Err(Unsent::Source(error)) => return Err(error),
            Err(Unsent::Target(fault)) => return Err(self.failed(fault)),
        }
        (self.progress)(Progress::LayerDone { layer });
        Ok(form)
    }

    /// Sends a layer; from its beginning again when the registry has lost what it had.
    async fn send(&self, form: &Form, origin: Origin<'_>) -> Result<(), Unsent> {
        let mut attempts = self.session.retry.begin();
        loop {
            let Started::Upload(mut upload) = self.session.start_upload(None).await? else {
                return Err(Fault::Nonsense("it mounts what it was not asked to".to_owned()).into());
            };
            match self.try_send(form, &origin, &mut upload).await {
                Ok(last) => match upload.finish(&form.digest, form.bytes, last).await {
                    Err(Fault::Lost) if attempts.again(None).await => {}
                    result => return Ok(result?),
                },
                Err(Unsent::Target(Fault::Lost)) if attempts.again(None).await => {}
                Err(unsent) => {
                    upload.cancel().await;
                    return Err(unsent);
                }
            }
        }
    }

    /// Sends a layer, or gives back a small one, which goes with the request that ends the upload. With that the blob is
    /// there, so all must have been verified.
    async fn try_send(&self, form: &Form, origin: &Origin<'_>, upload: &mut Upload) -> Result<Bytes, Unsent> {
        let mut source = origin.open(form).await.map_err(Unsent::Source)?;
        let first = source.chunk(CHUNK_BYTES).await.map_err(Unsent::Source)?;
        // More is refused when it comes, less when there is no more.
        if first.len() as u64 >= form.bytes || first.len() < CHUNK_BYTES {
            source.check(form).map_err(Unsent::Source)?;
            self.sent(form, first.len() as u64);
            return Ok(first);
        }
        if let Some(broken) = self.stream(form, source, first, upload).await? {
            let received = upload.received(broken, form.bytes).await?;
            let source = origin.open(form).await.map_err(Unsent::Source)?;
            self.resume(form, source, received, upload).await?;
        }
        self.sent(form, form.bytes);
        Ok(Bytes::new())
    }

    /// Sends all of a layer at once.
    async fn stream(
        &self,
        form: &Form,
        source: Source,
        first: Bytes,
        upload: &mut Upload,
    ) -> Result<Option<BrokenOff>, Unsent> {
        let sending = Arc::new(Sending::default());
        let stream = source.into_stream(first, form.clone(), Arc::clone(&sending));
        let mut request = pin!(upload.stream(Body::wrap_stream(stream)));
        let mut tick = tokio::time::interval(REPORT_EVERY);
        let (mut current, mut moved) = (0, Instant::now());
        let broken = loop {
            tokio::select! {
                result = &mut request => break result,
                _ = tick.tick() => {
                    let before = std::mem::replace(&mut current, sending.bytes.load(Ordering::Relaxed));
                    if before != current {
                        moved = Instant::now();
                    } else if moved.elapsed() > READ_TIMEOUT {
                        let fault = Fault::Nonsense("it takes no more of an upload".to_owned());
                        break Ok(Some(BrokenOff::by(fault)));
                    }
                    self.sent(form, current);
                }
            }
        };
        // Why there were no more bytes tells more than that there were none.
        if let Some(error) = sending.failure() {
            return Err(Unsent::Source(error));
        }
        match broken? {
            None if !sending.is_whole.load(Ordering::Relaxed) => {
                let fault = Fault::Nonsense("it answers before it has all of an upload".to_owned());
                Ok(Some(BrokenOff::by(fault)))
            }
            broken => Ok(broken),
        }
    }

    /// Sends what the registry does not have, in chunks; all of the layer is read and verified once more.
    async fn resume(
        &self,
        form: &Form,
        mut source: Source,
        received: u64,
        upload: &mut Upload,
    ) -> Result<(), Unsent> {
        let mut offset = 0;
        loop {
            let known = received.saturating_sub(offset);
            let most = match known {
                0 => upload.chunk_bytes,
                known => usize::try_from(known).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES),
            };
            let chunk = source.chunk(most).await.map_err(Unsent::Source)?;
            let end = offset + chunk.len() as u64;
            let is_last = end >= form.bytes || chunk.len() < most;
            if is_last {
                source.check(form).map_err(Unsent::Source)?;
            }
            if known == 0 {
                upload.append(offset, &chunk).await?;
                self.sent(form, end);
            }
            if is_last {
                return Ok(());
            }
            offset = end;
        }
    }

    fn sent(&self, form: &Form, current: u64) {
        (self.progress)(Progress::LayerBytes {
            layer: form.diff_id.clone(),
            current,
            total: form.bytes,
        });
    }
}

/// The path of a repository, if it is another one of `name`'s registry.
pub(super) fn neighbour(name: &Name, repository: &str) -> Option<String> {
    let other: Name = repository.parse().ok()?;
    let path = other.path();
    (other.registry() == name.registry() && path != name.path()).then(|| path.to_owned())
}
