//! Why the host's network could not be changed.

use crate::nft::NftError;
use std::io;
use std::net::IpAddr;

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("cannot open netlink")]
    Open(#[source] io::Error),
    #[error("cannot {what} {name}")]
    Link {
        what: &'static str,
        name: String,
        #[source]
        source: rtnetlink::Error,
    },
    #[error("cannot list the host's {0}")]
    List(&'static str, #[source] rtnetlink::Error),
    #[error(
        "an interface named {0} exists, and is not of hyperd: rename it, or give the network another bridge name"
    )]
    Foreign(String),
    #[error("cannot set {path}")]
    Setting {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "there is no interface {0} of Ethernet for floating IPs: set `uplink` in the config to one that is there"
    )]
    NoUplink(String),
    #[error(
        "this kernel keeps no marks of addresses, by which hyperd knows its own: floating IPs (here {0}) need Linux 5.18 or later"
    )]
    NoMarks(IpAddr),
    #[error("cannot announce addresses on {interface}")]
    Announce {
        interface: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot change the rules of nf_tables")]
    Rules(#[from] NftError),
}
