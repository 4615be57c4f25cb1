//! What an image's configuration says, and images themselves.

use super::support::{BUSYBOX, DEBIAN, Dom0, Test, both, once, pv};

pub const TESTS: &[Test] = &[
    both("image::configuration", configuration),
    pv("image::stop_signal", stop_signal),
    once("image::store", store),
    pv("image::in_use", in_use),
];

const ENTRYPOINT: &str = "localhost:5000/busybox:entrypoint";

/// ENTRYPOINT and CMD, and what of them arguments replace; USER, ENV, WORKDIR.
fn configuration(dom0: &Dom0<'_>) {
    dom0.hyper(&["run", "--rm", ENTRYPOINT])
        .ok()
        .stdout("entry default\n");
    dom0.hyper(&["run", "--rm", ENTRYPOINT, "of", "mine"])
        .ok()
        .stdout("entry of mine\n");
    let script =
        "id -u; id -g; id -Gn; pwd; echo $COLOUR; echo ${EMPTY-unset}; echo $HOME; stat -c %u:%g:%a .";
    dom0.hyper(&["run", "--rm", "--entrypoint", "sh", ENTRYPOINT, "-c", script])
        .ok()
        .stdout("1000\n1000\napp audio\n/made/by/workdir\nblue\n\n/home/app\n0:0:755\n");
    // By numbers, in an image that has other names.
    dom0.hyper(&[
        "run",
        "--rm",
        "localhost:5000/debian:user",
        "sh",
        "-c",
        "id -u; id -g; pwd; cat file",
    ])
    .ok()
    .stdout("1000\n1000\n/home/app\nof a user");
}

fn stop_signal(dom0: &Dom0<'_>) {
    let script = "trap 'echo got USR1; exit 4' USR1; trap 'exit 5' TERM; echo ready; while :; do sleep 1000 & wait; done";
    let mut container = dom0.spawn(&[
        "run",
        "--name",
        "stopped",
        "--entrypoint",
        "sh",
        ENTRYPOINT,
        "-c",
        script,
    ]);
    container.expect("ready\n");
    assert_eq!(dom0.inspect("stopped", "{{.Config.StopSignal}}"), "SIGUSR1");
    dom0.hyper(&["stop", "stopped"]).ok().stdout("stopped\n");
    container.finish().code(4).stdout("ready\ngot USR1\n");
    dom0.remove("stopped");
}

fn store(dom0: &Dom0<'_>) {
    let rows = |filter: &[&str]| {
        let format = ["--format", "{{.Repository}}:{{.Tag}}"];
        let mut rows = dom0.hyper(&[&["images"], filter, &format].concat()).ok().lines();
        rows.sort();
        rows
    };
    dom0.hyper(&["pull", BUSYBOX]).ok().out_has("latest");
    dom0.hyper(&["pull", "-q", DEBIAN])
        .ok()
        .stdout(&format!("{DEBIAN}\n"));
    let all = rows(&[]);
    for name in ["localhost:5000/busybox:latest", DEBIAN] {
        assert!(all.iter().any(|row| row == name), "{all:?}");
    }
    dom0.hyper(&["images"])
        .ok()
        .out_has("REPOSITORY")
        .out_has("IMAGE ID");

    // What inspect shows is what the registry's configuration says.
    let image = dom0.hyper(&["inspect", DEBIAN]).ok().json();
    let image = &image[0];
    assert_eq!(image["Architecture"], "amd64");
    assert_eq!(
        image["RootFS"]["Layers"].as_array().map(Vec::len),
        Some(3),
        "{image}"
    );
    assert_eq!(image["Config"]["Cmd"], serde_json::json!(["bash"]));
    let id = image["Id"].as_str().expect("an id").to_owned();

    // By digest it is the same image.
    let digest = image["RepoDigests"][0].as_str().expect("a digest").to_owned();
    dom0.hyper(&["pull", "-q", &digest]).ok();
    assert_eq!(dom0.inspect(&digest, "{{.Id}}"), id);

    dom0.hyper(&["tag", DEBIAN, "mine:1"]).ok();
    assert_eq!(dom0.inspect("mine:1", "{{.Id}}"), id);
    dom0.hyper(&["rmi", "mine:1"]).ok().out_has("Untagged: mine:1");
    dom0.hyper(&["history", DEBIAN])
        .ok()
        .out_has("minbase from Debian");
    dom0.hyper(&["rmi", "no/such:image"])
        .code(1)
        .one_error("No such image");
    dom0.hyper(&["rmi", "-f", DEBIAN]).ok();
    dom0.hyper(&["rmi", "-f", &digest]);
    dom0.forget_pulled();
    assert!(!rows(&[]).iter().any(|row| row == DEBIAN));
}

/// An image that a container uses stays; without users all of it goes.
fn in_use(dom0: &Dom0<'_>) {
    let odd = "localhost:5000/busybox:odd";
    dom0.idle("user", odd);
    dom0.hyper(&["rmi", odd]).code(1).one_error("container");
    dom0.exec("user", &["cat", "/odd/replaced"])
        .ok()
        .stdout("new content");
    dom0.remove("user");
    dom0.hyper(&["rmi", odd]).ok().out_has("Untagged");
    dom0.forget_pulled();
}
