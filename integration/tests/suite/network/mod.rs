//! Networks, with real traffic. The outside is a network namespace of dom0 that knows only its own link.

mod busy;
mod fence;
mod floating;
mod groups;
mod guests;
mod killed;
mod manage;
mod traffic;

use crate::support::{BUSYBOX, Dom0, Ran, Test, once, pv, pvh};

pub const TESTS: &[Test] = &[
    pvh("network::outside_and_in", traffic::outside_and_in),
    pv("network::published_ports", traffic::published_ports),
    pv("network::names", guests::names),
    pv("network::plugged", guests::plugged),
    pv("network::spoofing", fence::spoofing),
    pv("network::strangers", fence::strangers),
    pv("network::closed", fence::closed),
    pv("network::six", guests::six),
    pv("network::floating", floating::floating),
    pv("network::groups", groups::groups),
    pv("network::quiet", groups::quiet),
    pv("network::busy", busy::busy),
    pv("network::rate", traffic::rate),
    pv("network::hyperd_killed", traffic::hyperd_killed),
    pv("network::killed", killed::while_it_changes),
    once("network::of_users", manage::of_users),
    pv("network::docker", manage::docker),
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

/// Makes the link to the outside.
fn outside_link() -> String {
    format!(
        "ip link add out0 type veth peer name in0 netns outside
         ip addr add {HOST}/24 dev out0 && ip addr add {HOST6}/64 dev out0 nodad && ip link set out0 up
         ip -n outside addr add {OUTSIDE}/24 dev in0 && ip -n outside addr add {OUTSIDE6}/64 dev in0 nodad
         ip -n outside link set in0 up"
    )
}

struct Outside<'a, 'b>(&'a Dom0<'b>);

impl<'a, 'b> Outside<'a, 'b> {
    #[track_caller]
    fn new(dom0: &'a Dom0<'b>) -> Self {
        dom0.sh(&format!(
            "ip netns add outside && ip -n outside link set lo up
             {}
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
             exit 1",
            outside_link()
        ))
        .ok();
        Self(dom0)
    }

    /// A script of bash out there.
    #[track_caller]
    fn sh(&self, script: &str) -> Ran {
        self.command(&["bash", "-c", script])
    }

    #[track_caller]
    fn command(&self, args: &[&str]) -> Ran {
        self.0
            .command(&[&["ip", "netns", "exec", "outside"], args].concat())
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

/// Our rules without limits, in an order that is the same for the same rules.
#[track_caller]
fn rules(dom0: &Dom0<'_>) -> Vec<String> {
    let text = dom0
        .sh("nft -s list table inet hyper; nft -s list table bridge hyper")
        .ok()
        .text();
    let parts = text.split(['\n', ',']);
    let mut lines: Vec<_> = parts
        .map(|part| {
            part.replace("elements = {", "")
                .replace('}', "")
                .trim()
                .to_owned()
        })
        .collect();
    // Who has asked for names or begun connections lately comes and goes.
    lines.retain(|line| !line.contains("limit rate") && !line.contains("ct count over"));
    lines.sort();
    lines
}

/// Serves a file's content to each who connects.
const SERVE: &str = "echo from-$(hostname) > /tmp/page; exec nc -ll -p 80 -e cat /tmp/page";

#[track_caller]
fn server(dom0: &Dom0<'_>, name: &str, flags: &[&str]) {
    let mut args = vec!["--hostname", name];
    args.extend(flags);
    args.extend([BUSYBOX, "sh", "-c", SERVE]);
    dom0.detached(name, &args);
    listens(dom0, name);
}

/// Waits until a server answers itself.
#[track_caller]
fn listens(dom0: &Dom0<'_>, name: &str) {
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
