//! What docker's API lacks: `/hyper/v1/…`.

use crate::api::Call;
use crate::error::Answer;
use crate::request;
use axum::http::StatusCode;
use bytes::Bytes;
use serde_json::json;

/// A guest as one value.
pub async fn plan(call: &Call, id: &str) -> Answer {
    Ok(request::ok_json(&call.engine().plan(id).await?))
}

/// Whether the files of all images, or of the one that `name` names, are what their digests say.
pub async fn verify_images(call: &Call) -> Answer {
    let name = call.query.text("name").map(str::to_owned);
    let verified = call.engine().verify_images(name).await?;
    let images = verified.into_iter().map(|image| {
        json!({ "Id": image.id, "Names": image.names, "Bytes": image.bytes, "Damage": image.damage,
            "Repaired": image.repaired })
    });
    Ok(request::ok_json(&json!({ "Images": images.collect::<Vec<_>>() })))
}

/// Ends all containers as a host does that is shut down.
pub async fn halt(call: &Call) -> Answer {
    let halted = call.engine().halt().await.into_iter();
    let containers = halted.map(|(container, halted)| {
        let error = halted.err().map(|error| error.to_string());
        json!({ "Id": container.id, "Name": container.name, "Error": error.unwrap_or_default() })
    });
    Ok(request::ok_json(
        &json!({ "Containers": containers.collect::<Vec<_>>() }),
    ))
}

/// Messages of the guest's kernel.
pub async fn console(call: &Call, id: &str) -> Answer {
    let messages = call.engine().console(id, call.query.flag("follow")).await?;
    let body = request::channel_body(messages, |batch: Vec<Bytes>| {
        match <[Bytes; 1]>::try_from(batch) {
            Ok([only]) => only,
            Err(batch) => batch.concat().into(),
        }
    });
    Ok(request::of(StatusCode::OK, "text/plain; charset=utf-8", body))
}
