//! Rules and addresses in the kernel, with packets through them: each test runs itself again in network namespaces of its
//! own, where it is root.

use network::{
    Bridge, Family, Firewall, Floating, GuestPort, Links, Mac, NetworkRules, Protocol, Published, announce,
};
use pnet_datalink::{Channel, DataLinkReceiver, DataLinkSender};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

const INSIDE: &str = "HYPER_TEST_INSIDE";

fn in_namespaces(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let own = std::env::current_exe().unwrap();
    let ran = Command::new("unshare")
        .args(["--map-root-user", "--net", "--mount"])
        .arg(own)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare");
    assert!(ran.success(), "{test} in namespaces");
}

#[track_caller]
fn sh(script: &str) {
    let ran = Command::new("bash")
        .args(["-euc", script])
        .status()
        .expect("bash");
    assert!(ran.success(), "{script}");
}

#[track_caller]
fn output(script: &str) -> String {
    let ran = Command::new("bash")
        .args(["-euc", script])
        .output()
        .expect("bash");
    assert!(ran.status.success(), "{script}");
    String::from_utf8(ran.stdout).expect("text")
}

/// A guest on a bridge, and an outside that answers only who comes from 192.0.2.40 or 2001:db8::40.
const TOPOLOGY: &str = "
    mount -t tmpfs none /run && ip link set lo up
    ip netns add guest && ip netns add outside
    ip link add out0 type veth peer name in0 netns outside
    ip link add vif1.0 type veth peer name eth0 address 02:00:00:00:00:01 netns guest
    ip addr add 192.0.2.1/24 dev out0 && ip addr add 2001:db8::1/64 dev out0 nodad
    ip -n outside addr add 192.0.2.2/24 dev in0 && ip -n outside addr add 2001:db8::2/64 dev in0 nodad
    ip link add hyper0 type bridge && ip link set vif1.0 master hyper0
    ip addr add 10.9.0.1/24 dev hyper0 && ip addr add fd09::1/64 dev hyper0 nodad
    ip -n guest addr add 10.9.0.2/24 dev eth0 && ip -n guest addr add fd09::2/64 dev eth0 nodad
    for link in out0 vif1.0 hyper0; do ip link set $link up; done
    ip -n outside link set in0 up && ip -n guest link set eth0 up
    ip -n guest route add default via 10.9.0.1 && ip -n guest -6 route add default via fd09::1
    echo 1 > /proc/sys/net/ipv4/ip_forward && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
    ip netns exec outside nft -f - <<'END'
    table inet outside {
        chain received {
            type filter hook input priority 0;
            icmp type echo-request ip saddr != 192.0.2.40 drop
            icmpv6 type echo-request ip6 saddr != 2001:db8::40 drop
        }
    }
END
";

/// Of a host that forwards because of us.
fn firewall() -> Firewall {
    let mut firewall = Firewall::default();
    for family in [Family::Four, Family::Six] {
        firewall.close(family).unwrap();
    }
    firewall
}

const NO_BRIDGE_NETFILTER: &str = "
    [ ! -e /proc/sys/net/bridge ] || for family in ip ip6; do
        echo 0 > /proc/sys/net/bridge/bridge-nf-call-${family}tables
    done
";

/// The network of [`TOPOLOGY`].
fn front() -> NetworkRules {
    NetworkRules {
        bridge: "hyper0".to_owned(),
        subnets: vec!["10.9.0.0/24".parse().unwrap(), "fd09::/64".parse().unwrap()],
        hosts: vec!["10.9.0.1".parse().unwrap(), "fd09::1".parse().unwrap()],
        internal: false,
        masquerade: true,
    }
}

/// Of the guest with the Ethernet address 02:00:00:00:00:`number`.
fn port(number: u8, addresses: &[&str]) -> GuestPort {
    GuestPort {
        interface: format!("vif{number}.0"),
        mac: Mac([2, 0, 0, 0, 0, number]),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        groups: Vec::new(),
        closed: false,
    }
}

/// The guest of [`TOPOLOGY`].
fn guest() -> GuestPort {
    port(1, &["10.9.0.2", "fd09::2"])
}

/// Whether somebody takes the connection.
fn takes(from: &str, host: &str, port: u16) -> bool {
    let script = format!("exec 3<> /dev/tcp/{host}/{port}");
    let mut asked = Command::new("timeout");
    asked.args(["1", "ip", "netns", "exec", from, "bash", "-c", &script]);
    asked.stderr(Stdio::null()).status().expect("timeout").success()
}

fn pings(from: &str, to: &str) -> String {
    format!("ip netns exec {from} ping -c 1 -W 2 {to} > /dev/null")
}

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
    in_namespaces("floating_addresses_lead_both_ways", || {
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

/// At this port of a namespace, or at any.
fn socket_in(namespace: &str, port: u16) -> UdpSocket {
    let namespace = File::open(format!("/run/netns/{namespace}")).unwrap();
    let bound = std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket
    });
    bound.join().unwrap()
}

fn listener_in(namespace: &str, port: u16) -> TcpListener {
    let namespace = File::open(format!("/run/netns/{namespace}")).unwrap();
    // The thread stays there.
    let bound = std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap()
    });
    bound.join().unwrap()
}

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

/// The host asks at ::1 for ports of guests on different bridges.
#[test]
fn the_loopback_leads_to_published_ports() {
    in_namespaces("the_loopback_leads_to_published_ports", || {
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
    in_namespaces("guests_ask_the_host_for_names_only", || {
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

#[test]
fn ports_that_are_nobodys_are_mute() {
    in_namespaces("ports_that_are_nobodys_are_mute", || {
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
    in_namespaces("frames_to_the_links_own_groups_are_dropped", || {
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
    in_namespaces("guests_do_not_ask_for_listeners", || {
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

#[test]
fn a_host_forwards_what_it_did_before() {
    in_namespaces("a_host_forwards_what_it_did_before", || {
        sh(TOPOLOGY);
        sh("ip netns add third && ip link add third0 type veth peer name in0 netns third
            ip addr add 198.51.100.1/24 dev third0 && ip addr add 2001:db8:3::1/64 dev third0 nodad
            ip -n third addr add 198.51.100.2/24 dev in0 && ip -n third addr add 2001:db8:3::2/64 dev in0 nodad
            ip link set third0 up && ip -n third link set in0 up
            ip -n third route add default via 198.51.100.1 && ip -n third -6 route add default via 2001:db8:3::1
            ip -n outside route add 198.51.100.0/24 via 192.0.2.1
            ip -n outside -6 route add 2001:db8:3::/64 via 2001:db8::1");
        // All of them may take a moment to find each other.
        let [four, six] = ["198.51.100.2", "2001:db8:3::2"]
            .map(|host| format!("ip netns exec outside ping -c 1 -w 5 {host} > /dev/null"));
        let mut firewall = Firewall::default();
        firewall.set_network(front());
        firewall.set_guest(vec![guest()], &[]);
        firewall.write().unwrap();
        sh(&four);
        sh(&six);
        firewall.close(Family::Six).unwrap();
        sh(&four);
        sh(&format!("! {six}"));
        firewall.close(Family::Four).unwrap();
        sh(&format!("! {four}"));
        sh(&format!("! {six}"));
    });
}

/// All ask at one socket.
#[test]
fn a_flood_of_questions_leaves_room_for_others() {
    in_namespaces("a_flood_of_questions_leaves_room_for_others", || {
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

/// A peer that goes on from one socket reaches whoever has the port or the address now.
#[test]
fn conversations_follow_ports_and_floating_addresses() {
    in_namespaces("conversations_follow_ports_and_floating_addresses", || {
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
    });
}
