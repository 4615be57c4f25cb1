//! Debian's docker-compose, with an application of two services that know each other by name.

use super::support::{BUSYBOX, Dom0, Forwarded, Test, pv};
use std::fs;
use std::process::Command;

pub const TESTS: &[Test] = &[pv("compose::web_and_store", web_and_store)];

/// The web counts its visitors in the store, which it waits for.
const APPLICATION: &str = r#"
name: app
services:
  web:
    image: localhost:5000/busybox
    command:
      - sh
      - -c
      - |
        printf '#!/bin/sh\nprintf "INCR visitors\\r\\nQUIT\\r\\n" | nc store 6379 | grep : | tr -d "\\r"\n' > /tmp/page
        chmod +x /tmp/page
        echo serving
        exec nc -ll -p 80 -e /tmp/page
    ports: ["8088:80"]
    depends_on:
      store: { condition: service_healthy }
  store:
    image: localhost:5000/redis
    healthcheck: { test: [CMD, redis-cli, ping], interval: 1s, retries: 60 }
"#;

fn web_and_store(dom0: &Dom0<'_>) {
    dom0.pull(BUSYBOX);
    dom0.pull("localhost:5000/redis");
    let compose = integration::docker_compose().expect("docker-compose is there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("compose.yaml"), APPLICATION).expect("written");
    dom0.with_config("guest-type = \"pv\"", || {
        let daemon = Forwarded::new(dom0);
        let compose = |args: &[&str]| {
            let mut command = Command::new(&compose);
            daemon.run(command.current_dir(folder.path()).args(args))
        };
        compose(&["up", "-d"]);
        let visit = "for try in $(seq 100); do timeout 20 cat 2> /dev/null < /dev/tcp/127.0.0.1/8088 && break; sleep 0.2; done";
        dom0.sh(visit).ok().stdout(":1\n");
        dom0.sh(visit).ok().stdout(":2\n");
        let services = compose(&["ps", "--format", "{{.Service}} {{.State}} {{.Health}}"]);
        let mut services: Vec<_> = services.lines().map(str::trim).collect();
        services.sort_unstable();
        assert_eq!(services, ["store running healthy", "web running"]);
        assert!(compose(&["logs", "web"]).contains("serving"));
        let got = compose(&["exec", "-T", "store", "redis-cli", "get", "visitors"]);
        assert_eq!(got, "2\n");
        // What is as it should be stays as it is.
        let ids = compose(&["ps", "-q"]);
        compose(&["up", "-d"]);
        assert_eq!(compose(&["ps", "-q"]), ids);
        compose(&["restart", "web"]);
        dom0.sh(visit).ok().stdout(":3\n");
        compose(&["down"]);
        dom0.hyper(&["ps", "-aq"]).ok().stdout("");
        dom0.hyper(&["network", "ls", "--format", "{{.Name}}"])
            .ok()
            .stdout("bridge\nnone\n");
    });
}
