//! Flags to the body of `POST /containers/create`.

use std::collections::HashMap;

use anyhow::Result;
use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, NetworkingConfig};

use super::{ContainerOptions, GuestType, publish};
use crate::env_file::{environment, labels, pair};
use crate::terminal;

/// What is asked for where Docker's API has no field.
const TYPE_ANNOTATION: &str = "hyper.type";
const GROUPS_ANNOTATION: &str = "hyper.sg";

/// Which streams go through us while the container runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

impl Attached {
    pub fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }
}

impl ContainerOptions {
    /// Without `--attach`: all output, and stdin with `-i`. Detached: nothing.
    pub fn attached(&self, detach: bool) -> Attached {
        if detach {
            return Attached::default();
        }
        if self.attach.is_empty() {
            return Attached {
                stdin: self.interactive,
                stdout: true,
                stderr: true,
            };
        }
        let has = |stream: &str| self.attach.iter().any(|name| name == stream);
        Attached {
            stdin: has("stdin"),
            stdout: has("stdout"),
            stderr: has("stderr"),
        }
    }

    pub fn to_body(&self, detach: bool) -> Result<ContainerCreateBody> {
        let attached = self.attached(detach);
        let (mode, networking_config) = self.networking()?;
        let published = self
            .publish
            .iter()
            .flat_map(|publish| &publish.ports)
            .map(|(port, _)| port);
        let mut exposed: Vec<_> = self.expose.iter().chain(published).cloned().collect();
        exposed.sort();
        exposed.dedup();
        Ok(ContainerCreateBody {
            hostname: self.hostname.clone(),
            domainname: self.domainname.clone(),
            user: self.user.clone(),
            attach_stdin: Some(attached.stdin),
            attach_stdout: Some(attached.stdout),
            attach_stderr: Some(attached.stderr),
            tty: Some(self.tty),
            open_stdin: Some(self.interactive),
            // The end of our stdin is the end of the container's: nobody else can send more.
            stdin_once: Some(self.interactive && attached.stdin),
            env: Some(environment(&self.env_file, &self.env)?),
            cmd: filled(self.command()),
            healthcheck: self.healthcheck()?,
            image: Some(self.image().to_owned()),
            working_dir: self.workdir.clone(),
            // Empty: the image's own is dropped and nothing takes its place.
            entrypoint: self.entrypoint.clone().map(|path| vec![path]),
            labels: Some(labels(&self.label_file, &self.label)?.into_iter().collect()),
            stop_signal: self.stop_signal.clone(),
            stop_timeout: self.stop_timeout,
            exposed_ports: filled(&exposed),
            networking_config,
            host_config: Some(self.host_config(mode)),
            ..ContainerCreateBody::default()
        })
    }

    /// `None`: as the image says.
    fn healthcheck(&self) -> Result<Option<HealthConfig>> {
        let own = HealthConfig {
            test: self
                .health_cmd
                .as_ref()
                .filter(|command| !command.is_empty())
                .map(|command| vec!["CMD-SHELL".to_owned(), command.clone()]),
            interval: self.health_interval,
            timeout: self.health_timeout,
            retries: self.health_retries,
            start_period: self.health_start_period,
            start_interval: self.health_start_interval,
        };
        let asked = own != HealthConfig::default();
        if self.no_healthcheck {
            anyhow::ensure!(!asked, "--no-healthcheck conflicts with --health-* options");
            return Ok(Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }));
        }
        Ok(asked.then_some(own))
    }

    fn networking(&self) -> Result<(String, Option<NetworkingConfig>)> {
        let of_first = publish::OfFirst {
            aliases: &self.network_alias,
            ip: self.ip.as_deref(),
            ip6: self.ip6.as_deref(),
            mac: self.mac_address.as_deref(),
            links: &self.link,
        };
        publish::networking(&self.network, &of_first)
    }

    fn host_config(&self, mode: String) -> HostConfig {
        HostConfig {
            memory: self.memory,
            nano_cpus: self.cpus,
            init: self.init.then_some(true),
            ulimits: filled(&self.ulimit),
            network_mode: Some(mode),
            links: filled(&self.link),
            port_bindings: publish::bindings(&self.publish),
            publish_all_ports: Some(self.publish_all),
            dns_options: filled(&self.dns_option),
            restart_policy: self.restart.clone(),
            log_config: (self.log_driver.is_some() || !self.log_opt.is_empty()).then(|| {
                HostConfigLogConfig {
                    typ: self.log_driver.clone(),
                    config: map(self.log_opt.iter().map(|text| pair(text))),
                }
            }),
            auto_remove: Some(self.rm),
            container_id_file: self.cidfile.as_ref().map(|path| path.display().to_string()),
            console_size: self
                .tty
                .then(terminal::size)
                .flatten()
                .map(|size| vec![size.rows.into(), size.columns.into()]),
            annotations: self.annotations(),
            cap_add: filled(&self.cap_add),
            cap_drop: filled(&self.cap_drop),
            dns: filled(&self.dns),
            dns_search: filled(&self.dns_search),
            extra_hosts: filled(&self.add_host),
            group_add: filled(&self.group_add),
            privileged: Some(self.privileged),
            readonly_rootfs: Some(self.read_only),
            security_opt: filled(&self.security_opt),
            tmpfs: map(self.tmpfs.iter().map(|text| {
                let (path, options) = text.split_once(':').unwrap_or((text, ""));
                (path.to_owned(), options.to_owned())
            })),
            shm_size: self.shm_size,
            sysctls: map(self.sysctl.iter().map(|text| pair(text))),
            ..HostConfig::default()
        }
    }

    fn annotations(&self) -> Option<HashMap<String, String>> {
        let guest_type = self.guest_type.map(|guest_type| {
            let name = match guest_type {
                GuestType::Pv => "pv",
                GuestType::Pvh => "pvh",
            };
            (TYPE_ANNOTATION.to_owned(), name.to_owned())
        });
        let groups = (!self.sg.is_empty()).then(|| (GROUPS_ANNOTATION.to_owned(), self.sg.join(",")));
        let own = self.annotation.iter().map(|text| pair(text));
        map(own.chain(guest_type).chain(groups))
    }
}

