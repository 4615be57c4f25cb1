//! hyperd as systemd's service, and the doctor.

use super::support::{BUSYBOX, Dom0, Test, once, pv};

pub const TESTS: &[Test] = &[
    pv("service::restarts_under_load", restarts_under_load),
    pv("service::watchdog", watchdog),
    once("service::sandbox", sandbox),
    once("service::metrics", metrics),
    once("service::doctor", doctor),
];

/// Clients come all the time, and the daemon goes all the time: with the socket in systemd's hands nobody is refused.
fn restarts_under_load(dom0: &Dom0<'_>) {
    dom0.sh("systemctl stop hyperd; systemctl start hyperd.socket; systemctl start hyperd")
        .ok();
    let count = "n=0; while [ ! -e /tmp/end ]; do n=$((n+1)); echo $n; sleep 0.2; done; exit 9";
    dom0.detached("counts", &[BUSYBOX, "sh", "-c", count]);
    let domid = dom0.sh("xl domid counts").ok().text();
    let asking = dom0.spawn_sh(
        "while [ ! -e /tmp/asked ]; do hyper ps -q > /dev/null || echo refused; done; rm /tmp/asked",
    );
    for _ in 0..3 {
        dom0.sh("systemctl restart hyperd; sleep 1").ok();
    }
    dom0.sh("touch /tmp/asked").ok();
    asking.finish().ok().stdout("");
    assert_eq!(dom0.sh("xl domid counts").ok().text(), domid);
    // The first client starts it.
    dom0.sh("systemctl stop hyperd; systemctl is-active hyperd")
        .out_has("inactive");
    dom0.exec("counts", &["touch", "/tmp/end"]).ok();
    dom0.hyper(&["wait", "counts"]).ok().stdout("9\n");
    let lines = dom0.hyper(&["logs", "counts"]).ok().lines();
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(*line, (at + 1).to_string());
    }
    dom0.hyper(&["rm", "counts"]).ok();
    dom0.sh("systemctl stop hyperd.socket hyperd; systemctl start hyperd")
        .ok();
}

/// A daemon that hangs is ended and comes back; its guests notice nothing.
fn watchdog(dom0: &Dom0<'_>) {
    dom0.sh(
        "mkdir -p /run/systemd/system/hyperd.service.d; printf '[Service]\\nWatchdogSec=8s\\n' > /run/systemd/system/hyperd.service.d/test.conf; systemctl daemon-reload; systemctl restart hyperd",
    )
    .ok();
    dom0.idle("idles", BUSYBOX);
    let domid = dom0.sh("xl domid idles").ok().text();
    let pid = dom0.sh("systemctl show -p MainPID --value hyperd").ok().text();
    dom0.sh(&format!(
        "sleep 10; [ $(systemctl show -p MainPID --value hyperd) = {pid} ]; echo $?"
    ))
    .ok()
    .stdout("0\n");
    dom0.sh(&format!(
        "kill -STOP {pid}; for i in $(seq 120); do now=$(systemctl show -p MainPID --value hyperd); \
         [ $now != {pid} ] && [ $now != 0 ] && systemctl is-active -q hyperd && exit 0; sleep 1; done; exit 1"
    ))
    .ok();
    assert_eq!(dom0.sh("xl domid idles").ok().text(), domid);
    dom0.exec("idles", &["true"]).ok();
    dom0.remove("idles");
    dom0.sh("rm -r /run/systemd/system/hyperd.service.d; systemctl daemon-reload; systemctl restart hyperd")
        .ok();
}

fn sandbox(dom0: &Dom0<'_>) {
    let status = "cat /proc/$(systemctl show -p MainPID --value hyperd)/status";
    let text = dom0.sh(status).ok().text();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    assert_eq!(
        (field("NoNewPrivs:"), field("Seccomp:")),
        ("1".to_owned(), "2".to_owned())
    );
    // CAP_SYS_MODULE (16), CAP_SYS_BOOT (22), CAP_SYS_TIME (25).
    let bounding = u64::from_str_radix(&field("CapBnd:"), 16).unwrap();
    assert_eq!(bounding & (1 << 16 | 1 << 22 | 1 << 25), 0);
    dom0.sh("systemd-analyze verify /usr/lib/systemd/system/hyperd.service /usr/lib/systemd/system/hyperd.socket 2>&1 | grep -i hyperd; true")
        .ok()
        .stdout("");
}

/// By TCP there are metrics, and nothing else of the daemon.
fn metrics(dom0: &Dom0<'_>) {
    dom0.with_config("metrics-addr = \"127.0.0.1:9323\"", || {
        dom0.sh("curl -sf -D - http://127.0.0.1:9323/metrics")
            .ok()
            .out_has("text/plain; version=0.0.4")
            .out_has("\n# TYPE engine_daemon_container_states_containers gauge\n")
            .out_has("\nengine_daemon_engine_info{version=\"");
        for path in ["/containers/json", "/v1.51/info", "/"] {
            dom0.sh(&format!(
                "curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:9323{path}"
            ))
            .ok()
            .stdout("404");
        }
    });
    dom0.sh("curl -s http://127.0.0.1:9323/metrics").code(7);
}

fn doctor(dom0: &Dom0<'_>) {
    let report = dom0.hyper(&["doctor"]);
    report
        .ok()
        .out_has("Xen 4.")
        .out_has("xenconsoled")
        .out_has("mke2fs")
        .out_lacks("FAIL");
    // Without a daemon, too.
    dom0.sh("systemctl stop hyperd; hyper doctor; code=$?; systemctl start hyperd; exit $code")
        .ok()
        .out_has("does not run");
    let findings = dom0.hyper(&["doctor", "--format", "json"]).ok().json();
    let levels: Vec<_> = findings
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["Level"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        levels.len() > 12 && levels.iter().all(|level| level == "ok" || level == "warn"),
        "{findings}"
    );
    dom0.sh("printf 'kernel = \"/nonexistent\"\\n' > /tmp/bad.toml; hyper doctor --config /tmp/bad.toml")
        .code(1)
        .out_has("FAIL  guest");
    dom0.sh("printf 'kernle = 1\\n' > /tmp/bad.toml; hyper doctor --config /tmp/bad.toml; code=$?; rm /tmp/bad.toml; exit $code")
        .code(1)
        .out_has("unknown field")
        .out_has("-> mend it");
}
