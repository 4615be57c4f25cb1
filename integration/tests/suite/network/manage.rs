//! Networks are made, listed and removed, by both clients.

use crate::support::{BUSYBOX, Dom0};

pub fn of_users(dom0: &Dom0<'_>) {
    dom0.hyper(&[
        "network",
        "create",
        "--label",
        "a=b",
        "--subnet",
        "10.60.0.0/24",
        "--gateway",
        "10.60.0.9",
        "one",
    ])
    .ok();
    dom0.hyper(&["network", "create", "one"])
        .code(1)
        .err_has("network with name one already exists");
    dom0.hyper(&["network", "create", "--subnet", "10.60.0.128/25", "two"])
        .code(1)
        .err_has("Pool overlaps");
    dom0.sh("ip addr add 10.61.0.1/24 dev lo").ok();
    dom0.hyper(&["network", "create", "--subnet", "10.61.0.0/16", "two"])
        .code(1)
        .err_has("overlaps with 10.61.0.");
    dom0.sh("ip addr del 10.61.0.1/24 dev lo").ok();
    dom0.hyper(&["network", "create", "--driver", "overlay", "two"])
        .code(1);
    dom0.hyper(&["network", "ls", "--format", "{{.Name}} {{.Driver}}"])
        .ok()
        .stdout("bridge bridge\nnone null\none bridge\n");
    dom0.hyper(&["network", "ls", "-q", "-f", "label=a=b", "-f", "type=custom"])
        .ok();
    dom0.hyper(&[
        "network",
        "inspect",
        "-f",
        "{{(index .IPAM.Config 0).Gateway}}",
        "one",
    ])
    .ok()
    .stdout("10.60.0.9\n");
    dom0.sh("ip -4 -o addr").ok().out_has("10.60.0.9/24");
    dom0.hyper(&["network", "rm", "bridge"])
        .code(1)
        .err_has("is a pre-defined network and cannot be removed");
    dom0.hyper(&["network", "rm", "one", "gone"])
        .code(1)
        .stdout("one\n")
        .err_has("network gone not found");
    dom0.sh("ip -4 -o addr").ok().out_lacks("10.60.0.9/24");
}

/// Debian's own client says and does the same.
pub fn docker(dom0: &Dom0<'_>) {
    let docker = |script: &str| {
        dom0.sh(&format!(
            "export DOCKER_HOST=unix:///run/hyper/hyperd.sock; {script}"
        ))
    };
    dom0.pull(BUSYBOX);
    docker("docker network create --internal -o com.docker.network.driver.mtu=1400 small").ok();
    docker(&format!(
        "docker run -d --annotation=hyper.type=pv --name web --network small --network-alias www -p 8080:80 {BUSYBOX} sleep 1000000"
    ))
    .ok();
    docker("docker exec web cat /sys/class/net/eth0/mtu")
        .ok()
        .stdout("1400\n");
    docker("docker network connect bridge web").ok();
    docker("docker port web").ok().stdout("80/tcp -> 0.0.0.0:8080\n");
    for shared in [
        "network ls",
        "network inspect small",
        "ps --format '{{.Ports}}'",
        "port web",
    ] {
        let theirs = docker(&format!("docker {shared}")).ok().text();
        assert_eq!(
            dom0.sh(&format!("hyper {shared}")).ok().text(),
            theirs,
            "{shared}"
        );
    }
    docker("docker network disconnect small web && docker rm -f web && docker network rm small").ok();
}
