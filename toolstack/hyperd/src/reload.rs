//! A config that is read again while the daemon runs.

use crate::api::App;
use crate::config::Config;
use std::collections::BTreeMap;

/// Reads the config as the start did.
pub type Reader = Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>;

/// What can change does, from the next use on; the rest waits for a restart. A config that is wrong changes nothing.
pub fn reload(app: &App, running: &Config, read: &Reader) {
    let config = match read() {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "the config is wrong: it stays as it was"
            );
            return;
        }
    };
    let settings = config.settings();
    let mirrors = settings.registries.mirrors.get("docker.io").into_iter().flatten();
    let attributes = BTreeMap::from([
        ("name".to_owned(), crate::system::host_name()),
        (
            "insecure-registries".to_owned(),
            json_list(settings.registries.insecure.clone()),
        ),
        (
            "registry-mirrors".to_owned(),
            json_list(mirrors.map(ToString::to_string).collect()),
        ),
        ("log-driver".to_owned(), settings.log.driver().to_owned()),
    ]);
    if let Err(error) = app.engine.reload(settings) {
        tracing::error!(%error, "the config is wrong: it stays as it was");
        return;
    }
    let waiting = waiting(running, &config);
    if !waiting.is_empty() {
        tracing::warn!(
            keys = waiting.join(", "),
            "changes of the config that wait for a restart"
        );
    }
    tracing::info!("the config was read again");
    app.engine.tell("daemon", "reload", &app.id, attributes);
}

fn json_list(list: Vec<String>) -> String {
    serde_json::Value::from(list).to_string()
}

/// Keys that differ and are not read again.
fn waiting(running: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("socket", running.socket != new.socket),
        ("group", running.group != new.group),
        ("state-dir", running.state_dir != new.state_dir),
        ("kernel", running.kernel != new.kernel),
        ("initramfs", running.initramfs != new.initramfs),
        ("kernel-cmdline", running.kernel_cmdline != new.kernel_cmdline),
        ("guest-type", running.guest_type != new.guest_type),
        ("memory", running.memory != new.memory),
        ("disk", running.disk != new.disk),
        ("root-device", running.root_device != new.root_device),
        ("address-pools", running.address_pools != new.address_pools),
        ("bridge-ipv6", running.bridge_ipv6 != new.bridge_ipv6),
        ("uplink", running.uplink != new.uplink),
        ("floating-ips", running.floating_ips != new.floating_ips),
        ("host-services", running.host_services != new.host_services),
        ("stop-timeout", running.stop_timeout != new.stop_timeout),
        ("boot-timeout", running.boot_timeout != new.boot_timeout),
        ("metrics-addr", running.metrics_addr != new.metrics_addr),
        ("log-level", running.log_level != new.log_level),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_named() {
        let running = Config::default();
        let new = Config {
            group: "other".to_owned(),
            uplink: "eth0".to_owned(),
            insecure_registries: vec!["a:5000".to_owned()],
            ..Config::default()
        };
        assert_eq!(waiting(&running, &new), ["group", "uplink"]);
        assert_eq!(json_list(vec!["a\"b".to_owned()]), r#"["a\"b"]"#);
    }
}
