use super::*;
use crate::state::State;

fn network(name: &str, subnets: &[&str]) -> Network {
    let subnet = |text: &&str| Subnet {
        subnet: text.parse().unwrap(),
        gateway: ::network::gateway_of(text.parse().unwrap()),
        range: None,
        auxiliary: Default::default(),
        chosen: true,
    };
    Network {
        id: format!("id-{name}"),
        name: name.to_owned(),
        created_at: chrono::DateTime::UNIX_EPOCH,
        bridge: format!("hyper-{name}"),
        subnets: subnets.iter().map(subnet).collect(),
        internal: false,
        attachable: false,
        labels: Default::default(),
        options: Default::default(),
    }
}

fn inner() -> Inner {
    let networks = [
        network("front", &["10.0.0.0/29", "fd00::/64"]),
        network("back", &["10.0.1.0/24"]),
    ];
    Inner {
        networks: networks.map(|network| (network.id.clone(), network)).into(),
        ..Inner::default()
    }
}

fn on(inner: &mut Inner, id: &str, endpoint: Endpoint) {
    let container = Container {
        id: id.to_owned(),
        name: id.to_owned(),
        created_at: chrono::DateTime::UNIX_EPOCH,
        image_id: String::new(),
        config: Config::default(),
        state: State::default(),
    };
    let attached = Attached {
        name: container.name.clone(),
        called: Called::of(&container),
        endpoints: vec![endpoint],
        groups: Vec::new(),
        interfaces: Vec::new(),
        published: Vec::new(),
        held: Vec::new(),
    };
    inner.guests.insert(container.id, attached);
}

#[test]
fn addresses_are_given_once_and_come_back() {
    let (mut inner, fixed) = (inner(), Fixed::new());
    for guest in 2..=6 {
        let endpoint = inner
            .endpoint("front", &EndpointConfig::default(), 0, &fixed)
            .unwrap();
        assert_eq!(endpoint.v4().unwrap().to_string(), format!("10.0.0.{guest}/29"));
        assert_eq!(endpoint.v6().unwrap().to_string(), format!("fd00::{guest}/64"));
        assert_eq!(endpoint.gateways[0].to_string(), "10.0.0.1");
        on(&mut inner, &guest.to_string(), endpoint);
    }
    let full = inner
        .endpoint("front", &EndpointConfig::default(), 0, &fixed)
        .unwrap_err()
        .to_string();
    assert!(full.contains("no available IPv4 addresses"), "{full}");
    inner.guests.remove("4");
    let again = inner
        .endpoint("front", &EndpointConfig::default(), 0, &fixed)
        .unwrap();
    assert_eq!(again.v4().unwrap().to_string(), "10.0.0.4/29");
}

#[test]
fn what_is_chosen_is_given_or_refused() {
    let mut inner = inner();
    let chosen = EndpointConfig {
        ipv4: Some([10, 0, 1, 77].into()),
        mac: Some("02:00:00:00:00:07".parse().unwrap()),
        ..EndpointConfig::default()
    };
    let endpoint = inner.endpoint("back", &chosen, 0, &Fixed::new()).unwrap();
    assert_eq!(endpoint.v4().unwrap().to_string(), "10.0.1.77/24");
    on(&mut inner, "one", endpoint);
    let error = |inner: &mut Inner, config: &EndpointConfig| {
        inner
            .endpoint("back", config, 0, &Fixed::new())
            .unwrap_err()
            .to_string()
    };
    assert!(error(&mut inner, &chosen).ends_with("Address already in use"));
    let other = EndpointConfig { ipv4: None, ..chosen };
    assert!(error(&mut inner, &other).contains("02:00:00:00:00:07 is in use"));
    let gone = EndpointConfig {
        network_id: "id-gone".to_owned(),
        ..EndpointConfig::default()
    };
    assert!(error(&mut inner, &gone).ends_with("network id-gone not found"));
}

#[test]
fn the_network_it_was_started_with_comes_first() {
    let mut config = Config::default();
    assert_eq!(
        wanted(&config)[0].0,
        DEFAULT,
        "a record of before there were networks"
    );
    config
        .networks
        .insert("back".to_owned(), EndpointConfig::default());
    config
        .networks
        .insert("front".to_owned(), EndpointConfig::default());
    "front".clone_into(&mut config.host.network_mode);
    let names: Vec<_> = wanted(&config).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["front", "back"]);
    NONE.clone_into(&mut config.host.network_mode);
    assert!(wanted(&config).is_empty());
}

