//! dom0's end of a guest's network interface: joins its bridge, then netback is told.

use crate::DomId;
use crate::device::{CLOSED, CLOSING, Nic};
use crate::store::{Store, StoreError};
use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::{Handle, LinkUnspec, MulticastGroup};

#[derive(Debug, thiserror::Error)]
pub enum VifError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("xenstored is gone")]
    StoreGone,
    #[error("cannot open netlink")]
    Open(#[source] std::io::Error),
    #[error("netlink has ended")]
    NetlinkGone,
    #[error("cannot look for {name}")]
    Find {
        name: String,
        #[source]
        source: rtnetlink::Error,
    },
    #[error("there is no bridge {0}")]
    NoBridge(String),
    #[error("netback did not make {0}: see dom0's kernel log")]
    Refused(String),
    #[error("cannot add {name} to the bridge {bridge}")]
    Join {
        name: String,
        bridge: String,
        #[source]
        source: rtnetlink::Error,
    },
}

/// Number of an interface, `None` when there is none of this name.
async fn find(netlink: &Handle, name: &str) -> Result<Option<u32>, VifError> {
    let mut links = netlink.link().get().match_name(name.to_owned()).execute();
    match links.try_next().await {
        Ok(link) => Ok(link.map(|link| link.header.index)),
        Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -libc::ENODEV => Ok(None),
        Err(source) => Err(VifError::Find {
            name: name.to_owned(),
            source,
        }),
    }
}

/// Connects the interface once netback has made it: that is after its state says so, so netlink tells.
pub async fn connect(
    store: &Store,
    domid: DomId,
    number: usize,
    nic: &Nic,
    backend: &str,
) -> Result<(), VifError> {
    let state = format!("{backend}/state");
    let mut states = store.watch(&state).await?;
    let (connection, netlink, mut links) =
        rtnetlink::new_multicast_connection(&[MulticastGroup::Link]).map_err(VifError::Open)?;
    let connection = tokio::spawn(connection);
    let name = format!("vif{domid}.{number}");
    let joined = async {
        let bridge = find(&netlink, &nic.bridge)
            .await?
            .ok_or_else(|| VifError::NoBridge(nic.bridge.clone()))?;
        let vif = loop {
            if let Some(vif) = find(&netlink, &name).await? {
                break vif;
            }
            tokio::select! {
                link = links.next() => if link.is_none() {
                    return Err(VifError::NetlinkGone);
                },
                alive = states.changed() => {
                    if !alive {
                        return Err(VifError::StoreGone);
                    }
                    if matches!(store.read(&state).await?.as_deref(), Some(CLOSING | CLOSED)) {
                        return Err(VifError::Refused(name.clone()));
                    }
                }
            }
        };
        let up = LinkUnspec::new_with_index(vif).controller(bridge).up().build();
        netlink
            .link()
            .set(up)
            .execute()
            .await
            .map_err(|source| VifError::Join {
                name: name.clone(),
                bridge: nic.bridge.clone(),
                source,
            })
    }
    .await;
    connection.abort();
    joined?;
    Ok(store
        .write(&format!("{backend}/hotplug-status"), "connected")
        .await?)
}
