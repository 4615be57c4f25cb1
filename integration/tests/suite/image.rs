//! What an image's configuration says, and images themselves.

use super::support::{BUSYBOX, DEBIAN, Dom0, Test, once, pv};

pub const TESTS: &[Test] = &[
    pv("image::configuration", configuration).offline(),
    pv("image::stop_signal", stop_signal).offline(),
    once("image::store", store),
    pv("image::in_use", in_use).offline(),
    pv("image::prune", prune).offline(),
    once("image::verify", verify),
    pv("image::login", login).offline(),
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
    // Its digest goes alone, and with the last name all of it.
    dom0.hyper(&["rmi", &digest])
        .ok()
        .stdout(&format!("Untagged: {digest}\n"));
    assert_eq!(dom0.inspect(DEBIAN, "{{.Id}}"), id);
    dom0.hyper(&["rmi", "-f", DEBIAN]).ok();
    dom0.forget_pulled();
    assert!(!rows(&[]).iter().any(|row| row == DEBIAN));
}

/// An image that a container uses stays; without users all of it goes.
fn in_use(dom0: &Dom0<'_>) {
    let odd = "localhost:5000/busybox:odd";
    dom0.idle("user", odd);
    dom0.hyper(&["rmi", odd]).code(1).one_error("container");
    let read = || {
        dom0.exec("user", &["cat", "/odd/replaced"])
            .ok()
            .stdout("new content");
    };
    read();
    let id = dom0.inspect(odd, "{{.Id}}");
    dom0.hyper(&["rmi", "-f", &id])
        .code(1)
        .one_error("cannot be forced");
    // That one which does not run keeps its image too, without a name, until it is gone.
    dom0.hyper(&["stop", "-t", "0", "user"]).ok();
    dom0.hyper(&["rmi", odd]).code(1).one_error("must be forced");
    dom0.hyper(&["rmi", "-f", odd])
        .ok()
        .out_has(&format!("Untagged: {odd}"))
        .out_lacks("Deleted");
    dom0.hyper(&["inspect", odd]).code(1);
    dom0.hyper(&["image", "prune", "-f"]).ok().out_lacks(&id);
    dom0.hyper(&["start", "user"]).ok();
    read();
    dom0.remove("user");
    dom0.hyper(&["image", "prune", "-f"])
        .ok()
        .out_has(&format!("deleted: {id}"));
    dom0.forget_pulled();
}

fn prune(dom0: &Dom0<'_>) {
    const ODD: &str = "localhost:5000/busybox:odd";
    dom0.pull(ODD);
    dom0.idle("user", BUSYBOX);
    let df = |kind: &str| {
        let format = "{{.Type}}/{{.TotalCount}}/{{.Active}}/{{.Reclaimable}}";
        let rows = dom0.hyper(&["system", "df", "--format", format]).ok().lines();
        rows.into_iter().find(|row| row.starts_with(kind)).expect(kind)
    };
    dom0.hyper(&["system", "df"]).ok().out_has("RECLAIMABLE");
    sizes(dom0);
    assert!(df("Containers").starts_with("Containers/1/1/"));
    assert!(!df("Images").ends_with("/0B (0%)"), "{}", df("Images"));

    // Nobody said yes, and all have names.
    dom0.sh("echo n | hyper image prune -a")
        .ok()
        .out_has("without at least one container")
        .out_has("[y/N]");
    dom0.hyper(&["image", "prune", "-f"])
        .ok()
        .stdout("Total reclaimed space: 0B\n");
    assert_eq!(dom0.inspect(ODD, "{{.Os}}"), "linux");
    dom0.hyper(&["image", "prune", "-af"])
        .ok()
        .out_has(&format!("untagged: {ODD}\n"))
        .out_has("deleted: sha256:")
        .out_lacks(&format!("untagged: {BUSYBOX}:latest"));
    dom0.hyper(&["inspect", ODD]).code(1);
    assert!(df("Images").starts_with("Images/1/1/"), "{}", df("Images"));
    dom0.exec("user", &["echo", "alive"]).ok().stdout("alive\n");
    dom0.remove("user");
    dom0.forget_pulled();
}

