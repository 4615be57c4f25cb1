//! Tells when an interface, or an address of ours, is not what it was.

use crate::error::NetworkError;
use crate::links::name_of;
use crate::uplink::is_ours;
use futures_util::future::FutureExt;
use futures_util::stream::{BoxStream, StreamExt};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::LinkFlags;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Nothing went out by the interface meanwhile.
    pub was_down: bool,
}

/// What the kernel tells from now on.
pub struct Changes {
    /// Of the interface.
    name: String,
    messages: BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Changes {
    /// Of the interface of that name, whichever has it, and of addresses of ours that are taken away. On a tokio runtime.
    pub fn of(name: &str) -> Result<Self, NetworkError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
        ];
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(NetworkError::Open)?;
        Ok(Self {
            name: name.to_owned(),
            messages: messages.map(|(message, _)| message).boxed(),
            connection: tokio::spawn(connection),
        })
    }

    /// Waits for a change; those that are there already are one with it. `None`: nothing is told any more.
    pub async fn next(&mut self) -> Option<Change> {
        let mut change = loop {
            if let Some(change) = change_of(&self.name, &self.messages.next().await?) {
                break change;
            }
        };
        while let Some(Some(message)) = self.messages.next().now_or_never() {
            let more = change_of(&self.name, &message);
            change.was_down |= more.is_some_and(|more| more.was_down);
        }
        Some(change)
    }
}

fn change_of(name: &str, message: &NetlinkMessage<RouteNetlinkMessage>) -> Option<Change> {
    match &message.payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link),
        ) if name_of(link) == Some(name) => Some(Change {
            was_down: !link.header.flags.contains(LinkFlags::LowerUp),
        }),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(address)) if is_ours(address) => {
            Some(Change { was_down: false })
        }
        // There was more than the socket holds.
        NetlinkPayload::Overrun(_) => Some(Change { was_down: true }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_core::NetlinkHeader;
    use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};

    #[test]
    fn only_what_is_of_the_interface_or_ours_is_a_change() {
        let link = |name: &str, flags| {
            let mut link = LinkMessage::default();
            link.header.flags = flags;
            link.attributes.push(LinkAttribute::IfName(name.to_owned()));
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link))
        };
        let was_down = |payload| {
            let message = NetlinkMessage::new(NetlinkHeader::default(), payload);
            change_of("out0", &message).map(|change| change.was_down)
        };
        assert_eq!(
            was_down(link("out0", LinkFlags::Up | LinkFlags::LowerUp)),
            Some(false)
        );
        assert_eq!(was_down(link("out0", LinkFlags::Up)), Some(true));
        assert_eq!(was_down(link("vif1.0", LinkFlags::Up)), None);
        assert_eq!(was_down(NetlinkPayload::Overrun(Vec::new())), Some(true));
        let others = RouteNetlinkMessage::DelAddress(Default::default());
        assert_eq!(was_down(NetlinkPayload::InnerMessage(others)), None);
    }
}
