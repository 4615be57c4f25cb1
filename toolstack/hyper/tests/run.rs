//! `run`, `exec`, `start` and `attach` through the binary, against a daemon of one container.

mod fake;

use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;

use fake::{Daemon, ID, Setup, frame};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn output_streams_and_exit_code_are_the_containers() {
    let daemon = Daemon::start(Setup {
        process: |_, out| {
            let frames = [frame(1, b"to out\n"), frame(2, b"to err\n"), frame(1, b"more")];
            out.write_all(&frames.concat()).unwrap();
            7
        },
        ..Setup::default()
    });
    let output = daemon.run(&["run", "--rm", "busybox", "sh", "-c", "x"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(text(&output.stdout), "to out\nmore");
    assert_eq!(text(&output.stderr), "WARNING: odd\nto err\n");
    assert_eq!(
        daemon.calls(),
        [
            "POST /containers/create",
            "POST /containers/ID/attach",
            "POST /containers/ID/wait",
            "POST /containers/ID/start",
        ]
    );
    assert_eq!(daemon.bodies()[0]["Cmd"], serde_json::json!(["sh", "-c", "x"]));
    assert!(daemon.wait_for("/wait").ends_with("condition=removed"));
}

#[test]
fn without_rm_the_wait_is_for_the_next_exit() {
    let daemon = Daemon::start(Setup::default());
    assert!(daemon.run(&["run", "busybox"]).status.success());
    assert!(daemon.wait_for("/wait").ends_with("condition=next-exit"));
}

/// Echoes in frames while it reads, and says more after the end of its input.
fn echo(input: &mut dyn Read, out: &mut dyn Write) -> i32 {
    let mut buffer = vec![0; 100_000];
    let mut total = 0usize;
    loop {
        let count = input.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        total += count;
        out.write_all(&frame(1, &buffer[..count])).unwrap();
    }
    out.write_all(&frame(2, total.to_string().as_bytes())).unwrap();
    3
}

/// Bytes that differ at every place, so that loss, order and repetition show.
fn pattern(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let words = std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        state.to_le_bytes()
    });
    words.take(bytes / 8).flatten().collect()
}

