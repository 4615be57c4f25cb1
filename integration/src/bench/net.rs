//! Traffic of guests, and attaching an interface.
//!
//! | | ours | the other |
//! | --- | --- | --- |
//! | dom0 to guest, guest to guest | containers on the default network | guests of `xl` with the same kernel and program, on a bridge by Debian's `vif-bridge` |
//! | attach | `hyper network connect` to one that runs | `xl network-attach` |
//!
//! Throughput is of one TCP connection, latency a byte there and back.
//!
//! An attach has three ends: the interface is up on its bridge, which is what `xl network-attach` waits for; the guest has
//! connected it; the command has returned, ours when the guest has its address.

use crate::figures::{figures, moments, ratios, row};
use crate::lab::BenchLab;
use anyhow::{Context, Result};
use integration::Lab;
use std::collections::BTreeMap;

const IMAGE: &str = "localhost:5000/busybox";
const TRAFFIC: &str = "/usr/lib/hyper-tests/traffic";
/// Of the bridge that the lab has for guests of `xl`.
const XL_GUESTS: [&str; 2] = ["10.77.0.21", "10.77.0.22"];

const SET_UP: &str = r#"set -e
hyper pull -q IMAGE > /dev/null
hyper network create second > /dev/null
for name in net-1 net-2; do
    hyper create --type pv -m 128m --name $name IMAGE /traffic serve > /dev/null
    hyper cp TRAFFIC $name:/traffic
done
rm -rf /var/tmp/net; mkdir -p /var/tmp/net/tree
hyper export net-1 | tar -C /var/tmp/net/tree -x
cat > /var/tmp/net/tree/start <<'END'
#!/bin/sh
mount -t devtmpfs dev /dev
mkdir -p /sys; mount -t sysfs sys /sys
# The kernel starts this without waiting for its devices.
until [ -e /sys/class/net/eth0 ]; do :; done
ip addr add $address/24 dev eth0
ip link set eth0 up
exec /traffic serve
END
chmod 755 /var/tmp/net/tree/start; mkdir -p /var/tmp/net/tree/dev
hyper start net-1 net-2 > /dev/null
number=0
for address in ADDRESSES; do
    number=$((number + 1))
    truncate -s 64M /var/tmp/net/$number.img; mke2fs -q -t ext4 -d /var/tmp/net/tree /var/tmp/net/$number.img
    cat > /var/tmp/net/$number.cfg <<END
name = "xl-net-$number"
type = "pv"
kernel = "/usr/lib/hyper/vmlinux"
extra = "console=hvc0 root=/dev/xvda rootwait rw init=/start address=$address"
memory = 128
vcpus = 1
disk = ["/var/tmp/net/$number.img,raw,xvda,w"]
vif = ["bridge=xenbr0"]
END
    xl create -q /var/tmp/net/$number.cfg
done
for address in ADDRESSES; do
    until TRAFFIC ask $address 127.0.0.1 > /dev/null 2>&1; do sleep 1; done
done
rm -r /var/tmp/net/tree"#;

