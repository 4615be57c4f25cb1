//! Containers come to a network and leave it.

use super::body::EndpointSettings;
use super::create::endpoint;
use crate::api::Call;
use crate::error::{Answer, ApiError, to_the_end};
use crate::request;
use axum::http::StatusCode;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Body {
    container: Option<String>,
    endpoint_config: Option<EndpointSettings>,
    force: Option<bool>,
}

async fn read(call: Call) -> Result<(engine::Engine, String, Body), ApiError> {
    let mut body: Body = request::need_json(call.request.into_body()).await?;
    let container = body.container.take().filter(|name| !name.is_empty());
    let container = container.ok_or_else(|| ApiError::invalid("the container is not named"))?;
    Ok((call.app.engine.clone(), container, body))
}

pub async fn connect(call: Call, network: String) -> Answer {
    let (engine, container, body) = read(call).await?;
    let wanted = endpoint(body.endpoint_config.unwrap_or_default())?;
    to_the_end(async move { engine.connect(&network, &container, wanted).await }).await?;
    Ok(request::empty(StatusCode::OK))
}

pub async fn disconnect(call: Call, network: String) -> Answer {
    let (engine, container, body) = read(call).await?;
    let force = body.force.unwrap_or_default();
    to_the_end(async move { engine.disconnect(&network, &container, force).await }).await?;
    Ok(request::empty(StatusCode::OK))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct LinkBody {
    container: Option<String>,
    alias: Option<String>,
}

/// `/hyper/v1/containers/{id}/links`: a container's own name for another.
pub async fn link(call: Call, id: String) -> Answer {
    let body: LinkBody = request::need_json(call.request.into_body()).await?;
    let target = body.container.filter(|name| !name.is_empty());
    let target = target.ok_or_else(|| ApiError::invalid("the container is not named"))?;
    let engine = call.app.engine.clone();
    let alias = body.alias.unwrap_or_default();
    to_the_end(async move { engine.link(&id, &target, &alias).await }).await?;
    Ok(request::empty(StatusCode::NO_CONTENT))
}
