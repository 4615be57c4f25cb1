//! Images on their way into the store and to a root, in CPU seconds of one processor, against the same bytes.
//!
//! | ours | the other |
//! | --- | --- |
//! | ingest | decompress (zlib-rs or zstd), two SHA-256, write, in one process |
//! | ingest and index | `skopeo copy`, then each layer hashed and through `mkfs.erofs --tar=f`, as containerd does it |
//! | ingest and index | `umoci unpack` |
//! | index, with all layers present | `cat` of the layers into a file |
//!
//! Every step ends with its data on disk. The tools are those of Debian 13, in a folder of their own.

use crate::figures::{Spread, ratios};
use anyhow::{Context, Result, ensure};
use integration::{bench_image, bench_tools, cache, target};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The processor that everything runs on.
const PROCESSOR: &str = "0";

/// Layers one after the other, each hashed packed and unpacked on its way.
const CONTAINERD: &str = r#"set -euo pipefail
skopeo copy --quiet --insecure-policy "oci:$1:latest" "dir:$2/copied"
cd "$2/copied"
for blob in *; do
    case $(od -An -tx1 -N4 "$blob" | tr -d ' ') in
        1f8b*) unpack=(gzip -dc) ;;
        28b52ffd) unpack=(zstd -q -dc) ;;
        *) continue ;;
    esac
    "${unpack[@]}" < "$blob" | tee >(sha256sum > /dev/null) | mkfs.erofs --tar=f --quiet -Enoinline_data "$2/$blob.erofs" > /dev/null
done
wait
sync -f "$2""#;

struct Bench {
    tools: PathBuf,
    work: PathBuf,
    measure: PathBuf,
}

/// CPU seconds of each step, round by round.
type Series = BTreeMap<&'static str, Vec<f64>>;

pub fn run(rounds: u32) -> Result<()> {
    let image = bench_image()?;
    let tools = bench_tools()?;
    // On a disk, since a disk is what the store is on.
    let folder = tempfile::tempdir_in(cache()?)?;
    let bench = Bench {
        work: folder.path().to_owned(),
        tools,
        measure: target().join("release/examples/measure"),
    };
    println!("{}", facts(&image)?);
    for compression in ["gzip", "zstd"] {
        let layout = image.join(compression);
        let mut series = Series::new();
        // The first fills caches and is not counted.
        bench.round(&layout, &mut Series::new())?;
        for number in 1..=rounds {
            eprint!("\r{compression}: round {number} of {rounds}");
            bench.round(&layout, &mut series)?;
        }
        eprintln!();
        print(compression, &series);
    }
    Ok(())
}

fn facts(image: &Path) -> Result<String> {
    let facts: serde_json::Value = serde_json::from_slice(&fs::read(image.join("facts.json"))?)?;
    let mib = facts["bytes"].as_u64().context("no size")? >> 20;
    Ok(format!(
        "an image of {} layers, {} files, {mib} MiB",
        facts["layers"], facts["files"]
    ))
}

impl Bench {
    fn round(&self, layout: &Path, series: &mut Series) -> Result<()> {
        let store = self.empty("store")?;
        let mut add = |what, seconds| series.entry(what).or_default().push(seconds);
        let measure =
            |step, folder: &Path| self.cpu("\"$@\"", &[&self.measure, Path::new(step), layout, folder]);
        add("baseline", measure("baseline", &self.empty("baseline")?)?);
        let ingest = measure("ingest", &store)?;
        add("ingest", ingest);
        let cat = self.empty("cat")?;
        let into = "cat \"$1\"/layers/*.tar > \"$2/all\"; sync \"$2/all\"";
        add("cat", self.cpu(into, &[&store, &cat])?);
        let index = measure("index", &store)?;
        add("index", index);
        add("both", ingest + index);
        let (tars, all) = (bytes(&store.join("layers"), "tar")?, bytes(&store, "")?);
        add("disk", all as f64 / tars as f64);
        let _ = (self.empty("store")?, self.empty("cat")?, self.empty("baseline")?);
        add("containerd", self.tool(layout, CONTAINERD)?);
        // Debian 13's umoci reads no zstd.
        if layout.ends_with("gzip") {
            let umoci =
                "set -e; umoci --log=error unpack --image \"$1:latest\" \"$2/unpacked\"; sync -f \"$2\"";
            add("umoci", self.tool(layout, umoci)?);
        }
        Ok(())
    }

