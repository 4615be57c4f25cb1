//! Putting together the device of an image's root, whose layers and index are there: a loop device for each part and the
//! device mapper over them.
//!
//! | ours | the other |
//! | --- | --- |
//! | `LoopDevice`, `LinearDevice` of the `xen` crate | `losetup` for each part and `dmsetup create` |

use crate::figures::{figures, ratios, row};
use crate::lab::BenchLab;
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// Of four layers.
const IMAGE: &str = "localhost:5000/redis";

const TOOLS: &str = r#"set -e
a=$EPOCHREALTIME; sector=0; table=''; loops=()
for file in "$@"; do
    loop=$(losetup -rf --show "$file"); loops+=("$loop")
    length=$(($(stat -c %s "$file") / 512)); table+="$sector $length linear $loop 0"$'\n'; sector=$((sector + length))
done
dmsetup create --readonly measured <<< "${table%$'\n'}"
b=$EPOCHREALTIME
dmsetup remove measured; losetup -d "${loops[@]}"
echo "all_us=$((${b/./} - ${a/./}))""#;

pub fn run(rounds: u32) -> Result<()> {
    let lab = BenchLab::up()?;
    lab.script(&format!(
        "hyper pull -q {IMAGE} > /dev/null; cat > /var/tmp/tools <<'END'\n{TOOLS}\nEND"
    ))?;
    let parts = lab.script(&format!(
        r#"hyper create --name measured {IMAGE} > /dev/null
        hyper inspect --plan --format json measured | grep -o '"root":{{[^}}]*}}' | grep -o '"/[^"]*"' | tr -d '"' | tr '\n' ' '
        hyper rm measured > /dev/null"#
    ))?;
    let mut series: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    // The first fills caches and is not counted.
    for number in 0..=rounds {
        eprint!("\rround {number} of {rounds}");
        let ours = figures(&lab.script(&format!("/usr/lib/hyper-tests/root_device {parts}"))?);
        let tools = figures(&lab.script(&format!("bash /var/tmp/tools {parts}"))?);
        if number == 0 {
            continue;
        }
        for (what, of, key) in [
            ("loop devices, ms", &ours, "loops_us"),
            ("device mapper, ms", &ours, "linear_us"),
            ("all, ms", &ours, "all_us"),
            ("losetup and dmsetup, ms", &tools, "all_us"),
        ] {
            let figure = of.get(key).with_context(|| format!("no {key}"))?;
            series.entry(what).or_default().push(figure / 1000.0);
        }
    }
    eprintln!();
    println!(
        "root device of {} parts, {rounds} rounds                median     least      most",
        parts.split_whitespace().count()
    );
    for what in [
        "loop devices, ms",
        "device mapper, ms",
        "all, ms",
        "losetup and dmsetup, ms",
    ] {
        row(what, &series[what], 2);
    }
    let ratio = ratios(&series["all, ms"], &series["losetup and dmsetup, ms"]);
    row("ours : losetup and dmsetup", &ratio, 3);
    Ok(())
}
