//! `/images/create`: pulls, and tells how it comes along as JSON lines.

use super::login::credentials;
use super::progress::{Queue, lines};
use super::transfer::{Transfer, answer};
use super::{check_platform, full_name};
use crate::api::Call;
use crate::error::{Answer, ApiError};
use engine::images::Name;
use reference::Parts;
use std::sync::Arc;

pub async fn create(call: &Call) -> Answer {
    check_platform(call.query.text("platform"))?;
    let image = call
        .query
        .text("fromImage")
        .ok_or_else(|| ApiError::invalid("invalid reference format: fromImage is missing"))?;
    let tag = call.query.text("tag");
    // As docker has it: who names no tag wants all of them.
    let all = tag.is_none() && Parts::of(image).is_bare();
    let text = full_name(image, tag);
    let name: Name = text.parse()?;
    let credentials = credentials(call.request.headers());
    let engine = call.app.engine.clone();
    let queue = Arc::new(Queue::default());
    let (to, of) = (Arc::clone(&queue), name.clone());
    let pull = async move {
        let report = move |progress| to.push(progress);
        match all {
            true => engine.pull_all(&of, credentials, &report).await,
            false => engine.pull(&text, credentials, &report).await.map(drop),
        }
    };
    answer(Transfer::begin(pull, queue, name, lines)).await
}