/// The moments of one attach: begun, the command has returned, the interface is up on its bridge, the guest has
/// connected. The last two are the kernel's word by netlink, which waits in a pipe until the command has returned.
const ATTACH: &str = r#"coproc ip -ts -o monitor link
sleep .3
begun=$EPOCHREALTIME; ATTACH; command=$EPOCHREALTIME
bridge=; guest=
while [ -z "$guest" ]; do
    read -t 30 -r at link <&"${COPROC[0]}"
    [[ $link == *vif*' master '* ]] || continue
    at=${at#[}; at=${at%]}
    if [[ -z $bridge && $link =~ [,\<]UP[,\>] ]]; then bridge=$at; fi
    if [[ $link =~ [,\<]LOWER_UP[,\>] ]]; then guest=$at; fi
done
kill $COPROC_PID
DETACH
echo $begun $command $(date +%s.%N -d $bridge) $(date +%s.%N -d $guest)"#;

pub fn run(rounds: u32) -> Result<()> {
    let lab = BenchLab::up()?;
    lab.script(
        &SET_UP
            .replace("IMAGE", IMAGE)
            .replace("TRAFFIC", TRAFFIC)
            .replace("ADDRESSES", &XL_GUESTS.join(" ")),
    )?;
    let address = |name: &str| -> Result<String> {
        let format = "{{.NetworkSettings.Networks.bridge.IPAddress}}";
        let address = lab.script(&format!("hyper inspect -f '{format}' {name}"))?;
        Ok(address.trim().to_owned())
    };
    let ours = [address("net-1")?, address("net-2")?];
    let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    // The first fills caches and is not counted.
    round(&lab, &ours, &mut BTreeMap::new())?;
    for number in 1..=rounds {
        eprint!("\rround {number} of {rounds}");
        round(&lab, &ours, &mut series)?;
    }
    eprintln!();
    println!("TCP, pv guests of 1 vcpu and 128 MiB, {rounds} rounds      median     least      most");
    for (what, key, digits) in [
        ("dom0 to guest, MiB/s", "dom0 mib_per_s", 1),
        ("dom0 to guest and back, us", "dom0 turn_us", 0),
        ("guest to guest, MiB/s", "guest mib_per_s", 1),
        ("guest to guest and back, us", "guest turn_us", 0),
        ("attach, until up on its bridge, ms", "attach bridge", 0),
        ("attach, until the guest has connected, ms", "attach guest", 0),
        ("attach, until the command returns, ms", "attach command", 0),
    ] {
        let of = |whose: &str| {
            series
                .get(&format!("{whose} {key}"))
                .map_or(&[][..], Vec::as_slice)
        };
        row(&format!("{what}: hyper"), of("hyper"), digits);
        row(&format!("{what}: xl"), of("xl"), digits);
        row(&format!("{what}: ratio"), &ratios(of("hyper"), of("xl")), 3);
    }
    Ok(())
}

fn round(lab: &Lab, ours: &[String; 2], series: &mut BTreeMap<String, Vec<f64>>) -> Result<()> {
    let mut put = |whose: &str, what: &str, line: &str| -> Result<()> {
        let figures = figures(line);
        for key in ["mib_per_s", "turn_us"] {
            let figure = figures
                .get(key)
                .with_context(|| format!("{whose}: no {key}: {line}"))?;
            series
                .entry(format!("{whose} {what} {key}"))
                .or_default()
                .push(*figure);
        }
        Ok(())
    };
    let theirs = XL_GUESTS.map(str::to_owned);
    let both = [("hyper", ours), ("xl", &theirs)];
    for (whose, [first, _]) in both {
        put(whose, "dom0", &lab.script(&format!("{TRAFFIC} measure {first}"))?)?;
    }
    for (whose, [first, second]) in both {
        put(
            whose,
            "guest",
            &lab.script(&format!("{TRAFFIC} ask {first} {second}"))?,
        )?;
    }
    for (whose, attach, detach) in [
        (
            "hyper",
            "hyper network connect second net-1",
            "hyper network disconnect second net-1",
        ),
        (
            "xl",
            "xl network-attach xl-net-1 bridge=xenbr0",
            "xl network-detach xl-net-1 $(xl network-list xl-net-1 | awk 'END { print $1 }')",
        ),
    ] {
        let at = moments(lab, &ATTACH.replace("ATTACH", attach).replace("DETACH", detach))?;
        let [begun, command, bridge, guest] = at[..] else {
            anyhow::bail!("{whose}: not four moments: {at:?}");
        };
        for (end, at) in [("bridge", bridge), ("guest", guest), ("command", command)] {
            let took = at - begun;
            series
                .entry(format!("{whose} attach {end}"))
                .or_default()
                .push(took);
        }
    }
    Ok(())
}
