//! What guests ask of the host, and the host of them.

use super::{
    NO_BRIDGE_NETFILTER, TOPOLOGY, firewall, front, guest, in_namespaces, listener_in, output, pings, port,
    sh, socket_in, takes,
};
use network::{Bridge, Links, NetworkRules, Protocol, Published};
use rustix::net::{AddressFamily, SendFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::time::Duration;

/// The host asks at ::1 for ports of guests on different bridges.
#[test]
fn the_loopback_leads_to_published_ports() {
    in_namespaces("host::the_loopback_leads_to_published_ports", || {
        sh("mount -t tmpfs none /run && ip link set lo up
            [ ! -e /proc/sys/net/bridge ] || echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut firewall = firewall();
        for (number, bridge) in [(1_u16, "hyper0"), (2, "hyper-two")] {
            let net = |host: u16| format!("fd0{number}::{host}/64").parse().unwrap();
            let bridge = Bridge {
                name: bridge.to_owned(),
                id: "two".to_owned(),
                addresses: vec![net(1)],
                mtu: None,
            };
            runtime.block_on(async {
                let links = Links::open().unwrap();
                links.make_bridge(&bridge).await.unwrap();
                // As the next daemon does.
                links.make_bridge(&bridge).await.unwrap();
            });
            firewall.set_network(NetworkRules {
                bridge: bridge.name.clone(),
                subnets: vec![net(0)],
                hosts: vec![net(1).addr()],
                internal: false,
                masquerade: true,
            });
            let published = Published {
                protocol: Protocol::Tcp,
                host: (Ipv6Addr::UNSPECIFIED, 8080 + number).into(),
                guest: (net(2).addr(), 80).into(),
            };
            let guest = port(number as u8, &[&net(2).addr().to_string()]);
            firewall.set_guest(vec![guest], &[published]);
            sh(&format!(
                "ip netns add guest{number}
                ip link add vif{number}.0 type veth peer name eth0 address 02:00:00:00:00:0{number} netns guest{number}
                ip link set vif{number}.0 master {} up
                ip -n guest{number} addr add fd0{number}::2/64 dev eth0 nodad
                ip -n guest{number} link set eth0 up
                ip -n guest{number} -6 route add default via fd0{number}::1",
                bridge.name
            ));
        }
        firewall.write().unwrap();
        for number in [1_u16, 2] {
            let server = listener_in(&format!("guest{number}"), 80);
            let said = std::thread::spawn(move || server.accept().unwrap().0.write_all(&[number as u8]));
            let at = SocketAddr::from((Ipv6Addr::LOCALHOST, 8080 + number));
            let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(5)).unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            assert_eq!(heard, [number as u8]);
            said.join().unwrap().unwrap();
        }
        // What is the host's own stays so.
        let own = TcpListener::bind("[::1]:0").unwrap();
        TcpStream::connect_timeout(&own.local_addr().unwrap(), Duration::from_secs(5)).unwrap();
    });
}

#[test]
fn guests_ask_the_host_for_names_only() {
    in_namespaces("host::guests_ask_the_host_for_names_only", || {
        sh(TOPOLOGY);
        // With it no guest reaches a port that it publishes itself.
        sh(NO_BRIDGE_NETFILTER);
        sh(
            "ip link add hyper-two type bridge && ip link set hyper-two up && ip addr add 10.8.0.1/24 dev hyper-two",
        );
        let _servers = [53, 22].map(|port| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap());
        let _in_guest = listener_in("guest", 80);
        let published = Published {
            protocol: Protocol::Tcp,
            host: "0.0.0.0:8080".parse().unwrap(),
            guest: "10.9.0.2:80".parse().unwrap(),
        };
        let write = |services: &[&str]| {
            let mut firewall = firewall();
            firewall.set_network(front());
            firewall.set_network(NetworkRules {
                bridge: "hyper-two".to_owned(),
                subnets: vec!["10.8.0.0/24".parse().unwrap()],
                hosts: vec!["10.8.0.1".parse().unwrap()],
                internal: false,
                masquerade: true,
            });
            firewall.set_guest(vec![guest()], &[published]);
            firewall.set_services(services.iter().map(|text| text.parse().unwrap()));
            firewall.write().unwrap();
        };
        write(&[]);
        let link_local = output("ip -6 -o addr show dev hyper0 scope link | grep -o 'fe80[^/]*'");
        let link_local = format!("{}%eth0", link_local.trim());
        let others = ["192.0.2.1", "2001:db8::1", "10.8.0.1", &link_local];
        for own in ["10.9.0.1", "fd09::1"] {
            sh(&pings("guest", own));
            assert!(takes("guest", own, 53), "{own} 53");
            assert!(!takes("guest", own, 22), "{own} 22");
        }
        for other in others {
            assert!(!takes("guest", other, 53), "{other} 53");
            assert!(!takes("guest", other, 22), "{other} 22");
        }
        // What is published, the host itself, and the outside.
        assert!(takes("guest", "192.0.2.1", 8080));
        TcpStream::connect_timeout(&"10.9.0.2:80".parse().unwrap(), Duration::from_secs(5)).unwrap();
        assert!(takes("outside", "192.0.2.1", 22));
        write(&["22/tcp"]);
        for host in ["10.9.0.1", "fd09::1", "192.0.2.1"] {
            assert!(takes("guest", host, 22), "{host} 22");
        }
        assert!(!takes("guest", "192.0.2.1", 53));
    });
}

/// Packets of a protocol without ports, and without a byte in them, each to another address.
fn bare_packets(namespace: &str, count: u16) {
    let namespace = File::open(format!("/run/netns/{namespace}")).unwrap();
    let sent = std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let experimental = Some(rustix::net::Protocol::from_raw(NonZeroU32::new(253).unwrap()));
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::RAW, experimental).unwrap();
        for number in 0..count {
            let [high, low] = number.to_be_bytes();
            let to = SocketAddrV4::new(Ipv4Addr::new(198, 18, high, low), 0);
            let _ = rustix::net::sendto(&socket, &[], SendFlags::empty(), &to);
        }
    });
    sent.join().unwrap();
}

