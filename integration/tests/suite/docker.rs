//! Debian's own `docker`, at our socket: the same commands, the same results.

use super::support::{BUSYBOX, DEBIAN, Dom0, Test, pv};

pub const TESTS: &[Test] = &[pv("docker::run", run), pv("docker::containers", containers)];

const PV: &str = "--annotation=hyper.type=pv";

fn docker(dom0: &Dom0<'_>, script: &str) -> super::support::Ran {
    dom0.sh(&format!(
        "export DOCKER_HOST=unix:///run/hyper/hyperd.sock; {script}"
    ))
}

fn run(dom0: &Dom0<'_>) {
    docker(dom0, &format!("docker pull -q {DEBIAN}"))
        .ok()
        .stdout(&format!("{DEBIAN}\n"));
    docker(dom0, &format!("docker pull {BUSYBOX}"))
        .ok()
        .out_has("busybox:latest");
    docker(
        dom0,
        &format!("docker run --rm {PV} {BUSYBOX} sh -c 'echo out; echo err >&2; exit 37'"),
    )
    .code(37)
    .stdout("out\n")
    .stderr("err\n");
    let (file, sum) = dom0.random_file(1);
    docker(
        dom0,
        &format!("docker run --rm -i {PV} -e A=b -w /tmp {BUSYBOX} sha256sum < {file}"),
    )
    .ok()
    .stdout(&format!("{sum}\n"));
    docker(dom0, &format!("docker run --rm {PV} {BUSYBOX} no-such-command")).code(127);
    docker(dom0, "docker run --rm localhost:5000/nothing true").code(125);
    let mut terminal = dom0.terminal_of(&[
        "docker",
        "-H",
        "unix:///run/hyper/hyperd.sock",
        "run",
        "-it",
        "--rm",
        PV,
        BUSYBOX,
        "sh",
    ]);
    terminal
        .expect("# ")
        .send("echo size=$(stty size)=\n")
        .expect("size=24 80=");
    terminal.send("exit 7\n").code(7);
}

fn containers(dom0: &Dom0<'_>) {
    let id = docker(
        dom0,
        &format!("docker run -d --name web -l a=b {PV} {BUSYBOX} sh -c 'echo hello; exec sleep 1000000'"),
    )
    .ok()
    .text();
    docker(dom0, "docker exec web sh -c 'echo in; exit 4'")
        .code(4)
        .stdout("in\n");
    docker(dom0, "echo through | docker exec -i web cat")
        .ok()
        .stdout("through\n");
    docker(
        dom0,
        "docker ps --format '{{.Names}} {{.Image}} {{.State}}' -f label=a=b",
    )
    .ok()
    .stdout(&format!("web {BUSYBOX} running\n"));
    docker(dom0, "docker ps").ok().out_has("web").out_has("Up ");
    docker(dom0, "docker logs web").ok().stdout("hello\n");
    docker(
        dom0,
        "docker inspect -f '{{.Id}} {{.State.Status}} {{.Config.Image}}' web",
    )
    .ok()
    .stdout(&format!("{id} running {BUSYBOX}\n"));
    // Both clients say the same of the same thing.
    for shared in [
        // What counts seconds differs between two calls, and so may what the guest has written back.
        r#"ps -a --no-trunc --format '{{json .}}' | sed -E 's/"(RunningFor|Status|Size)":"[^"]*"/"\1":""/g'"#,
        "inspect web",
        "logs web",
        "images --no-trunc --format '{{.Repository}} {{.Tag}} {{.ID}} {{.Size}}'",
    ] {
        let theirs = docker(dom0, &format!("docker {shared}")).ok().text();
        assert_eq!(
            dom0.sh(&format!("hyper {shared}")).ok().text(),
            theirs,
            "{shared}"
        );
    }
    docker(dom0, "docker images")
        .ok()
        .out_has("localhost:5000/busybox");
    docker(
        dom0,
        "docker image inspect -f '{{.Os}}/{{.Architecture}}' localhost:5000/busybox",
    )
    .ok()
    .stdout("linux/amd64\n");
    docker(dom0, "docker version --format '{{.Server.Os}}'")
        .ok()
        .stdout("linux\n");
    docker(dom0, "docker info --format '{{.OSType}} {{.Containers}}'")
        .ok()
        .stdout("linux 1\n");
    docker(dom0, "docker stop -t 1 web").ok().stdout("web\n");
    docker(dom0, "docker wait web").ok().stdout("137\n");
    docker(dom0, "docker start web").ok().stdout("web\n");
    docker(dom0, "docker kill web").ok();
    docker(dom0, "docker rm web").ok().stdout("web\n");
    docker(dom0, "docker rm web")
        .code(1)
        .err_has("No such container: web");
}
