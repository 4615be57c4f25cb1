//! What the host forwards that is not of our networks.

use super::{TOPOLOGY, front, guest, in_namespaces, sh};
use network::{Family, Firewall};

#[test]
fn a_host_forwards_what_it_did_before() {
    in_namespaces("forwarding::a_host_forwards_what_it_did_before", || {
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
