//! The states of a container, and what each verb does in them.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[
    pv("lifecycle::states", states).offline(),
    pv("lifecycle::stop", stop).offline(),
    pv("lifecycle::signals", signals).offline(),
    pv("lifecycle::lists", lists).offline(),
    pv("lifecycle::logs", logs).offline(),
];

fn states(dom0: &Dom0<'_>) {
    let state = |name: &str| dom0.inspect(name, "{{.State.Status}}");
    let id = dom0
        .hyper(&["create", "--name", "job", BUSYBOX, "sh", "-c", "echo run; exit 3"])
        .ok()
        .text();
    assert_eq!(state("job"), "created");
    dom0.sh("xl list job").code(1);
    dom0.hyper(&["create", "--name", "job", BUSYBOX])
        .code(1)
        .one_error(&format!(
            "The container name \"/job\" is already in use by container \"{id}\""
        ));
    // The same container runs as often as it is started; its log goes on.
    for _ in 0..2 {
        dom0.hyper(&["start", "-a", "job"]).code(3).stdout("run\n");
        assert_eq!(state("job"), "exited");
    }
    dom0.hyper(&["logs", "job"]).ok().stdout("run\nrun\n");
    dom0.hyper(&["stop", "job"]).ok();
    dom0.hyper(&["kill", "job"]).code(1).one_error("is not running");
    dom0.hyper(&["rename", "job", "work"]).ok();
    dom0.hyper(&["rm", &id[..8]]).ok();

    dom0.idle("on", BUSYBOX);
    dom0.hyper(&["rm", "on"]).code(1).one_error("running");
    dom0.hyper(&["start", "on"]).ok();
    dom0.hyper(&["pause", "on"]).ok();
    assert_eq!(state("on"), "paused");
    dom0.sh("xl list on | awk 'NR == 2 { print $5 }'")
        .ok()
        .out_has("p");
    dom0.exec("on", &["true"]).code(1).one_error("is paused");
    dom0.hyper(&["unpause", "on"]).ok();
    dom0.exec("on", &["echo", "on"]).ok().stdout("on\n");
    let before = dom0.sh("xl domid on").ok().text();
    dom0.hyper(&["restart", "-t", "0", "on"]).ok();
    assert_eq!(state("on"), "running");
    assert_ne!(dom0.sh("xl domid on").ok().text(), before);
    dom0.hyper(&["rm", "-f", "on"]).ok().stdout("on\n");

    // Docker has a second line for this one.
    dom0.hyper(&["start", "nobody"]).code(1).stderr(
        "Error response from daemon: No such container: nobody\nfailed to start containers: nobody\n",
    );
    for verb in ["stop", "kill", "rm", "logs", "wait", "restart", "pause", "attach"] {
        dom0.hyper(&[verb, "nobody"])
            .code(1)
            .one_error("No such container: nobody");
    }
}

const TRAP: &str = "trap 'echo got TERM; exit 6' TERM; echo ready; while :; do sleep 1000 & wait; done";

fn stop(dom0: &Dom0<'_>) {
    let mut polite = dom0.spawn(&["run", "--name", "polite", BUSYBOX, "sh", "-c", TRAP]);
    polite.expect("ready\n");
    dom0.hyper(&["stop", "polite"]).ok().stdout("polite\n");
    polite.finish().code(6).stdout("ready\ngot TERM\n");
    assert_eq!(dom0.inspect("polite", "{{.State.ExitCode}}"), "6");
    dom0.hyper(&["rm", "polite"]).ok();

    // PID 1 without a handler does not hear SIGTERM: it is killed when its time is over.
    dom0.idle("deaf", BUSYBOX);
    dom0.hyper(&["stop", "-t", "1", "deaf"]).ok();
    assert_eq!(dom0.inspect("deaf", "{{.State.ExitCode}}"), "137");
    dom0.hyper(&["rm", "deaf"]).ok();
    // The container's own time and signal; under an init the command is not PID 1 and hears it.
    dom0.detached("own", &["--stop-timeout", "1", BUSYBOX, "sleep", "1000000"]);
    dom0.hyper(&["stop", "own"]).ok();
    assert_eq!(dom0.inspect("own", "{{.State.ExitCode}}"), "137");
    dom0.hyper(&["rm", "own"]).ok();
    dom0.detached(
        "init",
        &["--init", "--stop-signal", "USR1", BUSYBOX, "sleep", "1000000"],
    );
    dom0.hyper(&["stop", "-t", "-1", "init"]).ok();
    assert_eq!(dom0.inspect("init", "{{.State.ExitCode}}"), "138");
    dom0.hyper(&["rm", "init"]).ok();
}

