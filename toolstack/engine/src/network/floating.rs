//! Floating IPs: addresses of the outside that are allocated from the config's pools, and associated with containers, one
//! with each. Records say which; while a container's guest runs, its address is on the uplink (`uplink.rs`).

use super::spec::Endpoint;
use super::uplink::{Failures, Leads, Uplink};
use super::{Attached, Inner, Networks, attach, failed};
use crate::error::Error;
use crate::names;
use crate::records::Records;
use crate::state::Container;
use ::network::Changes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;
use tokio_util::task::AbortOnDropHandle;

/// Of one request.
const MAX_ALLOCATED: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloatingIp {
    pub address: IpAddr,
    #[serde(default)]
    pub name: String,
    /// Id of the one that has it.
    #[serde(default)]
    pub container: Option<String>,
    pub allocated_at: DateTime<Utc>,
}

impl Attached {
    /// Where a floating IP leads: its first network that is open, as for ports.
    fn inside(&self, outside: IpAddr) -> Option<IpAddr> {
        let mut open = self.endpoints.iter().filter(|endpoint| !endpoint.internal);
        let of_family = |endpoint: &Endpoint| match outside {
            IpAddr::V4(_) => endpoint.v4(),
            IpAddr::V6(_) => endpoint.v6(),
        };
        open.find_map(of_family).map(|net| net.addr())
    }
}

impl Inner {
    /// What leads where now: to guests that are let speak.
    pub(super) fn leads(&self) -> Leads {
        let lead = |floating: &FloatingIp| {
            let guest = self.guests.get(floating.container.as_ref()?)?;
            let inside = guest.inside(floating.address)?;
            (!guest.interfaces.is_empty()).then_some(inside)
        };
        let all = self.floating.values();
        all.map(|floating| (floating.address, lead(floating))).collect()
    }

    /// By address or name.
    fn find_floating(&self, text: &str) -> Result<&FloatingIp, Error> {
        let found = match text.parse::<IpAddr>() {
            Ok(address) => self.floating.get(&address),
            Err(_) if text.is_empty() => None,
            Err(_) => self.floating.values().find(|floating| floating.name == text),
        };
        found.ok_or_else(|| Error::not_found(format!("No such floating IP: {text}")))
    }

    fn floating_of(&self, container: &str) -> Option<&FloatingIp> {
        let mut all = self.floating.values();
        all.find(|floating| floating.container.as_deref() == Some(container))
    }

    /// Whether an address of the outside could lead to a container.
    fn has_way_in(&self, container: &Container, outside: IpAddr) -> bool {
        let wanted = attach::wanted(&container.config);
        let mut networks = wanted
            .iter()
            .filter_map(|(name, config)| self.network_of(name, config).ok());
        networks.any(|network| !network.internal && (outside.is_ipv4() || network.has_v6()))
    }
}

fn tell(failures: &Failures) {
    for (address, error) in failures {
        tracing::error!(%address, %error, "a floating IP is not where it should be");
    }
}

/// Has the uplink as it is to be, whatever becomes of it. What fails the same way again is told once.
async fn keep(uplink: Arc<tokio::sync::Mutex<Uplink>>, inner: Arc<Mutex<Inner>>, mut changes: Changes) {
    let mut told = Vec::new();
    while let Some(change) = changes.next().await {
        let mut uplink = uplink.lock().await;
        let leads = inner.lock().unwrap_or_else(PoisonError::into_inner).leads();
        let failures = uplink.look(change, &leads).await;
        let texts: Vec<_> = failures
            .iter()
            .map(|(address, error)| (*address, error.to_string()))
            .collect();
        if texts != told {
            tell(&failures);
            told = texts;
        }
    }
    tracing::error!("the kernel tells no more of the uplink: floating IPs that it loses stay lost");
}

impl Networks {
    fn keep_uplink(&self, uplink: &Uplink) {
        match uplink.changes() {
            Ok(changes) => {
                let (uplink, inner) = (Arc::clone(&self.uplink), Arc::clone(&self.inner));
                let keeping = tokio::spawn(keep(uplink, inner, changes));
                *self.keeping.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(AbortOnDropHandle::new(keeping));
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "floating IPs that the uplink loses stay lost"
            ),
        }
    }

