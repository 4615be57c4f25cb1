//! A registry under TLS that wants tokens: its own authority, mirrors that are down, a proxy, pushes that are cut.

use super::support::secure::{HOST, Secure, proxy};
use super::support::{BUSYBOX, Dom0, Test, once};

pub const TESTS: &[Test] = &[
    once("secure::tokens_and_authorities", tokens_and_authorities),
    once("secure::mirrors_and_proxies", mirrors_and_proxies),
    once("secure::a_large_push_that_is_cut", a_large_push_that_is_cut),
];

/// Has dom0 trust the registry, under both of its names.
fn trust(dom0: &Dom0<'_>, registry: &Secure) {
    for host in ["localhost", HOST] {
        let folder = format!("/etc/docker/certs.d/{host}:{}", registry.port);
        dom0.sh(&format!(
            "mkdir -p {folder}; cat > {folder}/ca.crt <<'END'\n{}\nEND",
            registry.authority
        ))
        .ok();
    }
    dom0.sh(&format!(
        "grep -q {HOST} /etc/hosts || echo '127.0.0.1 {HOST}' >> /etc/hosts"
    ))
    .ok();
}

fn login(dom0: &Dom0<'_>, server: &str) {
    dom0.sh(&format!(
        "printf geheim | hyper login -u me --password-stdin {server}"
    ))
    .ok()
    .stdout("Login Succeeded\n");
}

fn clean(dom0: &Dom0<'_>) {
    dom0.sh(&format!(
        "rm -rf /etc/docker/certs.d/localhost:* /etc/docker/certs.d/{HOST}:* /root/.docker; sed -i /{HOST}/d /etc/hosts"
    ))
    .ok();
}

fn tokens_and_authorities(dom0: &Dom0<'_>) {
    let registry = Secure::start(dom0);
    let server = format!("localhost:{}", registry.port);
    let image = format!("{server}/tools:1");
    dom0.pull(BUSYBOX);
    let id = dom0.inspect(BUSYBOX, "{{.Id}}");
    dom0.hyper(&["tag", BUSYBOX, &image]).ok();

    // On this machine it would be asked without TLS, were there no authority for it; one that is none is said.
    dom0.hyper(&["push", &image]).code(1).err_has("registry");
    let folder = format!("/etc/docker/certs.d/{server}");
    dom0.sh(&format!("mkdir -p {folder}; echo nothing > {folder}/ca.crt"))
        .ok();
    dom0.hyper(&["push", &image]).code(1).err_has("is not understood");
    // Another's authority is not good for it.
    let other = Secure::start(dom0);
    dom0.sh(&format!(
        "cat > {folder}/ca.crt <<'END'\n{}\nEND",
        other.authority
    ))
    .ok();
    dom0.hyper(&["push", &image]).code(1).err_has("ertificate");
    trust(dom0, &registry);

    dom0.hyper(&["push", &image]).code(1).err_has("denied");
    dom0.sh(&format!(
        "printf wrong | hyper login -u me --password-stdin {server}"
    ))
    .code(1)
    .one_error("unauthorized");
    login(dom0, &server);
    dom0.hyper(&["push", &image]).ok().out_has("Pushed");
    dom0.hyper(&["rmi", &image]).ok();
    dom0.hyper(&["rmi", "-f", BUSYBOX]).ok();
    dom0.forget_pulled();
    dom0.hyper(&["pull", &image])
        .ok()
        .out_has("Downloaded newer image");
    assert_eq!(dom0.inspect(&image, "{{.Id}}"), id);
    // Docker's client on the same socket, with the login that hyper keeps.
    dom0.hyper(&["rmi", &image]).ok();
    dom0.sh(&format!(
        "docker -H unix:///run/hyper/hyperd.sock pull -q {image}"
    ))
    .ok();
    dom0.hyper(&["logout", &server]).ok();
    dom0.hyper(&["pull", &image]).code(1).err_has("denied");
    dom0.hyper(&["rmi", &image]).ok();
    clean(dom0);
}