fn signals(dom0: &Dom0<'_>) {
    let script = "for s in HUP USR1 INT; do trap \"echo got $s\" $s; done; echo ready; while :; do sleep 1000 & wait; done";
    let mut container = dom0.spawn(&[
        "run",
        "--name",
        "ears",
        "--stop-signal",
        "KILL",
        BUSYBOX,
        "sh",
        "-c",
        script,
    ]);
    container.expect("ready\n");
    for (flag, shown) in [("HUP", "HUP"), ("SIGUSR1", "USR1"), ("2", "INT")] {
        dom0.hyper(&["kill", "-s", flag, "ears"]).ok().stdout("ears\n");
        container.expect(&format!("got {shown}\n"));
    }
    dom0.hyper(&["kill", "-s", "NOSUCH", "ears"])
        .code(1)
        .one_error("NOSUCH");
    dom0.hyper(&["stop", "ears"]).ok();
    container.finish().code(137);
    dom0.hyper(&["rm", "ears"]).ok();
}

fn lists(dom0: &Dom0<'_>) {
    dom0.detached(
        "web-1",
        &["-l", "tier=web", "-l", "n=1", BUSYBOX, "sleep", "1000000"],
    );
    dom0.hyper(&["create", "--name", "web-2", "-l", "tier=web", BUSYBOX])
        .ok();
    let names = |args: &[&str]| {
        let mut names = dom0
            .hyper(&[&["ps", "--format", "{{.Names}}"], args].concat())
            .ok()
            .lines();
        names.sort();
        names.join(" ")
    };
    assert_eq!(names(&[]), "web-1");
    assert_eq!(names(&["-a"]), "web-1 web-2");
    for (filter, wanted) in [
        ("label=tier=web", "web-1 web-2"),
        ("label=n", "web-1"),
        ("name=-2", "web-2"),
        ("status=created", "web-2"),
        ("status=running", "web-1"),
        ("ancestor=localhost:5000/busybox", "web-1 web-2"),
        ("label=tier=none", ""),
    ] {
        assert_eq!(names(&["-a", "-f", filter]), wanted, "{filter}");
    }
    assert_eq!(names(&["-n", "1"]), "web-2");
    dom0.hyper(&["ps", "-a", "-f", "nonsense=1"])
        .code(1)
        .one_error("invalid filter");
    let table = dom0.hyper(&["ps"]).ok().text();
    let header: Vec<_> = table
        .lines()
        .next()
        .unwrap_or("")
        .split("  ")
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .collect();
    assert_eq!(
        header,
        [
            "CONTAINER ID",
            "IMAGE",
            "COMMAND",
            "CREATED",
            "STATUS",
            "PORTS",
            "NAMES"
        ]
    );
    assert!(
        table.contains("\"sleep 1000000\"") && table.contains("Up "),
        "{table}"
    );
    dom0.hyper(&["rm", "-f", "web-1", "web-2"])
        .ok()
        .stdout("web-1\nweb-2\n");
}

fn logs(dom0: &Dom0<'_>) {
    let script = "for i in 1 2 3 4 5; do echo out $i; done; echo err >&2; printf partial; exec sleep 1000000";
    let mut container = dom0.spawn(&["run", "--name", "chatty", BUSYBOX, "sh", "-c", script]);
    container.expect("partial");
    // A line without an end is not in the log before its stream has ended, as in docker.
    let lines = "out 1\nout 2\nout 3\nout 4\nout 5\n";
    dom0.hyper(&["logs", "chatty"]).ok().stdout(lines).stderr("err\n");
    let stamped = dom0.hyper(&["logs", "-t", "chatty"]).ok().lines();
    assert!(
        stamped[0].starts_with("20") && stamped[0].ends_with("Z out 1"),
        "{stamped:?}"
    );
    let mut follower = dom0.spawn(&["logs", "-f", "chatty"]);
    follower.expect("out 5\n");
    dom0.hyper(&["kill", "chatty"]).ok();
    follower.expect("partial");
    follower.finish().ok();
    container.finish().code(137);
    dom0.hyper(&["logs", "-n", "1", "chatty"]).ok().stdout("partial");
    dom0.hyper(&["rm", "chatty"]).ok();
}
