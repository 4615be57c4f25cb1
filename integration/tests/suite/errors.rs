//! Wrong input: one clear line, the right exit code, and nothing left behind.

use super::support::{BUSYBOX, Dom0, LIES, Registry, Test, once, pv};

pub const TESTS: &[Test] = &[
    once("errors::references", references),
    once("errors::lying_registry", lying_registry),
    once("errors::flags", flags),
    once("errors::no_memory", no_memory),
    pv("errors::full_disk", full_disk),
    once("errors::no_daemon", no_daemon),
    once("errors::configuration", configuration),
];

fn run(dom0: &Dom0<'_>, image: &str) -> super::support::Ran {
    dom0.command(&["hyper", "run", "--rm", image, "true"])
}

fn references(dom0: &Dom0<'_>) {
    for bad in [
        "Upper/Case",
        "localhost:5000/busybox:",
        "a b",
        "",
        "localhost:5000/x@sha256:12",
        "-x-",
    ] {
        dom0.command(&["hyper", "run", "--rm", "--", bad, "true"])
            .code(125)
            .one_error("invalid reference");
        dom0.command(&["hyper", "pull", "--", bad])
            .code(1)
            .one_error("invalid reference");
    }
    run(dom0, "localhost:5000/nothing")
        .code(125)
        .one_error("localhost:5000/nothing");
    run(dom0, "localhost:5000/busybox:nothing")
        .code(125)
        .one_error("busybox:nothing");
    dom0.hyper(&["pull", "localhost:5000/busybox:nothing"])
        .code(1)
        .err_has("busybox:nothing");
    // Nobody listens there.
    run(dom0, "localhost:1/busybox").code(125).one_error("refused");
    dom0.hyper(&["pull", "localhost:1/busybox"])
        .code(1)
        .err_has("refused");
}

fn lying_registry(dom0: &Dom0<'_>) {
    let registry = Registry::start(dom0);
    // The server is right where it does not lie.
    let honest = registry.image("honest");
    dom0.hyper(&["pull", "-q", &honest]).ok();
    dom0.hyper(&["rmi", &honest]).ok();

    let images = dom0.hyper(&["images", "-aq"]).ok().text();
    let store = "find /var/lib/hyper/images -type f -printf '%P %s\\n' | sort";
    let before = dom0.sh(store).ok().text();
    for lie in LIES {
        let image = registry.image(lie);
        let ran = dom0.hyper(&["pull", "-q", &image]);
        // One that comes amid the progress has no prefix, as with docker.
        ran.code(1).one_error("");
        if lie.starts_with("altered") || *lie == "wrong-diff-id" {
            ran.err_has("digest");
        }
        run(dom0, &image).code(125);
        assert_eq!(
            dom0.hyper(&["images", "-aq"]).ok().text(),
            images,
            "{lie}: an image is there"
        );
    }
    assert_eq!(dom0.sh(store).ok().text(), before, "the store has changed");
    dom0.hyper(&["pull", "-q", &honest]).ok();
    dom0.hyper(&["rmi", &honest]).ok();
}

fn flags(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    let bad: &[&[&str]] = &[
        &["--no-such-flag"],
        &["-m", "lots"],
        &["-m", "1m"],
        &["--cpus", "many"],
        &["--cpus", "-1"],
        &["--cpus", "0.0001"],
        &["--type", "kvm"],
        &["--name", "not/a/name"],
        &["--env-file", "/no/such/file"],
        &["--tmpfs", "relative"],
        &["-w", "relative"],
        &["--stop-signal", "NOSUCH"],
        &["--hostname", "not a host"],
        &["-u", "no-such-user"],
    ];
    for flags in bad {
        let ran = dom0.command(&[&["hyper", "run", "--rm"], *flags, &[BUSYBOX, "true"]].concat());
        ran.code(125);
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{ran}");
        assert!(
            ran.error_text()
                .lines()
                .next()
                .is_some_and(|line| line.len() > 15),
            "wanted a first line that says what is wrong\n{ran}"
        );
        assert!(!ran.error_text().contains("panicked"), "{ran}");
    }
    // What docker finds before it asks its daemon is not 125.
    dom0.command(&[
        "hyper",
        "run",
        "--rm",
        "--detach-keys",
        "nonsense,",
        BUSYBOX,
        "true",
    ])
    .code(1)
    .one_error("nonsense");
    dom0.hyper(&["no-such-verb"]).err_has("no-such-verb");
    assert_ne!(dom0.hyper(&["no-such-verb"]).code, 0);
    assert_ne!(dom0.hyper(&["run"]).code, 0);
}

fn no_memory(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    dom0.command(&["hyper", "run", "--rm", "-m", "100g", BUSYBOX, "true"])
        .code(125)
        .one_error("memory");
}

fn full_disk(dom0: &Dom0<'_>) {
    let redis = "localhost:5000/redis";
    dom0.pull(BUSYBOX);
    // Another case may have left it, and what is there needs no room.
    dom0.hyper(&["rmi", redis]);
    dom0.forget_pulled();
    dom0.sh("fallocate -l $(($(stat -f -c '%a * %S' /var/lib/hyper) - (4 << 20))) /var/lib/hyper/ballast")
        .ok();
    let pulled = dom0.hyper(&["pull", "-q", redis]);
    let ran = run(dom0, redis);
    dom0.sh("rm /var/lib/hyper/ballast").ok();
    pulled.code(1).one_error("No space left on device");
    ran.code(125);
    // What was full is not broken.
    dom0.hyper(&["run", "--rm", BUSYBOX, "echo", "works"])
        .ok()
        .stdout("works\n");
    dom0.hyper(&["pull", "-q", redis]).ok();
    dom0.hyper(&["run", "--rm", redis, "--version"])
        .ok()
        .out_has("Redis server");
}

fn no_daemon(dom0: &Dom0<'_>) {
    dom0.sh("systemctl stop hyperd").ok();
    let ps = dom0.hyper(&["ps"]);
    let run = run(dom0, BUSYBOX);
    let version = dom0.hyper(&["version"]);
    let other = dom0.command(&["hyper", "-H", "unix:///no/such.sock", "ps"]);
    dom0.sh("systemctl start hyperd").ok();
    ps.code(1)
        .one_error("/run/hyper/hyperd.sock")
        .err_has("is it running?");
    run.code(125).one_error("/run/hyper/hyperd.sock");
    version
        .code(1)
        .out_has("Client")
        .err_has("/run/hyper/hyperd.sock");
    other.code(1).one_error("/no/such.sock");
}

fn configuration(dom0: &Dom0<'_>) {
    let check = |text: &str| {
        dom0.sh(&format!(
            "printf '%s\\n' '{text}' > /tmp/bad.toml; hyperd --check-config --config /tmp/bad.toml"
        ))
    };
    check("no_such_key = 1").code(1).one_error("no_such_key");
    check("memory = [").code(1).err_has("/tmp/bad.toml");
    dom0.sh("hyperd --check-config").ok();
    // A second daemon keeps off what the first one has.
    dom0.sh("hyperd").code(1).one_error("another hyperd runs already");
    dom0.hyper(&["ps"]).ok();
}
