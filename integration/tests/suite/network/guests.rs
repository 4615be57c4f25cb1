//! Guests among each other: names, interfaces that come and go, IPv6.

use super::{HOST6, OUTSIDE, OUTSIDE6, Outside, fetch, server};
use crate::support::{BUSYBOX, Dom0};

pub fn names(dom0: &Dom0<'_>) {
    let _outside = Outside::new(dom0);
    dom0.hyper(&["network", "create", "--subnet", "10.55.0.0/24", "front"])
        .ok();
    server(
        dom0,
        "web",
        &[
            "--network",
            "front",
            "--network-alias",
            "www",
            "--ip",
            "10.55.0.7",
            "--mac-address",
            "02:00:00:00:55:07",
        ],
    );
    dom0.detached(
        "ask",
        &[
            "--network",
            "front",
            "--add-host",
            "somebody:192.0.2.1",
            "--dns-search",
            "front",
            BUSYBOX,
            "sleep",
            "1000000",
        ],
    );
    let look = |name: &str| dom0.exec("ask", &["nslookup", name]);
    for name in ["web", "www", "web.front"] {
        look(name).ok().out_has("10.55.0.7");
    }
    look("10.55.0.7").ok().out_has("web.front");
    dom0.exec("ask", &["nc", "-w", "20", "www", "80"])
        .ok()
        .stdout("from-web\n");
    dom0.exec("ask", &["ping", "-c", "1", "-W", "10", "somebody"])
        .out_has("192.0.2.1");
    dom0.exec("web", &["cat", "/sys/class/net/eth0/address"])
        .ok()
        .stdout("02:00:00:00:55:07\n");
    dom0.hyper(&[
        "run",
        "--rm",
        "--dns",
        OUTSIDE,
        BUSYBOX,
        "nslookup",
        "anything.example",
    ])
    .ok()
    .out_has("192.0.2.99");
    dom0.hyper(&["link", "ask", "web:elsewhere"]).ok();
    look("elsewhere").ok().out_has("10.55.0.7");
    dom0.hyper(&["rename", "web", "site"]).ok();
    look("site").ok().out_has("10.55.0.7");
    assert_ne!(look("no-such-name.invalid").code, 0);
    dom0.hyper(&[
        "run",
        "--rm",
        "--network",
        "front",
        "--ip",
        "10.55.0.7",
        BUSYBOX,
        "true",
    ])
    .code(125)
    .err_has("Address already in use");
    dom0.hyper(&["network", "rm", "front"])
        .code(1)
        .err_has("has active endpoints");
    dom0.hyper(&["rm", "-f", "site", "ask"]).ok();
    dom0.hyper(&["network", "rm", "front"]).ok().stdout("front\n");
}

