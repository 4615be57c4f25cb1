//! Many containers at once, again and again: all requests are answered, nothing is left, and the daemon does not grow.

use super::support::{BUSYBOX, Dom0, Test, number, pv};
use integration::leaks;
use std::time::Instant;

pub const TESTS: &[Test] = &[pv("many::at_once", at_once)];

const CONTAINERS: u32 = 4;
const ROUNDS: u32 = 3;
/// What the daemon may have more after the last round than after the second, in KiB: the allocator keeps what it likes.
const GROWTH_KIB: u64 = 4 << 10;

/// One command for each container, all at the same time. Each that ends is waited for as long as any other command, so one
/// that is wedged is a failure.
fn each(dom0: &Dom0<'_>, count: u32, command: impl Fn(u32) -> String) {
    let jobs: String = (1..=count).map(|n| format!("one {} &\n", command(n))).collect();
    let mut all = dom0.spawn_sh(&format!(
        "one() {{ said=$(\"$@\" 2>&1) || echo \"FAILED $*: $said\"; echo done; }}\n{jobs}wait"
    ));
    for _ in 0..count {
        all.expect("done\n");
    }
    all.finish().ok().out_lacks("FAILED");
}

fn round(dom0: &Dom0<'_>, count: u32) {
    let script = "trap 'exit 7' TERM; sleep 1000000 & wait";
    each(dom0, count, |n| {
        format!("hyper create --type pv -m 64m --name many-{n} {BUSYBOX} sh -c \"{script}\"")
    });
    each(dom0, count, |n| format!("hyper start many-{n}"));
    each(dom0, count, |n| format!("hyper exec many-{n} true"));
    let running = dom0.hyper(&["ps", "-q"]).ok().lines().len();
    assert_eq!(running, count as usize);
    each(dom0, count, |n| format!("hyper stop -t 120 many-{n}"));
    dom0.sh(
        "hyper inspect -f '{{.State.Status}} {{.State.ExitCode}}' $(hyper ps -aq) | sort | uniq -c | xargs",
    )
    .ok()
    .stdout(&format!("{count} exited 7\n"));
    each(dom0, count, |n| format!("hyper rm many-{n}"));
}

/// `HYPER_MANY` and `HYPER_ROUNDS` make it more.
fn at_once(dom0: &Dom0<'_>) {
    let count = number("HYPER_MANY").unwrap_or(CONTAINERS);
    let rounds = number("HYPER_ROUNDS").unwrap_or(ROUNDS);
    println!("{count} containers, {rounds} rounds");
    dom0.pull(BUSYBOX);
    let mut second = None;
    for at in 1..=rounds {
        let begun = Instant::now();
        round(dom0, count);
        assert_eq!(leaks(dom0.lab).expect("the lab answers"), Vec::<String>::new());
        let of_process = |key: &str| -> u64 {
            let status = "/proc/$(systemctl show -p MainPID --value hyperd)/status";
            let figure = dom0
                .sh(&format!("awk '/^{key}:/ {{ print $2 }}' {status}"))
                .ok()
                .text();
            figure.parse().expect("a number")
        };
        let kib = of_process("VmRSS");
        println!(
            "    round {at}: {} s, hyperd has {kib} KiB, {} of them of no file",
            begun.elapsed().as_secs(),
            of_process("RssAnon"),
        );
        if at == 2 {
            second = Some(kib);
        }
        let bound = second.map_or(u64::MAX, |second| second + GROWTH_KIB);
        assert!(kib <= bound, "the daemon grows beyond {bound} KiB");
    }
}
