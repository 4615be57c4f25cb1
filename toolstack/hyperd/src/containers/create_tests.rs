use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn read(body: Value) -> Result<(CreateRequest, Vec<String>), ApiError> {
    translate(serde_json::from_value(body).unwrap())
}

fn request(body: Value) -> CreateRequest {
    let (request, warnings) = read(body).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    request
}

fn host(host: Value) -> Result<HostConfig, String> {
    read(json!({ "Image": "x", "HostConfig": host }))
        .map(|(request, _)| request.host)
        .map_err(|error| {
            assert_eq!(error.status, StatusCode::BAD_REQUEST);
            error.message
        })
}

/// What `docker run -it --rm busybox sh` of 28.2 sends.
const DOCKER_RUN: &str = r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":true,"AttachStdout":true,"AttachStderr":true,
"Tty":true,"OpenStdin":true,"StdinOnce":true,"Env":null,"Cmd":["sh"],"Image":"busybox","Volumes":{},"WorkingDir":"",
"Entrypoint":null,"OnBuild":null,"Labels":{},"HostConfig":{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"",
"Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},
"AutoRemove":true,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[24,80],"CapAdd":null,"CapDrop":null,
"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"",
"Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,
"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,
"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],
"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,
"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,
"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":[],
"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null},
"NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,"Links":null,"Aliases":null}}}}"#;

#[test]
fn what_docker_sends_is_understood() {
    let request = request(serde_json::from_str(DOCKER_RUN).unwrap());
    assert_eq!(
        request,
        CreateRequest {
            image: "busybox".to_owned(),
            cmd: Some(vec!["sh".to_owned()]),
            tty: true,
            open_stdin: true,
            stdin_once: true,
            attach_stdin: true,
            attach_stdout: true,
            attach_stderr: true,
            host: HostConfig {
                auto_remove: true,
                restart_policy: RestartPolicy {
                    name: "no".to_owned(),
                    maximum_retry_count: 0,
                },
                network_mode: "bridge".to_owned(),
                ..HostConfig::default()
            },
            networks: BTreeMap::from([("bridge".to_owned(), EndpointConfig::default())]),
            ..CreateRequest::default()
        }
    );
}

#[test]
fn every_field_may_be_null() {
    let Value::Object(fields) = serde_json::from_str(DOCKER_RUN).unwrap() else {
        panic!()
    };
    let nulls = |fields: &serde_json::Map<String, Value>| -> Value {
        fields
            .keys()
            .map(|key| (key.clone(), Value::Null))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut body = nulls(&fields);
    body["HostConfig"] = nulls(fields["HostConfig"].as_object().unwrap());
    assert_eq!(
        read(body.clone()).unwrap_err().message,
        "invalid reference format: no image is named"
    );
    body["Image"] = json!("x");
    assert_eq!(request(body.clone()), request(json!({ "Image": "x" })));
    body["HostConfig"] = Value::Null;
    assert_eq!(request(body), request(json!({ "Image": "x" })));
}

#[test]
fn a_string_is_a_list_of_one() {
    let request = request(json!({ "Image": "x", "Cmd": "a b", "Entrypoint": "" }));
    assert_eq!(request.cmd, Some(vec!["a b".to_owned()]));
    assert_eq!(request.entrypoint, Some(vec![String::new()]));
}

#[test]
fn the_hosts_part() {
    let config = host(json!({
        "Memory": 64 << 20, "NanoCpus": 1_500_000_000u64, "Annotations": { "hyper.type": "pv", "a": "b" },
        "NetworkMode": "none", "Tmpfs": { "/run": "size=1m" }, "CapAdd": ["NET_ADMIN"], "CapDrop": "ALL",
        "Mounts": [{ "Type": "tmpfs", "Target": "/t", "TmpfsOptions": { "SizeBytes": 4096, "Mode": 0o1777 } }],
        "Ulimits": [{ "Name": "nofile", "Soft": 10, "Hard": 20 }],
        "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 3 },
    }))
    .unwrap();
    assert_eq!(config.memory_bytes, 64 << 20);
    assert_eq!(config.nano_cpus, 1_500_000_000);
    assert_eq!(config.guest_type, Some(GuestType::Pv));
    assert_eq!(config.network_mode, "none");
    assert_eq!(config.cap_drop, ["ALL"]);
    assert_eq!(config.tmpfs["/t"], "size=4096,mode=1777");
    assert_eq!(config.tmpfs["/run"], "size=1m");
    assert_eq!(config.ulimits[0].hard, 20);
    assert_eq!(config.restart_policy.maximum_retry_count, 3);
    assert_eq!(annotations_of(&config)["hyper.type"], "pv");
    assert_eq!(annotations_of(&config)["a"], "b");
}

#[test]
fn what_cannot_be_done_is_refused() {
    for (asked, reason) in [
        (json!({ "Binds": ["/a:/b"] }), "bind mounts are not supported yet"),
        (
            json!({ "Mounts": [{ "Type": "bind", "Target": "/t" }] }),
            "mounts of type \"bind\"",
        ),
        (
            json!({ "Mounts": [{ "Type": "tmpfs", "Target": "t" }] }),
            "absolute path",
        ),
        (
            json!({ "PortBindings": { "80/tcp": [{ "HostPort": "x" }] } }),
            "invalid port specification",
        ),
        (json!({ "Devices": [{}] }), "devices of the host"),
        (json!({ "DeviceRequests": [{}] }), "GPUs"),
        (json!({ "VolumesFrom": ["x"] }), "volumes of other containers"),
        (json!({ "PidMode": "host" }), "pid mode \"host\" is not possible"),
        (json!({ "PidMode": "container:x" }), "pid mode"),
        (json!({ "IpcMode": "host" }), "ipc mode"),
        (json!({ "UTSMode": "host" }), "uts mode"),
        (json!({ "UsernsMode": "host" }), "user namespace mode"),
        (
            json!({ "NetworkMode": "host" }),
            "network mode \"host\" is not possible",
        ),
        (json!({ "NetworkMode": "container:x" }), "share no network stack"),
        (
            json!({ "Memory": 6 << 20 }),
            "Minimum memory limit allowed is 32MB",
        ),
        (json!({ "Memory": -5 }), "invalid Memory"),
        (json!({ "NanoCpus": -5 }), "invalid NanoCpus"),
        (
            json!({ "Runtime": "kata" }),
            "unknown or invalid runtime name: kata",
        ),
        (
            json!({ "Annotations": { "hyper.type": "hvm" } }),
            "guest type \"hvm\" is unknown",
        ),
        (
            json!({ "RestartPolicy": { "Name": "maybe" } }),
            "unknown policy 'maybe'",
        ),
        (
            json!({ "RestartPolicy": { "Name": "always", "MaximumRetryCount": 1 } }),
            "only be used with 'on-failure'",
        ),
        (
            json!({ "AutoRemove": true, "RestartPolicy": { "Name": "always" } }),
            "'AutoRemove' container with restart",
        ),
        (
            json!({ "Ulimits": [{ "Name": "nofile", "Soft": 2, "Hard": 1 }] }),
            "soft limit",
        ),
        (json!({ "StorageOpt": { "size": "1g" } }), "storage options"),
    ] {
        let message = host(asked.clone()).unwrap_err();
        assert!(message.contains(reason), "{asked}: {message}");
    }
    let refused = |body: Value| read(body).unwrap_err().message;
    assert!(refused(json!({ "Image": "x", "Volumes": { "/data": {} } })).contains("volumes"));
    assert!(refused(json!({ "Image": "x", "StopSignal": "SIGNOPE" })).contains("invalid signal: SIGNOPE"));
    assert!(refused(json!({ "Image": "x", "StopTimeout": -2 })).contains("stop timeout"));
}

#[test]
fn what_has_no_effect_is_said() {
    let body = json!({
        "Image": "x",
        "HostConfig": { "CpusetCpus": "0", "PidsLimit": 10, "CpuShares": 512 },
    });
    let (_, warnings) = read(body).unwrap();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("pinning")));
    let none =
        json!({ "Image": "x", "Healthcheck": { "Test": ["NONE"] }, "HostConfig": { "PidsLimit": -1 } });
    assert_eq!(read(none).unwrap().1, Vec::<String>::new());
}

