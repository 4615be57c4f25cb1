//! What the host does to the daemon: no room, records that cannot be written, a xenstore that does not answer; and guests
//! that hang, or go in the middle of everything.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[
    pv("adversity::disk_full", disk_full).offline(),
    pv("adversity::records_read_only", records_read_only).offline(),
    pv("adversity::hung_guests", hung_guests).offline(),
    pv("adversity::destroyed_in_flight", destroyed_in_flight),
    pv("adversity::xenstore_stands_still", xenstore_stands_still),
];

/// Long lines until it is told to end; 3 says that it was.
const TALK: &str = "trap 'exit 3' TERM; pad=$(printf '%02000d' 0); n=0; \
                    while :; do n=$((n+1)); echo line $n $pad; sleep 0.2; done";

/// Has the daemon keep its state on a file system of its own meanwhile.
fn on_small_disk(dom0: &Dom0<'_>, run: impl FnOnce()) {
    dom0.sh(
        "truncate -s 256M /var/tmp/small.img && mkfs.ext4 -q -m 0 /var/tmp/small.img && mkdir -p /mnt/small && \
         mount -o loop /var/tmp/small.img /mnt/small",
    )
    .ok();
    dom0.forget_pulled();
    dom0.with_config("state-dir = \"/mnt/small\"", run);
    dom0.forget_pulled();
    dom0.sh("umount /mnt/small && rm /var/tmp/small.img").ok();
}

fn disk_full(dom0: &Dom0<'_>) {
    on_small_disk(dom0, || without_room(dom0));
}

