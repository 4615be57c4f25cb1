//! Bytes in and out: all of them, in order, each stream by itself.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[
    pv("stdio::stdin", stdin).offline(),
    pv("stdio::all_three_at_once", all_three_at_once).offline(),
    pv("stdio::reader_that_stops", reader_that_stops).offline(),
    pv("stdio::ends", ends).offline(),
];

/// 20 MB through `run -i` and `exec -i`; that they return shows that the end of input arrives.
fn stdin(dom0: &Dom0<'_>) {
    let (file, sum) = dom0.random_file(20);
    dom0.pull(BUSYBOX);
    dom0.sh(&format!(
        "hyper run --type {} -i --rm {BUSYBOX} sha256sum < {file}",
        dom0.guest
    ))
    .ok()
    .stdout(&format!("{sum}\n"));
    dom0.idle("sink", BUSYBOX);
    dom0.sh(&format!("hyper exec -i sink sha256sum < {file}"))
        .ok()
        .stdout(&format!("{sum}\n"));
    dom0.remove("sink");
}

/// 30 MB go in and come back on stdout and on stderr, as they went in.
fn all_three_at_once(dom0: &Dom0<'_>) {
    let (file, sum) = dom0.random_file(30);
    dom0.pull(BUSYBOX);
    dom0.sh(&format!(
        "hyper run --type {} -i --rm {BUSYBOX} tee /dev/stderr < {file} 2> >(sha256sum > /tmp/err-sum) | sha256sum
         wait $!; cat /tmp/err-sum; rm /tmp/err-sum",
        dom0.guest
    ))
    .ok()
    .stdout(&format!("{sum}\n{sum}\n"));
}

fn reader_that_stops(dom0: &Dom0<'_>) {
    const BYTES: usize = 24 << 20;
    dom0.idle("source", BUSYBOX);
    // Its stdout is a pipe that nobody reads from: much more than all buffers on the way hold.
    let mut stuck = dom0.spawn_sh(&format!(
        "mkfifo /tmp/stuck && exec 3<> /tmp/stuck
         hyper exec source sh -c 'head -c {BYTES} /dev/zero; echo all written >&2' >&3 & pid=$!
         dd bs=1 count=1 <&3 2> /dev/null | od -An -c
         echo started; read go
         (head -c {} <&3 | wc -c); wait $pid; echo $?; rm /tmp/stuck",
        BYTES - 1
    ));
    stuck.expect("started\n");
    // Others of the same guest, and the daemon, are not held up.
    dom0.hyper(&["ps", "-q"]).ok();
    dom0.exec("source", &["echo", "alive"]).ok().stdout("alive\n");
    dom0.sh("hyper exec source head -c 5242880 /dev/zero | wc -c")
        .ok()
        .stdout(&format!("{}\n", 5 << 20));
    // It is still stuck, which shows that the others went past it.
    dom0.exec("source", &["sh", "-c", "ps -o args | grep -q 'all writ[t]en'"])
        .ok();
    let ran = {
        stuck.send(b"go\n");
        stuck.finish()
    };
    assert_eq!(ran.error_text(), "all written\n", "{ran}");
    ran.out_has(&format!("{}\n0", BYTES - 1));
    dom0.remove("source");
}

fn ends(dom0: &Dom0<'_>) {
    dom0.idle("ends", BUSYBOX);
    let (file, _) = dom0.random_file(20);
    // A reader that leaves early does not hang the writer.
    dom0.sh(&format!(
        "hyper exec -i ends sh -c 'head -c 10 > /dev/null; exit 3' < {file}"
    ))
    .code(3);
    // No newline at the end, every byte value, nothing at all.
    dom0.sh("printf 'no newline' | hyper exec -i ends cat")
        .ok()
        .stdout("no newline");
    dom0.sh(
        "for i in {0..255}; do printf \"\\\\x$(printf %x $i)\"; done > /tmp/bytes
         hyper exec -i ends cat < /tmp/bytes | cmp - /tmp/bytes && rm /tmp/bytes",
    )
    .ok()
    .stdout("");
    dom0.sh("hyper exec -i ends wc -c < /dev/null").ok().stdout("0\n");
    // Output goes on after the end of input.
    dom0.sh("echo in | hyper exec -i ends sh -c 'cat; read line; echo after $?'")
        .ok()
        .stdout("in\nafter 1\n");
    // Without -i the process has an empty stdin.
    dom0.sh("echo unread | hyper exec ends wc -c").ok().stdout("0\n");
    // Output of a process that leaves a child behind with its stdout.
    dom0.exec("ends", &["sh", "-c", "sleep 1000000 & echo parent"])
        .ok()
        .stdout("parent\n");
    dom0.remove("ends");
}
