//! Guests whose agent attacks the engine (`pv-guest/hostile`): each is cut off, and nobody else notices.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[
    pv("hostile::agents_are_cut_off", agents_are_cut_off).offline(),
    pv("hostile::deaf", deaf).offline(),
];

/// Attacks that break a rule, so that the guest is ended for it.
const BREACHES: &[&str] = &[
    "frame-length",
    "frame-kind",
    "ring-index",
    "cut-frame",
    "window",
    "after-end",
    "message-length",
    "utf8",
    "reset",
    "replies",
    "flood",
];

/// hyperd gives every guest the kernel and the agent of its config, so it is started again with another one.
const HOSTILE: &str = "initramfs = \"/usr/lib/hyper-tests/initramfs-hostile\"";

fn agents_are_cut_off(dom0: &Dom0<'_>) {
    dom0.idle("bystander", BUSYBOX);
    dom0.with_config(HOSTILE, || attack(dom0));
    dom0.exec("bystander", &["echo", "still here"])
        .ok()
        .stdout("still here\n");
    dom0.remove("bystander");
}

fn attack(dom0: &Dom0<'_>) {
    let pid = dom0.sh("systemctl show -p MainPID --value hyperd").ok().text();
    for attack in BREACHES {
        let ran = dom0.hyper(&["run", "--rm", "-e", &format!("ATTACK={attack}"), BUSYBOX, "true"]);
        // Before the command is said to run that is a failed start, after it a guest that was destroyed.
        assert!(matches!(ran.code, 125 | 137), "{attack}\n{ran}");
        dom0.exec("bystander", &["echo", "unharmed"])
            .ok()
            .stdout("unharmed\n");
    }
    // One that says nothing breaks no rule; it can be got rid of all the same.
    let mut silent = dom0.spawn(&[
        "run",
        "--rm",
        "--name",
        "silent",
        "-e",
        "ATTACK=silence",
        BUSYBOX,
        "true",
    ]);
    silent.end_of_input();
    dom0.sh("until xl domid silent 2>/dev/null; do xenstore-watch -n 2 @introduceDomain >/dev/null; done")
        .ok();
    dom0.hyper(&["rm", "-f", "silent"]).ok();
    silent.finish().code(125);
    files(dom0);
    let still = dom0.sh("systemctl show -p MainPID --value hyperd").ok().text();
    assert_eq!(still, pid, "hyperd did not survive");
}

/// One that answers nothing breaks no rule either, and is not the next daemon's to end.
fn deaf(dom0: &Dom0<'_>) {
    dom0.with_config(HOSTILE, || {
        dom0.detached("deaf", &["-e", "ATTACK=deaf", BUSYBOX, "true"]);
    });
    // The daemon has been started again.
    assert_eq!(dom0.inspect("deaf", "{{.State.Status}}"), "running");
    dom0.sh("xl domid deaf").ok();
    dom0.hyper(&["stop", "-t", "1", "deaf"]).ok();
    assert_eq!(dom0.inspect("deaf", "{{.State.ExitCode}}"), "137");
    dom0.hyper(&["rm", "deaf"]).ok();
}

/// What an agent may say of files; see `pv-guest/hostile`.
const FILES: &[&str] = &["count", "garbage", "reply", "other", "death"];

fn files(dom0: &Dom0<'_>) {
    let layers = || dom0.sh("ls /var/lib/hyper/images/layers").ok().text();
    let before = layers();
    let liar = |attack: &str| {
        let set = format!("ATTACK=files-{attack}");
        dom0.detached("liar", &["-e", &set, BUSYBOX, "true"]);
    };
    for attack in FILES {
        liar(attack);
        let ran = dom0.hyper(&["commit", "liar", "lies:1"]);
        assert_eq!(ran.code, 1, "{attack}\n{ran}");
        dom0.hyper(&["inspect", "lies:1"]).code(1);
        assert_eq!(layers(), before, "{attack}");
        if *attack != "death" {
            dom0.hyper(&["diff", "liar"]).code(1);
            dom0.hyper(&["cp", "liar:/etc", "-"]).code(1);
        }
        dom0.remove("liar");
    }
    // These never end by themselves.
    for attack in ["endless", "silence"] {
        liar(attack);
        dom0.sh("timeout 5 hyper commit liar lies:1").code(124);
        dom0.remove("liar");
        assert_eq!(layers(), before, "{attack}");
    }
}