    fn empty(&self, name: &str) -> Result<PathBuf> {
        let folder = self.work.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// Runs a script in the folder of the tools, with a layout as $1 and an empty folder as $2.
    fn tool(&self, layout: &Path, script: &str) -> Result<f64> {
        let out = self.empty("out")?;
        let inside = r#"set -e
            mkdir -p "$1/layout" "$1/out"
            mount --bind "$2" "$1/layout"
            mount --bind "$3" "$1/out"
            mount -t proc proc "$1/proc"
            mount --rbind /dev "$1/dev"
            exec chroot "$1" bash -c "$4" bash /layout /out"#;
        let seconds = self.cpu(
            r#"unshare --mount bash -c "$1" bash "$2" "$3" "$4" "$5""#,
            &[Path::new(inside), &self.tools, layout, &out, Path::new(script)],
        )?;
        self.empty("out")?;
        Ok(seconds)
    }

    /// CPU seconds of a script and all that it starts.
    fn cpu(&self, script: &str, args: &[&Path]) -> Result<f64> {
        let timed = format!("set -e; TIMEFORMAT='cpu %3U %3S'; time {{ {script}; }}");
        let output = Command::new("taskset")
            .args(["-c", PROCESSOR, "bash", "-c", &timed, "bash"])
            .args(args)
            .output()
            .context("cannot run taskset")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{script:?} failed: {}", said.trim());
        let line = said.lines().rev().find_map(|line| line.strip_prefix("cpu "));
        let seconds = line.map(|line| line.split(' ').map(str::parse::<f64>).sum::<Result<f64, _>>());
        seconds
            .and_then(Result::ok)
            .with_context(|| format!("no times in {said:?}"))
    }
}

/// Bytes on disk of the files below a folder whose names end so.
fn bytes(folder: &Path, end: &str) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = path.metadata()?;
        if metadata.is_dir() {
            sum += bytes(&path, end)?;
        } else if path.to_string_lossy().ends_with(end) {
            sum += metadata.blocks() * 512;
        }
    }
    Ok(sum)
}

fn print(compression: &str, series: &Series) {
    let rounds = series.values().next().map_or(0, Vec::len);
    println!(
        "\n{compression}, one processor, {rounds} rounds                        median     least      most"
    );
    let row = |what: &str, values: &[f64], digits| {
        if let Some(spread) = Spread::of(values) {
            println!("  {what:<52}{}", spread.show(digits));
        }
    };
    for (what, key) in [
        ("decompress, two SHA-256, write; CPU s", "baseline"),
        ("ingest, CPU s", "ingest"),
        ("cat of the layers to a file, CPU s", "cat"),
        ("index, CPU s", "index"),
        ("skopeo copy and mkfs.erofs --tar=f, CPU s", "containerd"),
        ("umoci unpack, CPU s", "umoci"),
    ] {
        if let Some(values) = series.get(key) {
            row(what, values, 3);
        }
    }
    for (what, ours, theirs) in [
        ("ingest : decompress, two SHA-256, write", "ingest", "baseline"),
        ("index : cat of the layers", "index", "cat"),
        ("skopeo and mkfs.erofs : ingest and index", "containerd", "both"),
        ("umoci unpack : ingest and index", "umoci", "both"),
    ] {
        if let Some(theirs) = series.get(theirs)
            && let Some(ours) = series.get(ours)
        {
            row(what, &ratios(ours, theirs), 3);
        }
    }
    row("disk of the store : uncompressed tars", &series["disk"], 4);
}
