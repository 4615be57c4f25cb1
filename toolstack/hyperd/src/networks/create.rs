//! `/networks/create`

use super::body::{Create, EndpointSettings, IpamConfig};
use crate::api::Call;
use crate::error::{Answer, ApiError, to_the_end};
use crate::request;
use axum::http::StatusCode;
use engine::network::{EndpointConfig, NetworkRequest, SubnetRequest};
use serde_json::json;
use std::str::FromStr;

pub async fn create(call: Call) -> Answer {
    let body: Create = request::need_json(call.request.into_body()).await?;
    let wanted = translate(body)?;
    let engine = call.app.engine.clone();
    let network = to_the_end(async move { engine.create_network(wanted).await }).await?;
    Ok(request::json(
        StatusCode::CREATED,
        &json!({ "Id": network.id, "Warning": "" }),
    ))
}

fn translate(body: Create) -> Result<NetworkRequest, ApiError> {
    match body.driver.as_deref() {
        None | Some("" | "default" | "bridge") => {}
        Some(driver @ ("host" | "null" | "none")) => {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                format!("only one instance of \"{driver}\" network is allowed"),
            ));
        }
        Some(driver) => {
            return Err(ApiError::not_found(format!(
                "could not find plugin {driver} in v2 registry: only the driver bridge is there"
            )));
        }
    }
    let ipam = body.ipam.unwrap_or_default();
    if let Some(driver) = ipam
        .driver
        .as_deref()
        .filter(|driver| !["", "default"].contains(driver))
    {
        return Err(ApiError::invalid(format!("invalid ipam driver: {driver}")));
    }
    for (asked, what) in [
        (
            body.ingress == Some(true),
            "ingress networks are of swarm mode, which is not supported",
        ),
        (
            body.config_only == Some(true),
            "networks that are a configuration only are not supported",
        ),
        (
            body.enable_ipv4 == Some(false),
            "networks without IPv4 are not supported",
        ),
        (
            body.scope.as_deref() == Some("swarm"),
            "swarm mode is not supported",
        ),
    ] {
        if asked {
            return Err(ApiError::invalid(what));
        }
    }
    let subnets = ipam.config.unwrap_or_default().into_iter().map(subnet);
    Ok(NetworkRequest {
        name: body.name.unwrap_or_default(),
        subnets: subnets.collect::<Result<_, _>>()?,
        ipv6: body.enable_ipv6.unwrap_or_default(),
        internal: body.internal.unwrap_or_default(),
        attachable: body.attachable.unwrap_or_default(),
        labels: body.labels.unwrap_or_default(),
        options: body.options.unwrap_or_default(),
    })
}

/// A value that may be absent or empty.
pub fn parse<T: FromStr>(what: &str, text: Option<&str>) -> Result<Option<T>, ApiError> {
    text.filter(|text| !text.is_empty())
        .map(|text| {
            text.parse()
                .map_err(|_| ApiError::invalid(format!("invalid {what}: {text}")))
        })
        .transpose()
}

fn subnet(config: IpamConfig) -> Result<SubnetRequest, ApiError> {
    let auxiliary = config
        .auxiliary_addresses
        .unwrap_or_default()
        .into_iter()
        .map(|(name, text)| {
            let address = text
                .parse()
                .map_err(|_| ApiError::invalid(format!("invalid aux-address: {text}")))?;
            Ok((name, address))
        });
    Ok(SubnetRequest {
        subnet: parse("subnet", config.subnet.as_deref())?,
        gateway: parse("gateway", config.gateway.as_deref())?,
        range: parse("ip-range", config.ip_range.as_deref())?,
        auxiliary: auxiliary.collect::<Result<_, ApiError>>()?,
    })
}

/// How a container is to be on a network.
pub fn endpoint(settings: EndpointSettings) -> Result<EndpointConfig, ApiError> {
    let ipam = settings.ipam_config.unwrap_or_default();
    let mac = settings.mac_address.filter(|mac| !mac.is_empty());
    Ok(EndpointConfig {
        aliases: settings.aliases.unwrap_or_default(),
        ipv4: parse("IPv4 address", ipam.ipv4_address.as_deref())?,
        ipv6: parse("IPv6 address", ipam.ipv6_address.as_deref())?,
        mac: mac
            .map(|mac| mac.parse().map_err(ApiError::invalid))
            .transpose()?,
        links: settings.links.unwrap_or_default(),
        driver_options: settings.driver_opts.unwrap_or_default(),
        ..EndpointConfig::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: serde_json::Value) -> Result<NetworkRequest, ApiError> {
        translate(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn what_docker_and_compose_send_is_understood() {
        let request = read(json!({
            "Name": "app_default", "Driver": "bridge", "Scope": "", "EnableIPv6": true, "Internal": false, "Attachable": false,
            "Ingress": false, "ConfigOnly": false, "ConfigFrom": null, "Options": null, "Labels": { "a": "b" },
            "IPAM": { "Driver": "default", "Options": {}, "Config": [
                { "Subnet": "10.5.0.0/24", "IPRange": "10.5.0.128/25", "Gateway": "10.5.0.9", "AuxiliaryAddresses": { "r": "10.5.0.3" } },
                { "Subnet": "" },
            ] },
        }))
        .unwrap();
        assert_eq!(request.name, "app_default");
        assert!(request.ipv6);
        assert_eq!(request.subnets[0].gateway, Some("10.5.0.9".parse().unwrap()));
        assert_eq!(request.subnets[1], SubnetRequest::default());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (body, status) in [
            (json!({ "Driver": "overlay" }), 404),
            (json!({ "Driver": "host" }), 403),
            (json!({ "Ingress": true }), 400),
            (json!({ "EnableIPv4": false }), 400),
            (json!({ "IPAM": { "Driver": "x" } }), 400),
            (
                json!({ "IPAM": { "Config": [{ "Subnet": "10.0.0.0/33" }] } }),
                400,
            ),
        ] {
            assert_eq!(read(body.clone()).unwrap_err().status.as_u16(), status, "{body}");
        }
    }
}
