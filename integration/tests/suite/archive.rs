//! Images in and out of files.

use super::support::{Dom0, Test, once, pv};
use serde_json::json;

pub const TESTS: &[Test] = &[
    pv("archive::save_load", save_load).offline(),
    once("archive::import", import),
    pv("archive::other_tools", other_tools).offline(),
];

const ODD: &str = "localhost:5000/busybox:odd";

/// The image that comes back is the one that went, through `hyper` and `docker` alike.
fn save_load(dom0: &Dom0<'_>) {
    dom0.pull(ODD);
    let id = dom0.inspect(ODD, "{{.Id}}");
    let file = "/var/tmp/saved.tar";
    dom0.hyper(&["save", "-o", file, ODD]).ok().stdout("");
    let remove = || {
        dom0.hyper(&["rmi", ODD]).ok().out_has("Untagged");
        dom0.forget_pulled();
        dom0.hyper(&["inspect", &id]).code(1);
    };
    let is_back = || assert_eq!(dom0.inspect(ODD, "{{.Id}}"), id);

    remove();
    // Half of an archive is none of an image.
    dom0.sh(&format!(
        "head -c $(($(stat -c %s {file}) / 2)) {file} | hyper load"
    ))
    .code(1);
    dom0.hyper(&["inspect", &id]).code(1);
    dom0.hyper(&["load", "-q", "-i", file])
        .ok()
        .stdout(&format!("Loaded image: {ODD}\n"));
    is_back();
    dom0.hyper(&["run", "--rm", &id, "cat", "/odd/replaced"])
        .ok()
        .stdout("new content");

    let docker = "docker -H unix:///run/hyper/hyperd.sock";
    dom0.sh(&format!("{docker} save {ODD} > {file}")).ok();
    remove();
    dom0.sh(&format!("gzip -1 < {file} | hyper load"))
        .ok()
        .out_has(&format!("Loaded image: {ODD}"));
    is_back();
    dom0.sh(&format!("hyper save {ODD} > {file}")).ok();
    remove();
    dom0.sh(&format!("{docker} load < {file}"))
        .ok()
        .out_has(&format!("Loaded image: {ODD}"));
    is_back();
    remove();
    dom0.sh(&format!("rm {file}")).ok();
}

/// A tar of files becomes an image of one layer.
fn import(dom0: &Dom0<'_>) {
    let ran = dom0.sh("tar -C /etc -c hostname | hyper import -m 'by hand' - mine:1");
    let id = ran.ok().text();
    assert_eq!(dom0.inspect("mine:1", "{{.Id}}"), id);
    dom0.hyper(&["history", "mine:1"]).ok().out_has("by hand");
    dom0.sh("echo no tar | hyper import - mine:2").code(1);
    dom0.hyper(&["inspect", "mine:2"]).code(1);
    dom0.hyper(&["rmi", "mine:1"]).ok().out_has("Untagged: mine:1");

    // Instructions of a Dockerfile say how to run it, by hyper and by docker.
    let docker = "docker -H unix:///run/hyper/hyperd.sock";
    for (client, name) in [("hyper", "mine:3"), (docker, "mine:4")] {
        let import = format!("tar -C /etc -c hostname | {client} import");
        dom0.sh(&format!(
            r#"{import} -c 'ENV WHO="me and you" AT=here' -c 'LABEL to=$AT' -c 'CMD ["a", "b c"]' \
                -c 'HEALTHCHECK --interval=3s CMD true' -c 'EXPOSE 80' -c 'WORKDIR w' - {name}"#
        ))
        .ok();
        let config = &dom0.hyper(&["inspect", name]).ok().json()[0]["Config"];
        assert_eq!(config["Env"], json!(["WHO=me and you", "AT=here"]));
        assert_eq!(config["Labels"], json!({ "to": "here" }));
        assert_eq!(config["Cmd"], json!(["a", "b c"]));
        assert_eq!(config["Healthcheck"]["Test"], json!(["CMD-SHELL", "true"]));
        assert_eq!(config["ExposedPorts"], json!({ "80/tcp": {} }));
        assert_eq!(config["WorkingDir"], "/w");
        dom0.sh(&format!("{import} -c 'RUN make' - {name}"))
            .code(1)
            .err_has("RUN is not a valid change command");
        dom0.sh(&format!("{import} --platform linux/arm64 - {name}"))
            .code(1)
            .err_has("not supported");
        dom0.hyper(&["rmi", name]).ok();
    }
}