fn without_room(dom0: &Dom0<'_>) {
    let fill = || {
        // Again, while the daemon gives some of it back.
        dom0.sh("cd /mnt/small; fallocate -l $(($(stat -f -c '%a*%S' .))) fill
             while cat /dev/zero >> fill; sync; [ $(stat -f -c %a .) != 0 ]; do :; done 2> /dev/null")
            .ok();
    };
    let free = || dom0.sh("rm /mnt/small/fill").ok().text();
    dom0.detached("talks", &[BUSYBOX, "sh", "-c", TALK]);
    dom0.idle("idles", BUSYBOX);
    dom0.exec("idles", &["sh", "-c", "head -c 100k /dev/zero > /made; sync"])
        .ok();
    let domid = dom0.sh("xl domid idles").ok().text();

    fill();
    dom0.hyper(&["create", "--name", "more", BUSYBOX])
        .code(1)
        .one_error("space");
    dom0.hyper(&["run", "--name", "more", BUSYBOX, "true"])
        .code(125)
        .err_has("space");
    dom0.hyper(&["commit", "idles", "made:1"])
        .code(1)
        .one_error("space");
    dom0.hyper(&["inspect", "made:1"]).code(1);
    dom0.sh("ls /mnt/small/containers | wc -l; find /mnt/small/images/tmp -mindepth 1 | wc -l")
        .ok()
        .stdout("2\n0\n");
    dom0.exec("idles", &["echo", "on"]).ok().stdout("on\n");
    dom0.sh("until journalctl -u hyperd -o cat | grep -q 'log cannot be written'; do sleep 0.2; done")
        .ok();
    dom0.hyper(&["stop", "-t", "60", "talks"]).ok();
    assert_eq!(dom0.status("talks"), "exited 3");

    free();
    // A fact that waited to be written is not lost with the daemon.
    dom0.sh("systemctl restart hyperd").ok();
    assert_eq!(dom0.status("talks"), "exited 3");
    dom0.hyper(&["run", "--rm", BUSYBOX, "echo", "room"])
        .ok()
        .stdout("room\n");
    dom0.hyper(&["start", "talks"]).ok();
    dom0.spawn(&["logs", "-f", "-n", "0", "talks"])
        .expect("line ")
        .expect("\nline ");
    for line in dom0.hyper(&["logs", "talks"]).ok().lines() {
        assert_eq!(line.rsplit(' ').next().map(str::len), Some(2000), "{line}");
    }

    // No daemon starts without room for what it has to record, and none is needed for what runs.
    fill();
    dom0.sh("systemctl restart hyperd").code(1);
    // Nor does it try again behind this test's back.
    dom0.sh("systemctl stop hyperd; journalctl -u hyperd -o cat -n 20")
        .out_has("no space is left");
    dom0.hyper(&["ps"]).code(1);
    free();
    dom0.sh("systemctl start hyperd").ok();
    dom0.exec("idles", &["echo", "on"]).ok().stdout("on\n");
    assert_eq!(dom0.sh("xl domid idles").ok().text(), domid);

    // What a guest could not write back may have cost it its disk until it starts again, but nothing that was there.
    dom0.hyper(&["restart", "-t", "0", "idles"]).ok();
    dom0.hyper(&["commit", "idles", "made:1"]).ok();
    dom0.hyper(&["run", "--rm", "made:1", "sh", "-c", "wc -c < /made"])
        .ok()
        .stdout("102400\n");

    // Without room, what makes some works.
    fill();
    dom0.hyper(&["rm", "-f", "talks", "idles"]).ok();
    dom0.sh("ls /mnt/small/containers | wc -l").ok().stdout("0\n");
    free();
}

fn records_read_only(dom0: &Dom0<'_>) {
    let freeze = || dom0.sh("chattr +i /var/lib/hyper/hyper.db*").ok().text();
    let thaw = || dom0.sh("chattr -i /var/lib/hyper/hyper.db*").ok().text();
    dom0.idle("stays", BUSYBOX);
    dom0.detached("ends", &[BUSYBOX, "sh", "-c", TALK]);
    let domid = dom0.sh("xl domid stays").ok().text();

    freeze();
    dom0.hyper(&["create", "--name", "more", BUSYBOX])
        .code(1)
        .one_error("file system of the state-dir");
    dom0.sh("ls /var/lib/hyper/containers | wc -l").ok().stdout("2\n");
    dom0.exec("stays", &["echo", "on"]).ok().stdout("on\n");
    dom0.hyper(&["stop", "-t", "60", "ends"]).ok();
    assert_eq!(dom0.status("ends"), "exited 3");
    thaw();
    dom0.hyper(&["run", "--rm", BUSYBOX, "true"]).ok();
    dom0.sh("systemctl restart hyperd").ok();
    assert_eq!(dom0.status("ends"), "exited 3");

    freeze();
    dom0.sh("systemctl restart hyperd").code(1);
    dom0.sh("journalctl -u hyperd -o cat -n 20").out_has("state-dir");
    thaw();
    dom0.sh("systemctl start hyperd").ok();
    dom0.exec("stays", &["echo", "on"]).ok().stdout("on\n");
    assert_eq!(dom0.sh("xl domid stays").ok().text(), domid);
    dom0.hyper(&["rm", "-f", "stays", "ends"]).ok();
}

/// A guest whose processors stand still though nobody has paused the container: nothing in it answers.
fn hang(dom0: &Dom0<'_>, name: &str) {
    dom0.idle(name, BUSYBOX);
    dom0.sh(&format!("xl pause {name}")).ok();
}

fn hung_guests(dom0: &Dom0<'_>) {
    hang(dom0, "noticed");
    hang(dom0, "stopped");
    let asking = dom0.spawn(&["exec", "stopped", "true"]);
    let waiting = dom0.spawn(&["wait", "stopped"]);
    let stopping = dom0.spawn_sh("timeout 60 hyper stop -t 1 stopped");
    // One that is only busy does not get out of it either.
    let deaf = "trap '' TERM INT HUP QUIT; while :; do :; done";
    dom0.detached("deaf", &[BUSYBOX, "sh", "-c", deaf]);
    dom0.hyper(&["kill", "-s", "INT", "deaf"]).ok();
    dom0.hyper(&["stop", "-t", "1", "deaf"]).ok();
    stopping.finish().ok();
    waiting.finish().ok().stdout("137\n");
    assert_ne!(asking.finish().code, 0);
    for name in ["stopped", "deaf"] {
        assert_eq!(dom0.status(name), "exited 137");
    }
    let error = "[ \"$(hyper inspect -f '{{.State.Error}}' noticed)\"";
    dom0.sh(&format!(
        "until {error} = 'the guest does not answer' ]; do sleep 1; done"
    ))
    .ok();
    dom0.hyper(&["kill", "noticed"]).ok();
    dom0.hyper(&["rm", "-f", "noticed", "stopped", "deaf"]).ok();
}

/// Everyone who waits for a guest that somebody takes away is told.
fn destroyed_in_flight(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    let mut run = dom0.spawn(&[
        "run",
        "--name",
        "box",
        BUSYBOX,
        "sh",
        "-c",
        "echo up; exec sleep 1000000",
    ]);
    run.expect("up\n");
    let mut exec = dom0.spawn(&["exec", "box", "sh", "-c", "echo in; exec sleep 1000000"]);
    exec.expect("in\n");
    let flood = dom0.spawn_sh("hyper exec box cat /dev/zero > /dev/null");
    let mut follower = dom0.spawn(&["logs", "-f", "box"]);
    follower.expect("up\n");
    let waiting = dom0.spawn(&["wait", "box"]);
    let stopping = dom0.spawn(&["stop", "-t", "-1", "box"]);
    dom0.sh("sleep 1; xl destroy box").ok();
    for ended in [run, exec, flood] {
        ended.finish().code(137);
    }
    follower.finish().ok();
    waiting.finish().ok().stdout("137\n");
    stopping.finish().ok();
    assert_eq!(dom0.status("box"), "exited 137");
    dom0.hyper(&["start", "box"]).ok();
    dom0.exec("box", &["echo", "again"]).ok().stdout("again\n");
    dom0.remove("box");
}

/// Requests wait for it; what needs no xenstore is answered meanwhile.
fn xenstore_stands_still(dom0: &Dom0<'_>) {
    dom0.idle("stays", BUSYBOX);
    let stop = "kill -STOP $(pidof oxenstored xenstored)";
    let go_on = "kill -CONT $(pidof oxenstored xenstored)";
    // It goes on whatever becomes of this test.
    let still = dom0.spawn_sh(&format!("{stop}; sleep 8; {go_on}"));
    let run = dom0.spawn(&["run", "--name", "late", BUSYBOX, "sh", "-c", "echo out; exit 5"]);
    let stopping = dom0.spawn(&["stop", "-t", "0", "stays"]);
    dom0.sh("sleep 1; timeout 5 hyper ps -a && timeout 5 hyper version > /dev/null")
        .ok();
    still.finish().ok();
    run.finish().code(5).stdout("out\n");
    stopping.finish().ok();
    assert_eq!(dom0.status("stays"), "exited 137");
    dom0.hyper(&["rm", "late", "stays"]).ok();
}
