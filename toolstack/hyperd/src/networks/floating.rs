//! `/hyper/v1/fips`: floating IPs.

use crate::api::Call;
use crate::error::{Answer, ApiError, to_the_end};
use crate::filters::Filters;
use crate::request;
use crate::text;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;

const FILTERS: &[&str] = &["container", "dangling", "name"];

pub fn list(call: &Call) -> Answer {
    let filters = Filters::of(&call.query, FILTERS)?;
    let dangling = filters.flag("dangling")?;
    let all = call.engine().floating_ips();
    let shown = all.into_iter().filter(|(floating, holder)| {
        let id = floating.container.as_deref();
        let of_container =
            |text: &str| holder.as_deref() == Some(text) || id.is_some_and(|id| id.starts_with(text));
        dangling.is_none_or(|dangling| dangling == id.is_none())
            && filters.any("container", of_container)
            && filters.any("name", |name| floating.name.contains(name))
    });
    let list = shown.map(|(floating, holder)| {
        json!({
            "Address": floating.address,
            "Name": floating.name,
            "Container": floating.container.unwrap_or_default(),
            "ContainerName": holder.unwrap_or_default(),
            "Allocated": text::moment(floating.allocated_at),
        })
    });
    Ok(request::ok_json(&list.collect::<Vec<_>>()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Allocate {
    count: Option<usize>,
}

pub async fn allocate(call: Call) -> Answer {
    let body: Allocate = request::need_json(call.request.into_body()).await?;
    let engine = call.app.engine.clone();
    let count = body.count.unwrap_or(1);
    let addresses = to_the_end(async move { engine.allocate_floating(count).await }).await?;
    Ok(request::json(
        StatusCode::CREATED,
        &json!({ "Addresses": addresses }),
    ))
}

pub async fn release(call: &Call, fip: String) -> Answer {
    let engine = call.engine().clone();
    to_the_end(async move { engine.release_floating(&fip).await }).await?;
    Ok(request::empty(StatusCode::NO_CONTENT))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Associate {
    container: Option<String>,
    force: Option<bool>,
}

pub async fn associate(call: Call, fip: String) -> Answer {
    let body: Associate = request::need_json(call.request.into_body()).await?;
    let container = body.container.filter(|name| !name.is_empty());
    let container = container.ok_or_else(|| ApiError::invalid("the container is not named"))?;
    let (engine, force) = (call.app.engine.clone(), body.force.unwrap_or_default());
    to_the_end(async move { engine.associate(&fip, &container, force).await }).await?;
    Ok(request::empty(StatusCode::NO_CONTENT))
}

/// `text` may be the container that has it.
pub async fn disassociate(call: &Call, text: String) -> Answer {
    let engine = call.engine().clone();
    let address = to_the_end(async move { engine.disassociate(&text).await }).await?;
    Ok(request::ok_json(&json!({ "Address": address })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Name {
    name: Option<String>,
}

pub async fn name(call: Call, fip: String) -> Answer {
    let body: Name = request::need_json(call.request.into_body()).await?;
    let (engine, name) = (call.app.engine.clone(), body.name.unwrap_or_default());
    to_the_end(async move { engine.name_floating(&fip, &name).await }).await?;
    Ok(request::empty(StatusCode::NO_CONTENT))
}
