//! What comes by a port of our bridges.

use super::{NO_BRIDGE_NETFILTER, TOPOLOGY, firewall, front, guest, in_namespaces, pings, port, sh};
use network::{Bridge, Links, Mac};
use pnet_datalink::{Channel, DataLinkReceiver, DataLinkSender};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::{Ipv6Addr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

/// In a namespace, on its `eth0`.
fn ethernet(namespace: &str) -> (Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>) {
    let namespace = File::open(format!("/run/netns/{namespace}")).unwrap();
    let opened = std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let interfaces = pnet_datalink::interfaces();
        let eth0 = interfaces.iter().find(|interface| interface.name == "eth0");
        let config = pnet_datalink::Config {
            read_timeout: Some(Duration::from_secs(5)),
            ..Default::default()
        };
        match pnet_datalink::channel(eth0.expect("eth0"), config) {
            Ok(Channel::Ethernet(sender, receiver)) => (sender, receiver),
            _ => panic!("no channel"),
        }
    });
    opened.join().unwrap()
}

#[test]
fn ports_that_are_nobodys_are_mute() {
    in_namespaces("bridges::ports_that_are_nobodys_are_mute", || {
        sh(TOPOLOGY);
        let reached = || {
            for host in ["10.9.0.1", "fd09::1"] {
                sh(&pings("guest", host));
            }
        };
        let mute = || {
            for host in ["10.9.0.1", "fd09::1"] {
                sh(&format!("! {}", pings("guest", host)));
            }
        };
        sh(
            "ip link set hyper0 alias 'hyper network front' && ip link add br-other type bridge
            ip link add of-other type veth peer name far && ip link set of-other master br-other",
        );
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let ports = runtime.block_on(async { Links::open().unwrap().ports().await.unwrap() });
        assert_eq!(ports, ["vif1.0"]);
        // A guest that an earlier daemon left, and could not take over.
        let mut firewall = firewall();
        firewall.set_network(front());
        firewall.mute(ports);
        firewall.write().unwrap();
        mute();
        firewall
            .add_guest(vec![guest()], &[], Default::default())
            .unwrap();
        reached();
        // One that could not be ended, and then could.
        let interfaces = ["vif1.0".to_owned()];
        firewall
            .remove_guest(&interfaces, &[], Default::default())
            .unwrap();
        mute();
        sh("ip link del vif1.0");
        firewall.remove_guest(&[], &[], Default::default()).unwrap();
        sh("! nft list ruleset | grep -q vif1.0");
    });
}

/// Such frames the host takes at the port, not at the bridge.
#[test]
fn frames_to_the_links_own_groups_are_dropped() {
    in_namespaces("bridges::frames_to_the_links_own_groups_are_dropped", || {
        sh(TOPOLOGY);
        sh(
            "for at in all vif1.0; do echo 0 > /proc/sys/net/ipv4/conf/$at/rp_filter; done
            for host in 10.9.0.1 fd09::1; do
                ip -n guest neigh replace $host lladdr 01:80:c2:00:00:0e dev eth0
            done",
        );
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 9999)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let heard = |host: &str| {
            sh(&format!(
                "ip netns exec guest bash -c 'echo hello > /dev/udp/{host}/9999'"
            ));
            socket.recv(&mut [0; 16]).is_ok()
        };
        assert!(heard("10.9.0.1") && heard("fd09::1"), "without rules");
        let mut firewall = firewall();
        firewall.set_network(front());
        firewall.set_guest(vec![guest()], &[]);
        firewall.write().unwrap();
        assert!(!heard("10.9.0.1") && !heard("fd09::1"));
    });
}

const GUEST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// To all nodes, with the option that has routers look at it.
fn icmp6(kind: u8) -> Vec<u8> {
    let source = Mac(GUEST_MAC).link_local().octets();
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets();
    [
        [0x33, 0x33, 0, 0, 0, 1].as_slice(),
        &GUEST_MAC,
        &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 0, 1],
        &source,
        &all_nodes,
        &[58, 0, 5, 2, 0, 0, 1, 0],
        &[kind],
        &[0; 23],
    ]
    .concat()
}

/// To all systems.
fn igmp(kind: u8) -> Vec<u8> {
    [
        [0x01, 0, 0x5e, 0, 0, 1].as_slice(),
        &GUEST_MAC,
        // A header with a checksum over it.
        &[
            0x08, 0x00, 0x45, 0, 0, 28, 0, 0, 0, 0, 1, 2, 0xcf, 0xd4, 10, 9, 0, 2, 224, 0, 0, 1,
        ],
        &[kind],
        &[0; 7],
    ]
    .concat()
}

/// Who asks for listeners decides which multicast the others get.
#[test]
fn guests_do_not_ask_for_listeners() {
    in_namespaces("bridges::guests_do_not_ask_for_listeners", || {
        sh(TOPOLOGY);
        sh(NO_BRIDGE_NETFILTER);
        sh("ip netns add other
            ip link add vif2.0 type veth peer name eth0 address 02:00:00:00:00:02 netns other
            ip link set vif2.0 master hyper0 up && ip -n other link set eth0 up");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let bridge = Bridge {
                name: "hyper0".to_owned(),
                id: "front".to_owned(),
                addresses: vec!["10.9.0.1/24".parse().unwrap(), "fd09::1/64".parse().unwrap()],
                mtu: None,
            };
            Links::open().unwrap().make_bridge(&bridge).await.unwrap();
        });
        sh("ip -d link show dev hyper0 | grep -q 'mcast_snooping 0'");
        let mut firewall = firewall();
        firewall.set_network(front());
        firewall.set_guest(vec![guest(), port(2, &["10.9.0.3", "fd09::3"])], &[]);
        firewall.write().unwrap();
        let (mut sender, _) = ethernet("guest");
        let (_, mut receiver) = ethernet("other");
        let heard = [icmp6(131), igmp(0x16)];
        for frame in [icmp6(130), icmp6(151), icmp6(134), igmp(0x11)]
            .iter()
            .chain(&heard)
        {
            sender.send_to(frame, None).unwrap().unwrap();
        }
        let mut ours = Vec::new();
        while ours.len() < heard.len() {
            let frame = receiver.next().expect("a frame");
            // Beside what the guest's kernel sends by itself.
            if let Some(known) = heard.iter().find(|known| frame.starts_with(known)) {
                ours.push(known.clone());
            }
            for not in [icmp6(130), icmp6(151), icmp6(134), igmp(0x11)] {
                assert!(!frame.starts_with(&not), "{frame:?}");
            }
        }
        assert_eq!(ours, heard);
    });
}
