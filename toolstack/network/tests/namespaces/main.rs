//! Rules and addresses in the kernel, with packets through them: each test runs itself again in network namespaces of its
//! own, where it is root.

mod bridges;
mod floating;
mod forwarding;
mod host;

use network::{Family, Firewall, GuestPort, Mac, NetworkRules};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
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
