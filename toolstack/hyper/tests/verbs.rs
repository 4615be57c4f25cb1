//! The other verbs, and what the command line says of itself.

mod fake;

use std::process::{Command, Output};

use fake::{Daemon, ID, Setup, frame};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn hyper(line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hyper"))
        .env("HYPER_HOST", "unix:///nowhere/sock")
        .args(line)
        .output()
        .unwrap()
}

#[test]
fn no_daemon_is_one_clear_line() {
    for (line, code) in [
        (&["ps"][..], 1),
        (&["run", "busybox"], 125),
        (&["create", "busybox"], 1),
        (&["stop", "a", "b"], 1),
        (&["exec", "a", "b"], 1),
        (&["inspect", "a"], 1),
    ] {
        let output = hyper(line);
        assert_eq!(output.status.code(), Some(code), "{line:?}");
        assert_eq!(
            text(&output.stderr),
            "hyper: cannot connect to hyperd at unix:///nowhere/sock: is it running? \
             (No such file or directory (os error 2))\n"
        );
    }
}

#[test]
fn mistakes_have_dockers_codes() {
    for (line, code) in [
        (&["run", "--nope", "busybox"][..], 125),
        (&["ps", "--nope"], 125),
        (&["run", "-m", "lots", "busybox"], 125),
        (&["run", "-a", "nowhere", "busybox"], 125),
        (&["run", "--name"], 125),
        (&["run"], 1),
        (&["exec", "web"], 1),
        (&["stop"], 1),
        (&["ps", "extra"], 1),
        (&["logs", "a", "b"], 1),
        (&["nope"], 1),
        (&["run", "-d", "-a", "stdout", "busybox"], 1),
        (&["run", "--detach-keys", "ctrl-1", "busybox"], 1),
        (&["-H", "tcp://host:1", "ps"], 1),
        (&["run", "--help"], 0),
        (&["ps", "--help"], 0),
        (&["--version"], 0),
        (&["--help"], 0),
        (&["completion", "bash"], 0),
    ] {
        let output = hyper(line);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{line:?}: {}",
            text(&output.stderr)
        );
        assert!(!text(&output.stderr).contains("cannot connect"), "{line:?}");
    }
}

#[test]
fn many_targets_go_on_after_an_error() {
    let daemon = Daemon::start(Setup::default());
    let output = daemon.run(&["rm", "a", "missing", "b"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "a\nb\n");
    assert_eq!(
        text(&output.stderr),
        "Error response from daemon: No such container: missing\n"
    );
    let output = daemon.run(&["rm", "-f", "missing"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn switches_take_values() {
    let daemon = Daemon::start(Setup::default());
    assert!(
        daemon
            .run(&["run", "-d=true", "--rm=false", "-i=true", "--init", "busybox"])
            .status
            .success()
    );
    let body = &daemon.bodies()[0];
    assert_eq!(body["HostConfig"]["AutoRemove"], false);
    assert_eq!(body["HostConfig"]["Init"], true);
    assert_eq!(body["OpenStdin"], true);
    assert!(daemon.run(&["run", "-dit", "busybox"]).status.success());
    assert_eq!(daemon.bodies()[2]["Tty"], true);
}

#[test]
fn containers_are_listed() {
    let daemon = Daemon::start(Setup::default());
    let lines = text(&daemon.run(&["ps"]).stdout).to_owned();
    let mut lines = lines.lines();
    assert_eq!(
        lines.next().unwrap(),
        "CONTAINER ID   IMAGE     COMMAND   CREATED        STATUS         PORTS     NAMES"
    );
    let row = lines.next().unwrap();
    assert!(row.starts_with("0123456789ab   busybox   \"sh\"      "), "{row}");
    assert!(row.ends_with("years ago   Up 5 seconds             web"), "{row}");
    for (line, want) in [
        (&["ps", "-q"][..], "0123456789ab\n".to_owned()),
        (&["container", "ls", "-q", "--no-trunc"], format!("{ID}\n")),
        (
            &["ps", "--format", r#"{{.Names}}: {{.Status}} {{.Label "a"}}"#],
            "web: Up 5 seconds b\n".to_owned(),
        ),
    ] {
        assert_eq!(text(&daemon.run(line).stdout), want);
    }
    daemon.run(&["ps", "-a", "-f", "status=exited", "-n", "3"]);
    daemon.wait_for("/containers/json?all=1&limit=3&filters=%7B%22status%22%3A%7B%22exited%22%3Atrue%7D%7D");
}

#[test]
fn inspect_finds_fields_and_tells_what_is_missing() {
    let daemon = Daemon::start(Setup::default());
    let output = daemon.run(&["inspect", "-f", "{{.Name}} {{.Config.Tty}}", "web"]);
    assert_eq!(text(&output.stdout), "/web false\n");
    let output = daemon.run(&["inspect", "missing"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "[]\n");
    assert_eq!(text(&output.stderr), "Error: No such object: missing\n");
    let output = daemon.run(&["inspect", "--plan", "web"]);
    assert_eq!(
        text(&output.stdout),
        "{\n    \"type\": \"pvh\",\n    \"memory_mib\": 64\n}\n"
    );
}

#[test]
fn logs_come_apart_into_both_streams() {
    let daemon = Daemon::start(Setup {
        logs: [frame(1, b"out\n"), frame(2, b"err\n")].concat(),
        ..Setup::default()
    });
    let output = daemon.run(&["logs", "-t", "--tail", "5", "--since", "1357133017", "web"]);
    assert_eq!(text(&output.stdout), "out\n");
    assert_eq!(text(&output.stderr), "err\n");
    daemon.wait_for("/logs?stdout=1&stderr=1&timestamps=1&since=1357133017&tail=5");
    let daemon = Daemon::start(Setup {
        logs: b"[    0.000000] Linux\n".to_vec(),
        ..Setup::default()
    });
    let output = daemon.run(&["logs", "--console", "-f", "web"]);
    assert_eq!(text(&output.stdout), "[    0.000000] Linux\n");
    daemon.wait_for("GET /hyper/v1/containers/web/console?follow=1");
}

#[test]
fn stop_and_kill_pass_their_flags() {
    let daemon = Daemon::start(Setup::default());
    daemon.run(&["kill", "-s", "HUP", "web"]);
    daemon.wait_for("/containers/web/kill?signal=HUP");
    daemon.run(&["stop", "--time", "3", "-s", "INT", "web"]);
    daemon.wait_for("/containers/web/stop?signal=INT&t=3");
}

#[test]
fn pull_tells_its_steps_and_the_name() {
    let daemon = Daemon::start(Setup::default());
    let output = daemon.run(&["pull", "busybox"]);
    assert_eq!(
        text(&output.stdout),
        "Using default tag: latest\nlatest: Pulling from library/busybox\naa: Pull complete\n\
         Status: Downloaded newer image for busybox:latest\ndocker.io/library/busybox:latest\n"
    );
    let output = daemon.run(&["image", "pull", "-q", "busybox:1"]);
    assert_eq!(text(&output.stdout), "docker.io/library/busybox:1\n");
}
