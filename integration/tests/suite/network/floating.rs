//! Floating IPs: both ways, through all that happens to a container, and whoever asks for them at once.

use super::{HOST, HOST6, OUTSIDE, OUTSIDE6, Outside, fetch, listens, outside_link, server};
use crate::support::Dom0;

const CONFIG: &str = "uplink = \"out0\"\nfloating-ips = [\"10.99.0.40-10.99.0.44\", \"fd99::40\"]";
const FIRST: &str = "10.99.0.40";
const SIX: &str = "fd99::40";

pub fn floating(dom0: &Dom0<'_>) {
    let outside = Outside::new(dom0);
    dom0.hyper(&["fip", "allocate"])
        .code(1)
        .err_has("set `floating-ips`");
    dom0.with_config(CONFIG, || {
        dom0.hyper(&["fip", "allocate", "6"])
            .ok()
            .stdout("10.99.0.40\n10.99.0.41\n10.99.0.42\n10.99.0.43\n10.99.0.44\nfd99::40\n");
        server(dom0, "web", &[]);
        lives(dom0, &outside);
        uplink_changes(dom0, &outside);
        misused(dom0);
        six(dom0, &outside);
        at_once(dom0);
        dom0.hyper(&["rm", "-f", "web", "other"]).ok();
        dom0.sh("hyper fip ls -q -f dangling=true | xargs hyper fip release")
            .ok();
        dom0.hyper(&["fip", "ls", "-q"]).ok().stdout("");
    });
}

/// `web` is called at its address, and calls from it.
fn both_ways(dom0: &Dom0<'_>, outside: &Outside<'_, '_>) {
    outside
        .sh(&fetch(&format!("{FIRST} 80")))
        .ok()
        .stdout("from-web\n");
    dom0.exec("web", &["nc", "-w", "20", OUTSIDE, "9000"])
        .ok()
        .stdout(&format!("{FIRST}\n"));
}

fn lives(dom0: &Dom0<'_>, outside: &Outside<'_, '_>) {
    let reached = || both_ways(dom0, outside);
    // The outside knows another station by that address until it is told.
    outside
        .sh(&format!(
            "ip neigh add {FIRST} lladdr 02:00:00:00:00:99 dev in0 nud stale"
        ))
        .ok();
    dom0.hyper(&["fip", "name", FIRST, "entry"]).ok();
    dom0.hyper(&["fip", "associate", "entry", "web"]).ok();
    outside
        .sh(&format!("ip neigh show {FIRST}"))
        .ok()
        .out_lacks("02:00:00:00:00:99");
    reached();
    // From the host too; what the host itself serves is elsewhere.
    dom0.sh(&fetch(&format!("{FIRST} 80"))).ok().stdout("from-web\n");
    outside.sh(&fetch(&format!("{FIRST} 22"))).code(1);
    dom0.hyper(&["stop", "-t", "0", "web"]).ok();
    dom0.sh("ip addr show out0").ok().out_lacks(FIRST);
    dom0.hyper(&["start", "web"]).ok();
    listens(dom0, "web");
    reached();
    dom0.sh("systemctl kill -s KILL hyperd; systemctl stop hyperd; ip addr del 10.99.0.40/32 dev out0; ip addr add 10.99.0.99/32 dev out0; systemctl start hyperd")
        .ok();
    reached();
    dom0.sh("ip addr show out0 | grep 10.99.0.99 && ip addr del 10.99.0.99/32 dev out0")
        .ok();
    dom0.hyper(&[
        "fip",
        "ls",
        "--format",
        "{{.Address}} {{.Name}} {{.Container}}",
        "-f",
        "dangling=false",
    ])
    .ok()
    .stdout("10.99.0.40 entry web\n");
}

