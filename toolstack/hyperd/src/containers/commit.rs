//! `/commit`: an image of a container.

use crate::api::Call;
use crate::error::Answer;
use crate::images::import::name;
use crate::request;
use axum::http::StatusCode;
use engine::CommitRequest;
use serde_json::{Value, json};

pub async fn commit(call: Call) -> Answer {
    let query = &call.query;
    let container = query.text("container").unwrap_or_default().to_owned();
    let name = name(query.text("repo"), query.text("tag"))?;
    let text = |name| query.text(name).unwrap_or_default().to_owned();
    let (comment, author) = (text("comment"), text("author"));
    let (pause, changes) = (query.flag_or("pause", true), query.texts("changes"));
    let engine = call.engine().clone();
    let config: Option<Value> = request::read_json(call.request.into_body()).await?;
    let wanted = CommitRequest {
        name,
        comment,
        author,
        pause,
        changes,
        config: config.filter(|config| !config.is_null()),
    };
    let image = engine.commit(&container, wanted).await?;
    Ok(request::json(StatusCode::CREATED, &json!({ "Id": image })))
}