#[test]
fn what_somebody_has_chosen_is_not_given_by_chance() {
    let mut config = Config::default();
    let chosen = EndpointConfig {
        network_id: "id-front".to_owned(),
        ipv4: Some([10, 0, 0, 2].into()),
        ..EndpointConfig::default()
    };
    config.networks.insert("front".to_owned(), chosen.clone());
    let (mut inner, fixed) = (inner(), fixed(&config).collect());
    let by_chance = inner
        .endpoint("front", &EndpointConfig::default(), 0, &fixed)
        .unwrap();
    assert_eq!(by_chance.v4().unwrap().to_string(), "10.0.0.3/29");
    on(&mut inner, "other", by_chance);
    let endpoint = inner.endpoint("front", &chosen, 0, &fixed).unwrap();
    assert_eq!(endpoint.v4().unwrap().to_string(), "10.0.0.2/29");
}

fn container(mode: &str, networks: &[&str], port: Option<u16>) -> Container {
    let mut config = Config::default();
    mode.clone_into(&mut config.host.network_mode);
    for name in networks {
        config
            .networks
            .insert((*name).to_owned(), EndpointConfig::default());
    }
    if let Some(port) = port {
        let binding = crate::network::PortBinding {
            host_ip: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            first: port,
            last: port,
        };
        config
            .host
            .port_bindings
            .insert("80/tcp".to_owned(), vec![binding]);
    }
    Container {
        id: "web".to_owned(),
        name: "web".to_owned(),
        created_at: chrono::DateTime::UNIX_EPOCH,
        image_id: String::new(),
        config,
        state: State::default(),
    }
}

#[test]
fn ports_move_with_a_container_from_network_to_network() {
    let (mut inner, fixed) = (inner(), Fixed::new());
    let first = inner
        .attach(&container("front", &["front"], Some(0)), &fixed)
        .unwrap();
    let host = first.published[0].host;
    let removed = inner
        .remove_endpoint("web", &first.endpoints[0].id, "vif1.0")
        .unwrap();
    assert_eq!(
        (removed.before, removed.after, removed.gone.len()),
        (first.published, vec![], 1)
    );
    drop(removed.gone);
    let moved = container("front", &["back"], Some(host.port()));
    let endpoint = inner.add_endpoint(&moved, &fixed).unwrap();
    let second = inner.attachment("web").unwrap();
    assert_eq!(second.published[0].host, host);
    assert_eq!(
        Some(second.published[0].guest.ip()),
        endpoint.v4().map(|net| net.addr())
    );
    // What it has it takes no second time.
    let both = container("front", &["back", "front"], Some(host.port()));
    inner.add_endpoint(&both, &fixed).unwrap();
    assert_eq!(inner.attachment("web").unwrap().published, second.published);
}

#[test]
fn one_that_was_started_on_no_network_comes_to_one() {
    let (mut inner, fixed) = (inner(), Fixed::new());
    let nothing = Attachment::default();
    assert_eq!(
        inner.attach(&container("front", &[], None), &fixed).unwrap(),
        nothing
    );
    let endpoint = inner
        .add_endpoint(&container("front", &["back"], None), &fixed)
        .unwrap();
    assert_eq!((endpoint.network.as_str(), endpoint.index), ("back", 0));
    inner.guests.clear();
    assert_eq!(
        inner.attach(&container(NONE, &[], None), &fixed).unwrap(),
        nothing
    );
    let none = inner
        .add_endpoint(&container(NONE, &[], None), &fixed)
        .unwrap_err();
    assert!(none.to_string().contains("private (none) mode"), "{none}");
}

#[test]
fn an_end_that_comes_late_takes_nothing_from_the_next_run() {
    let (mut inner, fixed) = (inner(), Fixed::new());
    let container = container("front", &["front"], None);
    let first = inner.attach(&container, &fixed).unwrap();
    inner.guests.remove("web");
    let next = inner.attach(&container, &fixed).unwrap();
    assert!(
        inner
            .remove_endpoint("web", &first.endpoints[0].id, "vif1.0")
            .is_none()
    );
    assert_eq!(inner.attachment("web").unwrap(), next);
    assert!(
        inner
            .remove_endpoint("web", &next.endpoints[0].id, "vif2.0")
            .is_some()
    );
}
