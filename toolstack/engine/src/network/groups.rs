//! Security groups: what guests that are in them may send and receive. What no rule allows is dropped.

use super::{Inner, Networks, guest_ports, paths};
use crate::error::Error;
use crate::names;
use crate::records::Records;
use ::network::{Allowed, Direction, IpNet, Remote, Traffic};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Each is a rule of the host, or several, that packets are held against.
const MAX_RULES: usize = 128;
const MAX_NAME: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub created_at: DateTime<Utc>,
    pub rules: GroupRules,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupRules {
    /// To the guest. Without any, nothing.
    pub ingress: Vec<GroupRule>,
    /// From the guest; everything when absent.
    pub egress: Option<Vec<GroupRule>>,
}

/// What is absent may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupRule {
    pub protocol: Option<GroupProtocol>,
    /// From the first to the last of each; of tcp and udp only.
    pub ports: Vec<(u16, u16)>,
    pub remote_ip: Option<IpNet>,
    pub remote_group: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupProtocol {
    Tcp,
    Udp,
    Icmp,
}

impl GroupRule {
    fn check(&self) -> Result<(), Error> {
        let with_ports = matches!(self.protocol, Some(GroupProtocol::Tcp | GroupProtocol::Udp));
        if !self.ports.is_empty() && !with_ports {
            return Err(Error::invalid("invalid rule: only tcp and udp have ports"));
        }
        if let Some((first, last)) = self.ports.iter().find(|(first, last)| first > last) {
            return Err(Error::invalid(format!(
                "invalid rule: ports {first}-{last} are none"
            )));
        }
        match self.remote_ip.is_some() && self.remote_group.is_some() {
            true => Err(Error::invalid(
                "invalid rule: it names a remote IP and a remote group",
            )),
            false => Ok(()),
        }
    }

    fn allowed(&self, direction: Direction) -> Vec<Allowed> {
        let remote = match (&self.remote_ip, &self.remote_group) {
            (Some(net), _) => Remote::Net(*net),
            (None, Some(group)) => Remote::Group(group.clone()),
            (None, None) => Remote::Anyone,
        };
        let all = [(0, u16::MAX)];
        let ports = if self.ports.is_empty() {
            &all
        } else {
            self.ports.as_slice()
        };
        let traffic: Vec<Traffic> = match self.protocol {
            None => vec![Traffic::All],
            Some(GroupProtocol::Icmp) => vec![Traffic::Icmp],
            Some(GroupProtocol::Tcp) => ports
                .iter()
                .map(|(first, last)| Traffic::Tcp(*first, *last))
                .collect(),
            Some(GroupProtocol::Udp) => ports
                .iter()
                .map(|(first, last)| Traffic::Udp(*first, *last))
                .collect(),
        };
        let allow = |traffic| Allowed {
            direction,
            traffic,
            remote: remote.clone(),
        };
        traffic.into_iter().map(allow).collect()
    }
}

impl GroupRules {
    fn all(&self) -> impl Iterator<Item = &GroupRule> {
        self.ingress.iter().chain(self.egress.iter().flatten())
    }

    fn names(&self, group: &str) -> bool {
        self.all().any(|rule| rule.remote_group.as_deref() == Some(group))
    }

    pub(super) fn allowed(&self) -> Vec<Allowed> {
        let anything = [GroupRule::default()];
        let egress = self.egress.as_deref().unwrap_or(&anything);
        let into = self
            .ingress
            .iter()
            .flat_map(|rule| rule.allowed(Direction::Ingress));
        into.chain(egress.iter().flat_map(|rule| rule.allowed(Direction::Egress)))
            .collect()
    }
}

impl Inner {
    pub(super) fn group(&self, name: &str) -> Result<&SecurityGroup, Error> {
        let found = self.groups.get(name);
        found.ok_or_else(|| Error::not_found(format!("No such security group: {name}")))
    }
}

impl Networks {
    /// By name.
    pub fn groups(&self) -> Vec<SecurityGroup> {
        self.inner().groups.values().cloned().collect()
    }

    pub fn group(&self, name: &str) -> Result<SecurityGroup, Error> {
        self.inner().group(name).cloned()
    }

    /// Whether all of these are there.
    pub fn check_groups(&self, names: &[String]) -> Result<(), Error> {
        names.iter().try_for_each(|name| self.group(name).map(drop))
    }

    /// Rules may name the group that they are of.
    fn check_rules(&self, name: &str, rules: &GroupRules) -> Result<(), Error> {
        let count: usize = rules.all().map(|rule| rule.ports.len().max(1)).sum();
        if count > MAX_RULES {
            return Err(Error::invalid(format!(
                "{count} rules and ranges of ports are too many: at most {MAX_RULES}"
            )));
        }
        for rule in rules.all() {
            rule.check()?;
            if let Some(group) = rule.remote_group.as_deref().filter(|group| *group != name) {
                self.group(group)?;
            }
        }
        Ok(())
    }

