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
        _held: Vec::new(),
    };
    inner.guests.insert(container.id, attached);
}

#[test]
fn addresses_are_given_once_and_come_back() {
    let (mut inner, fixed) = (inner(), Fixed::new());
    for guest in 2..=6 {
        let endpoint = inner.endpoint("front", &EndpointConfig::default(), 0, &fixed).unwrap();
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
    let again = inner.endpoint("front", &EndpointConfig::default(), 0, &fixed).unwrap();
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
        inner.endpoint("back", config, 0, &Fixed::new()).unwrap_err().to_string()
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
    let by_chance = inner.endpoint("front", &EndpointConfig::default(), 0, &fixed).unwrap();
    assert_eq!(by_chance.v4().unwrap().to_string(), "10.0.0.3/29");
    on(&mut inner, "other", by_chance);
    let endpoint = inner.endpoint("front", &chosen, 0, &fixed).unwrap();
    assert_eq!(endpoint.v4().unwrap().to_string(), "10.0.0.2/29");
}
