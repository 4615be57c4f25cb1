//! The guest: alone, as big as was asked, and seen by Xen's own tools.

use super::support::{BUSYBOX, DEBIAN, Dom0, Test, both, pv};

pub const TESTS: &[Test] = &[
    both("guest::alone", alone),
    both("guest::size", size).offline(),
    pv("guest::hidden", hidden),
];

fn alone(dom0: &Dom0<'_>) {
    let id = dom0.idle("lonely", DEBIAN);
    let kernel = dom0.exec("lonely", &["uname", "-r"]).ok().text();
    assert!(kernel.ends_with("-hyper"), "{kernel}");
    assert_ne!(kernel, dom0.sh("uname -r").ok().text());
    dom0.exec("lonely", &["cat", "/sys/hypervisor/type"])
        .ok()
        .stdout("xen\n");
    dom0.exec("lonely", &["sh", "-c", "echo /proc/[0-9]*"])
        .ok()
        .out_has("/proc/1 ");

    // Xen's tools know it under the container's name.
    let domid = dom0.sh("xl domid lonely").ok().text();
    dom0.sh("xl list lonely").ok().out_has("lonely");
    dom0.sh("xl list -l lonely >/dev/null; xentop -b -i 1 | grep lonely")
        .ok();
    dom0.sh(&format!("xenstore-read /local/domain/{domid}/name"))
        .ok()
        .stdout("lonely\n");
    // Its kernel's messages, as hyper keeps them; its console shows those of weight.
    dom0.hyper(&["logs", "--console", "lonely"])
        .ok()
        .out_has("Linux version")
        .out_has("-hyper");
    let mut console = dom0.terminal_of(&["xl", "console", "lonely"]);
    dom0.sh("xl sysrq lonely h").ok();
    console.expect("sysrq: HELP").send("\x1d").code(0);

    // The name goes where the container's goes.
    dom0.hyper(&["rename", "lonely", "renamed"]).ok();
    dom0.sh("xl list renamed").ok();
    assert_eq!(dom0.inspect("renamed", "{{.Id}}"), id);
    // Gone for Xen is gone for the container.
    let waiting = dom0.spawn(&["wait", "renamed"]);
    dom0.sh("xl destroy renamed").ok();
    waiting.finish().ok();
    assert_eq!(dom0.inspect("renamed", "{{.State.Status}}"), "exited");
    dom0.remove("renamed");
}

fn size(dom0: &Dom0<'_>) {
    dom0.detached(
        "sized",
        &["-m", "200m", "--cpus", "2", BUSYBOX, "sleep", "1000000"],
    );
    dom0.exec("sized", &["nproc"]).ok().stdout("2\n");
    let kib: u64 = dom0
        .exec("sized", &["awk", "/^MemTotal/ { print $2 }", "/proc/meminfo"])
        .ok()
        .text()
        .parse()
        .expect("a number");
    // The kernel keeps some for itself.
    assert!((150 << 10..=200 << 10).contains(&kib), "{kib} KiB of 200 MiB");
    dom0.sh("xl list sized | awk 'NR == 2 { exit !($3 >= 195 && $3 <= 204 && $4 == 2) }'")
        .ok();
    dom0.hyper(&["inspect", "--plan", "sized"])
        .ok()
        .out_has(&dom0.guest.to_string())
        .out_has("200");
    assert_eq!(
        dom0.inspect("sized", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}"),
        "209715200 2000000000"
    );
    // Too much for the guest is the end of who asked for it, and not of the container.
    dom0.exec("sized", &["sh", "-c", "tail /dev/zero"]).code(137);
    dom0.exec("sized", &["echo", "alive"]).ok().stdout("alive\n");
    dom0.remove("sized");
}

/// A container sees no more of its guest than docker would show.
fn hidden(dom0: &Dom0<'_>) {
    dom0.idle("hidden", DEBIAN);
    let script =
        "ls /dev/xvda /dev/xen 2>/dev/null; cat /proc/sysrq-trigger; echo b > /proc/sysrq-trigger; dmesg -n 1
        mount -t tmpfs none /mnt && echo mounted; grep CapEff /proc/self/status; ls /dev | tr '\\n' ' '";
    dom0.exec("hidden", &["bash", "-c", script])
        .out_has("CapEff:\t00000000a80425fb")
        .out_lacks("/dev/xvda")
        .out_lacks("mounted")
        .out_has("core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero");
    dom0.exec("hidden", &["echo", "alive"]).ok();
    dom0.remove("hidden");
}
