//! What runs, what it uses, how that is limited, and what is removed when it is of no more use.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[
    pv("usage::top_and_stats", top_and_stats),
    pv("usage::update", update).offline(),
    pv("usage::prune", prune),
];

fn docker(dom0: &Dom0<'_>, words: &str) -> super::support::Ran {
    dom0.sh(&format!("docker -H unix:///run/hyper/hyperd.sock {words}"))
}

fn top_and_stats(dom0: &Dom0<'_>) {
    dom0.detached(
        "busy",
        &[
            "-m",
            "128m",
            "-u",
            "33",
            BUSYBOX,
            "sh",
            "-c",
            "sleep 12345 & while :; do :; done",
        ],
    );
    let full = dom0.hyper(&["top", "busy"]).ok().lines();
    let titles: Vec<_> = full[0].split_whitespace().collect();
    assert_eq!(titles, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    assert_eq!(full.len(), 3, "{full:?}");
    assert!(
        full.iter()
            .any(|line| line.starts_with("33 ") && line.contains("sleep 12345")),
        "{full:?}"
    );
    let pid = dom0.inspect("busy", "{{.State.Pid}}");
    let short = dom0.hyper(&["top", "busy", "-o", "pid,ppid,comm"]).ok().lines();
    let first: Vec<_> = short[1].split_whitespace().collect();
    assert_eq!((first[0], first[2]), (pid.as_str(), "sh"));
    assert!(short[2].split_whitespace().any(|word| word == pid), "{short:?}");
    for words in ["top busy -eo pid,args", "top busy aux"] {
        let theirs = docker(dom0, words).ok().lines();
        let ours = dom0.sh(&format!("hyper {words}")).ok().lines();
        assert_eq!((ours.len(), &ours[0]), (theirs.len(), &theirs[0]));
    }
    dom0.hyper(&["top", "busy", "-Z"])
        .code(1)
        .one_error("unsupported options of ps");

    // One busy processor is about a hundred per cent of one, whatever the host.
    let stats = dom0
        .hyper(&["stats", "--no-stream", "--format", "json", "busy"])
        .ok()
        .json();
    let percent: f64 = stats["CPUPerc"]
        .as_str()
        .unwrap()
        .trim_end_matches('%')
        .parse()
        .unwrap();
    assert!(percent > 20.0 && percent < 130.0, "{stats}");
    let memory = stats["MemUsage"].as_str().unwrap();
    assert!(
        memory.ends_with(" / 128MiB") && !memory.starts_with("0B"),
        "{stats}"
    );
    assert_eq!((&stats["Name"], &stats["PIDs"]), (&"busy".into(), &"2".into()));
    assert!(!stats["BlockIO"].as_str().unwrap().starts_with("0B /"), "{stats}");
    // Somebody has to talk to it before it has received anything.
    dom0.sh(
        "ping -c 1 -W 60 $(hyper inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' busy)",
    )
    .ok();
    let metrics = dom0
        .sh("curl -sf --unix-socket /run/hyper/hyperd.sock http://hyper/metrics")
        .ok()
        .lines();
    let metric = |name: &str| -> f64 {
        let of_busy = metrics
            .iter()
            .find(|line| line.starts_with(&format!("{name}{{")) && line.contains(",name=\"busy\","));
        let of_busy = of_busy.unwrap_or_else(|| panic!("no {name} in {metrics:#?}"));
        of_busy.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(metric("container_cpu_usage_seconds_total") > 1.0);
    assert!(metric("container_network_receive_packets_total") > 0.0);
    assert_eq!(metric("container_processes"), 2.0);
    assert_eq!(metric("container_spec_memory_limit_bytes"), f64::from(128 << 20));
    docker(dom0, "stats --no-stream --format '{{.Name}} {{.PIDs}}'")
        .ok()
        .stdout("busy 2\n");

    // What is written is counted.
    dom0.exec(
        "busy",
        &["sh", "-c", "head -c 8388608 /dev/urandom > /tmp/x; sync"],
    )
    .ok();
    let block = dom0
        .hyper(&["stats", "--no-stream", "--format", "{{.BlockIO}}", "busy"])
        .ok()
        .text();
    let written = block.rsplit(' ').next().unwrap();
    assert!(written.ends_with("MB"), "{block}");

    let mut live = dom0.spawn(&["stats", "--format", "{{.Name}}={{.CPUPerc}}"]);
    live.expect("busy=").expect("%").expect("busy=");
    dom0.hyper(&["create", "--name", "later", BUSYBOX, "sleep", "1000000"])
        .ok();
    dom0.hyper(&["start", "later"]).ok();
    live.expect("later=");
    drop(live);
    // Paused, its guest cannot be asked, and Xen still counts.
    dom0.hyper(&["pause", "busy"]).ok();
    dom0.hyper(&["stats", "--no-stream", "--format", "{{.CPUPerc}}", "busy"])
        .ok()
        .stdout("0.00%\n");
    dom0.hyper(&["top", "busy"]).code(1).one_error("is paused");
    dom0.remove("later");
    dom0.hyper(&["kill", "busy"]).ok();
    dom0.hyper(&["wait", "busy"]).ok();
    dom0.hyper(&["top", "busy"]).code(1).one_error("is not running");
    dom0.hyper(&[
        "stats",
        "-a",
        "--no-stream",
        "--format",
        "{{.Name}} {{.CPUPerc}} {{.MemUsage}}",
    ])
    .ok()
    .stdout("busy 0.00% 0B / 0B\n");
    dom0.hyper(&["stats", "nobody"])
        .code(1)
        .one_error("No such container: nobody");
    dom0.hyper(&["rm", "busy"]).ok();
}

fn update(dom0: &Dom0<'_>) {
    dom0.detached("limited", &["-m", "256m", BUSYBOX, "sleep", "1000000"]);
    dom0.hyper(&[
        "update",
        "-m",
        "64m",
        "--cpus",
        "0.5",
        "--restart",
        "on-failure:3",
        "limited",
    ])
    .ok()
    .stdout("limited\n");
    let shown = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}}";
    assert_eq!(dom0.inspect("limited", shown), "67108864 500000000 on-failure");
    // It holds in the guest, at once.
    dom0.exec(
        "limited",
        &["sh", "-c", "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max"],
    )
    .out_has("67108864")
    .out_has("50000 100000");
    dom0.hyper(&["stats", "--no-stream", "--format", "{{.MemUsage}}", "limited"])
        .ok()
        .out_has(" / 64MiB");
    dom0.hyper(&["update", "-m", "1g", "limited"])
        .code(1)
        .one_error("while it runs: its guest was built with less");
    dom0.hyper(&["update", "--cpus", "2", "limited"])
        .code(1)
        .err_has("cpus");
    docker(dom0, "update -m 128m limited").ok().stdout("limited\n");
    docker(dom0, "update --cpu-shares 5 limited")
        .code(1)
        .err_has("cannot be changed");
    dom0.hyper(&["update", "limited"]).code(1);
    // Stopped, it may get what the host has.
    dom0.hyper(&["stop", "-t", "0", "limited"]).ok();
    dom0.hyper(&["update", "-m", "300m", "limited"]).ok();
    assert_eq!(dom0.inspect("limited", "{{.HostConfig.Memory}}"), "314572800");
    dom0.hyper(&["rm", "limited"]).ok();
    dom0.detached("removes", &["--rm", BUSYBOX, "sleep", "1000000"]);
    dom0.hyper(&["update", "--restart", "always", "removes"])
        .code(1)
        .err_has("AutoRemove");
    dom0.remove("removes");
}

