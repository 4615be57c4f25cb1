//! Runs the tests in a few labs, in each one after another; after each, nothing may be left.

use super::dom0::Dom0;
use integration::{Install, Lab, XenRelease, leaks};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    offline: bool,
    body: fn(&Dom0<'_>),
}

const fn test(name: &'static str, guests: &'static [Guest], body: fn(&Dom0<'_>)) -> Test {
    Test {
        name,
        guests,
        offline: false,
        body,
    }
}

/// A test of what differs between the types of guest, or passes through them.
pub const fn both(name: &'static str, body: fn(&Dom0<'_>)) -> Test {
    test(name, &[Guest::Pv, Guest::Pvh], body)
}

/// A test of what is above the guest: the faster type will do.
pub const fn pv(name: &'static str, body: fn(&Dom0<'_>)) -> Test {
    test(name, &[Guest::Pv], body)
}

/// A test that others of its kind, which are of PV guests, leave to the other type.
pub const fn pvh(name: &'static str, body: fn(&Dom0<'_>)) -> Test {
    test(name, &[Guest::Pvh], body)
}

/// A test that starts no guest.
pub const fn once(name: &'static str, body: fn(&Dom0<'_>)) -> Test {
    test(name, &[], body)
}

/// What the environment says of how long a test is to be.
pub fn number(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}

/// Numbers that look random and are the same each time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

impl Test {
    /// It is of nothing that a network has a part in: a guest without one starts in two thirds of the time.
    pub const fn offline(self) -> Self {
        Self {
            offline: true,
            ..self
        }
    }

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
/// The labs go down at the end, unless `HYPER_KEEP_LAB` is set; then there is one, and if it runs already it is used as it is.
pub fn run(tests: &[Test]) -> ExitCode {
    let mut filters: Vec<_> = std::env::args().skip(1).collect();
    let list = filters.iter().any(|arg| arg == "--list");
    filters.retain(|arg| !arg.starts_with("--") && !arg.is_empty());
    let cases: Vec<_> = tests
        .iter()
        .flat_map(|test| {
            let cases = test.cases().into_iter();
            cases.map(move |(name, guest)| (name, guest, test))
        })
        .filter(|(name, ..)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter)))
        .collect();
    if list {
        cases.iter().for_each(|(name, ..)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("running {} tests", cases.len());
    note_places_of_panics();
    let queue = Mutex::new(cases.iter());
    let failed = Mutex::new(Vec::new());
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..labs() {
            let (queue, failed, done) = (&queue, &failed, &done);
            scope.spawn(move || {
                let work = || -> anyhow::Result<()> {
                    let mut suite = Suite::up(number)?;
                    loop {
                        let next = lock(queue).next();
                        let Some((name, guest, test)) = next else { break };
                        done.fetch_add(1, Ordering::Relaxed);
                        if !suite.case(name, *guest, test) {
                            lock(failed).push(name.clone());
                            suite.fresh()?;
                        }
                    }
                    suite.end();
                    Ok(())
                };
                if let Err(error) = work() {
                    println!("a lab does not come up: {error:#}");
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Those that no lab was there for.
    failed.extend(
        cases
            .iter()
            .skip(done.into_inner())
            .map(|(name, ..)| name.clone()),
    );
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

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many labs share the tests. `HYPER_LABS` says otherwise.
///
/// Each has two processors to itself: two labs on two of them take longer than one after the other, since a processor of
/// Xen's then often waits for one that does not run.
fn labs() -> usize {
    const LAB_BYTES: u64 = 6 << 30;
    const LAB_CPUS: usize = 2;
    if std::env::var_os(KEEP).is_some() {
        return 1;
    }
    let wanted = number("HYPER_LABS").map(|labs| labs as usize);
    wanted
        .unwrap_or_else(|| {
            let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
            let room = available_bytes() / LAB_BYTES;
            (cpus / LAB_CPUS)
                .min(usize::try_from(room).unwrap_or(usize::MAX))
                .min(4)
        })
        .max(1)
}

/// Memory that can be had without swapping.
fn available_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

thread_local! {
    /// Where this thread has panicked.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

fn note_places_of_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if let Some(at) = panic.location() {
            PLACE.set(format!("{}:{}", at.file(), at.line()));
        }
    }));
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

struct Suite {
    name: String,
    lab: Lab,
    /// Images that are in this lab's store.
    pulled: RefCell<BTreeSet<String>>,
}

const LAB: &str = "suite";
const KEEP: &str = "HYPER_KEEP_LAB";
const XEN: &str = "HYPER_LAB_XEN";

/// The Xen that the tests run on.
fn xen() -> anyhow::Result<XenRelease> {
    match std::env::var(XEN) {
        Ok(release) => release.parse().map_err(anyhow::Error::msg),
        Err(_) => Ok(XenRelease::default()),
    }
}

impl Suite {
    fn up(number: usize) -> anyhow::Result<Self> {
        let name = match number {
            0 => LAB.to_owned(),
            number => format!("{LAB}-{}", number + 1),
        };
        let lab = match Lab::find(&name) {
            Ok(lab) if std::env::var_os(KEEP).is_some() => lab,
            _ => Lab::up(&name, xen()?, Install::Current)?,
        };
        Ok(Self {
            name,
            lab,
            pulled: RefCell::default(),
        })
    }

    /// What a failed test left must not fail the next.
    fn fresh(&mut self) -> anyhow::Result<()> {
        self.lab = Lab::up(&self.name, xen()?, Install::Current)?;
        self.pulled.borrow_mut().clear();
        Ok(())
    }

    fn end(&self) {
        if std::env::var_os(KEEP).is_none()
            && let Err(error) = Lab::down(&self.name)
        {
            println!("the lab does not go down: {error:#}");
        }
    }

    /// Runs a test and tells how it went.
    fn case(&mut self, name: &str, guest: Guest, test: &Test) -> bool {
        let started = Instant::now();
        let mut result = self.test(guest, test);
        if let (Err(why), true) = (&result, self.emulator_failed()) {
            println!(
                "test {name}: QEMU ran a guest with Xen's own registers: once more\n{}",
                indent(why)
            );
            result = self.fresh().map_err(|error| format!("{error:#}"));
            if result.is_ok() {
                result = self.test(guest, test);
            }
        }
        let seconds = started.elapsed().as_secs();
        match &result {
            Ok(()) => println!("test {name} ... ok ({seconds} s)"),
            Err(why) => println!("test {name} ... FAILED ({seconds} s)\n{}", indent(why)),
        }
        result.is_ok()
    }

    fn test(&self, guest: Guest, test: &Test) -> Result<(), String> {
        let dom0 = Dom0::new(&self.lab, guest, test.offline, &self.pulled);
        let why = match catch_unwind(AssertUnwindSafe(|| (test.body)(&dom0))) {
            Err(panic) => format!("at {}: {}", PLACE.take(), message(panic.as_ref())),
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
        // How Xen or dom0 went down, if they did: the report is of what runs now.
        let console = self.lab.last_words();
        Err(format!("{why}\n{report}\n--- console\n{console}"))
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
