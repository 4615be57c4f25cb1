//! Runs the tests one after another in one lab; after each, nothing may be left.

use super::dom0::Dom0;
use integration::{Install, Lab, XenRelease, leaks};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Shows in a failure what the product said.
const REPORT: &str = "
echo '--- hyper ps -a'; timeout 20 hyper ps -a 2>&1
echo '--- journalctl -u hyperd'; journalctl -u hyperd -n 60 --no-pager -o cat
echo '--- xl list'; timeout 20 xl list
echo '--- xl dmesg'; xl dmesg | tail -5
for log in /var/log/xen/console/guest-*.log; do [ -e \"$log\" ] && echo \"--- $log\" && tail -20 \"$log\"; done; true";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guest {
    Pv,
    Pvh,
}

impl fmt::Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pv => "pv",
            Self::Pvh => "pvh",
        })
    }
}

#[derive(Clone, Copy)]
pub struct Test {
    name: &'static str,
    guests: &'static [Guest],
    body: fn(&Dom0<'_>),
}

/// A test of what differs between the types of guest, or passes through them.
pub const fn both(name: &'static str, body: fn(&Dom0<'_>)) -> Test {
    Test {
        name,
        guests: &[Guest::Pv, Guest::Pvh],
        body,
    }
}

/// A test of what is above the guest: the faster type will do.
pub const fn pv(name: &'static str, body: fn(&Dom0<'_>)) -> Test {
    Test {
        name,
        guests: &[Guest::Pv],
        body,
    }
}

/// A test that starts no guest.
pub const fn once(name: &'static str, body: fn(&Dom0<'_>)) -> Test {
    Test {
        name,
        guests: &[],
        body,
    }
}

/// What the environment says of how long a test is to be.
pub fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}

impl Test {
    /// One for each type of guest, with its full name.
    fn cases(&self) -> Vec<(String, Guest)> {
        if self.guests.is_empty() {
            return vec![(self.name.to_owned(), Guest::Pv)];
        }
        self.guests
            .iter()
            .map(|guest| (format!("{}::{guest}", self.name), *guest))
            .collect()
    }
}

/// Runs those whose names contain the first argument. Ends as Rust's own harness does, which scripts/test counts.
///
/// The lab goes down at the end, unless `HYPER_KEEP_LAB` is set; then a lab that runs already is used as it is.
pub fn run(tests: &[Test]) -> ExitCode {
    let mut filters: Vec<_> = std::env::args().skip(1).collect();
    let list = filters.iter().any(|arg| arg == "--list");
    filters.retain(|arg| !arg.starts_with("--") && !arg.is_empty());
    let cases: Vec<_> = tests
        .iter()
        .flat_map(|test| {
            test.cases()
                .into_iter()
                .map(|(name, guest)| (name, guest, test.body))
        })
        .filter(|(name, ..)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter)))
        .collect();
    if list {
        cases.iter().for_each(|(name, ..)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let mut suite = match Suite::up() {
        Ok(suite) => suite,
        Err(error) => {
            println!("the lab does not come up: {error:#}");
            println!("test result: FAILED. 0 passed; {} failed", cases.len().max(1));
            return ExitCode::FAILURE;
        }
    };
    println!("running {} tests", cases.len());
    let mut failed = Vec::new();
    for (name, guest, body) in &cases {
        print!("test {name} ... ");
        let _ = std::io::stdout().flush();
        let started = Instant::now();
        let mut result = suite.test(*guest, *body);
        if let (Err(why), true) = (&result, suite.emulator_failed()) {
            println!(
                "QEMU ran a guest with Xen's own registers: once more\n{}",
                indent(why)
            );
            result = suite.fresh().map_err(|error| format!("{error:#}"));
            print!("test {name} ... ");
            let _ = std::io::stdout().flush();
            if result.is_ok() {
                result = suite.test(*guest, *body);
            }
        }
        let seconds = started.elapsed().as_secs();
        match result {
            Ok(()) => println!("ok ({seconds} s)"),
            Err(why) => {
                println!("FAILED ({seconds} s)\n{}", indent(&why));
                failed.push(name);
                if let Err(error) = suite.fresh() {
                    println!("the lab does not come up again: {error:#}");
                    break;
                }
            }
        }
    }
    suite.end();
    if !failed.is_empty() {
        println!("\nfailures:");
        failed.iter().for_each(|name| println!("    {name}"));
    }
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {} failed",
        cases.len() - failed.len(),
        failed.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

struct Suite {
    lab: Lab,
    keep: bool,
    /// Images that are in this lab's store.
    pulled: RefCell<BTreeSet<String>>,
}

const LAB: &str = "suite";

impl Suite {
    fn up() -> anyhow::Result<Self> {
        let keep = std::env::var_os("HYPER_KEEP_LAB").is_some();
        let lab = match Lab::find(LAB) {
            Ok(lab) if keep => lab,
            _ => Lab::up(LAB, XenRelease::default(), Install::Current)?,
        };
        Ok(Self {
            lab,
            keep,
            pulled: RefCell::default(),
        })
    }

    /// What a failed test left must not fail the next.
    fn fresh(&mut self) -> anyhow::Result<()> {
        self.lab = Lab::up(LAB, XenRelease::default(), Install::Current)?;
        self.pulled.borrow_mut().clear();
        Ok(())
    }

    fn end(&self) {
        if !self.keep
            && let Err(error) = Lab::down(LAB)
        {
            println!("the lab does not go down: {error:#}");
        }
    }

    fn test(&self, guest: Guest, body: fn(&Dom0<'_>)) -> Result<(), String> {
        let dom0 = Dom0::new(&self.lab, guest, &self.pulled);
        let place = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&place);
        std::panic::set_hook(Box::new(move |panic| {
            if let (Some(at), Ok(mut place)) = (panic.location(), told.lock()) {
                *place = format!("{}:{}", at.file(), at.line());
            }
        }));
        let result = catch_unwind(AssertUnwindSafe(|| body(&dom0)));
        let _ = std::panic::take_hook();
        let why = match result {
            Err(panic) => {
                let place = place.lock().map(|place| place.clone()).unwrap_or_default();
                format!("at {place}: {}", message(panic.as_ref()))
            }
            Ok(()) => match self.left() {
                Ok(left) if left.is_empty() => return Ok(()),
                Ok(left) => format!("left behind:\n{}", left.join("\n")),
                Err(error) => format!("{error:#}"),
            },
        };
        let report = self
            .lab
            .script(REPORT)
            .unwrap_or_else(|error| format!("{error:#}"));
        Err(format!("{why}\n{report}"))
    }

    /// Whether QEMU's emulation of SVM went wrong since the last test, as `docs/lab.md` tells: Xen reports an HVM guest
    /// that was running at Xen's own code segment, which no processor and no fault of ours can bring about.
    fn emulator_failed(&self) -> bool {
        let report = self.lab.script("xl dmesg").unwrap_or_default();
        let lines: Vec<_> = report.lines().collect();
        lines
            .windows(2)
            .any(|pair| pair[0].contains("RIP:    e008:[<ffff82d0") && pair[1].contains("CONTEXT: hvm guest"))
    }

    fn left(&self) -> anyhow::Result<Vec<String>> {
        let mut left = leaks(&self.lab)?;
        let containers = self
            .lab
            .script("xl dmesg -c > /dev/null; hyper ps -a --format '{{.ID}} {{.Names}} {{.Status}}'")?;
        left.extend(containers.lines().map(|line| format!("container {line}")));
        Ok(left)
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "it panicked".to_owned())
}
