use super::*;
use crate::state::State;

fn container(change: impl FnOnce(&mut Config)) -> Container {
    let mut config = Config {
        cmd: vec!["sh".to_owned()],
        hostname: "box".to_owned(),
        ..Config::default()
    };
    change(&mut config);
    Container {
        id: "abc".to_owned(),
        name: "web".to_owned(),
        created_at: chrono::DateTime::UNIX_EPOCH,
        image_id: String::new(),
        config,
        state: State::default(),
    }
}

fn plan(container: &Container) -> Result<Plan, Error> {
    plan_in_form(container, RootForm::Linear, 2)
}

fn plan_in_form(container: &Container, root_form: RootForm, layers: usize) -> Result<Plan, Error> {
    let host = HostInfo {
        xen_version: "4.20".to_owned(),
        xen_full_version: "4.20.1".to_owned(),
        cpus: 4,
        guest_types: vec![GuestType::Pvh, GuestType::Pv],
    };
    let defaults = Defaults {
        host: &host,
        guest_type: None,
        memory_mib: 512,
        cmdline: "",
        root_form,
    };
    let root = RootDisk {
        id: "0".repeat(64),
        index: "/index".into(),
        layers: (0..layers).map(|layer| format!("/{layer}.tar").into()).collect(),
    };
    Plan::make(container, Uuid::nil(), &root, Path::new("/disk"), &defaults)
}

#[test]
fn a_plan_has_the_defaults() {
    let plan = plan(&container(|_| {})).unwrap();
    assert_eq!(
        (plan.guest_type, plan.memory_mib, plan.vcpus),
        (GuestType::Pvh, 512, 1)
    );
    assert_eq!(plan.cmdline, "console=hvc0 quiet xen_legacy_crash");
    assert!(plan.disks[0].read_only && !plan.disks[1].read_only);
    assert_eq!(plan.process.args, ["sh"]);
    assert_eq!((plan.process.stdin, plan.process.tty), (None, None));
    assert!(plan.container.files[1].content.contains("127.0.1.1\tbox\n"));
}

#[test]
fn a_root_is_one_disk_or_several() {
    let one = plan(&container(|_| {})).unwrap();
    assert_eq!(one.disks.len(), 2);
    assert_eq!(one.container.root.lower, ["xvda"]);
    let several = plan_in_form(&container(|_| {}), RootForm::Layers, 2).unwrap();
    assert_eq!(several.disks.len(), 4);
    assert_eq!(several.container.root.lower, ["xvda", "xvdc", "xvdd"]);
    assert_eq!(several.container.root.upper.as_deref(), Some("xvdb"));
    assert!(plan_in_form(&container(|_| {}), RootForm::Layers, 24).is_ok());
    let error = plan_in_form(&container(|_| {}), RootForm::Layers, 25).unwrap_err();
    assert!(error.to_string().contains("root-device"), "{error}");
    assert!(plan_in_form(&container(|_| {}), RootForm::Linear, 1000).is_ok());
}

#[test]
fn what_was_asked_for_is_planned() {
    let asked = container(|config| {
        config.host.guest_type = Some(GuestType::Pv);
        config.host.memory_bytes = 100 << 20;
        config.host.nano_cpus = 1_500_000_000;
        config.tty = true;
        config.open_stdin = true;
        config
            .host
            .tmpfs
            .insert("/scratch".to_owned(), "size=1m,mode=700".to_owned());
        config.host.extra_hosts.push("db:[fd00::1]".to_owned());
    });
    let plan = plan(&asked).unwrap();
    assert_eq!(
        (plan.guest_type, plan.memory_mib, plan.vcpus),
        (GuestType::Pv, 100, 2)
    );
    assert_eq!((plan.process.stdin, plan.process.stderr), (Some(STDIN), None));
    assert_eq!(plan.container.mounts[0].options, ["size=1m", "mode=700"]);
    assert!(plan.container.files[1].content.contains("fd00::1\tdb\n"));
}

