//! dom0's end of a guest's network interface: joins its bridge, then netback is told.

use crate::DomId;
use crate::device::{INIT_WAIT, Nic};
use crate::store::{Store, StoreError};
use futures_util::TryStreamExt;
use rtnetlink::{Handle, LinkUnspec};

#[derive(Debug, thiserror::Error)]
pub enum VifError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("xenstored is gone")]
    StoreGone,
    #[error("cannot open netlink")]
    Open(#[source] std::io::Error),
    #[error("there is no interface {name}")]
    Missing {
        name: String,
        #[source]
        source: rtnetlink::Error,
    },
    #[error("cannot add {name} to the bridge {bridge}")]
    Join {
        name: String,
        bridge: String,
        #[source]
        source: rtnetlink::Error,
    },
}

async fn index(netlink: &Handle, name: &str) -> Result<u32, VifError> {
    let failed = |source| VifError::Missing {
        name: name.to_owned(),
        source,
    };
    let mut links = netlink.link().get().match_name(name.to_owned()).execute();
    match links.try_next().await.map_err(failed)? {
        Some(link) => Ok(link.header.index),
        None => Err(failed(rtnetlink::Error::RequestFailed)),
    }
}

/// Connects the interface once netback has made it.
pub async fn connect(
    store: &Store,
    domid: DomId,
    number: usize,
    nic: &Nic,
    backend: &str,
) -> Result<(), VifError> {
    let state = format!("{backend}/state");
    let mut watch = store.watch(&state).await?;
    loop {
        if !watch.changed().await {
            return Err(VifError::StoreGone);
        }
        if store.read(&state).await?.as_deref() == Some(INIT_WAIT) {
            break;
        }
    }
    let (connection, netlink, _) = rtnetlink::new_connection().map_err(VifError::Open)?;
    let connection = tokio::spawn(connection);
    let name = format!("vif{domid}.{number}");
    let joined = async {
        let (vif, bridge) = tokio::try_join!(index(&netlink, &name), index(&netlink, &nic.bridge))?;
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
