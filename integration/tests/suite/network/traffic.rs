//! Out of a network and into it.

use super::{HOST, OUTSIDE, Outside, fetch, listens, rules, server};
use crate::support::{BUSYBOX, Dom0};

pub fn outside_and_in(dom0: &Dom0<'_>) {
    let outside = Outside::new(dom0);
    server(dom0, "web", &["-p", "8080:80"]);
    let address = dom0.inspect("web", "{{.NetworkSettings.IPAddress}}");
    let gateway = dom0.inspect("web", "{{.NetworkSettings.Networks.bridge.Gateway}}");
    assert!(
        address.starts_with("172.") && gateway.ends_with(".0.1"),
        "{address} {gateway}"
    );
    let shown = dom0
        .exec(
            "web",
            &[
                "sh",
                "-c",
                "ip -4 -o addr show eth0; ip route; cat /sys/class/net/eth0/address /etc/hosts",
            ],
        )
        .ok()
        .text();
    for part in [
        &address,
        &format!("default via {gateway}"),
        &dom0.inspect("web", "{{.NetworkSettings.MacAddress}}"),
        &format!("{address}\tweb"),
    ] {
        assert!(shown.contains(part.as_str()), "{part} is not in\n{shown}");
    }
    // Out: with the host's address, in both protocols, and much.
    dom0.exec("web", &["nc", "-w", "20", OUTSIDE, "9000"])
        .ok()
        .stdout(&format!("{HOST}\n"));
    dom0.exec("web", &["nslookup", "anything.example", OUTSIDE])
        .ok()
        .out_has("192.0.2.99");
    dom0.exec("web", &["ping", "-c", "2", "-W", "10", OUTSIDE]).ok();
    let (file, sum) = dom0.random_file(16);
    let mut sends = dom0.spawn_sh(&format!(
        "ip netns exec outside python3 -c 'import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((\"{OUTSIDE}\", 9100)); s.listen(1); print(\"ready\", flush=True)
c, _ = s.accept(); c.sendall(open(\"{file}\", \"rb\").read()); c.close()'"
    ));
    sends.expect("ready");
    dom0.exec(
        "web",
        &[
            "sh",
            "-c",
            &format!("nc -w 60 {OUTSIDE} 9100 < /dev/null | sha256sum"),
        ],
    )
    .ok()
    .stdout(&format!("{sum}\n"));
    sends.finish().ok();
    // In.
    outside
        .sh(&fetch(&format!("{HOST} 8080")))
        .ok()
        .stdout("from-web\n");
    dom0.remove("web");
}

pub fn published_ports(dom0: &Dom0<'_>) {
    let outside = Outside::new(dom0);
    server(
        dom0,
        "web",
        &[
            "-p",
            "127.0.0.1:8081:80",
            "-p",
            "8080:80",
            "-p",
            "90",
            "--expose",
            "91/udp",
        ],
    );
    dom0.hyper(&["port", "web", "80"])
        .ok()
        .stdout("0.0.0.0:8080\n127.0.0.1:8081\n");
    dom0.hyper(&["port", "web"])
        .ok()
        .out_has("90/tcp -> 0.0.0.0:")
        .out_lacks("91/udp");
    dom0.hyper(&["ps", "--format", "{{.Ports}}"])
        .ok()
        .out_has("0.0.0.0:8080->80/tcp")
        .out_has("91/udp");
    outside
        .sh(&fetch(&format!("{HOST} 8080")))
        .ok()
        .stdout("from-web\n");
    outside.sh(&fetch(&format!("{HOST} 8081"))).code(1);
    // From the host itself, by each of its addresses.
    for at in ["127.0.0.1 8080", "127.0.0.1 8081", &format!("{HOST} 8080")] {
        dom0.sh(&fetch(at)).ok().stdout("from-web\n");
    }
    // From the guest itself, and from another, by the host's address.
    dom0.exec("web", &["nc", "-w", "20", HOST, "8080"])
        .ok()
        .stdout("from-web\n");
    dom0.hyper(&["run", "--rm", BUSYBOX, "nc", "-w", "20", HOST, "8080"])
        .ok()
        .stdout("from-web\n");
    // Taken, by a container and by a program.
    dom0.hyper(&["run", "--rm", "-p", "8080:80", BUSYBOX, "true"])
        .code(125)
        .err_has("Bind for 0.0.0.0:8080 failed: port is already allocated");
    dom0.hyper(&["run", "--rm", "-p", "22:80", BUSYBOX, "true"])
        .code(125)
        .err_has("address already in use");
    dom0.hyper(&["run", "--rm", "-p", "8080-8090:80", BUSYBOX, "true"])
        .ok();
    dom0.sh("python3 -c 'import socket; socket.socket().bind((\"0.0.0.0\", 8080))'")
        .code(1)
        .err_has("in use");
    dom0.hyper(&["stop", "-t", "0", "web"]).ok();
    dom0.sh("python3 -c 'import socket; socket.socket().bind((\"0.0.0.0\", 8080))'")
        .ok();
    outside.sh(&fetch(&format!("{HOST} 8080"))).code(1);
    dom0.hyper(&["start", "web"]).ok();
    listens(dom0, "web");
    outside
        .sh(&fetch(&format!("{HOST} 8080")))
        .ok()
        .stdout("from-web\n");
    dom0.remove("web");
}

/// Rules are what the records say, whoever died meanwhile and whatever was done to them.
pub fn hyperd_killed(dom0: &Dom0<'_>) {
    let outside = Outside::new(dom0);
    server(dom0, "web", &["-p", "8080:80"]);
    let before = rules(dom0);
    dom0.sh("nft add table inet others; systemctl kill -s KILL hyperd; systemctl stop hyperd")
        .ok();
    outside
        .sh(&fetch(&format!("{HOST} 8080")))
        .ok()
        .stdout("from-web\n");
    dom0.sh("nft delete table inet hyper; nft flush table bridge hyper; ip link add hyper-000000000 type bridge; ip link set hyper-000000000 alias 'hyper network 000000000'; systemctl start hyperd").ok();
    assert_eq!(rules(dom0), before);
    dom0.sh("nft list tables").ok().out_has("inet others");
    dom0.sh("nft delete table inet others; ip link show hyper-000000000")
        .code(1);
    outside
        .sh(&fetch(&format!("{HOST} 8080")))
        .ok()
        .stdout("from-web\n");
    dom0.hyper(&["run", "--rm", "-p", "8080:80", BUSYBOX, "true"])
        .code(125)
        .err_has("port is already allocated");
    dom0.exec("web", &["nc", "-w", "20", OUTSIDE, "9000"])
        .ok()
        .stdout(&format!("{HOST}\n"));
    dom0.remove("web");
}

/// What a guest may send is held back, and another is not.
pub fn rate(dom0: &Dom0<'_>) {
    const BYTES: u32 = 2 << 20;
    for bad in ["fast", "10M", "1b/s"] {
        let option = format!("hyper.rate={bad}");
        dom0.hyper(&["network", "create", "-o", &option, "limited"])
            .one_error("invalid hyper.rate");
        let network = format!("name=bridge,driver-opt={option}");
        dom0.hyper(&["create", "--network", &network, BUSYBOX])
            .code(1)
            .err_has("invalid hyper.rate");
    }
    dom0.hyper(&["network", "create", "-o", "hyper.rate=80Kb/s", "limited"])
        .ok();
    let serve = format!("head -c {BYTES} /dev/zero > /tmp/page; exec nc -ll -p 80 -e cat /tmp/page");
    for (name, network) in [
        ("slow", "limited"),
        ("fast", "name=bridge,driver-opt=hyper.rate=1GB/s"),
    ] {
        dom0.detached(name, &["--network", network, BUSYBOX, "sh", "-c", &serve]);
        listens(dom0, name);
    }
    dom0.sh("xenstore-ls -f /local/domain/0/backend/vif | sed -n 's/.*rate = //p' | LC_ALL=C sort")
        .ok()
        .stdout("\"500,50000\"\n\"50000000,50000\"\n");
    let address = |name: &str| dom0.inspect(name, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
    dom0.sh(&format!(
        "cat < /dev/tcp/{}/80 > /tmp/slow & slow=$!
         cat < /dev/tcp/{}/80 | wc -c
         kill $slow && [ $(stat -c %s /tmp/slow) -lt {BYTES} ] && rm /tmp/slow",
        address("slow"),
        address("fast")
    ))
    .ok()
    .stdout(&format!("{BYTES}\n"));
    dom0.hyper(&["rm", "-f", "slow", "fast"]).ok();
    dom0.hyper(&["network", "rm", "limited"]).ok();
}
