//! Networks of a host: bridges and their addresses, who may send what, what is published, what names stand for.
//!
//! ```text
//!   links      bridges and host routes, by netlink                     (links.rs)
//!   pools      subnets that collide with nothing, addresses in them    (pools.rs)
//!   uplink     addresses of guests on the host's way out, announced     (uplink.rs, announce.rs, ranges.rs)
//!   watch      when that interface is not what it was                 (watch.rs)
//!   port       published ports: how they are written, and held         (port.rs, held.rs)
//!   firewall   all rules, as one value and as changes of it            (firewall/)
//!   conntrack  conversations that lead elsewhere by now               (conntrack.rs)
//!   dns        names of guests, at the host's address in a network      (dns/)
//!   nft        nf_tables' netlink messages, in transactions            (nft/)
//! ```
//!
//! Knows neither containers nor Xen.
#![forbid(unsafe_code)]

mod announce;
mod conntrack;
pub mod dns;
mod error;
pub mod firewall;
mod forwarding;
mod held;
mod links;
mod mac;
mod nft;
mod pools;
mod port;
mod ranges;
mod uplink;
mod watch;

pub use announce::{Station, announce};
pub use error::NetworkError;
pub use firewall::{
    Allowed, Direction, Firewall, Floating, GuestPort, NetworkRules, Path, PathEnd, Published, Remote,
    Traffic,
};
pub use forwarding::{Family, Forwarding};
pub use held::HeldPort;
pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use links::{Bridge, Links};
pub use mac::Mac;
pub use nft::NftError;
pub use pools::{DEFAULT_POOLS, Pool, free_address, free_subnet, gateway_of, overlap, random_v6, usable};
pub use port::{PortError, PortKey, Protocol};
pub use ranges::AddressRange;
pub use uplink::Placed;
pub use watch::{Change, Changes};