#[test]
fn health_checks_have_dockers_bounds() {
    let of = |check: Value| read(json!({ "Image": "x", "Healthcheck": check }));
    let check = json!({ "Test": ["CMD", "true"], "Interval": 1_000_000, "Retries": 3, "Timeout": null });
    let (request, _) = of(check).unwrap();
    assert_eq!(request.healthcheck.unwrap().retries, 3);
    for (check, why) in [
        (
            json!({ "Interval": 1 }),
            "Interval in Healthcheck cannot be less than 1ms",
        ),
        (json!({ "Retries": -1 }), "cannot be negative"),
        (json!({ "Test": ["RUN", "x"] }), "Unknown healthcheck type"),
    ] {
        assert!(of(check).unwrap_err().message.contains(why), "{why}");
    }
}

#[test]
fn an_endless_stop_timeout() {
    assert_eq!(
        request(json!({ "Image": "x", "StopTimeout": -1 })).stop_timeout_seconds,
        Some(NEVER_KILL)
    );
    assert_eq!(
        request(json!({ "Image": "x", "StopTimeout": 3 })).stop_timeout_seconds,
        Some(3)
    );
}

proptest! {
    #[test]
    fn words_and_labels_come_through(
        cmd in proptest::collection::vec(".{0,20}", 0..5),
        labels in proptest::collection::btree_map(".{1,10}", ".{0,10}", 0..5),
        memory in 32u64 << 20..1 << 40,
    ) {
        let request = request(json!({
            "Image": "x", "Cmd": cmd, "Labels": labels, "HostConfig": { "Memory": memory },
        }));
        prop_assert_eq!(request.cmd, Some(cmd));
        prop_assert_eq!(request.labels, labels);
        prop_assert_eq!(request.host.memory_bytes, memory);
    }
}

#[test]
fn networks_and_ports_come_through() {
    let request = request(json!({
        "Image": "x", "MacAddress": "02:00:00:00:00:05", "ExposedPorts": { "80/tcp": {}, "90": {} },
        "HostConfig": { "NetworkMode": "front", "PortBindings": { "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "8080" }] } },
        "NetworkingConfig": { "EndpointsConfig": {
            "front": { "Aliases": ["a"], "IPAMConfig": { "IPv4Address": "10.0.0.5" } }, "back": null,
        } },
    }));
    assert_eq!(request.exposed_ports, ["80/tcp", "90/tcp"]);
    assert_eq!(request.host.network_mode, "front");
    let front = &request.networks["front"];
    assert_eq!(
        (front.aliases.as_slice(), front.ipv4),
        (["a".to_owned()].as_slice(), Some([10, 0, 0, 5].into()))
    );
    assert_eq!(front.mac.unwrap().to_string(), "02:00:00:00:00:05");
    assert_eq!(request.networks["back"], EndpointConfig::default());
    assert_eq!(request.host.port_bindings["80/tcp"][0].first, 8080);
}
