//! Security groups: what comes to a guest and goes from it is what their rules say now.

use super::{HOST, OUTSIDE, Outside, fetch, listens, server};
use crate::support::{BUSYBOX, Dom0};

const WEB: &str = "
description: web servers
ingress:
  - {protocol: tcp, ports: 80}
  - {protocol: tcp, ports: [90, 100-200], remote-group: clients}
egress:
  - {protocol: tcp, ports: 9000}
";

/// The same, and the host may come to port 90.
const WEB_AND_HOST: &str = "
ingress:
  - {protocol: tcp, ports: 80}
  - {protocol: tcp, ports: 90, remote-group: clients}
  - {protocol: tcp, ports: 90, remote-ip: 172.16.0.0/12}
egress:
  - {protocol: tcp, ports: 9000}
";

#[track_caller]
fn write(dom0: &Dom0<'_>, verb: &str, group: &str, rules: &str) {
    dom0.sh(&format!("hyper sg {verb} -f - {group} <<'END'\n{rules}\nEND"))
        .ok()
        .stdout(&format!("{group}\n"));
}

pub fn groups(dom0: &Dom0<'_>) {
    let outside = Outside::new(dom0);
    write(dom0, "create", "clients", "ingress: []");
    write(dom0, "create", "web", WEB);
    misused(dom0);
    server(dom0, "web", &["--sg", "web", "-p", "8080:80"]);
    dom0.hyper(&["exec", "-d", "web", "nc", "-ll", "-p", "90", "-e", "cat"])
        .ok();
    dom0.detached("client", &["--sg", "clients", BUSYBOX, "sleep", "1000000"]);
    dom0.idle("other", BUSYBOX);
    let address = dom0.inspect("web", "{{.NetworkSettings.IPAddress}}");
    let asks = |from: &str, port: &str| {
        dom0.exec(
            from,
            &["sh", "-c", &format!("echo hello | nc -w 3 {address} {port}")],
        )
        .text()
    };
    // In: to the port that is open for all, and to the other from its clients.
    outside
        .sh(&fetch(&format!("{HOST} 8080")))
        .ok()
        .stdout("from-web\n");
    assert_eq!(asks("other", "80"), "from-web");
    assert_eq!(asks("other", "90"), "");
    assert_eq!(asks("client", "90"), "hello");
    dom0.exec("other", &["ping", "-c", "1", "-W", "2", &address])
        .code(1);
    // Out: to where it may go, and to names.
    dom0.exec("web", &["nc", "-w", "20", OUTSIDE, "9000"])
        .ok()
        .stdout(&format!("{HOST}\n"));
    dom0.exec("web", &["ping", "-c", "1", "-W", "2", OUTSIDE]).code(1);
    dom0.exec("client", &["ping", "-c", "1", "-W", "10", OUTSIDE])
        .ok();
    dom0.exec("web", &["nslookup", "client"]).ok();
    live(dom0, &address);
    dom0.sh("systemctl restart hyperd").ok();
    assert_eq!(asks("other", "90"), "");
    assert_eq!(asks("client", "90"), "hello");
    // Into a group and out of it, while it runs.
    dom0.hyper(&["update", "--sg-add", "clients", "other"])
        .ok()
        .stdout("other\n");
    assert_eq!(asks("other", "90"), "hello");
    let groups = "{{index .HostConfig.Annotations \"hyper.sg\"}}";
    assert_eq!(dom0.inspect("other", groups), "clients");
    dom0.hyper(&["update", "--sg-rm", "clients", "other"]).ok();
    assert_eq!(asks("other", "90"), "");
    for (flag, message) in [
        (
            "--sg-rm=clients",
            "container other is not in security group clients",
        ),
        ("--sg-add=none", "No such security group: none"),
    ] {
        dom0.hyper(&["update", flag, "other"]).code(1).err_has(message);
    }
    dom0.hyper(&["rm", "-f", "web", "client", "other"]).ok();
    // Without guests in groups connections on bridges are nobody's concern.
    dom0.sh("nft list table bridge hyper")
        .ok()
        .out_lacks("ct direction");
    dom0.hyper(&["sg", "rm", "web", "clients"])
        .ok()
        .stdout("web\nclients\n");
}

