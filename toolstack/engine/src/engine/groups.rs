//! Security groups of containers.

use super::Engine;
use crate::error::Error;
use crate::network::{GroupRules, SecurityGroup};
use std::collections::BTreeMap;

impl Engine {
    /// By name.
    pub fn groups(&self) -> Vec<SecurityGroup> {
        self.cx.networks.groups()
    }

    pub fn group(&self, name: &str) -> Result<SecurityGroup, Error> {
        self.cx.networks.group(name)
    }

    /// Names of the containers in it.
    pub fn in_group(&self, name: &str) -> Vec<String> {
        let containers = self.cx.containers();
        let all = containers.values().map(|shared| shared.record());
        all.filter(|record| {
            record
                .config
                .host
                .security_groups
                .iter()
                .any(|group| group == name)
        })
        .map(|record| record.name)
        .collect()
    }

    fn tell_group(&self, action: &str, name: &str) {
        let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        self.tell("sg", action, name, attributes);
    }

    pub async fn create_group(
        &self,
        name: &str,
        description: String,
        rules: GroupRules,
    ) -> Result<(), Error> {
        let networks = &self.cx.networks;
        networks
            .create_group(&self.cx.records, name, description, rules)
            .await?;
        self.tell_group("create", name);
        Ok(())
    }

    /// The description stays when there is none.
    pub async fn update_group(
        &self,
        name: &str,
        description: Option<String>,
        rules: GroupRules,
    ) -> Result<(), Error> {
        let networks = &self.cx.networks;
        networks
            .update_group(&self.cx.records, name, description, rules)
            .await?;
        self.tell_group("update", name);
        Ok(())
    }

    /// Puts a container into groups and takes it out of others; from now on, if it runs.
    pub async fn regroup(&self, text: &str, add: &[String], remove: &[String]) -> Result<(), Error> {
        let shared = self.shared(text)?;
        let is_in = |group: &String| shared.with(|record| record.config.host.security_groups.contains(group));
        if let Some(group) = remove.iter().find(|group| !is_in(group)) {
            return Err(Error::conflict(format!(
                "container {text} is not in security group {group}"
            )));
        }
        let record = || {
            shared.update(&self.cx, |record| {
                let groups = &mut record.config.host.security_groups;
                groups.retain(|group| !remove.contains(group));
                for group in add {
                    if !groups.contains(group) {
                        groups.push(group.clone());
                    }
                }
            })?;
            Ok(shared.with(|record| record.config.host.security_groups.clone()))
        };
        self.cx.networks.regroup(&shared.id, add, record).await?;
        shared.tell(&self.cx, "update", &[]);
        Ok(())
    }

    pub async fn remove_group(&self, name: &str) -> Result<(), Error> {
        let networks = &self.cx.networks;
        let used = || !self.in_group(name).is_empty();
        networks.remove_group(&self.cx.records, name, used).await?;
        self.tell_group("destroy", name);
        Ok(())
    }
}
