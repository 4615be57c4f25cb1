//! Start, stop and what else changes a container, and waiting for it.

use crate::api::{Call, no_content};
use crate::error::{Answer, ApiError, to_the_end};
use crate::query::Query;
use crate::request;
use axum::http::StatusCode;
use engine::{Error, WaitCondition, WaitResult};
use futures_util::stream;
use serde_json::{Value, json};
use std::time::Duration;

/// 204 when something was done, 304 when it was so already.
fn changed(changed: bool) -> Answer {
    Ok(request::empty(if changed {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_MODIFIED
    }))
}

pub async fn start(call: &Call, id: String) -> Answer {
    let engine = call.app.engine.clone();
    changed(to_the_end(async move { engine.start(&id).await }).await?)
}

pub async fn stop(call: &Call, id: String) -> Answer {
    let engine = call.app.engine.clone();
    let (signal, timeout) = (super::signal(&call.query)?, stop_timeout(&call.query)?);
    changed(to_the_end(async move { engine.stop(&id, signal, timeout).await }).await?)
}

pub async fn restart(call: &Call, id: String) -> Answer {
    let engine = call.app.engine.clone();
    let (signal, timeout) = (super::signal(&call.query)?, stop_timeout(&call.query)?);
    to_the_end(async move { engine.restart(&id, signal, timeout).await }).await?;
    no_content()
}

/// `t` in seconds: absent as configured, negative never kills.
fn stop_timeout(query: &Query) -> Result<Option<Option<Duration>>, ApiError> {
    let seconds = query.number::<i64>("t")?;
    Ok(seconds.map(|seconds| u64::try_from(seconds).ok().map(Duration::from_secs)))
}

pub async fn kill(call: &Call, id: String) -> Answer {
    const SIGKILL: i32 = 9;
    let engine = call.app.engine.clone();
    let signal = super::signal(&call.query)?.unwrap_or(SIGKILL);
    to_the_end(async move { engine.kill(&id, signal).await }).await?;
    no_content()
}

pub async fn pause(call: &Call, id: String) -> Answer {
    let engine = call.app.engine.clone();
    to_the_end(async move { engine.pause(&id).await }).await?;
    no_content()
}

pub async fn unpause(call: &Call, id: String) -> Answer {
    let engine = call.app.engine.clone();
    to_the_end(async move { engine.unpause(&id).await }).await?;
    no_content()
}

pub async fn rename(call: &Call, id: String) -> Answer {
    let name = call
        .query
        .text("name")
        .ok_or_else(|| ApiError::invalid("Neither old nor new names may be empty"))?
        .trim_start_matches('/')
        .to_owned();
    let engine = call.app.engine.clone();
    to_the_end(async move { engine.rename(&id, &name).await }).await?;
    no_content()
}

pub async fn remove(call: &Call, id: String) -> Answer {
    if call.query.flag("link") {
        return Err(ApiError::invalid("links are not supported"));
    }
    // `v` takes anonymous volumes away, of which there are none.
    let force = call.query.flag("force");
    let engine = call.app.engine.clone();
    to_the_end(async move { engine.remove(&id, force).await }).await?;
    no_content()
}

/// Answers at once: clients start the container only when they have seen the head of this answer.
pub fn wait(call: &Call, id: &str) -> Answer {
    let wait = call.engine().wait(id, condition(call.query.text("condition"))?)?;
    let line = async move { request::json_line(&wait_json(wait.result().await)).unwrap_or_default() };
    let body = request::stream_body(stream::once(line));
    Ok(request::of(StatusCode::OK, "application/json", body))
}

fn condition(text: Option<&str>) -> Result<WaitCondition, ApiError> {
    match text {
        None | Some("not-running") => Ok(WaitCondition::NotRunning),
        Some("next-exit") => Ok(WaitCondition::NextExit),
        Some("removed") => Ok(WaitCondition::Removed),
        Some(other) => Err(ApiError::invalid(format!("invalid condition: {other:?}"))),
    }
}

fn wait_json(result: Result<WaitResult, Error>) -> Value {
    let (code, error) = match result {
        Ok(result) => (result.exit_code, result.error),
        Err(error) => (-1, Some(error.to_string())),
    };
    let mut value = json!({ "StatusCode": code });
    if let Some(message) = error {
        value["Error"] = json!({ "Message": message });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_timeouts() {
        let of = |text: &str| stop_timeout(&Query::parse(&format!("/x?{text}").parse().unwrap()).unwrap());
        assert_eq!(of("").unwrap(), None);
        assert_eq!(of("t=0").unwrap(), Some(Some(Duration::ZERO)));
        assert_eq!(of("t=-1").unwrap(), Some(None));
        assert!(of("t=soon").is_err());
    }

    #[test]
    fn waits() {
        assert_eq!(condition(None).unwrap(), WaitCondition::NotRunning);
        assert_eq!(condition(Some("removed")).unwrap(), WaitCondition::Removed);
        assert!(condition(Some("later")).is_err());
        let ended = |exit_code, error| wait_json(Ok(WaitResult { exit_code, error }));
        assert_eq!(ended(3, None), json!({ "StatusCode": 3 }));
        assert_eq!(
            ended(127, Some("no sh".to_owned())),
            json!({ "StatusCode": 127, "Error": { "Message": "no sh" } })
        );
        assert_eq!(wait_json(Err(Error::failed("gone")))["StatusCode"], -1);
    }
}