    pub async fn create_group(
        &self,
        records: &Records,
        name: &str,
        description: String,
        rules: GroupRules,
    ) -> Result<(), Error> {
        if names::check(name).is_err() || name.len() > MAX_NAME || name.starts_with('/') {
            return Err(Error::invalid(format!(
                "invalid name of a security group: {name:?}"
            )));
        }
        let _changing = self.changing.lock().await;
        if self.group(name).is_ok() {
            return Err(Error::conflict(format!("security group {name} exists already")));
        }
        self.check_rules(name, &rules)?;
        let group = SecurityGroup {
            name: name.to_owned(),
            description,
            created_at: Utc::now(),
            rules,
        };
        self.put_group(records, group).await
    }

    /// Holds at once, for connections that exist too.
    pub async fn update_group(
        &self,
        records: &Records,
        name: &str,
        description: Option<String>,
        rules: GroupRules,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let mut group = self.group(name)?;
        self.check_rules(name, &rules)?;
        group.description = description.unwrap_or(group.description);
        group.rules = rules;
        self.put_group(records, group).await
    }

    /// The record says so first, and as before when it fails.
    async fn put_group(&self, records: &Records, group: SecurityGroup) -> Result<(), Error> {
        let (name, allowed) = (group.name.clone(), group.rules.allowed());
        records.put_group(&group)?;
        let before = self.inner().groups.insert(name.clone(), group);
        let of_rules = name.clone();
        let changed = self
            .rules(move |firewall| firewall.change_group(of_rules, allowed))
            .await;
        if changed.is_err()
            && let Err(error) = self.undo_group(records, name, before).await
        {
            tracing::error!(%error, "undoing a change of a security group");
        }
        changed
    }

    async fn undo_group(
        &self,
        records: &Records,
        name: String,
        before: Option<SecurityGroup>,
    ) -> Result<(), Error> {
        match before {
            Some(before) => {
                let allowed = before.rules.allowed();
                records.put_group(&before)?;
                self.inner().groups.insert(name.clone(), before);
                self.rules(move |firewall| firewall.change_group(name, allowed))
                    .await
            }
            None => self.forget_group(records, name).await,
        }
    }

    async fn forget_group(&self, records: &Records, name: String) -> Result<(), Error> {
        records.remove_group(&name)?;
        self.inner().groups.remove(&name);
        self.rules(move |firewall| firewall.remove_group(&name)).await
    }

    /// Puts a container into groups, which must be there when `record` says so. It gives those that it is in then.
    pub async fn regroup(
        &self,
        container: &str,
        add: &[String],
        record: impl FnOnce() -> Result<Vec<String>, Error>,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        self.check_groups(add)?;
        let groups = record()?;
        let ports = {
            let mut inner = self.inner();
            let Some(guest) = inner.guests.get_mut(container) else {
                return Ok(());
            };
            guest.groups = groups;
            guest_ports(guest)
        };
        let inner = Arc::clone(&self.inner);
        self.rules(move |firewall| firewall.add_guest(ports, &[], paths(&inner)))
            .await
    }

    /// `used`: a container is in it, whether it runs or not.
    pub async fn remove_group(
        &self,
        records: &Records,
        name: &str,
        used: impl FnOnce() -> bool,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        self.group(name)?;
        let named = self
            .groups()
            .into_iter()
            .find(|other| other.name != name && other.rules.names(name));
        if let Some(other) = named {
            return Err(Error::conflict(format!(
                "security group {name} is in use by rules of group {}",
                other.name
            )));
        }
        if used() {
            return Err(Error::conflict(format!(
                "security group {name} is in use by a container"
            )));
        }
        self.forget_group(records, name.to_owned()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: Option<GroupProtocol>, ports: &[(u16, u16)]) -> GroupRule {
        GroupRule {
            protocol,
            ports: ports.to_vec(),
            ..GroupRule::default()
        }
    }

    #[test]
    fn what_says_nothing_of_the_way_out_leaves_it_open() {
        let mut rules = GroupRules {
            ingress: vec![rule(Some(GroupProtocol::Tcp), &[(80, 80), (443, 443)])],
            egress: None,
        };
        let count = |rules: &GroupRules, direction| {
            let allowed = rules.allowed();
            allowed
                .iter()
                .filter(|allowed| allowed.direction == direction)
                .count()
        };
        assert_eq!(
            (
                count(&rules, Direction::Ingress),
                count(&rules, Direction::Egress)
            ),
            (2, 1)
        );
        rules.egress = Some(Vec::new());
        assert_eq!(count(&rules, Direction::Egress), 0);
    }

    #[test]
    fn contradictions_are_refused() {
        let both = GroupRule {
            remote_ip: Some("10.0.0.0/8".parse().unwrap()),
            remote_group: Some("web".to_owned()),
            ..GroupRule::default()
        };
        for bad in [
            rule(None, &[(80, 80)]),
            rule(Some(GroupProtocol::Icmp), &[(80, 80)]),
            rule(Some(GroupProtocol::Tcp), &[(81, 80)]),
            both,
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        assert!(rule(Some(GroupProtocol::Udp), &[(53, 53)]).check().is_ok());
    }
}
