//! dom0's end of a guest's network interface: joins its bridge, then netback is told.

use crate::DomId;
use crate::device::{CLOSED, CLOSING, CONNECTED, Nic};
use crate::store::{Store, StoreChange, StoreError};
use futures_util::{Stream, StreamExt, TryStreamExt};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{InfoBridgePort, LinkAttribute, LinkMessage};
use rtnetlink::packet_route::neighbour::NeighbourState;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, LinkBridgePort, LinkUnspec, MulticastGroup};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

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
    #[error("cannot list the host's interfaces")]
    List(#[source] rtnetlink::Error),
    #[error("there is no bridge {0}")]
    NoBridge(String),
    #[error("netback did not make {0}: see dom0's kernel log")]
    Refused(String),
    #[error("netback does not let go of an interface: see dom0's kernel log")]
    Left,
    #[error("cannot set {path}")]
    Setting {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot add {what}")]
    Join {
        what: String,
        #[source]
        source: rtnetlink::Error,
    },
}

/// What netback calls dom0's end of a guest's interface.
pub fn name(domid: DomId, number: u32) -> String {
    format!("{}{number}", name_prefix(domid))
}

/// What the names of all of a guest's begin with.
pub fn name_prefix(domid: DomId) -> String {
    format!("vif{domid}.")
}

fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
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

/// The interface itself speaks no IPv6: it would take what a guest sends to the link's own groups, router advertisements too.
fn mute(name: &str) -> Result<(), VifError> {
    let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
    match std::fs::write(&path, "1") {
        // A kernel without IPv6.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        written => written.map_err(|source| VifError::Setting { path, source }),
    }
}

/// Makes the interface a port that is known to have the guest's address and learns no other, whatever the guest sends:
/// of frames to the link's own groups the bridge would learn before any rule sees them.
///
/// All requests go out at once, and the kernel serves each before it takes the next. The interface comes up though one
/// before failed, but carries nothing: netback connects it when it is told to, after this.
async fn join(
    netlink: &Handle,
    vif: u32,
    bridge: u32,
    nic: &Nic,
) -> Result<(), (&'static str, rtnetlink::Error)> {
    let at = |step| move |error| (step, error);
    let mut joined = LinkUnspec::new_with_index(vif).controller(bridge);
    if let Some(mtu) = nic.mtu {
        joined = joined.mtu(mtu);
    }
    let port = LinkBridgePort::new(vif)
        .append_info_data(InfoBridgePort::Learning(false))
        .append_info_data(InfoBridgePort::UnicastFlood(false));
    // Not permanent, which in a bridge means its own.
    let address = netlink.neighbours().add_bridge(vif, &nic.mac);
    let up = LinkUnspec::new_with_index(vif).up();
    let (joining, not_learning, known, up) = tokio::join!(
        biased;
        netlink.link().set(joined.build()).execute(),
        netlink.link().set_port(port.build()).execute(),
        address.state(NeighbourState::Noarp).replace().execute(),
        netlink.link().set(up.build()).execute(),
    );
    joining.map_err(at("as a port"))?;
    not_learning.map_err(at("without learning"))?;
    known.map_err(at("with its address"))?;
    up.map_err(at("up"))
}

/// Number of the interface that a message of netlink tells of, if it is the one of this name.
fn appeared(message: &NetlinkMessage<RouteNetlinkMessage>, name: &str) -> Option<u32> {
    match &message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) if name_of(link) == Some(name) => {
            Some(link.header.index)
        }
        _ => None,
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
    let (connection, netlink, links) =
        rtnetlink::new_multicast_connection(&[MulticastGroup::Link]).map_err(VifError::Open)?;
    let name = self::name(domid, number as u32);
    let joined = async {
        let bridge = find(&netlink, &nic.bridge)
            .await?
            .ok_or_else(|| VifError::NoBridge(nic.bridge.clone()))?;
        let vif = tokio::select! {
            vif = made(&netlink, links, &name) => vif?,
            refused = refused(store, backend) => {
                refused?;
                return Err(VifError::Refused(name.clone()));
            }
        };
        mute(&name)?;
        join(&netlink, vif, bridge, nic)
            .await
            .map_err(|(step, source)| VifError::Join {
                what: format!("{name} to the bridge {}, {step}", nic.bridge),
                source,
            })
    };
    served(connection, joined).await?;
    Ok(store
        .write(&format!("{backend}/hotplug-status"), "connected")
        .await?)
}