fn prune(dom0: &Dom0<'_>) {
    dom0.idle("runs", BUSYBOX);
    let dead = dom0
        .hyper(&["create", "--name", "dead", "-l", "keep=no", BUSYBOX])
        .ok()
        .text();
    dom0.hyper(&["create", "--name", "kept", "-l", "keep=yes", BUSYBOX])
        .ok();
    dom0.sh("echo n | hyper container prune")
        .ok()
        .out_has("This will remove all stopped containers");
    dom0.hyper(&["container", "prune", "-f", "--filter", "label=keep=no"])
        .ok()
        .out_has(&format!("Deleted Containers:\n{dead}\n\nTotal reclaimed space: "));
    dom0.hyper(&["tag", BUSYBOX, "unused:1"]).ok();
    let report = dom0.sh("echo y | hyper system prune").ok().text();
    assert!(
        report.contains("Deleted Containers:") && report.contains("Total reclaimed space: "),
        "{report}"
    );
    let names = dom0
        .hyper(&["container", "ls", "-a", "--format", "{{.Names}}"])
        .ok()
        .text();
    assert_eq!(names, "runs");
    dom0.sh("hyper images -q unused:1").ok().out_has("");
    dom0.hyper(&["rmi", "unused:1"]).ok();
    for words in [
        "system df",
        "system info --format '{{.OSType}}'",
        "container ls",
        "container list",
        "container ps",
    ] {
        dom0.sh(&format!("hyper {words}")).ok();
    }
    docker(dom0, "container prune -f")
        .ok()
        .out_has("Total reclaimed space: 0B");
    dom0.remove("runs");
}
