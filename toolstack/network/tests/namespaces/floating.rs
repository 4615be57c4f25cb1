//! Floating IPs, and who goes on to where one led before.

use super::{TOPOLOGY, firewall, front, guest, in_namespaces, pings, port, sh, socket_in};
use network::{Changes, Firewall, Floating, Links, Protocol, Published, announce};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A connection that exists, in each direction, stops while its address leads nowhere.
fn ends_with_its_lead(firewall: &mut Firewall, floating: [Floating; 2]) {
    let leads = |guest: bool| {
        let lead = |floating: Floating| Floating {
            guest: floating.guest.filter(|_| guest),
            ..floating
        };
        floating.map(lead).to_vec()
    };
    // One after the other: what the guest begins while nothing leads goes out by the host's address, and stays so.
    for (from, to) in [("outside", "192.0.2.40"), ("guest", "2001:db8::2")] {
        let mut ping = Command::new("ip");
        ping.args(["netns", "exec", from, "ping", "-i", "0.2", "-c", "1000", to]);
        let mut ping = ping.stdout(Stdio::piped()).spawn().expect("ping");
        let mut lines = BufReader::new(ping.stdout.take().expect("its output")).lines();
        let mut answered = || {
            lines
                .next()
                .is_some_and(|line| line.expect("text").contains("ttl="))
        };
        assert!(!answered() && answered(), "the head, and an answer");
        firewall.change_floating(leads(false)).unwrap();
        // What was on its way.
        let (told, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || lines.for_each(|line| drop(told.send(line))));
        let quiet = |_: &()| answers.recv_timeout(Duration::from_secs(1)).is_err();
        assert!([(), (), ()].iter().any(quiet), "it goes on");
        firewall.change_floating(leads(true)).unwrap();
        answers
            .recv_timeout(Duration::from_secs(5))
            .expect("it goes on again")
            .unwrap();
        ping.kill().unwrap();
        ping.wait().unwrap();
    }
}

#[test]
fn floating_addresses_lead_both_ways() {
    in_namespaces("floating::floating_addresses_lead_both_ways", || {
        sh(TOPOLOGY);
        let floating = [("192.0.2.40", "10.9.0.2"), ("2001:db8::40", "fd09::2")];
        let floating = floating.map(|(outside, guest)| Floating {
            outside: outside.parse().unwrap(),
            guest: Some(guest.parse().unwrap()),
        });
        let mut firewall = firewall();
        firewall.set_network(front());
        firewall.set_guest(vec![guest()], &[]);
        firewall.write().unwrap();
        sh(&format!("! {}", pings("guest", "192.0.2.2")));
        firewall.change_floating(floating.to_vec()).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let links = Links::open().unwrap();
            let station = links.station("out0").await.unwrap();
            // What the outside believed before it was told.
            sh("for at in 192.0.2.40 2001:db8::40; do
                ip -n outside neigh add $at lladdr 02:00:00:00:00:99 dev in0 nud stale
            done");
            for floating in &floating {
                links.place(&station, floating.outside).await.unwrap();
                links.place(&station, floating.outside).await.unwrap_err();
            }
            let addresses = floating.map(|floating| floating.outside);
            announce(&station, &addresses).unwrap();
            assert_eq!(links.placed().await.unwrap().len(), 2);
            assert!(!links.own_addresses().await.unwrap().contains(&addresses[0]));
            sh(&format!(
                "for at in 192.0.2.40 2001:db8::40; do
                    ip -n outside neigh show $at | grep -q {}
                done",
                station.mac
            ));
            for (from, to) in [
                ("outside", "192.0.2.40"),
                ("outside", "2001:db8::40"),
                ("guest", "192.0.2.2"),
                ("guest", "2001:db8::2"),
            ] {
                sh(&pings(from, to));
            }
            ends_with_its_lead(&mut firewall, floating);
            for address in addresses {
                links.take_back(address).await.unwrap();
                links.take_back(address).await.unwrap();
            }
            assert_eq!(links.placed().await.unwrap(), []);
            sh("ip -4 addr show out0 | grep -q 192.0.2.1/24");
        });
        firewall.change_floating(Vec::new()).unwrap();
        sh(&format!("! {}", pings("guest", "192.0.2.2")));
        Firewall::remove_all().unwrap();
    });
}

