//! What a guest cannot do to others, and networks that are closed.

use super::{HOST, OUTSIDE, Outside, fetch, server};
use crate::support::{BUSYBOX, Dom0};

/// A guest that says it is another is not heard.
pub fn spoofing(dom0: &Dom0<'_>) {
    let _outside = Outside::new(dom0);
    server(dom0, "victim", &[]);
    dom0.detached("liar", &["--cap-add", "NET_ADMIN", BUSYBOX, "sleep", "1000000"]);
    let victim = dom0.inspect("victim", "{{.NetworkSettings.IPAddress}}");
    let mac = dom0.inspect("victim", "{{.NetworkSettings.MacAddress}}");
    let gateway = dom0.inspect("liar", "{{.NetworkSettings.Gateway}}");
    let liar = |script: &str| dom0.exec("liar", &["sh", "-c", script]);
    liar(&format!("ping -c 1 -W 10 {victim}")).ok();
    // The host's end of its interface has no IPv6, and takes nothing by itself.
    dom0.sh("cat /proc/sys/net/ipv6/conf/vif*/disable_ipv6 | sort -u")
        .ok()
        .stdout("1\n");
    // No service of the host answers, names apart.
    for at in [&gateway, HOST] {
        assert_eq!(liar(&format!("nc -w 3 {at} 22 < /dev/null")).text(), "");
    }
    liar("nslookup victim").ok();
    // Connections of each family are counted.
    dom0.sh("nft list chain inet hyper begun | grep -c 'ct count over'")
        .ok()
        .stdout("2\n");
    // Another address of its own making.
    liar(&format!(
        "ip addr add 172.17.99.99/16 dev eth0; ping -c 2 -W 3 -I 172.17.99.99 {gateway}"
    ))
    .code(1);
    // The victim's address, told to everybody; the host still finds the victim.
    liar(&format!(
        "ip addr add {victim}/16 dev eth0; arping -U -c 3 -I eth0 {victim}; true"
    ))
    .ok();
    dom0.sh(&format!(
        "ip neigh flush dev hyper0; {}",
        fetch(&format!("{victim} 80"))
    ))
    .ok()
    .stdout("from-victim\n");
    dom0.sh(&format!("ip neigh show {victim}")).ok().out_has(&mac);
    liar(&format!(
        "ip addr del {victim}/16 dev eth0; ip addr del 172.17.99.99/16 dev eth0"
    ))
    .ok();
    // Another's Ethernet address.
    liar(&format!("ip link set eth0 down; ip link set eth0 address {mac}; ip link set eth0 up; ip route add default via {gateway}; ping -c 2 -W 3 {gateway}")).code(1);
    dom0.sh(&fetch(&format!("{victim} 80")))
        .ok()
        .stdout("from-victim\n");
    // The loopback of the host is the host's.
    liar("true").ok();
    dom0.hyper(&["rm", "-f", "victim", "liar"]).ok();
}

/// An interface that somebody puts on a bridge of ours is not heard; other bridges are nobody's business.
pub fn strangers(dom0: &Dom0<'_>) {
    server(dom0, "near", &[]);
    let near = dom0.inspect("near", "{{.NetworkSettings.IPAddress}}");
    let gateway = dom0.inspect("near", "{{.NetworkSettings.Gateway}}");
    dom0.sh(
        "ip netns add stranger && ip link add strange0 type veth peer name eth0 netns stranger
         ip -n stranger addr add 172.17.99.98/16 dev eth0 && ip -n stranger addr add 198.51.100.2/24 dev eth0
         ip -n stranger link set eth0 up && ip link set strange0 master hyper0 up
         ip link add br-other type bridge && ip addr add 198.51.100.1/24 dev br-other && ip link set br-other up",
    )
    .ok();
    let pings = |to: &str| format!("ip netns exec stranger ping -c 2 -W 3 {to}");
    dom0.sh(&pings(&gateway)).code(1);
    dom0.sh(&pings(&near)).code(1);
    // Without a question for the other's Ethernet address too.
    dom0.sh(&format!(
        "ip -n stranger neigh replace {gateway} lladdr $(cat /sys/class/net/hyper0/address) dev eth0"
    ))
    .ok();
    dom0.sh(&pings(&gateway)).code(1);
    dom0.sh(&format!("ip neigh show {gateway}; ip neigh show 172.17.99.98"))
        .ok()
        .out_lacks("REACHABLE");
    dom0.sh(&fetch(&format!("{near} 80"))).ok().stdout("from-near\n");
    dom0.sh(&format!(
        "ip link set strange0 master br-other; {}",
        pings("198.51.100.1")
    ))
    .ok();
    dom0.sh("ip link del strange0; ip netns del stranger; ip link del br-other")
        .ok();
    dom0.hyper(&["rm", "-f", "near"]).ok();
}

pub fn closed(dom0: &Dom0<'_>) {
    let outside = Outside::new(dom0);
    dom0.hyper(&["network", "create", "--internal", "vault"]).ok();
    server(dom0, "safe", &["--network", "vault", "-p", "8080:80"]);
    dom0.detached("near", &["--network", "vault", BUSYBOX, "sleep", "1000000"]);
    dom0.exec("near", &["nc", "-w", "20", "safe", "80"])
        .ok()
        .stdout("from-safe\n");
    assert_ne!(
        dom0.exec("near", &["nc", "-w", "3", OUTSIDE, "9000"]).text(),
        HOST
    );
    outside.sh(&fetch(&format!("{HOST} 8080"))).code(1);
    // One on both networks does not join them, and other networks are apart.
    let safe = dom0.inspect("safe", "{{.NetworkSettings.Networks.vault.IPAddress}}");
    let ran = dom0.hyper(&[
        "run",
        "--rm",
        BUSYBOX,
        "sh",
        "-c",
        &format!("nc -w 3 {safe} 80; true"),
    ]);
    ran.ok().out_lacks("from-safe");
    dom0.hyper(&["rm", "-f", "safe", "near"]).ok();
    dom0.hyper(&["network", "rm", "vault"]).ok();
    // Without any network there is a loopback.
    let links = dom0.hyper(&[
        "run",
        "--rm",
        "--network",
        "none",
        BUSYBOX,
        "ls",
        "/sys/class/net",
    ]);
    links.ok().stdout("lo\n");
    dom0.hyper(&["run", "--rm", "--network", "host", BUSYBOX, "true"])
        .code(125)
        .err_has("is not possible");
    dom0.hyper(&["run", "--rm", "--network", "container:x", BUSYBOX, "true"])
        .code(125)
        .err_has("is not possible");
}