/// On a closed network nothing comes to a guest but what it has called for, what it publishes, and whom it is linked to.
pub fn quiet(dom0: &Dom0<'_>) {
    let outside = Outside::new(dom0);
    dom0.hyper(&["network", "create", "-o", "hyper.closed=maybe", "quiet"])
        .one_error("invalid hyper.closed");
    dom0.hyper(&["network", "create", "-o", "hyper.closed=true", "quiet"])
        .ok();
    server(dom0, "db", &["--network", "quiet"]);
    server(dom0, "web", &["--network", "quiet", "-p", "8080:80"]);
    let asks = |from: &str, whom: &str| {
        dom0.exec(from, &["sh", "-c", &format!("nc -w 3 {whom} 80 < /dev/null")])
            .text()
    };
    dom0.exec("web", &["nslookup", "db"]).ok();
    assert_eq!(asks("web", "db"), "");
    dom0.exec("web", &["ping", "-c", "1", "-W", "2", "db"]).code(1);
    dom0.exec("web", &["nc", "-w", "20", OUTSIDE, "9000"])
        .ok()
        .stdout(&format!("{HOST}\n"));
    outside
        .sh(&fetch(&format!("{HOST} 8080")))
        .ok()
        .stdout("from-web\n");
    // A link opens the way there, and not back; after a restart of either end and of hyperd, too.
    dom0.hyper(&["link", "web", "db:store"]).ok();
    assert_eq!(asks("web", "store"), "from-db");
    assert_eq!(asks("db", "web"), "");
    dom0.hyper(&["restart", "-t", "0", "db"]).ok();
    listens(dom0, "db");
    dom0.sh("systemctl restart hyperd").ok();
    assert_eq!(asks("web", "store"), "from-db");
    assert_eq!(asks("db", "web"), "");
    // Groups are no obstacle to it.
    write(dom0, "create", "mute", "{ingress: [], egress: []}");
    for name in ["db", "web"] {
        dom0.hyper(&["update", "--sg-add", "mute", name]).ok();
    }
    assert_eq!(asks("web", "store"), "from-db");
    dom0.exec("web", &["nc", "-w", "3", OUTSIDE, "9000"]).code(1);
    dom0.hyper(&["rm", "-f", "web", "db"]).ok();
    dom0.hyper(&["sg", "rm", "mute"]).ok();
    dom0.hyper(&["network", "rm", "quiet"]).ok();
}

/// A connection that exists stops when it is no longer allowed, and goes on when it is again.
fn live(dom0: &Dom0<'_>, web: &str) {
    write(dom0, "update", "web", WEB_AND_HOST);
    dom0.sh(&format!(
        "exec 3<> /dev/tcp/{web}/90 || exit 1
         echo one >&3; read -rt 10 line <&3 && [ $line = one ] || exit 2
         hyper sg update -f - web <<< '{WEB}' || exit 3
         echo two >&3; read -rt 3 line <&3 && exit 4
         hyper sg update -f - web <<< '{WEB_AND_HOST}' || exit 5
         read -rt 60 line <&3 && [ $line = two ]"
    ))
    .ok();
    write(dom0, "update", "web", WEB);
}

fn misused(dom0: &Dom0<'_>) {
    let refused = |script: &str, message: &str| {
        dom0.sh(script).code(1).err_has(message);
    };
    refused(
        "hyper sg create -f - web <<< '{}'",
        "security group web exists already",
    );
    refused(
        "hyper sg update -f - none <<< '{}'",
        "No such security group: none",
    );
    refused(
        "hyper sg create -f - new <<< 'ingress: [{remote-group: none}]'",
        "No such security group: none",
    );
    refused(
        "hyper sg create -f - new <<< 'ingress: [{ports: 80}]'",
        "only tcp and udp have ports",
    );
    refused("hyper sg create -f - new <<< 'ingres: []'", "ingres");
    refused("hyper sg rm clients", "is in use by rules of group web");
    dom0.hyper(&["run", "--rm", "--sg", "none", BUSYBOX, "true"])
        .code(125)
        .err_has("No such security group: none");
    dom0.hyper(&["create", "--name", "holder", "--sg", "web", BUSYBOX])
        .ok();
    refused("hyper sg rm web", "is in use by a container");
    dom0.hyper(&[
        "sg",
        "ls",
        "--format",
        "{{.Name}} {{.Description}} {{.Containers}}",
    ])
    .ok()
    .stdout("clients  \nweb web servers holder\n");
    dom0.hyper(&["sg", "inspect", "-f", "{{(index .Ingress 1).RemoteGroup}}", "web"])
        .ok()
        .stdout("clients\n");
    dom0.remove("holder");
}