/// What the container `user` and the images take, one by one.
fn sizes(dom0: &Dom0<'_>) {
    let written = || {
        let size = dom0.hyper(&["inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "user"]);
        let numbers: Vec<u64> = size
            .ok()
            .text()
            .split(' ')
            .map(|n| n.parse().expect("a size"))
            .collect();
        assert!(numbers[1] > numbers[0] + 100_000, "{numbers:?}");
        numbers[0]
    };
    let before = written();
    dom0.exec(
        "user",
        &["sh", "-c", "head -c 3000000 /dev/urandom > /written; sync"],
    )
    .ok();
    let after = written();
    assert!(
        after >= before + 3_000_000 && after < before + 9_000_000,
        "{before} {after}"
    );
    dom0.hyper(&["ps", "-s", "--format", "{{.Size}}"])
        .ok()
        .out_has("MB (virtual ");
    for client in ["hyper", "docker -H unix:///run/hyper/hyperd.sock"] {
        let ran = dom0.sh(&format!("{client} system df -v"));
        let lines = ran.ok().lines();
        let below = |title: &str| {
            let at = lines
                .iter()
                .position(|line| line.starts_with(title))
                .expect(title);
            lines[at + 2].split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            below("Images space usage:"),
            "REPOSITORY TAG IMAGE ID CREATED SIZE SHARED SIZE UNIQUE SIZE CONTAINERS"
        );
        assert_eq!(
            below("Containers space usage:"),
            "CONTAINER ID IMAGE COMMAND LOCAL VOLUMES SIZE CREATED STATUS NAMES"
        );
        assert_eq!(below("Local Volumes space usage:"), "VOLUME NAME LINKS SIZE");
        assert_eq!(
            below("Build cache usage: 0B"),
            "CACHE ID CACHE TYPE SIZE CREATED LAST USED USAGE SHARED"
        );
        let row = lines
            .iter()
            .find(|line| line.starts_with("localhost:5000/busybox ") && line.contains(" latest "));
        assert!(row.expect("busybox").trim_end().ends_with(" 1"), "{row:?}");
    }
}

fn verify(dom0: &Dom0<'_>) {
    const ODD: &str = "localhost:5000/busybox:odd";
    dom0.pull(ODD);
    dom0.pull(BUSYBOX);
    dom0.hyper(&["image", "verify"])
        .ok()
        .out_has(&format!("{ODD}: ok"))
        .out_has(&format!("{BUSYBOX}:latest: ok"));
    dom0.hyper(&["image", "verify", "no/such:image"])
        .code(1)
        .one_error("no such image");
    // What is made from layers is made again.
    dom0.sh("cd /var/lib/hyper/images; for file in rootfs/* layers/*.entries; do printf X | dd of=$file bs=1 seek=99 \
        conv=notrunc status=none; done")
    .ok();
    dom0.hyper(&["image", "verify", ODD])
        .ok()
        .out_has(&format!("{ODD}: repaired: the entries of layer sha256:"))
        .out_has(&format!("{ODD}: repaired: the index "))
        .out_has(&format!("{ODD}: ok"));
    dom0.hyper(&["image", "verify"])
        .ok()
        .out_has(&format!("{BUSYBOX}:latest: repaired"));
    dom0.hyper(&["image", "verify"]).ok().out_lacks("repaired");
    // The last layer is of this image alone. One byte of it changes.
    let layer = dom0.hyper(&["inspect", ODD]).ok().json()[0]["RootFS"]["Layers"]
        .as_array()
        .and_then(|layers| layers.last()?.as_str().map(str::to_owned))
        .expect("a layer");
    let file = format!("/var/lib/hyper/images/layers/{}.tar", &layer["sha256:".len()..]);
    dom0.sh(&format!(
        "cp {file} /run/layer && printf X | dd of={file} bs=1 seek=700 conv=notrunc status=none"
    ))
    .ok();
    dom0.hyper(&["image", "verify"])
        .code(1)
        .out_has(&format!("{ODD}: damaged: layer {layer}"))
        .out_has(&format!("{BUSYBOX}:latest: ok"))
        .err_has("pull them again");
    dom0.hyper(&["rmi", "-f", ODD]).ok();
    dom0.hyper(&["pull", "-q", ODD]).ok();
    dom0.hyper(&["image", "verify", ODD]).ok();
    // A layer that is gone is fetched again.
    dom0.sh(&format!("cmp {file} /run/layer && rm {file} /run/layer"))
        .ok();
    dom0.hyper(&["image", "verify", ODD])
        .code(1)
        .out_has("is missing");
    dom0.hyper(&["pull", "-q", ODD]).ok();
    dom0.hyper(&["image", "verify", ODD]).ok();
}

/// A registry that wants a password, in the hands of hyper and of docker, which keep it in the same place.
fn login(dom0: &Dom0<'_>) {
    const SERVER: &str = "localhost:5002";
    const IMAGE: &str = "localhost:5002/busybox:latest";
    // The name of the registry's user is me.
    dom0.sh(
        r#"perl -e 'print "me:", crypt("geheim", q($2y$05$abcdefghijklmnopqrstuu)), "\n"' > /run/htpasswd
        systemd-run -q --unit=private-registry -E REGISTRY_HTTP_ADDR=127.0.0.1:5002 -E REGISTRY_AUTH=htpasswd \
            -E REGISTRY_AUTH_HTPASSWD_REALM=lab -E REGISTRY_AUTH_HTPASSWD_PATH=/run/htpasswd \
            docker-registry serve /etc/docker/registry/config.yml
        curl -s -o /dev/null --retry 60 --retry-connrefused http://localhost:5002/v2/; rm -rf /root/.docker"#,
    )
    .ok();
    let login = |password: &str| {
        dom0.sh(&format!(
            "printf {password} | hyper login -u me --password-stdin {SERVER}"
        ))
    };
    let docker = |script: &str| {
        dom0.sh(&format!(
            "export DOCKER_HOST=unix:///run/hyper/hyperd.sock; {script}"
        ))
    };
    let denied = || {
        dom0.hyper(&["pull", "-q", IMAGE]).code(1).err_has("denied");
    };
    let pulls = || {
        dom0.hyper(&["pull", "-q", IMAGE]).ok();
        dom0.hyper(&["rmi", IMAGE]).ok();
    };

    denied();
    login("wrong").code(1).one_error("unauthorized");
    dom0.sh("test -e /root/.docker/config.json").code(1);
    dom0.hyper(&["login", "-u", "me", SERVER])
        .code(1)
        .one_error("TTY");
    login("geheim")
        .ok()
        .stdout("Login Succeeded\n")
        .err_has("unencrypted");
    dom0.sh("stat -c %a /root/.docker/config.json")
        .ok()
        .stdout("600\n");
    pulls();
    dom0.hyper(&["run", "--rm", IMAGE, "echo", "in"])
        .ok()
        .stdout("in\n");
    docker(&format!("docker pull -q {IMAGE}")).ok();
    dom0.hyper(&["rmi", IMAGE]).ok();
    // Without a question: what is kept is tried again.
    dom0.hyper(&["login", SERVER]).ok().stdout("Login Succeeded\n");
    dom0.hyper(&["logout", SERVER])
        .ok()
        .stdout(&format!("Removing login credentials for {SERVER}\n"));
    dom0.hyper(&["logout", SERVER])
        .ok()
        .stdout(&format!("Not logged in to {SERVER}\n"));
    denied();

    docker(&format!(
        "printf wrong | docker login -u me --password-stdin {SERVER}"
    ))
    .code(1);
    docker(&format!(
        "printf geheim | docker login -u me --password-stdin {SERVER}"
    ))
    .ok()
    .out_has("Login Succeeded");
    pulls();
    docker(&format!("docker logout {SERVER}")).ok();
    denied();

    // Interrupted while the password is hidden: what is typed is seen again.
    let script = format!(
        "trap : INT; hyper login -u me {SERVER}; echo code $?; stty -a | grep -q -e ' -echo ' || echo shown"
    );
    let mut terminal = dom0.terminal_of(&["sh", "-c", &script]);
    terminal
        .expect("Password: ")
        .send("\x03")
        .expect("code 130")
        .expect("shown")
        .code(0);
    let mut terminal = dom0.terminal(&["login", SERVER]);
    terminal
        .expect("Username: ")
        .send("me\n")
        .expect("Password: ")
        .send("geheim\n")
        .expect("Login Succeeded")
        .code(0);
    pulls();

    // In a helper's keeping there is nothing in the file.
    dom0.sh(
        r#"cat > /usr/local/bin/docker-credential-lab <<'END'
#!/bin/sh
case $1 in
store) cat > /run/secret ;;
get) cat /run/secret 2> /dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;
erase) rm /run/secret ;;
esac
END
        chmod +x /usr/local/bin/docker-credential-lab; echo '{ "credsStore": "lab" }' > /root/.docker/config.json"#,
    )
    .ok();
    denied();
    login("geheim").ok().stdout("Login Succeeded\n").stderr("");
    dom0.sh("grep geheim /run/secret").ok();
    dom0.sh("grep -e geheim -e '\"auth\"' /root/.docker/config.json")
        .code(1);
    pulls();
    dom0.hyper(&["logout", SERVER]).ok();
    dom0.sh("test -e /run/secret").code(1);
    denied();

    dom0.sh(
        "systemctl stop private-registry; rm -rf /root/.docker /run/htpasswd /usr/local/bin/docker-credential-lab",
    )
    .ok();
}