/// The uplink loses what is on it, is down for a while, and is made anew; hyperd puts back what is ours.
fn uplink_changes(dom0: &Dom0<'_>, outside: &Outside<'_, '_>) {
    for change in [
        format!(
            "ip addr flush dev out0; ip addr add {HOST}/24 dev out0; ip addr add {HOST6}/64 dev out0 nodad"
        ),
        "ip link set out0 down; ip link set out0 up".to_owned(),
        format!("ip link del out0; {}", outside_link()),
    ] {
        dom0.sh(&change).ok();
        dom0.sh(&format!(
            "for try in $(seq 50); do
                 ip addr show out0 | grep {FIRST} && exit 0
                 read -rt 0.2 <> <(:) || true
             done
             exit 1"
        ))
        .ok();
        both_ways(dom0, outside);
    }
}

fn misused(dom0: &Dom0<'_>) {
    dom0.hyper(&["create", "--name", "other", crate::support::BUSYBOX])
        .ok();
    for (line, message) in [
        ("allocate", "1 floating IPs are not free"),
        ("associate 10.99.0.9 other", "No such floating IP: 10.99.0.9"),
        ("associate entry nobody", "No such container: nobody"),
        ("associate entry other", "is in use by container"),
        (
            "associate 10.99.0.41 web",
            "container web has the floating IP 10.99.0.40 already",
        ),
        ("associate fd99::40 other", "is on no network with IPv6"),
        ("disassociate 10.99.0.41", "is associated with no container"),
        ("disassociate other", "container other has no floating IP"),
        ("release entry", "disassociate it first"),
        ("name 10.99.0.41 entry", "the name entry is in use"),
    ] {
        let words: Vec<&str> = ["fip"].into_iter().chain(line.split(' ')).collect();
        dom0.hyper(&words).code(1).err_has(message);
    }
    // By force, to one that does not run; and by the older names.
    dom0.hyper(&["fip", "associate", "-f", "entry", "other"]).ok();
    dom0.sh("ip addr show out0").ok().out_lacks(FIRST);
    dom0.hyper(&["fip", "detach", "other"])
        .ok()
        .stdout("10.99.0.40\n");
    dom0.hyper(&["fip", "attach", "entry", "web"]).ok();
    dom0.sh("ip addr show out0").ok().out_has(FIRST);
}

fn six(dom0: &Dom0<'_>, outside: &Outside<'_, '_>) {
    dom0.hyper(&["network", "create", "--ipv6", "six"]).ok();
    server(dom0, "db", &["--network", "six"]);
    dom0.hyper(&["fip", "associate", SIX, "db"]).ok();
    outside.sh(&fetch(&format!("{SIX} 80"))).ok().stdout("from-db\n");
    dom0.exec("db", &["nc", "-w", "20", OUTSIDE6, "9000"])
        .ok()
        .stdout(&format!("{SIX}\n"));
    // Of one that is removed nobody has it.
    dom0.remove("db");
    dom0.sh("ip addr show out0").ok().out_lacks(SIX);
    dom0.hyper(&["fip", "ls", "-q", "-f", "dangling=true"])
        .ok()
        .out_has(SIX);
    dom0.hyper(&["network", "rm", "six"]).ok();
}

/// Twenty at a time: each address is in one place or none, and the host has what the records say.
fn at_once(dom0: &Dom0<'_>) {
    dom0.sh("for n in $(seq 20); do
             (to=web; [ $((n % 3)) = 0 ] && to=other
              hyper fip associate $([ $((n % 2)) = 0 ] && echo -f) 10.99.0.4$((n % 5)) $to
              hyper fip disassociate 10.99.0.4$(((n + 2) % 5))) > /dev/null 2>&1 &
         done; wait
         [ $(hyper fip ls -q | wc -l) = 6 ] || exit 1
         [ -z \"$(hyper fip ls --format '{{.Container}}' -f dangling=false | sort | uniq -d)\" ] || exit 2
         recorded=$(hyper fip ls -q -f container=web)
         placed=$(ip -4 -o addr show out0 | grep -o '10\\.99\\.0\\.4[0-4]' | sort -u)
         ruled=$(nft list map inet hyper floating_in4 | grep -o '10\\.99\\.0\\.4[0-4]')
         echo \"$recorded/$placed/$ruled\"
         [ \"$recorded\" = \"$placed\" ] && [ \"$recorded\" = \"$ruled\" ]")
        .ok();
}
