//! Names of a network's guests, answered at the host's address in it; what is nobody's there is asked of others.
//!
//! Whoever asks may be hostile: a query is parsed whole before it is answered or passed on, each asker has a share of
//! queries in a second and of those on their way, and who is no guest of the network gets no answer.

pub(crate) mod answer;
pub(crate) mod forward;
mod limit;
mod server;

#[cfg(test)]
mod fuzz_tests;

pub use server::Server;

use std::net::IpAddr;

/// What one who asks may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asker {
    /// Names of elsewhere too.
    pub forward: bool,
    /// Who is asked about them; the host's servers when empty.
    pub servers: Vec<IpAddr>,
}

/// Who is who in networks, as others know it.
pub trait Names: Send + Sync + 'static {
    /// The guest of this network that has the address.
    fn asker(&self, network: &str, address: IpAddr) -> Option<Asker>;
    /// Addresses that a name, in lower case, has for one who asks; `None` when it is no guest's.
    fn addresses(&self, network: &str, asker: IpAddr, name: &str) -> Option<Vec<IpAddr>>;
    /// The name of a guest.
    fn name(&self, network: &str, asker: IpAddr, address: IpAddr) -> Option<String>;
}
