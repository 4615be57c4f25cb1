//! How the containers stand, in xenstore; and containers that are asked for there.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[pv("xenstore::states", states), pv("xenstore::requests", requests)];

fn states(dom0: &Dom0<'_>) {
    let read = |id: &str, key: &str| {
        dom0.sh(&format!("xenstore-read /hyper/containers/{id}/{key}"))
            .text()
    };
    dom0.sh("xenstore-read /hyper/version").ok();
    let id = dom0
        .hyper(&["create", "--name", "seen", BUSYBOX, "sh", "-c", "sleep 1; exit 3"])
        .ok()
        .text();
    let mut watcher = dom0.spawn_sh(&format!(
        "exec stdbuf -oL xenstore-watch /hyper/containers/{id}/state"
    ));
    // The watch's own first event.
    watcher.expect("state\n");
    assert_eq!(read(&id, "state"), "created");
    dom0.hyper(&["start", "-a", "seen"]).code(3);
    // Running, exited; no more and no less.
    watcher.expect("state\n").expect("state\n");
    for (key, value) in [
        ("name", "seen"),
        ("image", BUSYBOX),
        ("state", "exited"),
        ("exit-code", "3"),
    ] {
        assert_eq!(read(&id, key), value, "{key}");
    }
    assert_eq!(read(&id, "domid"), "");
    dom0.hyper(&["rename", "seen", "other"]).ok();
    assert_eq!(read(&id, "name"), "other");
    dom0.hyper(&["rm", "other"]).ok();
    // Gone with it.
    watcher.expect("state\n");
    dom0.sh(&format!("xenstore-exists /hyper/containers/{id}"))
        .code(1);

    let id = dom0.idle("runs", BUSYBOX);
    assert_eq!(read(&id, "domid"), dom0.sh("xl domid runs").ok().text());
    dom0.hyper(&["pause", "runs"]).ok();
    assert_eq!(read(&id, "state"), "paused");
    dom0.sh("systemctl stop hyperd; xl destroy runs; systemctl start hyperd")
        .ok();
    assert_eq!(read(&id, "state"), "exited");
    dom0.remove("runs");
}

fn requests(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    let wait_for = |name: &str, text: &str| {
        dom0.sh(&format!(
            "until xenstore-read /hyper/requests/{name}/status 2> /dev/null | grep -q '{text}'; do
                 timeout 60 xenstore-watch -n 2 /hyper/requests/{name}/status > /dev/null; done"
        ))
        .ok();
    };
    dom0.sh("xenstore-write /hyper/requests/bad '{\"image\":1}'").ok();
    wait_for("bad", "error: the request is not understood");
    dom0.sh("xenstore-rm /hyper/requests/bad").ok();
    dom0.sh(&format!(
        "xenstore-write /hyper/requests/asked '{{\"image\":\"{BUSYBOX}\",\"cmd\":[\"sleep\",\"1000000\"],\"guest-type\":\"pv\"}}'"
    ))
    .ok();
    wait_for("asked", "running");
    let id = dom0
        .sh("xenstore-read /hyper/requests/asked/container")
        .ok()
        .text();
    assert_eq!(
        dom0.inspect("asked", "{{.Id}} {{.State.Status}}"),
        format!("{id} running")
    );
    // A daemon that starts leaves it as it is.
    dom0.sh("systemctl restart hyperd").ok();
    dom0.exec("asked", &["true"]).ok();
    dom0.sh("xenstore-rm /hyper/requests/asked").ok();
    dom0.hyper(&["wait", "asked"]);
    dom0.sh("while hyper inspect asked > /dev/null 2>&1; do timeout 60 xenstore-watch -n 2 /hyper/containers > /dev/null; done")
        .ok();
}