fn filled<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn map(pairs: impl Iterator<Item = (String, String)>) -> Option<HashMap<String, String>> {
    let map: HashMap<_, _> = pairs.collect();
    (!map.is_empty()).then_some(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::{Value, json};

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Only {
        #[command(flatten)]
        options: ContainerOptions,
    }

    fn options(line: &str) -> ContainerOptions {
        Only::try_parse_from(["run"].into_iter().chain(line.split_whitespace()))
            .map(|only| only.options)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn body(line: &str) -> Value {
        serde_json::to_value(options(line).to_body(false).unwrap()).unwrap()
    }

    #[test]
    fn what_follows_the_image_is_the_commands() {
        let body = body("-i busybox sh -c -i --rm -- -m 5");
        assert_eq!(body["Image"], "busybox");
        assert_eq!(body["Cmd"], json!(["sh", "-c", "-i", "--rm", "--", "-m", "5"]));
        assert_eq!(body["HostConfig"]["AutoRemove"], false);
        assert_eq!(options("img -h").command(), ["-h"]);
    }

    #[test]
    fn flags_reach_their_fields() {
        let body = body(
            "-h host --domainname d -u 1:2 -w /w -e A=1 -l k=v -l bare -m 256m --cpus 1.5 --read-only \
             --tmpfs /t:size=1m --tmpfs /u --type pv --annotation a=b --sg in,out --sg more --stop-signal INT --stop-timeout -1 \
             --restart on-failure:2 --cap-add NET_ADMIN --cap-drop ALL --group-add g --add-host a:1.2.3.4 \
             --dns 1.1.1.1 --dns-search x --ulimit nofile=1:2 --sysctl net.x=1 --shm-size 64m --init \
             --security-opt s --log-driver journald --log-opt tag=x=y --network none --no-healthcheck -p 8080:80 -P --expose 9/udp --entrypoint /e --privileged --rm img",
        );
        let want = json!({
            "Hostname": "host", "Domainname": "d", "User": "1:2", "WorkingDir": "/w", "Env": ["A=1"],
            "StopSignal": "INT", "StopTimeout": -1, "Entrypoint": ["/e"],
            "Healthcheck": {"Test": ["NONE"]}, "Labels": {"k": "v", "bare": ""}, "ExposedPorts": {"80/tcp": {}, "9/udp": {}},
        });
        for (key, value) in want.as_object().unwrap() {
            assert_eq!(&body[key], value, "{key}");
        }
        let want = json!({
            "Memory": 256 << 20, "NanoCpus": 1_500_000_000i64, "ReadonlyRootfs": true, "AutoRemove": true,
            "Tmpfs": {"/t": "size=1m", "/u": ""}, "Annotations": {"hyper.type": "pv", "hyper.sg": "in,out,more", "a": "b"},
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}, "CapAdd": ["NET_ADMIN"],
            "CapDrop": ["ALL"], "GroupAdd": ["g"], "ExtraHosts": ["a:1.2.3.4"], "Dns": ["1.1.1.1"],
            "DnsSearch": ["x"], "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
            "Sysctls": {"net.x": "1"}, "LogConfig": {"Type": "journald", "Config": {"tag": "x=y"}}, "ShmSize": 64 << 20, "Init": true, "SecurityOpt": ["s"],
            "NetworkMode": "none", "Privileged": true, "PublishAllPorts": true,
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        });
        for (key, value) in want.as_object().unwrap() {
            assert_eq!(&body["HostConfig"][key], value, "{key}");
        }
    }

    #[test]
    fn health_checks_follow_the_flags() {
        let check = body(
            "--health-cmd true --health-interval 1m30s --health-timeout 500ms --health-retries 2 \
             --health-start-period 5s --health-start-interval 1s img",
        );
        assert_eq!(
            check["Healthcheck"],
            json!({
                "Test": ["CMD-SHELL", "true"], "Interval": 90_000_000_000i64, "Timeout": 500_000_000,
                "Retries": 2, "StartPeriod": 5_000_000_000i64, "StartInterval": 1_000_000_000,
            })
        );
        assert_eq!(body("img")["Healthcheck"], Value::Null);
        let both = options("--no-healthcheck --health-cmd x img").to_body(false);
        assert!(both.unwrap_err().to_string().contains("conflicts"));
    }

    #[test]
    fn streams_follow_the_flags() {
        let all = |stdin| Attached {
            stdin,
            stdout: true,
            stderr: true,
        };
        assert_eq!(options("img").attached(false), all(false));
        assert_eq!(options("-i img").attached(false), all(true));
        assert!(!options("-i img").attached(true).any());
        let only_err = Attached {
            stderr: true,
            ..Attached::default()
        };
        assert_eq!(options("-a STDERR img").attached(false), only_err);
        assert_eq!(body("-i img")["StdinOnce"], true);
        assert_eq!(options("-i img").to_body(true).unwrap().stdin_once, Some(false));
    }

    #[test]
    fn an_empty_entrypoint_is_sent() {
        let only = Only::try_parse_from(["run", "--entrypoint", "", "img"]).unwrap();
        let body = only.options.to_body(false).unwrap();
        assert_eq!(body.entrypoint, Some(vec![String::new()]));
    }
}
