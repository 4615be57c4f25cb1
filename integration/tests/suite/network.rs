//! Networks, with real traffic. The outside is a network namespace of dom0 that knows only its own link.

use super::support::{BUSYBOX, Dom0, Ran, Test, both, once, pv};

pub const TESTS: &[Test] = &[
    both("network::outside_and_in", outside_and_in),
    pv("network::published_ports", published_ports),
    pv("network::names", names),
    pv("network::plugged", plugged),
    pv("network::spoofing", spoofing),
    pv("network::closed", closed),
    pv("network::six", six),
    pv("network::hyperd_killed", hyperd_killed),
    once("network::of_users", of_users),
    pv("network::docker", docker),
];

/// The outside's address, and dom0's on that link.
const OUTSIDE: &str = "10.99.0.2";
const HOST: &str = "10.99.0.1";
const OUTSIDE6: &str = "fd99::2";
const HOST6: &str = "fd99::1";

/// Answers each connection with the address it comes from.
const ECHO: &str = r#"
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = socket.socket(family)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[1], 9000))
server.listen(16)
while True:
    client, peer = server.accept()
    client.sendall((peer[0] + "\n").encode())
    client.close()
"#;

/// A name server to which every name has one address.
const NAMES: &str = r#"
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("10.99.0.2", 53))
while True:
    query, peer = server.recvfrom(2000)
    end = query.index(b"\0", 12) + 5
    is_a = query[end - 4:end - 2] == b"\0\1"
    head = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_a else b"\0\0") + bytes(4)
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x63" if is_a else b""
    server.sendto(head + query[12:end] + answer, peer)
"#;

struct Outside<'a, 'b>(&'a Dom0<'b>);

impl<'a, 'b> Outside<'a, 'b> {
    #[track_caller]
    fn new(dom0: &'a Dom0<'b>) -> Self {
        dom0.sh(&format!(
            "ip netns add outside && ip link add out0 type veth peer name in0 netns outside
             ip addr add {HOST}/24 dev out0 && ip addr add {HOST6}/64 dev out0 nodad && ip link set out0 up
             ip -n outside addr add {OUTSIDE}/24 dev in0 && ip -n outside addr add {OUTSIDE6}/64 dev in0 nodad
             ip -n outside link set in0 up && ip -n outside link set lo up
             cat > /tmp/echo.py <<'END'\n{ECHO}\nEND
             cat > /tmp/names.py <<'END'\n{NAMES}\nEND
             for at in {OUTSIDE} {OUTSIDE6}; do
                 setsid ip netns exec outside python3 /tmp/echo.py $at > /dev/null 2>&1 < /dev/null & echo $! >> /tmp/outside.pids
             done
             setsid ip netns exec outside python3 /tmp/names.py > /dev/null 2>&1 < /dev/null & echo $! >> /tmp/outside.pids
             for try in $(seq 50); do
                 ip netns exec outside ss -ltn | grep -q {OUTSIDE}:9000 && exit 0
                 read -rt 0.2 <> <(:) || true
             done
             exit 1"
        ))
        .ok();
        Self(dom0)
    }

    /// A script of bash out there.
    #[track_caller]
    fn sh(&self, script: &str) -> Ran {
        self.0
            .command(&["ip", "netns", "exec", "outside", "bash", "-c", script])
    }
}

impl Drop for Outside<'_, '_> {
    fn drop(&mut self) {
        let ended = self.0.sh(
            "kill $(cat /tmp/outside.pids); rm -f /tmp/outside.pids /tmp/echo.py /tmp/names.py
             ip link del out0; ip netns del outside",
        );
        if !std::thread::panicking() {
            ended.ok();
        }
    }
}

/// Serves a file's content to each who connects.
const SERVE: &str = "echo from-$(hostname) > /tmp/page; exec nc -ll -p 80 -e cat /tmp/page";

#[track_caller]
fn server(dom0: &Dom0<'_>, name: &str, flags: &[&str]) {
    let mut args = vec!["--hostname", name];
    args.extend(flags);
    args.extend([BUSYBOX, "sh", "-c", SERVE]);
    dom0.detached(name, &args);
    // Until it listens, that is: until it answers itself.
    dom0.exec(
        name,
        &[
            "sh",
            "-c",
            "until nc -w 2 127.0.0.1 80 < /dev/null > /dev/null; do sleep 0.2; done",
        ],
    )
    .ok();
}

/// What comes from a connection.
fn fetch(from: &str) -> String {
    let (host, port) = from.rsplit_once(' ').unwrap_or((from, "80"));
    format!("exec 3<> /dev/tcp/{host}/{port} && timeout 20 head -n 1 <&3")
}