#[test]
fn a_hundred_megabytes_go_both_ways() {
    const BYTES: usize = 100_000_000;
    let daemon = Daemon::start(Setup {
        process: echo,
        ..Setup::default()
    });
    let mut child = daemon
        .command(&["run", "-i", "--rm", "busybox", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let sent = pattern(BYTES);
    let copy = sent.clone();
    let writer = thread::spawn(move || stdin.write_all(&copy).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout == sent, "the bytes differ");
    assert!(text(&output.stderr).ends_with(&BYTES.to_string()));
}

#[test]
fn without_i_the_container_sees_the_end_of_its_input() {
    let daemon = Daemon::start(Setup {
        process: echo,
        ..Setup::default()
    });
    let mut child = daemon
        .command(&["run", "busybox"])
        // Never written to and never closed.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let _stdin = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_missing_image_is_pulled() {
    let daemon = Daemon::start(Setup {
        image_present: false,
        ..Setup::default()
    });
    let output = daemon.run(&["run", "busybox"]);
    assert!(output.status.success());
    assert!(output.stdout.is_empty());
    assert_eq!(
        text(&output.stderr),
        "Unable to find image 'busybox:latest' locally\nlatest: Pulling from library/busybox\n\
         aa: Pull complete\nStatus: Downloaded newer image for busybox:latest\nWARNING: odd\n"
    );
    let pull = daemon.wait_for("/images/create");
    assert!(pull.ends_with("fromImage=docker.io%2Flibrary%2Fbusybox&tag=latest"));
}

#[test]
fn never_pulling_leaves_the_error() {
    let daemon = Daemon::start(Setup {
        image_present: false,
        ..Setup::default()
    });
    let output = daemon.run(&["run", "--pull=never", "busybox"]);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(
        text(&output.stderr),
        "hyper: Error response from daemon: No such image: busybox:latest\n\n\
         Run 'hyper run --help' for more information\n"
    );
    assert_eq!(
        daemon.run(&["create", "--pull=never", "busybox"]).status.code(),
        Some(1)
    );
}

#[test]
fn detached_prints_the_id() {
    let daemon = Daemon::start(Setup::default());
    let cidfile = daemon.path("cid");
    let cidfile = cidfile.to_str().unwrap();
    let line = ["run", "-d", "--cidfile", cidfile, "busybox"];
    let output = daemon.run(&line);
    assert_eq!(text(&output.stdout), format!("{ID}\n"));
    assert_eq!(
        daemon.calls(),
        ["POST /containers/create", "POST /containers/ID/start"]
    );
    assert_eq!(std::fs::read_to_string(cidfile).unwrap(), ID);
    let again = daemon.run(&line);
    assert_eq!(again.status.code(), Some(125));
    assert!(text(&again.stderr).contains("container ID file found"));
}

#[test]
fn a_start_that_fails_has_dockers_code_and_leaves_nothing() {
    for (message, code) in [
        ("exec: \"nope\": executable file not found in $PATH", 127),
        ("exec: \"/etc/hosts\": permission denied", 126),
        ("not enough memory", 125),
    ] {
        let daemon = Daemon::start(Setup {
            start_error: Some((400, message)),
            ..Setup::default()
        });
        let output = daemon.run(&["run", "--rm", "busybox", "nope"]);
        assert_eq!(output.status.code(), Some(code));
        assert!(text(&output.stderr).contains(&format!("hyper: Error response from daemon: {message}\n")));
        assert_eq!(daemon.calls().last().unwrap(), "DELETE /containers/ID");
        let output = daemon.run(&["run", "-d", "busybox", "nope"]);
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(daemon.calls().last().unwrap(), "POST /containers/ID/start");
    }
}

/// Ends when its connection does.
fn sleep(input: &mut dyn Read, _: &mut dyn Write) -> i32 {
    let mut rest = Vec::new();
    input.read_to_end(&mut rest).unwrap();
    0
}

#[test]
fn signals_are_sent_on() {
    let daemon = Daemon::start(Setup {
        process: |_, out| {
            // Running: the test may send its signal.
            out.write_all(&frame(1, b"ready\n")).unwrap();
            143
        },
        ..Setup::default()
    });
    let mut child = daemon
        .command(&["run", "-i", "busybox"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut ready = [0; 6];
    out.read_exact(&mut ready).unwrap();
    drop(out);
    assert_eq!(child.wait().unwrap().code(), Some(143));

    let daemon = Daemon::start(Setup {
        process: sleep,
        ..Setup::default()
    });
    let mut child = daemon
        .command(&["run", "-i", "busybox"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    daemon.wait_for("/start");
    for signal in [rustix::process::Signal::USR1, rustix::process::Signal::TERM] {
        rustix::process::kill_process(pid, signal).unwrap();
        daemon.wait_for("/kill");
    }
    drop(child.stdin.take());
    child.wait().unwrap();
    let kills = daemon
        .calls()
        .iter()
        .filter(|call| call.ends_with("/kill"))
        .count();
    assert_eq!(kills, 2);
}

#[test]
fn a_reader_that_goes_ends_us_quietly() {
    let daemon = Daemon::start(Setup {
        process: |_, out| {
            while out.write_all(&frame(1, &[b'y'; 10_000])).is_ok() {}
            0
        },
        ..Setup::default()
    });
    let mut child = daemon
        .command(&["run", "busybox", "yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(text(&output.stderr), "WARNING: odd\n");
}

#[test]
fn exec_has_the_commands_code() {
    let daemon = Daemon::start(Setup {
        process: echo,
        ..Setup::default()
    });
    let mut child = daemon
        .command(&["exec", "-i", "-e", "A=1", "web", "cat", "-u"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(text(&output.stdout), "hello");
    assert_eq!(
        daemon.calls(),
        [
            "POST /containers/web/exec",
            "POST /exec/e1/start",
            "GET /exec/e1/json"
        ]
    );
    let body = &daemon.bodies()[0];
    assert_eq!(body["Cmd"], serde_json::json!(["cat", "-u"]));
    assert_eq!(body["Env"], serde_json::json!(["A=1"]));
    assert_eq!(body["AttachStdin"], true);
}

#[test]
fn start_and_attach_in_the_foreground() {
    let daemon = Daemon::start(Setup {
        process: echo,
        ..Setup::default()
    });
    let output = daemon.run(&["start", "-ai", "web"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(text(&output.stderr), "0");
    // It has been started and may be attached to.
    let output = daemon.run(&["attach", "--no-stdin", "web"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_terminal_is_wanted_where_one_is_asked_for() {
    let daemon = Daemon::start(Setup::default());
    for line in [["run", "-it", "busybox", "sh"], ["exec", "-it", "web", "sh"]] {
        let output = daemon.run(&line);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(text(&output.stderr), "the input device is not a TTY\n");
    }
    assert!(daemon.calls().is_empty());
}
