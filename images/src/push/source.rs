//! Where the bytes of a layer come from while it is pushed.

use crate::Error;
use crate::forms::Form;
use crate::layer::hex;
use crate::registry::BlobReader;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// As pieces of a file are read and hashed.
const PIECE_BYTES: usize = 256 << 10;

/// How far a body is that is being sent.
#[derive(Default)]
pub struct Sending {
    pub bytes: AtomicU64,
    /// All of it is verified.
    pub is_whole: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl Sending {
    fn fail(&self, error: Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// What ended it before its time, if that was on our side.
    pub fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

enum From {
    File { file: File, path: std::path::PathBuf },
    Blob { blob: BlobReader, left: Bytes },
}

/// Bytes that are hashed on their way.
pub struct Source {
    from: From,
    hash: Sha256,
    bytes: u64,
}

impl Source {
    pub async fn file(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).await.map_err(Error::read(path))?;
        Ok(Self::new(From::File {
            file,
            path: path.to_owned(),
        }))
    }

    /// Of the registry that a layer was pulled from.
    pub fn blob(blob: BlobReader) -> Self {
        Self::new(From::Blob {
            blob,
            left: Bytes::new(),
        })
    }

    fn new(from: From) -> Self {
        Self {
            from,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// The next bytes, as many as asked for unless it ends before.
    pub async fn chunk(&mut self, length: usize) -> Result<Bytes, Error> {
        let mut chunk = BytesMut::new();
        while chunk.len() < length {
            let piece = self.piece(length - chunk.len()).await?;
            if piece.is_empty() {
                break;
            }
            self.hash.update(&piece);
            self.bytes += piece.len() as u64;
            chunk.extend_from_slice(&piece);
        }
        Ok(chunk.freeze())
    }

    async fn piece(&mut self, most: usize) -> Result<Bytes, Error> {
        match &mut self.from {
            From::File { file, path } => {
                let mut piece = BytesMut::zeroed(most.min(PIECE_BYTES));
                let length = file.read(&mut piece).await.map_err(Error::read(&*path))?;
                piece.truncate(length);
                Ok(piece.freeze())
            }
            From::Blob { blob, left } => {
                if left.is_empty() {
                    *left = blob.chunk().await?.unwrap_or_default();
                }
                Ok(left.split_to(most.min(left.len())))
            }
        }
    }

    /// All of a layer as a body, of which `first` has been read. Before its last bytes go, all of it is verified.
    pub fn into_stream(
        self,
        first: Bytes,
        form: Form,
        sending: Arc<Sending>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::try_unfold((self, Some(first)), move |(mut source, first)| {
            let (form, sending) = (form.clone(), Arc::clone(&sending));
            async move {
                let piece = match first {
                    Some(first) => Ok(first),
                    None => source.chunk(PIECE_BYTES).await,
                };
                let piece = piece.and_then(|piece| {
                    if piece.is_empty() || source.bytes >= form.bytes {
                        source.check(&form)?;
                        sending.is_whole.store(true, Ordering::Relaxed);
                    }
                    Ok(piece)
                });
                match piece {
                    Ok(piece) if piece.is_empty() => Ok(None),
                    Ok(piece) => {
                        sending.bytes.store(source.bytes, Ordering::Relaxed);
                        Ok(Some((piece, (source, None))))
                    }
                    Err(error) => {
                        sending.fail(error);
                        Err(io::Error::other("the layer gives no more"))
                    }
                }
            }
        })
    }

    /// After all of it: whether that was the blob it should be.
    pub fn check(&self, form: &Form) -> Result<(), Error> {
        let found = hex(self.hash.clone().finalize().as_slice());
        match found == form.digest && self.bytes == form.bytes {
            true => Ok(()),
            false => Err(Error::Digest {
                what: "layer".to_owned(),
                expected: form.digest.clone(),
                found,
            }),
        }
    }
}
