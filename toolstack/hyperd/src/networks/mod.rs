//! Networks.

pub mod body;
mod connect;
pub mod create;
pub mod floating;
pub mod groups;
pub mod ports;
pub mod settings;

pub use connect::{connect, disconnect, link};

use crate::api::Call;
use crate::error::{Answer, ApiError, to_the_end};
use crate::filters::Filters;
use crate::request;
use crate::text;
use axum::http::StatusCode;
use engine::network::{Endpoint, NONE, Network};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const FILTERS: &[&str] = &[
    "dangling", "driver", "id", "label", "label!", "name", "scope", "type", "until",
];

/// A loopback for each guest and nothing else.
const NONE_ID: &str = "6e6f6e6500000000000000000000000000000000000000000000000000000000";

fn none() -> Value {
    json!({
        "Name": NONE,
        "Id": NONE_ID,
        "Created": text::NEVER,
        "Scope": "local",
        "Driver": "null",
        "EnableIPv4": true,
        "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": null, "Config": null },
        "Internal": false,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": {},
        "Options": {},
        "Labels": {},
    })
}

fn network_json(network: &Network) -> Value {
    let subnets: Vec<Value> = network
        .subnets
        .iter()
        .map(|subnet| {
            let mut value = json!({ "Subnet": subnet.subnet.to_string() });
            if let Some(range) = subnet.range {
                value["IPRange"] = json!(range.to_string());
            }
            value["Gateway"] = json!(subnet.gateway.to_string());
            if !subnet.auxiliary.is_empty() {
                value["AuxiliaryAddresses"] = json!(subnet.auxiliary);
            }
            value
        })
        .collect();
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": text::moment(network.created_at),
        "Scope": "local",
        "Driver": "bridge",
        "EnableIPv4": true,
        "EnableIPv6": network.has_v6(),
        "IPAM": { "Driver": "default", "Options": {}, "Config": subnets },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": {},
        "Options": network.options,
        "Labels": network.labels,
    })
}

fn containers(on: Vec<(String, String, Endpoint)>) -> Value {
    let shown = on.into_iter().map(|(id, name, endpoint)| {
        let address =
            |net: Option<engine::network::IpNet>| net.map_or_else(String::new, |net| net.to_string());
        let value = json!({
            "Name": name,
            "EndpointID": endpoint.id,
            "MacAddress": endpoint.mac.to_string(),
            "IPv4Address": address(endpoint.v4()),
            "IPv6Address": address(endpoint.v6()),
        });
        (id, value)
    });
    shown.collect::<Map<_, _>>().into()
}

/// What filters look at.
struct Shown<'a> {
    name: &'a str,
    id: &'a str,
    driver: &'a str,
    builtin: bool,
    used: bool,
    labels: &'a BTreeMap<String, String>,
}

fn fits(filters: &Filters, shown: &Shown<'_>) -> Result<bool, ApiError> {
    for kind in filters.get("type") {
        if !["builtin", "custom"].contains(&kind.as_str()) {
            return Err(ApiError::invalid(format!("invalid filter: 'type'='{kind}'")));
        }
    }
    let dangling = filters.flag("dangling")?;
    Ok(filters.any("name", |name| shown.name.contains(name))
        && filters.any("id", |id| shown.id.contains(id))
        && filters.any("driver", |driver| driver == shown.driver)
        && filters.any("scope", |scope| scope == "local")
        && filters.any("type", |kind| (kind == "builtin") == shown.builtin)
        && dangling.is_none_or(|dangling| dangling == (!shown.used && !shown.builtin))
        && filters.labels(shown.labels))
}

pub fn list(call: &Call) -> Answer {
    let filters = Filters::of(&call.query, FILTERS)?;
    let engine = call.engine();
    let mut list = Vec::new();
    for network in engine.networks() {
        let shown = Shown {
            name: &network.name,
            id: &network.id,
            driver: "bridge",
            builtin: network.is_default(),
            used: engine.is_used(&network),
            labels: &network.labels,
        };
        if fits(&filters, &shown)? {
            list.push(network_json(&network));
        }
    }
    let shown = Shown {
        name: NONE,
        id: NONE_ID,
        driver: "null",
        builtin: true,
        used: false,
        labels: &BTreeMap::new(),
    };
    if fits(&filters, &shown)? {
        list.push(none());
    }
    Ok(request::ok_json(&list))
}

pub fn inspect(call: &Call, name: &str) -> Answer {
    if name == NONE || name == NONE_ID {
        return Ok(request::ok_json(&none()));
    }
    let network = call.engine().network(name)?;
    let mut value = network_json(&network);
    value["Containers"] = containers(call.engine().on_network(&network.id));
    Ok(request::ok_json(&value))
}

pub async fn remove(call: &Call, name: String) -> Answer {
    let engine = call.engine().clone();
    to_the_end(async move { engine.remove_network(&name).await }).await?;
    Ok(request::empty(StatusCode::NO_CONTENT))
}

/// Those of users that no container is to be on.
pub async fn prune(call: &Call) -> Answer {
    let filters = Filters::of(&call.query, &["label", "label!", "until"])?;
    let until = crate::containers::prune::until(&filters, chrono::Utc::now())?;
    let mut deleted = Vec::new();
    for network in call.engine().networks() {
        let engine = call.engine().clone();
        let old = until.is_none_or(|until| network.created_at < until);
        if network.is_default() || !old || !filters.labels(&network.labels) || engine.is_used(&network) {
            continue;
        }
        let id = network.id.clone();
        match to_the_end(async move { engine.remove_network(&id).await }).await {
            Ok(_) => deleted.push(network.name),
            // Somebody was quicker, or uses it now.
            Err(error) => tracing::debug!(network = network.name, error = error.message, "not pruned"),
        }
    }
    Ok(request::ok_json(
        &json!({ "NetworksDeleted": if deleted.is_empty() { None } else { Some(deleted) } }),
    ))
}

pub fn volumes() -> Answer {
    Ok(request::ok_json(&json!({ "Volumes": [], "Warnings": null })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_narrow() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let shown = Shown {
            name: "app_default",
            id: "abc123",
            driver: "bridge",
            builtin: false,
            used: false,
            labels: &labels,
        };
        let kept = |text: &str| fits(&Filters::parse(text, FILTERS).unwrap(), &shown);
        for text in [
            "{}",
            r#"{"name":["app"]}"#,
            r#"{"id":["abc"]}"#,
            r#"{"type":["custom"]}"#,
            r#"{"dangling":["true"]}"#,
            r#"{"label":["a=b"]}"#,
        ] {
            assert!(kept(text).unwrap(), "{text}");
        }
        for text in [
            r#"{"name":["x"]}"#,
            r#"{"driver":["null"]}"#,
            r#"{"type":["builtin"]}"#,
            r#"{"dangling":["false"]}"#,
            r#"{"label":["c"]}"#,
        ] {
            assert!(!kept(text).unwrap(), "{text}");
        }
        assert!(kept(r#"{"type":["x"]}"#).is_err());
    }
}