/// Waits until the interface is there; gives its number.
async fn made(
    netlink: &Handle,
    mut links: impl Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Unpin,
    name: &str,
) -> Result<u32, VifError> {
    let mut there = find(netlink, name).await?;
    loop {
        if let Some(vif) = there {
            return Ok(vif);
        }
        let (message, _) = links.next().await.ok_or(VifError::NetlinkGone)?;
        there = match message.payload {
            // There was more than the socket holds.
            NetlinkPayload::Overrun(_) => find(netlink, name).await?,
            _ => appeared(&message, name),
        };
    }
}

/// How soon netback makes an interface, unless much else is done. Its state is not looked at before: each change of it
/// would be told while netback works.
const SOON: Duration = Duration::from_secs(1);

/// Waits until netback has given up.
async fn refused(store: &Store, backend: &str) -> Result<(), VifError> {
    tokio::time::sleep(SOON).await;
    wait_for(store, backend, &[CLOSING, CLOSED], &[]).await
}

/// As many as [`join`] has.
const REQUESTS_AT_ONCE: usize = 4;

/// What uses a connection to netlink, in the same task: no other has to be woken for each request.
async fn served<T>(
    connection: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, VifError>>,
) -> Result<T, VifError> {
    let mut connection = pin!(connection);
    let ended = poll_fn(|context| {
        // It sends one request each time.
        let ended = (0..REQUESTS_AT_ONCE).any(|_| connection.as_mut().poll(context).is_ready());
        if ended { Poll::Ready(()) } else { Poll::Pending }
    });
    tokio::select! {
        biased;
        done = work => done,
        () = ended => Err(VifError::NetlinkGone),
    }
}

/// Waits for one of some states of the backend.
async fn wait_for(store: &Store, backend: &str, wanted: &[&str], never: &[&str]) -> Result<(), VifError> {
    let path = format!("{backend}/state");
    let mut states = store.watch(&path).await?;
    loop {
        let state = store.read(&path).await?;
        match state.as_deref() {
            Some(state) if wanted.contains(&state) => return Ok(()),
            Some(state) if never.contains(&state) => return Err(VifError::Refused(backend.to_owned())),
            _ if states.changed().await => {}
            _ => return Err(VifError::StoreGone),
        }
    }
}

/// Waits until both ends are connected.
pub async fn connected(store: &Store, backend: &str) -> Result<(), VifError> {
    wait_for(store, backend, &[CONNECTED], &[CLOSING, CLOSED]).await
}

/// Waits until dom0 has no such interface any more: until then another could not have its name.
pub async fn gone(is_it: impl Fn(&str) -> bool) -> Result<(), VifError> {
    let there = || {
        let mut names = std::fs::read_dir("/sys/class/net")
            .into_iter()
            .flatten()
            .flatten();
        names.any(|entry| entry.file_name().to_str().is_some_and(&is_it))
    };
    if !there() {
        return Ok(());
    }
    let (connection, netlink, mut links) =
        rtnetlink::new_multicast_connection(&[MulticastGroup::Link]).map_err(VifError::Open)?;
    let gone = async {
        // Asked of netlink: sysfs has it still when netlink tells that it is gone.
        while is_any(&netlink, &is_it).await? {
            links.next().await.ok_or(VifError::NetlinkGone)?;
        }
        Ok(())
    };
    served(connection, gone).await
}

async fn is_any(netlink: &Handle, is_it: &impl Fn(&str) -> bool) -> Result<bool, VifError> {
    let found = netlink
        .link()
        .get()
        .execute()
        .try_any(|link| {
            let is_one = name_of(&link).is_some_and(is_it);
            std::future::ready(is_one)
        })
        .await;
    found.map_err(VifError::List)
}

/// Asks both ends to let go, and waits until they have.
pub async fn let_go(store: &Store, backend: &str) -> Result<(), VifError> {
    let set = |key: &str, value: &str| StoreChange::write(&format!("{backend}/{key}"), value);
    store
        .make(vec![set("online", "0"), set("state", CLOSING)])
        .await?;
    wait_for(store, backend, &[CLOSED], &[]).await
}
