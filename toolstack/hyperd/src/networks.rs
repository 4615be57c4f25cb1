//! Networks and volumes: what there is of them, which is little so far.

use crate::api::Call;
use crate::error::{Answer, ApiError};
use crate::filters::Filters;
use crate::request;
use crate::text;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const FILTERS: &[&str] = &[
    "dangling", "driver", "id", "label", "label!", "name", "scope", "type", "until",
];

/// The only one: a loopback for each guest and nothing else.
const NONE: &str = "none";
const NONE_ID: &str = "6e6f6e6500000000000000000000000000000000000000000000000000000000";

fn none() -> Value {
    json!({
        "Name": NONE,
        "Id": NONE_ID,
        "Created": text::NEVER,
        "Scope": "local",
        "Driver": "null",
        "EnableIPv4": false,
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

pub fn list(call: &Call) -> Answer {
    let filters = Filters::of(&call.query, FILTERS)?;
    let shown = filters.pattern("name", NONE)
        && filters.any("id", |id| NONE_ID.starts_with(id))
        && filters.any("driver", |driver| driver == "null")
        && filters.any("scope", |scope| scope == "local")
        && filters.any("type", |kind| kind == "builtin")
        && filters.flag("dangling")? != Some(true)
        && filters.labels(&BTreeMap::new());
    Ok(request::ok_json(&if shown { vec![none()] } else { Vec::new() }))
}

pub fn inspect(name: &str) -> Answer {
    match name == NONE || name == NONE_ID {
        true => Ok(request::ok_json(&none())),
        false => Err(ApiError::not_found(format!("network {name} not found"))),
    }
}

pub fn volumes() -> Answer {
    Ok(request::ok_json(&json!({ "Volumes": [], "Warnings": null })))
}
