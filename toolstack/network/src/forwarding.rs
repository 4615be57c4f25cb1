//! The host as a router: settings of its kernel, as files of /proc/sys/net.

use crate::error::NetworkError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const SETTINGS: &str = "/proc/sys/net";

/// Where settings are, and where it is kept that they were changed.
#[derive(Debug)]
pub struct Forwarding {
    settings: PathBuf,
    /// Is there while it was us who made the host forward; goes with the settings at a reboot.
    mark: PathBuf,
}

impl Forwarding {
    pub fn new(run_dir: &Path) -> Self {
        Self {
            settings: SETTINGS.into(),
            mark: run_dir.join("forwarding"),
        }
    }

    fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(self.settings.join(name)).map(|text| text.trim().to_owned())
    }

    fn write(&self, name: &str, value: &str) -> Result<(), NetworkError> {
        let path = self.settings.join(name);
        if self.read(name).is_ok_and(|now| now == value) {
            return Ok(());
        }
        fs::write(&path, value).map_err(|source| NetworkError::Setting {
            path: path.display().to_string(),
            source,
        })
    }

    /// Lets the host forward. `true`: it would not without us, so that what is not ours is not to be forwarded.
    pub fn enable(&self) -> Result<bool, NetworkError> {
        if self.read("ipv4/ip_forward").is_ok_and(|now| now == "0") {
            // First, so that it is not forgotten whose doing it is.
            fs::write(&self.mark, "").map_err(|source| NetworkError::Setting {
                path: self.mark.display().to_string(),
                source,
            })?;
            self.write("ipv4/ip_forward", "1")?;
        }
        Ok(self.mark.exists())
    }

    /// The same for IPv6. Interfaces that listen to routers would stop to do so: they are told to go on.
    pub fn enable_v6(&self) -> Result<(), NetworkError> {
        if self.read("ipv6/conf/all/forwarding").is_ok_and(|now| now != "0") {
            return Ok(());
        }
        for entry in fs::read_dir(self.settings.join("ipv6/conf"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            // Guests' ends listen to nobody.
            if ["all", "default"].contains(&name.as_str()) || name.starts_with("vif") {
                continue;
            }
            let accept = format!("ipv6/conf/{name}/accept_ra");
            if self.read(&accept).is_ok_and(|now| now == "1") {
                self.write(&accept, "2")?;
            }
        }
        self.write("ipv6/conf/all/forwarding", "1")
    }

    /// Settings of a bridge of ours: the host may reach guests from its loopback, and believes no router in there.
    pub fn bridge(&self, name: &str, v6: bool) -> Result<(), NetworkError> {
        self.write(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
        // Kernels without IPv6 have none of these.
        let accept = format!("ipv6/conf/{name}/accept_ra");
        if self.settings.join(&accept).exists() {
            self.write(&accept, "0")?;
            self.write(
                &format!("ipv6/conf/{name}/disable_ipv6"),
                if v6 { "0" } else { "1" },
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_who_made_the_host_forward() {
        let folder = std::env::temp_dir().join(format!("forwarding-{}", std::process::id()));
        fs::create_dir_all(folder.join("ipv4")).unwrap();
        let forwarding = Forwarding {
            settings: folder.clone(),
            mark: folder.join("mark"),
        };
        fs::write(folder.join("ipv4/ip_forward"), "1\n").unwrap();
        assert!(!forwarding.enable().unwrap());
        fs::write(folder.join("ipv4/ip_forward"), "0\n").unwrap();
        assert!(forwarding.enable().unwrap());
        assert_eq!(fs::read_to_string(folder.join("ipv4/ip_forward")).unwrap(), "1");
        assert!(forwarding.enable().unwrap(), "the next daemon knows it too");
        fs::remove_dir_all(folder).unwrap();
    }
}
