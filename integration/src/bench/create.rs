//! Creating, starting and destroying one guest.
//!
//! | | ours | the other |
//! | --- | --- | --- |
//! | create | the `xen` crate, from nothing to a paused guest | `xl create -p` |
//! | destroy | the same, to nothing left | `xl destroy` |
//! | first byte | `hyper run IMAGE echo`, from its start to the first byte it prints | unpause of the same kernel to its init |
//!
//! Both guests have the same kernel, initramfs, memory, a disk from a file, a nic on the same bridge and a console.

use crate::figures::{figures, moments, ratios, row};
use crate::lab::BenchLab;
use anyhow::{Context, Result};
use integration::Lab;
use std::collections::BTreeMap;

const IMAGE: &str = "localhost:5000/busybox";
const MEMORY_MIB: u32 = 128;
const DISK: &str = "/var/tmp/bench.img";

/// Milliseconds of each round.
#[derive(Default)]
struct Series {
    create: Vec<f64>,
    destroy: Vec<f64>,
    round_trips: Vec<f64>,
    xl_create: Vec<f64>,
    xl_destroy: Vec<f64>,
    first_byte: Vec<f64>,
    bare_boot: Vec<f64>,
}

pub fn run(rounds: u32, types: &[String]) -> Result<()> {
    let lab = BenchLab::up()?;
    lab.script(&format!(
        "truncate -s 64M {DISK} && mke2fs -q {DISK} && hyper pull -q {IMAGE} > /dev/null"
    ))?;
    for guest_type in types {
        let config = format!(
            r#"name = "xl-{guest_type}"
type = "{guest_type}"
kernel = "/usr/lib/hyper/vmlinux"
ramdisk = "/usr/lib/hyper/initramfs"
extra = "console=hvc0"
memory = {MEMORY_MIB}
vcpus = 1
disk = ["{DISK},raw,xvda,w"]
vif = ["bridge=xenbr0"]
"#
        );
        lab.script(&format!("cat > /var/tmp/{guest_type}.cfg <<'END'\n{config}END"))?;
    }
    for guest_type in types {
        let mut series = Series::default();
        // The first of each fills caches and is not counted.
        round(&lab, guest_type, &mut Series::default())?;
        for number in 1..=rounds {
            eprint!("\r{guest_type}: round {number} of {rounds}");
            round(&lab, guest_type, &mut series)?;
        }
        eprintln!();
        print(guest_type, &series);
    }
    Ok(())
}

fn round(lab: &Lab, guest_type: &str, series: &mut Series) -> Result<()> {
    let create = |more: &str| -> Result<BTreeMap<String, f64>> {
        let line = lab.script(&format!(
            "/usr/lib/hyper-tests/create --type {guest_type} --memory {MEMORY_MIB} --disk {DISK} --bridge xenbr0 {more}"
        ))?;
        Ok(figures(&line))
    };
    let ours = create("")?;
    let of = |figures: &BTreeMap<String, f64>, key: &str| {
        figures
            .get(key)
            .copied()
            .with_context(|| format!("create told no {key}"))
    };
    series.create.push(of(&ours, "create_us")? / 1000.0);
    series.destroy.push(of(&ours, "destroy_us")? / 1000.0);
    series.round_trips.push(of(&ours, "round_trips")?);

    let xl = moments(
        lab,
        &format!(
            "a=$EPOCHREALTIME; xl create -p -q /var/tmp/{guest_type}.cfg
             b=$EPOCHREALTIME; xl destroy xl-{guest_type}
             echo $a $b $EPOCHREALTIME"
        ),
    )?;
    series.xl_create.push(xl[1] - xl[0]);
    series.xl_destroy.push(xl[2] - xl[1]);

    let bare = create("--offer")?;
    series.bare_boot.push(of(&bare, "run_us")? / 1000.0);
    let run = moments(
        lab,
        &format!(
            "a=$EPOCHREALTIME
             b=$(hyper run --rm --type {guest_type} -m {MEMORY_MIB}m {IMAGE} echo hi | {{ read -rN1; echo $EPOCHREALTIME; cat > /dev/null; }})
             echo $a $b"
        ),
    )?;
    series.first_byte.push(run[1] - run[0]);
    Ok(())
}

fn print(guest_type: &str, series: &Series) {
    let rows = [
        ("create", "xl create -p", &series.create, &series.xl_create),
        ("destroy", "xl destroy", &series.destroy, &series.xl_destroy),
        (
            "hyper run, first byte",
            "bare boot",
            &series.first_byte,
            &series.bare_boot,
        ),
    ];
    println!(
        "\n{guest_type}, {MEMORY_MIB} MiB, disk, nic, console; {} rounds      median     least      most",
        series.create.len()
    );
    for (ours, theirs, our, their) in rows {
        for (what, values, digits) in [
            (format!("{ours}, ms"), our.clone(), 0),
            (format!("{theirs}, ms"), their.clone(), 0),
            (format!("{ours} : {theirs}"), ratios(our, their), 3),
        ] {
            row(&what, &values, digits);
        }
    }
    row("xenstore round trips of a create", &series.round_trips, 0);
}
