//! Images on their way to registries, and back.

use super::support::{Dom0, Ran, Test, pv};

pub const TESTS: &[Test] = &[
    pv("push::round_trips", round_trips).offline(),
    pv("push::made_here", made_here).offline(),
];

const ODD: &str = "localhost:5000/busybox:odd";
const SECOND: &str = "localhost:5003";

fn docker(dom0: &Dom0<'_>, script: &str) -> Ran {
    dom0.sh(&format!(
        "export DOCKER_HOST=unix:///run/hyper/hyperd.sock; {script}"
    ))
}

/// The digests of a manifest's layers and config, as its registry has them.
fn contents(dom0: &Dom0<'_>, image: &str) -> Vec<String> {
    let script = format!(
        "skopeo inspect --raw --tls-verify=false docker://{image} | grep -o 'sha256:[0-9a-f]\\{{64\\}}' | sort"
    );
    dom0.sh(&script).ok().lines()
}

fn second_registry(dom0: &Dom0<'_>) {
    dom0.sh(
        "systemd-run -q --unit=second-registry -E REGISTRY_HTTP_ADDR=127.0.0.1:5003 \
            -E REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/var/tmp/second \
            docker-registry serve /etc/docker/registry/config.yml
        curl -s -o /dev/null --retry 60 --retry-connrefused http://localhost:5003/v2/",
    )
    .ok();
}

/// What was pulled is pushed byte for byte: into a repository beside it, to another registry, by hyper and by docker.
fn round_trips(dom0: &Dom0<'_>) {
    second_registry(dom0);
    dom0.pull(ODD);
    let id = dom0.inspect(ODD, "{{.Id}}");
    let beside = "localhost:5000/copies/odd:1";
    let (far, by_docker) = (format!("{SECOND}/odd:1"), format!("{SECOND}/by/docker:2"));
    for name in [beside, &far, &by_docker] {
        dom0.hyper(&["tag", ODD, name]).ok();
    }
    dom0.hyper(&["push", beside])
        .ok()
        .out_has("Mounted from busybox")
        .out_has("1: digest: sha256:");
    dom0.hyper(&["push", &far]).ok().out_has("Pushed");
    dom0.hyper(&["push", &far]).ok().out_has("Layer already exists");
    docker(dom0, &format!("docker push -q {by_docker}"))
        .ok()
        .stdout(&format!("{by_docker}\n"));
    let digest = |name: &str| {
        let digests = dom0.inspect(ODD, "{{join .RepoDigests \" \"}}");
        let (repository, _) = name.rsplit_once(':').expect("a tag");
        let found = digests
            .split(' ')
            .find_map(|digest| digest.strip_prefix(&format!("{repository}@")));
        found.unwrap_or_else(|| panic!("{name} in {digests}")).to_owned()
    };
    let pushed = [beside, &far, &by_docker].map(|name| (name, digest(name)));
    let of_first = contents(dom0, beside);
    assert!(of_first.len() > 2, "{of_first:?}");
    assert_eq!(of_first, contents(dom0, &far));
    assert_eq!(of_first, contents(dom0, &by_docker));

    for (name, digest) in pushed {
        dom0.hyper(&["rmi", "-f", &id]).ok();
        dom0.forget_pulled();
        dom0.hyper(&["pull", name])
            .ok()
            .out_has(&format!("Digest: {digest}"));
        assert_eq!(dom0.inspect(name, "{{.Id}}"), id);
    }
    dom0.hyper(&["run", "--rm", &by_docker, "cat", "/odd/replaced"])
        .ok()
        .stdout("new content");
    dom0.hyper(&["push", "localhost:5000/no-such-image"])
        .code(1)
        .err_has("does not exist locally with the tag");
    dom0.hyper(&["tag", &id, "localhost:5999/nobody"]).ok();
    dom0.hyper(&["push", "localhost:5999/nobody"])
        .code(1)
        .err_has("cannot reach the registry");
    dom0.hyper(&["rmi", "-f", &id]).ok();
    dom0.sh("systemctl stop second-registry; rm -rf /var/tmp/second")
        .ok();
}

/// An image that no registry had: its layers are compressed for the push.
fn made_here(dom0: &Dom0<'_>) {
    let name = "localhost:5000/made/here:1";
    dom0.sh(&format!(
        "tar -C /etc -c hostname debian_version | hyper import - {name}"
    ))
    .ok();
    let id = dom0.inspect(name, "{{.Id}}");
    dom0.hyper(&["push", name]).ok().out_has("Pushed");
    dom0.hyper(&["push", name]).ok().out_has("Layer already exists");
    dom0.hyper(&["rmi", name]).ok().out_has("Deleted");
    dom0.hyper(&["pull", "-q", name]).ok();
    assert_eq!(dom0.inspect(name, "{{.Id}}"), id);
    dom0.hyper(&["image", "verify", name]).ok();
    dom0.hyper(&["pull", "-a", "localhost:5000/made/here"])
        .ok()
        .out_has("1: Pulling from made/here");
    dom0.hyper(&["rmi", name]).ok();
}