fn mirrors_and_proxies(dom0: &Dom0<'_>) {
    let registry = Secure::start(dom0);
    trust(dom0, &registry);
    let server = format!("{HOST}:{}", registry.port);
    let image = format!("{server}/tools:1");
    login(dom0, &server);
    dom0.pull(BUSYBOX);
    dom0.hyper(&["tag", BUSYBOX, &image]).ok();
    dom0.hyper(&["push", "-q", &image]).ok();
    dom0.hyper(&["rmi", &image]).ok();

    // The first mirror is down, the second does not have it: the registry itself is asked.
    let mirrors = format!(
        "registries.\"{server}\".mirrors = [\"http://localhost:9\", \"http://localhost:5000/nothing\"]"
    );
    dom0.with_config(&mirrors, || {
        registry.count("");
        dom0.hyper(&["pull", "-q", &image]).ok();
        assert!(registry.count("GET /v2/tools/manifests/1") > 0);
        dom0.hyper(&["rmi", &image]).ok();
    });
    // One that has it is enough.
    dom0.sh(&format!(
        "skopeo --insecure-policy copy -q --src-tls-verify=false --dest-tls-verify=false \
            docker://{BUSYBOX}:latest docker://localhost:5000/mirrored/tools:1"
    ))
    .ok();
    let mirror = format!("registries.\"{server}\".mirrors = [\"http://localhost:5000/mirrored\"]");
    dom0.with_config(&mirror, || {
        registry.count("");
        dom0.hyper(&["pull", "-q", &image]).ok();
        assert_eq!(registry.count(""), 0);
        dom0.hyper(&["rmi", &image]).ok();
    });

    // Through a proxy, and past it where it is told so.
    let (port, asked) = proxy(dom0);
    let environment = |lines: &str| {
        dom0.sh(&format!(
            "mkdir -p /run/systemd/system/hyperd.service.d; \
             printf '[Service]\\n{lines}' > /run/systemd/system/hyperd.service.d/proxy.conf; \
             systemctl daemon-reload; systemctl restart hyperd"
        ))
        .ok();
    };
    let proxied = format!("Environment=HTTPS_PROXY=http://127.0.0.1:{port}\\n");
    environment(&proxied);
    dom0.hyper(&["pull", "-q", &image]).ok();
    let targets = std::mem::take(&mut *asked.lock().expect("the proxy's list"));
    assert!(
        !targets.is_empty()
            && targets
                .iter()
                .all(|target| *target == server || target.starts_with("localhost:")),
        "{targets:?}"
    );
    assert!(targets.contains(&server), "{targets:?}");
    dom0.hyper(&["rmi", &image]).ok();
    environment(&format!("{proxied}Environment=NO_PROXY={HOST},localhost\\n"));
    dom0.hyper(&["pull", "-q", &image]).ok();
    assert_eq!(*asked.lock().expect("the proxy's list"), Vec::<String>::new());
    dom0.sh("rm -r /run/systemd/system/hyperd.service.d/proxy.conf; systemctl daemon-reload; systemctl restart hyperd")
        .ok();
    dom0.hyper(&["rmi", &image]).ok();
    clean(dom0);
}

/// A large layer goes in one request; that breaks off, and what the registry has is not sent again.
fn a_large_push_that_is_cut(dom0: &Dom0<'_>) {
    const MIB: usize = 40;
    const CUT_MIB: usize = 20;
    let registry = Secure::start(dom0);
    trust(dom0, &registry);
    let server = format!("localhost:{}", registry.port);
    login(dom0, &server);
    let image = format!("{server}/large:1");
    dom0.sh(&format!(
        "mkdir /var/tmp/large; head -c {MIB}M /dev/urandom > /var/tmp/large/file; \
         tar -C /var/tmp/large -c file | hyper import - {image}; rm -r /var/tmp/large"
    ))
    .ok();
    let id = dom0.inspect(&image, "{{.Id}}");
    registry.state().cut = Some((CUT_MIB as u64) << 20);
    dom0.hyper(&["push", &image]).ok().out_has("Pushed");
    assert_eq!(registry.state().cut, None);
    let sent: Vec<usize> = {
        let state = registry.state();
        let chunks = state.log.iter().filter(|(line, _)| line.starts_with("PATCH "));
        chunks.map(|(_, bytes)| *bytes).collect()
    };
    // What came before the cut is not among these.
    assert!(sent.len() >= 5, "{sent:?}");
    let all: usize = sent.iter().sum();
    assert!(all < (MIB - CUT_MIB + 1) << 20, "{sent:?}");
    assert!(
        registry.count("GET /v2/large/blobs/uploads/") > 0,
        "it was not asked what it has"
    );
    dom0.hyper(&["rmi", &image]).ok();
    dom0.hyper(&["pull", "-q", &image]).ok();
    assert_eq!(dom0.inspect(&image, "{{.Id}}"), id);
    dom0.hyper(&["image", "verify", &image]).ok();
    dom0.hyper(&["rmi", &image]).ok();
    clean(dom0);
}
