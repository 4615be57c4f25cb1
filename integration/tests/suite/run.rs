//! `hyper run`: exit codes, and what its flags do to the process.

use super::support::{BUSYBOX, Dom0, Test, both, pv};

pub const TESTS: &[Test] = &[
    both("run::exit_codes", exit_codes),
    pv("run::detached", detached).offline(),
    pv("run::missing_command", missing_command).offline(),
    pv("run::flags", flags),
    pv("run::entrypoint_from_flags", entrypoint_from_flags).offline(),
];

fn exit_codes(dom0: &Dom0<'_>) {
    dom0.hyper(&["run", "--rm", BUSYBOX, "echo", "hi"])
        .ok()
        .stdout("hi\n")
        .stderr("");
    dom0.hyper(&[
        "run",
        "--rm",
        BUSYBOX,
        "sh",
        "-c",
        "echo out; echo err >&2; exit 37",
    ])
    .code(37)
    .stdout("out\n")
    .stderr("err\n");
}

/// The whole life of a container in the background; it ends by a signal.
fn detached(dom0: &Dom0<'_>) {
    let script = "echo one; echo two >&2; exec sleep 1000000";
    let id = dom0.detached("long", &[BUSYBOX, "sh", "-c", script]);
    dom0.spawn(&["logs", "-f", "long"]).expect("one\n");
    dom0.hyper(&[
        "ps",
        "--no-trunc",
        "--format",
        "{{.ID}} {{.Image}} {{.Names}} {{.State}}",
    ])
    .ok()
    .stdout(&format!("{id} {BUSYBOX} long running\n"));
    assert_eq!(
        dom0.inspect("long", "{{.State.Status}} {{.State.ExitCode}}"),
        "running 0"
    );
    let waiting = dom0.spawn(&["wait", "long"]);
    dom0.hyper(&["kill", "long"]).ok().stdout("long\n");
    waiting.finish().ok().stdout("137\n");
    dom0.hyper(&["ps", "-q"]).ok().stdout("");
    dom0.hyper(&["ps", "-aq"])
        .ok()
        .stdout(&format!("{}\n", &id[..12]));
    assert_eq!(
        dom0.inspect("long", "{{.State.Status}} {{.State.ExitCode}}"),
        "exited 137"
    );
    dom0.hyper(&["logs", "long"]).ok().stdout("one\n").stderr("two\n");
    dom0.hyper(&["rm", "long"]).ok().stdout("long\n");
    dom0.hyper(&["inspect", "long"]).code(1).err_has("no such");
}

fn missing_command(dom0: &Dom0<'_>) {
    dom0.hyper(&["run", "--rm", BUSYBOX, "no-such-command"])
        .code(127)
        .one_error("no-such-command");
    dom0.hyper(&["run", "--rm", BUSYBOX, "/etc/not-executable"])
        .code(126)
        .one_error("permission denied");
    dom0.hyper(&["run", "--rm", BUSYBOX, "/no/such/path"])
        .code(127)
        .one_error("/no/such/path");
}

fn flags(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    let script = r#"echo "$A|$B|$C|$D|${GONE-unset}"; pwd; id -u; id -G; hostname; cat /etc/hostname; umask"#;
    let ran = dom0.sh(&format!(
        "printf 'C=from file\\n# no line\\nD\\n' > /tmp/env
         B=inherited D=named hyper run --rm --type pv -e A=1 -e B -e GONE --env-file /tmp/env -w /made/for/it \
            -u app:29 --hostname box -l colour=red --name flags {BUSYBOX} sh -c '{script}'"
    ));
    ran.ok()
        .stdout("1|inherited|from file|named|unset\n/made/for/it\n1000\n29\nbox\nbox\n0022\n");

    // Arguments arrive as given, and what is not a flag of ours is the command's.
    dom0.hyper(&[
        "run", "--rm", BUSYBOX, "printf", "[%s]", "", "a b", "$HOME", "--rm", "-it", "\"'\\",
    ])
    .ok()
    .stdout("[][a b][$HOME][--rm][-it][\"'\\]");
}

fn entrypoint_from_flags(dom0: &Dom0<'_>) {
    let image = "localhost:5000/busybox:entrypoint";
    dom0.hyper(&["run", "--rm", "--entrypoint", "printf", image, "%s-%s", "a", "b"])
        .ok()
        .stdout("a-b");
}