fn outside_and_in(dom0: &Dom0<'_>) {
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

fn published_ports(dom0: &Dom0<'_>) {
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
    dom0.exec(
        "web",
        &[
            "sh",
            "-c",
            "until nc -w 2 127.0.0.1 80 < /dev/null > /dev/null; do sleep 0.2; done",
        ],
    )
    .ok();
    outside
        .sh(&fetch(&format!("{HOST} 8080")))
        .ok()
        .stdout("from-web\n");
    dom0.remove("web");
}

fn names(dom0: &Dom0<'_>) {
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
        .code(1)
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

fn plugged(dom0: &Dom0<'_>) {
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
    // Again, and while it does not run.
    dom0.hyper(&["stop", "-t", "0", "app"]).ok();
    dom0.hyper(&["network", "connect", "back", "app"]).ok();
    dom0.hyper(&["network", "disconnect", "bridge", "app"]).ok();
    dom0.hyper(&["start", "app"]).ok();
    dom0.exec("app", &["nc", "-w", "20", "db", "80"])
        .ok()
        .stdout("from-db\n");
    dom0.hyper(&["rm", "-f", "app", "db"]).ok();
    dom0.hyper(&["network", "prune", "-f"]).ok().out_has("back");
}

/// A guest that says it is another is not heard.
fn spoofing(dom0: &Dom0<'_>) {
    server(dom0, "victim", &[]);
    dom0.detached("liar", &["--cap-add", "NET_ADMIN", BUSYBOX, "sleep", "1000000"]);
    let victim = dom0.inspect("victim", "{{.NetworkSettings.IPAddress}}");
    let mac = dom0.inspect("victim", "{{.NetworkSettings.MacAddress}}");
    let gateway = dom0.inspect("liar", "{{.NetworkSettings.Gateway}}");
    let liar = |script: &str| dom0.exec("liar", &["sh", "-c", script]);
    liar(&format!("ping -c 1 -W 10 {victim}")).ok();
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

fn closed(dom0: &Dom0<'_>) {
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

fn six(dom0: &Dom0<'_>) {
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
    dom0.hyper(&["rm", "-f", "web", "ask"]).ok();
    dom0.hyper(&["network", "rm", "six"]).ok();
}

/// Rules are what the records say, whoever died meanwhile and whatever was done to them.
fn hyperd_killed(dom0: &Dom0<'_>) {
    let outside = Outside::new(dom0);
    server(dom0, "web", &["-p", "8080:80"]);
    let rules = || {
        dom0.sh("nft -s list table inet hyper; nft -s list table bridge hyper")
            .ok()
            .text()
    };
    let before = rules();
    dom0.sh("nft add table inet others; systemctl kill -s KILL hyperd; systemctl stop hyperd")
        .ok();
    outside
        .sh(&fetch(&format!("{HOST} 8080")))
        .ok()
        .stdout("from-web\n");
    dom0.sh("nft delete table inet hyper; nft flush table bridge hyper; ip link add hyper-000000000 type bridge; ip link set hyper-000000000 alias 'hyper network 000000000'; systemctl start hyperd").ok();
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text
            .split(['\n', ','])
            .map(str::trim)
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&rules()), sorted(&before));
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

fn of_users(dom0: &Dom0<'_>) {
    dom0.hyper(&[
        "network",
        "create",
        "--label",
        "a=b",
        "--subnet",
        "10.60.0.0/24",
        "--gateway",
        "10.60.0.9",
        "one",
    ])
    .ok();
    dom0.hyper(&["network", "create", "one"])
        .code(1)
        .err_has("network with name one already exists");
    dom0.hyper(&["network", "create", "--subnet", "10.60.0.128/25", "two"])
        .code(1)
        .err_has("Pool overlaps");
    dom0.hyper(&["network", "create", "--driver", "overlay", "two"])
        .code(1);
    dom0.hyper(&["network", "ls", "--format", "{{.Name}} {{.Driver}}"])
        .ok()
        .stdout("bridge bridge\nnone null\none bridge\n");
    dom0.hyper(&["network", "ls", "-q", "-f", "label=a=b", "-f", "type=custom"])
        .ok();
    dom0.hyper(&[
        "network",
        "inspect",
        "-f",
        "{{(index .IPAM.Config 0).Gateway}}",
        "one",
    ])
    .ok()
    .stdout("10.60.0.9\n");
    dom0.sh("ip -4 -o addr").ok().out_has("10.60.0.9/24");
    dom0.hyper(&["network", "rm", "bridge"])
        .code(1)
        .err_has("is a pre-defined network and cannot be removed");
    dom0.hyper(&["network", "rm", "one", "gone"])
        .code(1)
        .stdout("one\n")
        .err_has("network gone not found");
    dom0.sh("ip -4 -o addr").ok().out_lacks("10.60.0.9/24");
}

/// Debian's own client says and does the same.
fn docker(dom0: &Dom0<'_>) {
    let docker = |script: &str| {
        dom0.sh(&format!(
            "export DOCKER_HOST=unix:///run/hyper/hyperd.sock; {script}"
        ))
    };
    dom0.pull(BUSYBOX);
    docker("docker network create --internal -o com.docker.network.driver.mtu=1400 small").ok();
    docker(&format!(
        "docker run -d --annotation=hyper.type=pv --name web --network small --network-alias www -p 8080:80 {BUSYBOX} sleep 1000000"
    ))
    .ok();
    docker("docker exec web cat /sys/class/net/eth0/mtu")
        .ok()
        .stdout("1400\n");
    docker("docker network connect bridge web").ok();
    docker("docker port web").ok().stdout("80/tcp -> 0.0.0.0:8080\n");
    for shared in [
        "network ls",
        "network inspect small",
        "ps --format '{{.Ports}} {{.Networks}}'",
        "port web",
    ] {
        let theirs = docker(&format!("docker {shared}")).ok().text();
        assert_eq!(
            dom0.sh(&format!("hyper {shared}")).ok().text(),
            theirs,
            "{shared}"
        );
    }
    docker("docker network disconnect small web && docker rm -f web && docker network rm small").ok();
}