/// What one guest begins without end leaves room in the host's table.
#[test]
fn a_guest_has_its_share_of_connections() {
    in_namespaces("host::a_guest_has_its_share_of_connections", || {
        const MAX: u32 = 2000;
        sh(TOPOLOGY);
        sh("ip route add 198.18.0.0/16 via 192.0.2.2
            ip netns add other
            ip link add vif2.0 type veth peer name eth0 address 02:00:00:00:00:02 netns other
            ip link set vif2.0 master hyper0 up && ip -n other link set eth0 up
            ip -n other addr add 10.9.0.3/24 dev eth0 && ip -n other route add default via 10.9.0.1");
        let mut firewall = firewall();
        firewall.set_network(front());
        firewall.set_guest(vec![guest(), port(2, &["10.9.0.3"])], &[]);
        firewall.set_max_connections(MAX);
        firewall.write().unwrap();
        assert_eq!(
            output("nft list table inet hyper | grep -c 'ct count over'"),
            "2\n"
        );
        let sender = socket_in("guest", 0);
        let outside: Ipv6Addr = "::ffff:192.0.2.2".parse().unwrap();
        for port in 1..20_000 {
            let _ = sender.send_to(b"?", (outside, port));
        }
        bare_packets("guest", 20_000);
        let tracked: u32 = output("cat /proc/sys/net/netfilter/nf_conntrack_count")
            .trim()
            .parse()
            .unwrap();
        // Beside what the host itself has begun; chance may leave a part with room.
        assert!((MAX / 2..MAX + 100).contains(&tracked), "{tracked}");
        // Others begin what they like.
        let other = socket_in("other", 0);
        let server = socket_in("outside", 30_000);
        other.send_to(b"?", (outside, 30_000)).unwrap();
        server.recv(&mut [0; 16]).expect("another guest is heard");
    });
}

/// All ask at one socket.
#[test]
fn a_flood_of_questions_leaves_room_for_others() {
    in_namespaces("host::a_flood_of_questions_leaves_room_for_others", || {
        const SENT: usize = 50_000;
        sh(TOPOLOGY);
        let mut firewall = firewall();
        firewall.set_network(front());
        firewall.set_guest(vec![guest()], &[]);
        firewall.write().unwrap();
        let server = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 53)).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let answers = std::thread::spawn(move || {
            let mut heard = 0;
            while server.recv(&mut [0; 16]).is_ok() {
                heard += 1;
            }
            (server, heard)
        });
        let began = std::time::Instant::now();
        let asker = socket_in("guest", 0);
        for _ in 0..SENT {
            // A queue that is full is no matter.
            let _ = asker.send_to(b"?", "[::ffff:10.9.0.1]:53");
        }
        let took = began.elapsed().as_secs() as usize + 2;
        let (server, heard) = answers.join().unwrap();
        let share = 2000 + 500 * took;
        assert!((1..=share).contains(&heard), "{heard} of {SENT} in {took} s");
        assert!(share < SENT / 2, "{took} s");
        asker.send_to(b"?", "[fd09::1]:53").unwrap();
        server.recv(&mut [0; 16]).expect("another asker is heard");
    });
}
