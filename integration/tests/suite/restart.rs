//! Restart policies.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[
    pv("restart::policies", policies).offline(),
    pv("restart::with_the_daemon", with_the_daemon).offline(),
];

/// Waits until it is not started again. Each wait ends with a run.
fn exited(dom0: &Dom0<'_>, name: &str) {
    dom0.sh(&format!(
        "until [ \"$(hyper inspect -f '{{{{.State.Status}}}}' {name})\" = exited ]; do hyper wait {name} > /dev/null; done"
    ))
    .ok();
}

fn policies(dom0: &Dom0<'_>) {
    dom0.hyper(&["run", "--rm", "--restart", "always", BUSYBOX, "true"])
        .code(125)
        .err_has("restart");
    dom0.detached(
        "tries",
        &[
            "--restart",
            "on-failure:2",
            BUSYBOX,
            "sh",
            "-c",
            "echo run; exit 3",
        ],
    );
    exited(dom0, "tries");
    dom0.hyper(&["logs", "tries"]).ok().stdout("run\nrun\nrun\n");
    assert_eq!(
        dom0.inspect(
            "tries",
            "{{.RestartCount}} {{.State.ExitCode}} {{.State.Restarting}}"
        ),
        "2 3 false"
    );
    // Started by hand, it counts anew; what ends well is not started again.
    dom0.hyper(&["rm", "tries"]).ok();
    dom0.hyper(&[
        "run",
        "--name",
        "well",
        "--restart",
        "on-failure",
        BUSYBOX,
        "true",
    ])
    .ok();
    exited(dom0, "well");
    assert_eq!(dom0.inspect("well", "{{.RestartCount}}"), "0");
    dom0.hyper(&["rm", "well"]).ok();

    // One that is stopped stays so, whether it runs just now or is to be started again.
    dom0.detached("always", &["--restart", "always", BUSYBOX, "sh", "-c", "exit 1"]);
    dom0.sh("until [ $(hyper inspect -f '{{.RestartCount}}' always) -gt 0 ]; do hyper wait always > /dev/null; done")
        .ok();
    dom0.hyper(&["rm", "always"]).code(1).one_error("always");
    let waits = dom0.spawn(&["wait", "always"]);
    dom0.hyper(&["stop", "-t", "0", "always"]).ok();
    // However it ends: it may be starting just then.
    waits.finish();
    assert_eq!(dom0.inspect("always", "{{.State.Status}}"), "exited");
    dom0.hyper(&["rm", "always"]).ok();
}

fn with_the_daemon(dom0: &Dom0<'_>) {
    let sleeps = [BUSYBOX, "sleep", "1000000"];
    for (name, policy) in [("up", "unless-stopped"), ("down", "unless-stopped"), ("no", "no")] {
        dom0.detached(name, &[&["--restart", policy][..], &sleeps].concat());
    }
    dom0.hyper(&["stop", "-t", "0", "down"]).ok();
    // As after a start of the host: no guest is there any more.
    dom0.sh("systemctl stop hyperd; xl destroy up; xl destroy no; systemctl start hyperd")
        .ok();
    // Answered when it runs.
    dom0.hyper(&["start", "up"]).ok();
    dom0.exec("up", &["echo", "again"]).ok().stdout("again\n");
    assert_eq!(dom0.inspect("down", "{{.State.Status}}"), "exited");
    assert_eq!(
        dom0.inspect("no", "{{.State.Status}} {{.State.ExitCode}}"),
        "exited 137"
    );
    dom0.hyper(&["rm", "-f", "up", "down", "no"]).ok();
}
