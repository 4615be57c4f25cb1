use super::*;
use crate::error::ErrorKind;
use crate::network::{Network, NetworkConfig};
use crate::spec::Config;
use crate::state::State;
use ::network::{Firewall, Forwarding, Links};
use std::path::Path;
use std::sync::Mutex;

/// No guest of it runs, so that nothing of the host changes.
fn networks(folder: &Path, records: &Records) -> Networks {
    let config = NetworkConfig {
        run_dir: folder.to_owned(),
        pools: Vec::new(),
        default_ipv6: false,
        uplink: "none".to_owned(),
        floating_ips: vec!["203.0.113.0/27".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        host_services: Vec::new(),
    };
    let links = Arc::new(Links::open().unwrap());
    let firewall = Arc::new(Mutex::new(Firewall::default()));
    let uplink = Uplink::new(config.uplink.clone(), Arc::clone(&links), Arc::clone(&firewall));
    let floating = records.floating().unwrap().into_iter();
    let front = Network {
        id: "front".to_owned(),
        name: "front".to_owned(),
        created_at: Utc::now(),
        bridge: "hyper-front".to_owned(),
        subnets: Vec::new(),
        internal: false,
        attachable: false,
        labels: Default::default(),
        options: Default::default(),
    };
    let inner = Inner {
        networks: [(front.id.clone(), front)].into(),
        floating: floating.map(|floating| (floating.address, floating)).collect(),
        ..Inner::default()
    };
    Networks {
        servers: Mutex::default(),
        inner: Arc::new(Mutex::new(inner)),
        links,
        uplink: Arc::new(tokio::sync::Mutex::new(uplink)),
        forwarding: Forwarding::new(folder),
        keeping: Mutex::default(),
        firewall,
        config,
        changing: Arc::default(),
    }
}

fn container(id: &str, network: &str) -> Container {
    let mut config = Config::default();
    config.host.network_mode = network.to_owned();
    config.networks.insert(network.to_owned(), Default::default());
    Container {
        id: id.to_owned(),
        name: id.to_owned(),
        created_at: Utc::now(),
        image_id: String::new(),
        config,
        state: State::default(),
    }
}

fn open() -> (tempfile::TempDir, Records) {
    let folder = tempfile::tempdir().unwrap();
    let records = Records::open(&folder.path().join("hyper.db")).unwrap();
    (folder, records)
}

#[tokio::test]
async fn every_misuse_has_its_own_error() {
    let (folder, records) = open();
    let networks = networks(folder.path(), &records);
    let (web, db) = (container("web", "front"), container("db", "front"));
    let addresses = networks.allocate(&records, 31).await.unwrap();
    let (a, b, six) = (
        addresses[0].to_string(),
        addresses[1].to_string(),
        addresses[30].to_string(),
    );
    assert_eq!((a.as_str(), six.as_str()), ("203.0.113.1", "2001:db8::1"));
    networks.associate(&records, &a, &web, false).await.unwrap();
    networks.name_floating(&records, &b, "entry").await.unwrap();
    let associate = async |fip: &str, container: &Container, force: bool| {
        let result = networks.associate(&records, fip, container, force).await;
        result.unwrap_err().to_string()
    };
    for (message, expected) in [
        (
            networks.allocate(&records, 1).await.unwrap_err().to_string(),
            "1 floating IPs are not free: 0 of the config's pools are",
        ),
        (
            networks.allocate(&records, 0).await.unwrap_err().to_string(),
            "invalid number of floating IPs: 0 (it is 1 to 256)",
        ),
        (
            associate("203.0.113.99", &web, true).await,
            "No such floating IP: 203.0.113.99",
        ),
        (
            associate("nothing", &web, true).await,
            "No such floating IP: nothing",
        ),
        (
            associate(&a, &db, false).await,
            "floating IP 203.0.113.1 is in use by container web: -f takes it from there",
        ),
        (
            associate("entry", &web, true).await,
            "container web has the floating IP 203.0.113.1 already",
        ),
        (
            associate(&six, &db, false).await,
            "container db is on no network with IPv6 that leads outside",
        ),
        (
            associate(&b, &container("alone", "none"), false).await,
            "container alone is on no network with IPv4 that leads outside",
        ),
        (
            networks.disassociate(&records, &b).await.unwrap_err().to_string(),
            "floating IP 203.0.113.2 is associated with no container",
        ),
        (
            networks.release(&records, &a).await.unwrap_err().to_string(),
            "floating IP 203.0.113.1 is in use by container web: disassociate it first",
        ),
        (
            networks
                .name_floating(&records, &a, "entry")
                .await
                .unwrap_err()
                .to_string(),
            "the name entry is in use by floating IP 203.0.113.2",
        ),
        (
            networks
                .name_floating(&records, &a, "1.2.3.4")
                .await
                .unwrap_err()
                .to_string(),
            "invalid name of a floating IP: \"1.2.3.4\"",
        ),
    ] {
        assert_eq!(message, expected);
    }
    assert!(
        networks
            .disassociate_from(&records, "db")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn records_tell_the_next_daemon() {
    let (folder, records) = open();
    let before = networks(folder.path(), &records);
    before.allocate(&records, 3).await.unwrap();
    before
        .associate(&records, "203.0.113.1", &container("web", "front"), false)
        .await
        .unwrap();
    before
        .associate(&records, "203.0.113.2", &container("gone", "front"), false)
        .await
        .unwrap();
    before.release(&records, "203.0.113.3").await.unwrap();
    let after = networks(folder.path(), &records);
    after.restore_floating(&records, &["web".to_owned()].into()).await;
    let holders: Vec<_> = after
        .floating_ips()
        .into_iter()
        .map(|floating| floating.container)
        .collect();
    assert_eq!(holders, [Some("web".to_owned()), None]);
    let taken = after
        .associate(&records, "203.0.113.1", &container("db", "front"), true)
        .await
        .unwrap();
    assert_eq!(taken.container.as_deref(), Some("web"));
    assert_eq!(records.floating().unwrap(), after.floating_ips());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_lose_and_double_nothing() {
    let (folder, records) = open();
    let networks = Arc::new(networks(folder.path(), &records));
    let records = Arc::new(records);
    networks.allocate(&records, 5).await.unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let (networks, records) = (Arc::clone(&networks), Arc::clone(&records));
            tokio::spawn(async move {
                let web = container(&format!("web{}", number % 7), "front");
                let address = format!("203.0.113.{}", number % 5 + 1);
                for _ in 0..10 {
                    let associated = networks
                        .associate(&records, &address, &web, number % 2 == 0)
                        .await;
                    if let Err(error) = associated {
                        assert_eq!(error.kind(), ErrorKind::Conflict);
                    }
                    networks.disassociate_from(&records, &web.id).await.unwrap();
                }
                networks.associate(&records, &address, &web, false).await.is_ok()
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap());
    }
    let all = networks.floating_ips();
    let mut holders: Vec<_> = all
        .iter()
        .filter_map(|floating| floating.container.clone())
        .collect();
    assert!(holders.len() <= won && all.len() == 5);
    let count = holders.len();
    holders.sort();
    holders.dedup();
    assert_eq!(holders.len(), count, "one for each container");
    assert_eq!(records.floating().unwrap(), all);
}
