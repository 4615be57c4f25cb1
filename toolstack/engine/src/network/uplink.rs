//! Floating IPs where the host meets the outside: its interface has those that lead to a guest, and the rules lead there.

use super::failed;
use crate::error::Error;
use ::network::{Firewall, Floating, Links, NetworkError, Station, announce};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// All that are allocated, and which address of a guest each leads to, if any.
pub(super) type Leads = BTreeMap<IpAddr, Option<IpAddr>>;

pub(super) struct Uplink {
    /// Of the interface.
    name: String,
    links: Arc<Links>,
    firewall: Arc<Mutex<Firewall>>,
    /// What the rules know.
    rules: Leads,
    /// What the interface has.
    placed: BTreeSet<IpAddr>,
}

/// Addresses that are not as they should be, and why.
pub(super) type Failures = Vec<(IpAddr, Error)>;

impl Uplink {
    pub fn new(name: String, links: Arc<Links>, firewall: Arc<Mutex<Firewall>>) -> Self {
        Self {
            name,
            links,
            firewall,
            rules: Leads::new(),
            placed: BTreeSet::new(),
        }
    }

    /// What a daemon before this one left: what is still wanted, where it is wanted, stays. The rules are `wanted` already.
    pub async fn take_over(&mut self, wanted: &Leads) -> Result<(), NetworkError> {
        self.rules.clone_from(wanted);
        let left = self.links.placed().await?;
        if left.is_empty() {
            return Ok(());
        }
        let index = self.links.station(&self.name).await.map(|station| station.index);
        for placed in left {
            if has_guest(wanted, &placed.address) && index.as_ref().is_ok_and(|index| *index == placed.index)
            {
                self.placed.insert(placed.address);
            } else {
                self.links.take_back(placed.address).await?;
            }
        }
        Ok(())
    }

    /// An address is the host's only while it leads to a guest: whoever calls it never meets the host's own services.
    pub async fn follow(&mut self, wanted: &Leads) -> Failures {
        let mut failures = Failures::new();
        let gone: Vec<_> = self
            .placed
            .iter()
            .filter(|address| !has_guest(wanted, address))
            .copied()
            .collect();
        for address in gone {
            match self.links.take_back(address).await {
                Ok(()) => drop(self.placed.remove(&address)),
                Err(error) => failures.push((address, failed(&error))),
            }
        }
        // What leads nowhere, and did not, is of no concern to the rules.
        let concerns = |leads: &Leads| leads.values().any(Option::is_some);
        if self.rules != *wanted
            && (concerns(&self.rules) || concerns(wanted))
            && let Err(error) = self.lead(wanted).await
        {
            failures.extend(wanted.keys().map(|address| (*address, error.clone())));
            return failures;
        }
        let come: Vec<_> = wanted
            .keys()
            .filter(|address| has_guest(wanted, address) && !self.placed.contains(address))
            .copied()
            .collect();
        if come.is_empty() {
            return failures;
        }
        let station = match self.links.station(&self.name).await {
            Ok(station) => station,
            Err(error) => {
                failures.extend(come.iter().map(|address| (*address, failed(&error))));
                return failures;
            }
        };
        let mut announced = Vec::new();
        for address in come {
            match self.links.place(&station, address).await {
                Ok(()) => {
                    self.placed.insert(address);
                    announced.push(address);
                }
                Err(error) => failures.push((address, failed(&error))),
            }
        }
        tell(station, announced).await;
        failures
    }

    async fn lead(&mut self, wanted: &Leads) -> Result<(), Error> {
        let (firewall, floating) = (Arc::clone(&self.firewall), floating(wanted));
        let changed = tokio::task::spawn_blocking(move || {
            let mut firewall = firewall.lock().unwrap_or_else(PoisonError::into_inner);
            firewall.change_floating(floating)
        });
        changed
            .await
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        self.rules.clone_from(wanted);
        Ok(())
    }
}

fn has_guest(wanted: &Leads, address: &IpAddr) -> bool {
    matches!(wanted.get(address), Some(Some(_)))
}

pub(super) fn floating(wanted: &Leads) -> Vec<Floating> {
    let pairs = wanted.iter();
    pairs
        .map(|(outside, guest)| Floating {
            outside: *outside,
            guest: *guest,
        })
        .collect()
}

/// Who has known another station by these addresses finds this one sooner; without it, a little later.
async fn tell(station: Station, addresses: Vec<IpAddr>) {
    let told = tokio::task::spawn_blocking(move || announce(&station, &addresses));
    if let Ok(Err(error)) = told.await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "floating IPs are not announced"
        );
    }
}