    /// By address.
    pub fn floating_ips(&self) -> Vec<FloatingIp> {
        self.inner().floating.values().cloned().collect()
    }

    /// By address or name.
    pub fn find_floating(&self, text: &str) -> Result<FloatingIp, Error> {
        self.inner().find_floating(text).cloned()
    }

    /// One change at a time.
    async fn uplink(&self) -> OwnedMutexGuard<Uplink> {
        Arc::clone(&self.uplink).lock_owned().await
    }

    /// Makes the host follow when a guest has come, gone or moved, to the end even when nobody waits for it any more. What
    /// fails is told, and is an error where it is about the container's own.
    pub(super) async fn float(&self, container: &str) -> Result<(), Error> {
        let mut uplink = self.uplink().await;
        let (leads, own) = {
            let inner = self.inner();
            let own = inner.floating_of(container).map(|floating| floating.address);
            (inner.leads(), own)
        };
        let followed = tokio::spawn(async move { uplink.follow(&leads).await });
        let failures = followed.await.map_err(|error| failed(&error))?;
        tell(&failures);
        let of_own = failures.into_iter().find(|(address, _)| Some(*address) == own);
        of_own.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// What a daemon before this one left on the uplink is taken over; containers that are gone have no address any more.
    pub(super) async fn restore_floating(&self, records: &Records, containers: &BTreeSet<String>) {
        let mut uplink = self.uplink().await;
        let dangling: Vec<_> = self
            .floating_ips()
            .into_iter()
            .filter(|floating| {
                floating
                    .container
                    .as_ref()
                    .is_some_and(|id| !containers.contains(id))
            })
            .map(|floating| FloatingIp {
                container: None,
                ..floating
            })
            .collect();
        if let Err(error) = self.put_floating(records, &dangling) {
            tracing::error!(%error, "floating IPs of containers that are gone");
        }
        // Where there are none and cannot be any, nobody hears of each interface that a guest gets.
        if !(self.config.floating_ips.is_empty() && self.inner().floating.is_empty()) {
            self.keep_uplink(&uplink);
        }
        let leads = self.inner().leads();
        if let Err(error) = uplink.take_over(&leads).await {
            tracing::error!(error = &error as &dyn std::error::Error, "floating IPs of before");
        }
        tell(&uplink.follow(&leads).await);
    }

    pub async fn allocate(&self, records: &Records, count: usize) -> Result<Vec<IpAddr>, Error> {
        if !(1..=MAX_ALLOCATED).contains(&count) {
            return Err(Error::invalid(format!(
                "invalid number of floating IPs: {count} (it is 1 to {MAX_ALLOCATED})"
            )));
        }
        let pools = &self.config.floating_ips;
        if pools.is_empty() {
            return Err(Error::conflict(
                "there are no floating IPs: set `floating-ips` and `uplink` in the config",
            ));
        }
        let _uplink = self.uplink().await;
        let own = self.links.own_addresses().await.map_err(|error| failed(&error))?;
        let free: Vec<IpAddr> = {
            let inner = self.inner();
            let all = pools.iter().flat_map(|pool| pool.addresses());
            let free = all.filter(|address| !inner.floating.contains_key(address) && !own.contains(address));
            free.take(count).collect()
        };
        if free.len() < count {
            return Err(Error::conflict(format!(
                "{count} floating IPs are not free: {} of the config's pools are",
                free.len()
            )));
        }
        let new = |address: &IpAddr| FloatingIp {
            address: *address,
            name: String::new(),
            container: None,
            allocated_at: Utc::now(),
        };
        self.put_floating(records, &free.iter().map(new).collect::<Vec<_>>())?;
        Ok(free)
    }

    /// Records first.
    fn put_floating(&self, records: &Records, changed: &[FloatingIp]) -> Result<(), Error> {
        records.put_floating(changed)?;
        let changed = changed
            .iter()
            .map(|floating| (floating.address, floating.clone()));
        self.inner().floating.extend(changed);
        Ok(())
    }

    /// Records one, and makes the host follow.
    async fn change_floating(
        &self,
        uplink: &mut Uplink,
        records: &Records,
        changed: FloatingIp,
    ) -> Result<Failures, Error> {
        self.put_floating(records, &[changed])?;
        let leads = self.inner().leads();
        Ok(uplink.follow(&leads).await)
    }

    pub async fn release(&self, records: &Records, text: &str) -> Result<IpAddr, Error> {
        let _uplink = self.uplink().await;
        let floating = self.find_floating(text)?;
        if let Some(container) = &floating.container {
            return Err(Error::conflict(format!(
                "floating IP {text} is in use by container {}: disassociate it first",
                names::short(container)
            )));
        }
        records.remove_floating(floating.address)?;
        self.inner().floating.remove(&floating.address);
        Ok(floating.address)
    }

    /// An empty name takes the one it has.
    pub async fn name_floating(&self, records: &Records, text: &str, name: &str) -> Result<IpAddr, Error> {
        let _uplink = self.uplink().await;
        let mut floating = self.find_floating(text)?;
        if !name.is_empty() {
            if names::check(name).is_err() || name.parse::<IpAddr>().is_ok() {
                return Err(Error::invalid(format!("invalid name of a floating IP: {name:?}")));
            }
            let other = self.find_floating(name).ok();
            if let Some(other) = other.filter(|other| other.address != floating.address) {
                return Err(Error::conflict(format!(
                    "the name {name} is in use by floating IP {}",
                    other.address
                )));
            }
        }
        name.clone_into(&mut floating.name);
        let address = floating.address;
        self.put_floating(records, &[floating])?;
        Ok(address)
    }

    /// `force` takes it from the one that has it. Gives what it was before.
    pub async fn associate(
        &self,
        records: &Records,
        text: &str,
        container: &Container,
        force: bool,
    ) -> Result<FloatingIp, Error> {
        let mut uplink = self.uplink().await;
        let before = {
            let inner = self.inner();
            let floating = inner.find_floating(text)?;
            if let Some(other) = inner.floating_of(&container.id) {
                return Err(Error::conflict(format!(
                    "container {} has the floating IP {} already",
                    container.name, other.address
                )));
            }
            if let Some(holder) = floating.container.as_ref().filter(|_| !force) {
                return Err(Error::conflict(format!(
                    "floating IP {text} is in use by container {}: -f takes it from there",
                    names::short(holder)
                )));
            }
            if !inner.has_way_in(container, floating.address) {
                return Err(Error::conflict(format!(
                    "container {} is on no network with IPv{} that leads outside",
                    container.name,
                    if floating.address.is_ipv4() { 4 } else { 6 }
                )));
            }
            floating.clone()
        };
        let after = FloatingIp {
            container: Some(container.id.clone()),
            ..before.clone()
        };
        let failures = self.change_floating(&mut uplink, records, after).await?;
        let of_own = failures
            .into_iter()
            .find(|(address, _)| *address == before.address);
        if let Some((_, error)) = of_own {
            tell(&self.change_floating(&mut uplink, records, before).await?);
            return Err(error);
        }
        Ok(before)
    }

    /// Gives what it was before.
    pub async fn disassociate(&self, records: &Records, text: &str) -> Result<FloatingIp, Error> {
        let mut uplink = self.uplink().await;
        let floating = self.find_floating(text)?;
        if floating.container.is_none() {
            return Err(Error::conflict(format!(
                "floating IP {text} is associated with no container"
            )));
        }
        self.let_go(&mut uplink, records, floating).await
    }

    /// The same of the one that a container has; `None` when it has none.
    pub async fn disassociate_from(
        &self,
        records: &Records,
        container: &str,
    ) -> Result<Option<FloatingIp>, Error> {
        let mut uplink = self.uplink().await;
        let floating = self.inner().floating_of(container).cloned();
        match floating {
            Some(floating) => self.let_go(&mut uplink, records, floating).await.map(Some),
            None => Ok(None),
        }
    }

    async fn let_go(
        &self,
        uplink: &mut Uplink,
        records: &Records,
        before: FloatingIp,
    ) -> Result<FloatingIp, Error> {
        let after = FloatingIp {
            container: None,
            ..before.clone()
        };
        tell(&self.change_floating(uplink, records, after).await?);
        Ok(before)
    }
}

#[cfg(test)]
#[path = "floating_tests.rs"]
mod tests;