#[test]
fn what_becomes_of_the_uplink_is_told() {
    in_namespaces("floating::what_becomes_of_the_uplink_is_told", || {
        sh(TOPOLOGY);
        let addresses = ["192.0.2.40", "2001:db8::40"].map(|text| text.parse().unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let links = Links::open().unwrap();
            let mut changes = Changes::of("out0").unwrap();
            let place = async || {
                let station = links.station("out0").await.unwrap();
                let placed = links.placed().await.unwrap();
                for address in addresses {
                    if placed.iter().all(|placed| placed.address != address) {
                        links.place(&station, address).await.unwrap();
                    }
                }
                station
            };
            // Until it tells of one that we wait for.
            let mut told = async |was_down: bool| {
                let told = async { while changes.next().await.unwrap().was_down != was_down {} };
                tokio::time::timeout(Duration::from_secs(5), told).await.unwrap();
            };
            let before = place().await;
            assert!(before.is_up);
            sh("ip addr flush dev out0");
            told(false).await;
            place().await;
            sh("ip link set out0 down");
            told(true).await;
            // Those of IPv6 went with it, and come while it is down.
            assert!(!place().await.is_up);
            sh("ip link set out0 up");
            told(false).await;
            sh("ip addr add 192.0.2.1/24 dev out0 && ip addr add 2001:db8::1/64 dev out0 nodad");
            for to in ["192.0.2.40", "2001:db8::40"] {
                sh(&format!("ip netns exec outside ping -c 1 -w 5 {to} > /dev/null"));
            }
            sh("ip link del out0 && ip link add out0 type veth peer name in0 netns outside");
            told(true).await;
            assert_ne!(place().await.index, before.index);
            assert_eq!(links.placed().await.unwrap().len(), 2);
        });
    });
}

/// A peer that goes on from one socket reaches whoever has the port or the address now.
#[test]
fn conversations_follow_ports_and_floating_addresses() {
    in_namespaces(
        "floating::conversations_follow_ports_and_floating_addresses",
        || {
            sh(TOPOLOGY);
            sh("ip netns add other
            ip link add vif2.0 type veth peer name eth0 address 02:00:00:00:00:02 netns other
            ip link set vif2.0 master hyper0 up && ip -n other link set eth0 up
            ip -n other addr add 10.9.0.3/24 dev eth0 && ip -n other route add default via 10.9.0.1
            ip addr add 192.0.2.40/32 dev out0");
            let mut firewall = firewall();
            firewall.set_network(front());
            firewall.set_guest(vec![guest(), port(2, &["10.9.0.3"])], &[]);
            firewall.write().unwrap();
            let peer = socket_in("outside", 5000);
            let guests = ["guest", "other"].map(|namespace| socket_in(namespace, 7));
            let hears = |guest: &UdpSocket, host: &str| {
                // What was refused before is told now.
                let _ = peer.send_to(b"?", host);
                let _ = peer.send_to(b"?", host);
                guest.recv(&mut [0; 16]).is_ok()
            };
            let published = |guest: u8| Published {
                protocol: Protocol::Udp,
                host: "0.0.0.0:7000".parse().unwrap(),
                guest: SocketAddr::from(([10, 9, 0, guest], 7)),
            };
            let port = "[::ffff:192.0.2.1]:7000";
            assert!(!hears(&guests[0], port), "nothing is published");
            for (number, guest) in [(2, &guests[0]), (3, &guests[1])] {
                firewall
                    .add_guest(vec![], &[published(number)], Default::default())
                    .unwrap();
                assert!(hears(guest, port), "{number}");
                firewall
                    .remove_guest(&[], &[published(number)], Default::default())
                    .unwrap();
                while guest.recv(&mut [0; 16]).is_ok() {}
                assert!(!hears(guest, port), "{number} is not published");
            }
            let address = "[::ffff:192.0.2.40]:7";
            for (number, guest) in [(2, &guests[0]), (3, &guests[1])] {
                let floating = Floating {
                    outside: "192.0.2.40".parse().unwrap(),
                    guest: Some([10, 9, 0, number].into()),
                };
                firewall.change_floating(vec![floating]).unwrap();
                assert!(hears(guest, address), "{number}");
            }
        },
    );
}
