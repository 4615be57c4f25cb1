//! The daemon killed while networks, their containers and floating IPs change: what was acknowledged holds, and the host's
//! links, addresses and rules are those of the records.

use super::{HOST, Outside, rules};
use crate::support::{BUSYBOX, Dice, Dom0, number};
use std::collections::BTreeSet;

const CONFIG: &str = "uplink = \"out0\"\nfloating-ips = [\"10.99.0.40-10.99.0.41\"]";
const KILLS: u32 = 4;

/// `HYPER_SEED` and `HYPER_KILLS` make it another, or longer.
pub fn while_it_changes(dom0: &Dom0<'_>) {
    let seed = number("HYPER_SEED").unwrap_or_else(std::process::id);
    let kills = number("HYPER_KILLS").unwrap_or(KILLS);
    println!("seed {seed}, {kills} kills");
    let mut dice = Dice(seed.into());
    let _outside = Outside::new(dom0);
    dom0.with_config(CONFIG, || {
        dom0.hyper(&["fip", "allocate", "2"]).ok();
        dom0.detached("stays", &["-p", "8080:80", BUSYBOX, "sleep", "1000000"]);
        let domid = dom0.sh("xl domid stays").ok().text();
        for kill in 1..=kills {
            let network = format!("net-{}", dice.roll(2));
            let fip = format!("10.99.0.4{}", dice.roll(2));
            let what = match dice.roll(7) {
                0 | 1 => format!("network create {network}"),
                2 => format!("network rm {network}"),
                3 => format!("network connect {network} stays"),
                4 => format!("network disconnect {network} stays"),
                5 => format!("fip associate {fip} stays"),
                _ => format!("fip disassociate {fip}"),
            };
            let after_ms = 50 + dice.roll(900);
            let done = dom0
                .sh(&format!(
                    "hyper {what} > /dev/null 2>&1 & command=$!; sleep {}.{:03}
                     systemctl kill -s KILL hyperd; wait $command; code=$?
                     systemctl reset-failed hyperd 2> /dev/null; systemctl start hyperd || exit 100; exit $code",
                    after_ms / 1000,
                    after_ms % 1000
                ))
                .code;
            let when = format!("seed {seed}, kill {kill}, {after_ms} ms into {what}, which ended with {done}");
            assert_ne!(done, 100, "{when}: hyperd does not start");
            let found = Found::of(dom0);
            if done == 0 {
                found.holds(&what, &network, &fip, &when);
            }
            found.is_as_recorded(&when);
        }
        assert_eq!(dom0.sh("xl domid stays").ok().text(), domid, "seed {seed}");
        dom0.exec("stays", &["true"]).ok();
        let before = rules(dom0);
        dom0.sh("systemctl restart hyperd").ok();
        assert_eq!(rules(dom0), before, "seed {seed}");
        dom0.remove("stays");
        dom0.sh("hyper network rm net-0 net-1; hyper fip ls -q | xargs hyper fip release");
        dom0.hyper(&["network", "ls", "-q", "-f", "type=custom"])
            .ok()
            .stdout("");
    });
}

/// What the records say, and what is there.
struct Found {
    networks: BTreeSet<String>,
    connected: BTreeSet<String>,
    floating: BTreeSet<String>,
    recorded: BTreeSet<String>,
    real: BTreeSet<String>,
}

impl Found {
    #[track_caller]
    fn of(dom0: &Dom0<'_>) -> Self {
        let words = |script: &str| -> BTreeSet<String> {
            let text = dom0.sh(script).ok().text();
            text.split_whitespace().map(str::to_owned).collect()
        };
        let ids =
            words("hyper network ls --no-trunc --format '{{.Name}}={{.ID}}' | grep -v -e none= -e host=");
        let bridge = |name: &str, id: &str| match name {
            "bridge" => "hyper0".to_owned(),
            _ => format!("hyper-{}", &id[..9]),
        };
        let by_name: Vec<_> = ids
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, id)| (name.to_owned(), bridge(name, id)))
            .collect();
        let connected = words(
            "hyper inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' stays",
        );
        let floating = words("hyper fip ls -q -f container=stays");

        let mut recorded: BTreeSet<_> = by_name.iter().map(|(_, bridge)| bridge.clone()).collect();
        for (name, bridge) in &by_name {
            if connected.contains(name) {
                recorded.insert(format!("{bridge}/vif"));
            }
        }
        recorded.insert(format!("{HOST}/24"));
        recorded.extend(floating.iter().map(|address| format!("{address}/32")));
        recorded.insert(format!("eth:{}", connected.len()));

        let mut real = words("cd /sys/class/net; ls -d hyper*/bridge | cut -d/ -f1");
        real.extend(words(
            "cd /sys/class/net
             for port in hyper*/brif/*; do [ ! -e $port ] || echo ${port%%/*}/vif; done
             ip -4 -o addr show dev out0 | awk '{ print $4 }'
             echo eth:$(hyper exec stays ls /sys/class/net | grep -c eth)",
        ));
        Self {
            networks: by_name.into_iter().map(|(name, _)| name).collect(),
            connected,
            floating,
            recorded,
            real,
        }
    }

    /// What was said to be done.
    fn holds(&self, what: &str, network: &str, fip: &str, when: &str) {
        let verb: Vec<_> = what.split(' ').take(2).collect();
        let (is, wanted) = match verb.as_slice() {
            ["network", "create"] => (self.networks.contains(network), true),
            ["network", "rm"] => (self.networks.contains(network), false),
            ["network", "connect"] => (self.connected.contains(network), true),
            ["network", _] => (self.connected.contains(network), false),
            [_, "associate"] => (self.floating.contains(fip), true),
            _ => (self.floating.contains(fip), false),
        };
        assert_eq!(is, wanted, "{when}");
    }

    fn is_as_recorded(&self, when: &str) {
        let differ: Vec<_> = self.recorded.symmetric_difference(&self.real).collect();
        assert!(differ.is_empty(), "{when}: {differ:?}");
    }
}
