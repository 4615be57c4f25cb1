//! `hyper exec`.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[
    pv("exec::processes", processes).offline(),
    pv("exec::refused", refused).offline(),
];

fn processes(dom0: &Dom0<'_>) {
    dom0.detached(
        "box",
        &["-e", "FROM=container", "-w", "/etc", BUSYBOX, "sleep", "1000000"],
    );
    dom0.exec("box", &["sh", "-c", "echo out; echo err >&2; exit 37"])
        .code(37)
        .stdout("out\n")
        .stderr("err\n");
    // As docker does it, the reason comes where the command's output would.
    dom0.exec("box", &["no-such-command"])
        .code(127)
        .out_has("\"no-such-command\": executable file not found");
    dom0.exec("box", &["/etc/not-executable"])
        .code(126)
        .out_has("permission denied");
    dom0.exec("box", &["sh", "-c", "kill -9 $$"]).code(137);
    dom0.exec("box", &["sh", "-c", "echo $FROM; pwd; id -u"])
        .ok()
        .stdout("container\n/etc\n0\n");
    dom0.hyper(&[
        "exec",
        "-u",
        "app",
        "-w",
        "/tmp",
        "-e",
        "X=a b",
        "-e",
        "FROM=exec",
        "box",
        "sh",
        "-c",
        "echo \"$X $FROM $HOME\"; pwd; id -u; id -g; id -Gn",
    ])
    .ok()
    .stdout("a b exec /home/app\n/tmp\n1000\n1000\napp audio\n");
    // The container's own: one kernel, one set of namespaces, one tree of processes.
    let script = "tr '\\0' ' ' < /proc/1/cmdline; [ /proc/1/ns/mnt -ef /proc/self/ns/mnt ] && echo same";
    dom0.exec("box", &["sh", "-c", script])
        .ok()
        .stdout("sleep 1000000 same\n");

    // The output of what ends at once is all there.
    dom0.sh("for number in $(seq 20); do hyper exec box echo $number & done | sort -n; wait")
        .ok()
        .stdout(&(1..=20).map(|number| format!("{number}\n")).collect::<String>());

    // Ten at once, each with its own streams and exit code.
    let ten: Vec<_> = (0..10)
        .map(|number| {
            let script = format!("read line; echo \"$line {number}\"; exit {number}");
            let mut running = dom0.spawn(&["exec", "-i", "box", "sh", "-c", &script]);
            running.send(format!("line {number}\n").as_bytes());
            running
        })
        .collect();
    for (number, running) in ten.into_iter().enumerate() {
        running
            .finish()
            .code(number as i32)
            .stdout(&format!("line {number} {number}\n"));
    }
    dom0.exec("box", &["mkfifo", "/tmp/fifo"]).ok();
    dom0.hyper(&["exec", "-d", "box", "sh", "-c", "echo detached > /tmp/fifo"])
        .ok()
        .stdout("");
    dom0.exec("box", &["cat", "/tmp/fifo"]).ok().stdout("detached\n");
    dom0.remove("box");
}

fn refused(dom0: &Dom0<'_>) {
    let id = dom0.detached("over", &[BUSYBOX, "true"]);
    dom0.hyper(&["wait", "over"]).ok().stdout("0\n");
    let ran = dom0.exec("over", &["echo", "hi"]);
    ran.code(1).one_error(&format!(
        "Error response from daemon: container {id} is not running"
    ));
    dom0.exec("nobody", &["echo", "hi"])
        .code(1)
        .one_error("Error response from daemon: No such container: nobody");
    dom0.remove("over");
}
