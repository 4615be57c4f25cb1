//! Logging drivers: rotation, reading across files, damage, and the daemon that is killed meanwhile.

use super::support::{BUSYBOX, Dom0, Test, once, pv};

pub const TESTS: &[Test] = &[
    pv("logs::rotation", rotation).offline(),
    pv("logs::drivers", drivers).offline(),
    once("logs::options", options),
    pv("logs::killed", killed).offline(),
    pv("logs::damage", damage).offline(),
];

const FOLDER: &str = "/var/lib/hyper/containers";

fn rotation(dom0: &Dom0<'_>) {
    let script = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i; done; \
                  while [ ! -e /tmp/more ]; do sleep 0.1; done; \
                  while [ $i -lt 430 ]; do i=$((i+1)); echo line $i; done; echo error >&2";
    let id = dom0.detached(
        "rotates",
        &[
            "--log-opt",
            "max-size=4k",
            "--log-opt",
            "max-file=3",
            BUSYBOX,
            "sh",
            "-c",
            script,
        ],
    );
    dom0.spawn(&["logs", "-f", "rotates"]).expect("line 400\n");
    let mut follower = dom0.spawn(&["logs", "-f", "-n", "5", "rotates"]);
    follower.expect("line 400\n");
    dom0.exec("rotates", &["touch", "/tmp/more"]).ok();
    dom0.hyper(&["wait", "rotates"]).ok().stdout("0\n");
    // The rest went to other files than the one that the follower began with.
    let followed = follower.finish();
    let expected: String = (396..=430).map(|line| format!("line {line}\n")).collect();
    followed.ok().stdout(&expected).stderr("error\n");

    let files = dom0
        .sh(&format!("cd {FOLDER}/{id}; ls log.json*; wc -c < log.json.1"))
        .ok()
        .lines();
    assert_eq!(files[..3], ["log.json", "log.json.1", "log.json.2"]);
    let bytes: usize = files[3].parse().unwrap();
    assert!((4000..4200).contains(&bytes), "{bytes}");

    // What is left is the end, without a gap, and a tail of it reaches over files.
    let lines = dom0.hyper(&["logs", "rotates"]).ok().lines();
    let first = 430 - lines.len();
    assert!(lines.len() > 60 && lines.len() < 200, "{}", lines.len());
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("line {}", first + at + 1));
    }
    let tail = dom0.hyper(&["logs", "-n", "80", "rotates"]).ok().lines();
    // The line of stderr is one of the eighty.
    assert_eq!(tail, lines[lines.len() - 79..]);

    // A time taken from the log parts it.
    let timed = dom0.hyper(&["logs", "-t", "-n", "31", "rotates"]).ok().lines();
    let (moment, line) = timed[0].split_once(' ').unwrap();
    assert_eq!(line, "line 401");
    let since = dom0.hyper(&["logs", "--since", moment, "rotates"]).ok().lines();
    assert_eq!(since.first().map(String::as_str), Some("line 401"));
    let before = dom0.hyper(&["logs", "--until", moment, "rotates"]).ok().lines();
    assert_eq!(before[before.len() - 2..], ["line 400", "line 401"]);
    assert_eq!(
        dom0.inspect("rotates", "{{json .HostConfig.LogConfig}}"),
        r#"{"Type":"json-file","Config":{"max-file":"3","max-size":"4k"}}"#
    );
    dom0.remove("rotates");
}

fn drivers(dom0: &Dom0<'_>) {
    let echo = "echo out; echo err >&2; printf rest";
    let run = |name: &str, flags: &[&str]| {
        let args = [&["run", "--name", name], flags, &[BUSYBOX, "sh", "-c", echo]].concat();
        dom0.hyper(&args).ok().stdout("out\nrest").stderr("err\n");
    };
    run("silent", &["--log-driver", "none"]);
    dom0.hyper(&["logs", "silent"])
        .code(1)
        .one_error("configured logging driver does not support reading");
    assert_eq!(
        dom0.inspect("silent", "{{.HostConfig.LogConfig.Type}}={{.LogPath}}"),
        "none="
    );

    run(
        "journals",
        &[
            "--log-driver",
            "journald",
            "--log-opt",
            "tag={{.Name}}",
            "--log-opt",
            "labels=tier",
            "-l",
            "tier=front",
        ],
    );
    dom0.hyper(&["logs", "journals"])
        .ok()
        .stdout("out\nrest")
        .stderr("err\n");
    dom0.hyper(&["logs", "-n", "1", "journals"]).ok().stdout("rest");
    dom0.hyper(&["logs", "--details", "-n", "3", "journals"])
        .ok()
        .out_has("TIER=front out");
    dom0.sh("journalctl --sync; journalctl -q -o cat CONTAINER_NAME=journals CONTAINER_TAG=journals TIER=front PRIORITY=3")
        .ok()
        .stdout("err\n");

    run(
        "details",
        &[
            "--log-opt",
            "labels=tier",
            "--log-opt",
            "env=MODE",
            "-l",
            "tier=front",
            "-e",
            "MODE=a b",
        ],
    );
    dom0.hyper(&["logs", "--details", "details"])
        .ok()
        .stdout("MODE=a+b,tier=front out\nMODE=a+b,tier=front rest");
    for name in ["silent", "journals", "details"] {
        dom0.hyper(&["rm", name]).ok();
    }

    dom0.with_config(
        r#"log = { driver = "json-file", max-size = "1m", max-file = "2" }"#,
        || {
            dom0.hyper(&["create", "--name", "defaults", BUSYBOX]).ok();
            let shown = "{{.HostConfig.LogConfig.Type}} {{json .HostConfig.LogConfig.Config}}";
            assert_eq!(
                dom0.inspect("defaults", shown),
                r#"json-file {"max-file":"2","max-size":"1m"}"#
            );
            dom0.hyper(&["rm", "defaults"]).ok();
        },
    );
}

