//! What is written, and where nothing may be.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[
    pv("storage::survives_a_stop", survives_a_stop).offline(),
    pv("storage::read_only", read_only).offline(),
    pv("storage::own_disk", own_disk).offline(),
];

fn survives_a_stop(dom0: &Dom0<'_>) {
    let (file, sum) = dom0.random_file(1);
    dom0.idle("kept", BUSYBOX);
    dom0.sh(&format!(
        "hyper exec -i kept sh -c 'cat > /root/data; rm /etc/motd; chmod 700 /etc; chown app /etc/group; mkdir /new' < {file}"
    ))
    .ok();
    dom0.hyper(&["stop", "-t", "1", "kept"]).ok();
    dom0.hyper(&["start", "kept"]).ok().stdout("kept\n");
    let script =
        "sha256sum < /root/data; stat -c '%a' /etc; stat -c '%U' /etc/group; ls /etc/motd 2>&1; ls -d /new";
    dom0.exec("kept", &["sh", "-c", script]).stdout(&format!(
        "{sum}\n700\napp\nls: /etc/motd: No such file or directory\n/new\n"
    ));
    dom0.remove("kept");
}

fn read_only(dom0: &Dom0<'_>) {
    let args = [
        "--read-only",
        "--tmpfs",
        "/run/own:size=1m,mode=1770,exec",
        "--tmpfs",
        "/tmp",
        BUSYBOX,
        "sleep",
        "1000000",
    ];
    dom0.detached("sealed", &args);
    dom0.exec("sealed", &["sh", "-c", "echo x > /x"])
        .code(1)
        .err_has("Read-only file system");
    dom0.exec("sealed", &["sh", "-c", "echo x > /etc/motd"])
        .code(1)
        .err_has("Read-only file system");
    dom0.exec("sealed", &["mount", "-o", "remount,rw", "/"]).code(1);
    let script = "echo kept > /run/own/f && cat /run/own/f && stat -c %a /run/own
        cp /bin/busybox /tmp/b && /tmp/b true || echo noexec by default
        dd if=/dev/zero of=/run/own/big bs=1M count=2 2>&1 | grep -o 'No space left on device'";
    dom0.exec("sealed", &["sh", "-c", script])
        .out_has("kept\n1770\n")
        .out_has("noexec by default\n")
        .out_has("No space left");
    dom0.remove("sealed");
}

/// Two containers of one image share what they read, and nothing that they write.
fn own_disk(dom0: &Dom0<'_>) {
    dom0.idle("one", BUSYBOX);
    dom0.idle("two", BUSYBOX);
    dom0.exec("one", &["sh", "-c", "echo one > /etc/motd; echo one > /only"])
        .ok();
    dom0.exec("two", &["cat", "/etc/motd"])
        .ok()
        .stdout("second layer, zstd\n");
    dom0.exec("two", &["ls", "/only"]).code(1);
    assert_eq!(dom0.root_devices(), 1, "the image's root is put together once");
    // A part of a root is attached once.
    dom0.sh("losetup -l -n -O RO,BACK-FILE | awk '$1 == 1' | sort | uniq -d")
        .ok()
        .stdout("");
    // A guest chooses label and UUID of its disk: dom0 must not know it by them.
    dom0.sh("udevadm settle; readlink -f /dev/disk/by-uuid/* /dev/disk/by-label/* | grep loop")
        .code(1)
        .stdout("");
    dom0.remove("one");
    dom0.exec("two", &["cat", "/etc/passwd"]).ok();
    dom0.remove("two");
}
