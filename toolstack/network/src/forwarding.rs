//! The host as a router: settings of its kernel, as files of /proc/sys/net.

use crate::error::NetworkError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const SETTINGS: &str = "/proc/sys/net";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    Four,
    Six,
}

impl Family {
    const ALL: [Self; 2] = [Self::Four, Self::Six];

    fn setting(self) -> &'static str {
        match self {
            Self::Four => "ipv4/ip_forward",
            Self::Six => "ipv6/conf/all/forwarding",
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Four => "forwarding",
            Self::Six => "forwarding-v6",
        }
    }
}

/// Where settings are, and where it is kept that they were changed.
#[derive(Debug)]
pub struct Forwarding {
    settings: PathBuf,
    /// Has a mark for each family while it was us who made the host forward, with the interfaces that were told to listen to
    /// routers all the same; goes with the settings at a reboot.
    run_dir: PathBuf,
}

impl Forwarding {
    pub fn new(run_dir: &Path) -> Self {
        Self {
            settings: SETTINGS.into(),
            run_dir: run_dir.to_owned(),
        }
    }

    fn read(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(self.settings.join(name)).map(|text| text.trim().to_owned())
    }

    fn write(&self, name: &str, value: &str) -> Result<(), NetworkError> {
        if self.read(name).is_ok_and(|now| now == value) {
            return Ok(());
        }
        write_file(&self.settings.join(name), value)
    }

    fn mark(&self, family: Family) -> PathBuf {
        self.run_dir.join(family.mark())
    }

    /// Whether the host forwards because of us.
    pub fn is_claimed(&self, family: Family) -> bool {
        self.mark(family).exists()
    }

    /// Comes before [`Self::enable`], so that it is not forgotten whose doing it is. `true`: the host would not forward without
    /// us, so that what is not ours is not to be forwarded.
    pub fn claim(&self, family: Family) -> Result<bool, NetworkError> {
        if self.read(family.setting()).is_ok_and(|now| now == "0") && !self.is_claimed(family) {
            write_file(&self.mark(family), "")?;
        }
        Ok(self.is_claimed(family))
    }

    /// Lets the host forward.
    pub fn enable(&self, family: Family) -> Result<(), NetworkError> {
        if self.read(family.setting()).is_ok_and(|now| now != "0") {
            return Ok(());
        }
        if family == Family::Six {
            self.listen_on()?;
        }
        self.write(family.setting(), "1")
    }

    /// Interfaces that listen to routers would stop to do so: they are told to go on.
    fn listen_on(&self) -> Result<(), NetworkError> {
        let entries = fs::read_dir(self.settings.join("ipv6/conf")).into_iter();
        let names = entries
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let listening: Vec<_> = names
            // Guests' ends listen to nobody.
            .filter(|name| !["all", "default"].contains(&name.as_str()) && !name.starts_with("vif"))
            .filter(|name| self.read(&accept_ra(name)).is_ok_and(|now| now == "1"))
            .collect();
        if self.is_claimed(Family::Six) {
            write_file(&self.mark(Family::Six), &listening.join("\n"))?;
        }
        let mut listening = listening.iter();
        listening.try_for_each(|name| self.write(&accept_ra(name), "2"))
    }

    /// The host as it was before us. Goes on after an error and gives all of them.
    pub fn give_back(&self) -> Vec<NetworkError> {
        let mut errors = Vec::new();
        for family in Family::ALL {
            let mark = self.mark(family);
            let Ok(listening) = fs::read_to_string(&mark) else {
                continue;
            };
            errors.extend(self.write(family.setting(), "0").err());
            for name in listening.lines().map(accept_ra) {
                if self.read(&name).is_ok_and(|now| now == "2") {
                    errors.extend(self.write(&name, "1").err());
                }
            }
            let removed = fs::remove_file(&mark);
            errors.extend(removed.err().map(|source| NetworkError::Setting {
                path: mark.display().to_string(),
                source,
            }));
        }
        errors
    }

    /// Settings of a bridge of ours: the host may reach guests from its loopback, and believes no router in there.
    pub fn bridge(&self, name: &str, v6: bool) -> Result<(), NetworkError> {
        self.write(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
        // Kernels without IPv6 have none of these.
        let accept = accept_ra(name);
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

fn accept_ra(interface: &str) -> String {
    format!("ipv6/conf/{interface}/accept_ra")
}

fn write_file(path: &Path, value: &str) -> Result<(), NetworkError> {
    fs::write(path, value).map_err(|source| NetworkError::Setting {
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_who_made_the_host_forward() {
        let folder = std::env::temp_dir().join(format!("forwarding-{}", std::process::id()));
        let path = |name: &str| folder.join(name);
        let read = |name: &str| fs::read_to_string(path(name)).unwrap();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), text).unwrap();
        };
        let forwarding = Forwarding {
            settings: folder.clone(),
            run_dir: folder.clone(),
        };
        // A host that forwards one family.
        write("ipv4/ip_forward", "1\n");
        write("ipv6/conf/all/forwarding", "0\n");
        for (interface, accepts) in [("all", "1"), ("eth0", "1"), ("eth1", "0"), ("vif1.0", "1")] {
            write(&accept_ra(interface), accepts);
        }
        assert!(!forwarding.claim(Family::Four).unwrap());
        assert!(
            !forwarding.is_claimed(Family::Six),
            "before there is a network with it"
        );
        assert!(forwarding.claim(Family::Six).unwrap());
        assert_eq!(read("ipv6/conf/all/forwarding"), "0\n", "before there are rules");
        for family in Family::ALL {
            forwarding.enable(family).unwrap();
        }
        assert!(
            forwarding.claim(Family::Six).unwrap(),
            "the next daemon knows it too"
        );
        let listening = || ["all", "eth0", "eth1", "vif1.0"].map(|interface| read(&accept_ra(interface)));
        assert_eq!(read("ipv6/conf/all/forwarding"), "1");
        assert_eq!(listening(), ["1", "2", "0", "1"]);
        assert!(forwarding.give_back().is_empty());
        assert_eq!(read("ipv6/conf/all/forwarding"), "0");
        assert_eq!(read("ipv4/ip_forward"), "1\n", "that was not us");
        assert_eq!(listening(), ["1", "1", "0", "1"]);
        assert!(!forwarding.is_claimed(Family::Six));
        fs::remove_dir_all(folder).unwrap();
    }
}