/// What skopeo and umoci write is loaded, and what is saved they read.
fn other_tools(dom0: &Dom0<'_>) {
    dom0.pull(ODD);
    let id = dom0.inspect(ODD, "{{.Id}}");
    let layers: Vec<String> =
        serde_json::from_str(&dom0.inspect(ODD, "{{json .RootFS.Layers}}")).expect("layers");
    let forget = || {
        dom0.hyper(&["rmi", "-f", &id]).ok();
        dom0.forget_pulled();
    };
    let sh = |script: &str| {
        dom0.sh(&format!(
            "set -e; mkdir -p /var/tmp/tools; cd /var/tmp/tools; skopeo() {{ command skopeo --insecure-policy \"$@\"; }}
            {script}"
        ))
    };
    let copy = format!("skopeo copy -q --src-tls-verify=false docker://{ODD}");
    // The layout is made of plain layers and has gzip, which umoci reads; its config is skopeo's.
    sh(&format!(
        "{copy} docker-archive:docker.tar:{ODD}; {copy} oci-archive:oci.tar:{ODD}
        skopeo copy -q docker-archive:docker.tar oci:layout:odd; tar -C layout -cf layout.tar ."
    ))
    .ok();
    for archive in ["docker.tar", "oci.tar"] {
        forget();
        sh(&format!("hyper load -i {archive}"))
            .ok()
            .out_has("Loaded image");
        assert_eq!(dom0.inspect(&id, "{{.Id}}"), id, "{archive}");
        dom0.hyper(&["image", "verify", &id]).ok();
    }

    let newest = || dom0.sh("hyper images -q --no-trunc | head -1").ok().text();
    let layers_of = |image: &str| dom0.inspect(image, "{{json .RootFS.Layers}}");
    forget();
    sh("hyper load -q -i layout.tar").ok();
    let by_skopeo = newest();
    assert_eq!(layers_of(&by_skopeo), json!(layers).to_string());
    dom0.hyper(&["image", "verify", &by_skopeo]).ok();
    dom0.hyper(&["rmi", "-f", &by_skopeo]).ok();

    // umoci unpacks, a file is added, and it makes a layer of that.
    sh("umoci unpack --image layout:odd bundle; echo of umoci > bundle/rootfs/added; rm bundle/rootfs/odd/replaced
        umoci repack --image layout:by-umoci bundle
        umoci config --image layout:by-umoci --config.cmd cat --config.cmd /added
        umoci rm --image layout:odd; tar -C layout -cf repacked.tar .; hyper load -q -i repacked.tar")
    .ok();
    let made = newest();
    assert_eq!(layers_of(&made).matches("sha256:").count(), layers.len() + 1);
    dom0.hyper(&["run", "--rm", &made]).ok().stdout("of umoci\n");
    dom0.hyper(&["run", "--rm", &made, "ls", "/odd/replaced"]).code(1);
    dom0.hyper(&["rmi", "-f", &made]).ok();
    sh("hyper load -q -i docker.tar").ok();

    // And the other way: both see the layers and the config that we have.
    dom0.hyper(&["tag", &id, ODD]).ok();
    sh(&format!(
        "hyper save -o saved.tar {ODD}; mkdir saved; tar -C saved -xf saved.tar"
    ))
    .ok();
    for from in ["docker-archive:saved.tar", "oci:saved"] {
        let shown = sh(&format!("skopeo inspect {from}")).ok().json();
        assert_eq!(shown["Layers"], json!(layers), "{from}");
        assert_eq!(shown["Architecture"], "amd64");
    }
    sh("skopeo inspect --config --raw oci-archive:saved.tar | sha256sum")
        .ok()
        .out_has(&id["sha256:".len()..]);
    sh("tag=$(umoci list --layout saved); umoci unpack --image saved:$tag again; cat again/rootfs/odd/replaced")
        .ok()
        .out_has("new content");
    forget();
    dom0.sh("rm -rf /var/tmp/tools").ok();
}
