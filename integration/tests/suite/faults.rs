//! What survives when something ends that should not.

use super::support::{BUSYBOX, Dom0, Test, both, pv};

pub const TESTS: &[Test] = &[
    pv("faults::hyperd_killed", hyperd_killed),
    pv("faults::exit_while_hyperd_is_down", exit_while_hyperd_is_down).offline(),
    pv("faults::exec_outlives_hyperd", exec_outlives_hyperd).offline(),
    pv("faults::paused_outlives_hyperd", paused_outlives_hyperd).offline(),
    pv("faults::clock_set_back", clock_set_back).offline(),
    pv("faults::out_of_memory", out_of_memory).offline(),
    both("faults::kernel_panics", kernel_panics).offline(),
    pv("faults::client_killed", client_killed).offline(),
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

fn exec_outlives_hyperd(dom0: &Dom0<'_>) {
    dom0.idle("box", BUSYBOX);
    let script = "echo in; while [ ! -e /tmp/end ]; do sleep 0.1; done; exit 7";
    dom0.spawn(&["exec", "box", "sh", "-c", script]).expect("in\n");
    dom0.spawn(&["exec", "box", "sh", "-c", "echo on; exec sleep 1000000"])
        .expect("on\n");
    let ids = dom0.inspect("box", "{{join .ExecIDs \" \"}}");
    let count = |wanted: &str| {
        dom0.sh(&format!(
            "for id in {ids}; do curl -sf --unix-socket /run/hyper/hyperd.sock http://x/exec/$id/json; done | grep -o '{wanted}' | wc -l"
        ))
        .ok()
        .text()
    };
    dom0.sh("systemctl kill -s KILL hyperd; systemctl stop hyperd; systemctl start hyperd")
        .ok();
    assert_eq!(count("\"Running\":true"), "2");
    // One ends while a daemon looks on, one while none does, with a code that is told later all the same.
    dom0.sh("hyper exec box touch /tmp/end; systemctl stop hyperd; systemctl start hyperd")
        .ok();
    dom0.sh("hyper exec box true").ok();
    assert_eq!(count("\"ExitCode\":7"), "1");
    // Asked for by its id; among those of the container is only what runs.
    assert_eq!(dom0.inspect("box", "{{len .ExecIDs}}"), "1");
    dom0.hyper(&["stop", "-t", "0", "box"]).ok();
    assert_eq!(count("\"ExitCode\":137"), "1");
    dom0.hyper(&["rm", "box"]).ok();
}

/// Processors that stand still say nothing to a new daemon.
fn paused_outlives_hyperd(dom0: &Dom0<'_>) {
    dom0.idle("still", BUSYBOX);
    dom0.hyper(&["pause", "still"]).ok();
    let domid = dom0.sh("xl domid still").ok().text();
    dom0.sh("systemctl kill -s KILL hyperd; systemctl stop hyperd; systemctl start hyperd")
        .ok();
    // Answered when it is taken over.
    dom0.hyper(&["unpause", "still"]).ok();
    assert_eq!(dom0.sh("xl domid still").ok().text(), domid);
    dom0.exec("still", &["echo", "on"]).ok().stdout("on\n");
    dom0.remove("still");
}

/// A run never ends before it began, whatever the clocks say.
fn clock_set_back(dom0: &Dom0<'_>) {
    dom0.idle("old", BUSYBOX);
    let waits = "trap 'exit 9' TERM; while :; do sleep 0.1; done";
    dom0.detached("ends", &[BUSYBOX, "sh", "-c", waits]);
    dom0.sh("date -s '1 hour ago' > /dev/null; systemctl restart hyperd")
        .ok();
    dom0.hyper(&["stop", "-t", "60", "ends"]).ok();
    assert_eq!(dom0.inspect("ends", "{{.State.ExitCode}}"), "9");
    let times = dom0.inspect("ends", "{{.State.StartedAt}} {{.State.FinishedAt}}");
    let (started, finished) = times.split_once(' ').expect("two times");
    assert!(started <= finished, "{times}");
    // One that is started now is newer than its last run, which is in the future.
    dom0.hyper(&["start", "ends"]).ok();
    dom0.sh("systemctl kill -s KILL hyperd; systemctl stop hyperd; systemctl start hyperd")
        .ok();
    dom0.hyper(&["stop", "-t", "60", "ends"]).ok();
    assert_eq!(dom0.inspect("ends", "{{.State.ExitCode}}"), "9");
    dom0.exec("old", &["echo", "on"]).ok().stdout("on\n");
    dom0.hyper(&["rm", "-f", "old", "ends"]).ok();
    dom0.sh("date -s '1 hour' > /dev/null; systemctl restart hyperd")
        .ok();
}

fn out_of_memory(dom0: &Dom0<'_>) {
    let script = "x=xxxxxxxx; while :; do x=$x$x; done";
    dom0.hyper(&["run", "--name", "fat", "-m", "64m", BUSYBOX, "sh", "-c", script])
        .code(137);
    assert_eq!(
        dom0.inspect("fat", "{{.State.OOMKilled}} {{.State.ExitCode}}"),
        "true 137"
    );
    dom0.hyper(&["logs", "--console", "fat"])
        .ok()
        .out_has("Killed process");
    dom0.hyper(&["rm", "fat"]).ok();
}

fn kernel_panics(dom0: &Dom0<'_>) {
    let script = "echo c > /proc/sysrq-trigger; sleep 1000000";
    dom0.hyper(&[
        "run",
        "--name",
        "crash",
        "--privileged",
        BUSYBOX,
        "sh",
        "-c",
        script,
    ])
    .code(137);
    assert!(
        dom0.inspect("crash", "{{.State.Error}}")
            .contains("kernel crashed")
    );
    dom0.hyper(&["logs", "--console", "crash"])
        .ok()
        .out_has("Kernel panic - not syncing: sysrq triggered crash");
    dom0.hyper(&["rm", "crash"]).ok();
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
    let (first, mut last) = (round(), round());
    // Descriptors and domains; threads of the pool come and go, and connections of clients that are gone end soon after.
    for _ in 0..10 {
        last = round();
        if last[0] == first[0] {
            break;
        }
    }
    assert_eq!(first[0], last[0], "file descriptors: {first:?} {last:?}");
    assert_eq!(first[3], last[3]);
}