#[test]
fn capabilities_follow_dockers_rule() {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let kept = |add: &str, drop: &str| capabilities(&words(add), &words(drop));
    assert_eq!(kept("", "").unwrap(), None);
    assert_eq!(kept("", "ALL").unwrap().unwrap(), Vec::<String>::new());
    assert_eq!(kept("net_admin", "all").unwrap().unwrap(), ["CAP_NET_ADMIN"]);
    assert!(
        !kept("", "CHOWN")
            .unwrap()
            .unwrap()
            .contains(&"CAP_CHOWN".to_owned())
    );
    assert_eq!(kept("ALL", "").unwrap().unwrap().len(), capability::NAMES.len());
    assert_eq!(
        kept("ALL", "SYS_ADMIN").unwrap().unwrap().len(),
        capability::NAMES.len() - 1
    );
    assert!(kept("CAP_NONSENSE", "").is_err());
}

#[test]
fn nonsense_is_refused_before_there_is_a_guest() {
    type Change = fn(&mut Config);
    let wrong: &[Change] = &[
        |config| config.cmd.clear(),
        |config| config.host.memory_bytes = 1 << 20,
        |config| config.stop_signal = "SIGNONSENSE".to_owned(),
        |config| config.host.nano_cpus = 5_000_000_000,
        |config| config.host.nano_cpus = 100_000,
        |config| config.hostname = "a b".to_owned(),
        |config| config.working_dir = "relative".to_owned(),
        |config| drop(config.host.tmpfs.insert("x/../y".to_owned(), String::new())),
        |config| config.host.dns.push("nameserver".to_owned()),
        |config| config.host.extra_hosts.push("nocolon".to_owned()),
        |config| config.env.push("A=\0".to_owned()),
    ];
    assert!(check(&container(|_| {}).config, 4).is_ok());
    for (index, change) in wrong.iter().enumerate() {
        assert!(check(&container(change).config, 4).is_err(), "{index}");
    }
}

#[test]
fn networks_become_interfaces_and_files() {
    let mut container = container(|config| {
        config.domainname = "lan".to_owned();
        config.host.extra_hosts = vec!["up:host-gateway".to_owned()];
        config.host.dns_search = vec!["lan".to_owned()];
    });
    container.state.endpoints = vec![Endpoint {
        id: "e".to_owned(),
        network: "front".to_owned(),
        network_id: "f".to_owned(),
        bridge: "hyper-f".to_owned(),
        index: 0,
        mac: "02:00:00:00:00:01".parse().unwrap(),
        addresses: vec!["10.0.0.2/24".parse().unwrap(), "fd00::2/64".parse().unwrap()],
        gateways: vec!["10.0.0.1".parse().unwrap()],
        mtu: Some(1400),
        rate: None,
        internal: false,
        closed: false,
    }];
    let plan = plan(&container).unwrap();
    assert_eq!(
        (plan.nics[0].bridge.as_str(), plan.nics[0].mtu),
        ("hyper-f", Some(1400))
    );
    let interface = &plan.interfaces[0];
    assert_eq!(
        (interface.name.as_str(), interface.mac.as_str(), interface.mtu),
        ("eth0", "02:00:00:00:00:01", 1400)
    );
    assert_eq!(interface.addresses[0].prefix_len, 24);
    let file = |at: usize| plan.container.files[at].content.as_str();
    for line in [
        "10.0.0.1\tup\n",
        "10.0.0.2\tbox.lan box\n",
        "fd00::2\tbox.lan box\n",
    ] {
        assert!(file(1).contains(line), "{}", file(1));
    }
    assert_eq!(file(2), "nameserver 10.0.0.1\nsearch lan\n");
    container.state.endpoints[0].internal = true;
    assert!(
        self::plan(&container).unwrap().interfaces[0].gateways.is_empty(),
        "a closed network leads nowhere"
    );
}
