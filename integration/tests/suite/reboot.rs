//! The host is shut down, or loses its power, and starts again.

use super::support::{BUSYBOX, Dom0, Test, pv};

pub const TESTS: &[Test] = &[pv("reboot::of_the_host", of_the_host)];

const FIP: &str = "10.0.2.200";
const ADDRESS: &str = "10.201.0.7";

/// Makes a domain as other software has them.
const FIRST_DOMAIN: &str = r#"
xl create -p -q /dev/null 'name = "first"; type = "pv"; kernel = "/usr/lib/hyper/vmlinux"; memory = 64'
"#;

/// What a process does when it is told to end, before it does.
fn ends(with: &str) -> String {
    format!("trap '{with}' TERM; nc -ll -p 80 -e hostname & while :; do sleep 0.2; done")
}

fn of_the_host(dom0: &Dom0<'_>) {
    dom0.sh("systemctl enable -q hyperd").ok();
    let config = format!("uplink = \"eth0\"\nfloating-ips = [\"{FIP}\"]");
    dom0.with_config(&config, || {
        dom0.hyper(&["network", "create", "--subnet", "10.201.0.0/24", "kept"])
            .ok();
        let place = ["--network", "kept", "--ip", ADDRESS, "-p", "8081:80", "-h", "web"];
        // Not synced by anything but a guest that shuts down.
        let leaves = ends("echo bye >> /bye; exit 3");
        let web = [
            &["--restart", "always"],
            &place[..],
            &[BUSYBOX, "sh", "-c", &leaves],
        ]
        .concat();
        dom0.detached("web", &web);
        dom0.hyper(&["fip", "allocate"]).ok();
        dom0.hyper(&["fip", "associate", FIP, "web"]).ok();
        let alone = |name: &str, policy: &str, code: u8| {
            let script = ends(&format!("exit {code}"));
            dom0.detached(
                name,
                &[
                    "--network",
                    "none",
                    "--restart",
                    policy,
                    BUSYBOX,
                    "sh",
                    "-c",
                    &script,
                ],
            );
        };
        alone("once", "no", 5);
        alone("fails", "on-failure", 4);
        alone("stopped", "unless-stopped", 6);
        dom0.hyper(&["stop", "stopped"]).ok();
        // Of a request, which xenstore forgets with the host: another one is not told that it was taken away.
        let request = format!("{{\"image\":\"{BUSYBOX}\",\"cmd\":[\"sleep\",\"1000000\"],\"guest-type\":\"pv\"}}");
        dom0.sh(&format!(
            "xenstore-write /hyper/requests/asked '{request}'; until xenstore-read /hyper/requests/asked/container; do sleep 0.5; done"
        ))
        .ok();

        dom0.reboot("systemctl reboot");
        comes_back(dom0);
        assert_eq!(dom0.status("once"), "exited 5");
        dom0.exec("web", &["cat", "/bye"]).ok().stdout("bye\n");
        dom0.sh("xenstore-write /hyper/requests/bad x; until xenstore-read /hyper/requests/bad/status; do sleep 0.5; done; systemctl restart hyperd")
            .ok();
        dom0.hyper(&["start", "asked"]).ok();

        // Nobody is told this time. Domains get the same numbers again, and the first of them is another's.
        dom0.hyper(&["start", "once"]).ok();
        dom0.sh("systemctl disable -q hyperd; sync").ok();
        dom0.reboot("echo b > /proc/sysrq-trigger");
        dom0.sh(FIRST_DOMAIN).ok();
        comes_back(dom0);
        assert_eq!(dom0.status("once"), "exited 137");
        dom0.exec("web", &["cat", "/bye"]).ok().stdout("bye\n");

        dom0.sh("[ $(xl domid first) = 1 ] && xenstore-read /local/domain/1/name /local/domain/1/memory/target")
            .ok()
            .out_has("first\n");
        dom0.sh("xl destroy first").ok();

        assert_eq!(dom0.status("asked"), "exited 137");
        dom0.hyper(&["rm", "-f", "web", "once", "fails", "stopped", "asked"])
            .ok();
        dom0.hyper(&["fip", "release", FIP]).ok();
        dom0.hyper(&["network", "rm", "kept"]).ok();
    });
}

/// What should run does, where it was.
fn comes_back(dom0: &Dom0<'_>) {
    // Waits until it is ready, if it is on its way.
    dom0.sh("systemctl start hyperd").ok();
    for name in ["web", "fails"] {
        dom0.sh(&format!(
            "until [ \"$(hyper inspect -f '{{{{.State.Status}}}}' {name})\" = running ]; do sleep 0.5; done"
        ))
        .ok();
    }
    assert_eq!(dom0.status("stopped"), "exited 6");
    assert_eq!(
        dom0.inspect("web", "{{.NetworkSettings.Networks.kept.IPAddress}}"),
        ADDRESS
    );
    for place in [
        format!("{ADDRESS}/80"),
        format!("{FIP}/80"),
        "127.0.0.1/8081".to_owned(),
    ] {
        dom0.sh(&format!(
            "until (exec 3<> /dev/tcp/{place} && head -n 1 <&3) 2> /dev/null; do sleep 0.5; done"
        ))
        .ok()
        .stdout("web\n");
    }
}
