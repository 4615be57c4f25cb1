//! Floating IPs where the host meets the outside: its interface has those that lead to a guest, and the rules lead there.

use super::failed;
use crate::error::Error;
use ::network::{Change, Changes, Firewall, Floating, Links, NetworkError, Station, announce};
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
    /// As it was when we last looked.
    station: Option<Station>,
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
            station: None,
        }
    }

    /// Of the interface, from now on.
    pub fn changes(&self) -> Result<Changes, NetworkError> {
        Changes::of(&self.name)
    }

    /// What a daemon before this one left: what is still wanted, where it is wanted, stays. The rules are `wanted` already.
    pub async fn take_over(&mut self, wanted: &Leads) -> Result<(), NetworkError> {
        self.rules.clone_from(wanted);
        self.station = self.links.station(&self.name).await.ok();
        self.find(wanted).await
    }

    /// Puts back what was taken from the interface, or is not on the one that has its name now, and announces what was there
    /// when it can be heard again.
    pub async fn look(&mut self, change: Change, wanted: &Leads) -> Failures {
        let station = self.links.station(&self.name).await.ok();
        let before = std::mem::replace(&mut self.station, station.clone());
        if let Err(error) = self.find(wanted).await {
            let error = failed(&error);
            return wanted.keys().map(|address| (*address, error.clone())).collect();
        }
        let kept: Vec<_> = self.placed.iter().copied().collect();
        let failures = self.follow(wanted).await;
        if let Some(station) = station
            && (change.was_down || before.is_none_or(|before| before != station))
        {
            tell(station, kept).await;
        }
        failures
    }

    /// Learns what the interface has of ours, and takes away what is not wanted there.
    async fn find(&mut self, wanted: &Leads) -> Result<(), NetworkError> {
        let index = self.station.as_ref().map(|station| station.index);
        let (kept, stray): (Vec<_>, Vec<_>) = self
            .links
            .placed()
            .await?
            .into_iter()
            .partition(|placed| has_guest(wanted, &placed.address) && index == Some(placed.index));
        self.placed = kept.into_iter().map(|placed| placed.address).collect();
        for placed in stray {
            self.links.take_back(placed.address).await?;
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
        self.station = Some(station.clone());
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
    if !station.is_up || addresses.is_empty() {
        return;
    }
    let told = tokio::task::spawn_blocking(move || announce(&station, &addresses));
    if let Ok(Err(error)) = told.await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "floating IPs are not announced"
        );
    }
}
