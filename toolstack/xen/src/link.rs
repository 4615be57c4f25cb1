//! Our end of the link to a guest's agent: its rings, mapped, and its event channel.

use crate::event_channel::EventChannel;
use crate::grant::Mapping;
use crate::{DomId, Host, StoreError};
use guest_protocol::message::VERSION;
use guest_protocol::ring::{PAGES, REFERENCES_AT, SharedMemory};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("xenstored is gone")]
    StoreGone,
    #[error("the guest offers a link that makes no sense: {0:?}")]
    Offer(String),
    #[error("the guest speaks version {theirs} of the link, not {VERSION}")]
    Version { theirs: u32 },
    #[error("the guest offers {0} pages, not {PAGES}")]
    Pages(u32),
    #[error("cannot map the guest's pages")]
    Map(#[source] io::Error),
    #[error("cannot bind the guest's event channel")]
    Bind(#[source] io::Error),
}

/// What the agent writes to `data/hyper/link`.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    reference: u32,
    port: u32,
}

impl Offer {
    fn parse(text: &str) -> Result<Self, LinkError> {
        let bad = || LinkError::Offer(text.chars().take(80).collect());
        let mut numbers = text.split(' ').map(|word| word.parse::<u32>().map_err(|_| bad()));
        let mut next = || numbers.next().unwrap_or_else(|| Err(bad()));
        let (version, reference, port) = (next()?, next()?, next()?);
        if version != VERSION {
            return Err(LinkError::Version { theirs: version });
        }
        Ok(Self { reference, port })
    }
}

/// The memory of a link.
pub struct LinkMemory(Mapping);

impl LinkMemory {
    fn at(&self, offset: usize, length: usize) -> *mut u8 {
        assert!(offset + length <= self.0.bytes(), "outside the link's memory");
        // SAFETY: inside the mapping, as just checked.
        unsafe { self.0.start().as_ptr().add(offset) }
    }

    fn index(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4));
        // SAFETY: aligned, inside the mapping that lives as long as `self`, and touched only as an atomic.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4).cast()) }
    }
}

impl SharedMemory for LinkMemory {
    fn load(&self, offset: usize) -> u32 {
        u32::from_le(self.index(offset).load(Ordering::Acquire))
    }

    fn store(&self, offset: usize, value: u32) {
        self.index(offset).store(value.to_le(), Ordering::Release);
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        let from = self.at(offset, to.len());
        // SAFETY: `from` has so many bytes and overlaps nothing of ours. The guest may write meanwhile: the copy is by
        // raw pointers through libc, what it copies is any bytes, and every check is made on the copy.
        unsafe { libc::memcpy(to.as_mut_ptr().cast(), from.cast(), to.len()) };
    }

    fn write(&self, offset: usize, from: &[u8]) {
        let to = self.at(offset, from.len());
        // SAFETY: as for `read`.
        unsafe { libc::memcpy(to.cast(), from.as_ptr().cast(), from.len()) };
    }
}

/// An open link.
pub struct Link {
    pub memory: LinkMemory,
    channel: EventChannel,
}

impl Link {
    /// Waits for the guest's offer and takes it. To be raced with the death of the guest.
    pub async fn accept(host: &Arc<Host>, domid: DomId) -> Result<Self, LinkError> {
        let path = format!("/local/domain/{domid}/data/hyper/link");
        let mut watch = host.store().watch(&path).await?;
        while watch.changed().await {
            if let Some(text) = host.store().read(&path).await? {
                return Self::open(host, domid, &Offer::parse(&text)?);
            }
        }
        Err(LinkError::StoreGone)
    }

    fn open(host: &Arc<Host>, domid: DomId, offer: &Offer) -> Result<Self, LinkError> {
        let first = LinkMemory(
            host.grants
                .map(domid, &[offer.reference])
                .map_err(LinkError::Map)?,
        );
        let count = first.load(REFERENCES_AT);
        if count as usize != PAGES {
            return Err(LinkError::Pages(count));
        }
        let references: Vec<u32> = (1..=PAGES)
            .map(|index| first.load(REFERENCES_AT + 4 * index))
            .collect();
        let memory = LinkMemory(host.grants.map(domid, &references).map_err(LinkError::Map)?);
        let channel = EventChannel::bind(Arc::clone(&host.event_channels), domid, offer.port)
            .map_err(LinkError::Bind)?;
        Ok(Self { memory, channel })
    }

    pub fn notify(&self) -> io::Result<()> {
        self.channel.notify()
    }

    /// Waits until the guest has notified since the last time.
    pub async fn notified(&self) -> io::Result<()> {
        self.channel.notified().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers() {
        assert_eq!(
            Offer::parse("1 8 21").unwrap(),
            Offer {
                reference: 8,
                port: 21
            }
        );
        assert!(matches!(
            Offer::parse("2 8 21"),
            Err(LinkError::Version { theirs: 2 })
        ));
        for bad in [
            "",
            "1",
            "1 2",
            "1 -2 3",
            "1 2 x",
            "1 99999999999 3",
            "\u{1f980} 1 2",
        ] {
            assert!(matches!(Offer::parse(bad), Err(LinkError::Offer(_))), "{bad}");
        }
    }
}