fn options(dom0: &Dom0<'_>) {
    for (flags, message) in [
        (
            &["--log-driver", "syslog"][..],
            "logger: no log driver named 'syslog' is registered",
        ),
        (
            &["--log-opt", "max-sise=1m"],
            "unknown log opt 'max-sise' for json-file log driver",
        ),
        (&["--log-opt", "max-size=lots"], "max-size"),
        (&["--log-opt", "max-file=0"], "max-file cannot be less than 1"),
        (
            &["--log-driver", "journald", "--log-opt", "max-size=1m"],
            "unknown log opt 'max-size' for journald log driver",
        ),
    ] {
        let args = [&["create"], flags, &[BUSYBOX]].concat();
        dom0.hyper(&args).code(1).err_has(message);
    }
}

/// Lines in two pieces, as fast as they come, while the daemon is killed again and again.
fn killed(dom0: &Dom0<'_>) {
    let script = "n=0; while [ ! -e /tmp/end ]; do n=$((n+1)); printf 'number '; echo $n; \
                  [ $((n % 200)) -ne 0 ] || sleep 0.5; done; printf end";
    for (name, flags) in [
        (
            "files",
            &["--log-opt", "max-size=20k", "--log-opt", "max-file=900"][..],
        ),
        ("plain", &[]),
    ] {
        dom0.detached(name, &[flags, &[BUSYBOX, "sh", "-c", script]].concat());
    }
    for _ in 0..4 {
        dom0.sh("sleep 1; systemctl kill -s KILL hyperd; systemctl stop hyperd; systemctl start hyperd")
            .ok();
    }
    // A stop that is none of the daemon's own is the same.
    dom0.sh("sleep 1; systemctl restart hyperd").ok();
    for name in ["files", "plain"] {
        let waiting = dom0.spawn(&["wait", name]);
        // Detached: the container may be gone before it could be said how this ended.
        dom0.hyper(&["exec", "-d", name, "touch", "/tmp/end"]).ok();
        waiting.finish().ok().stdout("0\n");
        let text = dom0.hyper(&["logs", name]).ok().text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.len() > 100, "{} lines", lines.len());
        for (at, line) in lines[..lines.len() - 1].iter().enumerate() {
            assert_eq!(
                *line,
                format!("number {}", at + 1),
                "{name}, of {} lines",
                lines.len()
            );
        }
        assert_eq!(lines.last(), Some(&"end"));
        dom0.hyper(&["rm", name]).ok();
    }
}

fn damage(dom0: &Dom0<'_>) {
    let id = dom0
        .hyper(&["create", "--name", "torn", BUSYBOX, "echo", "whole"])
        .ok()
        .text();
    dom0.hyper(&["start", "-a", "torn"]).ok();
    // What a power cut leaves: rubbish, zeros, half a line.
    dom0.sh(&format!(
        r#"cd {FOLDER}/{id}; printf 'rubbish\n\0\0\0\0{{"log":"half of a li' >> log.json"#
    ))
    .ok();
    dom0.hyper(&["logs", "torn"]).ok().stdout("whole\n");
    dom0.hyper(&["start", "-a", "torn"]).ok();
    dom0.hyper(&["logs", "torn"]).ok().stdout("whole\nwhole\n");
    dom0.hyper(&["logs", "-n", "1", "torn"]).ok().stdout("whole\n");
    dom0.hyper(&["rm", "torn"]).ok();
}
