//! What registries and archives may try. Each attempt is met in a process of its own, which has a limited address space
//! and tells its peak memory, and leaves the store byte for byte as it was.

mod archives;
mod layers;
mod registries;
mod server;

use crate::layer::digest_of;
use crate::{Credentials, Error, Name, Registries, Retry, Store};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// What the other process is told, a line each: the store, what to do, and with what.
const TASK: &str = "HYPER_HOSTILE_TASK";
/// Much more than it needs: threads and allocators reserve what they never use.
const ADDRESS_SPACE_BYTES: u64 = 4 << 30;
/// The peak of a pull or load of any small image: the program, its runtime and buffers, a decompressor's window.
const USUAL_MIB: u64 = 64;

/// A store with an image in it.
struct Bench {
    root: tempfile::TempDir,
}

/// What came of an attempt.
struct Met {
    said: Vec<String>,
    peak_mib: u64,
}

impl Bench {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        crate::save::tests::image(&store, "there:1", &[b"one", b"two"]).await;
        Self { root }
    }

    /// Path and digest of each file.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => drop(found.insert(path.clone(), digest_of(&fs::read(path).unwrap()))),
                }
            }
        }
        found
    }

    /// Has `what` done in a process of its own.
    fn meet(&self, kind: &str, what: &[String]) -> Met {
        let task = [&[self.root.path().display().to_string(), kind.to_owned()], what].concat();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hostile_tests::other_process", "--nocapture"])
            .env(TASK, task.join("\n"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let lines = |beginning: &str| {
            let lines = text.lines().filter_map(|line| line.strip_prefix(beginning));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let peak = lines("PEAK ");
        assert!(
            output.status.success() && peak.len() == 1,
            "{kind} {what:?}: {}\n{text}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Met {
            said: lines("SAID "),
            peak_mib: peak[0].parse::<u64>().unwrap() >> 10,
        }
    }

    /// All of `what` is refused, each with one line that has `why` in it.
    fn refused(&self, kind: &str, what: &[String], why: &str, most_mib: u64) {
        let before = self.files();
        let met = self.meet(kind, what);
        assert_eq!(met.said.len(), what.len(), "{:?}", met.said);
        for said in &met.said {
            let said = said
                .strip_prefix("error: ")
                .unwrap_or_else(|| panic!("{what:?}: {said}"));
            assert!(said.contains(why) && said.len() < 700, "{why:?} in {said:?}");
        }
        assert!(
            met.peak_mib <= most_mib,
            "{} MiB at {what:?}: {:?}",
            met.peak_mib,
            met.said
        );
        let after = self.files();
        assert!(before == after, "{what:?}: {before:#?}\n{after:#?}");
        println!("{:>4} MiB {}", met.peak_mib, met.said[0]);
    }
}

/// Nothing in an ordinary run: [`Bench::meet`] calls this test alone.
#[test]
fn other_process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let limit = Rlimit {
        current: Some(ADDRESS_SPACE_BYTES),
        maximum: Some(ADDRESS_SPACE_BYTES),
    };
    setrlimit(Resource::As, limit).unwrap();
    let mut lines = task.lines();
    let store = Store::open(Path::new(lines.next().unwrap())).unwrap();
    let kind = lines.next().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!();
    for what in lines {
        let said = match runtime.block_on(act(&store, kind, what)) {
            Ok(said) => said,
            Err(error) => format!("error: {}", chain(&error)),
        };
        println!("SAID {}", said.replace('\n', "\\n"));
    }
    println!("PEAK {}", peak_kib());
}

/// An error with its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

async fn act(store: &Arc<Store>, kind: &str, what: &str) -> Result<String, Error> {
    match kind {
        "pull" => {
            let registries = Registries {
                retry: Retry {
                    first: Duration::from_millis(1),
                    longest: Duration::from_millis(1),
                    attempts: 3,
                },
                ..Registries::default()
            };
            let name: Name = what.parse()?;
            let image = store
                .pull(&name, &registries, Credentials::Anonymous, &|_| {})
                .await?;
            Ok(image.id)
        }
        "load" => {
            let archive = File::open(what).map_err(Error::read(what))?;
            let loaded = store.load_archive(archive, 0, Arc::new(|_| {})).await?;
            Ok(loaded
                .into_iter()
                .map(|image| image.id)
                .collect::<Vec<_>>()
                .join(" "))
        }
        "layer" => layers::add(store, what),
        _ => layers::merge(what),
    }
}
