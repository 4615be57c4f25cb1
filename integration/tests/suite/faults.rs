//! What survives when something ends that should not.

use super::support::{BUSYBOX, Dom0, Test, both, pv};

pub const TESTS: &[Test] = &[
    both("faults::hyperd_killed", hyperd_killed),
    pv("faults::exit_while_hyperd_is_down", exit_while_hyperd_is_down),
    pv("faults::client_killed", client_killed),
    pv("faults::nothing_accumulates", nothing_accumulates),
];

/// Counts until it is told to end; 23 says that it was.
const COUNT: &str = "n=0; while [ ! -e /tmp/end ]; do n=$((n+1)); echo n=$n; sleep 0.1; done; exit 23";

fn hyperd_killed(dom0: &Dom0<'_>) {
    dom0.detached("counts", &[BUSYBOX, "sh", "-c", COUNT]);
    dom0.idle("idles", BUSYBOX);
    dom0.spawn(&["logs", "-f", "counts"]).expect("n=5\n");
    let domid = dom0.sh("xl domid counts").ok().text();
    dom0.sh("systemctl kill -s KILL hyperd; systemctl stop hyperd; systemctl start hyperd")
        .ok();
    assert_eq!(
        dom0.sh("xl domid counts").ok().text(),
        domid,
        "it is another guest"
    );
    let mut names = dom0
        .hyper(&["ps", "--format", "{{.Names}} {{.State}}"])
        .ok()
        .lines();
    names.sort();
    assert_eq!(names, ["counts running", "idles running"]);
    dom0.exec("counts", &["sh", "-c", "exit 4"]).code(4);
    let mut follower = dom0.spawn(&["logs", "-f", "-n", "1", "counts"]);
    follower.expect("n=").expect("n=").expect("n=");
    let waiting = dom0.spawn(&["wait", "counts"]);
    dom0.exec("counts", &["touch", "/tmp/end"]).ok();
    waiting.finish().ok().stdout("23\n");
    // Every line of before, meanwhile and after, once.
    let lines = dom0.hyper(&["logs", "counts"]).ok().lines();
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("n={}", index + 1), "of {} lines", lines.len());
    }
    dom0.hyper(&["stop", "-t", "0", "idles"]).ok();
    assert_eq!(
        dom0.inspect("idles", "{{.State.Status}} {{.State.ExitCode}}"),
        "exited 137"
    );
    dom0.hyper(&["start", "idles"]).ok();
    assert_eq!(
        dom0.root_devices(),
        1,
        "the root of the guest that ran on was found"
    );
    dom0.hyper(&["rm", "-f", "idles", "counts"]).ok();
}

fn exit_while_hyperd_is_down(dom0: &Dom0<'_>) {
    dom0.detached("ends", &[BUSYBOX, "sh", "-c", "sleep 1; exit 9"]);
    dom0.idle("destroyed", BUSYBOX);
    dom0.sh("systemctl stop hyperd; xl destroy destroyed; systemctl start hyperd")
        .ok();
    dom0.hyper(&["wait", "ends"]).ok().stdout("9\n");
    assert_eq!(dom0.inspect("destroyed", "{{.State.Status}}"), "exited");
    dom0.hyper(&["rm", "ends", "destroyed"]).ok();
}

/// The one who looks on is gone; the container is not.
fn client_killed(dom0: &Dom0<'_>) {
    let mut client = dom0.spawn_sh(&format!(
        "hyper run --type pv --name watched {BUSYBOX} sh -c 'echo here; exec sleep 1000000' & echo $! > /tmp/client; wait $!; echo client $?"
    ));
    client.expect("here\n");
    dom0.sh("kill -9 $(cat /tmp/client); rm /tmp/client").ok();
    client.expect("client 137\n");
    client.finish().ok();
    assert_eq!(dom0.inspect("watched", "{{.State.Status}}"), "running");
    dom0.exec("watched", &["echo", "alive"]).ok().stdout("alive\n");
    dom0.remove("watched");
}

/// hyperd itself keeps nothing of containers that are gone.
fn nothing_accumulates(dom0: &Dom0<'_>) {
    let round = || {
        dom0.hyper(&["run", "--rm", BUSYBOX, "true"]).ok();
        let pid = "pid=$(systemctl show -p MainPID --value hyperd)";
        dom0.sh(&format!(
            "{pid}; ls /proc/$pid/fd | wc -l; ls /proc/$pid/task | wc -l; grep -c . /proc/$pid/maps; xl list | wc -l"
        ))
        .ok()
        .lines()
    };
    round();
    let (first, _, third) = (round(), round(), round());
    // Descriptors and domains; threads of the pool come and go.
    assert_eq!(first[0], third[0], "file descriptors: {first:?} {third:?}");
    assert_eq!(first[3], third[3]);
}
