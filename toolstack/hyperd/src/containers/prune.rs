//! `/containers/prune`: removes what does not run.

use crate::api::Call;
use crate::error::{Answer, ApiError, to_the_end};
use crate::filters::Filters;
use crate::query::parse_moment;
use crate::request;
use chrono::{DateTime, Utc};
use engine::{Container, Status};
use serde_json::json;

const FILTERS: &[&str] = &["label", "label!", "until"];

pub async fn prune(call: &Call) -> Answer {
    let filters = Filters::of(&call.query, FILTERS)?;
    let until = until(&filters, Utc::now())?;
    let mut deleted = Vec::new();
    let mut reclaimed = 0;
    for container in call.engine().containers() {
        if !fits(&container, &filters, until) {
            continue;
        }
        let bytes = call.engine().disk_bytes(&container.id);
        let (engine, id) = (call.app.engine.clone(), container.id.clone());
        match to_the_end(async move { engine.remove(&id, false).await }).await {
            Ok(()) => {
                deleted.push(container.id);
                reclaimed += bytes;
            }
            // Somebody was quicker, or it was started.
            Err(error) => tracing::debug!(container = container.id, error = error.message, "not pruned"),
        }
    }
    pruned(call, "container", reclaimed);
    Ok(request::ok_json(&json!({
        "ContainersDeleted": if deleted.is_empty() { None } else { Some(deleted) },
        "SpaceReclaimed": reclaimed,
    })))
}

/// Tells of what was had back.
pub fn pruned(call: &Call, kind: &'static str, reclaimed: u64) {
    let attributes = [("reclaimed".to_owned(), reclaimed.to_string())].into();
    call.engine().tell(kind, "prune", "", attributes);
}

fn fits(container: &Container, filters: &Filters, until: Option<DateTime<Utc>>) -> bool {
    matches!(
        container.state.status,
        Status::Created | Status::Exited | Status::Dead
    ) && until.is_none_or(|until| container.created_at < until)
        && filters.labels(&container.config.labels)
}

/// A moment, or a duration before now.
pub fn until(filters: &Filters, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let text = match filters.get("until") {
        [] => return Ok(None),
        [text] => text,
        _ => return Err(ApiError::invalid("more than one until filter specified")),
    };
    crate::config::parse_duration(text)
        .and_then(|ago| now.checked_sub_signed(chrono::TimeDelta::from_std(ago).ok()?))
        .or_else(|| parse_moment(text))
        .map(Some)
        .ok_or_else(|| ApiError::invalid(format!("invalid filter 'until={text}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_is_a_moment_or_an_age() {
        let now = DateTime::from_timestamp(10_000, 0).unwrap();
        let of = |text: &str| {
            let filters = Filters::parse(&json!({ "until": [text] }).to_string(), FILTERS).unwrap();
            until(&filters, now).map(|at| at.unwrap().timestamp())
        };
        assert_eq!(of("1h").unwrap(), 6_400);
        assert_eq!(of("5000").unwrap(), 5_000);
        assert!(of("yesterday").is_err());
    }
}
