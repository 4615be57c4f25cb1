//! `/images/NAME/push`: pushes, and tells how it comes along as JSON lines.

use super::login::credentials;
use super::progress::{Queue, push_lines};
use super::transfer::{Transfer, answer};
use super::{check_platform, full_name};
use crate::api::Call;
use crate::error::Answer;
use engine::images::Name;
use reference::Parts;
use std::sync::Arc;

pub async fn push(call: &Call, image: &str) -> Answer {
    check_platform(call.query.text("platform"))?;
    let tag = call.query.text("tag");
    let all = tag.is_none() && Parts::of(image).is_bare();
    let name: Name = full_name(image, tag).parse()?;
    let credentials = credentials(call.request.headers());
    let engine = call.app.engine.clone();
    let queue = Arc::new(Queue::default());
    let (to, of) = (Arc::clone(&queue), name.clone());
    let push = async move {
        let report = move |progress| to.push(progress);
        engine.push(&of, all, credentials, &report).await
    };
    answer(Transfer::begin(push, queue, name, push_lines)).await
}