pub fn plugged(dom0: &Dom0<'_>) {
    dom0.hyper(&["network", "create", "back"]).ok();
    server(dom0, "db", &["--network", "back"]);
    dom0.idle("app", BUSYBOX);
    dom0.exec("app", &["nslookup", "db"]).code(1);
    dom0.hyper(&["network", "connect", "--alias", "application", "back", "app"])
        .ok();
    dom0.exec("app", &["nc", "-w", "20", "db", "80"])
        .ok()
        .stdout("from-db\n");
    dom0.exec("db", &["ping", "-c", "1", "-W", "10", "application"])
        .ok();
    dom0.exec("app", &["ls", "/sys/class/net"]).ok().out_has("eth1");
    let networks = dom0.inspect(
        "app",
        "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}",
    );
    assert_eq!(networks.trim(), "back bridge");
    dom0.hyper(&["network", "disconnect", "back", "app"]).ok();
    dom0.exec("app", &["ls", "/sys/class/net"]).ok().out_lacks("eth1");
    dom0.exec("app", &["nslookup", "db"]).code(1);
    gives_memory_back(dom0);
    // Again, and while it does not run.
    dom0.hyper(&["stop", "-t", "0", "app"]).ok();
    dom0.hyper(&["network", "connect", "back", "app"]).ok();
    dom0.hyper(&["network", "disconnect", "bridge", "app"]).ok();
    dom0.hyper(&["start", "app"]).ok();
    dom0.exec("app", &["nc", "-w", "20", "db", "80"])
        .ok()
        .stdout("from-db\n");
    // What goes over an interface counts as that one's, whichever others come and go.
    dom0.hyper(&["network", "connect", "bridge", "app"]).ok();
    dom0.hyper(&["network", "disconnect", "back", "app"]).ok();
    let interfaces = dom0.exec("app", &["ls", "/sys/class/net"]).ok().lines();
    let counted = "curl -s --unix-socket /run/hyper/hyperd.sock 'http://hyper/containers/app/stats?one-shot=1&stream=0' | \
        python3 -c 'import json, sys; print(*json.load(sys.stdin)[\"networks\"], sep=\"\\n\")'";
    let mut counted = dom0.sh(counted).ok().lines();
    counted.push("lo".to_owned());
    assert_eq!(
        (counted.as_slice(), interfaces[0].as_str()),
        (interfaces.as_slice(), "eth1")
    );
    // Started on none, it comes to one, and its port with it; then to another, with the same port.
    let port = |at: &str| {
        let text = dom0.hyper(&["port", "app"]).ok().text();
        assert_eq!(text, at);
    };
    dom0.remove("app");
    dom0.hyper(&[
        "create",
        "--name",
        "app",
        "-p",
        "127.0.0.1:8085:80",
        BUSYBOX,
        "sleep",
        "1000000",
    ])
    .ok();
    dom0.hyper(&["network", "disconnect", "bridge", "app"]).ok();
    dom0.hyper(&["start", "app"]).ok();
    port("");
    for network in ["back", "bridge"] {
        dom0.hyper(&["network", "connect", network, "app"]).ok();
        port("80/tcp -> 127.0.0.1:8085");
        dom0.hyper(&["network", "disconnect", network, "app"]).ok();
        port("");
    }
    dom0.hyper(&["rm", "-f", "app", "db"]).ok();
    dom0.hyper(&["network", "prune", "-f"]).ok().out_has("back");
}

/// What a guest needs for an interface it has again once that is gone: its buffers alone are 1 MiB.
fn gives_memory_back(dom0: &Dom0<'_>) {
    const TIMES: u64 = 6;
    let free_kib = || {
        let line = dom0
            .exec("app", &["grep", "MemFree", "/proc/meminfo"])
            .ok()
            .text();
        let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok());
        kib.unwrap_or_else(|| panic!("not a line of meminfo: {line}"))
    };
    let before: u64 = free_kib();
    for _ in 0..TIMES {
        dom0.hyper(&["network", "connect", "back", "app"]).ok();
        dom0.hyper(&["network", "disconnect", "back", "app"]).ok();
    }
    let lost = before.saturating_sub(free_kib());
    assert!(
        lost < TIMES * 1024 / 3,
        "{lost} KiB of {before} KiB are gone after {TIMES} interfaces"
    );
}

pub fn six(dom0: &Dom0<'_>) {
    let outside = Outside::new(dom0);
    dom0.hyper(&["network", "create", "--ipv6", "--subnet", "fd55::/64", "six"])
        .ok();
    server(dom0, "web", &["--network", "six", "-p", "8080:80"]);
    dom0.detached("ask", &["--network", "six", BUSYBOX, "sleep", "1000000"]);
    let address = dom0.inspect("web", "{{.NetworkSettings.Networks.six.GlobalIPv6Address}}");
    assert!(address.starts_with("fd55::"), "{address}");
    dom0.exec("ask", &["ping", "-6", "-c", "1", "-W", "10", &address])
        .ok();
    dom0.exec("ask", &["nslookup", "-type=aaaa", "web"])
        .ok()
        .out_has(&address);
    dom0.exec("ask", &["nc", "-w", "20", OUTSIDE6, "9000"])
        .ok()
        .stdout(&format!("{HOST6}\n"));
    dom0.hyper(&["port", "web", "80"])
        .ok()
        .stdout("0.0.0.0:8080\n[::]:8080\n");
    outside
        .sh(&fetch(&format!("{HOST6} 8080")))
        .ok()
        .stdout("from-web\n");
    dom0.sh(&fetch("::1 8080")).ok().stdout("from-web\n");
    dom0.hyper(&["rm", "-f", "web", "ask"]).ok();
    dom0.hyper(&["network", "rm", "six"]).ok();
}
