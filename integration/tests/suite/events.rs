//! What happens, told as it happens and afterwards.

use super::support::{BUSYBOX, Dom0, Test, once, pv};

pub const TESTS: &[Test] = &[
    pv("events::containers", containers),
    once("events::images", images),
    once("events::daemon", daemon),
];

const SHOWN: &str = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}";

fn now(dom0: &Dom0<'_>) -> String {
    dom0.sh("date +%s.%N").ok().text()
}

/// Those of a time that is over.
fn past(dom0: &Dom0<'_>, since: &str, more: &[&str]) -> Vec<String> {
    let until = now(dom0);
    let args = [
        &["events", "--since", since, "--until", &until, "--format", SHOWN],
        more,
    ]
    .concat();
    dom0.hyper(&args).ok().lines()
}

fn containers(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    let since = now(dom0);
    let mut live = dom0.spawn(&[
        "events",
        "-f",
        "container=told",
        "--format",
        "{{.Action}} {{.Actor.Attributes.exitCode}}",
    ]);
    // It listens from its first answer on, which shows nothing.
    dom0.sh("sleep 2").ok();
    dom0.hyper(&[
        "run",
        "--name",
        "told",
        "-l",
        "tier=front",
        BUSYBOX,
        "sh",
        "-c",
        "exit 5",
    ])
    .code(5);
    live.expect("die 5\n");
    dom0.hyper(&["rm", "told"]).ok();
    live.expect("destroy <no value>\n");
    drop(live);

    let all = past(dom0, &since, &["-f", "type=container"]);
    let order =
        ["create", "attach", "start", "die", "destroy"].map(|action| format!("container {action} told"));
    assert_eq!(all, order);
    for (filter, count) in [
        ("event=die", 1),
        ("label=tier=front", 5),
        ("label=tier=back", 0),
        ("image=localhost:5000/busybox", 5),
        ("image=other", 0),
        ("scope=local", 7),
        ("scope=swarm", 0),
        ("type=image", 0),
        ("container=tol", 0),
    ] {
        let found = past(dom0, &since, &["-f", filter]);
        assert_eq!(found.len(), count, "{filter}: {found:?}");
    }

    // As docker tells of an end, whoever wants it.
    dom0.idle("ends", BUSYBOX);
    let since_then = now(dom0);
    dom0.hyper(&["restart", "-t", "0", "ends"]).ok();
    dom0.hyper(&["stop", "-t", "0", "ends"]).ok();
    dom0.hyper(&["start", "ends"]).ok();
    dom0.hyper(&["rm", "-f", "ends"]).ok();
    let told = past(dom0, &since_then, &["-f", "container=ends"]);
    let mut told: Vec<_> = told.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    // With or without the second signal.
    told.dedup();
    assert_eq!(
        told.join(" "),
        "kill die stop start restart kill die stop start kill die destroy"
    );

    // They are there after a restart, and docker's client says the same.
    dom0.sh("systemctl restart hyperd").ok();
    assert_eq!(past(dom0, &since, &["-f", "container=told"]), order);
    let until = now(dom0);
    for format in ["", "--format '{{json .}}'"] {
        let shown = format!("events --since {since} --until {until} {format}");
        let theirs = dom0
            .sh(&format!("docker -H unix:///run/hyper/hyperd.sock {shown}"))
            .ok()
            .text();
        assert_eq!(dom0.sh(&format!("hyper {shown}")).ok().text(), theirs);
    }
    dom0.hyper(&["events", "-f", "nonsense=1", "--until", &until])
        .code(1)
        .one_error("invalid filter 'nonsense'");
}

fn images(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    let since = now(dom0);
    dom0.hyper(&["tag", BUSYBOX, "told:1"]).ok();
    dom0.sh("hyper save -o /tmp/told.tar told:1; hyper rmi told:1; hyper load -q -i /tmp/told.tar; hyper rmi told:1; rm /tmp/told.tar")
        .ok();
    dom0.sh("printf x > /tmp/x; tar -C /tmp -c x | hyper import - told:2; rm /tmp/x; hyper rmi told:2")
        .ok();
    let args = [
        "events",
        "--since",
        &since,
        "--until",
        &now(dom0),
        "-f",
        "type=image",
        "--format",
        "{{.Action}}",
    ];
    let actions = dom0.hyper(&args).ok().lines();
    assert_eq!(
        actions,
        [
            "tag", "save", "untag", "load", "untag", "import", "untag", "delete"
        ]
    );
}

fn daemon(dom0: &Dom0<'_>) {
    let since = now(dom0);
    dom0.sh("cp /etc/hyper/hyperd.toml /tmp/hyperd.toml; echo 'log = { driver = \"none\" }' >> /etc/hyper/hyperd.toml; systemctl reload hyperd")
        .ok();
    // Told when it is done, which is not when systemctl comes back.
    let reloads = || {
        let format = "{{.Action}} {{index .Actor.Attributes \"log-driver\"}}";
        dom0.spawn(&[
            "events",
            "--since",
            &since,
            "-f",
            "type=daemon",
            "--format",
            format,
        ])
    };
    reloads().expect("reload none\n");
    dom0.hyper(&["info", "--format", "{{.LoggingDriver}}"])
        .ok()
        .stdout("none\n");
    // A config that is wrong changes nothing.
    dom0.sh("echo 'no-such-key = 1' >> /etc/hyper/hyperd.toml; systemctl reload hyperd; sleep 1")
        .ok();
    dom0.hyper(&["info", "--format", "{{.LoggingDriver}}"])
        .ok()
        .stdout("none\n");
    dom0.sh("journalctl -u hyperd -o cat").ok().out_has("no-such-key");
    dom0.sh("mv /tmp/hyperd.toml /etc/hyper/hyperd.toml; systemctl reload hyperd")
        .ok();
    reloads().expect("reload none\n").expect("reload json-file\n");
}
