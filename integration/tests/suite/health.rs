//! Health checks.

use super::support::{BUSYBOX, Dom0, Running, Test, pv};

pub const TESTS: &[Test] = &[pv("health::checks", checks).offline()];

/// What is told of a container's health, from the beginning.
fn events_of(dom0: &Dom0<'_>, name: &str) -> Running {
    dom0.spawn_sh(&format!(
        "DOCKER_HOST=unix:///run/hyper/hyperd.sock exec docker events --since 1h \
         --filter container={name} --filter event=health_status --format '{{{{.Action}}}}'"
    ))
}

fn checks(dom0: &Dom0<'_>) {
    let mut events = events_of(dom0, "sick");
    dom0.detached(
        "sick",
        &[
            "--health-cmd",
            "echo looked; test -e /tmp/ok",
            "--health-interval",
            "1s",
            "--health-retries",
            "2",
            "--health-start-period",
            "10m",
            "--health-start-interval",
            "1s",
            BUSYBOX,
            "sleep",
            "1000000",
        ],
    );
    assert_eq!(dom0.inspect("sick", "{{.State.Health.Status}}"), "starting");
    dom0.hyper(&["ps"]).ok().out_has("(health: starting)");
    dom0.exec("sick", &["touch", "/tmp/ok"]).ok();
    events.expect("health_status: healthy\n");
    dom0.hyper(&["ps"]).ok().out_has("(healthy)");
    // What was found before outlives the daemon, and the checks go on.
    dom0.sh("systemctl restart hyperd").ok();
    assert_eq!(dom0.inspect("sick", "{{.State.Health.Status}}"), "healthy");
    let mut events = events_of(dom0, "sick");
    dom0.exec("sick", &["rm", "/tmp/ok"]).ok();
    events.expect("health_status: unhealthy\n");
    dom0.hyper(&["ps", "-f", "health=unhealthy"])
        .ok()
        .out_has("(unhealthy)");
    let log = dom0.inspect("sick", "{{json .State.Health}}");
    assert!(log.contains("looked") && log.contains("\"ExitCode\":1"), "{log}");
    dom0.remove("sick");

    let mut events = events_of(dom0, "slow");
    dom0.detached(
        "slow",
        &[
            "--health-cmd",
            "sleep 1000000",
            "--health-interval",
            "1s",
            "--health-timeout",
            "1s",
            "--health-retries",
            "1",
            BUSYBOX,
            "sleep",
            "1000000",
        ],
    );
    events.expect("health_status: unhealthy\n");
    let log = dom0.inspect("slow", "{{json .State.Health.Log}}");
    assert!(log.contains("Health check exceeded timeout (1s)"), "{log}");
    dom0.remove("slow");
}
